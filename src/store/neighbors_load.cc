// Lists that come from a file, where every edge is known from the beginning and nobody else is
// there: a row is written at once, and a guard bit needs no proof at the time.
#include "store/neighbors.h"

namespace shoal {

void NeighborLists::LoadRow(SlotId u, std::span<const SlotId> ids) {
  for (size_t i = 0; i < max_degree_; ++i) SetRow(u, i, i < ids.size() ? ids[i] : kNoSlot);
  BumpVersion(u);
  edges_.fetch_add(ids.size(), std::memory_order_relaxed);
}

void NeighborLists::LoadRank(SlotId u) {
  meta_[u].rank.store(last_rank_.fetch_add(1, std::memory_order_relaxed) + 1,
                      std::memory_order_relaxed);
}

bool NeighborLists::LoadEdges(SlotId u, uint64_t last_with_parent) {
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  for (size_t i = 0; i < n; ++i) __builtin_prefetch(&meta_[words[i]]);
  const uint64_t rank = meta_[u].rank.load(std::memory_order_relaxed);
  for (size_t i = 0; i < n; ++i) {
    const SlotId v = words[i];
    if (AddBackLink(u, v) != LinkResult::kLinked) return false;
    if (rank > last_with_parent || rank >= meta_[v].rank.load(std::memory_order_relaxed)) continue;
    SetRow(u, i, v | kParentBit);
    AddParent(v | kParentBit);
  }
  return true;
}

}  // namespace shoal
