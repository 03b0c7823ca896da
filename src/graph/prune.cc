#include <algorithm>
#include <limits>

#include "graph/graph.h"

namespace shoal {
namespace {

// For the list of p. Of equally near ones each point has others first: of many points that are
// equal, all would name the same few.
void SortNearestFirst(SlotId p, std::vector<Candidate>& candidates) {
  const auto place = [p](SlotId slot) { return (slot ^ p * 0x9e3779b1u) * 0x85ebca6bu; };
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : place(a.slot) < place(b.slot);
  });
}

constexpr float kMax = std::numeric_limits<float>::max();

// How many times as near as p, whose distance from it is `distance`, the neighbour chosen last is
// to a candidate: `between`.
float Ratio(float distance, float between) {
  const float ratio = distance / std::max(between, std::numeric_limits<float>::min());
  return between > 0 ? ratio : kMax;
}

}  // namespace

// In a group of near duplicates (one point, and noise of its own for each) the point in the middle
// is half as far from all others as these are from each other. It would close them all, and its own
// row cannot lead to more than it has places. p is taken for one of a group where a neighbour
// closes all of the nearest candidates without being much nearer to them, or where more than a few
// equal both. (docs/algorithms.md, D29.)
bool Graph::IsInGroup(const float* distances, const float* between, const float* ratios,
                      size_t n) const {
  constexpr size_t kAsked = 8;
  if (n < kAsked || options_.alpha == 1) return false;  // With 1, the paper's algorithm.
  unsigned near = 0;
  for (size_t j = 0; j < kAsked; ++j)  // No branch: these are vectors.
    near += static_cast<unsigned>(distances[j] > options_.alpha * between[j]) &
            static_cast<unsigned>(distances[j] <= kNear * between[j]) &
            static_cast<unsigned>(ratios[j] <= options_.alpha);
  if (near == kAsked) return true;
  size_t equal = 0;
  for (size_t j = 0; j < n && distances[j] == 0; ++j) equal += between[j] == 0 ? 1 : 0;
  return equal > MostClosedInGroup();
}

// There a neighbour closes only the nearest few of the candidates to which it is not much nearer.
void Graph::TakeRatiosInGroup(const float* distances, const float* between, float* ratios,
                              size_t n) const {
  size_t closed = 0;
  for (size_t j = 0; j < n; ++j) {
    const float ratio = Ratio(distances[j], between[j]);
    const bool closes = ratio > options_.alpha && ratios[j] <= options_.alpha;
    const bool is_near = ratio <= kNear || distances[j] == 0;
    if (!closes || !is_near || closed++ < MostClosedInGroup())
      ratios[j] = std::max(ratios[j], ratio);
  }
}

// A search gets from p to an open candidate x through a chosen neighbour, whose row this is, as
// near as d(p, x) / d(row, x) tells: notes the largest of each candidate, from the `first` on, and
// closes those to which a search gets so near that even the last round has no use for them.
void Graph::Occlude(By by, const std::byte* row, size_t first, Operation& op) const {
  Scratch::Open& open = op.scratch.open;
  const size_t n = open.size - first;
  float* const between = open.between.data();
  std::byte* const buffer = op.scratch.row_buffer.data();
  const Scorer scorer =
      by == By::kProduct ? codec_.BindRowAsQuery(row, buffer) : codec_.BindRow(row, buffer);
  scorer.Score(open.rows.data() + first, n, between);
  op.work.distances += n;
  const float* const distances = open.distances.data() + first;
  float* const ratios = open.ratios.data() + first;
  if (by == By::kProduct) {  // Products may have either sign: no ratio, but who has the larger one.
    for (size_t j = 0; j < n; ++j) ratios[j] = between[j] < distances[j] ? kMax : ratios[j];
  } else {
    open.in_group = open.in_group || IsInGroup(distances, between, ratios, n);
    if (open.in_group) {
      TakeRatiosInGroup(distances, between, ratios, n);
    } else {
      for (size_t j = 0; j < n; ++j)  // No branch: this is a vector loop.
        ratios[j] = std::max(ratios[j], Ratio(distances[j], between[j]));
    }
  }
  size_t kept = first;
  for (size_t j = first; j < open.size; ++j) {
    open.slots[kept] = open.slots[j];
    open.rows[kept] = open.rows[j];
    open.distances[kept] = open.distances[j];
    open.ratios[kept] = open.ratios[j];
    kept += open.ratios[j] <= options_.alpha ? 1 : 0;
  }
  open.size = kept;
}

