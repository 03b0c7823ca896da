#include <algorithm>
#include <string>
#include <vector>

#include "graph/live_graph.h"

namespace shoal {
namespace {

tl::unexpected<Error> Broken(const std::string& what, SlotId slot) {
  return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) + " " + what);
}

using InEdges = std::vector<std::vector<SlotId>>;

// Appends u to the in-edges of its neighbours.
Status CheckRow(const LiveGraph& graph, SlotId u, std::span<const SlotId> row, InEdges& in) {
  if (row.size() > graph.options.max_degree)
    return Broken("has " + std::to_string(row.size()) + " neighbours, more than max_degree", u);
  for (size_t i = 0; i < row.size(); ++i) {
    const SlotId v = row[i];
    const std::string edge = "has an edge to slot " + std::to_string(v);
    if (v >= in.size()) return Broken(edge + ", which does not exist", u);
    if (v == u) return Broken(edge + ", itself", u);
    if (!IsReadable(graph.slots.tag(v))) return Broken(edge + ", which is not readable", u);
    if (graph.slots.tag(v) == Tag::kFrozen) return Broken(edge + ", a start point", u);
    if (std::find(row.begin(), row.begin() + static_cast<ptrdiff_t>(i), v) !=
        row.begin() + static_cast<ptrdiff_t>(i))
      return Broken(edge + " twice", u);
    in[v].push_back(u);
  }
  return {};
}

// The in-edges of v and its parents; `in`: from the rows, in order.
Status CheckInEdges(const LiveGraph& graph, SlotId v, const std::vector<SlotId>& in) {
  const ParentForest& forest = graph.neighbors.forest();
  std::vector<SlotId> reverse = graph.neighbors.Reverse(v);
  std::sort(reverse.begin(), reverse.end());
  if (reverse != in) return Broken("has a reverse list that is not its in-edges", v);
  const auto parents =
      std::count_if(in.begin(), in.end(), [&](SlotId u) { return forest.IsParent(u, v); });
  if (forest.ParentCount(v) != static_cast<size_t>(parents))
    return Broken("has a wrong number of parents", v);
  if (IsPoint(graph.slots.tag(v)) && parents == 0) return Broken("has no parent", v);
  // A re-attachment that found no memory leaves suspended points, until the repair is tried again.
  for (const SlotId u : in)
    if (forest.IsParent(u, v) && !forest.CanBeParent(u, v) && !forest.IsSuspended(u))
      return Broken("has slot " + std::to_string(u) + " for a parent, which cannot be one", v);
  return {};
}

Status CheckReachable(const LiveGraph& graph, size_t& unreachable) {
  const SlotId slots = graph.slots.high_water();
  std::vector<bool> reached(slots, false);
  std::vector<SlotId> queue;
  if (const SlotId start = graph.start(); start != kNoSlot) {
    queue.push_back(start);
    reached[start] = true;
  }
  SlotId row[kMaxDegree];
  for (size_t next = 0; next < queue.size(); ++next) {
    const size_t n = graph.neighbors.Copy(queue[next], row);
    for (size_t i = 0; i < n; ++i) {
      if (reached[row[i]]) continue;
      reached[row[i]] = true;
      queue.push_back(row[i]);
    }
  }
  unreachable = 0;
  SlotId first = kNoSlot;
  for (SlotId slot = slots; slot-- > 0;) {
    if (!IsPoint(graph.slots.tag(slot)) || reached[slot]) continue;
    ++unreachable;
    first = slot;
  }
  if (unreachable == 0) return {};
  return Broken("and " + std::to_string(unreachable - 1) + " more cannot be reached from the start",
                first);
}

}  // namespace

Status CheckGraph(const LiveGraph& graph, size_t& unreachable) {
  const SlotId slots = graph.slots.high_water();
  InEdges in(slots);
  SlotId row[kMaxDegree];
  uint64_t edges = 0;
  for (SlotId u = 0; u < slots; ++u) {
    if (!IsReadable(graph.slots.tag(u))) continue;
    const size_t n = graph.neighbors.Copy(u, row);
    edges += n;
    if (Status ok = CheckRow(graph, u, {row, n}, in); !ok) return ok;
  }
  if (edges != graph.neighbors.edges())
    return MakeError(ErrorCode::kCorrupt, "structure: edges: counted " + std::to_string(edges) +
                                              ", kept " + std::to_string(graph.neighbors.edges()));
  SlotId suspended = kNoSlot;
  bool repaired = true;
  for (SlotId v = 0; v < slots; ++v) {
    if (!IsReadable(graph.slots.tag(v))) continue;
    repaired = repaired && graph.slots.tag(v) != Tag::kDeleted;
    if (graph.neighbors.forest().IsSuspended(v)) suspended = v;
    if (Status ok = CheckInEdges(graph, v, in[v]); !ok) return ok;
  }
  if (repaired && suspended != kNoSlot)
    return Broken("is suspended, and no repair is pending", suspended);
  return CheckReachable(graph, unreachable);
}

}  // namespace shoal
