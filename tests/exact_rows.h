// Random rows of any type for the tests of exact search, with their numbers in double beside them.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "shoal/types.h"

namespace shoal::exact_test {

inline constexpr ScalarType kTypes[] = {ScalarType::kFloat32, ScalarType::kFloat16,
                                        ScalarType::kInt8, ScalarType::kUint8};
// Of these types. Bits have a metric of their own.
inline constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine,
                                      Metric::kManhattan};
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

inline bool IsInteger(ScalarType type) {
  return type != ScalarType::kFloat32 && type != ScalarType::kFloat16;
}

// Rows of any type, with the same numbers in double beside them.
struct Rows {
  ScalarType type;
  size_t rows;
  size_t dim;
  std::vector<std::byte> bytes;
  std::vector<double> values;

  Rows(ScalarType t, size_t n, size_t d)
      : type(t), rows(n), dim(d), bytes(n * BytesOf(t, d)), values(n * d) {}
  void Set(size_t i, double value) {
    if (type == ScalarType::kBit) return SetBit(i, value);
    std::byte* at = bytes.data() + BytesOf(type, i);
    const auto put = [at](auto v) { std::memcpy(at, &v, sizeof(v)); };
    switch (type) {
      case ScalarType::kFloat32: put(static_cast<float>(value)); break;
      case ScalarType::kFloat16: put(FloatToHalf(static_cast<float>(value))); break;
      case ScalarType::kInt8: put(static_cast<int8_t>(value)); break;
      case ScalarType::kUint8: put(static_cast<uint8_t>(value)); break;
      case ScalarType::kBit: break;
    }
    values[i] = type == ScalarType::kFloat32   ? static_cast<double>(static_cast<float>(value))
                : type == ScalarType::kFloat16 ? HalfToFloat(FloatToHalf(static_cast<float>(value)))
                                               : std::trunc(value);
  }
  void SetBit(size_t i, double value) {
    const std::byte bit = std::byte{1} << i % dim % 8;
    std::byte& at = bytes[i / dim * BytesOf(type, dim) + i % dim / 8];
    at = value > 0 ? at | bit : at & ~bit;
    values[i] = value > 0 ? 1 : 0;
  }
  MatrixView view() const { return {bytes.data(), type, rows, dim}; }
  const double* row(size_t i) const { return values.data() + i * dim; }
};

// Normal numbers for floats, the whole range for integers.
inline Rows RandomRows(ScalarType type, size_t rows, size_t dim, uint32_t seed) {
  Rows result(type, rows, dim);
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> byte(0, 255);
  for (size_t i = 0; i < rows * dim; ++i) {
    const double value = !IsInteger(type)             ? normal(random)
                         : type == ScalarType::kUint8 ? byte(random)
                         : type == ScalarType::kBit   ? byte(random) % 2
                                                      : byte(random) - 128;
    result.Set(i, value);
  }
  // No zero vectors, for cosine's sake.
  for (size_t i = 0; i < rows; ++i)
    if (result.values[i * dim] == 0) result.Set(i * dim, 1);
  return result;
}

}  // namespace shoal::exact_test
