#include "graph/linker.h"

#include <algorithm>

#include "base/hooks.h"
#include "graph/live_graph.h"

namespace shoal {

using LinkResult = NeighborLists::LinkResult;

Linker::Linker(LiveGraph& graph, const Pruner& pruner, const NeighborSelector& selector)
    : graph_(graph),
      neighbors_(graph.neighbors),
      forest_(graph.neighbors.forest()),
      pruner_(pruner),
      selector_(selector),
      overflow_degree_(graph.options.max_degree - graph.options.max_degree / 8) {}

bool Linker::WriteOut(SlotId p, std::span<const SlotId> wanted, Operation& op) {
  LinkScratch& scratch = op.scratch.link;
  SlotId old[kMaxDegree];
  for (;;) {
    const uint32_t version = neighbors_.Version(p);
    const size_t n = neighbors_.Copy(p, old);
    bool no_memory = false;
    scratch.wanted.clear();
    scratch.back_links.clear();
    neighbors_.PrefetchReverse(wanted);
    for (const SlotId v : wanted) {
      if (std::find(old, old + n, v) == old + n) {
        const LinkResult result = neighbors_.AddBackLink(p, v);
        no_memory |= result == LinkResult::kNoMemory;
        if (result != LinkResult::kLinked) continue;
        scratch.back_links.push_back(v);
      }
      scratch.wanted.push_back(v);
    }
    if (no_memory && scratch.wanted.empty()) return false;
    SHOAL_SYNC_POINT("write_out.before_commit");
    if (CommitRow(p, version, scratch.wanted, op)) return true;
    for (const SlotId v : scratch.back_links) neighbors_.RemoveBackLink(p, v);
  }
}

bool Linker::CommitRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, Operation& op) {
  NeighborLists::RowUpdate& update = op.scratch.link.update;
  update.version = version;
  update.wanted = wanted;
  update.dropped.clear();
  update.added.clear();
  if (!neighbors_.UpdateRow(u, update)) {
    restarts_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  ++op.work.lists_written;
  neighbors_.PrefetchReverse(update.dropped);
  for (const SlotId v : update.dropped) neighbors_.RemoveBackLink(u, v);
  return true;
}

// To the pool: u's live neighbours, and `extra` if there is one, with their distances from u.
// Returns the row's version before the copy.
uint32_t Linker::PoolFromRow(SlotId u, SlotId extra, Operation& op) const {
  const uint32_t version = neighbors_.Version(u);
  ScoredSlots slots;
  slots.size = neighbors_.Copy(u, slots.ids);
  ++op.work.lists_read;
  const SlotId* const end = slots.ids + slots.size;
  if (extra != kNoSlot && std::find<const SlotId*>(slots.ids, end, extra) == end)
    slots.ids[slots.size++] = extra;
  graph_.Score(graph_.BindRow(u, op), slots, op);
  std::vector<Candidate>& pool = op.scratch.link.pool;
  pool.clear();
  for (size_t i = 0; i < slots.size; ++i)
    if (slots.eligible[i]) pool.push_back({slots.distances[i], slots.ids[i]});
  return version;
}

// Likewise, all at the same distance.
uint32_t Linker::PoolWithoutDistances(SlotId u, Operation& op) const {
  const uint32_t version = neighbors_.Version(u);
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(u, row);
  std::vector<Candidate>& pool = op.scratch.link.pool;
  pool.clear();
  for (size_t i = 0; i < n; ++i)
    if (IsPoint(graph_.slots.tag(row[i]))) pool.push_back({0, row[i]});
  return version;
}

// Rows that will be asked for one by one.
void Linker::FetchTogether(SlotId p, std::span<const SlotId> others, Operation& op) const {
  if (graph_.pruning.fetched == nullptr) return;
  SlotId slots[kMaxDegree + 1] = {p};
  std::copy(others.begin(), others.end(), slots + 1);
  const std::byte* rows[kMaxDegree + 1];
  graph_.pruning.Find(slots, others.size() + 1, rows, op.scratch.fetch);
}

// Replaces u's row by `wanted`, of which only `fresh` may be new to it. False: as CommitRow.
bool Linker::ReplaceRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, SlotId fresh,
                        Operation& op) {
  std::vector<SlotId>& row_to_be = op.scratch.link.wanted;
  row_to_be.assign(wanted.begin(), wanted.end());
  const auto at = std::find(row_to_be.begin(), row_to_be.end(), fresh);
  // The row may have got `fresh` since the caller looked. A back-link would then be one too many,
  // for ever. (This copy is of `version`, or CommitRow refuses.)
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(u, row);
  bool is_new = at != row_to_be.end() && std::find(row, row + n, fresh) == row + n;
  if (is_new && neighbors_.AddBackLink(u, fresh) != LinkResult::kLinked) {
    row_to_be.erase(at);
    is_new = false;
  }
  SHOAL_SYNC_POINT("replace_row.before_commit");
  if (CommitRow(u, version, row_to_be, op)) return true;
  if (is_new) neighbors_.RemoveBackLink(u, fresh);
  return false;
}

