// The queries of a file, each searched once, one at a time on each thread, with the time that each
// took. And the answers as files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "apps/common/progress.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

struct Queries {
  Matrix rows;
  std::vector<Filter> filters;  // One a query; or empty.
  std::vector<size_t> asked;    // Their numbers, ascending; at least one. The others are left out.
};

struct SearchRun {
  std::vector<size_t> asked;      // As Queries'; the others have no hits.
  std::vector<ExternalId> ids;    // queries x k; what is behind counts[q] in row q is no hit.
  std::vector<float> distances;   // queries x k, in shoal's metric.
  std::vector<uint32_t> counts;   // queries
  Rounding rounding;              // Of the distances.
  double queries_per_second = 0;  // Of all threads together.
  double mean_distances = 0;      // Distances computed for a query.
  double mean_us = 0;             // Latency of a query.
  double p999_us = 0;             // That of the slowest in a thousand.
};

// Queries are handed out one by one. The error is that of the first query, by number, that has one.
// The calling thread keeps `progress` up to date, in queries.
Result<SearchRun> SearchEveryQuery(const Index& index, const Queries& queries,
                                   const SearchOptions& options, size_t threads,
                                   Progress& progress);

// Writes the run to <path>_idx_uint32.bin and <path>_dists_float.bin, queries x k each; distances
// as ToFileDistance says. Where there was no hit: TruthSet::kNoNeighbor at the worst distance.
Status WriteResults(const std::filesystem::path& path, const SearchRun& run, Metric metric,
                    size_t k);

}  // namespace shoal::apps
