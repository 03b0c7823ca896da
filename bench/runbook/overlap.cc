#include "runbook/overlap.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "runbook/live_points.h"
#include "runbook/overlap_log.h"
#include "runbook/overlap_queue.h"
#include "runbook/replay.h"

namespace shoal::bench {
namespace {

class OverlapRun {
 public:
  OverlapRun(const Input& input, const Runbook& runbook, const OverlapOptions& options)
      : input_(input),
        runbook_(runbook),
        options_(options),
        queues_(runbook, options.warm_steps, options.lead) {}

  Status Check() {
    const auto wrong = [](std::string_view field, std::string_view expected) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("{}: expected {}, found 0", field, expected));
    };
    if (!queues_.writes().operations.empty() && options_.inserts.threads == 0)
      return wrong("inserts.threads", "at least 1, for a runbook that inserts");
    if (!queues_.deletes().operations.empty() && options_.deletes.threads == 0)
      return wrong("deletes.threads", "at least 1, for a runbook that deletes");
    if (queues_.empty() && options_.seconds <= 0)
      return wrong("seconds", "more than 0, for a runbook without updates after warm_steps");
    return {};
  }

  // The first steps, one after the other.
  Status Warm() {
    auto replay =
        Replay::Create(input_, runbook_,
                       {.index = options_.index, .threads = options_.judge_threads, .lists = {}});
    if (!replay) return tl::unexpected(replay.error());
    LivePoints live;
    for (size_t i = 0; i < std::min(options_.warm_steps, runbook_.steps.size()); ++i) {
      const Step& step = runbook_.steps[i];
      if (auto ok = live.Apply(runbook_, step); !ok) return ok;
      if (step.operation == Operation::kSearch) continue;
      if (auto done = replay->Do(step, nullptr); !done) return tl::unexpected(done.error());
    }
    for (uint32_t id = 0; id < live.rows().size(); ++id)
      if (live.rows()[id] != LivePoints::kNone) log_.before.push_back({id, live.rows()[id], 0, 0});
    index_.emplace(std::move(*replay).TakeIndex());
    return {};
  }

  Result<OverlapLog> Run() {
    log_.searches.resize(options_.searches.threads);
    log_.writes.resize(options_.inserts.threads);
    log_.deletes.resize(options_.deletes.threads);
    updaters_ = options_.inserts.threads + options_.deletes.threads;
    if (queues_.empty()) updaters_ = SIZE_MAX / 2;  // None of them ends the run.
    Resident::ResetPeak();
    clock_.emplace();
    std::vector<std::thread> threads;
    for (size_t i = 0; i < options_.searches.threads; ++i)
      threads.emplace_back([this, i] { SearchAll(i); });
    for (size_t i = 0; i < options_.inserts.threads; ++i)
      threads.emplace_back([this, i] { Update(Kind::kWrite, i); });
    for (size_t i = 0; i < options_.deletes.threads; ++i)
      threads.emplace_back([this, i] { Update(Kind::kDelete, i); });
    Watch();
    for (std::thread& thread : threads) thread.join();
    const MutexLock lock(failing_);
    if (failed_) return tl::unexpected(*failed_);
    return std::move(log_);
  }

  const Index& index() const { return *index_; }

 private:
  enum class Kind : uint8_t { kWrite, kDelete };

  // Takes a sample of the index at the end of each bucket, until the run is over.
  void Watch() {
    const auto bucket = static_cast<uint64_t>(options_.bucket_seconds * 1e9);
    const auto last =
        options_.seconds > 0 ? static_cast<uint64_t>(options_.seconds * 1e9) : UINT64_MAX;
    for (uint64_t end = bucket;; end += bucket) {
      clock_->WaitUntil(std::min(end, last), stop_);
      if (end >= last) stop_ = true;
      const bool over = stop_;  // Before the sample: the last one is of the end.
      const Resident resident = Resident::Read();
      const IndexStats stats = index_->Stats();
      log_.samples.push_back({clock_->Now(), index_->size(), resident.now, resident.peak,
                              stats.memory.total(), stats.pending_repairs});
      if (over) return;
    }
  }

  void Fail(const Error& error) {
    const MutexLock lock(failing_);
    if (!failed_) failed_ = error;
    stop_ = true;
  }

