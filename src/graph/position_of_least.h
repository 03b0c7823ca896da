// The position of a minimum, without mispredicted branches.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace shoal {

// Where the least of n values is, the first of them if there are several; n if there are none.
// A repair asks a hundred times, so by hand: compilers make no vectors of such a loop, and a second
// loop that looks for the minimum's position ends with a mispredicted branch.
inline size_t PositionOfLeast(const float* values, size_t n) {
  using Floats = float __attribute__((vector_size(16)));
  using Ints = int32_t __attribute__((vector_size(16)));
  constexpr size_t kLanes = 4, kChains = 4, kAtOnce = kLanes * kChains;
  if (n < kAtOnce) return static_cast<size_t>(std::min_element(values, values + n) - values);
  Floats least[kChains];
  Ints where[kChains];
  const auto look = [&](size_t begin, auto take) {
    for (size_t chain = 0; chain < kChains; ++chain) {
      const auto first = static_cast<int32_t>(begin + chain * kLanes);
      Floats found;
      std::memcpy(&found, values + first, sizeof(found));
      take(chain, found, Ints{first, first + 1, first + 2, first + 3});
    }
  };
  look(0, [&](size_t chain, Floats found, Ints at) {
    least[chain] = found;
    where[chain] = at;
  });
  const auto keep = [&](size_t chain, Floats found, Ints at) {
    const Ints is_less = found < least[chain];
    least[chain] = is_less ? found : least[chain];
    where[chain] = is_less ? at : where[chain];
  };
  for (size_t begin = kAtOnce; begin + kAtOnce <= n; begin += kAtOnce) look(begin, keep);
  look(n - kAtOnce, keep);  // Some of them once more.
  for (size_t chain = 1; chain < kChains; ++chain) {
    const Ints is_before =
        (least[chain] < least[0]) | ((least[chain] == least[0]) & (where[chain] < where[0]));
    least[0] = is_before ? least[chain] : least[0];
    where[0] = is_before ? where[chain] : where[0];
  }
  float value = least[0][0];
  int32_t position = where[0][0];
  for (size_t lane = 1; lane < kLanes; ++lane) {
    const auto is_before = static_cast<unsigned>(least[0][lane] < value) |
                           (static_cast<unsigned>(least[0][lane] == value) &
                            static_cast<unsigned>(where[0][lane] < position));
    value = is_before != 0 ? least[0][lane] : value;
    position = is_before != 0 ? where[0][lane] : position;
  }
  return static_cast<size_t>(position);
}

}  // namespace shoal
