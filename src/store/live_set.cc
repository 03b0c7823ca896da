#include "store/live_set.h"

namespace shoal {

LiveSet::~LiveSet() {
  for (size_t i = 0; i < committed_; ++i) std::free(chunks_[i].load(std::memory_order_relaxed));
}

// From calloc, which maps a block of this size afresh: only what is touched takes memory.
bool LiveSet::Commit(SlotId slots, MemoryBudget& budget) {
  while (committed_ << kChunkShift < slots) {
    if (!budget.TryCharge(kChunkBytes)) return false;
    auto* const chunk = static_cast<std::atomic<uint64_t>*>(std::calloc(1, kChunkBytes));
    if (chunk == nullptr) {
      budget.Release(kChunkBytes);
      return false;
    }
    chunks_[committed_++].store(chunk, std::memory_order_relaxed);
  }
  return true;
}

}  // namespace shoal
