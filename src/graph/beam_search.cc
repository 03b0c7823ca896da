#include <algorithm>

#include "base/hooks.h"
#include "graph/graph.h"

namespace shoal {

void Graph::Visit(const Scorer& scorer, size_t n, const SlotTable::Moment& since,
                  const Recorder& recorder, Guard& guard, Scratch& scratch) const {
  n = scratch.visited.KeepNew(scratch.ids, n);
  // Nearly all of them are readable: their rows are under way while their tags are looked at.
  for (size_t i = 0; i < n; ++i) features_.PrefetchFront(scratch.ids[i]);
  n = slots_.KeepReadable(scratch.ids, n, since, scratch.returnable);
  if (n == 0) return;
  SHOAL_RACE_POINT("search.after_tag_check");
  RamFeatureStore::Reader reader(features_);
  reader.Fetch(scratch.ids, n, scratch.rows);
  scorer.Score(scratch.rows, n, scratch.distances);
  guard.work.rows_fetched += n;
  guard.work.distances += n;
  // A new nearest one is expanded next: its list is called for before the others find their places.
  const auto* const nearest = std::min_element(scratch.distances, scratch.distances + n);
  if (*nearest < scratch.best.PeekDistance())
    neighbors_.Prefetch(scratch.ids[nearest - scratch.distances]);
  scratch.best.InsertMany(scratch.distances, scratch.ids, scratch.returnable, n);
  if (recorder.within == nullptr) return;
  for (size_t i = 0; i < n; ++i)
    if (scratch.returnable[i] && scratch.distances[i] <= recorder.radius)
      recorder.within->push_back({scratch.distances[i], scratch.ids[i]});
}

void Graph::Expand(SlotId slot, const Scorer& scorer, const SlotTable::Moment& since,
                   const Recorder& recorder, Guard& guard, Scratch& scratch) const {
  const size_t n = neighbors_.Copy(slot, scratch.ids);
  SHOAL_RACE_POINT("search.after_copy");
  ++guard.work.lists_read;
  ++guard.work.hops;
  // The list that is likely next comes while this one is scored.
  if (const SlotId next = scratch.best.PeekUnexpanded(); next != kNoSlot) neighbors_.Prefetch(next);
  Visit(scorer, n, since, recorder, guard, scratch);
}

void Graph::BeamSearch(const Scorer& scorer, size_t list_size, const Recorder& recorder,
                       Guard& guard, Scratch& scratch) const {
  scratch.best.Reset(list_size);
  scratch.visited.Reset(16 * list_size);
  const SlotId start_slot = start();
  if (start_slot == kNoSlot) return;
  const SlotTable::Moment since = slots_.Now();
  SHOAL_RACE_POINT("search.after_high_water");
  scratch.ids[0] = start_slot;
  const size_t entries = 1 + entries_.Copy(scratch.ids + 1);
  Visit(scorer, entries, since, recorder, guard, scratch);
  scratch.entry_distance = scratch.best[0].distance;
  while (scratch.best.HasUnexpanded()) {
    const Candidate nearest = scratch.best.PopUnexpanded();
    if (recorder.expanded != nullptr && nearest.slot != start_slot)
      recorder.expanded->push_back(nearest);
    Expand(nearest.slot, scorer, since, recorder, guard, scratch);
  }
}

SlotId Graph::NearestToStart(Guard& guard, Scratch& scratch) const {
  if (start() == kNoSlot) return kNoSlot;
  scratch.query_buffer.resize(codec_.buffer_bytes());
  const Scorer scorer = codec_.BindRow(features_.Own(start()), scratch.query_buffer.data());
  BeamSearch(scorer, options_.build_list_size, {}, guard, scratch);
  for (size_t i = 0; i < scratch.best.size(); ++i)
    if (scratch.best.IsReturnable(i)) return scratch.best[i].slot;
  return kNoSlot;
}

void Graph::RangeSearch(const Scorer& scorer, size_t list_size, float radius, Guard& guard,
                        Scratch& scratch) const {
  scratch.within.clear();
  scratch.pool.clear();
  const SlotTable::Moment since = slots_.Now();
  const Recorder recorder{.expanded = &scratch.pool, .within = &scratch.within, .radius = radius};
  BeamSearch(scorer, list_size, recorder, guard, scratch);
  std::vector<SlotId> expanded;
  expanded.reserve(scratch.pool.size());
  for (const Candidate& candidate : scratch.pool) expanded.push_back(candidate.slot);
  std::sort(expanded.begin(), expanded.end());
  // `within` grows while it is walked: what an expansion finds inside the radius is expanded, too.
  for (size_t i = 0; i < scratch.within.size(); ++i) {
    const SlotId slot = scratch.within[i].slot;
    if (std::binary_search(expanded.begin(), expanded.end(), slot)) continue;
    Expand(slot, scorer, since, recorder, guard, scratch);
  }
  std::sort(scratch.within.begin(), scratch.within.end(), [](const auto& a, const auto& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
  });
}

}  // namespace shoal
