// What RqCodec's estimates are made of, from vectors and decoded rows.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "tests/test_data.h"

namespace shoal::test {

inline double Dot(std::span<const float> a, std::span<const float> b) {
  return -Distance(Metric::kInnerProduct, a, b);
}

// What the estimates are made of: of a row y about the centre, f g = y^ n / |y^|^2, y^ the decoded.
struct Decoded {
  std::vector<float> fg;
  double norm_sq = 0;  // |y|^2.
  double cos = 0;      // Of y and its code.
};
inline Decoded DecodedOf(const std::vector<float>& vector, const std::vector<float>& decoded,
                         std::span<const float> centre) {
  std::vector<float> y(vector), code(decoded);
  for (size_t i = 0; i < centre.size(); ++i) {
    y[i] -= centre[i];
    code[i] -= centre[i];
  }
  Decoded result{code, Dot(y, y), 0};
  const double code_norm_sq = Dot(code, code);
  if (code_norm_sq == 0) return result;
  for (float& x : result.fg) x *= static_cast<float>(result.norm_sq / code_norm_sq);
  result.cos = std::sqrt(code_norm_sq / result.norm_sq);
  return result;
}

}  // namespace shoal::test
