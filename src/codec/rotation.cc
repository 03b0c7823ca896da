#include "codec/rotation.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace shoal {
namespace {

constexpr size_t kRounds = 4;

// Vigna's splitmix64: the word number `i` of the sequence of `seed`.
uint64_t RandomWord(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Rotation::Rotation(size_t dim, uint64_t seed)
    : size_(SizeOf(dim)),
      window_(std::bit_floor(size_)),
      has_half_step_(2 * window_ - size_ < size_ / 8),
      hadamard_(distance::ActiveCodes().hadamard),
      factors_(kRounds * size_) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(window_));
  for (size_t round = 0; round < kRounds; ++round) {
    float* const factors = factors_.data() + round * size_;
    std::fill_n(factors, size_, 1.0f);
    std::fill_n(WindowOf(factors, round), window_, scale);
    for (size_t i = 0; i < size_; ++i) {
      const size_t bit = round * size_ + i;
      if ((RandomWord(seed, bit / 64) >> (bit % 64) & 1) != 0) factors[i] = -factors[i];
    }
  }
}

void Rotation::HalfStep(float* x) const {
  constexpr float kRootOfHalf = 0x1.6a09e6p-1f;
  const size_t half = size_ / 2;
  for (size_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = (a + b) * kRootOfHalf;
    x[i + half] = (a - b) * kRootOfHalf;
  }
}

void Rotation::Apply(float* x) const {
  for (size_t round = 0; round < kRounds; ++round) {
    const float* const factors = factors_.data() + round * size_;
    for (size_t i = 0; i < size_; ++i) x[i] *= factors[i];
    hadamard_(WindowOf(x, round), window_);
    if (has_half_step_ && round + 1 < kRounds) HalfStep(x);
  }
}

void Rotation::Invert(float* x) const {
  for (size_t round = kRounds; round-- > 0;) {
    if (has_half_step_ && round + 1 < kRounds) HalfStep(x);
    hadamard_(WindowOf(x, round), window_);
    const float* const factors = factors_.data() + round * size_;
    for (size_t i = 0; i < size_; ++i) x[i] *= factors[i];
  }
}

}  // namespace shoal
