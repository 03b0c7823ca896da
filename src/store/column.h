// Columns: one fixed-size record per slot, in memory that grows while others read it.
//
// All columns of an index grow together and have the same geometry: segments of 2^shift slots,
// found through a directory of fixed size. Mostly there is one segment, as large as physical memory
// could ever fill. Where a process has so many indices that they would use up its address space, or
// the system refuses so much of it (RLIMIT_AS, overcommit, sanitizers), segments are smaller and
// more.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/memory.h"
#include "store/tag.h"

namespace shoal {

class Column {
 public:
  static constexpr size_t kMaxSegments = 512;

  // stride: bytes of a record.
  explicit Column(size_t stride) : stride_(stride) {}

  // The record of a slot below the committed mark. Any thread.
  std::byte* At(SlotId slot) const {
    return bases_[slot >> shift_].load(std::memory_order_relaxed) + (slot & mask_) * stride_;
  }
  size_t stride() const { return stride_; }
  // Where segments begin, and log2 of the slots of one: for Rows.
  const std::atomic<std::byte*>* bases() const { return bases_.data(); }
  unsigned shift() const { return shift_; }

  // Reserves the first segment of 2^shift slots. False: the system refuses. Before any other use.
  bool Init(unsigned shift);
  // Undoes Init.
  void Release() { segments_.clear(); }

  // --- One caller at a time for all of these.

  // Makes [0, slots) usable. False: the budget or the system refuses; what was usable stays so.
  bool Commit(SlotId slots, MemoryBudget& budget);
  // Gives the memory behind [0, slots) back, as far as it is whole pages. It reads as zero then.
  void Decommit(SlotId slots, MemoryBudget& budget);
  // Makes holes of the 2 MB pages that hold records of [begin, end) only, none of them in use, and
  // begin below that of `begin_below`. They read as zero. Returns their bytes.
  size_t Punch(SlotId begin, SlotId end, SlotId begin_below, MemoryBudget& budget);
  // Bytes of the pages with some of the slot's record that are holes. The caller charges them,
  // as mapped, before Recommit, after which none is.
  size_t HoleBytes(SlotId slot) const;
  void Recommit(SlotId slot);
  // Bytes that memory stands behind when [0, slots) have been touched.
  size_t Resident(SlotId slots) const;

 private:
  size_t SegmentBytes() const { return (size_t{1} << shift_) * stride_; }

  const size_t stride_;
  unsigned shift_ = 0;
  SlotId mask_ = 0;
  // A segment's base is stored before any slot in it can be named (the high-water mark, GROW.1).
  std::array<std::atomic<std::byte*>, kMaxSegments> bases_{};
  std::vector<Reservation> segments_;  // One caller at a time.
};

// A column of T, which must be usable when all its bytes are zero.
template <class T>
class TypedColumn : public Column {
 public:
  TypedColumn() : Column(sizeof(T)) {}
  T& operator[](SlotId slot) const { return *reinterpret_cast<T*>(At(slot)); }
};

// Columns that grow together. As for a column: one caller at a time.
class ColumnGroup {
 public:
  // Of columns with narrower records no pages are punched. This many slots fill a page of the
  // narrowest that are.
  static constexpr size_t kMinPunchedStride = 16;
  static constexpr SlotId kMaxPageSlots = kHugePage / kMinPunchedStride;

  explicit ColumnGroup(std::vector<Column*> columns) : columns_(std::move(columns)) {}
  void Add(Column& column) { columns_.push_back(&column); }

  // Initialises all with the largest common segment that is fair to indices to come and that the
  // system grants. `max_shift` bounds it (tests make it small). False: not even 2^10 slots.
  bool Init(unsigned max_shift = 30);
  bool Commit(SlotId slots, MemoryBudget& budget);
  void Decommit(SlotId slots, MemoryBudget& budget);
  // Whether so many free slots in a row may fill a page of some column.
  bool MayFillPage(SlotId slots) const;
  size_t Punch(SlotId begin, SlotId end, SlotId begin_below, MemoryBudget& budget);
  size_t HoleBytes(SlotId slot) const;
  // Charges the slot's holes and recommits them. False, and nothing done: the budget refuses.
  bool Recommit(SlotId slot, MemoryBudget& budget);

 private:
  std::vector<Column*> columns_;
};

}  // namespace shoal
