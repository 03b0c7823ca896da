// The live bits: one bit per slot. Nearly all slots that a search meets are live, and the bits of a
// million slots stay in the second level of cache (128 KB), where their tags do not (1 MB).
//
// A bit is set only while the slot's tag is live: it is set after the tag and cleared before it. So
// a set bit says as much as the tag. A clear bit says nothing; the reader then loads the tag.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/memory.h"
#include "store/tag.h"

namespace shoal {

class LiveSet {
 public:
  LiveSet() = default;
  ~LiveSet();
  LiveSet(const LiveSet&) = delete;
  LiveSet& operator=(const LiveSet&) = delete;

  // Makes room for [0, slots), which stays. One caller at a time. False: the budget or the system
  // refuses.
  bool Commit(SlotId slots, MemoryBudget& budget);
  // Not beside Commit.
  size_t bytes() const { return committed_ * kChunkBytes; }

  // LIVE.1, pairs with Has and WordAt: what the slot's owner wrote comes before.
  void Add(SlotId slot) { Word(slot).fetch_or(Bit(slot), std::memory_order_release); }
  // LIVE.2: the bit is clear before the tag changes. False: it was clear. Of several callers one
  // gets true.
  bool Remove(SlotId slot) {
    return (Word(slot).fetch_and(~Bit(slot), std::memory_order_acq_rel) & Bit(slot)) != 0;
  }
  // For a slot that there is room for.
  bool Has(SlotId slot) const {
    return (Word(slot).load(std::memory_order_acquire) & Bit(slot)) != 0;
  }
  // The bits of slots [slot, slot + kWordSlots), the first in the lowest; `slot` a multiple of it.
  static constexpr SlotId kWordSlots = 64;
  uint64_t WordAt(SlotId slot) const { return Word(slot).load(std::memory_order_acquire); }
  // Whether all of slots[0, n) are below `mark`, up to which there is room, and in the set.
  bool HasAll(const SlotId* slots, size_t n, SlotId mark) const {
    for (size_t i = 0; i < n; ++i)
      if (slots[i] >= mark || !Has(slots[i])) return false;
    return true;
  }

 private:
  static constexpr unsigned kChunkShift = 20;  // Slots of a chunk.
  static constexpr SlotId kChunkMask = (SlotId{1} << kChunkShift) - 1;
  static constexpr size_t kChunkBytes = (size_t{1} << kChunkShift) / 8;

  static uint64_t Bit(SlotId slot) { return uint64_t{1} << (slot % 64); }
  std::atomic<uint64_t>& Word(SlotId slot) const {
    return chunks_[slot >> kChunkShift].load(std::memory_order_relaxed)[(slot & kChunkMask) / 64];
  }

  // A chunk is there before any slot in it can be named (the high-water mark, GROW.1).
  std::array<std::atomic<std::atomic<uint64_t>*>, kMaxSlots / (kChunkMask + 1)> chunks_{};
  size_t committed_ = 0;  // Chunks. One caller of Commit at a time.
};

}  // namespace shoal
