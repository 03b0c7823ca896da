#include "base/finite.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace shoal {
namespace {

template <class Bits>
Bits BitsAt(const std::byte* elements, size_t i) {
  Bits bits;
  std::memcpy(&bits, elements + i * sizeof(bits), sizeof(bits));
  return bits;
}

// `exponent`: its bits; they are all ones where an element is not finite. `Bits`: the unsigned
// integer as wide as the float.
template <class Bits>
size_t FirstWithFullExponent(const std::byte* elements, size_t n, Bits exponent) {
  constexpr size_t kBlock = 4096;  // The search within a block runs only when the block has one.
  const auto is_bad = [&](size_t i) { return (BitsAt<Bits>(elements, i) & exponent) == exponent; };
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(n, begin + kBlock);
    bool bad = false;
    for (size_t i = begin; i < end; ++i) bad |= is_bad(i);
    for (size_t i = begin; bad && i < end; ++i)
      if (is_bad(i)) return i;
  }
  return n;
}

}  // namespace

size_t FirstNonFinite(const void* elements, ScalarType type, size_t n) {
  const auto* bytes = static_cast<const std::byte*>(elements);
  if (type == ScalarType::kFloat32) return FirstWithFullExponent<uint32_t>(bytes, n, 0x7f800000u);
  if (type == ScalarType::kFloat16)
    return FirstWithFullExponent<uint16_t>(bytes, n, uint16_t{0x7c00});
  return n;
}

std::string_view NameNonFinite(const void* element, ScalarType type) {
  uint32_t bits = 0;
  std::memcpy(&bits, element, BytesOf(type, 1));
  const bool half = type == ScalarType::kFloat16;
  if ((bits & (half ? 0x3ffu : 0x7fffffu)) != 0) return "NaN";
  return (bits & (half ? 0x8000u : 0x80000000u)) != 0 ? "-infinity" : "infinity";
}

}  // namespace shoal
