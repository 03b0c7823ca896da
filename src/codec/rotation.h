// A random rotation of vectors that takes d log d operations: 4 rounds of random signs and of the
// Walsh-Hadamard transform of the first (rounds 0, 2) or the last (1, 3) P elements, P the largest
// power of two that is not larger than the size. It spreads what few large elements hold over all.
// (As RaBitQ's library does: Gao and Long, "RaBitQ", SIGMOD 2024.)
//
// Where the two windows have little in common, 4 rounds would mix the two ends badly: between the
// rounds there is a step (x_i, x_{i+h}) -> (x_i + x_{i+h}, x_i - x_{i+h}) / sqrt 2, h half the
// size. A rotation of few elements spreads nothing, so there are at least 16: zeros behind the
// vector's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "distance/code_kernels.h"

namespace shoal {

class Rotation {
 public:
  // The same for the same arguments, to the last bit, on every machine.
  Rotation(size_t dim, uint64_t seed);

  // Elements of a rotated vector of `dim` elements.
  static constexpr size_t SizeOf(size_t dim) { return dim < 16 ? 16 : dim; }
  size_t size() const { return size_; }
  // In place. x: size() floats; those behind the vector's own are 0.
  void Apply(float* x) const;
  // The inverse of Apply, up to rounding.
  void Invert(float* x) const;

 private:
  float* WindowOf(float* x, size_t round) const {
    return x + (round % 2 == 0 ? 0 : size_ - window_);
  }
  void HalfStep(float* x) const;

  size_t size_;
  size_t window_;  // P.
  bool has_half_step_;
  distance::HadamardFn hadamard_;
  // Of each round: +-1 for each element, times the transform's 1 / sqrt P inside of the window.
  std::vector<float> factors_;
};

}  // namespace shoal
