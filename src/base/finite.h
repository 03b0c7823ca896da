// NaN and infinities in vectors.
#pragma once

#include <cstddef>
#include <string_view>

#include "shoal/types.h"

namespace shoal {

// The position of the first of n elements that is NaN or infinite, or n. Any alignment; integers
// are finite.
size_t FirstNonFinite(const void* elements, ScalarType type, size_t n);

// What such an element is: "NaN", "infinity" or "-infinity".
std::string_view NameNonFinite(const void* element, ScalarType type);

}  // namespace shoal
