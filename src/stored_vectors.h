// The vectors of an index that lives in a feature store of its user's: written when a point is
// prepared, fetched to order hits and to give a vector back.
//
// No lock that a search takes is held across a call of the store. Rows are fetched under the guard
// that found their slots readable, so their keys name them until it leaves. The reader is the
// scratch's.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "base/mutex.h"
#include "codec/full_codec.h"
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
        codec_(options.scalar_type, options.metric, options.dim) {}

  FeatureStore& store() const { return *store_; }
  size_t vector_bytes() const { return BytesOf(type_, dim_); }
  // Of vectors as they are given: binds the queries of Rerank. It learns of each that is put, or
  // found to be there.
  FullCodec& codec() { return codec_; }
  const FullCodec& codec() const { return codec_; }

  // Makes slots below `slots` usable. Errors are the store's, here and below.
  Status Grow(uint32_t slots);
  // Writes the vector of a slot that the caller owns.
  Status Put(FeatureKey key, VectorView vector);
  // No reader can ask for the key any more.
  void Free(FeatureKey key) { store_->Free(key); }
  Status Sync() { return store_->Sync(); }
  // Scores what scratch.ranked has by the stored vectors, and sorts it anew. Points whose vector is
  // gone are left out.
  Status Rerank(const SlotTable& slots, const Scorer& scorer, Operation& op) const;
  // Calls visit(i, row) for all keys, at most SearchScratch::kMaxIds. row: null, or a vector.
  template <class Visit>
  Status ForEach(std::span<const FeatureKey> keys, Operation& op, const Visit& visit) const {
    FetchScratch& fetch = op.scratch.fetch;
    const RestAtEnd rest(fetch);
    fetch.keys.assign(keys.begin(), keys.end());
    if (Status fetched = FetchRows(*store_, fetch, op.scratch.search.rows); !fetched)
      return fetched;
    for (size_t i = 0; i < keys.size(); ++i) visit(i, op.scratch.search.rows[i]);
    return {};
  }
  // Copies a vector. NotFound: the store has lost it.
  Status Copy(FeatureKey key, MutableVectorView out, Operation& op) const;
  // Appends the row of a vector, as codec() encodes it. Errors as Copy.
  Status AppendRow(FeatureKey key, Operation& op, std::vector<std::byte>& out) const;

 private:
  // A reader is at rest but for the time in which its rows are read.
  class RestAtEnd {
   public:
    explicit RestAtEnd(FetchScratch& fetch) : fetch_(fetch) {}
    ~RestAtEnd() {
      if (fetch_.reader != nullptr) fetch_.reader->Rest();
    }
    RestAtEnd(const RestAtEnd&) = delete;

   private:
    FetchScratch& fetch_;
  };

  const std::unique_ptr<FeatureStore> store_;
  const ScalarType type_;
  const size_t dim_;
  const bool has_suffix_;  // Whether scores need more than the vector.
  FullCodec codec_;
  Mutex growing_;                   // Held across Grow alone, which no reader waits for.
  std::atomic<uint32_t> grown_{0};  // Slots that the store was told of.
};

}  // namespace shoal
