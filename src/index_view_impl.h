// The wiring of a view (shoal/index_view.h).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "calibrator.h"
#include "codec/vector_check.h"
#include "graph/filtered_view.h"
#include "persist/snapshot_codecs.h"
#include "search_plan.h"
#include "shoal/index_view.h"
#include "snapshot_view.h"
#include "store/epoch.h"
#include "stored_vectors.h"

namespace shoal {

class PagedSearch;
struct FilteredRowBytes;
struct FilteredSearchOptions;

struct ViewScratch final : ScratchBase {
  SearchScratch search;
  FetchScratch fetch;  // Of a view over a feature store.
  // What a binding takes: of the search, and of reranking.
  std::vector<std::byte> query_buffer, rerank_buffer;
  size_t bytes() const override {
    return sizeof(*this) + search.bytes() +
           HeapBytes(query_buffer, rerank_buffer, fetch.keys, fetch.rows);
  }
};

class IndexViewImpl final : public CalibrationSubject {
 public:
  // `store`: null where the file has the vectors.
  static Result<std::unique_ptr<IndexViewImpl>> Open(const std::filesystem::path& path,
                                                     std::unique_ptr<FeatureStore> store,
                                                     const ViewOptions& options);

  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work) const;
  Result<Pages> SearchPages(VectorView query, const SearchOptions& options) const;
  Result<size_t> NextPage(PagedSearch& pages, std::span<ExternalId> ids, std::span<float> distances,
                          WorkCounters* work) const;
  Result<size_t> SearchDiverse(VectorView query, const SearchOptions& options,
                               std::span<ExternalId> ids, std::span<float> distances,
                               WorkCounters* work) const;
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work) const;
  // The point with this id; kNoSlot: there is none.
  SlotId Find(ExternalId id) const;
  Status Get(ExternalId id, MutableVectorView vector) const;
  std::span<const ExternalId> ids() const { return {snapshot_.ids, size()}; }
  size_t size() const { return snapshot_.header.points; }
  const IndexOptions& options() const override { return snapshot_.header.options; }
  Calibrator& calibrator() { return calibrator_; }

  bool reranks() const override { return stored_ != nullptr || snapshot_.has_rerank(); }
  size_t points() const override { return size(); }
  uint64_t arrivals() const override { return 0; }
  std::vector<SlotId> Live() const override;
  Result<std::optional<ExternalId>> Copy(SlotId slot, MutableVectorView out) const override;
  Result<size_t> Run(VectorView query, const SearchPlan& plan, std::span<ExternalId> ids,
                     std::span<float> distances, WorkCounters* work) const override;
  const VectorCheck& check() const { return check_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  IndexViewImpl(const std::filesystem::path& path, const SnapshotHeader& header,
                SnapshotCodecs codecs, std::unique_ptr<StoredVectors> stored)
      : path_(path),
        check_(header.options.scalar_type, header.options.metric, header.options.dim),
        codecs_(std::move(codecs)),
        stored_(std::move(stored)) {
    snapshot_.header = header;
  }
  static Status CheckStore(const std::filesystem::path& path, const SnapshotHeader& header,
                           const FeatureStore* store);
  // Has the file's bytes where `options` say, and the places of its sections.
  Status Place(const SnapshotReader& reader, const ViewOptions& options);
  class PageHost;
  class ViewPages;
  ViewScratch& ScratchOf(EpochRegistry::Guard& guard) const;
  // The next search's plan, and a look at the filtered points of these rows.
  FilteredView<SnapshotView> ViewOf(const Filter& filter, const SnapshotRows& rows,
                                    WorkCounters& work, SearchScratch& scratch) const {
    return {SnapshotView(snapshot_, rows), filter.node(), work, *scratch.filter};
  }
  FilteredRowBytes FilteredRows() const;
  size_t Plan(const SnapshotRows& rows, const FilteredSearchOptions& options, WorkCounters& work,
              SearchScratch& scratch) const;
  // Leaves the nearest candidates in scratch.search, and says how many are to be reranked; 0: none.
  size_t FindNearest(VectorView query, const SearchPlan& plan, size_t list_size, WorkCounters& work,
                     ViewScratch& scratch) const;
  // Orders what the last search has ranked by the rows that order hits; where the codes do not tell
  // them apart, it searches anew.
  Status RankExactly(VectorView query, const SearchPlan& plan, size_t list_size, WorkCounters& work,
                     ViewScratch& scratch) const;
  // Scores scratch.search.ranked by the stored vectors, and sorts it.
  Status RankByStore(VectorView query, WorkCounters& work, ViewScratch& scratch) const;
  // Copies the vector of a point. Errors of the store; NotFound: it has lost it.
  Status CopyVector(SlotId point, MutableVectorView out) const;
  // Where a point's vector is in the store.
  FeatureKey KeyOf(SlotId point) const { return {snapshot_.slots[point], snapshot_.ids[point]}; }
  // The codec of what orders hits.
  const Codec& ranking() const {
    return codecs_.rerank == nullptr ? *codecs_.traversal : *codecs_.rerank;
  }
  static Scorer Bind(const Codec& codec, VectorView query, std::vector<std::byte>& buffer) {
    buffer.resize(codec.buffer_bytes());
    return codec.BindQuery(query, buffer.data());
  }
  void MakeIdTable() const;

  const std::filesystem::path path_;
  const VectorCheck check_;
  const SnapshotCodecs codecs_;
  OpenSnapshot snapshot_;
  // Before the epochs, whose scratch has readers of the store. Null: the file has the vectors.
  const std::unique_ptr<StoredVectors> stored_;
  // Only for what it keeps: a scratch for each thread that searches.
  mutable EpochRegistry epochs_;

  // A hash table of points by id, at most half full; kNoSlot: empty.
  mutable std::once_flag made_id_table_;
  mutable std::vector<SlotId> id_table_;

  Calibrator calibrator_{*this};
};

}  // namespace shoal
