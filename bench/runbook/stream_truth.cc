#include "runbook/stream_truth.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runbook/clusters.h"
#include "runbook/live_points.h"
#include "shoal/dataset.h"

namespace shoal::bench {
namespace {

constexpr uint32_t kNone = LivePoints::kNone;

std::vector<uint32_t> LiveIds(std::span<const uint32_t> row_of) {
  std::vector<uint32_t> ids;
  for (uint32_t id = 0; id < row_of.size(); ++id)
    if (row_of[id] != kNone) ids.push_back(id);
  return ids;
}

}  // namespace

StreamTruth::StreamTruth(MatrixView base, MatrixView queries, const StreamTruthOptions& options)
    : base_(base),
      queries_(queries),
      options_(options),
      capacity_(options.k + options.reserve),
      answers_(queries.rows(), Unknown()) {}

// Of no points everything is known.
StreamTruth::Answer StreamTruth::Unknown() {
  return {{}, {std::numeric_limits<float>::infinity(), kNone}};
}

std::vector<uint32_t> StreamTruth::Update(std::span<const uint32_t> row_of) {
  row_of_.resize(std::max(row_of_.size(), row_of.size()), kNone);
  std::vector<uint32_t> came;
  std::vector<bool> left(row_of_.size(), false);
  bool any_left = false;
  for (uint32_t id = 0; id < row_of_.size(); ++id) {
    const uint32_t row = id < row_of.size() ? row_of[id] : kNone;
    if (row == row_of_[id]) continue;
    if (row_of_[id] != kNone) any_left = left[id] = true;
    if (row != kNone) came.push_back(id);
    row_of_[id] = row;
  }
  if (any_left) {
    for (Answer& answer : answers_)
      std::erase_if(answer.nearest, [&](const Key& key) { return left[key.id]; });
  }
  return came;
}

Result<TruthSet> StreamTruth::At(std::span<const uint32_t> row_of) {
  ++work_.searches;
  std::vector<uint32_t> all(queries_.rows());
  std::iota(all.begin(), all.end(), 0u);
  const std::vector<uint32_t> came = Update(row_of);
  const std::vector<uint32_t> live = LiveIds(row_of_);
  if (2 * came.size() > live.size()) {
    // Most are new: nothing is saved by keeping the rest.
    answers_.assign(queries_.rows(), Unknown());
    if (auto ok = Offer(live, all); !ok) return tl::unexpected(ok.error());
  } else if (auto ok = Offer(came, all); !ok) {
    return tl::unexpected(ok.error());
  }
  const size_t wanted = std::min(options_.k, live.size());
  std::vector<uint32_t> short_ones;
  for (const uint32_t query : all) {
    if (answers_[query].nearest.size() >= wanted) continue;
    short_ones.push_back(query);
    answers_[query] = Unknown();
  }
  work_.recomputed += short_ones.size();
  if (auto ok = Offer(live, short_ones); !ok) return tl::unexpected(ok.error());

  TruthSet truth;
  truth.queries = queries_.rows();
  truth.k = options_.k;
  truth.ids.assign(truth.queries * truth.k, TruthSet::kNoNeighbor);
  truth.distances.assign(truth.ids.size(), std::numeric_limits<float>::infinity());
  truth.counts.assign(truth.queries, static_cast<uint32_t>(wanted));
  for (size_t query = 0; query < truth.queries; ++query) {
    for (size_t i = 0; i < wanted; ++i) {
      truth.ids[query * truth.k + i] = answers_[query].nearest[i].id;
      truth.distances[query * truth.k + i] = answers_[query].nearest[i].distance;
    }
  }
  return truth;
}

Status StreamTruth::Offer(std::span<const uint32_t> ids, std::span<const uint32_t> queries) {
  if (ids.empty() || queries.empty()) return {};
  MatrixView rows = queries_;
  Matrix some;
  if (queries.size() < queries_.rows()) {
    auto gathered = Reorder(queries_, queries);
    if (!gathered) return tl::unexpected(gathered.error());
    some = std::move(*gathered);
    rows = some;
  }
  for (size_t begin = 0; begin < ids.size(); begin += options_.block) {
    const auto block = ids.subspan(begin, std::min(options_.block, ids.size() - begin));
    if (auto ok = OfferBlock(block, rows, queries); !ok) return ok;
  }
  return {};
}

Status StreamTruth::OfferBlock(std::span<const uint32_t> ids, MatrixView queries,
                               std::span<const uint32_t> numbers) {
  std::vector<uint32_t> which;
  for (const uint32_t id : ids) which.push_back(row_of_[id]);
  const auto rows = Reorder(base_, which);
  if (!rows) return tl::unexpected(rows.error());
  const auto found = ExactSearch(*rows, queries,
                                 {.k = std::min(capacity_, ids.size()),
                                  .metric = options_.metric,
                                  .ids = ids,
                                  .batch = options_.batch});
  if (!found) return tl::unexpected(found.error());
  work_.distances += uint64_t{ids.size()} * queries.rows();
  for (size_t i = 0; i < numbers.size(); ++i) Merge(answers_[numbers[i]], *found, i);
  return {};
}

void StreamTruth::Merge(Answer& answer, const TruthSet& found, size_t row) const {
  auto& nearest = answer.nearest;
  const auto ids = found.Ids(row);
  const auto distances = found.Distances(row);
  const size_t before = nearest.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    const Key key{distances[i], ids[i]};
    if (key <= answer.horizon) nearest.push_back(key);
  }
  const auto middle = nearest.begin() + static_cast<ptrdiff_t>(before);
  // Integer distances beyond 2^24 were ordered before they were rounded.
  std::sort(middle, nearest.end());
  std::inplace_merge(nearest.begin(), middle, nearest.end());
  // Full: there may be points beyond, here or in what ExactSearch has cut off.
  if (nearest.size() < capacity_) return;
  nearest.resize(capacity_);
  answer.horizon = nearest.back();
}

}  // namespace shoal::bench
