// The index's readers: search, range search, and what ids and vectors are there.
#include <algorithm>
#include <bit>
#include <new>
#include <string>

#include "base/hooks.h"
#include "base/number.h"
#include "filter/filter_node.h"
#include "graph/rerank.h"
#include "index_batch.h"
#include "index_codes.h"
#include "index_impl.h"
#include "search_calls.h"

namespace shoal {
namespace {

// Whether `id` is none of `ids`; it is noted as the next of them. (A search may find a relocated
// point in two slots.) `table`: a hash table of positions + 1 in `ids`; its size is a power of two,
// and it is at most half full.
bool IsNew(ExternalId id, std::span<const ExternalId> ids, std::vector<uint32_t>& table) {
  const size_t mask = table.size() - 1;
  size_t at = (id * 0x9e3779b97f4a7c15u >> 32) & mask;
  for (; table[at] != 0; at = (at + 1) & mask)
    if (ids[table[at] - 1] == id) return false;
  table[at] = static_cast<uint32_t>(ids.size() + 1);
  return true;
}

}  // namespace

// Writes the k nearest that the last search has ranked, each id once, and returns their number. An
// empty `distances` is left out.
size_t IndexImpl::CollectHits(size_t k, std::span<ExternalId> ids, std::span<float> distances,
                              Scratch& scratch) const {
  // Read after the tags: a search that has seen two slots of one id sees the flag, too.
  const bool unique = any_left_.load(std::memory_order_relaxed);
  if (unique) scratch.id_table.assign(std::bit_ceil(2 * k), 0);
  size_t hits = 0;
  for (const Candidate& candidate : scratch.search.ranked) {
    if (hits == k) break;
    const ExternalId id = slots_.external_id(candidate.slot);
    if (unique && !IsNew(id, ids.first(hits), scratch.id_table)) continue;
    ids[hits] = id;
    if (!distances.empty()) distances[hits] = candidate.distance;
    ++hits;
  }
  return hits;
}

Status IndexImpl::RerankFor(VectorView query, Operation& op) const {
  std::byte* const buffer = op.scratch.row_buffer.data();
  if (const StoredVectors* const stored = rows_.stored())
    return stored->Rerank(
        [&](SlotId slot) {
          return FeatureKey{slot, slots_.external_id(slot)};
        },
        stored->codec().BindQuery(query, buffer), op);
  const Representation rows = rows_.ranking();
  Rerank(rows.rows(), rows.codec.BindQuery(query, buffer), op.work, op.scratch.search);
  return {};
}

Result<size_t> IndexImpl::Search(VectorView query, const SearchOptions& options,
                                 std::span<ExternalId> ids, std::span<float> distances,
                                 WorkCounters* work) const {
  if (Status valid = check_.Vector(query, "query"); !valid) return tl::unexpected(valid.error());
  if (Status ok = CheckSearch(options, ids, distances); !ok) return tl::unexpected(ok.error());
  if (options.max_per_label > 0) return SearchDiverse(query, options, {ids, distances, work});
  if (options.filter != nullptr) return SearchFiltered(query, options, {ids, distances, work});
  SearchPlan plan{.k = options.k,
                  .list_size = options.search_list_size,
                  .rerank = options.rerank,
                  .stop = options.stop};
  if (options.target_recall > 0) calibrator_->ApplyAndRenew(options.target_recall, query, plan);
  return Run(query, plan, ids, distances, work);
}

Result<bool> IndexImpl::Rank(VectorView query, const Ranking& ranking, Operation& op) const {
  const auto rank = [&](size_t candidates) -> Status {
    RankByList(candidates, op.scratch.search);
    return rows_.has_rerank() ? RerankFor(query, op) : Status();
  };
  if (Status done = rank(ranking.ranked); !done) return tl::unexpected(done.error());
  if (!graph_.vectors()) return true;
  const Codec& codec = rows_.traversal().codec;
  const auto [told, candidates] =
      JudgeHits(codec, query, ranking.k, OffsetOf(options_, codec, query), op.scratch.search);
  if (told && candidates > ranking.ranked && ranking.wanted == 0)
    if (Status done = rank(candidates); !done) return tl::unexpected(done.error());
  return told;
}

// All of its list is ranked.
void IndexImpl::SearchExactly(VectorView query, size_t list_size, SlotId left_out,
                              Operation& op) const {
  const Representation& rows = *graph_.vectors();
  const Scorer scorer = rows.codec.BindQuery(query, op.scratch.row_buffer.data());
  graph_.BeamSearch(rows, scorer, list_size, op, {.left_out = left_out});
  RankByList(list_size, op.scratch.search);
  SortRanked(op.scratch.search);
}

Result<size_t> IndexImpl::Run(VectorView query, const SearchPlan& plan, std::span<ExternalId> ids,
                              std::span<float> distances, WorkCounters* work) const {
  try {
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    Scratch& scratch = op.scratch;
    StopRequests requests(plan.stop, scratch.search);
    const Codec& codec = rows_.traversal().codec;
    const Scorer scorer = codec.BindQuery(query, scratch.query_buffer.data());
    // More candidates than points make no sense, and may not fit in memory.
    const size_t most = std::max<size_t>(1, slots_.high_water());
    const size_t k = std::min(plan.k, most);
    size_t list_size = std::max(plan.list_size, k);
    if (rows_.has_rerank()) list_size = ListOfEstimates(options_.code, list_size);
    list_size = std::min(list_size, most);
    size_t ranked = rows_.has_rerank()
                        ? CandidatesToRerank(options_.code, plan.rerank, k, list_size)
                        : list_size;
    SearchTerms terms{StopRuleOf(plan, k, options_, codec, query), plan.left_out};
    size_t hits = 0;
    for (;; list_size = std::min(2 * list_size, most), ranked = std::min(2 * ranked, list_size)) {
      graph_.BeamSearch(rows_.traversal(), scorer, list_size, op, terms);
      requests.Ignore();
      if (!op.fetched()) return tl::unexpected(op.fetched().error());
      const Result<bool> told = Rank(query, {k, ranked, plan.rerank}, op);
      if (!told) return tl::unexpected(told.error());
      if (!*told && !requests.IsStopped()) {
        SearchExactly(query, list_size, plan.left_out, op);
        if (!op.fetched()) return tl::unexpected(op.fetched().error());
      }
      hits = CollectHits(k, ids, distances, scratch);
      // If there are as many as asked for, of fewer than k ids, there are some of them twice.
      const bool found_all = !scratch.search.stopped && scratch.search.ranked.size() < ranked;
      if (hits == k || found_all || ranked >= most || requests.IsStopped()) break;
      terms.stop = {};
    }
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  }
}

Result<std::vector<Hit>> IndexImpl::Search(VectorView query, const SearchOptions& options) const {
  return SearchToHits(
      options, size(),
      [&](const SearchOptions& bounded, std::span<ExternalId> ids, std::span<float> distances) {
        return Search(query, bounded, ids, distances, nullptr);
      });
}

Status IndexImpl::SearchMany(MatrixView queries, const SearchOptions& options,
                             const SearchManyOutput& output, const BatchOptions& batch) const {
  return SearchBatch(
      queries, options, output, batch, check_.Shape(queries, "queries"),
      [&](VectorView query, std::span<ExternalId> ids, std::span<float> distances,
          WorkCounters* work) { return Search(query, options, ids, distances, work); });
}

// Where the traversal rows are codes, they have estimated which points are within.
Status IndexImpl::RerankWithin(VectorView query, float radius, Operation& op) const {
  SearchScratch& search = op.scratch.search;
  search.ranked = search.within;
  if (Status done = RerankFor(query, op); !done) return done;
  std::erase_if(search.ranked, [&](const Candidate& c) { return !(c.distance <= radius); });
  search.within = search.ranked;
  return {};
}

std::vector<Hit> IndexImpl::CollectWithin(Scratch& scratch) const {
  std::vector<Hit> hits;
  hits.reserve(scratch.search.within.size());
  const bool unique = any_left_.load(std::memory_order_relaxed);
  if (unique) scratch.id_table.assign(std::bit_ceil(2 * scratch.search.within.size() + 1), 0);
  std::vector<ExternalId> ids;
  for (const Candidate& candidate : scratch.search.within) {
    const ExternalId id = slots_.external_id(candidate.slot);
    if (unique && !IsNew(id, ids, scratch.id_table)) continue;
    ids.push_back(id);
    hits.push_back({id, candidate.distance});
  }
  return hits;
}

Result<std::vector<Hit>> IndexImpl::RangeSearch(VectorView query, const RangeOptions& options,
                                                WorkCounters* work) const {
  if (Status valid = check_.Vector(query, "query"); !valid) return tl::unexpected(valid.error());
  if (Status ok = CheckRangeSearch(options); !ok) return tl::unexpected(ok.error());
  try {
    auto guard = epochs_.Pin();
    Operation op(guard, rows_.buffer_bytes());
    const StopRequests requests(options.stop, op.scratch.search);
    // By the rows that order hits, if they are in memory: nothing is estimated. Estimates may be
    // too large: the vectors decide (RerankWithin). If they say nothing of points that are so near,
    // the vectors are fetched from the first.
    const Representation ranking = rows_.ranking();
    const bool estimates = rows_.stored() != nullptr && rows_.has_rerank();
    const float margin = estimates ? ranking.codec.RangeMargin(query, options.radius) : 0;
    const bool by_vectors = estimates && graph_.vectors() &&
                            margin >= options.radius + OffsetOf(options_, ranking.codec, query);
    const Representation rows = by_vectors ? *graph_.vectors() : ranking;
    const Scorer scorer = rows.codec.BindQuery(query, op.scratch.query_buffer.data());
    const size_t most = std::max<size_t>(1, slots_.high_water());
    const size_t list_size = std::clamp<size_t>(options.search_list_size, 1, most);
    RangeOptions wide = options;
    if (!by_vectors) wide.radius += margin;
    if (options.filter == nullptr) {
      graph_.RangeSearch(rows, scorer, list_size, wide.radius, op);
    } else {
      FindWithinFiltered(rows, scorer, list_size, wide, op);
    }
    if (!op.fetched()) return tl::unexpected(op.fetched().error());
    if (estimates && !by_vectors) {
      if (Status done = RerankWithin(query, options.radius, op); !done)
        return tl::unexpected(done.error());
    }
    std::vector<Hit> hits = CollectWithin(op.scratch);
    if (work != nullptr) *work = guard.work;
    return hits;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "search");
  } catch (const PredicateThrew& threw) {
    return ErrorOf(threw);
  }
}

