#include "calibration_sample.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/mutex.h"
#include "base/norm.h"
#include "base/parallel.h"
#include "codec/vector_check.h"
#include "shoal/exact.h"

namespace shoal {
namespace {

// Scores that the truth of live points may take: seconds of one thread.
constexpr size_t kScores = 250'000'000;
constexpr size_t kLeastPoints = 200, kMostPoints = 500;
constexpr size_t kBlockBytes = 16u << 20;
constexpr uint64_t kSeed = 1;

// The norm of a vector may have become one that ExactSearch refuses, where the index has it
// rounded.
bool HasDistances(VectorView vector, const IndexOptions& options) {
  return options.metric != Metric::kCosine ||
         IsLegalNormSq(SquaredNorm(vector.data(), vector.type(), vector.dim()), options.metric);
}

// `count` of n, ascending, each as likely as any other. The same ones for the same n.
std::vector<size_t> Choose(size_t n, size_t count) {
  std::mt19937_64 random(kSeed);
  std::vector<size_t> chosen;
  for (size_t i = 0; i < n && chosen.size() < count; ++i)
    if (random() % (n - i) < count - chosen.size()) chosen.push_back(i);
  return chosen;
}

}  // namespace

MatrixView CalibrationSample::view() const {
  const IndexOptions& options = subject_->options();
  return {queries_.data(), options.scalar_type, truths_.size(), options.dim};
}

Result<CalibrationSample> CalibrationSample::Make(const CalibrationSubject& subject, size_t k,
                                                  std::vector<std::byte> queries,
                                                  const BatchOptions& batch) {
  CalibrationSample sample(subject, k);
  const std::vector<SlotId> live = subject.Live();
  sample.points_ = live.size();
  const IndexOptions& options = subject.options();
  sample.truths_.resize(queries.size() / BytesOf(options.scalar_type, options.dim));
  sample.queries_ = std::move(queries);
  Status made;
  if (sample.truths_.empty()) made = sample.TakePoints(live);
  if (made) made = sample.FindTruths(live, batch);
  if (!made) return tl::unexpected(made.error());
  return sample;
}

Status CalibrationSample::TakePoints(const std::vector<SlotId>& live) {
  const IndexOptions& options = subject_->options();
  const size_t wanted =
      std::clamp(kScores / std::max<size_t>(1, live.size()), kLeastPoints, kMostPoints);
  const size_t row_bytes = BytesOf(options.scalar_type, options.dim);
  for (const size_t at : Choose(live.size(), wanted)) {
    queries_.resize((truths_.size() + 1) * row_bytes);
    const MutableVectorView row(queries_.data() + truths_.size() * row_bytes, options.scalar_type,
                                options.dim);
    const Result<std::optional<ExternalId>> id = subject_->Copy(live[at], row);
    if (!id) return tl::unexpected(id.error());
    if (!*id || !HasDistances(row, options)) continue;
    truths_.push_back({.left_out = live[at], .own_id = **id, .nearest = {}});
  }
  queries_.resize(truths_.size() * row_bytes);
  return {};
}

// Block by block: all queries are scored against some MB of rows.
Status CalibrationSample::FindTruths(const std::vector<SlotId>& live, const BatchOptions& batch) {
  if (truths_.empty()) return {};
  const IndexOptions& options = subject_->options();
  const size_t row_bytes = BytesOf(options.scalar_type, options.dim);
  const size_t block = std::min(live.size(), std::max<size_t>(1, kBlockBytes / row_bytes));
  std::vector<std::byte> rows(block * row_bytes);
  std::vector<ExternalId> ids(block);
  for (size_t begin = 0; begin < live.size(); begin += block) {
    const size_t end = std::min(begin + block, live.size());
    size_t n = 0;
    for (size_t i = begin; i < end; ++i) {
      const MutableVectorView row(rows.data() + n * row_bytes, options.scalar_type, options.dim);
      const Result<std::optional<ExternalId>> id = subject_->Copy(live[i], row);
      if (!id) return tl::unexpected(id.error());
      if (*id && HasDistances(row, options)) ids[n++] = **id;
    }
    if (n == 0) continue;
    const MatrixView taken(rows.data(), options.scalar_type, n, options.dim);
    if (Status merged = MergeBlock(taken, std::span(ids).first(n), batch); !merged) return merged;
    if (batch.progress) batch.progress(end, live.size());
  }
  return {};
}

Status CalibrationSample::MergeBlock(MatrixView rows, std::span<const ExternalId> ids,
                                     const BatchOptions& batch) {
  const size_t k = k_ + 1;  // One may be the query itself.
  const Result<TruthSet> found =
      ExactSearch(rows, view(),
                  {.k = std::min(k, rows.rows()),
                   .metric = subject_->options().metric,
                   .batch = {.threads = batch.threads, .stop = batch.stop}});
  if (!found) return tl::unexpected(found.error());
  for (size_t q = 0; q < truths_.size(); ++q) {
    Truth& truth = truths_[q];
    for (size_t i = 0; i < found->k; ++i) {
      const uint32_t row = found->Ids(q)[i];
      if (row == TruthSet::kNoNeighbor) break;
      if (truth.left_out != kNoSlot && ids[row] == truth.own_id) continue;
      truth.nearest.push_back({found->Distances(q)[i], ids[row]});
    }
    std::sort(truth.nearest.begin(), truth.nearest.end(), [](const auto& a, const auto& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
    });
    if (truth.nearest.size() > k_) truth.nearest.resize(k_);
  }
  return {};
}

// What is as near as the k-th counts: it ties, or has come meanwhile.
double CalibrationSample::RecallOf(const Truth& truth, std::span<const ExternalId> ids,
                                   std::span<const float> distances) const {
  const IndexOptions& options = subject_->options();
  const Rounding rounding = RoundingOf(options.metric, options.scalar_type, options.dim);
  const double kth = truth.nearest.back().distance;
  const double bound = kth + rounding.relative * std::abs(kth) + rounding.absolute;
  std::vector<ExternalId> true_ids;
  true_ids.reserve(truth.nearest.size());
  for (const Neighbor& neighbor : truth.nearest) true_ids.push_back(neighbor.id);
  std::sort(true_ids.begin(), true_ids.end());
  size_t found = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (truth.left_out != kNoSlot && ids[i] == truth.own_id) continue;
    const bool is_true =
        distances[i] <= bound || std::binary_search(true_ids.begin(), true_ids.end(), ids[i]);
    found += is_true ? 1 : 0;
  }
  const auto all = static_cast<double>(truth.nearest.size());
  return std::min(1.0, static_cast<double>(found) / all);
}

