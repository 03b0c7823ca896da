#include <algorithm>
#include <numeric>

#include "graph/graph.h"

namespace shoal {

// Takes candidate i for a neighbour: notes of every later candidate that is still open how near a
// search gets to it through i, the largest d(p, x) / d(i, x), and closes those to which it gets so
// near that even the last round has no use for them.
void Graph::Choose(uint32_t i, size_t degree, Guard& guard, Scratch& scratch) const {
  const auto& pool = scratch.pool;
  scratch.selected.push_back(pool[i].slot);
  scratch.pool_ratio[i] = std::numeric_limits<float>::infinity();
  if (scratch.selected.size() == degree) return;
  auto& open = scratch.pool_open;
  const auto later =
      static_cast<size_t>(std::upper_bound(open.begin(), open.end(), i) - open.begin());
  const size_t n = open.size() - later;
  for (size_t j = 0; j < n; ++j) scratch.open_rows[j] = scratch.pool_rows[open[later + j]];
  codec_.BindRow(scratch.pool_rows[i], scratch.pair_buffer.data())
      .Score(scratch.open_rows.data(), n, scratch.between.data());
  guard.work.distances += n;
  size_t kept = later;
  for (size_t j = 0; j < n; ++j) {
    const uint32_t x = open[later + j];
    const float between = scratch.between[j];
    const float r = between > 0 ? pool[x].distance / between : std::numeric_limits<float>::max();
    float& ratio = scratch.pool_ratio[x];
    ratio = std::max(ratio, r);
    open[kept] = x;
    kept += ratio <= options_.alpha ? 1 : 0;
  }
  open.resize(kept);
}

void Graph::Prune(size_t degree, Guard& guard, Scratch& scratch) const {
  ++guard.work.prunes;
  auto& pool = scratch.pool;
  std::sort(pool.begin(), pool.end(), [](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
  });
  const auto n = static_cast<uint32_t>(pool.size());
  scratch.pool_rows.resize(n);
  for (uint32_t i = 0; i < n; ++i) scratch.pool_rows[i] = features_.Own(pool[i].slot);
  scratch.pool_ratio.assign(n, 0.0f);
  scratch.pool_open.resize(n);
  std::iota(scratch.pool_open.begin(), scratch.pool_open.end(), 0u);
  scratch.open_rows.resize(n);
  scratch.between.resize(n);
  scratch.pair_buffer.resize(codec_.buffer_bytes());
  scratch.selected.clear();
  const float rounds[] = {1.0f, options_.alpha};
  for (const float alpha : rounds)
    for (uint32_t i = 0; i < n && scratch.selected.size() < degree; ++i)
      if (scratch.pool_ratio[i] <= alpha) Choose(i, degree, guard, scratch);
}

}  // namespace shoal
