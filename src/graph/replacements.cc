#include "graph/replacements.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "graph/linker.h"
#include "graph/live_graph.h"
#include "graph/position_of_least.h"

namespace shoal {
namespace {

// The distance of a candidate that is not to be chosen: no other is that long.
constexpr float kUnusable = std::numeric_limits<float>::infinity();

// The position of the nearest candidate that is usable; their number if there is none.
size_t NearestUsable(const ReplacementScratch& scratch) {
  const std::vector<float>& distances = scratch.distances;
  const size_t position = PositionOfLeast(distances.data(), distances.size());
  return position == distances.size() || distances[position] == kUnusable ? distances.size()
                                                                          : position;
}

SlotId Take(size_t candidate, ReplacementScratch& scratch) {
  if (candidate == scratch.slots.size()) return kNoSlot;
  scratch.distances[candidate] = kUnusable;
  return scratch.slots[candidate];
}

}  // namespace

size_t Replacements::MaxOthers() const { return graph_.options.max_degree / 4; }

void Replacements::Collect(SlotId p, std::span<const SlotId> out, std::span<const SlotId> in,
                           Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  const size_t max = size_t{4} * graph_.options.max_degree;
  const size_t enough = graph_.options.max_degree / 2;
  r.slots.clear();
  r.deleted.clear();
  r.visited.Reset(2 * max);
  r.visited.Insert(p);
  const auto add = [&](SlotId slot) {
    if (r.slots.size() == max || !r.visited.Insert(slot)) return;
    const Tag tag = graph_.slots.tag(slot);
    if (IsPoint(tag)) r.slots.push_back(slot);
    if (tag == Tag::kDeleted) r.deleted.push_back(slot);
  };
  for (const SlotId w : out) add(w);
  for (const SlotId z : in) add(z);
  SlotId row[kMaxDegree];
  for (size_t i = 0; i < r.deleted.size() && i < max && r.slots.size() < enough; ++i) {
    const size_t n = graph_.neighbors.Copy(r.deleted[i], row);
    for (size_t j = 0; j < n; ++j) add(row[j]);
  }
  r.positions.Assign(r.slots);
  r.rows.resize(r.slots.size());
  r.distances.resize(r.slots.size());
  graph_.pruning.FindAll(r.slots.data(), r.slots.size(), r.rows.data(), op.scratch.fetch);
  op.work.rows_fetched += r.slots.size();
  graph_.neighbors.PrefetchReverse(r.slots);
  MeasureBetween(op);
  MeasureFromDeleted(p, op);
}

// Most candidates are in-neighbours and all their distances will be asked for, so none is left out.
void Replacements::MeasureBetween(Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  const size_t n = r.slots.size();
  r.between.resize(n * n);
  for (size_t i = 0; i < n; ++i) {
    float* const from_i = &r.between[i * n];
    from_i[i] = 0;
    for (size_t j = 0; j < i; ++j) from_i[j] = r.between[j * n + i];
    graph_.pruning.codec.BindRow(r.rows[i], op.scratch.row_buffer.data())
        .Score(r.rows.data() + i + 1, n - i - 1, from_i + i + 1);
  }
  op.work.distances += n * (n - 1) / 2;
}

void Replacements::MeasureFromDeleted(SlotId p, Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  if (r.slots.empty()) return;
  ScoreFrom(p, op);
  r.from_deleted = r.distances;
  const auto median = r.distances.begin() + static_cast<ptrdiff_t>(r.distances.size() / 2);
  std::nth_element(r.distances.begin(), median, r.distances.end());
  r.far = kFar * *median;
}

SlotId Replacements::NearestToDeleted(const Operation& op) {
  const ReplacementScratch& r = op.scratch.replacements;
  if (r.slots.empty()) return kNoSlot;
  const auto nearest = std::min_element(r.from_deleted.begin(), r.from_deleted.end());
  return r.slots[static_cast<size_t>(nearest - r.from_deleted.begin())];
}

// All distances from `slot`, which itself is unusable.
void Replacements::ScoreFrom(SlotId slot, Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  const size_t n = r.slots.size();
  if (const uint32_t i = r.positions.Find(slot); i < n) {
    std::copy_n(&r.between[i * n], n, r.distances.begin());
    r.distances[i] = kUnusable;
    return;
  }
  graph_.BindRow(slot, op).Score(r.rows.data(), n, r.distances.data());
  op.work.distances += n;
}

// Likewise, negated products with it.
void Replacements::ScoreByProductFrom(SlotId slot, Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  const size_t n = r.slots.size();
  graph_.pruning.codec
      .BindRowAsQuery(graph_.pruning.Row(slot, op.scratch.fetch), op.scratch.row_buffer.data())
      .Score(r.rows.data(), n, r.distances.data());
  op.work.distances += n;
  if (const uint32_t i = r.positions.Find(slot); i < n) r.distances[i] = kUnusable;
}

bool Replacements::LinkTo(SlotId w, Operation& op) {
  constexpr int kTries = 4;
  ScoreFrom(w, op);
  if (!op.fetched()) return false;
  for (int i = 0; i < kTries; ++i) {
    const SlotId nearest = TakeNearest(op);
    if (nearest == kNoSlot) return false;
    if (linker_.LinkOrPrune(nearest, w, op)) return true;
  }
  return false;
}

SlotId Replacements::AddBackLinkFor(SlotId z, std::span<const SlotId> row, Operation& op) {
  SlotId candidate = TakeFor(z, row, op);
  while (candidate != kNoSlot &&
         graph_.neighbors.AddBackLink(z, candidate) != NeighborLists::LinkResult::kLinked)
    candidate = TakeNearest(op);
  return candidate;
}

// The usable candidate that is nearest, and makes it unusable; kNoSlot: there is none.
SlotId Replacements::TakeNearest(Operation& op) {
  ReplacementScratch& r = op.scratch.replacements;
  return Take(NearestUsable(r), r);
}

// Where z is far from p, a candidate by which a search gets nearer to p's neighbours; else any. Of
// these the nearest that the row does not occlude; if all of the nearest few are occluded, the
// nearest. Where norms vary, the one with the largest product: edges to such points are hard to
// come by. (docs/algorithms.md, D20.) It is unusable afterwards.
SlotId Replacements::TakeFor(SlotId z, std::span<const SlotId> row, Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  const size_t n = r.slots.size();
  if (graph_.pruning.codec.NormsVary()) {
    ScoreByProductFrom(z, op);
    SplitRow(z, row, r);
    return TakeNearest(op);
  }
  ScoreFrom(z, op);
  SplitRow(z, row, r);
  size_t chosen = n, nearest = n;
  if (const uint32_t i = r.positions.Find(z); i < n && r.from_deleted[i] > r.far) {
    r.usable = r.distances;
    for (size_t j = 0; j < n; ++j)
      if (graph_.options.alpha * r.from_deleted[j] > r.from_deleted[i]) r.distances[j] = kUnusable;
    chosen = ChooseUnoccluded(nearest, op);
    r.distances.swap(r.usable);
  }
  if (chosen == n) chosen = ChooseUnoccluded(nearest, op);
  return Take(chosen < n ? chosen : nearest, r);
}

// The position of the nearest usable candidate that is not occluded, neither by candidates that the
// row has nor by its first few others. Their number if all of the nearest few are occluded. These
// are not usable afterwards. `nearest`: the first of them, if there is one.
size_t Replacements::ChooseUnoccluded(size_t& nearest, Operation& op) const {
  constexpr int kTries = 8;
  ReplacementScratch& r = op.scratch.replacements;
  const size_t n = r.slots.size();
  for (int i = 0; i < kTries; ++i) {
    const size_t candidate = NearestUsable(r);
    if (candidate == n) break;
    if (i == 0) nearest = candidate;
    const bool is_occluded =
        IsOccludedByCandidates(candidate, r) || IsOccludedByOthers(candidate, op);
    r.distances[candidate] = kUnusable;
    if (!is_occluded) return candidate;
  }
  return n;
}

// Sorts z's row into its candidates, which become unusable, and the first few others. Distances are
// those from z.
void Replacements::SplitRow(SlotId z, std::span<const SlotId> row, ReplacementScratch& r) const {
  SlotId others[kMaxDegree];
  r.in_row.resize(row.size());
  const PositionTable::Parts parts = r.positions.Split(row, r.in_row.data(), others);
  r.in_row.resize(parts.candidates);
  r.from_owner.resize(parts.candidates);
  for (size_t i = 0; i < parts.candidates; ++i)
    r.from_owner[i] = std::exchange(r.distances[r.in_row[i]], kUnusable);
  r.others.owner = z;
  r.others.measured = false;
  r.others.slots.clear();
  for (size_t i = 0; i < parts.others && r.others.slots.size() < MaxOthers(); ++i)
    if (IsPoint(graph_.slots.tag(others[i]))) r.others.slots.push_back(others[i]);
}

void Replacements::PrefetchFor(SlotId z) const {
  if (graph_.pruning.fetched != nullptr) return;  // Few of them will be asked for.
  SlotId row[kMaxDegree];
  const size_t n = std::min(graph_.neighbors.Copy(z, row), MaxOthers());
  const Rows rows = graph_.pruning.rows();
  for (size_t i = 0; i < n; ++i) {
    graph_.slots.PrefetchTag(row[i]);
    rows.Prefetch(row[i]);
  }
}

// A point occludes a candidate if it is nearer to the row's owner, and so near to the candidate
// that a search gets there through it: see Pruner::Choose.
bool Replacements::IsOccludedByCandidates(size_t candidate, const ReplacementScratch& r) const {
  const float* const from_candidate = &r.between[candidate * r.slots.size()];
  const float distance = r.distances[candidate];
  unsigned occluders = 0;
  for (size_t i = 0; i < r.in_row.size(); ++i)
    occluders |=
        static_cast<unsigned>(r.from_owner[i] < distance) &
        static_cast<unsigned>(distance > graph_.options.alpha * from_candidate[r.in_row[i]]);
  return occluders != 0;
}

// By the row's others, which are measured for the first candidate that gets here.
bool Replacements::IsOccludedByOthers(size_t candidate, Operation& op) const {
  ReplacementScratch& r = op.scratch.replacements;
  ReplacementScratch::Others& others = r.others;
  const size_t n = others.slots.size();
  if (n == 0) return false;
  if (!others.measured) {
    others.measured = true;
    others.rows.resize(n);
    others.from_owner.resize(n);
    others.from_candidate.resize(n);
    graph_.pruning.FindAll(others.slots.data(), n, others.rows.data(), op.scratch.fetch);
    op.work.rows_fetched += n;
    graph_.BindRow(others.owner, op).Score(others.rows.data(), n, others.from_owner.data());
    op.work.distances += n;
  }
  graph_.BindRow(r.slots[candidate], op).Score(others.rows.data(), n, others.from_candidate.data());
  op.work.distances += n;
  const float distance = r.distances[candidate], alpha = graph_.options.alpha;
  unsigned occluders = 0;
  for (size_t i = 0; i < n; ++i)  // No branch: this is a vector loop.
    occluders |= static_cast<unsigned>(others.from_owner[i] < distance) &
                 static_cast<unsigned>(distance > alpha * others.from_candidate[i]);
  return occluders != 0;
}

}  // namespace shoal
