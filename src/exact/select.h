// The k-th largest of many scores.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace shoal::exact {

// Scores as integers of the same order, and back. No score is NaN.
inline int32_t Ordered(int32_t score) { return score; }
inline int32_t Ordered(float score) {
  const auto bits = std::bit_cast<int32_t>(score + 0.0f);  // -0 is 0.
  return bits ^ (bits >> 31 & 0x7fffffff);
}
template <class Score>
Score Unordered(int32_t ordered) {
  if constexpr (std::is_same_v<Score, float>) {
    return std::bit_cast<float>(ordered ^ (ordered >> 31 & 0x7fffffff));
  } else {
    return ordered;
  }
}

// The k-th largest of `values`, 1 <= k <= their number. Bit by bit, from the first that they do not
// share: a few dozen passes of comparing and counting, which vectorise and do not branch, beat a
// selection that moves elements about.
inline int32_t KthLargest(std::span<const int32_t> values, size_t k) {
  int32_t all = -1;
  int32_t any = 0;
  for (const int32_t value : values) {
    all &= value;
    any |= value;
  }
  constexpr uint32_t kSign = 0x80000000u;  // Flipped, order is that of unsigned numbers.
  const auto differing = static_cast<uint32_t>(all ^ any);
  if (differing == 0) return all;
  const int top = 31 - std::countl_zero(differing);
  const uint32_t shared = top == 31 ? 0 : ~uint32_t{0} << (top + 1);
  uint32_t least = (static_cast<uint32_t>(all) ^ kSign) & shared;
  for (uint32_t bit = 1u << top; bit != 0; bit >>= 1) {
    const auto middle = static_cast<int32_t>((least | bit) ^ kSign);
    int32_t count = 0;
    for (const int32_t value : values) count += value >= middle;
    if (static_cast<size_t>(count) >= k) least |= bit;
  }
  return static_cast<int32_t>(least ^ kSign);
}

}  // namespace shoal::exact
