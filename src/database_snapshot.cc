// Searches of a database's snapshot, and what it holds.
#include <bit>
#include <new>
#include <string>

#include "base/file.h"
#include "database_snapshot_impl.h"
#include "graph/searcher.h"
#include "persist/snapshot_seeds.h"
#include "search_calls.h"
#include "shoal/dataset.h"

namespace shoal {

namespace {

// A database keeps no labels.
Status CheckLabels(const Filter* filter) {
  if (filter == nullptr || !filter->node().reads_labels) return {};
  return MakeError(ErrorCode::kUnsupported, "filter: a database keeps no labels");
}

bool ShowClusters(const DiskGraph& graph) {
  SnapshotSeeds seeds;
  for (const DiskSeedSet& set : graph.seeds()) seeds.sets.push_back({set.slots, set.radius});
  return !seeds.sets.empty() && HaveClusters(seeds, graph.slots());
}

}  // namespace

Result<std::unique_ptr<DatabaseSnapshotImpl>> DatabaseSnapshotImpl::Open(
    const std::filesystem::path& path, std::string_view index) {
  Result<std::shared_ptr<Environment>> environment = Environment::Open(path, {});
  if (!environment) return tl::unexpected(environment.error());
  Result<ReadTxn> txn = (*environment)->Read();
  if (!txn) return tl::unexpected(txn.error());
  const Result<IndexRecord> record = FindIndexRecord(*txn, index);
  if (!record) return tl::unexpected(record.error());
  const IndexOptions& o = record->options;
  const std::unique_ptr<Codec> codec = MakeCodec(Code::kFull, o.scalar_type, o.metric, o.dim);
  if (codec == nullptr)
    return MakeError(ErrorCode::kUnsupported, path.string() + ": vectors that have no metric");
  const size_t row_bytes = codec->row_bytes();
  Result<std::unique_ptr<DiskGraph>> graph = DiskGraph::Open(std::move(*txn), *record, row_bytes);
  if (!graph) return tl::unexpected(graph.error());
  const bool has_clusters = ShowClusters(**graph);
  return std::unique_ptr<DatabaseSnapshotImpl>(
      new DatabaseSnapshotImpl(record->options, std::move(*graph), has_clusters));
}

StoredScratch& DatabaseSnapshotImpl::ScratchOf(EpochRegistry::Guard& guard) const {
  auto& scratch = guard.cell().scratch;
  if (scratch == nullptr) scratch = std::make_unique<StoredScratch>();
  return static_cast<StoredScratch&>(*scratch);
}

size_t DatabaseSnapshotImpl::Plan(const FilteredSearchOptions& options, WorkCounters& work,
                                  SearchScratch& scratch) const {
  const auto look_up = [&](ExternalId id) -> std::optional<SlotId> {
    const Result<SlotId> slot = Find(id);  // Damage is noted.
    return slot && *slot != kNoSlot ? std::optional(*slot) : std::nullopt;
  };
  return PlanFiltered(View(), options, look_up, work, scratch);
}

Result<size_t> DatabaseSnapshotImpl::Search(VectorView query, const SearchOptions& options,
                                            std::span<ExternalId> ids, std::span<float> distances,
                                            WorkCounters* work) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckSearch(options, ids, distances); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckLabels(options.filter); !ok) return tl::unexpected(ok.error());
  if (options.max_per_label > 0)
    return MakeError(ErrorCode::kUnsupported, "max_per_label: a database keeps no labels");
  try {
    auto guard = epochs_.Pin();
    StoredScratch& scratch = ScratchOf(guard);
    const StopRequests requests(options.stop, scratch.search);
    const size_t most = std::max<size_t>(1, graph_->slots());
    const size_t k = std::min(options.k, most);
    const size_t list_size = std::min(std::max(options.search_list_size, k), most);
    const Scorer scorer = Bind(query, scratch);
    if (options.filter == nullptr) {
      Searcher(View(), scorer, {}, guard.work, scratch.search).FindNearest(list_size);
    } else {
      const size_t list = Plan(
          {options.filter->node(), list_size, this->options().max_degree, FilteredRows(), scorer},
          guard.work, scratch.search);
      Searcher(ViewOf(*options.filter, guard.work, scratch.search), scorer, {}, guard.work,
               scratch.search)
          .FindNearest(std::min(list, most));
    }
    const CandidateList& best = scratch.search.best;
    size_t hits = 0;
    for (size_t i = 0; i < best.size() && hits < k; ++i) {
      if (!best.IsEligible(i)) continue;
      ids[hits] = graph_->IdOf(best[i].slot);
      if (!distances.empty()) distances[hits] = best[i].distance;
      ++hits;
    }
    if (work != nullptr) *work = guard.work;
    if (Status ok = graph_->Damage(); !ok) return tl::unexpected(ok.error());
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

Result<std::vector<Hit>> DatabaseSnapshotImpl::RangeSearch(VectorView query,
                                                           const RangeOptions& options,
                                                           WorkCounters* work) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckRangeSearch(options); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckLabels(options.filter); !ok) return tl::unexpected(ok.error());
  try {
    auto guard = epochs_.Pin();
    StoredScratch& scratch = ScratchOf(guard);
    const StopRequests requests(options.stop, scratch.search);
    const size_t most = std::max<size_t>(1, graph_->slots());
    const Scorer scorer = Bind(query, scratch);
    const size_t list_size = std::clamp<size_t>(options.search_list_size, 1, most);
    if (options.filter == nullptr) {
      FindWithin(View(), scorer, list_size, options.radius, guard.work, scratch.search);
    } else {
      const size_t list = Plan(
          {options.filter->node(), list_size, this->options().max_degree, FilteredRows(), scorer},
          guard.work, scratch.search);
      FindWithin(ViewOf(*options.filter, guard.work, scratch.search), scorer, list, options.radius,
                 guard.work, scratch.search);
    }
    std::vector<Hit> hits;
    hits.reserve(scratch.search.within.size());
    for (const Candidate& candidate : scratch.search.within)
      hits.push_back({graph_->IdOf(candidate.slot), candidate.distance});
    if (work != nullptr) *work = guard.work;
    if (Status ok = graph_->Damage(); !ok) return tl::unexpected(ok.error());
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

namespace {

size_t PlaceOf(ExternalId id, size_t mask) { return (id * 0x9e3779b97f4a7c15u >> 32) & mask; }

}  // namespace

void DatabaseSnapshotImpl::MakeIdTable() const {
  std::vector<SlotId> table(std::bit_ceil(2 * size() + 1), kNoSlot);
  const size_t mask = table.size() - 1;
  EachLive([&](SlotId slot) {
    size_t at = PlaceOf(graph_->IdOf(slot), mask);
    for (size_t tried = 0; table[at] != kNoSlot && tried < mask; ++tried) at = (at + 1) & mask;
    table[at] = slot;
  });
  id_table_ = std::move(table);
}

Result<SlotId> DatabaseSnapshotImpl::Find(ExternalId id) const {
  try {
    std::call_once(made_id_table_, [this] { MakeIdTable(); });  // Once more after bad_alloc.
  } catch (const std::bad_alloc&) {
    return NoMemory("ids");
  }
  if (Status ok = graph_->Damage(); !ok) return tl::unexpected(ok.error());
  const size_t mask = id_table_.size() - 1;
  for (size_t at = PlaceOf(id, mask); id_table_[at] != kNoSlot; at = (at + 1) & mask)
    if (graph_->IdOf(id_table_[at]) == id) return id_table_[at];
  return kNoSlot;
}

Status DatabaseSnapshotImpl::Get(ExternalId id, MutableVectorView vector) const {
  if (Status ok = check_.Shape({vector.data(), vector.type(), 1, vector.dim()}, "vector"); !ok)
    return ok;
  const Result<SlotId> slot = Find(id);
  if (!slot) return tl::unexpected(slot.error());
  if (*slot == kNoSlot) return NotFound(id);
  const std::byte* const row = graph_->Row(*slot);
  if (Status ok = graph_->Damage(); !ok) return ok;
  codec_->Decode(row, vector);
  return {};
}

Result<std::vector<ExternalId>> DatabaseSnapshotImpl::Ids() const {
  try {
    std::vector<ExternalId> ids;
    ids.reserve(size());
    EachLive([&](SlotId slot) { ids.push_back(graph_->IdOf(slot)); });
    if (Status ok = graph_->Damage(); !ok) return tl::unexpected(ok.error());
    return ids;
  } catch (const std::bad_alloc&) {
    return NoMemory("ids");
  }
}

// Both files are whole before the first appears under its name.
Status DatabaseSnapshotImpl::Dump(const std::filesystem::path& vectors,
                                  const std::filesystem::path& ids,
                                  const BatchOptions& batch) const {
  const IndexOptions& o = options();
  Result<BinWriter> rows = BinWriter::Create(vectors, o.scalar_type, size(), o.dim);
  if (!rows) return tl::unexpected(rows.error());
  Result<OutputFile> numbers = OutputFile::Create(ids);
  if (!numbers) return tl::unexpected(numbers.error());
  LongWork work("dump", size(), batch);
  Status ok;
  EachLive([&](SlotId slot) {
    if (!ok) return;
    const ExternalId id = graph_->IdOf(slot);
    ok = work.Did();
    if (ok) ok = rows->Append({graph_->Row(slot), o.scalar_type, 1, o.dim});
    if (ok) ok = numbers->Append(&id, sizeof(id));
  });
  if (ok) ok = graph_->Damage();
  if (ok) ok = numbers->Finish();
  if (ok) ok = rows->Commit();
  if (ok) ok = numbers->Publish();
  if (ok) work.End();
  return ok;
}

DatabaseSnapshot::DatabaseSnapshot(std::unique_ptr<DatabaseSnapshotImpl> impl)
    : impl_(std::move(impl)) {}
DatabaseSnapshot::~DatabaseSnapshot() = default;
DatabaseSnapshot::DatabaseSnapshot(DatabaseSnapshot&&) noexcept = default;
DatabaseSnapshot& DatabaseSnapshot::operator=(DatabaseSnapshot&&) noexcept = default;

Result<DatabaseSnapshot> DatabaseSnapshot::Open(const std::filesystem::path& path,
                                                std::string_view index) {
  try {
    Result<std::unique_ptr<DatabaseSnapshotImpl>> impl = DatabaseSnapshotImpl::Open(path, index);
    if (!impl) return tl::unexpected(impl.error());
    return DatabaseSnapshot(std::move(*impl));
  } catch (const std::bad_alloc&) {
    return NoMemory("snapshot");
  }
}

Result<size_t> DatabaseSnapshot::Search(VectorView query, const SearchOptions& options,
                                        std::span<ExternalId> ids, std::span<float> distances,
                                        WorkCounters* work) const {
  return impl_->Search(query, options, ids, distances, work);
}
Result<std::vector<Hit>> DatabaseSnapshot::Search(VectorView query,
                                                  const SearchOptions& options) const {
  return SearchToHits(
      options, size(),
      [&](const SearchOptions& bounded, std::span<ExternalId> ids, std::span<float> distances) {
        return impl_->Search(query, bounded, ids, distances, nullptr);
      });
}
Status DatabaseSnapshot::SearchMany(MatrixView queries, const SearchOptions& options,
                                    const SearchManyOutput& output,
                                    const BatchOptions& batch) const {
  return SearchBatch(
      queries, options, output, batch, impl_->check().Shape(queries, "queries"),
      [&](VectorView query, std::span<ExternalId> ids, std::span<float> distances,
          WorkCounters* work) { return impl_->Search(query, options, ids, distances, work); });
}
Result<std::vector<Hit>> DatabaseSnapshot::RangeSearch(VectorView query,
                                                       const RangeOptions& options,
                                                       WorkCounters* work) const {
  return impl_->RangeSearch(query, options, work);
}
Result<RangeHits> DatabaseSnapshot::RangeSearchMany(MatrixView queries, const RangeOptions& options,
                                                    const BatchOptions& batch) const {
  return RangeSearchBatch(queries, options, batch,
                          [&](VectorView query) { return RangeSearch(query, options); });
}
Result<bool> DatabaseSnapshot::Contains(ExternalId id) const {
  const Result<SlotId> slot = impl_->Find(id);
  if (!slot) return tl::unexpected(slot.error());
  return *slot != kNoSlot;
}
Status DatabaseSnapshot::Get(ExternalId id, MutableVectorView vector) const {
  return impl_->Get(id, vector);
}
Result<std::vector<ExternalId>> DatabaseSnapshot::Ids() const { return impl_->Ids(); }
size_t DatabaseSnapshot::size() const { return impl_->size(); }
const IndexOptions& DatabaseSnapshot::options() const { return impl_->options(); }
Status DatabaseSnapshot::Dump(const std::filesystem::path& vectors,
                              const std::filesystem::path& ids, const BatchOptions& batch) const {
  try {
    return impl_->Dump(vectors, ids, batch);
  } catch (const std::bad_alloc&) {
    return NoMemory("dump");
  }
}
Status DatabaseSnapshot::Verify(const BatchOptions& batch) const { return impl_->Verify(batch); }

}  // namespace shoal
