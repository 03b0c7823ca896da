#include "graph/live_graph.h"

namespace shoal {

void LiveGraph::Score(const Scorer& scorer, ScoredSlots& scored, Operation& op) const {
  const std::byte* rows[SearchScratch::kMaxIds];
  SlotTable::ReadStamp now = slots.Now();
  now.to_link = true;
  scored.size = slots.KeepReadable(scored.ids, scored.size, now, scored.eligible);
  pruning.Find(scored.ids, scored.size, rows, op.scratch.fetch);
  if (pruning.fetched != nullptr) {
    size_t kept = 0;
    for (size_t i = 0; i < scored.size; ++i) {
      if (rows[i] == nullptr) continue;
      scored.ids[kept] = scored.ids[i];
      scored.eligible[kept] = scored.eligible[i];
      rows[kept++] = rows[i];
    }
    scored.size = kept;
  }
  scorer.Score(rows, scored.size, scored.distances);
  op.work.rows_fetched += scored.size;
  op.work.distances += scored.size;
}

void LiveGraph::BeamSearch(const Representation& rows, const Scorer& scorer, size_t list_size,
                           const Recorder& recorder, Operation& op,
                           const SearchTerms& terms) const {
  const auto purpose = recorder.expanded == nullptr ? SearchFor::kReader : SearchFor::kWriter;
  WithView(rows, purpose, op.scratch.fetch, [&](const auto& view) {
    Searcher(view, scorer, recorder, op.work, op.scratch.search).FindNearest(list_size, terms);
  });
}

void LiveGraph::RangeSearch(const Representation& rows, const Scorer& scorer, size_t list_size,
                            float radius, Operation& op) const {
  WithView(rows, SearchFor::kReader, op.scratch.fetch, [&](const auto& view) {
    FindWithin(view, scorer, list_size, radius, op.work, op.scratch.search);
  });
}

}  // namespace shoal
