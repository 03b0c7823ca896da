#include "graph/graph.h"

namespace shoal {

std::optional<SeedsMet> Graph::LinkOut(SlotId p, Operation& op) {
  if (!live_.neighbors.ReserveReverse(p)) return std::nullopt;
  const auto selection = selector_.Select(p, live_.options.build_list_size, op);
  if (!op.fetched()) return std::nullopt;
  if (!linker_.WriteOut(p, selection.neighbors, op)) return std::nullopt;
  return selection.met;
}

bool Graph::LinkIn(SlotId p, const SeedsMet& met, Operation& op) {
  constexpr uint64_t kStartRefresh = 64;  // The start point is offered every so many inserts.
  const size_t n = linker_.LinkBack(p, op);
  if (n == 0 || live_.inserts.fetch_add(1, std::memory_order_relaxed) % kStartRefresh == 0)
    linker_.LinkOrPrune(start(), p, op);
  live_.seeds.Offer(p, met, op);
  return parents_.EnsureParent(p, op);
}

bool Graph::CopyOut(SlotId from, SlotId to, Operation& op) {
  if (!live_.neighbors.ReserveReverse(to)) return false;
  SlotId row[kMaxDegree];
  const size_t n = live_.neighbors.CopyAtomically(from, row);  // A torn copy may name one twice.
  return linker_.WriteOut(to, {row, n}, op);
}

void Graph::TakeOver(SlotId from, SlotId to, Operation& op) {
  for (const SlotId z : live_.neighbors.Reverse(from))
    if (z != to) linker_.Redirect(z, from, to, op);  // A pass of Refine may have met `to` by now.
  if (live_.seeds.Contains(from)) live_.seeds.Forget(from, to);
  parents_.EnsureParent(to, op);
}

}  // namespace shoal
