#include <algorithm>
#include <limits>

#include "shoal/exact.h"

namespace shoal {

double Recall(const TruthSet& truth, size_t query, std::span<const uint64_t> found, size_t k) {
  if (k == 0 || truth.k < k) return std::numeric_limits<double>::quiet_NaN();
  const size_t count = truth.counts.empty() ? truth.k : truth.counts[query];
  const size_t wanted = std::min(k, count);
  if (wanted == 0) return 1;

  // The true ones: the first k, and all that tie with the last of them.
  const auto ids = truth.Ids(query);
  size_t end = wanted;
  if (!truth.distances.empty()) {
    const auto distances = truth.Distances(query);
    while (end < count && distances[end] == distances[wanted - 1]) ++end;
  }
  std::vector<uint64_t> trues(ids.begin(), ids.begin() + end);
  std::sort(trues.begin(), trues.end());

  std::vector<uint64_t> answers(found.begin(), found.begin() + std::min(k, found.size()));
  std::sort(answers.begin(), answers.end());
  answers.erase(std::unique(answers.begin(), answers.end()), answers.end());
  const auto hits = std::count_if(answers.begin(), answers.end(), [&](uint64_t id) {
    return std::binary_search(trues.begin(), trues.end(), id);
  });
  return std::min(1.0, static_cast<double>(hits) / static_cast<double>(wanted));
}

}  // namespace shoal
