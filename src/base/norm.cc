#include "base/norm.h"

#include <cmath>

#include "base/number.h"

namespace shoal {

std::string WhyIllegal(double norm_sq) {
  if (norm_sq == 0) return "a zero vector has no cosine distance";
  const bool long_one = norm_sq > kMostNorm * kMostNorm;
  return "norm: expected at " +
         (long_one ? "most " + Written(kMostNorm) : "least " + Written(kLeastCosineNorm)) +
         ", so that distances fit a float, found " + Written(std::sqrt(norm_sq));
}

}  // namespace shoal
