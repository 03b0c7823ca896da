// The norms that vectors may have, so that distances between them fit a float.
#pragma once

#include <string>

#include "shoal/types.h"

namespace shoal {

// Twice the largest norm is the longest distance. Its square, and what summing it in floats adds
// (dim + 2 roundings), is below the largest float. Dot products are smaller.
inline constexpr double kMaxNorm = 9.2e18;
// Cosine: the product of two norms is a normal float, and so is its reciprocal.
inline constexpr double kMinCosineNorm = 1.1e-19;

inline bool IsLegalNormSq(double norm_sq, Metric metric) {
  return norm_sq <= kMaxNorm * kMaxNorm &&
         (metric != Metric::kCosine || norm_sq >= kMinCosineNorm * kMinCosineNorm);
}

// What is wrong with a norm that is not legal.
std::string WhyIllegal(double norm_sq);

}  // namespace shoal
