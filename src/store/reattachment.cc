#include "store/reattachment.h"

#include "base/hooks.h"

namespace shoal {

// Points that an interrupted call left suspended are found again, since parent edges lead to them.
void SubtreeReattachment::Suspend(SlotId p, Subtree& tree) {
  std::vector<SlotId>& points = tree.points;
  points.assign(1, p);
  tree.is_in.Reset(1);
  tree.is_in.Insert(p);
  forest_.Suspend(p);
  for (size_t i = 0; i < points.size(); ++i) {
    const SlotId u = points[i];
    const size_t first = points.size();
    forest_.SuspendChildren(u, points);
    size_t kept = first;
    for (size_t j = first; j < points.size(); ++j) {
      if (tree.is_in.Insert(points[j])) {
        points[kept++] = points[j];
      } else {  // It hangs on another of them, on which u hangs, too, perhaps.
        forest_.DropSuspendedParent(u, points[j]);
      }
    }
    points.resize(kept);
  }
  SHOAL_SYNC_POINT("reattachment.suspended");
}

void SubtreeReattachment::ResumeFromOutside(Subtree& tree) {
  tree.was_ready.Reset(1);
  for (const SlotId v : tree.points) Resume(v, tree);
  ResumeReady(tree);
}

// v is tried again even if it was ready once: the edge that made it so may have gone.
bool SubtreeReattachment::ResumeFrom(SlotId v, Subtree& tree) {
  Resume(v, tree);
  const bool waits = Waits(v);
  ResumeReady(tree);
  return !waits;
}

// If v gets a parent outside, its out-neighbours have one, too, and are ready.
void SubtreeReattachment::Resume(SlotId v, Subtree& tree) {
  if (!Waits(v) || !forest_.Resume(v, in_)) return;
  reparented_.fetch_add(1, std::memory_order_relaxed);
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(v, row);
  // A suspended point that is not in the tree is an interrupted call's: its children may not be
  // suspended.
  for (size_t i = 0; i < n; ++i)
    if (forest_.IsSuspended(row[i]) && tree.is_in.Contains(row[i]) && tree.was_ready.Insert(row[i]))
      tree.ready.push_back(row[i]);
}

void SubtreeReattachment::ResumeReady(Subtree& tree) {
  for (size_t next = 0; next < tree.ready.size(); ++next) Resume(tree.ready[next], tree);
  tree.ready.clear();
}

// Those that are still suspended are deleted. Backwards: the points farthest from p first.
bool SubtreeReattachment::MakeChildless(const Subtree& tree) {
  bool all = true;
  for (size_t i = tree.points.size(); i-- > 0;)
    if (forest_.IsSuspended(tree.points[i])) all &= forest_.MakeSuspendedChildless(tree.points[i]);
  return all;
}

}  // namespace shoal
