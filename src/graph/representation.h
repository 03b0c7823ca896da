// One way in which an index keeps the vectors of its points.
#pragma once

#include "codec/codec.h"
#include "graph/fetched_rows.h"
#include "store/feature_store.h"

namespace shoal {

// What the bytes of a row mean, and where the rows are. A small value; any thread.
struct Representation {
  const Codec& codec;
  const RamFeatureStore* features = nullptr;  // Rows in memory; or null,
  const FetchedRows* fetched = nullptr;       // and they are fetched.

  // --- Of rows in memory.

  Rows rows() const { return features->rows(); }
  const std::byte* Row(SlotId slot) const { return features->rows().At(slot); }

  // --- Of either, for the operation that has `fetch`, until it ends.

  // False: no row comes but those that are there.
  bool AreReadable(const FetchScratch& fetch) const { return fetched == nullptr || !fetch.blind(); }

  // rows[i]: the row of slots[i], i < n; null: it is not to be had.
  void Find(const SlotId* slots, size_t n, const std::byte** rows, FetchScratch& fetch) const {
    if (fetched == nullptr) {
      features->rows().Find(slots, n, rows);
    } else {
      fetched->Find(slots, n, rows, fetch);
    }
  }
  // Likewise; one that is not to be had is the start point's.
  void FindAll(const SlotId* slots, size_t n, const std::byte** rows, FetchScratch& fetch) const {
    Find(slots, n, rows, fetch);
    if (fetched == nullptr) return;
    for (size_t i = 0; i < n; ++i)
      if (rows[i] == nullptr) rows[i] = fetched->origin();
  }
  const std::byte* Row(SlotId slot, FetchScratch& fetch) const {
    const std::byte* row = nullptr;
    FindAll(&slot, 1, &row, fetch);
    return row;
  }
};

}  // namespace shoal
