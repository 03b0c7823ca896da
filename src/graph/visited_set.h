// The slots that a search has met: a hash set of its own, small enough for the first-level cache,
// whatever the size of the index.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "store/tag.h"

namespace shoal {

class VisitedSet {
 public:
  // Empties it; `expected`: how many slots are likely to come.
  void Reset(size_t expected) {
    size_t capacity = 512;
    while (capacity < 2 * expected) capacity *= 2;
    if (table_.size() < capacity) table_.resize(capacity);
    mask_ = capacity - 1;
    size_ = 0;
    std::fill_n(table_.begin(), capacity, kNoSlot);
  }

  // False if it was there.
  bool Insert(SlotId slot) {
    size_t i = Place(slot);
    while (table_[i] != kNoSlot) {
      if (table_[i] == slot) return false;
      i = (i + 1) & mask_;
    }
    table_[i] = slot;
    if (++size_ * 2 > mask_) Grow();
    return true;
  }

  // Keeps of ids[0, n) those that were not there, in order, and inserts them.
  size_t KeepNew(SlotId* ids, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const SlotId slot = ids[i];
      ids[kept] = slot;
      kept += Insert(slot) ? 1 : 0;
    }
    return kept;
  }

  size_t bytes() const { return table_.capacity() * sizeof(SlotId); }

 private:
  size_t Place(SlotId slot) const { return (slot * 0x9e3779b1u >> 7) & mask_; }
  void Grow() {
    std::vector<SlotId> old(table_.begin(), table_.begin() + static_cast<ptrdiff_t>(mask_) + 1);
    Reset(old.size());
    for (const SlotId slot : old)
      if (slot != kNoSlot) Insert(slot);
  }

  std::vector<SlotId> table_;
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace shoal