bool Linker::LinkOrPrune(SlotId u, SlotId p, Operation& op) {
  const LinkResult result = neighbors_.Link(u, p);
  if (result == LinkResult::kLinked) ++op.work.lists_written;
  if (result != LinkResult::kFull) return result == LinkResult::kLinked;
  SHOAL_SYNC_POINT("link_or_prune.full");
  LinkScratch& scratch = op.scratch.link;
  for (;;) {
    const uint32_t version = PoolFromRow(u, p, op);
    const auto selected = pruner_.Prune(u, scratch.pool, overflow_degree_, op);
    if (op.scratch.fetch.blind()) return false;
    if (!ReplaceRow(u, version, selected, p, op)) continue;
    const std::vector<SlotId>& added = scratch.update.added;
    return std::find(added.begin(), added.end(), p) != added.end();
  }
}

size_t Linker::LinkBack(SlotId p, Operation& op) {
  SlotId out[kMaxDegree];
  const size_t n = neighbors_.Copy(p, out);
  FetchTogether(p, {out, n}, op);
  for (size_t i = 0; i < n; ++i) LinkOrPrune(out[i], p, op);
  return n;
}

bool Linker::ForceLink(SlotId u, SlotId p, Operation& op) {
  if (!forest_.CanBeParent(u, p)) return false;
  const LinkResult result = neighbors_.Link(u, p);
  if (result == LinkResult::kLinked) ++op.work.lists_written;
  if (result != LinkResult::kFull) return forest_.IsParent(u, p);
  SHOAL_SYNC_POINT("force_link.full");
  FetchScratch& fetch = op.scratch.fetch;
  uint32_t version = fetch.blind() ? 0 : PoolFromRow(u, kNoSlot, op);
  if (fetch.blind()) version = PoolWithoutDistances(u, op);
  std::vector<Candidate>& pool = op.scratch.link.pool;
  std::sort(pool.begin(), pool.end(),
            [](const Candidate& a, const Candidate& b) { return a.distance > b.distance; });
  const auto spare = std::find_if(pool.begin(), pool.end(), [&](const Candidate& candidate) {
    if (!forest_.IsParent(u, candidate.slot)) return true;
    return forest_.ParentCount(candidate.slot) > 1 && !forest_.IsSuspended(candidate.slot);
  });
  if (spare == pool.end()) return false;
  SlotId wanted[SearchScratch::kMaxIds] = {p};
  size_t n = 1;
  for (const Candidate& candidate : pool)
    if (candidate.slot != spare->slot) wanted[n++] = candidate.slot;
  ReplaceRow(u, version, {wanted, n}, p, op);
  return forest_.IsParent(u, p);
}

// A row that is full of parent edges names R branches of a tree: a few steps lead to a free place.
bool Linker::ForceLinkBelow(SlotId u, SlotId p, Operation& op) {
  constexpr uint64_t kMaxSteps = 64;
  SlotId children[kMaxDegree];
  uint64_t random = p;
  for (uint64_t step = 0; step < kMaxSteps; ++step) {
    const size_t n = neighbors_.Copy(u, children);
    const SlotId* const end =
        std::remove_if(children, children + n, [&](SlotId v) { return !forest_.IsParent(u, v); });
    if (end == children) return false;
    random = random * 6364136223846793005u + 1442695040888963407u;  // Knuth's, of MMIX.
    u = children[(random >> 32) % static_cast<size_t>(end - children)];
    if (ForceLink(u, p, op)) return true;
  }
  return false;
}

void Linker::Redirect(SlotId z, SlotId from, SlotId to, Operation& op) {
  SlotId row[kMaxDegree];
  for (;;) {
    const uint32_t version = neighbors_.Version(z);
    const size_t n = neighbors_.Copy(z, row);
    SlotId* const place = std::find(row, row + n, from);
    if (place == row + n || std::find(row, row + n, to) != row + n) return;
    if (neighbors_.AddBackLink(z, to) != LinkResult::kLinked) return;
    *place = to;
    if (CommitRow(z, version, {row, n}, op)) return;
    neighbors_.RemoveBackLink(z, to);
  }
}

void Linker::Relink(SlotId p, Operation& op) {
  if (!IsPoint(graph_.slots.tag(p))) return;
  const auto selection = selector_.Select(p, graph_.options.build_list_size, op);
  if (!op.fetched()) return;
  // If there is no memory, the old row stays, which is no worse than before.
  if (WriteOut(p, selection.neighbors, op)) LinkBack(p, op);
}

}  // namespace shoal
