// Exact search: what is asked is checked, cut into jobs (a group of queries against a slice of the
// base) for all threads, and the slices' answers are merged.
#include "exact/exact_search.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "base/finite.h"
#include "base/memory.h"
#include "base/mismatch.h"
#include "base/mutex.h"
#include "base/norm.h"
#include "base/padding.h"
#include "base/type_and_metric.h"
#include "distance/kernels.h"
#include "exact/problem.h"
#include "exact/slice_search.h"

namespace shoal::exact {
namespace {

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, "exact search: " + std::move(message));
}

Status CheckShapes(MatrixView base, MatrixView queries, const ExactOptions& options) {
  const auto wrong = [](const char* field, std::string_view expected, std::string_view found) {
    return Mismatch(ErrorCode::kInvalidArgument, std::string("exact search: ") + field, expected,
                    found);
  };
  const auto of_base = [](auto value) { return std::string(value) + ", as the base"; };
  const std::string rows = Written(base.rows());
  if (options.k == 0) return wrong("k", "at least 1", "0");
  if (base.rows() == 0) return wrong("rows of the base", "at least 1", "0");
  if (queries.rows() == 0) return wrong("queries", "at least 1", "0");
  if (base.type() != queries.type())
    return wrong("scalar type of the queries", of_base(ScalarTypeName(base.type())),
                 ScalarTypeName(queries.type()));
  if (Status ok = CheckRange(ErrorCode::kInvalidArgument, "exact search: dimension of the base",
                             base.dim(), 1, kMaxDim);
      !ok)
    return ok;
  if (Status ok = CheckTypeAndMetric(base.type(), options.metric); !ok)
    return Invalid(std::move(ok.error().message));
  if (base.dim() != queries.dim())
    return wrong("dimension of the queries", of_base(Written(base.dim())), Written(queries.dim()));
  if (base.rows() >= TruthSet::kNoNeighbor)
    return wrong("rows of the base", "less than " + Written(TruthSet::kNoNeighbor), rows);
  if (!options.ids.empty() && options.ids.size() != base.rows())
    return wrong("ids", rows + ", one per base row", Written(options.ids.size()));
  if (!options.include.empty() && options.include.size() != base.rows())
    return wrong("include", rows + ", one per base row", Written(options.include.size()));
  return {};
}

// Element `i` of a row, any alignment.
float ElementAt(ScalarType type, const std::byte* row, size_t i) {
  switch (type) {
    case ScalarType::kFloat32: {
      float value;
      std::memcpy(&value, row + i * sizeof(value), sizeof(value));
      return value;
    }
    case ScalarType::kFloat16: {
      Half value;
      std::memcpy(&value, row + i * sizeof(value), sizeof(value));
      return HalfToFloat(value);
    }
    case ScalarType::kInt8: return static_cast<float>(static_cast<int8_t>(row[i]));
    case ScalarType::kUint8: return static_cast<float>(static_cast<uint8_t>(row[i]));
    case ScalarType::kBit: break;
  }
  return 0;
}

// Finite, and of a norm that an index takes; no bits behind the last element.
Status CheckRow(const char* name, MatrixView rows, size_t row, Metric metric) {
  const std::byte* data = rows.data() + row * rows.row_bytes();
  if (rows.type() == ScalarType::kBit) {
    if (HasZeroPadding(rows[row])) return {};
    return Invalid(std::string(name) + " row " + Written(row) + ": " + WhyBadPadding(rows.dim()));
  }
  if (const size_t bad = FirstNonFinite(data, rows.type(), rows.dim()); bad < rows.dim())
    return Mismatch(
        ErrorCode::kInvalidArgument,
        std::string("exact search: ") + name + " row " + Written(row) + ", element " + Written(bad),
        "a finite number", NameNonFinite(data + BytesOf(rows.type(), bad), rows.type()));
  double norm_sq = 0;
  for (size_t i = 0; i < rows.dim(); ++i) {
    const double value = ElementAt(rows.type(), data, i);
    norm_sq += value * value;
  }
  if (IsLegalNormSq(norm_sq, metric)) return {};
  if (norm_sq == 0) {
    return Invalid(std::string(name) + " row " + std::to_string(row) +
                   " is a zero vector, expected a direction for the cosine metric");
  }
  return Invalid(std::string(name) + " row " + std::to_string(row) + ": " + WhyIllegal(norm_sq));
}

