// The labels of points: of each slot a set of small numbers.
//
// A slot has a pointer to its set; equal sets are one. So a reader finds the old set or the new one
// of a slot whose labels change, never a mixture, and takes no lock. A set that no slot has any
// more is freed when all readers that may have found it have left (epoch.h).
//
// Memory is taken in chunks of slots, when the first slot of a chunk gets labels. A free slot keeps
// its set until it is used again.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "store/epoch.h"
#include "store/tag.h"

namespace shoal {

class LabelColumn {
 public:
  LabelColumn(MemoryBudget& budget, EpochRegistry& epochs) : budget_(budget), epochs_(epochs) {}
  ~LabelColumn() { budget_.Release(bytes()); }
  LabelColumn(const LabelColumn&) = delete;

  // Ascending, each once. Under a guard.
  std::span<const uint32_t> Of(SlotId slot) const {
    // LABEL.1, acquire, pairs with the stores in Grow, ChunkOf and Point: what a pointer leads to
    // was written before.
    const Directory* const directory = directory_.load(std::memory_order_acquire);
    if (directory == nullptr || slot / kChunkSlots >= directory->size()) return {};
    const Chunk* const chunk = (*directory)[slot / kChunkSlots].load(std::memory_order_acquire);
    if (chunk == nullptr) return {};
    const LabelSet* const set = (*chunk)[slot % kChunkSlots].load(std::memory_order_acquire);
    return set == nullptr ? std::span<const uint32_t>() : std::span(set->first);
  }
  // Whether any slot ever had labels.
  bool any() const { return directory_.load(std::memory_order_acquire) != nullptr; }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Gives the slot these labels, in any order. False: no memory, and the slot is as it was. The
  // caller sees to it that the slot does not become another point's meanwhile.
  bool Set(SlotId slot, std::span<const uint32_t> labels);
  // Takes all from it.
  void Clear(SlotId slot);
  // Gives `to` those of `from`. False: no memory.
  bool Copy(SlotId from, SlotId to);

 private:
  static constexpr size_t kChunkSlots = 4096;
  struct Use {
    size_t slots = 0;      // That have the set.
    uint64_t left_at = 0;  // The epoch in which there was none any more.
  };
  using LabelSet = std::map<std::vector<uint32_t>, Use>::value_type;
  using Chunk = std::array<std::atomic<LabelSet*>, kChunkSlots>;
  using Directory = std::vector<std::atomic<Chunk*>>;

  static uint64_t BytesOf(size_t labels) { return 96 + sizeof(uint32_t) * labels; }
  // Null: no memory.
  Chunk* ChunkOf(SlotId slot) SHOAL_REQUIRES(mutex_);
  Directory* Grow(size_t chunks) SHOAL_REQUIRES(mutex_);
  LabelSet* SetOf(std::span<const uint32_t> labels) SHOAL_REQUIRES(mutex_);
  // The place of a slot whose chunk is there; null: it is not.
  std::atomic<LabelSet*>* PlaceOf(SlotId slot) const;
  void Point(std::atomic<LabelSet*>& place, LabelSet* set) SHOAL_REQUIRES(mutex_);
  void FreeUnused() SHOAL_REQUIRES(mutex_);
  bool Charge(uint64_t bytes);

  MemoryBudget& budget_;
  EpochRegistry& epochs_;

  // Own synchronisation.
  std::atomic<Directory*> directory_{nullptr};
  std::atomic<uint64_t> bytes_{0};

  mutable Mutex mutex_;
  // The last is in use. Readers may still read the others, which are half as many in all.
  std::vector<std::unique_ptr<Directory>> directories_ SHOAL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Chunk>> chunks_ SHOAL_GUARDED_BY(mutex_);
  std::map<std::vector<uint32_t>, Use> sets_ SHOAL_GUARDED_BY(mutex_);
  size_t unused_ SHOAL_GUARDED_BY(mutex_) = 0;  // Of these.
};

}  // namespace shoal
