#include "graph/pruner.h"

#include <limits>

#include "graph/operation.h"

namespace shoal {
namespace {

constexpr float kMax = std::numeric_limits<float>::max();
// Of what is chosen: it is not chosen again.
constexpr float kChosen = std::numeric_limits<float>::infinity();
// A ratio beyond which a neighbour is much nearer to a candidate.
constexpr float kNear = 3.5f;
// A list keeps one place in so many, at least one, for candidates that are far.
constexpr uint32_t kFarShare = 16;
constexpr uint32_t kFarShareOfEqual = 4;  // Where half of all candidates equal the point.

// How many times as near as p, whose distance from it is `distance`, the neighbour chosen last is
// to a candidate: `between`.
float Ratio(float distance, float between) {
  const float ratio = distance / std::max(between, std::numeric_limits<float>::min());
  return between > 0 ? ratio : kMax;
}

// Among candidates at equal distance each point has an order of its own: of many equal points, all
// would name the same few.
void SortNearestFirst(SlotId p, std::span<Candidate> candidates) {
  const auto place = [p](SlotId slot) { return (slot ^ p * 0x9e3779b1u) * 0x85ebca6bu; };
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return a.distance != b.distance ? a.distance < b.distance : place(a.slot) < place(b.slot);
  });
}

// Whether these rows tell the nearest of the pool, which is sorted, apart.
bool TellsApart(const Representation& rows, SlotId p, std::span<const Candidate> pool) {
  constexpr size_t kAsked = 3;
  return pool.size() < kAsked || rows.codec.TellsApart(rows.Row(p), pool[kAsked - 1].distance);
}

bool Contains(std::span<const SlotId> slots, SlotId slot) {
  return std::find(slots.begin(), slots.end(), slot) != slots.end();
}

}  // namespace

// In a group of near duplicates (one point, and noise of its own for each) the median point is half
// as far from all others as these are from each other. It would occlude them all, and its own row
// cannot lead to more than it has places. p is taken for one of a group if a neighbour occludes all
// of the nearest candidates without being much nearer to them, or if more than a few equal both.
// (docs/algorithms.md, D17.)
bool Pruner::IsInGroup(const float* distances, const float* between, const float* ratios,
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
  return equal > MaxOccludedInGroup();
}

// A neighbour occludes only the nearest few of the candidates to which it is not much nearer.
void Pruner::RaiseRatiosInGroup(const float* distances, const float* between, float* ratios,
                                size_t n) const {
  size_t occluded = 0;
  for (size_t j = 0; j < n; ++j) {
    const float ratio = Ratio(distances[j], between[j]);
    const bool occludes = ratio > options_.alpha && ratios[j] <= options_.alpha;
    const bool is_near = ratio <= kNear || distances[j] == 0;
    if (!occludes || !is_near || occluded++ < MaxOccludedInGroup())
      ratios[j] = std::max(ratios[j], ratio);
  }
}

