// The replacements of a deleted point: who they are, how far apart, and whom of them a row takes.
#include <algorithm>
#include <utility>

#include "graph/graph.h"
#include "graph/position_of_least.h"

namespace shoal {
namespace {

constexpr float kUnusable = Scratch::kUnusable;

// Whether one of n points is nearer to a row's owner than a candidate, and so near to the candidate
// that a search gets there through it: see Graph::Choose.
bool AnyOccludes(const float* from_owner, const float* from_candidate, size_t n, float distance,
                 float alpha) {
  unsigned occluders = 0;
  for (size_t i = 0; i < n; ++i)  // No branch: this is a vector loop.
    occluders |= static_cast<unsigned>(from_owner[i] < distance) &
                 static_cast<unsigned>(distance > alpha * from_candidate[i]);
  return occluders != 0;
}

}  // namespace

// scratch.repair.replacements: p's live neighbours, out and in; where few of them live, also those
// to which deleted neighbours lead.
void Graph::CollectReplacements(SlotId p, Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  const size_t most = size_t{4} * neighbors_.max_degree();
  const size_t enough = neighbors_.max_degree() / 2;
  r.replacements.clear();
  r.dead.clear();
  op.scratch.search.visited.Reset(2 * most);
  op.scratch.search.visited.Insert(p);
  const auto add = [&](SlotId slot) {
    if (r.replacements.size() == most || !op.scratch.search.visited.Insert(slot)) return;
    const Tag tag = slots_.tag(slot);
    if (tag == Tag::kLive) r.replacements.push_back(slot);
    if (tag == Tag::kDeleted) r.dead.push_back(slot);
  };
  for (const SlotId w : r.out) add(w);
  for (const SlotId z : r.in) add(z);
  SlotId row[kMaxDegree];
  for (size_t i = 0; i < r.dead.size() && i < most && r.replacements.size() < enough; ++i) {
    const size_t n = neighbors_.Copy(r.dead[i], row);
    for (size_t j = 0; j < n; ++j) add(row[j]);
  }
  r.positions.Assign(r.replacements);
  r.rows.resize(r.replacements.size());
  r.distances.resize(r.replacements.size());
  features_.rows().Find(r.replacements.data(), r.replacements.size(), r.rows.data());
  op.work.rows_fetched += r.replacements.size();
}

// Most replacements are in-neighbours and all their distances will be asked for, so none is left
// out.
void Graph::MeasureBetweenReplacements(Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  const size_t n = r.replacements.size();
  r.between.resize(n * n);
  for (size_t i = 0; i < n; ++i) {
    float* const from_i = &r.between[i * n];
    from_i[i] = 0;
    for (size_t j = 0; j < i; ++j) from_i[j] = r.between[j * n + i];
    codec_.BindRow(r.rows[i], op.scratch.row_buffer.data())
        .Score(r.rows.data() + i + 1, n - i - 1, from_i + i + 1);
  }
  op.work.distances += n * (n - 1) / 2;
}

void Graph::MeasureFromDeleted(SlotId p, Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  if (r.replacements.empty()) return;
  ScoreReplacements(p, op);
  r.from_deleted = r.distances;
  const auto middle = r.distances.begin() + static_cast<ptrdiff_t>(r.distances.size() / 2);
  std::nth_element(r.distances.begin(), middle, r.distances.end());
  r.far = kFar * *middle;
}

// Calls for what the choice for z will want of its row's others.
void Graph::PrefetchOthers(SlotId z) const {
  SlotId row[kMaxDegree];
  const size_t n = std::min(neighbors_.Copy(z, row), MostOthers());
  for (size_t i = 0; i < n; ++i) {
    slots_.PrefetchTag(row[i]);
    features_.rows().Prefetch(row[i]);
  }
}

// scratch.repair.distances: of all replacements from `slot`, which itself is unusable.
void Graph::ScoreReplacements(SlotId slot, Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  const size_t n = r.replacements.size();
  if (const uint32_t i = r.positions.Find(slot); i < n) {
    std::copy_n(&r.between[i * n], n, r.distances.begin());
    r.distances[i] = kUnusable;
    return;
  }
  codec_.BindRow(features_.Row(slot), op.scratch.query_buffer.data())
      .Score(r.rows.data(), n, r.distances.data());
  op.work.distances += n;
}

// Likewise their negated products with it.
void Graph::ScoreReplacementsByProduct(SlotId slot, Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  const size_t n = r.replacements.size();
  codec_.BindRowAsQuery(features_.Row(slot), op.scratch.query_buffer.data())
      .Score(r.rows.data(), n, r.distances.data());
  op.work.distances += n;
  if (const uint32_t i = r.positions.Find(slot); i < n) r.distances[i] = kUnusable;
}

// The position of the nearest replacement that is not marked unusable; their number if there is
// none.
size_t Graph::NearestUsable(const Operation& op) {
  const auto& distances = op.scratch.repair.distances;
  const size_t position = PositionOfLeast(distances.data(), distances.size());
  return position == distances.size() || distances[position] == kUnusable ? distances.size()
                                                                          : position;
}

SlotId Graph::NearestReplacement(const Operation& op) {
  const auto& from = op.scratch.repair.from_deleted;
  const auto nearest = std::min_element(from.begin(), from.end()) - from.begin();
  return op.scratch.repair.replacements[static_cast<size_t>(nearest)];
}

// The nearest usable replacement that the row, in front of whose prune it would stand, does not
// occlude, as far as one can tell from those of the row that are replacements themselves and the
// first few others; the replacements' number if that can be said of none of the nearest few, of
// whom `nearest` is the first.
size_t Graph::ChooseReplacement(Operation& op, size_t& nearest) const {
  constexpr int kTries = 8;
  Scratch::Repair& r = op.scratch.repair;
  const size_t replacements = r.replacements.size();
  for (int i = 0; i < kTries; ++i) {
    const size_t candidate = NearestUsable(op);
    if (candidate == replacements) break;
    if (i == 0) nearest = candidate;
    const bool is_occluded =
        OccludedByReplacements(candidate, op) || OccludedByOthers(candidate, op);
    r.distances[candidate] = kUnusable;
    if (!is_occluded) return candidate;
  }
  return replacements;
}

// Sorts z's row into the replacements in it, which become unusable, and the first few others.
// Distances are those from z.
void Graph::SplitRow(SlotId z, std::span<const SlotId> row, Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  SlotId others[kMaxDegree];
  r.in_row.resize(row.size());
  const PositionTable::Parts parts = r.positions.Split(row, r.in_row.data(), others);
  r.in_row.resize(parts.replacements);
  r.from_owner.resize(parts.replacements);
  for (size_t i = 0; i < parts.replacements; ++i)
    r.from_owner[i] = std::exchange(r.distances[r.in_row[i]], kUnusable);
  r.others.Begin(z);
  for (size_t i = 0; i < parts.others && r.others.slots.size() < MostOthers(); ++i)
    if (slots_.tag(others[i]) == Tag::kLive) r.others.slots.push_back(others[i]);
}

// By the replacements in the row.
bool Graph::OccludedByReplacements(size_t candidate, const Operation& op) const {
  const Scratch::Repair& r = op.scratch.repair;
  const float* const from_candidate = &r.between[candidate * r.replacements.size()];
  const float distance = r.distances[candidate];
  unsigned occluders = 0;
  for (size_t i = 0; i < r.in_row.size(); ++i)
    occluders |= static_cast<unsigned>(r.from_owner[i] < distance) &
                 static_cast<unsigned>(distance > options_.alpha * from_candidate[r.in_row[i]]);
  return occluders != 0;
}

// By the row's others, which are measured for the first candidate that gets here.
bool Graph::OccludedByOthers(size_t candidate, Operation& op) const {
  Scratch::Repair& r = op.scratch.repair;
  Scratch::Others& others = r.others;
  const size_t n = others.slots.size();
  if (n == 0) return false;
  if (!others.measured) {
    others.measured = true;
    others.Resize(n);
    features_.rows().Find(others.slots.data(), n, others.rows.data());
    op.work.rows_fetched += n;
    codec_.BindRow(features_.Row(others.owner), op.scratch.row_buffer.data())
        .Score(others.rows.data(), n, others.from_owner.data());
    op.work.distances += n;
  }
  codec_.BindRow(r.rows[candidate], op.scratch.row_buffer.data())
      .Score(others.rows.data(), n, others.from_candidate.data());
  op.work.distances += n;
  return AnyOccludes(others.from_owner.data(), others.from_candidate.data(), n,
                     r.distances[candidate], options_.alpha);
}

}  // namespace shoal
