// A view with a filter: what the filter refuses is no hit.
//
// Problem: a traversal must score points that are refused to get to those that are not, and where
// few are accepted that costs more than to score the accepted points one by one. To score them all
// costs too much where many are accepted.
//
// Idea: whatever is traversed, an accepted point is scored at most once, so a search that falls
// back to scoring all of them costs their number and what it has spent on refused ones. That is
// kept below a tenth of their number. Three plans, chosen by filtered_search.h:
//
// - kScan: nothing is traversed.
// - kPassThrough: refused points are scored, and passed through as deleted points are.
// - kTwoHop: a refused point is not scored. Its own list is read at once, and what is accepted
// there
//   stands in its place. (Of Patel et al., "ACORN", SIGMOD 2024, section 5; deviations: 1. on a
//   graph that was not built denser; 2. lists of refused points are read until kEnough accepted
//   ones are found; 3. seeds are scored, accepted or not.)
//
// A point is judged when it is met. Judgements of one point in one search may differ if its labels
// change meanwhile; what is returned was accepted when it was scored.
#pragma once

#include <algorithm>
#include <vector>

#include "filter/filter_node.h"
#include "graph/search_scratch.h"
#include "shoal/stats.h"
#include "store/rows.h"

namespace shoal {

enum class FilterPlan : uint8_t { kScan, kPassThrough, kTwoHop };

struct FilterScratch {
  // Set before the search.
  FilterPlan plan = FilterPlan::kScan;
  bool is_listed = false;      // A scan is over `listed` alone,
  std::vector<SlotId> listed;  // different slots that were live under the search's guard.
  size_t max_refused = 0;      // So many refused points may be scored while the list is not full,
  size_t max_scored = 0;       // and so many points in all when it is.

  // Of this search.
  size_t scored = 0;
  size_t refused = 0;       // Of those.
  bool are_judged = false;  // Whether the ids that KeepReadable gets next are accepted ones.
  VisitedSet near;          // Points that were met in the list of an expanded point,
  VisitedSet far;           // or in that of a refused one.
  SlotId refused_near[SearchScratch::kMaxIds];
  SlotId far_ids[SearchScratch::kMaxIds];
  bool flags[SearchScratch::kMaxIds];

  void Reset(FilterPlan next_plan, size_t list_size) {
    plan = next_plan;
    is_listed = false;
    listed.clear();
    max_refused = max_scored = 0;
    Restart(list_size);
  }
  // For another search of the same plan.
  void Restart(size_t list_size) {
    scored = refused = 0;
    are_judged = false;
    near.Reset(16 * list_size);
    far.Reset(64 * list_size);
  }
  size_t bytes() const { return sizeof(*this) + near.bytes() + far.bytes() + HeapBytes(listed); }
};
static_assert(SearchScratch::kMaxIds <= kMaxJudged);

// A small value. What it refers to outlives it; `scratch` is this search's.
template <class View>
class FilteredView {
 public:
  using Stamp = typename View::Stamp;
  static constexpr bool kIsFiltered = true;

  FilteredView(const View& view, const FilterNode& filter, WorkCounters& work,
               FilterScratch& scratch)
      : view_(view), since_(view.stamp()), filter_(filter), work_(work), scratch_(scratch) {}

  SlotId start() const { return view_.start(); }
  decltype(auto) rows() const { return view_.rows(); }
  // Points, accepted or not.
  size_t live() const { return view_.live(); }
  Stamp stamp() const {
    Stamp stamp = since_;
    if (scratch_.is_listed) stamp.high_water = static_cast<SlotId>(scratch_.listed.size());
    return stamp;
  }

  bool MustScan() const { return scratch_.plan == FilterPlan::kScan; }
  bool IsSpent(bool full) const {
    return scratch_.refused > scratch_.max_refused &&
           (!full || scratch_.scored > scratch_.max_scored);
  }
  void NoteScan() const {
    if (!MustScan()) ++work_.filter_fallbacks;
  }

