#include "store/column.h"

#include <algorithm>
#include <bit>

namespace shoal {
namespace {

// What one group of columns may reserve: a 32nd of what is left of half of the process's address
// space. On a machine with a terabyte of memory an index would reserve two and a half terabytes, of
// 128 that there are: fifty indices would leave their process none.
uint64_t FairShare() {
  const uint64_t for_all = AddressSpace() / 2;
  return (for_all - std::min(for_all, ReservedAddressSpace())) / 32;
}

}  // namespace

bool Column::Init(unsigned shift) {
  shift_ = shift;
  mask_ = (SlotId{1} << shift) - 1;
  Reservation first = Reservation::Reserve(SegmentBytes());
  if (first.base() == nullptr) return false;
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

size_t Column::Punch(SlotId begin, SlotId end, SlotId begin_below, MemoryBudget& budget) {
  size_t bytes = 0;
  for (size_t i = begin >> shift_; i < segments_.size() && (i << shift_) < end; ++i) {
    const size_t base = i << shift_, most = size_t{mask_} + 1;
    const auto in_segment = [&](SlotId slot) {
      return (slot <= base ? 0 : std::min<size_t>(slot - base, most)) * stride_;
    };
    bytes +=
        segments_[i].Punch(in_segment(begin), in_segment(end), in_segment(begin_below), budget);
  }
  return bytes;
}

size_t Column::HoleBytes(SlotId slot) const {
  const size_t begin = (slot & mask_) * stride_;
  return segments_[slot >> shift_].HoleBytes(begin, begin + stride_);
}

void Column::Recommit(SlotId slot) {
  const size_t begin = (slot & mask_) * stride_;
  segments_[slot >> shift_].Recommit(begin, begin + stride_);
}

size_t Column::Resident(SlotId slots) const {
  size_t sum = 0;
  for (size_t i = 0; i < segments_.size() && (i << shift_) < slots; ++i) {
    const size_t in_segment = std::min<size_t>(slots - (i << shift_), size_t{mask_} + 1);
    sum += segments_[i].Resident(in_segment * stride_);
  }
  return sum;
}

bool ColumnGroup::Init(unsigned max_shift) {
  constexpr unsigned kMin = 10, kDirectory = std::bit_width(Column::kMaxSegments) - 1;
  size_t widest = 1, all = 0;
  for (const Column* column : columns_) {
    widest = std::max(widest, column->stride());
    all += column->stride();
  }
  unsigned shift = kMin;
  const uint64_t most = std::min(PhysicalMemory(), AddressSpace());
  while (shift < max_shift && (widest << (shift + 1)) <= most) ++shift;
  shift = std::min(shift, max_shift);
  // A full directory of the smallest still holds as much.
  const unsigned least = std::max(shift, kMin + kDirectory) - kDirectory;
  const uint64_t fair = FairShare();
  while (shift > least && (all << shift) > fair) --shift;
  for (;; --shift) {
    for (Column* column : columns_) column->Release();  // What a larger shift has got.
    const bool granted = std::all_of(columns_.begin(), columns_.end(),
                                     [&](Column* column) { return column->Init(shift); });
    if (granted) return true;
    if (shift <= kMin) return false;
  }
}

bool ColumnGroup::Commit(SlotId slots, MemoryBudget& budget) {
  return std::all_of(columns_.begin(), columns_.end(),
                     [&](Column* column) { return column->Commit(slots, budget); });
}

void ColumnGroup::Decommit(SlotId slots, MemoryBudget& budget) {
  for (Column* column : columns_) column->Decommit(slots, budget);
}

bool ColumnGroup::MayFillPage(SlotId slots) const {
  return std::any_of(columns_.begin(), columns_.end(), [&](const Column* column) {
    return column->stride() >= kMinPunchedStride && slots * column->stride() >= kHugePage;
  });
}

size_t ColumnGroup::Punch(SlotId begin, SlotId end, SlotId begin_below, MemoryBudget& budget) {
  size_t bytes = 0;
  for (Column* column : columns_)
    if (column->stride() >= kMinPunchedStride)
      bytes += column->Punch(begin, end, begin_below, budget);
  return bytes;
}

size_t ColumnGroup::HoleBytes(SlotId slot) const {
  size_t bytes = 0;
  for (const Column* column : columns_) bytes += column->HoleBytes(slot);
  return bytes;
}

bool ColumnGroup::Recommit(SlotId slot, MemoryBudget& budget) {
  const size_t bytes = HoleBytes(slot);
  if (bytes == 0) return true;
  if (!budget.TryChargeMapped(bytes)) return false;
  for (Column* column : columns_) column->Recommit(slot);
  return true;
}

}  // namespace shoal
