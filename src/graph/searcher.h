// Search: one hop, written once, over a view of a graph.
//
// A view is what a search may read. It is a small value with these members; ids are slots:
//
// - SlotId start(): where every search begins; kNoSlot if there is nothing.
// - Stamp stamp(): taken once, before the first read; has high_water.
// - size_t CopyList(SlotId, SlotId* out): a list, at most SearchScratch::kMaxIds.
// - size_t KeepReadable(SlotId* ids, size_t n, Stamp, bool* eligible): keeps the ids that may be
//   read, in order.
// - rows(): where their rows are: a Rows, or what has its Find, Prefetch and prefetches_whole; or,
//   for Find, a Keep: then rows may be missing (fetched_rows.h).
// - size_t CopyCoarseSeeds(SlotId* out), CopyFineSeeds(at, seed, out); bool HasClusters(),
//   MayHaveClusters().
// - size_t live(): eligible points, about.
// - size_t CopyEligible(SlotId& next, Stamp, SlotId* out): a scan over all of them.
// - void PrefetchList(SlotId): and the rows beside it.
// - const std::byte* RowsBeside(SlotId), where a view may have it: the rows of what CopyList gives,
//   all of which are readable, one behind the other; null: not there.
// - ExternalId external_id(SlotId), std::span<const uint32_t> labels(SlotId).
// - bool kIsFiltered. If so, also bool MustScan(): nothing is to be traversed; bool IsSpent(full):
//   nothing more is, where the list of candidates is full or not; void NoteScan().
//
// There are three: LiveViewOf, the index that writers change; SnapshotView, a mapped snapshot; and
// StoredView, an index in a database. FilteredView is one of them with a filter.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/hooks.h"
#include "codec/codec.h"
#include "graph/entry_points.h"
#include "graph/search_scratch.h"
#include "shoal/stats.h"
#include "store/rows.h"

namespace shoal {

// What a search notes on its way, where asked.
struct Recorder {
  std::vector<Candidate>* expanded = nullptr;      // Points that were expanded, but the start.
  std::vector<Candidate>* within = nullptr;        // Eligible points at distance <= radius,
  std::vector<Candidate>* pass_through = nullptr;  // and others; both or neither.
  float radius = 0;
  // Looks at fine seeds whether they helped before or not.
  bool probe_fine_seeds = false;
};

// When a search ends although it has candidates that were not expanded: as soon as the nearest of
// them is farther than `factor` times the k-th eligible one. ("Adaptive beam search": Al-Jazzazi et
// al., 2025; deviation: the factor is one of the metric's distance, for l2 the squared one.)
struct StopRule {
  size_t k = 0;      // 0: it does not end.
  float factor = 1;  // At least 1.
  float offset = 0;  // Added to what the scorer gives, which is then at least 0, but for errors.
};

// What few searches ask for.
struct SearchTerms {
  StopRule stop = {};
  SlotId left_out = kNoSlot;  // A point that the search does not meet.
};

// One search. Used by one thread; everything it refers to outlives it.
template <class View>
class Searcher {
 public:
  Searcher(const View& view, const Scorer& scorer, const Recorder& recorder, WorkCounters& work,
           SearchScratch& scratch)
      : view_(view),
        rows_(view.rows()),
        since_(view.stamp()),
        scorer_(scorer),
        recorder_(recorder),
        work_(work),
        scratch_(scratch) {}

  // Best-first search from the start point and the seeds: afterwards scratch.best holds the
  // `list_size` nearest points found, all expanded. ("GreedySearch" in the DiskANN paper.) Where
  // deleted points use up the budget of pass-through points before so many eligible points are
  // found, the search goes on with more of them until it has cost what it costs to score all live
  // points. A list that is not full then, and has not all live points, gets those that are missing:
  // so a search finds min(list_size, live points), at a bounded cost. A search that its stop rule
  // has ended (scratch.stopped) finds at least k, and what it has met beyond them. One whose caller
  // has asked for its end (scratch.IsToEnd()) finds what it has met till then.
  void FindNearest(size_t list_size, const SearchTerms& terms = {});

