#include "graph/graph.h"

namespace shoal {

void Graph::BeamSearch(const Scorer& scorer, size_t list_size, const Recorder& recorder,
                       Guard& guard, Scratch& scratch) const {
  Searcher(View(), scorer, recorder, guard.work, scratch.search).FindNearest(list_size);
}

void Graph::RangeSearch(const Scorer& scorer, size_t list_size, float radius, Guard& guard,
                        Scratch& scratch) const {
  FindWithin(View(), scorer, list_size, radius, guard.work, scratch.search);
}

}  // namespace shoal
