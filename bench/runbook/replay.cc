#include "runbook/replay.h"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <span>
#include <utility>

#include "base/mutex.h"
#include "base/parallel.h"
#include "jobs/timed_search.h"
#include "runbook/track_recall.h"

namespace shoal::bench {
namespace {

double Rate(uint64_t points, double seconds) {
  return seconds > 0 ? static_cast<double>(points) / seconds : 0;
}

constexpr size_t kGrain = 16;  // Operations that a thread takes at a time.

}  // namespace

Replay::Replay(const Input& input, const Runbook& runbook, const ReplayOptions& options,
               Index index)
    : input_(input), runbook_(runbook), options_(options), index_(std::move(index)) {}

Result<Replay> Replay::Create(const Input& input, const Runbook& runbook,
                              const ReplayOptions& options) {
  auto index = CreateIndex(input, options.index);
  if (!index) return tl::unexpected(index.error());
  return Replay(input, runbook, options, std::move(*index));
}

template <class Work>
Result<std::vector<float>> Replay::Timed(const Step& step, size_t n, const Work& work) const {
  std::vector<float> took(n);
  Mutex failing;
  std::optional<Error> failed;  // Guarded by `failing`.
  std::atomic<bool> stop{false};
  ParallelFor(options_.threads, n, kGrain, nullptr, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end && !stop; ++i) {
      const auto start = Clock::now();
      const Status ok = work(i);
      took[i] = static_cast<float>(Since(start) * 1e6);
      if (ok) continue;
      const MutexLock lock(failing);
      if (!failed) failed = ok.error();
      stop = true;
    }
  });
  if (!failed) return took;
  failed->message = fmt::format("{}: {}", Where(runbook_, step), failed->message);
  return tl::unexpected(*failed);
}

Status Replay::UpdateOne(const Step& step, uint32_t i) {
  const ExternalId id = step.points.begin + i;
  switch (step.operation) {
    case Operation::kInsert: return index_.Insert(id, input_.rows[step.rows.begin + i]);
    case Operation::kReplace: return index_.Upsert(id, input_.rows[step.rows.begin + i]);
    case Operation::kDelete: return index_.Delete(id);
    case Operation::kSearch: break;
  }
  return {};
}

Result<StreamStep> Replay::Update(const Step& step) {
  StreamStep figures;
  figures.points = step.points.size();
  const auto begin = Clock::now();
  auto took = Timed(step, step.points.size(),
                    [&](size_t i) { return UpdateOne(step, static_cast<uint32_t>(i)); });
  if (!took) return tl::unexpected(took.error());
  const double updating = Since(begin);
  if (step.operation != Operation::kInsert) deleted_ += step.points.size();
  const auto live = static_cast<double>(index_.size());
  if (options_.index.runtime.repair == RepairPolicy::kManual && deleted_ > 0 &&
      static_cast<double>(deleted_) > options_.consolidate_share * live) {
    const auto start = Clock::now();
    const Status done = index_.Consolidate({.threads = options_.threads});
    if (!done) return tl::unexpected(done.error());
    figures.consolidate_seconds = Since(start);
    deleted_ = 0;
  }
  figures.seconds = Since(begin);
  figures.tail = TailOf(*took);
  const double rate = Rate(figures.points, updating);
  (step.operation == Operation::kInsert   ? figures.insert_rate
   : step.operation == Operation::kDelete ? figures.delete_rate
                                          : figures.replace_rate) = rate;
  return figures;
}

Result<StreamStep> Replay::Search(const Step& step, size_t list, const TruthSet* truth) {
  const MatrixView all = input_.queries;
  const MatrixView queries =
      step.queries.size() == 0 ? all : all.Slice(step.queries.begin, step.queries.size());
  const size_t n = queries.rows(), k = options_.k;
  std::vector<ExternalId> ids(n * k);
  std::vector<float> found_at(n * k);  // Distances of the ids.
  std::vector<size_t> counts(n);
  std::vector<uint64_t> distances(n);
  const auto search = [&](size_t i) -> Status {
    const size_t q = i % n;
    WorkCounters work;
    const auto found = index_.Search(
        queries[q], {.k = k, .search_list_size = list, .rerank = options_.rerank},
        std::span(ids).subspan(q * k, k), std::span(found_at).subspan(q * k, k), &work);
    if (!found) return tl::unexpected(found.error());
    counts[q] = *found;
    distances[q] = work.distances;
    return {};
  };
  StreamStep figures;
  figures.list = list;
  figures.points = n * options_.passes;
  std::vector<float> took;
  // A pass at a time: no query is asked by two threads at once.
  for (size_t pass = 0; pass < options_.passes; ++pass) {
    const auto begin = Clock::now();
    auto one = Timed(step, n, search);
    if (!one) return tl::unexpected(one.error());
    figures.seconds += Since(begin);
    took.insert(took.end(), one->begin(), one->end());
  }
  figures.tail = TailOf(took);
  figures.qps = Rate(figures.points, figures.seconds);
  double computed = 0, recall = 0;
  const Rounding rounding = RoundingOf(input_.metric, queries.type(), queries.dim());
  for (size_t q = 0; q < n; ++q) {
    computed += static_cast<double>(distances[q]);
    if (truth == nullptr) continue;
    const TrackRecall of = RecallOf(*truth, q, std::span(ids).subspan(q * k, counts[q]), k,
                                    {std::span(found_at).subspan(q * k, counts[q]), rounding});
    recall += of.wanted == 0 ? 1 : static_cast<double>(of.hits) / static_cast<double>(of.wanted);
  }
  figures.distances = computed / static_cast<double>(n);
  if (truth != nullptr) figures.recall = recall / static_cast<double>(n);
  return figures;
}

void Replay::Measure(StreamStep& figures) const {
  const Resident resident = Resident::Read();
  const IndexStats stats = index_.Stats();
  figures.live = index_.size();
  figures.resident_bytes = resident.now;
  figures.peak_resident_bytes = resident.peak;
  figures.index_bytes = stats.memory.total();
  if (options_.index.runtime.repair != RepairPolicy::kImmediate)
    figures.pending_repairs = stats.pending_repairs;
}

Result<std::vector<StreamStep>> Replay::Do(const Step& step, const TruthOf& truth_of) {
  std::vector<StreamStep> all;
  const auto add = [&](Result<StreamStep> figures) -> Status {
    if (!figures) return tl::unexpected(figures.error());
    Measure(*figures);
    clock_ += figures->seconds;
    figures->number = step.number;
    figures->operation = OperationName(step.operation);
    figures->at_seconds = clock_;
    all.push_back(std::move(*figures));
    return {};
  };
  if (step.operation != Operation::kSearch) {
    Resident::ResetPeak();
    if (auto ok = add(Update(step)); !ok) return tl::unexpected(ok.error());
    return all;
  }
  const auto truth = truth_of(step);
  if (!truth) return tl::unexpected(truth.error());
  const TruthSet* const known = *truth ? &**truth : nullptr;
  for (const uint64_t list : options_.lists) {
    Resident::ResetPeak();
    if (auto ok = add(Search(step, list, known)); !ok) return tl::unexpected(ok.error());
  }
  return all;
}

}  // namespace shoal::bench
