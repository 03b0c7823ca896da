#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "shoal/exact.h"

namespace shoal {
namespace {

// Which ids of a query's answer are true.
class Judge {
 public:
  Judge(const TruthSet& truth, size_t query, size_t wanted, size_t count,
        const Rounding& rounding) {
    size_t end = wanted;
    if (!truth.distances.empty()) {
      const auto distances = truth.Distances(query);
      const double kth = distances[wanted - 1];
      while (end < count && distances[end] == distances[wanted - 1]) ++end;
      // A row that is not full has all points.
      if (count == truth.k) limit_ = kth + rounding.relative * std::abs(kth) + rounding.absolute;
    }
    const auto ids = truth.Ids(query);
    for (size_t i = 0; i < count; ++i) known_.emplace_back(ids[i], i < end);
    std::sort(known_.begin(), known_.end());
  }

  // What the truth knows of an id stands, whatever its distance was found to be.
  bool IsTrue(uint64_t id, float distance) const {
    const auto it = std::lower_bound(known_.begin(), known_.end(), std::pair(id, false));
    return it != known_.end() && it->first == id ? it->second : distance <= limit_;
  }

 private:
  std::vector<std::pair<uint64_t, bool>> known_;  // Ascending; true: as near as the k-th.
  double limit_ = std::numeric_limits<double>::quiet_NaN();  // NaN: no other id is true.
};

}  // namespace

Rounding RoundingOf(Metric metric, ScalarType type, size_t dim) {
  const double sum = (static_cast<double>(dim) / 8 + 8) * 0x1p-24;
  if (metric == Metric::kCosine) return {.absolute = 2 * sum};
  const bool floats = type == ScalarType::kFloat32 || type == ScalarType::kFloat16;
  return {.relative = floats ? sum : 0};
}

double Recall(const TruthSet& truth, size_t query, std::span<const uint64_t> found, size_t k,
              const FoundDistances& distances) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  if (k == 0 || truth.k < k) return std::numeric_limits<double>::quiet_NaN();
  const size_t count = truth.counts.empty() ? truth.k : truth.counts[query];
  const size_t wanted = std::min(k, count);
  if (wanted == 0) return 1;

  const Judge judge(truth, query, wanted, count, distances.rounding);
  std::vector<uint64_t> hits;
  for (size_t i = 0; i < std::min(k, found.size()); ++i) {
    const float distance = i < distances.values.size() ? distances.values[i] : kNone;
    if (judge.IsTrue(found[i], distance)) hits.push_back(found[i]);
  }
  std::sort(hits.begin(), hits.end());
  hits.erase(std::unique(hits.begin(), hits.end()), hits.end());
  return std::min(1.0, static_cast<double>(hits.size()) / static_cast<double>(wanted));
}

}  // namespace shoal