  size_t CopyList(SlotId slot, SlotId* out) const {
    const size_t n = view_.CopyList(slot, out);
    return scratch_.plan == FilterPlan::kTwoHop ? ReplaceRefused(out, n) : n;
  }
  size_t KeepReadable(SlotId* ids, size_t n, const Stamp&, bool* eligible) const {
    if (scratch_.is_listed) {  // Live under the guard: they stay readable.
      std::fill_n(eligible, n, true);
    } else {
      n = view_.KeepReadable(ids, n, since_, eligible);
    }
    if (!scratch_.are_judged) Judge(ids, n, eligible);
    scratch_.are_judged = false;
    scratch_.scored += n;
    scratch_.refused += n - static_cast<size_t>(std::count(eligible, eligible + n, true));
    return n;
  }
  size_t CopyEligible(SlotId& next, const Stamp&, SlotId* out) const {
    size_t n = 0;
    if (scratch_.is_listed) {
      n = std::min<size_t>(SearchScratch::kMaxIds, scratch_.listed.size() - next);
      std::copy_n(scratch_.listed.begin() + next, n, out);
      next += static_cast<SlotId>(n);
    } else {
      n = view_.CopyEligible(next, since_, out);
    }
    std::fill_n(scratch_.flags, n, true);
    Judge(out, n, scratch_.flags);
    scratch_.are_judged = true;
    return Keep(scratch_.flags, n, out);
  }

  size_t CopyCoarseSeeds(SlotId* out) const { return view_.CopyCoarseSeeds(out); }
  size_t CopyFineSeeds(size_t at, SlotId seed, SlotId* out) const {
    return view_.CopyFineSeeds(at, seed, out);
  }
  bool HasClusters() const { return view_.HasClusters(); }
  bool MayHaveClusters() const { return view_.MayHaveClusters(); }
  void PrefetchList(SlotId slot) const { view_.PrefetchList(slot); }

  // Of `n` slots, at most SearchScratch::kMaxIds, how many are eligible, and how many of these are
  // accepted.
  struct Sample {
    size_t eligible = 0;
    size_t accepted = 0;
  };
  Sample Take(SlotId* ids, size_t n) const {
    n = view_.KeepReadable(ids, n, since_, scratch_.flags);
    Sample sample;
    sample.eligible = static_cast<size_t>(std::count(scratch_.flags, scratch_.flags + n, true));
    Judge(ids, n, scratch_.flags);
    sample.accepted = static_cast<size_t>(std::count(scratch_.flags, scratch_.flags + n, true));
    return sample;
  }

  // flags[i] &= whether the filter accepts ids[i].
  void Judge(const SlotId* ids, size_t n, bool* flags) const {
    ExternalId points[kMaxJudged];
    std::span<const uint32_t> labels[kMaxJudged];
    if (filter_.reads_ids)
      for (size_t i = 0; i < n; ++i) points[i] = flags[i] ? view_.external_id(ids[i]) : 0;
    if (filter_.reads_labels)
      for (size_t i = 0; i < n; ++i)
        if (flags[i]) labels[i] = view_.labels(ids[i]);
    work_.filter_checks += static_cast<size_t>(std::count(flags, flags + n, true));
    filter_.Restrict({.size = n, .ids = {points, n}, .labels = {labels, n}}, flags);
  }

 private:
  // Accepted points that are enough for one expansion. (Guessed.)
  static constexpr size_t kEnough = 64;

  // Keeps the ids with a flag, in order.
  static size_t Keep(const bool* flags, size_t n, SlotId* ids) {
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      ids[kept] = ids[i];
      kept += flags[i] ? 1 : 0;
    }
    return kept;
  }
  size_t KeepReadableOf(SlotId* ids, size_t n) const {
    n = view_.KeepReadable(ids, n, since_, scratch_.flags);
    Judge(ids, n, scratch_.flags);
    return n;
  }

  // kTwoHop: ids[0, n), a list, without what was met in such a list before, and with accepted
  // points of their lists in the place of those that are refused. Some may be there twice.
  size_t ReplaceRefused(SlotId* ids, size_t n) const {
    FilterScratch& s = scratch_;
    n = KeepReadableOf(ids, s.near.KeepNew(ids, n));
    size_t bridges = 0;
    for (size_t i = 0; i < n; ++i)
      if (!s.flags[i]) s.refused_near[bridges++] = ids[i];
    for (size_t i = 0; i < bridges; ++i) view_.PrefetchList(s.refused_near[i]);
    size_t kept = Keep(s.flags, n, ids);
    for (size_t i = 0; i < bridges && kept < kEnough; ++i) {
      ++work_.lists_read;
      size_t far = view_.CopyList(s.refused_near[i], s.far_ids);
      far = KeepReadableOf(s.far_ids, s.far.KeepNew(s.far_ids, far));
      far = std::min(Keep(s.flags, far, s.far_ids), SearchScratch::kMaxIds - kept);
      std::copy_n(s.far_ids, far, ids + kept);
      kept += far;
    }
    s.are_judged = true;
    return kept;
  }

  const View view_;
  const Stamp since_;
  const FilterNode& filter_;
  WorkCounters& work_;
  FilterScratch& scratch_;
};

}  // namespace shoal
