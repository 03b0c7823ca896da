// The structural checker: what must hold of a graph at rest.
#include <algorithm>
#include <string>

#include "graph/graph.h"

namespace shoal {
namespace {

tl::unexpected<Error> Broken(const std::string& what, SlotId slot) {
  return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) + " " + what);
}

}  // namespace

Status Graph::CheckStructure(size_t& unreachable) const {
  const SlotId slots = slots_.high_water();
  std::vector<std::vector<SlotId>> in(slots);
  std::vector<SlotId> row(kMaxDegree);
  uint64_t edges = 0;
  for (SlotId u = 0; u < slots; ++u) {
    if (!IsReadable(slots_.tag(u))) continue;
    const size_t n = neighbors_.Copy(u, row.data());
    edges += n;
    if (n > neighbors_.max_degree())
      return Broken("has " + std::to_string(n) + " neighbours, more than max_degree", u);
    for (size_t i = 0; i < n; ++i) {
      const SlotId v = row[i];
      const std::string edge = "has an edge to slot " + std::to_string(v);
      if (v >= slots) return Broken(edge + ", which does not exist", u);
      if (v == u) return Broken(edge + ", itself", u);
      if (!IsReadable(slots_.tag(v))) return Broken(edge + ", which is not readable", u);
      if (slots_.tag(v) == Tag::kFrozen) return Broken(edge + ", a start point", u);
      if (std::find(row.begin(), row.begin() + static_cast<ptrdiff_t>(i), v) !=
          row.begin() + static_cast<ptrdiff_t>(i))
        return Broken(edge + " twice", u);
      in[v].push_back(u);
    }
  }
  if (edges != neighbors_.edges())
    return MakeError(ErrorCode::kCorrupt, "structure: edges: counted " + std::to_string(edges) +
                                              ", kept " + std::to_string(neighbors_.edges()));
  SlotId pinned = kNoSlot;
  bool repaired = true;
  for (SlotId v = 0; v < slots; ++v) {
    if (!IsReadable(slots_.tag(v))) continue;
    repaired = repaired && slots_.tag(v) != Tag::kDeleted;
    if (neighbors_.forest().IsSuspended(v)) pinned = v;
    std::vector<SlotId> reverse = neighbors_.Reverse(v);
    std::sort(reverse.begin(), reverse.end());
    if (reverse != in[v]) return Broken("has a reverse list that is not its in-edges", v);
    const auto guards = std::count_if(in[v].begin(), in[v].end(),
                                      [&](SlotId u) { return neighbors_.forest().IsParent(u, v); });
    if (neighbors_.forest().ParentCount(v) != static_cast<size_t>(guards))
      return Broken("has a wrong number of guards", v);
    if (slots_.tag(v) == Tag::kLive && guards == 0) return Broken("has no guard", v);
    // A reattachment that found no memory leaves pins behind, until the repair is tried again.
    for (const SlotId u : in[v])
      if (neighbors_.forest().IsParent(u, v) && !neighbors_.forest().CanBeParent(u, v) &&
          !neighbors_.forest().IsSuspended(u))
        return Broken("is guarded by slot " + std::to_string(u) + ", which may not", v);
  }
  if (repaired && pinned != kNoSlot) return Broken("is pinned, and nobody leaves", pinned);
  return CheckReachable(slots, unreachable);
}

Status Graph::CheckReachable(SlotId slots, size_t& unreachable) const {
  std::vector<bool> reached(slots, false);
  std::vector<SlotId> queue;
  if (start() != kNoSlot) queue.push_back(start());
  if (!queue.empty()) reached[start()] = true;
  std::vector<SlotId> row(kMaxDegree);
  for (size_t next = 0; next < queue.size(); ++next) {
    const size_t n = neighbors_.Copy(queue[next], row.data());
    for (size_t i = 0; i < n; ++i) {
      if (reached[row[i]]) continue;
      reached[row[i]] = true;
      queue.push_back(row[i]);
    }
  }
  size_t& lost = unreachable;
  lost = 0;
  SlotId first_lost = kNoSlot;
  for (SlotId slot = slots; slot-- > 0;) {
    if (slots_.tag(slot) != Tag::kLive || reached[slot]) continue;
    ++lost;
    first_lost = slot;
  }
  if (lost > 0)
    return Broken("and " + std::to_string(lost - 1) + " more cannot be reached from the start",
                  first_lost);
  return {};
}

}  // namespace shoal
