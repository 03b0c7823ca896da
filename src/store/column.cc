#include "store/column.h"

#include <algorithm>

namespace shoal {

bool Column::Init(unsigned shift) {
  shift_ = shift;
  mask_ = (SlotId{1} << shift) - 1;
  Reservation first = Reservation::Reserve(SegmentBytes());
  if (first.base() == nullptr) return false;
  segments_.clear();
  bases_[0].store(first.base(), std::memory_order_relaxed);
  segments_.push_back(std::move(first));
  return true;
}

bool Column::Commit(SlotId slots, MemoryBudget& budget) {
  const size_t needed = (size_t{slots} + mask_) >> shift_;
  if (needed > kMaxSegments) return false;
  while (segments_.size() < needed) {
    Reservation next = Reservation::Reserve(SegmentBytes());
    if (next.base() == nullptr) return false;
    bases_[segments_.size()].store(next.base(), std::memory_order_relaxed);
    segments_.push_back(std::move(next));
  }
  for (size_t i = 0; i < needed; ++i) {
    const size_t in_segment = std::min<size_t>(slots - (i << shift_), size_t{mask_} + 1);
    if (!segments_[i].Commit(in_segment * stride_, budget)) return false;
  }
  return true;
}

void Column::Decommit(SlotId slots, MemoryBudget& budget) {
  for (size_t i = 0; i < segments_.size(); ++i) {
    const size_t before = i << shift_;
    const size_t in_segment =
        slots <= before ? 0 : std::min<size_t>(slots - before, size_t{mask_} + 1);
    segments_[i].Decommit(in_segment * stride_, budget);
  }
}

size_t Column::GiveBack(SlotId begin, SlotId end, SlotId begin_below, MemoryBudget& budget) {
  size_t bytes = 0;
  for (size_t i = begin >> shift_; i < segments_.size() && (i << shift_) < end; ++i) {
    const size_t base = i << shift_, most = size_t{mask_} + 1;
    const auto in_segment = [&](SlotId slot) {
      return (slot <= base ? 0 : std::min<size_t>(slot - base, most)) * stride_;
    };
    bytes +=
        segments_[i].GiveBack(in_segment(begin), in_segment(end), in_segment(begin_below), budget);
  }
  return bytes;
}

bool Column::TakeBack(SlotId slot, MemoryBudget& budget) {
  const size_t begin = (slot & mask_) * stride_;
  return segments_[slot >> shift_].TakeBack(begin, begin + stride_, budget);
}

size_t Column::Resident(SlotId slots) const {
  size_t sum = 0;
  for (size_t i = 0; i < segments_.size() && (i << shift_) < slots; ++i) {
    const size_t in_segment = std::min<size_t>(slots - (i << shift_), size_t{mask_} + 1);
    sum += segments_[i].Resident(in_segment * stride_);
  }
  return sum;
}

bool InitColumns(const std::vector<Column*>& columns, unsigned max_shift) {
  size_t widest = 1;
  for (const Column* column : columns) widest = std::max(widest, column->stride());
  unsigned shift = 10;
  while (shift < max_shift && (widest << (shift + 1)) <= PhysicalMemory()) ++shift;
  shift = std::min(shift, max_shift);
  for (;; --shift) {
    const bool granted = std::all_of(columns.begin(), columns.end(),
                                     [&](Column* column) { return column->Init(shift); });
    if (granted) return true;
    if (shift <= 10) return false;
  }
}

}  // namespace shoal
