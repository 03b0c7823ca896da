// What searching an index and searching a view have in common: checks of the caller's arguments,
// results with memory of their own, and batches.
#pragma once

#include <algorithm>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/parallel.h"
#include "shoal/index.h"

namespace shoal {

// "<what>: no memory", or less where there is none for that.
tl::unexpected<Error> NoMemory(const char* what);

// k, target_recall and the filter. InvalidArgument.
Status CheckOptions(const SearchOptions& options);
// Room for a page's hits. InvalidArgument.
Status CheckPage(std::span<ExternalId> ids, std::span<float> distances);
// Options, and room for the hits. InvalidArgument.
Status CheckSearch(const SearchOptions& options, std::span<ExternalId> ids,
                   std::span<float> distances);
// The radius. InvalidArgument.
Status CheckRangeSearch(const RangeOptions& options);
// Likewise, with room for the hits of all queries.
Status CheckBatch(MatrixView queries, const SearchOptions& options, const SearchManyOutput& output);

// The hits of all queries. May throw bad_alloc.
RangeHits Joined(const std::vector<std::vector<Hit>>& found);

// Queries that one thread takes at a time from a batch of n: few enough that all threads have
// several pieces, so many that a piece (128 candidates, guessed: some 100 us) is worth a thread's
// start.
size_t SearchGrain(size_t n, size_t threads, const SearchOptions& options);

// Index::Search with a result of its own, by search(options, ids, distances), which is asked for
// few more hits than there are `points`.
template <class Search>
Result<std::vector<Hit>> SearchToHits(const SearchOptions& options, size_t points,
                                      const Search& search) {
  try {
    constexpr size_t kMore = 64;  // Points that may come meanwhile.
    SearchOptions bounded = options;
    bounded.k = std::min(options.k, std::max<size_t>(1, points) + kMore);
    bounded.search_list_size = std::max(options.search_list_size, bounded.k);
    std::vector<ExternalId> ids(bounded.k);
    std::vector<float> distances(bounded.k);
    const Result<size_t> n = search(bounded, ids, distances);
    if (!n) return tl::unexpected(n.error());
    std::vector<Hit> hits(*n);
    for (size_t i = 0; i < *n; ++i) hits[i] = {ids[i], distances[i]};
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  }
}

// Index::SearchMany, by search(query, ids, distances, work) of one query. `valid`: what is wrong
// with the shape of `queries`.
template <class Search>
Status SearchBatch(MatrixView queries, const SearchOptions& options, const SearchManyOutput& output,
                   const BatchOptions& batch, const Status& valid, const Search& search) {
  const size_t n = queries.rows();
  if (Status ok = CheckBatch(queries, options, output); !ok || n == 0) return ok;
  std::fill_n(output.counts.begin(), n, 0);
  if (!valid) return valid;
  Status first_error;
  Mutex reporting;
  const auto answer = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto distances = output.distances.empty()
                                 ? std::span<float>()
                                 : output.distances.subspan(i * options.k, options.k);
      const Result<size_t> hits =
          search(queries[i], output.ids.subspan(i * options.k, options.k), distances,
                 output.work.empty() ? nullptr : &output.work[i]);
      output.counts[i] = hits ? static_cast<uint32_t>(*hits) : 0;
      if (hits) continue;
      const MutexLock lock(reporting);
      if (first_error)
        first_error =
            MakeError(hits.error().code, "row " + std::to_string(i) + ": " + hits.error().message);
    }
  };
  try {
    const size_t done = ParallelFor(batch.threads, n, SearchGrain(n, batch.threads, options),
                                    batch.progress, answer, batch.stop);
    if (done < n)
      return MakeError(ErrorCode::kCancelled, "search: cancelled after " + std::to_string(done) +
                                                  " of " + std::to_string(n));
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  }
  return first_error;
}

// RangeSearchMany, by search(query) of one query.
template <class Search>
Result<RangeHits> RangeSearchBatch(MatrixView queries, const RangeOptions& options,
                                   const BatchOptions& batch, const Search& search) {
  try {
    const size_t n = queries.rows();
    std::vector<std::vector<Hit>> found(n);
    Status first_error;
    Mutex reporting;
    const auto answer = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        Result<std::vector<Hit>> hits = search(queries[i]);
        if (hits) {
          found[i] = *std::move(hits);
          continue;
        }
        const MutexLock lock(reporting);
        if (first_error)
          first_error = MakeError(hits.error().code,
                                  "row " + std::to_string(i) + ": " + hits.error().message);
      }
    };
    const size_t grain =
        SearchGrain(n, batch.threads, {.search_list_size = options.search_list_size});
    const size_t done = ParallelFor(batch.threads, n, grain, batch.progress, answer, batch.stop);
    if (!first_error) return tl::unexpected(first_error.error());
    if (done < n)
      return MakeError(ErrorCode::kCancelled, "search: cancelled after " + std::to_string(done) +
                                                  " of " + std::to_string(n));
    return Joined(found);
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  }
}

}  // namespace shoal