  // Goes on where an earlier search with this scratch has ended: expands what scratch.best has that
  // was not expanded. It does not end by scoring all points.
  void Resume();

  // Expands `slot`: scores its list.
  void Expand(SlotId slot);

  // Scores the points that the search may return and has not met.
  void ScoreAllLive();
  // Whether it did: then there are no others.
  bool has_scored_all() const { return has_scored_all_; }
  // Whether a filter forbids to traverse more (filtered_view.h).
  bool IsSpent() const;

 private:
  void Begin();
  // The hop's second half: scratch.ids[0, n) are scored and offered to the candidate list.
  void Visit(size_t n);
  // Likewise, where `rows` are theirs, one behind the other.
  void VisitBeside(const std::byte* rows, size_t n);
  // Keeps of scratch.ids[0, n) and their distances what may have a place in the results.
  size_t KeepNear(size_t n);
  // The hop's end, of points that are readable. In line, as a hop has no call to spare.
  [[gnu::always_inline]] void Offer(size_t n);
  // Until all candidates are expanded; with the stop rule, or that ends it.
  void ExpandAll(const StopRule& stop);
  // With more pass-through points, as long as these use up their budget and it costs less than to
  // score all points.
  void ExpandStarved(uint64_t distances_before);
  // Whether the nearest candidate that was not expanded is too far to help.
  bool IsFar(const StopRule& stop) const;

  using Rows = std::remove_cvref_t<decltype(std::declval<const View&>().rows())>;

  const View view_;
  const Rows rows_;
  const typename View::Stamp since_;
  const Scorer scorer_;
  const Recorder recorder_;
  WorkCounters& work_;
  SearchScratch& scratch_;
  bool has_scored_all_ = false;
};

// Everything within `radius`, nearest first, to scratch.within: a search, then every point found
// there, eligible or passed through, is expanded, too.
template <class View>
void FindWithin(const View& view, const Scorer& scorer, size_t list_size, float radius,
                WorkCounters& work, SearchScratch& scratch);

template <class View>
void Searcher<View>::Visit(size_t n) {
  n = scratch_.visited.KeepNew(scratch_.ids, n);
  // Nearly all of them are readable: their rows are prefetched while the view is asked. Where whole
  // rows are prefetched, what the view reads would queue behind them all, so it is asked first.
  const auto prefetch = [&] {
    for (size_t i = 0; i < n; ++i) rows_.Prefetch(scratch_.ids[i]);
  };
  if (!rows_.prefetches_whole()) prefetch();
  n = view_.KeepReadable(scratch_.ids, n, since_, scratch_.eligible);
  if (n == 0) return;
  if (rows_.prefetches_whole()) prefetch();
  SHOAL_SYNC_POINT("search.after_tag_check");
  if constexpr (requires { &Rows::Keep; }) {
    n = rows_.Keep(scratch_.ids, scratch_.eligible, n, scratch_.rows);
    if (n == 0) return;
  } else {
    rows_.Find(scratch_.ids, n, scratch_.rows);
  }
  scorer_.Score(scratch_.rows, n, scratch_.distances);
  work_.rows_fetched += n;
  work_.distances += n;
  Offer(n);
}

// All rows are scored, met before or not: that costs less than to ask. A point without a place in
// the results has none later, either, so it need not be noted as visited.
template <class View>
void Searcher<View>::VisitBeside(const std::byte* rows, size_t n) {
  for (size_t i = 0; i < n; ++i) scratch_.rows[i] = rows + i * rows_.stride();
  scorer_.Score(scratch_.rows, n, scratch_.distances);
  work_.rows_fetched += n;
  work_.distances += n;
  n = scratch_.visited.KeepNew(scratch_.ids, scratch_.distances, KeepNear(n));
  n = view_.KeepReadable(scratch_.ids, n, since_, scratch_.eligible);
  if (n > 0) Offer(n);
}

template <class View>
size_t Searcher<View>::KeepNear(size_t n) {
  if (!scratch_.best.full()) return n;
  const float last = scratch_.best.LastDistance();
  const float radius =
      recorder_.within == nullptr ? -std::numeric_limits<float>::infinity() : recorder_.radius;
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    const float distance = scratch_.distances[i];
    scratch_.ids[kept] = scratch_.ids[i];
    scratch_.distances[kept] = distance;
    kept += distance < last || distance <= radius ? 1 : 0;
  }
  return kept;
}

