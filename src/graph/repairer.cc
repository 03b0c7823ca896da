#include "graph/repairer.h"

#include <algorithm>

#include "base/hooks.h"
#include "graph/live_graph.h"

namespace shoal {
namespace {

// In-neighbours that one call reroutes, a millisecond's work. Most points have a tenth of that; a
// hub, at which half of all others point, would take a second.
constexpr size_t kMaxPerCall = 512;

}  // namespace

Repaired Repairer::Repair(SlotId p, Operation& op) {
  NeighborLists& neighbors = graph_.neighbors;
  auto& [in, out] = op.scratch.repair;
  neighbors.Reverse(p, in, kMaxPerCall + 1);
  const bool are_all = in.size() <= kMaxPerCall;
  std::sort(in.begin(), in.end());
  in.erase(std::unique(in.begin(), in.end()), in.end());
  out.resize(kMaxDegree);
  out.resize(neighbors.Copy(p, out.data()));
  op.work.lists_read += 2;
  SHOAL_SYNC_POINT("repair.copied");
  replacements_.Collect(p, out, in, op);
  if (!op.fetched()) return Repaired::kRetry;
  for (const SlotId w : out) Support(w, op);
  for (const SlotId w : out) parents_.RenewRank(w, p, op);
  if (!parents_.MakeChildless(p, op)) return Repaired::kRetry;
  SHOAL_SYNC_POINT("repair.before_replacing");
  constexpr size_t kAhead = 4;
  for (size_t i = 0; i < in.size(); ++i) {
    if (i + kAhead < in.size()) neighbors.PrefetchForWriting(in[i + kAhead]);
    if (i + 1 < in.size()) replacements_.PrefetchFor(in[i + 1]);
    ReplaceIn(in[i], p, op);
    if (!op.fetched()) return Repaired::kRetry;
  }
  if (!are_all) {
    SHOAL_SYNC_POINT("repair.partial");
    return Repaired::kPartial;
  }
  SHOAL_SYNC_POINT("repair.before_clearing");
  neighbors.ClearRow(p);
  ++op.work.lists_written;
  graph_.seeds.Forget(p, Replacements::NearestToDeleted(op));
  return Repaired::kDone;
}

// An edge to w from the nearest candidate that has none, if w is left with few in-edges. With very
// few, it is offered one by each of its own neighbours, as when it was inserted: none of the
// candidates need be near w.
void Repairer::Support(SlotId w, Operation& op) {
  if (!IsPoint(graph_.slots.tag(w))) return;
  if (graph_.neighbors.HasMoreIn(w, graph_.options.max_degree / 2)) return;
  replacements_.LinkTo(w, op);
  if (!graph_.neighbors.HasMoreIn(w, graph_.options.max_degree / 4)) linker_.LinkBack(w, op);
}

void Repairer::ReplaceIn(SlotId z, SlotId p, Operation& op) {
  NeighborLists& neighbors = graph_.neighbors;
  if (const Tag tag = graph_.slots.tag(z); !IsPoint(tag) && tag != Tag::kFrozen) {
    neighbors.Unlink(z, p);
    return;
  }
  // Perhaps torn, perhaps changed when the edge is written: good enough for a choice.
  SlotId row[kMaxDegree];
  const size_t n = neighbors.Copy(z, row);
  ++op.work.lists_read;
  const SlotId replacement = replacements_.AddBackLinkFor(z, {row, n}, op);
  if (!op.fetched()) {  // It is not the one.
    if (replacement != kNoSlot) neighbors.RemoveBackLink(z, replacement);
    return;
  }
  SHOAL_SYNC_POINT("repair.before_commit");
  if (!neighbors.Swap(z, p, replacement)) return;
  ++op.work.lists_written;
  // No candidate, and hardly a neighbour left: a search finds better ones.
  if (replacement == kNoSlot && n <= graph_.options.max_degree / 4 && IsPoint(graph_.slots.tag(z)))
    linker_.Relink(z, op);
}

}  // namespace shoal
