#include "base/norm.h"

#include <cmath>

#include "base/number.h"

namespace shoal {

std::string WhyIllegal(double norm_sq) {
  if (norm_sq == 0) return "a zero vector has no cosine distance";
  const bool long_one = norm_sq > kMaxNorm * kMaxNorm;
  return "norm: expected at " +
         (long_one ? "most " + Written(kMaxNorm) : "least " + Written(kMinCosineNorm)) +
         ", so that distances fit a float, found " + Written(std::sqrt(norm_sq));
}

}  // namespace shoal
