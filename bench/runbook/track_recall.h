// The recall of big-ann-benchmarks' streaming track.
#pragma once

#include <cstdint>
#include <span>

#include "shoal/exact.h"

namespace shoal::bench {

// Distances that differ by less count as equal, in the metric's own unit.
inline constexpr double kTie = 1e-6;

// How many of the answer's first k are true, at most `wanted` = min(k, neighbours there are). True
// are the k nearest, and of the others in `truth` (100 of them in the track's files) those whose
// distance ties with the k-th's. Points that `truth` does not have are true if their `distances`,
// one for each of `found`, tie with it, rounding apart. Without distances, the k nearest.
struct TrackRecall {
  size_t hits = 0;
  size_t wanted = 0;
};
// 1 <= k <= truth.k.
TrackRecall RecallOf(const TruthSet& truth, size_t query, std::span<const uint64_t> found, size_t k,
                     const FoundDistances& distances = {});

}  // namespace shoal::bench
