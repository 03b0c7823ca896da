// The vectors of an index that lives in a feature store of its user's: written when a point is
// prepared, fetched to order hits and to give a vector back.
//
// No lock is held across a call of the store. Rows are fetched under the guard that found their
// slots readable, so their keys name them until it leaves. The reader is the scratch's.
#pragma once

#include <atomic>
#include <memory>

#include "base/mutex.h"
#include "codec/make_codec.h"
#include "graph/operation.h"
#include "shoal/feature_store.h"
#include "shoal/options.h"
#include "store/slot_table.h"

namespace shoal {

class StoredVectors {
 public:
  StoredVectors(std::unique_ptr<FeatureStore> store, const IndexOptions& options)
      : store_(std::move(store)),
        type_(options.scalar_type),
        dim_(options.dim),
        has_suffix_(options.metric == Metric::kCosine),
        codec_(MakeCodec(Code::kFull, options.scalar_type, options.metric, options.dim)) {}

  // Of vectors as they are given: binds the queries of Rerank.
  const Codec& codec() const { return *codec_; }

  // Writes the vector of a slot that the caller owns. `former`: the id that the slot had before, if
  // it was ever used. Errors are the store's.
  Status Put(FeatureKey key, ExternalId former, VectorView vector);
  // Scores what scratch.ranked has by the stored vectors, and sorts it anew. Points whose vector is
  // gone are left out.
  Status Rerank(const SlotTable& slots, const Scorer& scorer, Operation& op) const;
  // Copies a vector. NotFound: the store has lost it.
  Status Copy(FeatureKey key, MutableVectorView out, Operation& op) const;
  // Appends the row of a vector, as codec() encodes it. Errors as Copy.
  Status AppendRow(FeatureKey key, Operation& op, std::vector<std::byte>& out) const;

 private:
  // Fetches rows of scratch.fetch.keys to search.rows.
  Status Fetch(Scratch& scratch) const;

  const std::unique_ptr<FeatureStore> store_;
  const ScalarType type_;
  const size_t dim_;
  const bool has_suffix_;  // Whether scores need more than the vector.
  const std::unique_ptr<Codec> codec_;
  Mutex growing_;                   // Held across Grow alone, which no reader waits for.
  std::atomic<uint32_t> grown_{0};  // Slots that the store was told of.
  std::atomic<uint32_t> put_{0};    // No slot at or above it was ever put.
};

}  // namespace shoal