// A search gets from p to an open candidate x through a chosen neighbour, which has this row, as
// near as d(p, x) / d(row, x) tells. Keeps the largest such ratio of each candidate, from the
// `first` on, and drops those that are occluded even for the last round.
void Pruner::Occlude(By by, const std::byte* row, size_t first, Operation& op) const {
  PruneScratch::Candidates& open = op.scratch.prune.open;
  const size_t n = open.size - first;
  float* const between = open.between.data();
  std::byte* const buffer = op.scratch.row_buffer.data();
  const Codec& codec = open.of->codec;
  const Scorer scorer =
      by == By::kProduct ? codec.BindRowAsQuery(row, buffer) : codec.BindRow(row, buffer);
  scorer.Score(open.rows.data() + first, n, between);
  op.work.distances += n;
  const float* const distances = open.distances.data() + first;
  float* const ratios = open.ratios.data() + first;
  if (by == By::kProduct) {  // Products may have either sign: no ratio, but which one is larger.
    for (size_t j = 0; j < n; ++j) ratios[j] = between[j] < distances[j] ? kMax : ratios[j];
  } else {
    open.in_group = open.in_group || IsInGroup(distances, between, ratios, n);
    if (open.in_group) {
      RaiseRatiosInGroup(distances, between, ratios, n);
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

// Nearest first.
void Pruner::Choose(const Round& round, Operation& op) const {
  PruneScratch::Candidates& open = op.scratch.prune.open;
  std::vector<SlotId>& selected = op.scratch.prune.selected;
  for (size_t i = 0; i < open.size && selected.size() < round.degree; ++i) {
    if (open.ratios[i] > round.alpha) continue;
    if (selected.size() + round.reserved >= round.degree && open.distances[i] <= round.far)
      continue;
    selected.push_back(open.slots[i]);
    open.ratios[i] = kChosen;
    if (selected.size() < round.degree) Occlude(round.by, open.rows[i], i + 1, op);
  }
}

void Pruner::Open(std::span<const Candidate> candidates, Operation& op) const {
  PruneScratch::Candidates& open = op.scratch.prune.open;
  open.Resize(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    open.slots[i] = candidates[i].slot;
    open.distances[i] = candidates[i].distance;
    open.ratios[i] = 0;
  }
  open.of->FindAll(open.slots.data(), open.size, open.rows.data(), op.scratch.fetch);
}

// The pool gets its distances by the vectors.
void Pruner::ScoreByVectors(SlotId p, std::span<Candidate> pool, Operation& op) const {
  PruneScratch::Candidates& open = op.scratch.prune.open;
  Open(pool, op);
  vectors_->codec.BindRow(vectors_->Row(p, op.scratch.fetch), op.scratch.row_buffer.data())
      .Score(open.rows.data(), open.size, open.distances.data());
  op.work.distances += open.size;
  for (size_t i = 0; i < pool.size(); ++i) pool[i].distance = open.distances[i];
}

// A query's answers are the points whose products with it are largest, long rows mostly. The way
// from one to the next leads over points whose product with it is large: not over points near it,
// which are as long as itself. But by products alone all would point at the same few.
// (docs/algorithms.md, D20; after Morozov and Babenko, "Non-metric similarity graphs for maximum
// inner product search", NeurIPS 2018.)
void Pruner::ChooseByProduct(SlotId p, std::span<const Candidate> pool, size_t degree,
                             Operation& op) const {
  PruneScratch::Candidates& open = op.scratch.prune.open;
  std::vector<Candidate>& candidates = op.scratch.prune.by_product;
  candidates.assign(pool.begin(), pool.end());
  Open(candidates, op);
  open.of->codec.BindRowAsQuery(open.of->Row(p, op.scratch.fetch), op.scratch.row_buffer.data())
      .Score(open.rows.data(), open.size, open.distances.data());
  op.work.distances += open.size;
  for (size_t i = 0; i < candidates.size(); ++i) candidates[i].distance = open.distances[i];
  SortNearestFirst(p, candidates);
  Open(candidates, op);
  Choose({.by = By::kProduct, .degree = degree}, op);
}

void Pruner::ChooseByDistance(std::span<const Candidate> pool, size_t degree, Operation& op) const {
  const PruneScratch::Candidates& open = op.scratch.prune.open;
  if (open.size == 0) return;
  const float far = kFar * pool[pool.size() / 2].distance;
  const size_t max_far =
      std::max<size_t>(options_.max_degree / (far > 0 ? kFarShare : kFarShareOfEqual), 1);
  // Places for candidates that are far and open.
  const auto reserved = [&] {
    size_t n = 0;
    for (size_t i = open.size; i > 0 && open.distances[i - 1] > far && n < max_far; --i)
      n += open.ratios[i - 1] <= options_.alpha ? 1 : 0;
    return n;
  };
  // Where half of all equal p, they would take every place in the first round: the others are far.
  Choose({.degree = degree, .reserved = far > 0 ? 0 : reserved(), .far = far}, op);
  if (op.scratch.prune.selected.size() == degree || open.size == 0) return;
  Choose({.alpha = options_.alpha, .degree = degree, .reserved = reserved(), .far = far}, op);
}

// Fewer than a third of `degree`, and than 8, are filled up to 7/10 of it, or 24. To leave a
// neighbour out because a nearer one leads to it is to trust that one's row, and a point that is
// near everything (a zero among unit vectors) leads to R of them. (docs/algorithms.md, D18.)
void Pruner::FillUp(std::span<const Candidate> pool, size_t degree, PruneScratch& scratch) {
  constexpr size_t kEnough = 24;
  std::vector<SlotId>& selected = scratch.selected;
  if (selected.size() >= std::min(degree, kEnough) / 3) return;
  const size_t least = std::min(degree * 7 / 10, kEnough);
  for (const Candidate& candidate : pool) {
    if (selected.size() >= least) return;
    if (!Contains(selected, candidate.slot)) selected.push_back(candidate.slot);
  }
}

std::span<const SlotId> Pruner::Prune(SlotId p, std::span<Candidate> pool, size_t degree,
                                      Operation& op) const {
  ++op.work.prunes;
  PruneScratch::Candidates& open = op.scratch.prune.open;
  std::vector<SlotId>& selected = op.scratch.prune.selected;
  selected.clear();
  open.in_group = false;
  open.of = &rows_;
  SortNearestFirst(p, pool);
  if (vectors_ != nullptr && vectors_->AreReadable(op.scratch.fetch) &&
      !TellsApart(rows_, p, pool)) {
    open.of = vectors_;
    ScoreByVectors(p, pool, op);
    SortNearestFirst(p, pool);
  }
  if (rows_.codec.NormsVary()) ChooseByProduct(p, pool, degree / 2, op);
  Open(pool, op);
  // What is chosen is not open, and occludes as if it had been chosen by distance.
  for (size_t i = 0; i < open.size && !selected.empty(); ++i)
    if (Contains(selected, open.slots[i])) open.ratios[i] = kChosen;
  for (const SlotId chosen : selected)
    Occlude(By::kDistance, open.of->Row(chosen, op.scratch.fetch), 0, op);
  ChooseByDistance(pool, degree, op);
  if (options_.alpha > 1) FillUp(pool, degree, op.scratch.prune);
  return selected;
}

}  // namespace shoal
