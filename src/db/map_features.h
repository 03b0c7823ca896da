// The vectors of a database's index as a feature store: those of committed points are read in the
// map, those of open transactions and of commits under way are in memory.
//
// Problem   A reader's read transaction is older than some commits: it does not show their rows. A
//           row that leaves memory at its commit would be in neither place for it.
// Idea      A commit raises the version when LMDB has committed, then drops its rows (FORGET.1), in
//           one step under the mutex. A fetch looks for its rows in memory and reads the version,
//           in one step (FETCH.1); then it begins a new read transaction, if its own is of an older
//           version. So a row that FETCH.1 has not found was committed before it, and the
//           transaction shows it.
// A row in the map stands as long as its point is on disk (docs/database.md, "Slot reuse"), and its
// page as long as the reader's transaction, which Rest ends.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "db/blocks.h"
#include "db/environment.h"
#include "shoal/feature_store.h"

namespace shoal {

class MapFeatures final : public FeatureStore {
 public:
  // vector_bytes: what is in front of each row of the geometry.
  MapFeatures(std::shared_ptr<Environment> environment, const BlockGeometry& geometry,
              size_t vector_bytes)
      : environment_(std::move(environment)), geometry_(geometry), vector_bytes_(vector_bytes) {}
  // Before anything is fetched.
  void SetIndex(uint32_t number) { index_ = number; }

  size_t row_bytes() const override { return vector_bytes_; }
  Status Put(FeatureKey key, const std::byte* row) override;
  void Free(FeatureKey key) override;
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override;
  FeatureStats Stats() const override;

  // A row that was put and not forgotten. False: there is none.
  bool CopyFresh(SlotId slot, std::byte* out) const;
  // LMDB has committed these rows.
  void Forget(std::span<const SlotId> slots);

 private:
  class Reader;

  const std::shared_ptr<Environment> environment_;
  const BlockGeometry geometry_;
  const size_t vector_bytes_;
  uint32_t index_ = 0;

  mutable std::mutex mutex_;
  std::unordered_map<SlotId, std::unique_ptr<std::byte[]>> fresh_;
  uint64_t version_ = 1;
};

}  // namespace shoal
