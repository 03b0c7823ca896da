#include "jobs/timed_search.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace shoal::bench {

double Latencies::Percentile(double share) {
  if (us.empty()) return 0;
  std::sort(us.begin(), us.end());
  const auto at = static_cast<size_t>(share * static_cast<double>(us.size()));
  return us[std::min(us.size() - 1, at)];
}

Expected<TimedSample> RunTimed(const Searched& searched, MatrixView queries,
                               const TimedSearch& search) {
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  TimedSample sample;
  std::string error;
  const auto begin = Clock::now();
  const auto work = [&] {
    std::vector<ExternalId> ids(search.k);
    std::vector<float> mine;
    mine.reserve(1 << 16);
    while (!stop.load(std::memory_order_relaxed)) {
      const size_t i = next.fetch_add(1, std::memory_order_relaxed);
      const auto start = Clock::now();
      if (i % queries.rows() == 0 && i > 0 && Since(begin) >= search.seconds) break;
      const auto found =
          searched.search(queries[i % queries.rows()], search.options(), ids, {}, nullptr);
      mine.push_back(static_cast<float>(Since(start) * 1e6));
      if (found) continue;
      const std::lock_guard lock(mutex);
      error = found.error().message;
      break;
    }
    stop.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(mutex);
    sample.latencies.us.insert(sample.latencies.us.end(), mine.begin(), mine.end());
  };
  std::vector<std::thread> others;
  for (size_t thread = 1; thread < search.threads; ++thread) others.emplace_back(work);
  work();
  for (std::thread& thread : others) thread.join();
  if (!error.empty()) return tl::unexpected(error);
  sample.queries_per_second = static_cast<double>(sample.latencies.us.size()) / Since(begin);
  return sample;
}

Expected<Answered> AnswerAll(const Searched& searched, MatrixView queries, const TruthSet& truth,
                             const TimedSearch& search) {
  Answered answered;
  std::vector<ExternalId> ids(search.k);
  std::vector<float> distances(search.k);
  const Rounding rounding = RoundingOf(searched.metric, queries.type(), queries.dim());
  for (size_t i = 0; i < queries.rows(); ++i) {
    WorkCounters work;
    const auto found = searched.search(queries[i], search.options(), ids, distances, &work);
    if (!found) return tl::unexpected(found.error().message);
    answered.recall += Recall(truth, i, std::span(ids).first(*found), search.k,
                              {std::span(distances).first(*found), rounding});
    answered.distances += static_cast<double>(work.distances);
  }
  answered.recall /= static_cast<double>(queries.rows());
  answered.distances /= static_cast<double>(queries.rows());
  return answered;
}

}  // namespace shoal::bench