std::optional<SlotId> IndexImpl::LiveSlotOf(ExternalId id) const {
  // The tag is read under the entry. Later an Upsert may retire the slot, or an Insert that fails
  // may leave it to another id.
  const auto entry = ids_.Lock(id);
  const auto slot = entry.slot();
  return slot && slots_.tag(*slot) == Tag::kLive ? slot : std::nullopt;
}

Status IndexImpl::ContainsMany(std::span<const ExternalId> ids,
                               std::span<uint8_t> contained) const {
  if (contained.size() != ids.size())
    return Invalid("contained", "one per id, " + Written(ids.size()), Written(contained.size()));
  for (size_t i = 0; i < ids.size(); ++i) contained[i] = Contains(ids[i]) ? 1 : 0;
  return {};
}

Status IndexImpl::CopyVector(ExternalId id, MutableVectorView out) const {
  auto guard = epochs_.Pin();  // Before the look-up: the row stands while it is copied.
  const std::optional<SlotId> slot = LiveSlotOf(id);
  SHOAL_SYNC_POINT("get.looked_up");
  if (!slot) return NotFound(id);
  return CopyVector({*slot, id}, out, guard);
}

Status IndexImpl::CopyVector(FeatureKey key, MutableVectorView out,
                             EpochRegistry::Guard& guard) const {
  if (rows_.stored() == nullptr) {
    CopyRow(key.slot, out);
    return {};
  }
  try {
    Operation op(guard, rows_.buffer_bytes());
    return rows_.stored()->Copy(key, out, op);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "get");
  }
}

