#include "runbook/track_recall.h"

#include <algorithm>
#include <cmath>

namespace shoal::bench {

TrackRecall RecallOf(const TruthSet& truth, size_t query, std::span<const uint64_t> found, size_t k,
                     const FoundDistances& distances) {
  const size_t count = truth.counts.empty() ? truth.k : truth.counts[query];
  const size_t wanted = std::min(k, count);
  if (wanted == 0) return {};
  TruthSet ties;  // Of this query, with the same distance wherever they tie.
  ties.queries = 1;
  ties.k = truth.k;
  const auto ids = truth.Ids(query);
  ties.ids.assign(ids.begin(), ids.end());
  if (!truth.counts.empty()) ties.counts = {truth.counts[query]};
  FoundDistances rounded = distances;
  if (!truth.distances.empty()) {
    const auto known = truth.Distances(query);
    ties.distances.assign(known.begin(), known.end());
    for (size_t i = wanted; i < count; ++i) {
      if (std::abs(double{known[i]} - known[wanted - 1]) < kTie)
        ties.distances[i] = known[wanted - 1];
    }
    rounded.rounding.absolute = std::max(rounded.rounding.absolute, kTie);
  }
  const double recall = Recall(ties, 0, found, k, rounded);
  return {static_cast<size_t>(std::llround(recall * static_cast<double>(wanted))), wanted};
}

}  // namespace shoal::bench
