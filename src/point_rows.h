// The rows of an index: of every point one that searches traverse and, where that is a code, one
// that orders their hits. Where the code is none, both are the vector in the feature store.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "codec/rq_codec.h"
#include "graph/fetched_rows.h"
#include "graph/representation.h"
#include "store/slot_table.h"
#include "stored_vectors.h"

namespace shoal {

// The slot table says which thread may touch a row, and when. All rows of a point are written
// before its slot is published, and stand as long.
class PointRows {
 public:
  struct Part {
    explicit Part(std::unique_ptr<Codec> c) : codec(std::move(c)), features(codec->row_bytes()) {}
    Representation Get() const { return {*codec, &features}; }
    const std::unique_ptr<Codec> codec;
    RamFeatureStore features;
  };

  // `traversal`: null where searches traverse what is in `stored`. `rerank`: null where the
  // traversal rows order the hits, too, or `stored` does.
  PointRows(std::unique_ptr<Codec> traversal, std::unique_ptr<Codec> rerank,
            std::unique_ptr<StoredVectors> stored = nullptr)
      : stored_(std::move(stored)) {
    for (auto* const codec : {&traversal, &rerank})
      if (*codec != nullptr) parts_.push_back(std::make_unique<Part>(std::move(*codec)));
    for (const Codec* const codec : codecs())
      buffer_bytes_ = std::max(buffer_bytes_, codec->buffer_bytes());
  }

  // Before anything is fetched: `slots` has the points' ids, and outlives the rows.
  PointRows Over(const SlotTable& slots) && {
    if (stored_ != nullptr)
      fetched_ = std::make_unique<FetchedRows>(stored_->store(), stored_->codec(),
                                               stored_->vector_bytes(), slots);
    return std::move(*this);
  }

  // Where the vectors are fetched and the store has all of them at fixed places.
  void ReadInPlace() {
    if (fetched_ != nullptr) fetched_->ReadInPlace();
  }

  // What searches traverse.
  Representation traversal() const { return are_fetched() ? StoredRows() : parts_.front()->Get(); }
  // What orders hits, and vectors are decoded from: the rerank rows, if there are any in memory.
  Representation ranking() const { return are_fetched() ? StoredRows() : parts_.back()->Get(); }
  // The rerank rows, in memory or fetched. None: what searches traverse orders their hits.
  std::optional<Representation> rerank() const {
    if (!has_rerank()) return std::nullopt;
    return stored_ != nullptr ? StoredRows() : parts_.back()->Get();
  }
  // Whether what searches traverse is fetched.
  bool are_fetched() const { return parts_.empty(); }
  // Whether hits are ordered by something else than what searches traverse.
  bool has_rerank() const { return !are_fetched() && (parts_.size() > 1 || stored_ != nullptr); }
  // The vectors, if they are in a feature store. It is written apart: it may fail.
  StoredVectors* stored() const { return stored_.get(); }
  // The traversal rows, then the rerank rows.
  const std::vector<std::unique_ptr<Part>>& parts() const { return parts_; }
  // The codecs of all rows: that of the traversal rows, then that of the vectors that order hits.
  std::vector<const Codec*> codecs() const {
    std::vector<const Codec*> all;
    all.reserve(parts_.size() + 1);
    for (const auto& part : parts_) all.push_back(part->codec.get());
    if (stored_ != nullptr) all.push_back(&stored_->codec());
    return all;
  }
  // The codec of the traversal rows, if they are relative to a centre; else null.
  RqCodec* centred() const { return are_fetched() ? nullptr : parts_.front()->codec->AsCentred(); }
  // Whether the traversal row of a point is not of the set that rows are encoded with now.
  bool IsStale(SlotId slot) const {
    const RqCodec* const codec = centred();
    return codec != nullptr && codec->SetOf(traversal().Row(slot)) != codec->current_set();
  }
  // What a binding of any of the codecs takes.
  size_t buffer_bytes() const { return buffer_bytes_; }

  // See Codec; of all codecs.
  void RaiseMaxNormSq(float norm_sq) {
    for (const auto& part : parts_) part->codec->RaiseMaxNormSq(norm_sq);
    if (stored_ != nullptr) stored_->codec().RaiseMaxNormSq(norm_sq);
  }

  // --- Of a slot that the caller owns.

  // The rows in memory. Of one in the feature store its codec learns.
  void Encode(VectorView vector, SlotId slot) {
    for (const auto& part : parts_) part->codec->Encode(vector, part->features.Row(slot));
    if (stored_ != nullptr) stored_->codec().Learn(vector);
  }
  void EncodeForTraversal(VectorView vector, SlotId slot) {
    parts_.front()->codec->Encode(vector, parts_.front()->features.Row(slot));
  }
  void EncodeOrigin(SlotId slot) {
    for (const auto& part : parts_) part->codec->EncodeOrigin(part->features.Row(slot));
  }
  void Copy(SlotId from, SlotId to) {
    for (const auto& part : parts_)
      std::copy_n(part->features.Row(from), part->codec->row_bytes(), part->features.Row(to));
  }

 private:
  Representation StoredRows() const {
    return {.codec = stored_->codec(), .fetched = fetched_.get()};
  }

  std::vector<std::unique_ptr<Part>> parts_;  // Constant after construction.
  std::unique_ptr<StoredVectors> stored_;     // Likewise; may be null.
  std::unique_ptr<FetchedRows> fetched_;      // Of `stored_`.
  size_t buffer_bytes_ = 0;
};

}  // namespace shoal
