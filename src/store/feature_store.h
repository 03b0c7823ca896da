// Where the bytes of rows are.
#pragma once

#include <atomic>
#include <cstddef>

#include "base/memory.h"
#include "store/column.h"
#include "store/tag.h"

namespace shoal {

// Knows nothing of concurrency: the slot table says which row may be read or written when.
class FeatureStore {
 public:
  // One operation's view. Used by one thread.
  class Reader {
   public:
    virtual ~Reader() = default;
    // rows[i]: the row of slots[i], valid until the next Fetch on this Reader.
    virtual void Fetch(const SlotId* slots, size_t n, const std::byte** rows) = 0;
  };

  virtual ~FeatureStore() = default;
};

// Rows in memory. A column, grown by the slot table.
class RamFeatureStore final : public FeatureStore {
 public:
  explicit RamFeatureStore(size_t row_bytes)
      : rows_(row_bytes), whole_early_(HasManyLineBuffers() && row_bytes < kLongRow) {}

  class Reader final : public FeatureStore::Reader {
   public:
    explicit Reader(const RamFeatureStore& store) : rows_(store.rows_) {}
    void Fetch(const SlotId* slots, size_t n, const std::byte** rows) override {
      for (size_t i = 0; i < n; ++i) rows[i] = rows_.At(slots[i]);
    }

   private:
    const Column& rows_;
  };

  // The row of a slot that the caller owns.
  std::byte* Row(SlotId slot) { return rows_.At(slot); }
  Column& column() { return rows_; }
  // Whether PrefetchFront prefetches all of a row.
  bool fetches_whole_rows() const { return whole_early_; }
  // Prefetches the front of a row before it is known whether the row is wanted. The kernels
  // prefetch the rest. Measured (SIFT): two lines save a sixth of a u8 search and 3 % of an f32
  // one. Eight lines are worse than none on Intel; on AMD's Zen 5 an f32 search is 15 % faster with
  // them than with two. (Rows of 16 lines are better left to the hardware's prefetcher there, too.)
  void PrefetchFront(SlotId slot) const {
    const std::byte* row = rows_.At(slot);
    if (whole_early_) {
      for (size_t at = 0; at < rows_.stride(); at += kCacheLine) {
        __builtin_prefetch(row + at, 0, 3);
        std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
      }
      return;
    }
    __builtin_prefetch(row, 0, 2);
    __builtin_prefetch(row + kCacheLine, 0, 2);
  }
  const Column& column() const { return rows_; }

 private:
  static constexpr size_t kLongRow = 1024;  // As in distance/rows-inl.h.

  Column rows_;
  const bool whole_early_;
};

}  // namespace shoal