// Chooses of those that are open and no more occluded than by alpha, nearest first, until there are
// `degree`. The last `reserved` places are for those beyond `far`.
void Graph::Choose(By by, float alpha, size_t degree, size_t reserved, float far,
                   Operation& op) const {
  Scratch::Open& open = op.scratch.open;
  auto& selected = op.scratch.selected;
  for (size_t i = 0; i < open.size && selected.size() < degree; ++i) {
    if (open.ratios[i] > alpha) continue;
    if (selected.size() + reserved >= degree && open.distances[i] <= far) continue;
    selected.push_back(open.slots[i]);
    open.ratios[i] = std::numeric_limits<float>::infinity();
    if (selected.size() < degree) Occlude(by, open.rows[i], i + 1, op);
  }
}

void Graph::OpenAll(std::span<const Candidate> candidates, Operation& op) const {
  Scratch::Open& open = op.scratch.open;
  open.Resize(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    open.slots[i] = candidates[i].slot;
    open.rows[i] = features_.Row(candidates[i].slot);
    open.distances[i] = candidates[i].distance;
    open.ratios[i] = 0;
  }
}

// A query's answers are those whose products with it are largest, long rows mostly, and the way
// from one to the next leads over whose product with the one is large: not over those that are near
// it, which are as long as itself. But by products alone all would point at the same few.
// (docs/algorithms.md, D26; after Morozov and Babenko, "Non-metric similarity graphs for maximum
// inner product search", NeurIPS 2018.)
void Graph::ChooseByProduct(SlotId p, size_t degree, Operation& op) const {
  auto& candidates = op.scratch.by_product;
  candidates = op.scratch.pool;
  OpenAll(candidates, op);
  Scratch::Open& open = op.scratch.open;
  codec_.BindRowAsQuery(features_.Row(p), op.scratch.row_buffer.data())
      .Score(open.rows.data(), open.size, open.distances.data());
  op.work.distances += open.size;
  for (size_t i = 0; i < candidates.size(); ++i) candidates[i].distance = open.distances[i];
  SortNearestFirst(p, candidates);
  OpenAll(candidates, op);
  Choose(By::kProduct, 1.0f, degree, 0, 0, op);
}

void Graph::ChooseByDistance(size_t degree, Operation& op) const {
  const auto& pool = op.scratch.pool;
  const auto& selected = op.scratch.selected;
  const Scratch::Open& open = op.scratch.open;
  if (open.size == 0) return;
  const float far = kFar * pool[pool.size() / 2].distance;
  const size_t most =
      std::max<size_t>(neighbors_.max_degree() / (far > 0 ? kFarShare : kFarShareOfEqual), 1);
  // Of places, for those that are far and open.
  const auto reserved = [&] {
    size_t n = 0;
    for (size_t i = open.size; i > 0 && open.distances[i - 1] > far && n < most; --i)
      n += open.ratios[i - 1] <= options_.alpha ? 1 : 0;
    return n;
  };
  // Where half of all equal p, they would take every place in the first round: the others are far.
  Choose(By::kDistance, 1.0f, degree, far > 0 ? 0 : reserved(), far, op);
  if (selected.size() == degree || open.size == 0) return;
  Choose(By::kDistance, options_.alpha, degree, reserved(), far, op);
}

// To leave a neighbour out because a nearer one leads to it is to trust that one's row, and a point
// that is near everything (a zero among unit vectors) leads to R of them. So what is left out fills
// a row that has come out sparse, nearest first. (docs/algorithms.md, D27.)
void Graph::FillUp(size_t degree, Operation& op) {
  constexpr size_t kEnough = 24;
  auto& selected = op.scratch.selected;
  if (selected.size() >= std::min(degree, kEnough) / 3) return;
  const size_t least = std::min(degree * 7 / 10, kEnough);
  for (const Candidate& candidate : op.scratch.pool) {
    if (selected.size() >= least) return;
    if (std::find(selected.begin(), selected.end(), candidate.slot) == selected.end())
      selected.push_back(candidate.slot);
  }
}

void Graph::Prune(SlotId p, size_t degree, Operation& op) const {
  ++op.work.prunes;
  auto& pool = op.scratch.pool;
  auto& selected = op.scratch.selected;
  selected.clear();
  op.scratch.open.in_group = false;
  if (codec_.NormsVary()) ChooseByProduct(p, degree / 2, op);
  SortNearestFirst(p, pool);
  OpenAll(pool, op);
  Scratch::Open& open = op.scratch.open;
  // What is chosen is not open, and occludes as if it had been chosen by distance.
  for (size_t i = 0; i < open.size && !selected.empty(); ++i)
    if (std::find(selected.begin(), selected.end(), open.slots[i]) != selected.end())
      open.ratios[i] = std::numeric_limits<float>::infinity();
  for (const SlotId chosen : selected) Occlude(By::kDistance, features_.Row(chosen), 0, op);
  ChooseByDistance(degree, op);
  if (options_.alpha > 1) FillUp(degree, op);
}

}  // namespace shoal
