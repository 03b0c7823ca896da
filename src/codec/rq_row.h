// What a row of RqCodec begins with (rq_codec.h).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace shoal::rq {

constexpr size_t kNormAt = sizeof(float), kAlongAt = 2 * sizeof(float);
constexpr uint32_t kSignBit = 0x80000000u;

template <class T>
T ValueAt(const std::byte* bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof(value));
  return value;
}
inline float FactorOf(const std::byte* row) { return ValueAt<float>(row, 0); }
// n, with the set in its sign.
inline uint32_t NormBitsOf(const std::byte* row) { return ValueAt<uint32_t>(row, kNormAt); }
inline float NormOf(const std::byte* row) { return std::abs(ValueAt<float>(row, kNormAt)); }
// t, of a row that has one: inner product.
inline float AlongOf(const std::byte* row) { return ValueAt<float>(row, kAlongAt); }
// |x|^2, likewise.
inline float FullNormSqOf(const std::byte* row) {
  return NormOf(row) + AlongOf(row) * AlongOf(row);
}

}  // namespace shoal::rq
