// What RqCodec's estimates are made of, from vectors and decoded rows.
#pragma once

#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "tests/test_data.h"

namespace shoal::test {

inline double Dot(std::span<const float> a, std::span<const float> b) {
  return -Distance(Metric::kInnerProduct, a, b);
}

// A vector as RqCodec has it relative to a centre (none: the origin), but for the rotation.
struct Relative {
  std::vector<float> y;
  double along = 0;  // Inner product: t.
};
inline std::vector<float> PlacedIn(Metric metric, std::span<const float> x) {
  std::vector<float> placed(x.begin(), x.end());
  if (metric != Metric::kCosine) return placed;
  const double norm = std::sqrt(2 * Dot(x, x));
  for (float& value : placed) value = static_cast<float>(value / norm);
  return placed;
}
inline Relative RelativeTo(std::span<const float> centre, Metric metric, std::span<const float> x) {
  Relative relative{PlacedIn(metric, x)};
  if (centre.empty()) return relative;
  double by = 1;  // What of the centre is taken away.
  if (metric == Metric::kInnerProduct) {
    const double norm = std::sqrt(Dot(centre, centre));
    if (norm == 0) return relative;
    relative.along = Dot(x, centre) / norm;
    by = relative.along / norm;
  }
  for (size_t i = 0; i < centre.size(); ++i)
    relative.y[i] = static_cast<float>(relative.y[i] - by * centre[i]);
  return relative;
}

// What the estimates are made of: of a row y, f g = y^ n / |y|^2, y^ the decoded.
struct Decoded {
  std::vector<float> fg;
  double along = 0;
  double norm_sq = 0;  // |y|^2.
  double cos = 0;      // Of y and its code.

  double full_norm_sq() const { return norm_sq + along * along; }
};
inline Decoded DecodedOf(std::span<const float> centre, Metric metric,
                         std::span<const float> vector, std::vector<float> decoded) {
  const Relative relative = RelativeTo(centre, metric, vector);
  // y^ is what Decode gives, less what Encode took away.
  const std::vector<float> placed = PlacedIn(metric, vector);
  const float scale = metric == Metric::kCosine ? std::numbers::sqrt2_v<float> / 2 : 1.0f;
  for (size_t i = 0; i < decoded.size(); ++i)
    decoded[i] = scale * decoded[i] - (placed[i] - relative.y[i]);
  Decoded result{decoded, relative.along, Dot(relative.y, relative.y), 0};
  const double code_norm_sq = Dot(decoded, decoded);
  if (code_norm_sq == 0) return result;
  for (float& x : result.fg) x *= static_cast<float>(result.norm_sq / code_norm_sq);
  result.cos = std::sqrt(code_norm_sq / result.norm_sq);
  return result;
}

}  // namespace shoal::test
