// Searches over a fixed set of queries, timed: rate, latencies, recall.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "runner/json.h"
#include "shoal/exact.h"
#include "shoal/index.h"

namespace shoal::bench {

using Clock = std::chrono::steady_clock;
inline double Since(Clock::time_point begin) {  // Seconds.
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// What is searched, an Index or an IndexView, which outlives it.
struct Searched {
  template <class Any>
  Searched(const Any& any)  // NOLINT(google-explicit-constructor)
      : metric(any.options().metric),
        search([&any](const auto&... asked) { return any.Search(asked...); }) {}
  Metric metric;
  std::function<Result<size_t>(VectorView, const SearchOptions&, std::span<ExternalId>,
                               std::span<float>, WorkCounters*)>
      search;
};

struct TimedSearch {
  size_t k = 10;
  size_t list = 64;   // L.
  size_t rerank = 0;  // SearchOptions::rerank.
  size_t threads = 1;
  double seconds = 1;  // Of a sample, at least one whole pass over the queries.

  SearchOptions options() const { return {.k = k, .search_list_size = list, .rerank = rerank}; }
};

// Latencies of one search each, in microseconds.
struct Latencies {
  std::vector<float> us;

  // share: 0 to 1. 0 where there are none. Sorts.
  double Percentile(double share);
};

struct TimedSample {
  double queries_per_second = 0;
  Latencies latencies;
};

// Whole passes over the queries until the time is over, so that every sample has the same mix.
Expected<TimedSample> RunTimed(const Searched& searched, MatrixView queries,
                               const TimedSearch& search);

// Every query once, untimed.
struct Answered {
  double recall = 0;     // Mean recall@k.
  double distances = 0;  // Mean per query.
};
Expected<Answered> AnswerAll(const Searched& searched, MatrixView queries, const TruthSet& truth,
                             const TimedSearch& search);

}  // namespace shoal::bench
