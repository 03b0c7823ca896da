#include <bit>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>
#include <string>

#include "filtered_search.h"
#include "graph/rerank.h"
#include "graph/searcher.h"
#include "index_codes.h"
#include "index_view_impl.h"
#include "persist/list_codes.h"
#include "persist/read_blocks.h"
#include "search_calls.h"
#include "shoal/snapshot.h"

namespace shoal {
namespace {

// All blocks where they are in the file, their checksums compared.
Result<Reservation> CopySnapshot(const SnapshotReader& reader, size_t threads) {
  const uint64_t bytes = reader.header().file_bytes;
  Reservation copy = Reservation::Reserve(bytes);
  MemoryBudget no_limit(0);
  if (copy.base() == nullptr || !copy.Commit(bytes, no_limit)) return NoMemory("copy of the file");
  const auto place = [&](SnapshotSection section, size_t block,
                         const std::vector<std::byte>& from) -> Status {
    std::memcpy(copy.base() + reader.OffsetOf(section, block), from.data(), from.size());
    return {};
  };
  if (Status ok = ReadAllBlocks(reader, place, {.threads = threads}); !ok)
    return tl::unexpected(ok.error());
  return copy;
}

}  // namespace

Status IndexViewImpl::Place(const SnapshotReader& reader, const ViewOptions& options) {
  const SnapshotHeader& header = reader.header();
  const std::byte* file = nullptr;
  if (options.memory == ViewOptions::Memory::kMapped) {
    Result<MappedFile> mapped = reader.file().Map();
    if (!mapped) return tl::unexpected(mapped.error());
    snapshot_.file = std::move(*mapped);
    file = snapshot_.file.data();
  } else {
    Result<Reservation> copy = CopySnapshot(reader, options.threads);
    if (!copy) return tl::unexpected(copy.error());
    snapshot_.copy = std::move(*copy);
    file = snapshot_.copy.base();
  }
  // Read-only: nothing writes through it.
  auto* const bytes = const_cast<std::byte*>(file);
  const auto at = [&](SnapshotSection section) { return bytes + header.OffsetOf(section); };
  snapshot_.rows.store(at(SnapshotSection::kRows), std::memory_order_relaxed);
  if (snapshot_.has_rerank())
    snapshot_.rerank_rows.store(at(SnapshotSection::kRerankRows), std::memory_order_relaxed);
  snapshot_.ids = reinterpret_cast<const ExternalId*>(at(SnapshotSection::kIds));
  if (header.label_pages != 0)
    snapshot_.labels = SnapshotLabels(at(SnapshotSection::kLabels),
                                      header.label_pages * kSnapshotPage, header.points);
  snapshot_.lists = at(SnapshotSection::kLists);
  if (options.list_codes == ViewOptions::ListCodes::kAsSaved || header.has_list_codes != 0)
    return {};
  Result<Reservation> lists = MakeListCodes(header, file, options.threads);
  if (!lists) return tl::unexpected(lists.error());
  snapshot_.made_lists = std::move(*lists);
  snapshot_.lists = snapshot_.made_lists.base();
  snapshot_.header.has_list_codes = 1;
  return {};
}

Result<std::unique_ptr<IndexViewImpl>> IndexViewImpl::Open(const std::filesystem::path& path,
                                                           const ViewOptions& options) {
  const Result<SnapshotReader> reader = SnapshotReader::Open(path);
  if (!reader) return tl::unexpected(reader.error());
  const SnapshotHeader& header = reader->header();
  if (header.has_slots != 0)
    return Mismatch(ErrorCode::kUnsupported, path, "vectors", "in the file",
                    "in a feature store (Index::LoadWithFeatures)");
  Result<SnapshotSeeds> seeds = ReadSeeds(*reader);
  if (!seeds) return tl::unexpected(seeds.error());
  Result<SnapshotCodecs> codecs = MakeSnapshotCodecs(*reader);
  if (!codecs) return tl::unexpected(codecs.error());
  std::unique_ptr<IndexViewImpl> impl(new IndexViewImpl(path, header, std::move(*codecs)));
  OpenSnapshot& snapshot = impl->snapshot_;
  snapshot.has_clusters = HaveClusters(*seeds, header.entries());
  snapshot.seeds = std::move(*seeds);
  if (Status ok = impl->Place(*reader, options); !ok) return tl::unexpected(ok.error());
  return impl;
}

ViewScratch& IndexViewImpl::ScratchOf(EpochRegistry::Guard& guard) const {
  auto& scratch = guard.cell().scratch;
  if (scratch == nullptr) scratch = std::make_unique<ViewScratch>();
  return static_cast<ViewScratch&>(*scratch);
}

size_t IndexViewImpl::Plan(const SnapshotRows& rows, const FilteredSearchOptions& options,
                           WorkCounters& work, SearchScratch& scratch) const {
  const auto look_up = [&](ExternalId id) {
    const SlotId point = Find(id);
    return point == kNoSlot ? std::nullopt : std::optional(point);
  };
  return PlanFiltered(SnapshotView(snapshot_, rows), options, look_up, work, scratch);
}

size_t IndexViewImpl::FindNearest(VectorView query, const SearchPlan& plan, size_t list_size,
                                  WorkCounters& work, ViewScratch& scratch) const {
  SearchScratch& search = scratch.search;
  const size_t k = std::min(plan.k, list_size);
  const size_t reranked = CandidatesToRerank(options().code, plan.rerank, k, list_size);
  if (plan.filter == nullptr) {
    const SearchTerms terms{StopRuleOf(plan, k, options(), *codecs_.traversal, query),
                            plan.left_out};
    Searcher(SnapshotView(snapshot_, snapshot_.TraversalRows()),
             Bind(*codecs_.traversal, query, scratch.query_buffer), {}, work, search)
        .FindNearest(list_size, terms);
    return reranks() ? reranked : 0;
  }
  const Scorer probe = Bind(*codecs_.traversal, query, scratch.query_buffer);
  const size_t list =
      Plan(snapshot_.TraversalRows(), {plan.filter->node(), list_size, options().max_degree, probe},
           work, search);
  // A scan scores few points, and so exactly.
  const bool is_exact = search.filter->plan == FilterPlan::kScan;
  const SnapshotRows rows = is_exact ? snapshot_.RankingRows() : snapshot_.TraversalRows();
  const Codec& codec = is_exact ? ranking() : *codecs_.traversal;
  Searcher searcher(ViewOf(*plan.filter, rows, work, search),
                    Bind(codec, query, scratch.query_buffer), {}, work, search);
  searcher.FindNearest(list);
  if (is_exact || !snapshot_.has_rerank()) return 0;
  return searcher.has_scored_all() ? list : reranked;  // As IndexImpl::SearchFiltered.
}

// By the rows that order hits; as in IndexImpl::Run and SearchFiltered.
void IndexViewImpl::RankExactly(VectorView query, const SearchPlan& plan, size_t list_size,
                                WorkCounters& work, ViewScratch& scratch) const {
  SearchScratch& search = scratch.search;
  const SnapshotRows rows = snapshot_.RankingRows();
  const Scorer scorer = Bind(ranking(), query, scratch.rerank_buffer);
  Rerank(rows.rows, scorer, work, search);
  if (!YieldsToRerankRows(options().code)) return;
  const Codec& codec = *codecs_.traversal;
  const size_t k = std::min(plan.k, list_size), ranked = search.ranked.size();
  const auto [told, candidates] =
      JudgeHits(codec, query, k, OffsetOf(options(), codec, query), search);
  if (told && (candidates <= ranked || plan.rerank != 0)) return;
  if (told) {
    RankByList(candidates, search);
    return Rerank(rows.rows, scorer, work, search);
  }
  if (plan.filter == nullptr) {
    Searcher(SnapshotView(snapshot_, rows), scorer, {}, work, search)
        .FindNearest(list_size, {.left_out = plan.left_out});
  } else {
    search.filter->Restart(list_size);
    list_size = ListOf(search.filter->plan, list_size);
    Searcher(ViewOf(*plan.filter, rows, work, search), scorer, {}, work, search)
        .FindNearest(list_size);
  }
  RankByList(list_size, search);
  SortRanked(search);
}

Result<size_t> IndexViewImpl::Search(VectorView query, const SearchOptions& options,
                                     std::span<ExternalId> ids, std::span<float> distances,
                                     WorkCounters* work) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckSearch(options, ids, distances); !ok) return tl::unexpected(ok.error());
  if (options.max_per_label > 0) return SearchDiverse(query, options, ids, distances, work);
  SearchPlan plan{.k = options.k,
                  .list_size = options.search_list_size,
                  .rerank = options.rerank,
                  .filter = options.filter};
  if (options.target_recall > 0 && plan.filter == nullptr)
    calibrator_.Apply(options.target_recall, plan);
  return Run(query, plan, ids, distances, work);
}

