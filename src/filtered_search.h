// Searches with a filter: how its hits are found is chosen by estimated cost, and the promise of
// shoal/filter.h kept (filtered_view.h says how).
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>

#include "graph/filtered_view.h"
#include "graph/searcher.h"

namespace shoal {

// Bytes of a row that a scan scores, and of one that a traversal does.
struct FilteredRowBytes {
  size_t scanned = 0, traversed = 0;
};

// What a plan is chosen by.
struct FilterEstimate {
  size_t list_size = 0;
  size_t max_degree = 0;
  FilteredRowBytes row_bytes;
  bool has_predicate = false;
  double superset = 0;  // Ids of a set that has all that the filter accepts; 0: there is none.
  double live = 0;      // Points,
  double accepted = 0;  // of which the filter accepts about so many,
  double at_least = 0;  // and hardly fewer than these.
};

// Below so many accepted points, seeds that are refused may be more than a tenth of them: they are
// scored one by one.
inline constexpr size_t kFewAccepted = 4000;

// How much longer the list is where refused points are not scored: fewer ways lead to the nearest.
inline constexpr size_t kTwoHopLists = 2;

// The list that a search of this plan has.
inline size_t ListOf(FilterPlan plan, size_t list_size) {
  return plan == FilterPlan::kTwoHop ? kTwoHopLists * list_size : list_size;
}

// The plan that takes the least CPU time, of those that keep the promise.
FilterPlan ChoosePlan(const FilterEstimate& estimate);
// Whether a scan looks the superset's ids up, or judges all points.
bool ScansByLookUp(const FilterEstimate& estimate);

// A number that is as good as random, for the i-th of a sample of [0, n).
inline SlotId SampledSlot(size_t i, SlotId n) {
  const uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15u;
  return static_cast<SlotId>((mixed ^ mixed >> 31) % n);
}

// Judges up to 1024 points: fewer where many are accepted.
template <class View>
FilterEstimate EstimateBySample(const FilteredView<View>& view, FilterEstimate estimate) {
  constexpr size_t kPiece = 64, kMaxPieces = 16, kManyAccepted = 64;
  const SlotId slots = view.stamp().high_water;
  if (slots == 0) return estimate;
  size_t eligible = 0, accepted = 0;
  for (size_t piece = 0; piece < kMaxPieces && accepted < kManyAccepted; ++piece) {
    SlotId ids[kPiece];
    for (size_t i = 0; i < kPiece; ++i) ids[i] = SampledSlot(piece * kPiece + i, slots);
    const auto sample = view.Take(ids, kPiece);
    eligible += sample.eligible;
    accepted += sample.accepted;
  }
  if (eligible == 0) return estimate;
  const auto all = static_cast<double>(eligible), some = static_cast<double>(accepted);
  const double share = some / all;
  // Three standard deviations below: the lower end of Wilson's interval, which also holds where all
  // of the sample or nothing is accepted.
  constexpr double kZ = 3;
  const double middle = share + kZ * kZ / (2 * all);
  const double deviation = std::sqrt(share * (1 - share) / all + kZ * kZ / (4 * all * all));
  const double low = std::max(0.0, (middle - kZ * deviation) / (1 + kZ * kZ / all));
  estimate.accepted = estimate.live * share;
  estimate.at_least = estimate.live * low;
  if (estimate.superset > 0) estimate.at_least = std::min(estimate.at_least, estimate.superset);
  return estimate;
}

struct FilteredSearchOptions {
  const FilterNode& filter;
  size_t list_size;
  size_t max_degree;
  FilteredRowBytes row_bytes;
  const Scorer& scorer;  // Of the view's rows.
};

// Whether the filter refuses nearly all that is near the query, though not elsewhere. Then hits lie
// around a hole, and a traversal finds those on its own side of it: at 20 % of sift-100k, the
// farthest, half of them. A short search without the filter finds the surroundings; of these as
// many are judged as tell it from chance: what it has found, and if that is too little what its
// lists lead to, which may be beyond the hole.
template <class View>
bool RefusesSurroundings(const View& view, const FilteredSearchOptions& options,
                         const FilterEstimate& estimate, WorkCounters& work,
                         SearchScratch& scratch) {
  constexpr size_t kMaxList = 16, kSeeds = 100, kPerEntry = 32;  // What a search costs, about.
  constexpr double kEnoughNear = 6, kEnoughExpected = 16, kMuchLess = 4;
  constexpr size_t kMaxPoints = 4096;
  FilterScratch& filter = *scratch.filter;
  const FilteredView<View> judge(view, options.filter, work, filter);
  const size_t affordable = std::max(filter.max_refused, kSeeds) - kSeeds;
  const uint64_t before = work.distances;
  Searcher(view, options.scorer, {}, work, scratch)
      .FindNearest(std::clamp<size_t>(affordable / kPerEntry, 4, kMaxList));
  filter.scored = filter.refused = work.distances - before;
  std::vector<SlotId> near;
  for (size_t i = 0; i < scratch.best.size(); ++i) near.push_back(scratch.best[i].slot);
  const double share = estimate.accepted / estimate.live;
  const size_t found = std::min(near.size(), SearchScratch::kMaxIds);
  std::copy_n(near.begin(), found, filter.far_ids);
  auto [eligible, accepted] = judge.Take(filter.far_ids, found);
  const auto are_few = [&] {
    return static_cast<double>(accepted) * kMuchLess < static_cast<double>(eligible) * share;
  };
  if (static_cast<double>(eligible) * share >= kEnoughNear) return are_few();
  for (size_t i = 0; i < near.size() && near.size() < kMaxPoints &&
                     static_cast<double>(eligible) * share < kEnoughExpected;
       ++i) {
    ++work.lists_read;
    const size_t listed = view.CopyList(near[i], filter.far_ids);
    const size_t n = filter.far.KeepNew(filter.far_ids, listed);
    near.insert(near.end(), filter.far_ids, filter.far_ids + n);
    const auto sample = judge.Take(filter.far_ids, n);
    eligible += sample.eligible;
    accepted += sample.accepted;
  }
  filter.far.Reset(64 * options.list_size);
  return are_few();
}

// Prepares `scratch` for a search over `view`. look_up(id): the id's live slot, or nullopt. Returns
// the list size that the plan takes.
template <class View, class LookUp>
size_t PlanFiltered(const View& view, const FilteredSearchOptions& options, const LookUp& look_up,
                    WorkCounters& work, SearchScratch& scratch) {
  if (scratch.filter == nullptr) scratch.filter = std::make_unique<FilterScratch>();
  FilterScratch& filter = *scratch.filter;
  filter.Reset(FilterPlan::kScan, options.list_size);
  ++work.filter_scans;
  const IdSet* const superset = options.filter.Superset();
  FilterEstimate estimate{
      .list_size = options.list_size,
      .max_degree = options.max_degree,
      .row_bytes = options.row_bytes,
      .has_predicate = options.filter.has_predicate,
      .superset = superset == nullptr ? 0 : static_cast<double>(superset->size()),
      .live = static_cast<double>(view.live())};
  // Of few points no sample is needed.
  const bool is_small = superset != nullptr && superset->size() <= kFewAccepted;
  if (!is_small && view.stamp().high_water > kFewAccepted) {
    estimate = EstimateBySample(FilteredView<View>(view, options.filter, work, filter), estimate);
    filter.plan = ChoosePlan(estimate);
  }
  if (filter.plan == FilterPlan::kScan) {
    if (superset == nullptr || !(is_small || ScansByLookUp(estimate))) return options.list_size;
    filter.is_listed = true;
    superset->ForEach([&](ExternalId id) {
      if (const std::optional<SlotId> slot = look_up(id)) filter.listed.push_back(*slot);
    });
    return options.list_size;
  }
  // It is looked at between expansions, of which one may score a whole list.
  const auto tenth = static_cast<size_t>(estimate.at_least / 10);
  filter.max_refused = tenth - std::min(tenth, options.max_degree);
  filter.max_scored = static_cast<size_t>(estimate.at_least * 1.1);
  if (RefusesSurroundings(view, options, estimate, work, scratch)) {
    filter.plan = FilterPlan::kScan;
    return options.list_size;
  }
  --work.filter_scans;
  ++(filter.plan == FilterPlan::kTwoHop ? work.filter_two_hops : work.filter_traversals);
  return ListOf(filter.plan, options.list_size);
}

}  // namespace shoal
