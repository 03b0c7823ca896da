// Recall and work of an index at several list sizes, and how two such curves compare.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "need.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"

namespace shoal::bench {

inline constexpr size_t kCurveK = 10;
inline constexpr std::array<size_t, 8> kCurveLists = {10, 16, 24, 32, 48, 64, 100, 160};

struct CurvePoint {
  double distances = 0;  // A query.
  double recall = 0;     // At kCurveK.
};
using Curve = std::vector<CurvePoint>;  // One point for each of kCurveLists.

// truth: of the queries, at least kCurveK a query.
inline Curve MeasureCurve(const Index& index, MatrixView queries, const TruthSet& truth) {
  Curve curve;
  const size_t n = queries.rows();
  std::vector<ExternalId> ids(n * kCurveK);
  std::vector<float> distances(n * kCurveK);
  const Rounding rounding = RoundingOf(index.options().metric, queries.type(), queries.dim());
  std::vector<uint32_t> counts(n);
  std::vector<WorkCounters> work(n);
  for (const size_t list : kCurveLists) {
    Need(index.SearchMany(queries, {.k = kCurveK, .search_list_size = list},
                          {.ids = ids, .distances = distances, .counts = counts, .work = work}));
    CurvePoint point;
    for (size_t q = 0; q < n; ++q) {
      const auto first = ids.begin() + static_cast<ptrdiff_t>(q * kCurveK);
      const std::vector<uint64_t> found(first, first + counts[q]);
      const auto values = std::span<const float>(distances).subspan(q * kCurveK, counts[q]);
      point.recall += Recall(truth, q, found, kCurveK, {values, rounding}) / static_cast<double>(n);
      point.distances += static_cast<double>(work[q].distances) / static_cast<double>(n);
    }
    curve.push_back(point);
  }
  return curve;
}

// y at x on a curve with rising x, linear between its points and from the nearest two beyond them.
inline double At(const Curve& curve, double x, double CurvePoint::*from, double CurvePoint::*to) {
  size_t i = 1;
  while (i + 1 < curve.size() && curve[i].*from < x) ++i;
  const CurvePoint &a = curve[i - 1], &b = curve[i];
  if (b.*from == a.*from) return b.*to;
  const double t = (x - a.*from) / (b.*from - a.*from);
  return a.*to + t * (b.*to - a.*to);
}

struct Difference {
  double least = 1, mean = 0;  // Recall minus that of the other curve at as many distances.
  double distances = 0;        // By those of the other at equal recall, mean from .8 to .995.
};

inline Difference Compare(const Curve& curve, const Curve& other) {
  Difference result;
  size_t ratios = 0;
  for (const CurvePoint& point : curve) {
    const double difference =
        point.recall - At(other, point.distances, &CurvePoint::distances, &CurvePoint::recall);
    result.least = std::min(result.least, difference);
    result.mean += difference / static_cast<double>(curve.size());
    if (point.recall < 0.8 || point.recall > 0.995) continue;
    result.distances +=
        point.distances / At(other, point.recall, &CurvePoint::recall, &CurvePoint::distances);
    ++ratios;
  }
  if (ratios > 0) result.distances /= static_cast<double>(ratios);
  return result;
}

}  // namespace shoal::bench
