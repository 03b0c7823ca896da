// A database's index, searched where it lies (stored_view.h).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "codec/make_codec.h"
#include "codec/vector_check.h"
#include "database_impl.h"
#include "filtered_search.h"
#include "stored_view.h"

namespace shoal {

struct StoredScratch final : ScratchBase {
  SearchScratch search;
  std::vector<std::byte> query_buffer;
  size_t bytes() const override { return sizeof(*this) + search.bytes() + query_buffer.capacity(); }
};

class DatabaseSnapshotImpl {
 public:
  static Result<std::unique_ptr<DatabaseSnapshotImpl>> Open(const std::filesystem::path& path,
                                                            std::string_view index);

  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work) const;
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work) const;
  Result<SlotId> Find(ExternalId id) const;
  Status Get(ExternalId id, MutableVectorView vector) const;
  Result<std::vector<ExternalId>> Ids() const;
  Status Dump(const std::filesystem::path& vectors, const std::filesystem::path& ids,
              const BatchOptions& batch) const;
  Status Verify(const BatchOptions& batch) const;
  size_t size() const { return graph_->record().live; }
  const IndexOptions& options() const { return graph_->record().options; }
  const VectorCheck& check() const { return check_; }

 private:
  // has_clusters: whether the seeds show them.
  DatabaseSnapshotImpl(const IndexOptions& o, std::unique_ptr<DiskGraph> graph, bool has_clusters)
      : check_(o.scalar_type, o.metric, o.dim),
        codec_(MakeCodec(Code::kFull, o.scalar_type, o.metric, o.dim)),
        graph_(std::move(graph)),
        has_clusters_(has_clusters) {}
  StoredScratch& ScratchOf(EpochRegistry::Guard& guard) const;
  Scorer Bind(VectorView query, StoredScratch& scratch) const {
    scratch.query_buffer.resize(codec_->buffer_bytes());
    return codec_->BindQuery(query, scratch.query_buffer.data());
  }
  StoredView View() const { return {*graph_, has_clusters_}; }
  FilteredView<StoredView> ViewOf(const Filter& filter, WorkCounters& work,
                                  SearchScratch& scratch) const {
    return {View(), filter.node(), work, *scratch.filter};
  }
  FilteredRowBytes FilteredRows() const { return {codec_->row_bytes(), codec_->row_bytes()}; }
  // The list size that the filter's plan takes.
  size_t Plan(const FilteredSearchOptions& options, WorkCounters& work,
              SearchScratch& scratch) const;
  // visit(slot) for all live points.
  template <class Visit>
  void EachLive(const Visit& visit) const {
    for (SlotId slot = 0; slot < graph_->slots(); ++slot)
      if (graph_->IsLive(slot)) visit(slot);
  }
  void MakeIdTable() const;
  tl::unexpected<Error> Broken(SlotId slot, const std::string& what) const {
    return MakeError(ErrorCode::kCorrupt, "index \"" + graph_->record().name + "\": slot " +
                                              std::to_string(slot) + ": " + what);
  }
  Status VerifyWords(LongWork& work) const;
  Status VerifyRuns() const;
  Status VerifyReach(LongWork& work) const;
  Status VerifyPoints(LongWork& work) const;

  const VectorCheck check_;
  const std::unique_ptr<Codec> codec_;
  const std::unique_ptr<DiskGraph> graph_;
  const bool has_clusters_;
  // Only for what it keeps: a scratch for each thread that searches.
  mutable EpochRegistry epochs_;

  // A hash table of live slots by id, at most half full; kNoSlot: empty.
  mutable std::once_flag made_id_table_;
  mutable std::vector<SlotId> id_table_;
};

}  // namespace shoal
