#include "package_search/live_run.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "shoal/exact.h"

namespace package_search {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Rate(uint64_t n, double seconds) {
  return seconds > 0 ? static_cast<double>(n) / seconds : 0;
}

struct Answer {
  std::vector<uint64_t> ids;
  std::vector<float> distances;
};

// Mean recall@k over the queries; answers[i] is that to query i.
shoal::Result<double> MeanRecall(const shoal::Index& index, shoal::MatrixView rows,
                                 shoal::MatrixView queries, const std::vector<Answer>& answers,
                                 size_t k, size_t threads) {
  k = std::min(k, rows.rows());
  shoal::ExactOptions options;
  options.k = k;
  options.metric = index.options().metric;
  options.batch.threads = threads;
  const auto truth = shoal::ExactSearch(rows, queries, options);
  if (!truth) return tl::unexpected(truth.error());
  const auto rounding = shoal::RoundingOf(options.metric, queries.type(), queries.dim());
  double sum = 0;
  for (size_t i = 0; i < answers.size(); ++i)
    sum += shoal::Recall(*truth, i, answers[i].ids, k, {answers[i].distances, rounding});
  return sum / static_cast<double>(answers.size());
}

}  // namespace

void Gate::Enter() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !closed_; });
  ++inside_;
}

void Gate::Leave() {
  const std::lock_guard lock(mutex_);
  if (--inside_ == 0 && closed_) changed_.notify_all();
}

void Gate::Close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  changed_.wait(lock, [&] { return inside_ == 0; });
}

void Gate::Open() {
  const std::lock_guard lock(mutex_);
  closed_ = false;
  changed_.notify_all();
}

void LiveRun::Fail(shoal::Error error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = std::move(error);
  stop_ = true;
}

void LiveRun::InsertLoop() {
  while (!stop_) {
    gate_.Enter();
    const uint64_t row = next_row_.fetch_add(1);
    const bool mine = row < rows_.rows();
    const shoal::Status status = mine ? index_.Insert(row, rows_[row]) : shoal::Status();
    if (mine && status) inserted_.fetch_add(1);
    gate_.Leave();
    if (!status) Fail(status.error());
    if (!mine) break;
  }
  const std::lock_guard lock(mutex_);
  if (--inserting_ == 0) ended_.notify_all();
}

void LiveRun::SearchLoop(LatencyRecorder& latency) {
  std::vector<uint64_t> ids(options_.search.k);
  std::vector<float> distances(options_.search.k);
  while (!stop_) {
    const uint64_t query = next_query_.fetch_add(1) % queries_.rows();
    const auto start = Clock::now();
    const auto found = index_.live().Search(queries_[query], options_.search, ids, distances);
    latency.Record(static_cast<uint64_t>((Clock::now() - start).count()));
    if (!found) Fail(found.error());
  }
}

bool LiveRun::WaitForReport() {
  std::unique_lock lock(mutex_);
  const auto period = std::chrono::duration<double>(options_.report_seconds);
  return !ended_.wait_for(lock, period, [&] { return inserting_ == 0; });
}

LiveRun::Report LiveRun::Take(double seconds) const {
  Report report{.seconds = seconds, .inserted = inserted_.load(), .latency = {}};
  for (const auto& latency : latencies_) report.latency += latency->Read();
  return report;
}

shoal::Status LiveRun::MeasureRecall(Progress& progress) {
  const size_t count = std::min(options_.recall_queries, queries_.rows());
  std::vector<float> asked;
  std::vector<Answer> answers;
  const uint64_t last = next_query_.load() + queries_.rows();
  gate_.Close();
  const uint64_t points = std::min<uint64_t>(next_row_.load(), rows_.rows());
  shoal::Status status;
  for (size_t i = 0; i < count && status; ++i) {
    const shoal::VectorView query = queries_[(last - count + i) % queries_.rows()];
    const auto* elements = static_cast<const float*>(query.data());
    asked.insert(asked.end(), elements, elements + query.dim());
    const auto hits = index_.live().Search(query, options_.search);
    if (!hits) status = tl::unexpected(hits.error());
    Answer& answer = answers.emplace_back();
    for (size_t hit = 0; hits && hit < hits->size(); ++hit) {
      answer.ids.push_back((*hits)[hit].id);
      answer.distances.push_back((*hits)[hit].distance);
    }
  }
  gate_.Open();
  if (!status || points == 0) return status;
  const auto recall = MeanRecall(index_.live(), rows_.Slice(0, points),
                                 shoal::MatrixView(std::span<const float>(asked), queries_.dim()),
                                 answers, options_.search.k, 1);
  if (!recall) return tl::unexpected(recall.error());
  progress.recall = *recall;
  progress.recall_queries = count;
  progress.recall_points = points;
  return {};
}