template <class View>
inline void Searcher<View>::Offer(size_t n) {
  // A new nearest point is expanded next: its list is prefetched before the others are placed.
  const auto* const nearest = std::min_element(scratch_.distances, scratch_.distances + n);
  if (*nearest < scratch_.best.PeekDistance())
    view_.PrefetchList(scratch_.ids[nearest - scratch_.distances]);
  scratch_.best.InsertMany(scratch_.distances, scratch_.ids, scratch_.eligible, n);
  if (recorder_.within == nullptr) return;
  for (size_t i = 0; i < n; ++i)
    if (scratch_.distances[i] <= recorder_.radius)
      (scratch_.eligible[i] ? recorder_.within : recorder_.pass_through)
          ->push_back({scratch_.distances[i], scratch_.ids[i]});
}

template <class View>
void Searcher<View>::Expand(SlotId slot) {
  const size_t n = view_.CopyList(slot, scratch_.ids);
  SHOAL_SYNC_POINT("search.after_copy");
  ++work_.lists_read;
  ++work_.hops;
  // The list that is likely next is prefetched while this one is scored.
  if (const SlotId next = scratch_.best.PeekUnexpanded(); next != kNoSlot) view_.PrefetchList(next);
  if constexpr (requires { view_.RowsBeside(slot); }) {
    if (const std::byte* const rows = view_.RowsBeside(slot); rows != nullptr)
      return VisitBeside(rows, n);
  }
  Visit(n);
}

// The search begins at the start point and the coarse seeds, and, where the data have clusters, at
// the fine seeds of the two nearest of these: neighbours may lie on both sides of a border.
template <class View>
void Searcher<View>::Begin() {
  constexpr size_t kNear = 2;
  static_assert(kNear * EntryPoints::kMaxFine <= SearchScratch::kMaxIds);
  const SlotId start = view_.start();
  SlotId coarse[EntryPoints::kMaxCoarse];
  const size_t n = view_.CopyCoarseSeeds(coarse);
  scratch_.ids[0] = start;
  std::copy_n(coarse, n, scratch_.ids + 1);
  Visit(n + 1);
  SeedsMet& met = scratch_.met;
  met = {.coarse_distance = scratch_.best[0].distance};
  SlotId near[kNear];
  size_t found = 0;
  for (size_t i = 0; i < scratch_.best.size() && found < kNear; ++i)
    if (scratch_.best[i].slot != start) near[found++] = scratch_.best[i].slot;
  if (found > 0) met.coarse = near[0];
  met.fine = view_.HasClusters() || (recorder_.probe_fine_seeds && view_.MayHaveClusters());
  size_t fine = 0;
  for (size_t i = 0; i < found && met.fine; ++i) {
    const auto at = static_cast<size_t>(std::find(coarse, coarse + n, near[i]) - coarse);
    if (at < n) fine += view_.CopyFineSeeds(at, near[i], scratch_.ids + fine);
  }
  if (fine > 0) Visit(fine);
  met.distance = scratch_.best[0].distance;
}

template <class View>
bool Searcher<View>::IsSpent() const {
  if constexpr (View::kIsFiltered)
    return view_.IsSpent(scratch_.best.full() && recorder_.within == nullptr);
  return false;
}

template <class View>
bool Searcher<View>::IsFar(const StopRule& stop) const {
  const CandidateList& best = scratch_.best;
  if (best.eligible() < stop.k) return false;
  const float nearest = best.PeekDistance() + stop.offset;
  const auto is_far_from = [&](float kth) {
    return nearest > stop.factor * std::max(0.0f, kth + stop.offset);
  };
  // The k-th eligible one is at least as far as the k-th, which is found at once.
  return is_far_from(best[stop.k - 1].distance) && is_far_from(best.EligibleDistance(stop.k));
}

