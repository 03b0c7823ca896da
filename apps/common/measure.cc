#include "apps/common/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "apps/common/truth.h"
#include "shoal/dataset.h"

namespace shoal::apps {
namespace {

using Clock = std::chrono::steady_clock;

double Microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

// What the threads share.
struct Work {
  const Index& index;
  const MatrixView queries;
  const std::vector<Filter>& filters;  // One a query; or empty.
  const SearchOptions options;
  SearchRun& run;
  std::vector<double> latencies{};  // Of those asked.
  std::atomic<size_t> next{0};
  std::atomic<uint64_t> distances{0};
  std::mutex mutex{};
  std::optional<std::pair<size_t, Error>> first_error{};  // Under mutex.
};

// `progress`: of the thread that shows it, null in the others.
void SearchSome(Work& work, Progress* progress) {
  constexpr size_t kShowEvery = 64;
  const size_t k = work.options.k;
  uint64_t distances = 0;
  size_t mine = 0;
  for (size_t i; (i = work.next.fetch_add(1)) < work.run.asked.size();) {
    const size_t q = work.run.asked[i];
    if (progress != nullptr && mine++ % kShowEvery == 0) progress->Update(i);
    SearchOptions options = work.options;
    if (!work.filters.empty()) options.filter = &work.filters[q];
    const auto begin = Clock::now();
    WorkCounters counters;
    const auto count =
        work.index.Search(work.queries[q], options, std::span(work.run.ids).subspan(q * k, k),
                          std::span(work.run.distances).subspan(q * k, k), &counters);
    work.latencies[i] = Microseconds(Clock::now() - begin);
    distances += counters.distances;
    if (count) {
      work.run.counts[q] = static_cast<uint32_t>(*count);
      continue;
    }
    const std::lock_guard lock(work.mutex);
    if (!work.first_error || q < work.first_error->first) work.first_error = {q, count.error()};
  }
  work.distances += distances;
}

}  // namespace

Result<SearchRun> SearchEveryQuery(const Index& index, const Queries& queries,
                                   const SearchOptions& options, size_t threads,
                                   Progress& progress) {
  const size_t n = queries.rows.rows();
  SearchRun run;
  run.asked = queries.asked;
  run.ids.resize(n * options.k);
  run.distances.resize(n * options.k);
  run.counts.resize(n);
  run.rounding = RoundingOf(index.options().metric, queries.rows.type(), queries.rows.dim());
  Work work{.index = index,
            .queries = queries.rows,
            .filters = queries.filters,
            .options = options,
            .run = run};
  work.latencies.resize(run.asked.size());
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> others;
    for (size_t t = 1; t < threads; ++t)
      others.emplace_back([&work] { SearchSome(work, nullptr); });
    SearchSome(work, &progress);
  }
  const double seconds = Microseconds(Clock::now() - begin) / 1e6;
  if (work.first_error) {
    return MakeError(
        work.first_error->second.code,
        fmt::format("query {}: {}", work.first_error->first, work.first_error->second.message));
  }
  std::ranges::sort(work.latencies);
  const auto count = static_cast<double>(run.asked.size());
  run.queries_per_second = count / seconds;
  run.mean_distances = static_cast<double>(work.distances.load()) / count;
  run.mean_us = std::accumulate(work.latencies.begin(), work.latencies.end(), 0.0) / count;
  run.p999_us = work.latencies[static_cast<size_t>(0.999 * count)];
  return run;
}

Status WriteResults(const std::filesystem::path& path, const SearchRun& run, Metric metric,
                    size_t k) {
  const float worst = ToFileDistance(metric, std::numeric_limits<float>::infinity());
  std::vector<uint32_t> ids(run.ids.size(), TruthSet::kNoNeighbor);
  std::vector<float> distances(run.ids.size(), worst);
  for (size_t q = 0; q < run.counts.size(); ++q) {
    for (size_t i = q * k; i < q * k + run.counts[q]; ++i) {
      ids[i] = static_cast<uint32_t>(run.ids[i]);
      distances[i] = ToFileDistance(metric, run.distances[i]);
    }
  }
  std::filesystem::path ids_path = path;
  ids_path += "_idx_uint32.bin";
  if (auto ok = WriteIdBin(ids_path, ids, k); !ok) return ok;
  std::filesystem::path distances_path = path;
  distances_path += "_dists_float.bin";
  return WriteBin(distances_path, MatrixView(std::span<const float>(distances), k));
}

}  // namespace shoal::apps