  void SearchAll(size_t thread) {
    SearchLog& log = log_.searches[thread];
    Arrivals arrivals(options_.arrivals, options_.searches.rate, options_.searches.threads, thread,
                      options_.seed);
    const size_t k = options_.k;
    std::vector<ExternalId> ids(k);
    std::vector<float> distances(k);
    for (size_t i = thread;; i += options_.searches.threads) {
      SearchRecord record;
      record.query = static_cast<uint32_t>(i % input_.queries.rows());
      if (arrivals.open_loop()) record.due = arrivals.Next();
      if (arrivals.open_loop() && !clock_->WaitUntil(record.due, stop_)) return;
      record.start = clock_->Now();
      if (!arrivals.open_loop()) record.due = record.start;
      const auto found = index_->Search(
          input_.queries[record.query],
          {.k = k, .search_list_size = options_.list, .rerank = options_.rerank}, ids, distances);
      record.end = clock_->Now();
      if (!found) return Fail(found.error());
      record.found = static_cast<uint32_t>(*found);
      record.first = log.ids.size();
      for (size_t j = 0; j < *found; ++j) {
        log.ids.push_back(static_cast<uint32_t>(ids[j]));
        log.distances.push_back(distances[j]);
      }
      log.records.push_back(record);
      if (stop_) return;
    }
  }

  void Update(Kind kind, size_t thread) {
    const bool writes = kind == Kind::kWrite;
    OperationQueue& queue = writes ? queues_.writes() : queues_.deletes();
    const OperationQueue& other = writes ? queues_.deletes() : queues_.writes();
    const Load& load = writes ? options_.inserts : options_.deletes;
    UpdateLog& log = (writes ? log_.writes : log_.deletes)[thread];
    Arrivals arrivals(options_.arrivals, load.rate, load.threads, thread,
                      options_.seed + (writes ? 1000 : 2000));
    for (;;) {
      const uint64_t due = arrivals.open_loop() ? arrivals.Next() : 0;
      if (due > 0 && !clock_->WaitUntil(due, stop_)) break;
      const size_t i = queue.next.fetch_add(1, std::memory_order_relaxed);  // A ticket alone.
      if (i >= queue.operations.size()) break;
      const PointOperation& operation = queue.operations[i];
      const uint64_t before = clock_->Now();
      if (!queues_.WaitForTurn(operation, other, stop_)) break;
      const uint64_t waited = clock_->Now() - before;
      arrivals.Postpone(waited);
      PointEvent event;
      event.id = operation.id;
      event.row = operation.row;
      event.start = clock_->Now();
      const Status ok = Apply(operation);
      event.end = clock_->Now();
      queues_.Done(operation);
      if (!ok)
        return Fail(
            {ok.error().code, fmt::format("point {}: {}", operation.id, ok.error().message)});
      const uint64_t from = due > 0 ? due + waited : event.start;
      log.events.push_back(event);
      log.replaces.push_back(operation.replaces ? 1 : 0);
      log.latencies_us.push_back(static_cast<float>(static_cast<double>(event.end - from) * 1e-3));
    }
    if (updaters_.fetch_sub(1) == 1) stop_ = true;
  }

  Status Apply(const PointOperation& operation) {
    if (operation.row == PointEvent::kDeleted) return index_->Delete(operation.id);
    const VectorView vector = input_.rows[operation.row];
    return operation.replaces ? index_->Upsert(operation.id, vector)
                              : index_->Insert(operation.id, vector);
  }

  const Input& input_;
  const Runbook& runbook_;
  const OverlapOptions& options_;
  std::optional<Index> index_;
  std::optional<RunClock> clock_;
  OverlapQueues queues_;
  std::atomic<bool> stop_{false};
  std::atomic<size_t> updaters_{0};  // That are at work.
  OverlapLog log_;                   // Each thread its part.
  Mutex failing_;
  std::optional<Error> failed_;  // Guarded by `failing_`.
};

}  // namespace

Result<OverlapFigures> RunOverlap(const Input& input, const Runbook& runbook,
                                  const OverlapOptions& options,
                                  const std::function<void(std::string_view)>& say) {
  OverlapRun run(input, runbook, options);
  if (auto ok = run.Check(); !ok) return tl::unexpected(ok.error());
  if (auto ok = run.Warm(); !ok) return tl::unexpected(ok.error());
  say(fmt::format("{} points are there; searches, inserts and deletes begin", run.index().size()));
  auto log = run.Run();
  if (!log) return tl::unexpected(log.error());
  OverlapFigures figures = Summarise(*log);
  say(fmt::format("{} searches and {} updates in {:.1f} s; judging", figures.searches,
                  figures.inserts + figures.replaces + figures.deletes, figures.seconds));
  if (auto ok = JudgeOverlap(*log, input, options, figures); !ok) return tl::unexpected(ok.error());
  if (auto whole = run.index().CheckStructure(); !whole) figures.structure = whole.error().message;
  return figures;
}

}  // namespace shoal::bench
