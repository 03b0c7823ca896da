// Rows in memory.
#pragma once

#include <cstddef>

#include "store/column.h"
#include "store/rows.h"

namespace shoal {

// A column of rows, grown by the slot table. It knows nothing of concurrency: the slot table says
// which thread may touch a row and when.
class RamFeatureStore {
 public:
  explicit RamFeatureStore(size_t row_bytes)
      : column_(row_bytes), prefetches_whole_(Rows::PrefetchesWhole(row_bytes)) {}

  // The row of a slot that the caller owns.
  std::byte* Row(SlotId slot) { return column_.At(slot); }
  // All rows, for reading. After the column was initialised.
  Rows rows() const {
    return {column_.bases(), column_.shift(), column_.stride(), prefetches_whole_};
  }
  Column& column() { return column_; }
  const Column& column() const { return column_; }

 private:
  Column column_;
  const bool prefetches_whole_;
};

}  // namespace shoal
