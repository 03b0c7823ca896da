#include "graph/live_graph.h"

namespace shoal {

void LiveGraph::Score(const Scorer& scorer, ScoredSlots& scored, Operation& op) const {
  const std::byte* rows[SearchScratch::kMaxIds];
  SlotTable::ReadStamp now = slots.Now();
  now.to_link = true;
  scored.size = slots.KeepReadable(scored.ids, scored.size, now, scored.eligible);
  pruning.rows().Find(scored.ids, scored.size, rows);
  scorer.Score(rows, scored.size, scored.distances);
  op.work.rows_fetched += scored.size;
  op.work.distances += scored.size;
}

void LiveGraph::BeamSearch(const Rows& rows, const Scorer& scorer, size_t list_size,
                           const Recorder& recorder, Operation& op,
                           const SearchTerms& terms) const {
  const auto purpose = recorder.expanded == nullptr ? SearchFor::kReader : SearchFor::kWriter;
  Searcher(View(rows, purpose), scorer, recorder, op.work, op.scratch.search)
      .FindNearest(list_size, terms);
}

void LiveGraph::RangeSearch(const Rows& rows, const Scorer& scorer, size_t list_size, float radius,
                            Operation& op) const {
  FindWithin(View(rows, SearchFor::kReader), scorer, list_size, radius, op.work, op.scratch.search);
}

}  // namespace shoal
