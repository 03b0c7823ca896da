#include <bit>
#include <cmath>
#include <cstring>
#include <new>
#include <numeric>
#include <string>

#include "base/mismatch.h"
#include "filtered_search.h"
#include "graph/rerank.h"
#include "graph/searcher.h"
#include "index_codes.h"
#include "index_view_impl.h"
#include "search_calls.h"
#include "shoal/snapshot.h"

namespace shoal {

ViewScratch& IndexViewImpl::ScratchOf(EpochRegistry::Guard& guard) const {
  auto& scratch = guard.cell().scratch;
  if (scratch == nullptr) scratch = std::make_unique<ViewScratch>();
  return static_cast<ViewScratch&>(*scratch);
}

// A scan is exact where the vectors are in the file.
FilteredRowBytes IndexViewImpl::FilteredRows() const {
  const size_t traversed = codecs_.traversal->row_bytes();
  return {stored_ == nullptr ? ranking().row_bytes() : traversed, traversed};
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
  const size_t list = Plan(
      snapshot_.TraversalRows(),
      {plan.filter->node(), list_size, options().max_degree, FilteredRows(), probe}, work, search);
  // A scan scores few points, and so exactly, where the vectors are in the file.
  const bool is_exact = search.filter->plan == FilterPlan::kScan && stored_ == nullptr;
  const SnapshotRows rows = is_exact ? snapshot_.RankingRows() : snapshot_.TraversalRows();
  const Codec& codec = is_exact ? ranking() : *codecs_.traversal;
  Searcher searcher(ViewOf(*plan.filter, rows, work, search),
                    Bind(codec, query, scratch.query_buffer), {}, work, search);
  searcher.FindNearest(list);
  if (is_exact || !reranks()) return 0;
  return searcher.has_scored_all() ? list : reranked;  // As IndexImpl::SearchFiltered.
}

// By the rows that order hits; as in IndexImpl::Run and SearchFiltered.
Status IndexViewImpl::RankExactly(VectorView query, const SearchPlan& plan, size_t list_size,
                                  WorkCounters& work, ViewScratch& scratch) const {
  if (stored_ != nullptr) return RankByStore(query, work, scratch);
  SearchScratch& search = scratch.search;
  const SnapshotRows rows = snapshot_.RankingRows();
  const Scorer scorer = Bind(ranking(), query, scratch.rerank_buffer);
  Rerank(rows.rows, scorer, work, search);
  if (!YieldsToRerankRows(options().code)) return {};
  const Codec& codec = *codecs_.traversal;
  const size_t k = std::min(plan.k, list_size), ranked = search.ranked.size();
  const auto [told, candidates] =
      JudgeHits(codec, query, k, OffsetOf(options(), codec, query), search);
  if (told && (candidates <= ranked || plan.rerank != 0)) return {};
  if (!told && plan.stop.stop_requested()) return {};
  if (told) {
    RankByList(candidates, search);
    Rerank(rows.rows, scorer, work, search);
    return {};
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
  return {};
}

Status IndexViewImpl::RankByStore(VectorView query, WorkCounters& work,
                                  ViewScratch& scratch) const {
  return stored_->Rerank([&](SlotId point) { return KeyOf(point); },
                         Bind(stored_->codec(), query, scratch.rerank_buffer),
                         {scratch.fetch, scratch.search, work});
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
                  .filter = options.filter,
                  .stop = options.stop};
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
    StopRequests requests(plan.stop, scratch.search);
    const size_t most = std::max<size_t>(1, snapshot_.header.entries());
    const size_t k = std::min(plan.k, most);
    size_t list_size = std::max(plan.list_size, k);
    if (reranks() && plan.filter == nullptr) list_size = ListOfEstimates(options().code, list_size);
    list_size = std::min(list_size, most);
    const size_t reranked = FindNearest(query, plan, list_size, guard.work, scratch);
    requests.Ignore();
    RankByList(reranked > 0 ? reranked : list_size, scratch.search);
    if (reranked > 0) {
      if (Status ok = RankExactly(query, plan, list_size, guard.work, scratch); !ok)
        return tl::unexpected(ok.error());
    }
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
    // As IndexImpl::RangeSearch: by codes, or by vectors in the file.
    const float margin =
        stored_ == nullptr ? 0 : codecs_.traversal->RangeMargin(query, options.radius);
    const float radius = options.radius + margin;
    SearchScratch& search = scratch.search;
    const StopRequests requests(options.stop, search);
    if (options.filter == nullptr) {
      FindWithin(SnapshotView(snapshot_, rows), scorer, list_size, radius, guard.work, search);
    } else {
      const size_t list = Plan(rows,
                               {options.filter->node(),
                                list_size,
                                this->options().max_degree,
                                {codecs_.traversal->row_bytes(), codecs_.traversal->row_bytes()},
                                scorer},
                               guard.work, search);
      FindWithin(ViewOf(*options.filter, rows, guard.work, search), scorer, list, radius,
                 guard.work, search);
    }
    if (stored_ != nullptr) {
      search.ranked = search.within;
      if (Status ok = RankByStore(query, guard.work, scratch); !ok)
        return tl::unexpected(ok.error());
      std::erase_if(search.ranked,
                    [&](const Candidate& c) { return !(c.distance <= options.radius); });
      search.within = search.ranked;
    }
    std::vector<Hit> hits;
    hits.reserve(search.within.size());
    for (const Candidate& candidate : search.within)
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
    return CopyVector(point, vector);
  } catch (const std::bad_alloc&) {
    return NoMemory("get");
  }
}

Status IndexViewImpl::CopyVector(SlotId point, MutableVectorView out) const {
  if (stored_ == nullptr) {
    ranking().Decode(snapshot_.RankingRows().rows.At(point), out);
    return {};
  }
  auto guard = epochs_.Pin();
  ViewScratch& scratch = ScratchOf(guard);
  return stored_->Copy(KeyOf(point), out, {scratch.fetch, scratch.search, guard.work});
}

// As the index's (index_calibration.cc).
Result<std::optional<ExternalId>> IndexViewImpl::Copy(SlotId slot, MutableVectorView out) const {
  const Status copied = CopyVector(slot, out);
  if (copied) return snapshot_.ids[slot];
  if (copied.error().code == ErrorCode::kNotFound) return std::nullopt;
  return tl::unexpected(copied.error());
}

IndexView::IndexView(std::unique_ptr<IndexViewImpl> impl) : impl_(std::move(impl)) {}
IndexView::~IndexView() = default;
IndexView::IndexView(IndexView&&) noexcept = default;
IndexView& IndexView::operator=(IndexView&&) noexcept = default;

Result<IndexView> IndexView::OpenOver(const std::filesystem::path& path,
                                      std::unique_ptr<FeatureStore> store,
                                      const ViewOptions& options) {
  try {
    Result<std::unique_ptr<IndexViewImpl>> impl =
        IndexViewImpl::Open(path, std::move(store), options);
    if (!impl) return tl::unexpected(impl.error());
    return IndexView(std::move(*impl));
  } catch (const std::bad_alloc&) {
    return NoMemory("view");
  }
}

Result<IndexView> IndexView::Open(const std::filesystem::path& path, const ViewOptions& options) {
  return OpenOver(path, nullptr, options);
}

Result<IndexView> IndexView::OpenWithFeatures(const std::filesystem::path& path,
                                              std::unique_ptr<FeatureStore> store,
                                              const ViewOptions& options) {
  if (store == nullptr)
    return Mismatch(ErrorCode::kInvalidArgument, "store", "a feature store", "null");
  return OpenOver(path, std::move(store), options);
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
