// Copies of rows that an operation has fetched: they stand until it ends, whatever it fetches next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/round.h"
#include "store/tag.h"

namespace shoal {

// Keyed by the slot: under one guard the row of a slot that is readable stays as it is. Used by one
// thread. Add throws bad_alloc.
class RowArena {
 public:
  // Null: it was not added since the last Clear.
  const std::byte* Find(SlotId slot) const {
    if (slots_.empty()) return nullptr;
    const uint32_t entry = table_[PlaceOf(slot)];
    return entry == 0 ? nullptr : At(entry - 1);
  }
  // Room for the row of a slot that was not added; `row_bytes` is the same for all.
  std::byte* Add(SlotId slot, size_t row_bytes) {
    stride_ = RoundUp(row_bytes, kAlignment);
    if (slots_.size() == chunks_.size() * kChunkRows)
      chunks_.push_back(std::make_unique<std::byte[]>(kChunkRows * stride_));
    if (2 * (slots_.size() + 1) > table_.size()) Rehash(2 * table_.size());
    slots_.push_back(slot);
    table_[PlaceOf(slot)] = static_cast<uint32_t>(slots_.size());
    return At(slots_.size() - 1);
  }
  // Keeps memory for what most operations take.
  void Clear() {
    if (slots_.empty()) return;
    slots_.clear();
    chunks_.resize(std::min(chunks_.size(), kKeptChunks));
    if (table_.size() > kKeptPlaces) {
      table_ = std::vector<uint32_t>(kKeptPlaces);
    } else {
      std::fill(table_.begin(), table_.end(), 0u);
    }
  }
  size_t bytes() const {
    return chunks_.size() * kChunkRows * stride_ +
           chunks_.capacity() * sizeof(std::unique_ptr<std::byte[]>) +
           slots_.capacity() * sizeof(SlotId) + table_.capacity() * sizeof(uint32_t);
  }

 private:
  static constexpr size_t kAlignment = 16, kChunkRows = 64;
  static constexpr size_t kKeptChunks = 16;  // About what an insert takes at R = 32.
  static constexpr size_t kKeptPlaces = 2 * kKeptChunks * kChunkRows;

  std::byte* At(size_t entry) const {
    return chunks_[entry / kChunkRows].get() + entry % kChunkRows * stride_;
  }
  // Of the slot in the table, or where it would be.
  size_t PlaceOf(SlotId slot) const {
    const size_t mask = table_.size() - 1;
    size_t place = (slot * uint64_t{0x9e3779b97f4a7c15} >> 32) & mask;
    while (table_[place] != 0 && slots_[table_[place] - 1] != slot) place = (place + 1) & mask;
    return place;
  }
  void Rehash(size_t places) {
    table_ = std::vector<uint32_t>(std::max(places, kKeptPlaces));
    for (size_t i = 0; i < slots_.size(); ++i)
      table_[PlaceOf(slots_[i])] = static_cast<uint32_t>(i + 1);
  }

  size_t stride_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  std::vector<SlotId> slots_;
  std::vector<uint32_t> table_;  // Positions in slots_ + 1; at most half full.
};

}  // namespace shoal
