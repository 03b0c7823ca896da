#include <algorithm>

#include "graph/graph.h"

namespace shoal {

// Whether an already chosen neighbour c that is nearer to p is so near to the candidate x that a
// search gets to x through c: d(p, x) > alpha * d(c, x). Looks at the chosen from where the last
// round stopped, a few at a time: most candidates fall to one of the first.
bool Graph::Occluded(uint32_t candidate, float alpha, Guard& guard, Scratch& scratch) const {
  constexpr uint32_t kBatch = 4;
  float& ratio = scratch.pool_ratio[candidate];
  if (ratio > alpha) return true;
  uint32_t& checked = scratch.pool_checked[candidate];
  const auto chosen = static_cast<uint32_t>(scratch.chosen.size());
  if (checked == chosen) return false;
  const float distance = scratch.pool[candidate].distance;
  const Scorer scorer = codec_.BindRow(scratch.pool_rows[candidate], scratch.pair_buffer.data());
  while (checked < chosen) {
    const uint32_t n = std::min(kBatch, chosen - checked);
    float between[kBatch];
    scorer.Score(&scratch.chosen_rows[checked], n, between);
    guard.work.distances += n;
    for (uint32_t i = 0; i < n; ++i) {
      if (scratch.chosen[checked + i] > candidate) continue;  // Farther from p than x: no way to x.
      const float r = between[i] > 0 ? distance / between[i] : std::numeric_limits<float>::max();
      ratio = std::max(ratio, r);
    }
    checked += n;
    if (ratio > alpha) return true;
  }
  return false;
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
  scratch.pool_checked.assign(n, 0);
  scratch.pair_buffer.resize(codec_.buffer_bytes());
  scratch.chosen.clear();
  scratch.chosen_rows.clear();
  scratch.selected.clear();
  constexpr float kTaken = std::numeric_limits<float>::infinity();
  const float rounds[] = {1.0f, options_.alpha};
  for (const float alpha : rounds) {
    for (uint32_t i = 0; i < n && scratch.chosen.size() < degree; ++i) {
      if (scratch.pool_ratio[i] == kTaken || Occluded(i, alpha, guard, scratch)) continue;
      scratch.pool_ratio[i] = kTaken;
      scratch.chosen.push_back(i);
      scratch.chosen_rows.push_back(scratch.pool_rows[i]);
      scratch.selected.push_back(pool[i].slot);
    }
    if (options_.alpha <= 1.0f) break;
  }
}

}  // namespace shoal
