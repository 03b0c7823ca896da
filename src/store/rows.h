// Addressable rows: where the row of a slot is, and how it is prefetched. A small value; what it
// points to (a column, a mapped file) outlives it. Any thread.
#pragma once

#include <atomic>
#include <cstddef>

#include "base/memory.h"
#include "store/tag.h"

namespace shoal {

class Rows {
 public:
  // Segment i holds the rows of slots [i << shift, (i + 1) << shift), `stride` bytes apart.
  Rows(const std::atomic<std::byte*>* segments, unsigned shift, size_t stride,
       bool prefetches_whole)
      : segments_(segments),
        shift_(shift),
        mask_((SlotId{1} << shift) - 1),
        stride_(stride),
        prefetches_whole_(prefetches_whole) {}

  // What suits rows of this stride on this machine.
  static bool PrefetchesWhole(size_t stride) {
    constexpr size_t kLongRow = 1024;  // As in distance/rows-inl.h.
    return HasManyLineBuffers() && stride < kLongRow;
  }

  const std::byte* At(SlotId slot) const {
    return segments_[slot >> shift_].load(std::memory_order_relaxed) + (slot & mask_) * stride_;
  }
  // out[i]: the row of slots[i], i < n.
  void Find(const SlotId* slots, size_t n, const std::byte** out) const {
    for (size_t i = 0; i < n; ++i) out[i] = At(slots[i]);
  }

  // Bytes from a row to the next.
  size_t stride() const { return stride_; }
  // Whether Prefetch fetches all of a row.
  bool prefetches_whole() const { return prefetches_whole_; }
  // Prefetches the front of a row before it is known whether the row is wanted. The kernels
  // prefetch the rest. Measured (SIFT): two lines save a sixth of a u8 search and 3 % of an f32
  // one. Eight lines are worse than none on Intel; on AMD's Zen 5 an f32 search is 15 % faster with
  // them than with two. (Rows of 16 lines are better left to the hardware's prefetcher there, too.)
  void Prefetch(SlotId slot) const {
    const std::byte* row = At(slot);
    if (prefetches_whole_) {
      for (size_t at = 0; at < stride_; at += kCacheLine) {
        __builtin_prefetch(row + at, 0, 3);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
      }
      return;
    }
    __builtin_prefetch(row, 0, 2);
    if (stride_ > kCacheLine) __builtin_prefetch(row + kCacheLine, 0, 2);
  }

 private:
  const std::atomic<std::byte*>* segments_;
  unsigned shift_;
  SlotId mask_;
  size_t stride_;
  bool prefetches_whole_;
};

}  // namespace shoal
