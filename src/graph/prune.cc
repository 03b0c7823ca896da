#include <algorithm>
#include <limits>

#include "graph/graph.h"

namespace shoal {

// Takes candidate i of those that are open for a neighbour: notes of every later one how near a
// search gets to it through i, the largest d(p, x) / d(i, x), and closes those to which it gets so
// near that even the last round has no use for them.
void Graph::Choose(size_t i, size_t degree, Guard& guard, Scratch& scratch) const {
  Scratch::Open& open = scratch.open;
  scratch.selected.push_back(open.slots[i]);
  open.ratios[i] = std::numeric_limits<float>::infinity();
  if (scratch.selected.size() == degree) return;
  const size_t later = i + 1, n = open.size - later;
  float* const between = open.between.data();
  codec_.BindRow(open.rows[i], scratch.pair_buffer.data())
      .Score(open.rows.data() + later, n, between);
  guard.work.distances += n;
  const float* const distances = open.distances.data() + later;
  float* const ratios = open.ratios.data() + later;
  for (size_t j = 0; j < n; ++j) {  // No branch: this is a vector loop.
    const float r = distances[j] / std::max(between[j], std::numeric_limits<float>::min());
    ratios[j] = std::max(ratios[j], between[j] > 0 ? r : std::numeric_limits<float>::max());
  }
  size_t kept = later;
  for (size_t j = later; j < open.size; ++j) {
    open.slots[kept] = open.slots[j];
    open.rows[kept] = open.rows[j];
    open.distances[kept] = open.distances[j];
    open.ratios[kept] = open.ratios[j];
    kept += open.ratios[j] <= options_.alpha ? 1 : 0;
  }
  open.size = kept;
}

void Graph::Prune(size_t degree, Guard& guard, Scratch& scratch) const {
  ++guard.work.prunes;
  auto& pool = scratch.pool;
  std::sort(pool.begin(), pool.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
  });
  Scratch::Open& open = scratch.open;
  open.Resize(pool.size());
  for (size_t i = 0; i < pool.size(); ++i) {
    open.slots[i] = pool[i].slot;
    open.rows[i] = features_.Own(pool[i].slot);
    open.distances[i] = pool[i].distance;
    open.ratios[i] = 0;
  }
  scratch.pair_buffer.resize(codec_.buffer_bytes());
  scratch.selected.clear();
  const float rounds[] = {1.0f, options_.alpha};
  for (const float alpha : rounds)
    for (size_t i = 0; i < open.size && scratch.selected.size() < degree; ++i)
      if (open.ratios[i] <= alpha) Choose(i, degree, guard, scratch);
}

}  // namespace shoal