Result<Trial> CalibrationSample::Measure(const SearchPlan& plan, const BatchOptions& batch) const {
  constexpr size_t kGrain = 8;
  const MatrixView queries = view();
  // Each query's own: a sum would depend on the order in which threads come.
  std::vector<double> recalls(truths_.size(), 1);
  std::vector<uint64_t> scored(truths_.size());
  Status error;
  Mutex reporting;
  const auto search = [&](size_t begin, size_t end) {
    std::vector<ExternalId> ids(plan.k);
    std::vector<float> distances(plan.k);
    for (size_t q = begin; q < end; ++q) {
      SearchPlan own = plan;
      own.left_out = truths_[q].left_out;
      WorkCounters work;
      const Result<size_t> hits = subject_->Run(queries[q], own, ids, distances, &work);
      if (!hits) {
        const MutexLock lock(reporting);
        error = tl::unexpected(hits.error());
        return;
      }
      if (!truths_[q].nearest.empty())
        recalls[q] =
            RecallOf(truths_[q], std::span(ids).first(*hits), std::span(distances).first(*hits));
      scored[q] = work.distances;
    }
  };
  const size_t done = ParallelFor(batch.threads, truths_.size(), kGrain, {}, search, batch.stop);
  if (!error) return tl::unexpected(error.error());
  if (done < truths_.size()) return MakeError(ErrorCode::kCancelled, "calibrate: cancelled");
  Trial trial;
  for (size_t q = 0; q < truths_.size(); ++q) {
    trial.recall += recalls[q];
    trial.distances += static_cast<double>(scored[q]);
  }
  const auto n = static_cast<double>(std::max<size_t>(1, truths_.size()));
  return Trial{trial.recall / n, trial.distances / n};
}

}  // namespace shoal
