#include "graph/neighbor_selector.h"

#include <algorithm>
#include <limits>

#include "graph/live_graph.h"

namespace shoal {

NeighborSelector::Selection NeighborSelector::Select(SlotId p, size_t list_size,
                                                     Operation& op) const {
  std::vector<Candidate>& pool = op.scratch.select.pool;
  const size_t wide = list_size;
  list_size = Search(p, graph_.traversal, wide, op);
  const SeedsMet met = op.scratch.search.met;
  const bool by_vectors =
      graph_.vectors && graph_.vectors->AreReadable(op.scratch.fetch) && !CodesTellApart(p, op);
  if (by_vectors) list_size = Search(p, *graph_.vectors, wide, op);
  const Scorer scorer = graph_.pruning.codec.BindRow(graph_.pruning.Row(p, op.scratch.fetch),
                                                     op.scratch.query_buffer.data());
  if (by_vectors || graph_.PrunesOnOtherRows()) Rescore(scorer, op);
  AddFoundByProduct(scorer, op);
  std::erase_if(pool, [&](const Candidate& candidate) {
    return candidate.slot == p || !IsPoint(graph_.slots.tag(candidate.slot));
  });
  AddOwnRow(p, scorer, op);
  if (op.scratch.search.best.size() >= list_size) AddFar(p, scorer, op);
  const auto neighbors = pruner_.Prune(p, pool, graph_.options.max_degree, op);
  return {pool, neighbors, met};
}

// To the pool: points that a search for p expands. Where norms vary, there are two searches: one,
// to the pool by product, for the points whose product with p is largest, as a query finds them,
// and one half as wide for near points. The second is the last, so op.scratch.search is in the
// graph's geometry. Returns how wide that one was.
size_t NeighborSelector::Search(SlotId p, const Representation& rows, size_t list_size,
                                Operation& op) const {
  constexpr uint64_t kProbe = 8;  // An insert in so many looks at fine seeds in any case.
  const bool probe = graph_.inserts.load(std::memory_order_relaxed) % kProbe == 0;
  SelectScratch& scratch = op.scratch.select;
  scratch.pool.clear();
  scratch.by_product.clear();
  const std::byte* const row = rows.Row(p, op.scratch.fetch);
  const Scorer scorer = rows.codec.BindRow(row, op.scratch.query_buffer.data());
  const Recorder to_pool = {.expanded = &scratch.pool, .probe_fine_seeds = probe};
  if (!graph_.traversal.codec.NormsVary()) {
    graph_.BeamSearch(rows, scorer, list_size, to_pool, op);
    return list_size;
  }
  // Bound into the row's buffer: `scorer` is needed afterwards.
  graph_.BeamSearch(rows, rows.codec.BindRowAsQuery(row, op.scratch.row_buffer.data()), list_size,
                    {.expanded = &scratch.by_product, .probe_fine_seeds = probe}, op);
  list_size = (list_size + 1) / 2;
  graph_.BeamSearch(rows, scorer, list_size, to_pool, op);
  return list_size;
}

// Whether the codes tell apart what the last search for p has found. If not, its list, which is
// full, is in no order: nearer points may have no place in it.
bool NeighborSelector::CodesTellApart(SlotId p, const Operation& op) const {
  const CandidateList& best = op.scratch.search.best;
  if (!best.full()) return true;
  const size_t wanted = std::min<size_t>(best.size(), graph_.options.max_degree);
  const Representation& rows = graph_.traversal;
  return rows.codec.TellsApart(rows.Row(p), best[wanted - 1].distance);
}

// The pool, which a search has left, gets its distances by the rows that pruning compares.
void NeighborSelector::Rescore(const Scorer& scorer, Operation& op) const {
  std::vector<Candidate>& pool = op.scratch.select.pool;
  ScoredSlots slots;
  size_t kept = 0;
  for (size_t i = 0; i < pool.size();) {
    slots.size = 0;
    for (; i < pool.size() && slots.size < SearchScratch::kMaxIds; ++i)
      slots.ids[slots.size++] = pool[i].slot;
    graph_.Score(scorer, slots, op);
    for (size_t j = 0; j < slots.size; ++j) pool[kept++] = {slots.distances[j], slots.ids[j]};
  }
  pool.resize(kept);
}

// To the pool: points that only the search by product has expanded, with their distances.
void NeighborSelector::AddFoundByProduct(const Scorer& scorer, Operation& op) const {
  std::vector<Candidate>& pool = op.scratch.select.pool;
  const std::vector<Candidate>& found = op.scratch.select.by_product;
  if (found.empty()) return;
  const auto by_slot = [](const Candidate& a, const Candidate& b) { return a.slot < b.slot; };
  std::sort(pool.begin(), pool.end(), by_slot);
  const auto near = static_cast<ptrdiff_t>(pool.size());
  ScoredSlots slots;
  for (size_t i = 0; i < found.size();) {
    slots.size = 0;
    for (; i < found.size() && slots.size < kMaxDegree; ++i)
      if (!std::binary_search(pool.begin(), pool.begin() + near, found[i], by_slot))
        slots.ids[slots.size++] = found[i].slot;
    graph_.Score(scorer, slots, op);
    for (size_t j = 0; j < slots.size; ++j)
      if (slots.eligible[j]) pool.push_back({slots.distances[j], slots.ids[j]});
  }
}

// Those of the slots that are live, farther than `beyond`, not p and not in the pool.
void NeighborSelector::AddToPool(SlotId p, const Scorer& scorer, ScoredSlots& slots, float beyond,
                                 Operation& op) const {
  std::vector<Candidate>& pool = op.scratch.select.pool;
  graph_.Score(scorer, slots, op);
  for (size_t i = 0; i < slots.size; ++i) {
    // A torn copy of a row may name a slot twice.
    const auto is_same = [&](const Candidate& candidate) { return candidate.slot == slots.ids[i]; };
    if (slots.eligible[i] && slots.distances[i] > beyond && slots.ids[i] != p &&
        std::none_of(pool.begin(), pool.end(), is_same))
      pool.push_back({slots.distances[i], slots.ids[i]});
  }
}

// Without p's own neighbours a second pass loses the long edges: no search for p meets them again.
void NeighborSelector::AddOwnRow(SlotId p, const Scorer& scorer, Operation& op) const {
  ScoredSlots slots;
  slots.size = graph_.neighbors.Copy(p, slots.ids);
  if (slots.size == 0) return;
  ++op.work.lists_read;
  AddToPool(p, scorer, slots, -std::numeric_limits<float>::infinity(), op);
}

// Where clusters are larger than a list, a search in a cluster meets no point outside, and each
// deleted point takes its edges to other clusters away: in the end none are left. So p gets
// candidates from its nearest neighbour, and a seed. (docs/algorithms.md, D11.)
void NeighborSelector::AddFar(SlotId p, const Scorer& scorer, Operation& op) const {
  const CandidateList& best = op.scratch.search.best;
  ScoredSlots slots;
  for (size_t i = 0; i < best.size() && slots.size == 0; ++i)
    if (best[i].slot != p && best.IsEligible(i))
      slots.size = graph_.neighbors.Copy(best[i].slot, slots.ids);
  ++op.work.lists_read;
  if (const SlotId seed = graph_.seeds.Any(p); seed != kNoSlot) slots.ids[slots.size++] = seed;
  AddToPool(p, scorer, slots, kFar * best[best.size() / 2].distance, op);
}

}  // namespace shoal
