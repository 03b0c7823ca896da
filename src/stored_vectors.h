// The vectors of an index, or a view, that live in a feature store of its user's: written when a
// point is prepared, fetched to order hits and to give a vector back.
//
// No lock that a search takes is held across a call of the store. An index fetches rows under the
// guard that found their slots readable, so their keys name them until it leaves. The reader is the
// scratch's.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "codec/full_codec.h"
#include "graph/operation.h"
#include "graph/rerank.h"
#include "shoal/feature_store.h"
#include "shoal/options.h"

namespace shoal {

// What an operation that fetches stored vectors works with.
struct FetchWork {
  FetchWork(FetchScratch& f, SearchScratch& s, WorkCounters& w) : fetch(f), search(s), work(w) {}
  FetchWork(Operation& op)  // NOLINT(google-explicit-constructor)
      : FetchWork(op.scratch.fetch, op.scratch.search, op.work) {}
  FetchScratch& fetch;
  SearchScratch& search;
  WorkCounters& work;
};

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
  // Scores what search.ranked has by the stored vectors, and sorts it anew. Points whose vector is
  // gone are left out. key_of(slot): the FeatureKey of a candidate. scorer: bound by codec().
  template <class KeyOf>
  Status Rerank(const KeyOf& key_of, const Scorer& scorer, const FetchWork& scratch) const {
    const RestAtEnd rest(scratch.fetch);
    std::vector<Candidate>& ranked = scratch.search.ranked;
    size_t kept = 0;
    for (size_t begin = 0; begin < ranked.size(); begin += SearchScratch::kMaxIds) {
      const size_t n = std::min(ranked.size() - begin, SearchScratch::kMaxIds);
      scratch.fetch.keys.clear();
      for (size_t i = begin; i < begin + n; ++i)
        scratch.fetch.keys.push_back(key_of(ranked[i].slot));
      if (Status scored = ScoreFetched(begin, scorer, scratch, kept); !scored) return scored;
    }
    ranked.resize(kept);
    scratch.work.reranked += kept;
    SortRanked(scratch.search);
    return {};
  }
  // Calls visit(i, row) for all keys, at most SearchScratch::kMaxIds. row: null, or a vector.
  template <class Visit>
  Status ForEach(std::span<const FeatureKey> keys, const FetchWork& scratch,
                 const Visit& visit) const {
    FetchScratch& fetch = scratch.fetch;
    const RestAtEnd rest(fetch);
    fetch.keys.assign(keys.begin(), keys.end());
    if (Status fetched = FetchRows(*store_, fetch, scratch.search.rows); !fetched) return fetched;
    for (size_t i = 0; i < keys.size(); ++i) visit(i, scratch.search.rows[i]);
    return {};
  }
  // Copies a vector. NotFound: the store has lost it.
  Status Copy(FeatureKey key, MutableVectorView out, const FetchWork& scratch) const;
  // Appends the row of a vector, as codec() encodes it. Errors as Copy.
  Status AppendRow(FeatureKey key, const FetchWork& scratch, std::vector<std::byte>& out) const;

 private:
  // Scores the rows of fetch.keys, those of search.ranked from `begin` on, and moves what is there
  // to search.ranked[kept...]; `kept` becomes its end.
  Status ScoreFetched(size_t begin, const Scorer& scorer, const FetchWork& scratch,
                      size_t& kept) const;
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