// Mean and typical norm of a sample of the base. Any values are right, good ones are faster.
void MeasureBase(Problem& problem) {
  problem.centre.assign(problem.dim(), 0.0f);
  if (!problem.HasFloats() || problem.ByPairs() || problem.metric == Metric::kCosine) return;
  constexpr size_t kSample = 256;
  std::vector<double> sum(problem.dim());
  double squares = 0;
  size_t seen = 0;
  const size_t step = std::max<size_t>(problem.base.rows() / kSample, 1);
  for (size_t row = 0; row < problem.base.rows(); row += step) {
    if (!problem.Includes(row)) continue;
    const std::byte* data = problem.base.data() + row * problem.base.row_bytes();
    for (size_t i = 0; i < problem.dim(); ++i) {
      const double value = ElementAt(problem.base.type(), data, i);
      sum[i] += value;
      squares += value * value;
    }
    ++seen;
  }
  if (seen == 0 || !std::isfinite(squares)) return;
  problem.typical_norm = std::sqrt(squares / static_cast<double>(seen));
  if (problem.metric != Metric::kL2) return;
  for (size_t i = 0; i < problem.dim(); ++i)
    problem.centre[i] = static_cast<float>(sum[i] / static_cast<double>(seen));
}

// Progress in rows of the queries, told by one thread at a time and never backwards.
class Progress final : public Observer {
 public:
  Progress(const BatchOptions& batch, size_t queries, size_t rows)
      : batch_(batch), queries_(queries), pairs_(queries * rows) {}

  void Done(size_t pairs) override {
    const size_t done = done_.fetch_add(pairs, std::memory_order_relaxed) + pairs;
    if (!batch_.progress) return;
    if (!reporting_.TryLock()) return;
    const size_t rows = Rows(done);
    if (rows > reported_ && rows < queries_) {  // The last word is Finish's.
      reported_ = rows;
      batch_.progress(rows, queries_);
    }
    reporting_.Unlock();
  }
  bool Cancelled() const override { return refused() || failed() || batch_.stop.stop_requested(); }
  void Refuse() override { refused_.store(true, std::memory_order_relaxed); }
  void Fail() { failed_.store(true, std::memory_order_relaxed); }

  bool refused() const { return refused_.load(std::memory_order_relaxed); }
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  // After all threads have ended: an error if they did not come to their end.
  Status Stopped() const {
    const size_t done = done_.load(std::memory_order_relaxed);
    if (done == pairs_) return {};
    return MakeError(ErrorCode::kCancelled, "exact search: cancelled after " +
                                                std::to_string(Rows(done)) + " of " +
                                                std::to_string(queries_));
  }
  void Finish() {
    if (batch_.progress) batch_.progress(queries_, queries_);
  }

 private:
  // Of `pairs`, as many as whole queries.
  size_t Rows(size_t pairs) const {
    return static_cast<size_t>(static_cast<double>(pairs) / static_cast<double>(pairs_) *
                               static_cast<double>(queries_));
  }

  const BatchOptions& batch_;
  const size_t queries_;
  const size_t pairs_;
  std::atomic<size_t> done_{0};
  std::atomic<bool> refused_{false};
  std::atomic<bool> failed_{false};
  Mutex reporting_;
  size_t reported_ SHOAL_GUARDED_BY(reporting_) = 0;
};

// A group of queries, and what the threads found of it, until the last of them is done.
struct Group {
  std::atomic<size_t> next{0};   // slice
  size_t open = 0;               // slices not yet done; as the rest, guarded by Search::merging_
  std::vector<Ranked> ranked;    // threads x queries x k
  std::vector<uint32_t> counts;  // threads x queries
};

class Search {
 public:
  Search(const Problem& problem, const ExactOptions& options, size_t threads)
      : problem_(problem),
        options_(options),
        shape_(ChooseShape(problem, threads)),
        threads_(std::min(threads, shape_.groups * shape_.slices)),
        progress_(options.batch, problem.queries.rows(), problem.base.rows()),
        bars_(problem.queries.rows()),
        groups_(shape_.groups) {
    truth_.queries = problem.queries.rows();
    truth_.k = options.k;
    truth_.ids.assign(truth_.queries * truth_.k, TruthSet::kNoNeighbor);
    truth_.distances.assign(truth_.queries * truth_.k, std::numeric_limits<float>::infinity());
    truth_.counts.assign(truth_.queries, 0);
    for (auto& group : groups_) group.open = shape_.slices;
  }

  Result<TruthSet> Run() {
    std::vector<std::thread> helpers;
    try {
      helpers.reserve(threads_ - 1);
      for (size_t i = 1; i < threads_; ++i) helpers.emplace_back([this, i] { Work(i); });
    } catch (const std::system_error&) {
      // Fewer threads: slower, not wrong.
    }
    Work(0);
    for (auto& helper : helpers) helper.join();
    if (progress_.failed()) throw std::bad_alloc();
    if (progress_.refused()) return Refusal();
    if (Status stopped = progress_.Stopped(); !stopped) return tl::unexpected(stopped.error());
    progress_.Finish();
    return std::move(truth_);
  }