shoal::Result<Progress> LiveRun::Judge(const Report& now, const Report& before) {
  const double elapsed = now.seconds - before.seconds;
  const LatencyCounts latency = now.latency.Since(before.latency);
  Progress progress;
  progress.seconds = now.seconds;
  progress.inserted = now.inserted;
  progress.total = rows_.rows();
  progress.inserts_per_second = Rate(now.inserted - before.inserted, elapsed);
  progress.searches_per_second = Rate(latency.total(), elapsed);
  progress.p50 = latency.Microseconds(0.5);
  progress.p99 = latency.Microseconds(0.99);
  progress.p999 = latency.Microseconds(0.999);
  progress.k = options_.search.k;
  if (options_.other) progress.other = options_.other();
  if (const auto status = MeasureRecall(progress); !status) return tl::unexpected(status.error());
  return progress;
}

shoal::Result<RunSummary> LiveRun::Run(LiveView& view) {
  const auto start = Clock::now();
  inserting_ = options_.insert_threads;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < options_.search_threads; ++t) {
    LatencyRecorder& latency = *latencies_.emplace_back(std::make_unique<LatencyRecorder>());
    threads.emplace_back([this, &latency] { SearchLoop(latency); });
  }
  for (size_t t = 0; t < options_.insert_threads; ++t) {
    threads.emplace_back([this] { InsertLoop(); });
  }
  Report before = Take(0);
  while (WaitForReport()) {
    Report now = Take(SecondsSince(start));
    const auto progress = Judge(now, before);
    if (!progress) Fail(progress.error());
    if (progress) view.Show(*progress);
    before = std::move(now);
  }
  const Report end = Take(SecondsSince(start));
  stop_ = true;
  for (std::thread& thread : threads) thread.join();
  if (!error_) {
    const auto progress = Judge(end, before);
    if (!progress) return tl::unexpected(progress.error());
    view.Show(*progress);
  }
  if (error_) return tl::unexpected(*error_);
  return RunSummary{.seconds = end.seconds,
                    .inserts_per_second = Rate(end.inserted - options_.first_row, end.seconds),
                    .searches_per_second = Rate(end.latency.total(), end.seconds),
                    .latency = end.latency};
}

shoal::Result<FinalFigures> MeasureAtRest(const shoal::Index& index, shoal::MatrixView rows,
                                          shoal::MatrixView queries,
                                          const shoal::SearchOptions& search, size_t threads) {
  const size_t n = queries.rows();
  std::vector<uint64_t> ids(n * search.k);
  std::vector<float> distances(n * search.k);
  std::vector<uint32_t> counts(n);
  const shoal::SearchManyOutput output{.ids = ids, .distances = distances, .counts = counts};
  const auto start = Clock::now();
  const auto status = index.SearchMany(queries, search, output, {.threads = threads});
  if (!status) return tl::unexpected(status.error());
  FinalFigures figures;
  figures.searches_per_second = Rate(n, SecondsSince(start));
  std::vector<Answer> answers;
  for (size_t i = 0; i < n; ++i) {
    const auto first = static_cast<ptrdiff_t>(i * search.k), last = first + counts[i];
    answers.push_back({{ids.begin() + first, ids.begin() + last},
                       {distances.begin() + first, distances.begin() + last}});
  }
  const auto recall = MeanRecall(index, rows, queries, answers, search.k, threads);
  if (!recall) return tl::unexpected(recall.error());
  figures.recall = *recall;
  return figures;
}

}  // namespace package_search