template <class View>
void Searcher<View>::ExpandAll(const StopRule& stop) {
  const SlotId start = view_.start();
  while (scratch_.best.HasUnexpanded() && !IsSpent() && !scratch_.IsToEnd()) {
    if (stop.k != 0 && IsFar(stop)) {
      scratch_.stopped = true;
      return;
    }
    const Candidate nearest = scratch_.best.PopUnexpanded();
    if (recorder_.expanded != nullptr && nearest.slot != start)
      recorder_.expanded->push_back(nearest);
    Expand(nearest.slot);
  }
}

template <class View>
void Searcher<View>::ExpandStarved(uint64_t distances_before) {
  while (scratch_.best.IsStarved() && view_.live() > work_.distances - distances_before &&
         !IsSpent() && !scratch_.IsToEnd()) {
    scratch_.best.AdmitPassThrough();
    ExpandAll({});
  }
}

template <class View>
void Searcher<View>::Resume() {
  if (has_scored_all_) return;
  const uint64_t before = work_.distances;
  ExpandAll({});
  ExpandStarved(before);
}

template <class View>
void Searcher<View>::FindNearest(size_t list_size, const SearchTerms& terms) {
  scratch_.best.Reset(list_size);
  scratch_.visited.Reset(16 * list_size);
  scratch_.stopped = false;
  if (terms.left_out != kNoSlot) scratch_.visited.Insert(terms.left_out);
  if (view_.start() == kNoSlot) return;
  if constexpr (View::kIsFiltered) {
    if (view_.MustScan()) return ScoreAllLive();
  }
  SHOAL_SYNC_POINT("search.after_high_water");
  Begin();
  const uint64_t before = work_.distances;
  ExpandAll(terms.stop);
  if (scratch_.stopped) return;
  ExpandStarved(before);
  // What is missing was not reached at a bounded cost, or writers rerouted its edges meanwhile.
  if (scratch_.best.full() || scratch_.best.eligible() >= view_.live()) return;
  ScoreAllLive();
  if (recorder_.expanded != nullptr && !View::kIsFiltered) ExpandAll({});
}

template <class View>
void Searcher<View>::ScoreAllLive() {
  if constexpr (View::kIsFiltered) view_.NoteScan();
  SlotId next = 0;
  while (next < since_.high_water && !scratch_.IsToEnd())
    Visit(view_.CopyEligible(next, since_, scratch_.ids));
  has_scored_all_ = next >= since_.high_water;
}

template <class View>
void FindWithin(const View& view, const Scorer& scorer, size_t list_size, float radius,
                WorkCounters& work, SearchScratch& scratch) {
  std::vector<Candidate> met, pass_through;
  auto& within = scratch.within;
  within.clear();
  Searcher<View> searcher(
      view, scorer,
      {.expanded = &met, .within = &within, .pass_through = &pass_through, .radius = radius}, work,
      scratch);
  searcher.FindNearest(list_size);
  std::vector<SlotId> expanded;
  expanded.reserve(met.size());
  for (const Candidate& candidate : met) expanded.push_back(candidate.slot);
  std::sort(expanded.begin(), expanded.end());
  const auto expand = [&](SlotId slot) {
    if (!std::binary_search(expanded.begin(), expanded.end(), slot)) searcher.Expand(slot);
  };
  // Whether there is nothing left to find by expansions.
  const auto is_done = [&] {
    if (scratch.IsToEnd()) return true;
    if constexpr (!View::kIsFiltered) return false;
    if (!searcher.has_scored_all() && searcher.IsSpent()) searcher.ScoreAllLive();
    return searcher.has_scored_all();
  };
  // Both grow while they are walked: what an expansion finds inside the radius is expanded, too.
  for (size_t i = 0, j = 0; (i < within.size() || j < pass_through.size()) && !is_done();) {
    while (i < within.size() && !is_done()) expand(within[i++].slot);
    if (j < pass_through.size() && !is_done()) expand(pass_through[j++].slot);
  }
  std::sort(within.begin(), within.end(), [](const auto& a, const auto& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
  });
}

}  // namespace shoal
