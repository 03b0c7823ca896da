// Recall and work of an index at several list sizes, and how far two such curves are apart.
#pragma once

#include <span>
#include <vector>

#include "jobs/timed_search.h"

namespace shoal::bench {

using Curve = std::vector<Answered>;  // One point for each list size, which rise.

// recall@k of every query once at each list size, searched as `search` says but for that. truth: at
// least k a query.
Expected<Curve> MeasureCurve(const Index& index, MatrixView queries, const TruthSet& truth,
                             std::span<const uint64_t> lists, TimedSearch search);

// Recall of a curve minus that of the other at as many distances (linear between its points, and
// from the nearest two beyond them); and distances by those of the other at equal recall.
struct CurveDifference {
  double least = 0, mean = 0;
  double distances = 0;  // Mean of the points with recall in [.8, .995]; 0: there is none.
};
CurveDifference Compare(const Curve& curve, const Curve& other);

}  // namespace shoal::bench
