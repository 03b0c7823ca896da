#include "store/reattachment.h"

#include "base/hooks.h"

namespace shoal {

bool SubtreeReattachment::Run(SlotId p, const std::function<bool(SlotId)>& link) {
  const MutexLock lock(mutex_);
  Pinned pinned;
  SuspendSubtree(p, pinned);
  SHOAL_SYNC_POINT("reattachment.suspended");
  pinned.met.Reset(1);
  for (const SlotId v : pinned.all) Reattach(v, pinned);
  ReattachChildren(pinned);
  for (const SlotId v : pinned.all) {
    Reattach(v, pinned);  // Since others may have taken away an edge by which it was due.
    if (Waits(v)) {
      if (!link(v)) return false;
      Reattach(v, pinned);
    }
    ReattachChildren(pinned);
  }
  // What is left is deleted. Backwards: what hangs on others of these first.
  bool released = true;
  for (size_t i = pinned.all.size(); i-- > 0;)
    if (neighbors_.IsSuspended(pinned.all[i]))
      released &= neighbors_.MakeSuspendedChildless(pinned.all[i]);
  return released;
}

// What a call that was interrupted has pinned is met again, since guards lead to it.
void SubtreeReattachment::SuspendSubtree(SlotId p, Pinned& pinned) {
  std::vector<SlotId>& all = pinned.all;
  all.assign(1, p);
  pinned.them.Reset(1);
  pinned.them.Insert(p);
  neighbors_.Suspend(p);
  for (size_t i = 0; i < all.size(); ++i) {
    const SlotId u = all[i];
    const size_t first = all.size();
    neighbors_.SuspendChildren(u, all);
    size_t kept = first;
    for (size_t j = first; j < all.size(); ++j) {
      if (pinned.them.Insert(all[j])) {
        all[kept++] = all[j];
      } else {  // It hangs on another of them, on which u does perhaps hang, too.
        neighbors_.DropSuspendedParent(u, all[j]);
      }
    }
    all.resize(kept);
  }
}

// If v has a guard outside: then those at whom it points have one, too, and are due.
void SubtreeReattachment::Reattach(SlotId v, Pinned& pinned) {
  if (!Waits(v) || !neighbors_.Resume(v, in_)) return;
  reparented_.fetch_add(1, std::memory_order_relaxed);
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(v, row);
  // Others are of a call that was interrupted: they may still guard some that are not pinned.
  for (size_t i = 0; i < n; ++i)
    if (neighbors_.IsSuspended(row[i]) && pinned.them.Contains(row[i]) && pinned.met.Insert(row[i]))
      pinned.due.push_back(row[i]);
}

void SubtreeReattachment::ReattachChildren(Pinned& pinned) {
  for (size_t next = 0; next < pinned.due.size(); ++next) Reattach(pinned.due[next], pinned);
  pinned.due.clear();
}

}  // namespace shoal
