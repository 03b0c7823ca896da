// Which slots are live, a bit each. Nearly all that a search meets are: a bit is read in the second
// level of cache where a tag is not (of a million slots 128 KB instead of 1 MB).
//
// A bit is set only while the slot's tag says live: set after the tag, cleared before it. So
// whoever finds it set may read the slot, and return it, as if it had found the tag; whoever finds
// it clear knows nothing and asks the tag.
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

  // Makes room for [0, slots), which stays. Callers take turns. False: the budget or the system
  // refuses.
  bool Commit(SlotId slots, MemoryBudget& budget);
  // Callers of Commit take turns with it.
  size_t bytes() const { return committed_ * kChunkBytes; }

  // LIVE.1, pairs with Has: what the slot's owner wrote comes before.
  void Add(SlotId slot) { Word(slot).fetch_or(Bit(slot), std::memory_order_release); }
  // LIVE.2. False: it was not there. Of several callers one takes it out.
  bool Remove(SlotId slot) {
    return (Word(slot).fetch_and(~Bit(slot), std::memory_order_acq_rel) & Bit(slot)) != 0;
  }
  // Any thread, of a slot that there is room for.
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
  size_t committed_ = 0;  // Chunks. Callers of Commit take turns.
};

}  // namespace shoal
