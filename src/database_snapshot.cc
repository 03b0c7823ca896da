// A database's index, searched where it lies (stored_view.h), and checked.
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <unordered_set>

#include "base/file.h"
#include "codec/make_codec.h"
#include "codec/vector_check.h"
#include "database_impl.h"
#include "graph/searcher.h"
#include "persist/snapshot_seeds.h"
#include "search_calls.h"
#include "shoal/dataset.h"
#include "stored_view.h"

namespace shoal {
namespace {

struct StoredScratch final : ScratchBase {
  SearchScratch search;
  std::vector<std::byte> query_buffer;
  size_t bytes() const override { return sizeof(*this) + search.bytes() + query_buffer.capacity(); }
};

tl::unexpected<Error> NoFilter() {
  return MakeError(ErrorCode::kUnsupported, "filter: searches of a database's snapshot take none");
}

bool ShowClusters(const DiskGraph& graph) {
  SnapshotSeeds seeds;
  for (const DiskSeedSet& set : graph.seeds()) seeds.sets.push_back({set.slots, set.radius});
  return !seeds.sets.empty() && HaveClusters(seeds, graph.slots());
}

}  // namespace

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
  Status Dump(const std::filesystem::path& vectors, const std::filesystem::path& ids) const;
  Status Verify() const;
  size_t size() const { return graph_->record().live; }
  const IndexOptions& options() const { return graph_->record().options; }
  const VectorCheck& check() const { return check_; }

 private:
  DatabaseSnapshotImpl(const IndexOptions& o, std::unique_ptr<DiskGraph> graph)
      : check_(o.scalar_type, o.metric, o.dim),
        codec_(MakeCodec(Code::kFull, o.scalar_type, o.metric, o.dim)),
        graph_(std::move(graph)),
        has_clusters_(ShowClusters(*graph_)) {}
  StoredScratch& ScratchOf(EpochRegistry::Guard& guard) const;
  Scorer Bind(VectorView query, StoredScratch& scratch) const {
    scratch.query_buffer.resize(codec_->buffer_bytes());
    return codec_->BindQuery(query, scratch.query_buffer.data());
  }
  StoredView View() const { return {*graph_, has_clusters_}; }
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
  Status VerifyWords() const;
  Status VerifyReach() const;
  Status VerifyPoints() const;

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
  return std::unique_ptr<DatabaseSnapshotImpl>(
      new DatabaseSnapshotImpl(record->options, std::move(*graph)));
}

StoredScratch& DatabaseSnapshotImpl::ScratchOf(EpochRegistry::Guard& guard) const {
  auto& scratch = guard.cell().scratch;
  if (scratch == nullptr) scratch = std::make_unique<StoredScratch>();
  return static_cast<StoredScratch&>(*scratch);
}

Result<size_t> DatabaseSnapshotImpl::Search(VectorView query, const SearchOptions& options,
                                            std::span<ExternalId> ids, std::span<float> distances,
                                            WorkCounters* work) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckSearch(options, ids, distances); !ok) return tl::unexpected(ok.error());
  if (options.filter != nullptr) return NoFilter();
  try {
    auto guard = epochs_.Pin();
    StoredScratch& scratch = ScratchOf(guard);
    const size_t most = std::max<size_t>(1, graph_->slots());
    const size_t k = std::min(options.k, most);
    const size_t list_size = std::min(std::max(options.search_list_size, k), most);
    Searcher(View(), Bind(query, scratch), {}, guard.work, scratch.search).FindNearest(list_size);
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
  }
}

Result<std::vector<Hit>> DatabaseSnapshotImpl::RangeSearch(VectorView query,
                                                           const RangeOptions& options,
                                                           WorkCounters* work) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckRangeSearch(options); !ok) return tl::unexpected(ok.error());
  if (options.filter != nullptr) return NoFilter();
  try {
    auto guard = epochs_.Pin();
    StoredScratch& scratch = ScratchOf(guard);
    const size_t most = std::max<size_t>(1, graph_->slots());
    FindWithin(View(), Bind(query, scratch), std::clamp<size_t>(options.search_list_size, 1, most),
               options.radius, guard.work, scratch.search);
    std::vector<Hit> hits;
    hits.reserve(scratch.search.within.size());
    for (const Candidate& candidate : scratch.search.within)
      hits.push_back({graph_->IdOf(candidate.slot), candidate.distance});
    if (work != nullptr) *work = guard.work;
    if (Status ok = graph_->Damage(); !ok) return tl::unexpected(ok.error());
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
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
                                  const std::filesystem::path& ids) const {
  const IndexOptions& o = options();
  Result<BinWriter> rows = BinWriter::Create(vectors, o.scalar_type, size(), o.dim);
  if (!rows) return tl::unexpected(rows.error());
  Result<OutputFile> numbers = OutputFile::Create(ids);
  if (!numbers) return tl::unexpected(numbers.error());
  Status ok;
  EachLive([&](SlotId slot) {
    const ExternalId id = graph_->IdOf(slot);
    if (ok) ok = rows->Append({graph_->Row(slot), o.scalar_type, 1, o.dim});
    if (ok) ok = numbers->Append(&id, sizeof(id));
  });
  if (ok) ok = graph_->Damage();
  if (ok) ok = numbers->Finish();
  if (ok) ok = rows->Commit();
  if (ok) ok = numbers->Publish();
  return ok;
}

