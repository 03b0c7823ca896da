// The reader of stores whose rows have fixed places in memory: it hands out pointers.
#pragma once

#include <memory>
#include <new>

#include "features/counters.h"
#include "shoal/feature_store.h"

namespace shoal {

// Store: has FeatureCounters& counters(), and Result<const std::byte*> Find(FeatureKey) const,
// which gives null for a row that is not there.
template <class Store>
class PlacedReader final : public FeatureReader {
 public:
  static Result<std::unique_ptr<FeatureReader>> Make(Store& store) {
    std::unique_ptr<FeatureReader> reader(new (std::nothrow) PlacedReader(store));
    if (reader == nullptr) return MakeError(ErrorCode::kOutOfMemory, "reader: no memory");
    return reader;
  }
  ~PlacedReader() override { FeatureCounters::Subtract(store_.counters().readers, 1); }

  Result<size_t> Fetch(std::span<const FeatureKey> keys,
                       std::span<const std::byte*> rows) override {
    size_t found = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      const Result<const std::byte*> row = store_.Find(keys[i]);
      if (!row) return tl::unexpected(row.error());
      rows[i] = *row;
      if (*row != nullptr) ++found;
    }
    store_.counters().Fetched(keys.size(), found);
    return found;
  }

 private:
  explicit PlacedReader(Store& store) : store_(store) {
    FeatureCounters::Add(store.counters().readers, 1);
  }
  Store& store_;
};

}  // namespace shoal
