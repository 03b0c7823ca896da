#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/mismatch.h"
#include "shoal/exact.h"

namespace shoal {
namespace {

tl::unexpected<Error> Wrong(const char* what, size_t position, size_t query,
                            const std::string& expected, const std::string& found) {
  return Mismatch(ErrorCode::kCorrupt,
                  std::string(what) + " " + Written(position) + " of query " + Written(query),
                  expected, found);
}

// `sorted`: scratch.
Status CheckIds(const TruthSet& truth, size_t query, size_t count, size_t points,
                std::vector<std::pair<uint32_t, size_t>>& sorted) {
  const auto ids = truth.Ids(query);
  sorted.clear();
  for (size_t i = 0; i < count; ++i) {
    if (ids[i] >= points)
      return Wrong("id", i, query, "a row number below " + std::to_string(points),
                   std::to_string(ids[i]));
    sorted.emplace_back(ids[i], i);
  }
  std::sort(sorted.begin(), sorted.end());
  const auto twice =
      std::adjacent_find(sorted.begin(), sorted.end(),
                         [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice == sorted.end()) return {};
  return Wrong("id", std::next(twice)->second, query, "each id once",
               std::to_string(twice->first) + " as at " + std::to_string(twice->second));
}

Status CheckDistances(const TruthSet& truth, size_t query, size_t count, double slack) {
  const auto distances = truth.Distances(query).first(count);
  double largest = 0;
  for (size_t i = 0; i < count; ++i) {
    if (std::isnan(distances[i])) return Wrong("distance", i, query, "a number", "NaN");
    if (std::isfinite(distances[i])) largest = std::max(largest, std::abs(double{distances[i]}));
  }
  for (size_t i = 1; i < count; ++i) {
    if (double{distances[i]} + slack * largest >= distances[i - 1]) continue;
    return Wrong("distance", i, query, "none nearer than that before it",
                 std::to_string(distances[i]) + " after " + std::to_string(distances[i - 1]));
  }
  return {};
}

}  // namespace

Status CheckTruthSet(const TruthSet& truth, const TruthChecks& checks) {
  std::vector<std::pair<uint32_t, size_t>> sorted;
  for (size_t query = 0; query < truth.queries; ++query) {
    const size_t count = truth.counts.empty() ? truth.k : truth.counts[query];
    if (auto ok = CheckIds(truth, query, count, checks.points, sorted); !ok) return ok;
    if (truth.distances.empty()) continue;
    if (auto ok = CheckDistances(truth, query, count, checks.slack); !ok) return ok;
  }
  return {};
}

}  // namespace shoal
