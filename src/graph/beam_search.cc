#include "graph/graph.h"

namespace shoal {

void Graph::BeamSearch(const Scorer& scorer, size_t list_size, const Recorder& recorder,
                       Operation& op) const {
  Searcher(View(), scorer, recorder, op.work, op.scratch.search).FindNearest(list_size);
}

void Graph::RangeSearch(const Scorer& scorer, size_t list_size, float radius, Operation& op) const {
  FindWithin(View(), scorer, list_size, radius, op.work, op.scratch.search);
}

}  // namespace shoal