 private:
  // Each thread begins with a group of its own, if there are so many, and then helps with others.
  void Work(size_t thread) {
    try {
      const auto search = MakeSliceSearch(problem_, shape_);
      const size_t home = thread * shape_.groups / threads_;
      for (size_t i = 0; i < shape_.groups && !progress_.Cancelled(); ++i)
        WorkOn(*search, (home + i) % shape_.groups);
    } catch (const std::bad_alloc&) {
      progress_.Fail();
    }
  }

  void WorkOn(SliceSearch& search, size_t number) {
    Group& group = groups_[number];
    const size_t first = number * shape_.group_queries;
    const size_t count = std::min(shape_.group_queries, problem_.queries.rows() - first);
    const size_t rows = problem_.base.rows();
    size_t done = 0;
    for (size_t slice; (slice = group.next.fetch_add(1, std::memory_order_relaxed)) < shape_.slices;
         ++done) {
      if (done == 0) search.Begin(first, count, &bars_);
      if (!search.Run(rows * slice / shape_.slices, rows * (slice + 1) / shape_.slices, progress_))
        return;
    }
    if (done == 0) return;
    std::vector<Ranked> ranked(count * problem_.k);
    std::vector<uint32_t> counts(count);
    search.End(ranked, counts);
    {
      const MutexLock lock(merging_);
      group.ranked.insert(group.ranked.end(), ranked.begin(), ranked.end());
      group.counts.insert(group.counts.end(), counts.begin(), counts.end());
      group.open -= done;
      if (group.open > 0) return;
    }
    Merge(group, first, count);
  }

  // Writes the answers of a group whose slices are all done.
  void Merge(Group& group, size_t first, size_t count) {
    const size_t k = problem_.k;
    std::vector<Ranked> all;
    for (size_t i = 0; i < count; ++i) {
      all.clear();
      for (size_t part = i; part < group.counts.size(); part += count) {
        const auto begin = group.ranked.begin() + part * k;
        all.insert(all.end(), begin, begin + group.counts[part]);
      }
      const size_t found = std::min(k, all.size());
      std::partial_sort(all.begin(), all.begin() + found, all.end());
      truth_.counts[first + i] = static_cast<uint32_t>(found);
      for (size_t j = 0; j < found; ++j) {
        const size_t at = (first + i) * truth_.k + j;
        truth_.ids[at] = options_.ids.empty() ? all[j].row : options_.ids[all[j].row];
        truth_.distances[at] = static_cast<float>(all[j].distance);
      }
    }
    group.ranked = {};
    group.counts = {};
  }

  // Which row it was: the first, whatever thread met which.
  tl::unexpected<Error> Refusal() const {
    for (size_t row = 0; row < problem_.base.rows(); ++row) {
      if (!problem_.Includes(row)) continue;
      auto status = CheckRow("base", problem_.base, row, problem_.metric);
      if (!status) return tl::unexpected<Error>(std::move(status.error()));
    }
    return Invalid("base changed during the search");
  }

  const Problem& problem_;
  const ExactOptions& options_;
  const Shape shape_;
  const size_t threads_;
  Progress progress_;
  SharedBars bars_;
  Mutex merging_;
  std::vector<Group> groups_;
  TruthSet truth_;  // rows of a group: written by the thread that closes it
};

}  // namespace

Result<TruthSet> ExactSearchWith(const distance::BlockKernels& kernels, MatrixView base,
                                 MatrixView queries, const ExactOptions& options) {
  if (auto status = CheckShapes(base, queries, options); !status)
    return tl::unexpected<Error>(std::move(status.error()));
  for (size_t row = 0; row < queries.rows(); ++row) {
    if (auto status = CheckRow("queries", queries, row, options.metric); !status)
      return tl::unexpected<Error>(std::move(status.error()));
  }
  try {
    if (options.k > (SIZE_MAX >> 5) / queries.rows()) throw std::length_error("k");
    Problem problem;
    problem.kernels = &kernels;
    problem.base = base;
    problem.queries = queries;
    problem.metric = options.metric;
    problem.include = options.include;
    problem.k = std::min(options.k, base.rows());
    MeasureBase(problem);
    const size_t threads = options.batch.threads == 0 ? AvailableCpus() : options.batch.threads;
    return Search(problem, options, threads).Run();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return MakeError(ErrorCode::kOutOfMemory, "exact search: no memory for " +
                                                std::to_string(queries.rows()) + " queries x " +
                                                std::to_string(options.k) + " neighbours");
}

}  // namespace shoal::exact

namespace shoal {

Result<TruthSet> ExactSearch(MatrixView base, MatrixView queries, const ExactOptions& options) {
  return exact::ExactSearchWith(distance::BlockKernelsFor(distance::Active().isa), base, queries,
                                options);
}

}  // namespace shoal
