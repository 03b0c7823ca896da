#include <algorithm>

#include "base/hooks.h"
#include "graph/graph.h"

namespace shoal {

void Graph::Visit(const Scorer& scorer, size_t n, const SlotTable::ReadStamp& since,
                  const Recorder& recorder, Guard& guard, Scratch& scratch) const {
  n = scratch.visited.KeepNew(scratch.ids, n);
  // Nearly all of them are readable: their rows are under way while the slot table is asked. Where
  // whole rows are called for, its bits would stand in line behind them all, so it is asked first.
  const auto call_for_rows = [&] {
    for (size_t i = 0; i < n; ++i) features_.PrefetchFront(scratch.ids[i]);
  };
  if (!features_.fetches_whole_rows()) call_for_rows();
  n = slots_.KeepReadable(scratch.ids, n, since, scratch.eligible);
  if (n == 0) return;
  if (features_.fetches_whole_rows()) call_for_rows();
  SHOAL_SYNC_POINT("search.after_tag_check");
  RamFeatureStore::Reader reader(features_);
  reader.Fetch(scratch.ids, n, scratch.rows);
  scorer.Score(scratch.rows, n, scratch.distances);
  guard.work.rows_fetched += n;
  guard.work.distances += n;
  // A new nearest one is expanded next: its list is called for before the others find their places.
  const auto* const nearest = std::min_element(scratch.distances, scratch.distances + n);
  if (*nearest < scratch.best.PeekDistance())
    neighbors_.Prefetch(scratch.ids[nearest - scratch.distances]);
  scratch.best.InsertMany(scratch.distances, scratch.ids, scratch.eligible, n);
  if (recorder.within == nullptr) return;
  for (size_t i = 0; i < n; ++i)
    if (scratch.distances[i] <= recorder.radius)
      (scratch.eligible[i] ? recorder.within : recorder.pass_through)
          ->push_back({scratch.distances[i], scratch.ids[i]});
}

void Graph::Expand(SlotId slot, const Scorer& scorer, const SlotTable::ReadStamp& since,
                   const Recorder& recorder, Guard& guard, Scratch& scratch) const {
  const size_t n = neighbors_.Copy(slot, scratch.ids);
  SHOAL_SYNC_POINT("search.after_copy");
  ++guard.work.lists_read;
  ++guard.work.hops;
  // The list that is likely next comes while this one is scored.
  if (const SlotId next = scratch.best.PeekUnexpanded(); next != kNoSlot) neighbors_.Prefetch(next);
  Visit(scorer, n, since, recorder, guard, scratch);
}

// Where the search begins: the start point and the roots, then the leaves of the nearest roots, if
// there are clusters. (Of the nearest two: neighbours may lie on both sides of a border.)
void Graph::Begin(SlotId start_slot, const Scorer& scorer, const SlotTable::ReadStamp& since,
                  const Recorder& recorder, Guard& guard, Scratch& scratch) const {
  constexpr size_t kNearRoots = 2;
  constexpr uint64_t kLook = 8;  // An insert in so many looks at leaves whether it helps or not.
  static_assert(kNearRoots * EntryPoints::kMaxLeaves <= Scratch::kMaxIds);
  SlotId roots[EntryPoints::kMaxRoots];
  const size_t n = entries_.CopyRoots(roots);
  scratch.ids[0] = start_slot;
  std::copy_n(roots, n, scratch.ids + 1);
  Visit(scorer, n + 1, since, recorder, guard, scratch);
  MetEntries& met = scratch.met;
  met = {.root_distance = scratch.best[0].distance};
  SlotId near[kNearRoots];
  size_t found = 0;
  for (size_t i = 0; i < scratch.best.size() && found < kNearRoots; ++i)
    if (scratch.best[i].slot != start_slot) near[found++] = scratch.best[i].slot;
  if (found > 0) met.root = near[0];
  const bool is_due =
      recorder.expanded != nullptr && inserts_.load(std::memory_order_relaxed) % kLook == 0;
  met.leaves = entries_.HasClusters() || (is_due && entries_.MayHaveClusters());
  size_t leaves = 0;
  for (size_t i = 0; i < found && met.leaves; ++i) {
    const auto at = static_cast<size_t>(std::find(roots, roots + n, near[i]) - roots);
    if (at < n) leaves += entries_.CopyLeaves(at, near[i], scratch.ids + leaves);
  }
  if (leaves > 0) Visit(scorer, leaves, since, recorder, guard, scratch);
  met.distance = scratch.best[0].distance;
}

void Graph::BeamSearch(const Scorer& scorer, size_t list_size, const Recorder& recorder,
                       Guard& guard, Scratch& scratch) const {
  scratch.best.Reset(list_size);
  scratch.visited.Reset(16 * list_size);
  const SlotId start_slot = start();
  if (start_slot == kNoSlot) return;
  const SlotTable::ReadStamp since = slots_.Now();
  SHOAL_SYNC_POINT("search.after_high_water");
  Begin(start_slot, scorer, since, recorder, guard, scratch);
  const auto expand_all = [&] {
    while (scratch.best.HasUnexpanded()) {
      const Candidate nearest = scratch.best.PopUnexpanded();
      if (recorder.expanded != nullptr && nearest.slot != start_slot)
        recorder.expanded->push_back(nearest);
      Expand(nearest.slot, scorer, since, recorder, guard, scratch);
    }
  };
  const uint64_t before = guard.work.distances;
  expand_all();
  while (scratch.best.IsStarved()) {
    if (slots_.live() <= guard.work.distances - before) {
      ScoreAllLive(scorer, since, recorder, guard, scratch);
      if (recorder.expanded != nullptr) expand_all();
      return;
    }
    scratch.best.AdmitPassThrough();
    expand_all();
  }
}

// Scores what the search has not met of the points that it may return.
void Graph::ScoreAllLive(const Scorer& scorer, const SlotTable::ReadStamp& since,
                         const Recorder& recorder, Guard& guard, Scratch& scratch) const {
  for (SlotId next = 0; next < since.high_water;) {
    const size_t n = slots_.CopyEligible(next, since, scratch.ids);
    Visit(scorer, n, since, recorder, guard, scratch);
  }
}

void Graph::RangeSearch(const Scorer& scorer, size_t list_size, float radius, Guard& guard,
                        Scratch& scratch) const {
  std::vector<Candidate> pass_through;
  scratch.within.clear();
  scratch.pool.clear();
  const SlotTable::ReadStamp since = slots_.Now();
  const Recorder recorder{.expanded = &scratch.pool,
                          .within = &scratch.within,
                          .pass_through = &pass_through,
                          .radius = radius};
  BeamSearch(scorer, list_size, recorder, guard, scratch);
  std::vector<SlotId> expanded;
  expanded.reserve(scratch.pool.size());
  for (const Candidate& candidate : scratch.pool) expanded.push_back(candidate.slot);
  std::sort(expanded.begin(), expanded.end());
  const auto expand = [&](SlotId slot) {
    if (!std::binary_search(expanded.begin(), expanded.end(), slot))
      Expand(slot, scorer, since, recorder, guard, scratch);
  };
  // Both grow while they are walked: what an expansion finds inside the radius is expanded, too.
  for (size_t i = 0, j = 0; i < scratch.within.size() || j < pass_through.size();) {
    while (i < scratch.within.size()) expand(scratch.within[i++].slot);
    if (j < pass_through.size()) expand(pass_through[j++].slot);
  }
  std::sort(scratch.within.begin(), scratch.within.end(), [](const auto& a, const auto& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
  });
}

}  // namespace shoal