Result<size_t> IndexViewImpl::Run(VectorView query, const SearchPlan& plan,
                                  std::span<ExternalId> ids, std::span<float> distances,
                                  WorkCounters* work) const {
  try {
    auto guard = epochs_.Pin();
    ViewScratch& scratch = ScratchOf(guard);
    const size_t most = std::max<size_t>(1, snapshot_.header.entries());
    const size_t k = std::min(plan.k, most);
    size_t list_size = std::max(plan.list_size, k);
    if (reranks() && plan.filter == nullptr) list_size = ListOfEstimates(options().code, list_size);
    list_size = std::min(list_size, most);
    const size_t reranked = FindNearest(query, plan, list_size, guard.work, scratch);
    RankByList(reranked > 0 ? reranked : list_size, scratch.search);
    if (reranked > 0) RankExactly(query, plan, list_size, guard.work, scratch);
    const std::vector<Candidate>& ranked = scratch.search.ranked;
    const size_t hits = std::min(k, ranked.size());
    for (size_t i = 0; i < hits; ++i) {
      ids[i] = snapshot_.ids[ranked[i].slot];
      if (!distances.empty()) distances[i] = ranked[i].distance;
    }
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

Result<std::vector<Hit>> IndexViewImpl::RangeSearch(VectorView query, const RangeOptions& options,
                                                    WorkCounters* work) const {
  if (Status ok = check_.Vector(query, "query"); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckRangeSearch(options); !ok) return tl::unexpected(ok.error());
  try {
    auto guard = epochs_.Pin();
    ViewScratch& scratch = ScratchOf(guard);
    const size_t most = std::max<size_t>(1, snapshot_.header.entries());
    const SnapshotRows rows = snapshot_.RankingRows();
    const Scorer scorer = Bind(ranking(), query, scratch.query_buffer);
    const size_t list_size = std::clamp<size_t>(options.search_list_size, 1, most);
    if (options.filter == nullptr) {
      FindWithin(SnapshotView(snapshot_, rows), scorer, list_size, options.radius, guard.work,
                 scratch.search);
    } else {
      const size_t list =
          Plan(rows, {options.filter->node(), list_size, this->options().max_degree, scorer},
               guard.work, scratch.search);
      FindWithin(ViewOf(*options.filter, rows, guard.work, scratch.search), scorer, list,
                 options.radius, guard.work, scratch.search);
    }
    std::vector<Hit> hits;
    hits.reserve(scratch.search.within.size());
    for (const Candidate& candidate : scratch.search.within)
      hits.push_back({snapshot_.ids[candidate.slot], candidate.distance});
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

std::vector<SlotId> IndexViewImpl::Live() const {
  std::vector<SlotId> points(size());
  std::iota(points.begin(), points.end(), SlotId{0});
  return points;
}

namespace {

size_t PlaceOf(ExternalId id, size_t mask) { return (id * 0x9e3779b97f4a7c15u >> 32) & mask; }

}  // namespace

void IndexViewImpl::MakeIdTable() const {
  std::vector<SlotId> table(std::bit_ceil(2 * size() + 1), kNoSlot);
  const size_t mask = table.size() - 1;
  for (SlotId point = 0; point < size(); ++point) {
    size_t at = PlaceOf(snapshot_.ids[point], mask);
    while (table[at] != kNoSlot) at = (at + 1) & mask;
    table[at] = point;
  }
  id_table_ = std::move(table);
}

SlotId IndexViewImpl::Find(ExternalId id) const {
  std::call_once(made_id_table_, [this] { MakeIdTable(); });  // Once more after bad_alloc.
  const size_t mask = id_table_.size() - 1;
  for (size_t at = PlaceOf(id, mask); id_table_[at] != kNoSlot; at = (at + 1) & mask)
    if (snapshot_.ids[id_table_[at]] == id) return id_table_[at];
  return kNoSlot;
}

Status IndexViewImpl::Get(ExternalId id, MutableVectorView vector) const {
  if (Status ok = check_.Shape({vector.data(), vector.type(), 1, vector.dim()}, "vector"); !ok)
    return ok;
  try {
    const SlotId point = Find(id);
    if (point == kNoSlot)
      return MakeError(ErrorCode::kNotFound, "id " + std::to_string(id) + ": not there");
    ranking().Decode(snapshot_.RankingRows().rows.At(point), vector);
    return {};
  } catch (const std::bad_alloc&) {
    return NoMemory("ids");
  }
}

IndexView::IndexView(std::unique_ptr<IndexViewImpl> impl) : impl_(std::move(impl)) {}
IndexView::~IndexView() = default;
IndexView::IndexView(IndexView&&) noexcept = default;
IndexView& IndexView::operator=(IndexView&&) noexcept = default;

Result<IndexView> IndexView::Open(const std::filesystem::path& path, const ViewOptions& options) {
  try {
    Result<std::unique_ptr<IndexViewImpl>> impl = IndexViewImpl::Open(path, options);
    if (!impl) return tl::unexpected(impl.error());
    return IndexView(std::move(*impl));
  } catch (const std::bad_alloc&) {
    return NoMemory("view");
  }
}

Result<size_t> IndexView::Search(VectorView query, const SearchOptions& options,
                                 std::span<ExternalId> ids, std::span<float> distances,
                                 WorkCounters* work) const {
  return impl_->Search(query, options, ids, distances, work);
}

Result<std::vector<Hit>> IndexView::Search(VectorView query, const SearchOptions& options) const {
  return SearchToHits(
      options, size(),
      [&](const SearchOptions& bounded, std::span<ExternalId> ids, std::span<float> distances) {
        return impl_->Search(query, bounded, ids, distances, nullptr);
      });
}

Status IndexView::SearchMany(MatrixView queries, const SearchOptions& options,
                             const SearchManyOutput& output, const BatchOptions& batch) const {
  return SearchBatch(
      queries, options, output, batch, impl_->check().Shape(queries, "queries"),
      [&](VectorView query, std::span<ExternalId> ids, std::span<float> distances,
          WorkCounters* work) { return impl_->Search(query, options, ids, distances, work); });
}

Result<std::vector<Hit>> IndexView::RangeSearch(VectorView query, const RangeOptions& options,
                                                WorkCounters* work) const {
  return impl_->RangeSearch(query, options, work);
}
Result<RangeHits> IndexView::RangeSearchMany(MatrixView queries, const RangeOptions& options,
                                             const BatchOptions& batch) const {
  return RangeSearchBatch(queries, options, batch,
                          [&](VectorView query) { return RangeSearch(query, options); });
}

Result<Calibration> IndexView::Calibrate(size_t k, double target, const BatchOptions& batch) {
  return impl_->calibrator().Calibrate(k, target, batch);
}
std::optional<Calibration> IndexView::CalibrationFor(size_t k, double target) const {
  return impl_->calibrator().Find(k, target);
}

bool IndexView::Contains(ExternalId id) const {
  try {
    return impl_->Find(id) != kNoSlot;
  } catch (const std::bad_alloc&) {
    return false;
  }
}
Status IndexView::Get(ExternalId id, MutableVectorView vector) const {
  return impl_->Get(id, vector);
}
std::span<const ExternalId> IndexView::ids() const { return impl_->ids(); }
size_t IndexView::size() const { return impl_->size(); }
const IndexOptions& IndexView::options() const { return impl_->options(); }

Status IndexView::Verify(const BatchOptions& batch) const {
  Result<SnapshotInfo> verified = VerifySnapshot(impl_->path(), batch);
  if (!verified) return tl::unexpected(verified.error());
  return {};
}

}  // namespace shoal