Status IndexImpl::Get(ExternalId id, MutableVectorView vector) const {
  if (Status shape = check_.Shape({vector.data(), vector.type(), 1, vector.dim()}, "vector");
      !shape)
    return shape;
  return CopyVector(id, vector);
}

Result<BatchReport> IndexImpl::GetMany(std::span<const ExternalId> ids, MutableMatrixView rows,
                                       const BatchOptions& batch) const {
  constexpr size_t kGrain = 64;
  if (rows.rows() != ids.size())
    return Invalid("rows", "one per id, " + Written(ids.size()), Written(rows.rows()));
  if (ids.empty()) return BatchReport{};
  if (Status shape = check_.Shape(rows, "rows"); !shape) return tl::unexpected(shape.error());
  try {
    return RunBatch({"get", ids.size(), {}, kGrain}, batch,
                    [&](size_t i) { return CopyVector(ids[i], rows[i]); });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "get");
  }
}

Result<std::vector<ExternalId>> IndexImpl::Ids() const {
  try {
    std::vector<ExternalId> ids;
    ids.reserve(size());
    ids_.ForEach([&](SlotId slot) {
      if (slots_.tag(slot) == Tag::kLive) ids.push_back(slots_.external_id(slot));
    });
    return ids;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "ids");
  }
}

}  // namespace shoal
