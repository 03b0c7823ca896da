// Whole numbers, rounded up.
#pragma once

#include <cstddef>

namespace shoal {

// n / unit, rounded up.
constexpr size_t DivideUp(size_t n, size_t unit) { return (n + unit - 1) / unit; }
// The least multiple of `unit` that is not less than n.
constexpr size_t RoundUp(size_t n, size_t unit) { return DivideUp(n, unit) * unit; }

}  // namespace shoal