// D2: every word and every anchor names a point that is on disk.
Status DatabaseSnapshotImpl::VerifyWords() const {
  const SlotId start = graph_->record().start;
  SlotId list[kMaxDegree];
  for (SlotId slot = 0; slot < graph_->slots(); ++slot) {
    if (!graph_->IsPresent(slot)) continue;
    const size_t n = graph_->CopyList(slot, list);
    for (size_t i = 0; i < n; ++i)
      if (list[i] == slot || list[i] == start || !graph_->IsPresent(list[i]))
        return Broken(slot, "list: expected other points, found slot " + std::to_string(list[i]));
  }
  const auto check = [&](SlotId anchor, SlotId point) -> Status {
    if (graph_->IsPresent(anchor) && anchor != point) return {};
    return Broken(point, "anchor: expected another point, found slot " + std::to_string(anchor));
  };
  for (const DiskAnchor& anchor : graph_->anchors())
    if (Status ok = check(anchor.anchor, anchor.point); !ok) return ok;
  for (const LoggedPoint& point : graph_->logged())
    if (Status ok = check(point.anchor, point.slot); !ok) return ok;
  return {};
}

// D1: every live point is reached from the start over own lists and anchors.
Status DatabaseSnapshotImpl::VerifyReach() const {
  std::vector<bool> reached(graph_->slots());
  std::vector<SlotId> queue;
  const auto reach = [&](SlotId slot) {
    if (reached[slot]) return;
    reached[slot] = true;
    queue.push_back(slot);
  };
  std::unordered_map<SlotId, std::vector<SlotId>> anchored;
  for (const DiskAnchor& anchor : graph_->anchors())
    anchored[anchor.anchor].push_back(anchor.point);
  for (const LoggedPoint& point : graph_->logged()) anchored[point.anchor].push_back(point.slot);
  if (graph_->record().start < graph_->slots()) reach(graph_->record().start);
  SlotId list[kMaxDegree];
  for (size_t next = 0; next < queue.size(); ++next) {
    const size_t n = graph_->CopyList(queue[next], list);
    for (size_t i = 0; i < n; ++i) reach(list[i]);
    if (const auto found = anchored.find(queue[next]); found != anchored.end())
      for (const SlotId point : found->second) reach(point);
  }
  for (SlotId slot = 0; slot < graph_->slots(); ++slot)
    if (graph_->IsLive(slot) && !reached[slot])
      return Broken(slot, "expected a way from the start, found none");
  return {};
}

// D3: an id has one live point; each has a vector that may be inserted; the counts are right.
Status DatabaseSnapshotImpl::VerifyPoints() const {
  std::unordered_set<ExternalId> met;
  size_t live = 0, present = 0;
  const IndexOptions& o = options();
  for (SlotId slot = 0; slot < graph_->slots(); ++slot) {
    if (!graph_->IsPresent(slot) || slot == graph_->record().start) continue;
    ++present;
    const VectorView vector(graph_->Row(slot), o.scalar_type, o.dim);
    if (Status ok = check_.Vector(vector, "vector"); !ok) return Broken(slot, ok.error().message);
    if (!graph_->IsLive(slot)) continue;
    ++live;
    if (!met.insert(graph_->IdOf(slot)).second)
      return Broken(slot, "id " + std::to_string(graph_->IdOf(slot)) + ": expected once");
  }
  if (live == graph_->record().live && present == live + graph_->record().dead) return {};
  return MakeError(ErrorCode::kCorrupt,
                   "index \"" + graph_->record().name + "\": live and dead points: expected " +
                       std::to_string(graph_->record().live) + ", " +
                       std::to_string(graph_->record().dead) + ", found " + std::to_string(live) +
                       ", " + std::to_string(present - live));
}

Status DatabaseSnapshotImpl::Verify() const {
  try {
    Status ok = graph_->ReadAll();
    if (ok) ok = VerifyWords();
    if (ok) ok = VerifyReach();
    if (ok) ok = VerifyPoints();
    return ok;
  } catch (const std::bad_alloc&) {
    return NoMemory("verify");
  }
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
                              const std::filesystem::path& ids) const {
  try {
    return impl_->Dump(vectors, ids);
  } catch (const std::bad_alloc&) {
    return NoMemory("dump");
  }
}
Status DatabaseSnapshot::Verify() const { return impl_->Verify(); }

}  // namespace shoal
