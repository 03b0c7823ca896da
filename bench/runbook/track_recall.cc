#include "runbook/track_recall.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace shoal::bench {

TrackRecall RecallOf(const TruthSet& truth, size_t query, std::span<const uint64_t> found,
                     size_t k) {
  const size_t count = truth.counts.empty() ? truth.k : truth.counts[query];
  const size_t wanted = std::min(k, count);
  if (wanted == 0) return {};
  size_t end = wanted;
  if (!truth.distances.empty()) {
    const auto distances = truth.Distances(query);
    const double last = distances[wanted - 1];
    while (end < count && (distances[end] == distances[wanted - 1] ||
                           std::abs(double{distances[end]} - last) < kTie))
      ++end;
  }
  const auto ids = truth.Ids(query).first(end);
  std::vector<uint64_t> trues(ids.begin(), ids.end());
  std::sort(trues.begin(), trues.end());
  std::vector<uint64_t> answers(found.begin(), found.begin() + std::min(k, found.size()));
  std::sort(answers.begin(), answers.end());
  answers.erase(std::unique(answers.begin(), answers.end()), answers.end());
  const auto hits =
      static_cast<size_t>(std::count_if(answers.begin(), answers.end(), [&](uint64_t id) {
        return std::binary_search(trues.begin(), trues.end(), id);
      }));
  return {std::min(hits, wanted), wanted};
}

}  // namespace shoal::bench
