// Vectors that tell their id and version: for tests that hold threads at sync points.
#pragma once

#include <gtest/gtest.h>

#include <array>

#include "shoal/index.h"

namespace shoal::testing {

constexpr uint32_t kDim = 8;
using Vector = std::array<float, kDim>;

// The vector of an id in its `version`-th use. Whole numbers, so that distances are exact.
inline Vector VectorOf(ExternalId id, uint64_t version) {
  uint64_t x = id * 1000003 + version * 7919 + 1;
  Vector vector;
  for (float& element : vector) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    element = static_cast<float>(x >> 56);
  }
  return vector;
}

inline void ExpectGood(const Status& status) { ASSERT_TRUE(status) << status.error().message; }

}  // namespace shoal::testing
