#include "jobs/curve.h"

#include <algorithm>

namespace shoal::bench {
namespace {

// `to` where `from` is x.
double At(const Curve& curve, double x, double Answered::*from, double Answered::*to) {
  if (curve.size() == 1) return curve[0].*to;
  size_t i = 1;
  while (i + 1 < curve.size() && curve[i].*from < x) ++i;
  const Answered &a = curve[i - 1], &b = curve[i];
  if (b.*from == a.*from) return b.*to;
  return a.*to + (x - a.*from) / (b.*from - a.*from) * (b.*to - a.*to);
}

}  // namespace

Expected<Curve> MeasureCurve(const Index& index, MatrixView queries, const TruthSet& truth,
                             std::span<const uint64_t> lists, TimedSearch search) {
  Curve curve;
  for (const uint64_t list : lists) {
    search.list = list;
    const auto answered = AnswerAll(index, queries, truth, search);
    if (!answered) return tl::unexpected(answered.error());
    curve.push_back(*answered);
  }
  return curve;
}

CurveDifference Compare(const Curve& curve, const Curve& other) {
  CurveDifference result{.least = 1};
  size_t ratios = 0;
  for (const Answered& point : curve) {
    const double difference =
        point.recall - At(other, point.distances, &Answered::distances, &Answered::recall);
    result.least = std::min(result.least, difference);
    result.mean += difference / static_cast<double>(curve.size());
    if (point.recall < 0.8 || point.recall > 0.995) continue;
    result.distances +=
        point.distances / At(other, point.recall, &Answered::recall, &Answered::distances);
    ++ratios;
  }
  if (ratios > 0) result.distances /= static_cast<double>(ratios);
  return result;
}

}  // namespace shoal::bench
