// Columns: one fixed-size record per slot, in memory that grows under readers.
//
// All columns of an index grow in step and have the same geometry: segments of 2^shift slots, found
// through a directory of fixed size. There is one segment, as large as physical memory could ever
// fill, unless the process has so many indices that they would use up its address space, or the
// system refuses so much of it (RLIMIT_AS, overcommit, sanitizers): then the segments are smaller
// and there are more of them.
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
  // Takes Init back.
  void Release() { segments_.clear(); }
  // Makes [0, slots) usable. Callers take turns. False: the budget or the system refuses; what was
  // usable stays so.
  bool Commit(SlotId slots, MemoryBudget& budget);
  // Gives the memory behind [0, slots) back, as far as it is whole pages; what is read there from
  // now on is zero. Callers of Commit and Decommit take turns.
  void Decommit(SlotId slots, MemoryBudget& budget);
  // Gives back the 2 MB pages that hold nothing but records of [begin, end), which nobody uses, and
  // begin below that of `begin_below`. What is read there is zero. Returns their bytes. Takes turns
  // with the others, as does Recommit.
  size_t Punch(SlotId begin, SlotId end, SlotId begin_below, MemoryBudget& budget);
  // Bytes of the pages with some of the slot's record that were given back: what the caller charges
  // before Recommit. Takes turns with the others.
  size_t PunchedBytes(SlotId slot) const;
  // The slot is used again.
  void Recommit(SlotId slot);
  // Bytes that memory stands behind when [0, slots) have been touched. Not beside Commit.
  size_t Resident(SlotId slots) const;

 private:
  size_t SegmentBytes() const { return (size_t{1} << shift_) * stride_; }

  const size_t stride_;
  unsigned shift_ = 0;
  SlotId mask_ = 0;
  // A segment's base is stored before any slot in it can be named (the high-water mark, GROW.1).
  std::array<std::atomic<std::byte*>, kMaxSegments> bases_{};
  std::vector<Reservation> segments_;  // Callers of Commit take turns.
};

// A column of T, which must be usable when all its bytes are zero.
template <class T>
class TypedColumn : public Column {
 public:
  TypedColumn() : Column(sizeof(T)) {}
  T& operator[](SlotId slot) const { return *reinterpret_cast<T*>(At(slot)); }
};

// Initialises columns with the largest common segment that is fair to those to come and that the
// system grants. `max_shift` bounds it (tests make it small). False when not even 2^10 slots can be
// had.
bool InitColumns(const std::vector<Column*>& columns, unsigned max_shift = 30);

}  // namespace shoal
