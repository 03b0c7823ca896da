// Bits of a vector's last byte that are behind its last element.
#pragma once

#include <cstddef>
#include <string>

#include "shoal/types.h"

namespace shoal {

// Whether all of them are 0. Of other types than kBit: there are none.
inline bool HasZeroPadding(VectorView vector) {
  if (vector.type() != ScalarType::kBit || vector.dim() % 8 == 0) return true;
  const auto last = static_cast<const unsigned char*>(vector.data())[vector.bytes() - 1];
  return last >> vector.dim() % 8 == 0;
}

// What is wrong if one is not.
inline std::string WhyBadPadding(size_t dim) {
  return "bits behind the last element, from " + std::to_string(dim % 8) + " of byte " +
         std::to_string(dim / 8) + " on: expected 0, found 1";
}

}  // namespace shoal
