// Types that all other headers use: ids, scalar types, metrics, and views of vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

#include "shoal/export.h"

namespace shoal {

// The id that the user gives a point. Any 64-bit value. (Elsewhere: tag, label, key.)
using ExternalId = uint64_t;

// The type of one element of a vector.
//
// kBit: eight elements a byte, element i is bit i % 8 (of value 1 << i % 8) of byte i / 8, as in
// numpy.packbits(bitorder="little"). A vector begins with a byte of its own. Bits of its last byte
// behind the last element are 0: a vector that has others is refused.
enum class ScalarType : uint8_t { kFloat32, kFloat16, kInt8, kUint8, kBit };

// How an index keeps a vector in memory. Smaller codes are faster to traverse, and their distances
// less exact. Which index has which: IndexOptions.
enum class Code : uint8_t {
  kAuto,      // kRq4 for float vectors of 96 and more dimensions (docs/codes.md); else kFull.
  kFull,      // The vector as it was given.
  kFloat16,   // IEEE 754 binary16 elements. Those beyond 65,504 are taken for 65,504.
  kBfloat16,  // The upper halves of float32 elements.
  kSq8,       // A byte an element, between the least and the largest of the vector.
  kRq4,       // After a rotation, so many bits an element.
  kRq3,
  kRq2,
  kRq1,
  kSign,  // The signs of the elements.
  kNone,  // Nothing: the vector is fetched from the index's feature store (CreateWithFeatures).
};

// How the distance of two vectors is computed. Smaller is nearer in every metric. Vectors have a
// norm of at most 9.2e18, so that every distance fits a float.
enum class Metric : uint8_t {
  kL2,            // Squared Euclidean distance, sum (a_i - b_i)^2. >= 0. Below 1.2e-38 (points
                  // nearer than 1.1e-19) it may be rounded to 0.
  kInnerProduct,  // -sum a_i b_i: the largest inner product is the smallest distance.
  kCosine,        // 1 - cos(a, b), in [0, 2]. Norms below 1.1e-19 are refused, zero among them.
  kManhattan,     // sum |a_i - b_i|. >= 0.
  kHamming,       // How many elements differ. For kBit, which has no other metric.
};

// Largest dimension of a vector: the largest for which the squared l2 distance of two uint8
// vectors fits an int32.
inline constexpr uint32_t kMaxDim = 32768;

// Bytes of `n` elements that lie one behind the other, the first at the beginning of a byte.
constexpr size_t BytesOf(ScalarType type, size_t n) {
  switch (type) {
    case ScalarType::kFloat32: return n * 4;
    case ScalarType::kFloat16: return n * 2;
    case ScalarType::kInt8:
    case ScalarType::kUint8: return n;
    case ScalarType::kBit: return n / 8 + (n % 8 != 0 ? 1 : 0);
  }
  return 0;
}

// Whether vectors of the type have distances in the metric: kBit and kHamming go with each other
// only.
constexpr bool IsPossible(ScalarType type, Metric metric) {
  return (type == ScalarType::kBit) == (metric == Metric::kHamming);
}

// "float32", "float16", "int8", "uint8", "bit".
SHOAL_API std::string_view ScalarTypeName(ScalarType type);
// "l2", "inner_product", "cosine", "manhattan", "hamming".
SHOAL_API std::string_view MetricName(Metric metric);
// The inverse of ScalarTypeName. Also takes DiskANN's "float", and "half", "f32", "f16", "i8",
// "u8", "b1". nullopt for any other word.
SHOAL_API std::optional<ScalarType> ParseScalarType(std::string_view name);
// The inverse of MetricName. Also takes DiskANN's "mips", and "ip", "l1". nullopt for any other
// word.
SHOAL_API std::optional<Metric> ParseMetric(std::string_view name);

// "auto", "full", "float16", "bfloat16", "sq8", "rq4" to "rq1", "sign",
// "none".
SHOAL_API std::string_view CodeName(Code code);
// The inverse of CodeName. nullopt for any other word.
SHOAL_API std::optional<Code> ParseCode(std::string_view name);

// An IEEE 754 binary16 number, for storage: convert it to float to compute.
struct Half {
  uint16_t bits = 0;
  friend bool operator==(Half, Half) = default;
};
// Exact.
SHOAL_API float HalfToFloat(Half value);
// To nearest, ties to even. Beyond the range: infinity. NaN stays NaN.
SHOAL_API Half FloatToHalf(float value);

// The scalar type of a C++ type.
template <class T>
struct ScalarTypeOf;
template <>
struct ScalarTypeOf<float> {
  static constexpr ScalarType kValue = ScalarType::kFloat32;
};
template <>
struct ScalarTypeOf<Half> {
  static constexpr ScalarType kValue = ScalarType::kFloat16;
};
template <>
struct ScalarTypeOf<int8_t> {
  static constexpr ScalarType kValue = ScalarType::kInt8;
};
template <>
struct ScalarTypeOf<uint8_t> {
  static constexpr ScalarType kValue = ScalarType::kUint8;
};

// A vector that the caller owns: `dim` elements of `type`, contiguous, any alignment. Converts
// implicitly from a span of float, Half, int8_t or uint8_t. (Of bits: VectorView(bytes.data(),
// ScalarType::kBit, dim).)
class VectorView {
 public:
  VectorView() = default;
  VectorView(const void* data, ScalarType type, size_t dim) : data_(data), dim_(dim), type_(type) {}
  template <class T>
  VectorView(std::span<const T> elements)  // NOLINT(google-explicit-constructor)
      : VectorView(elements.data(), ScalarTypeOf<T>::kValue, elements.size()) {}
  template <class Range>
    requires requires(const Range& r) { std::span<const typename Range::value_type>(r); }
  VectorView(const Range& elements)  // NOLINT(google-explicit-constructor): a vector or an array.
      : VectorView(std::span<const typename Range::value_type>(elements)) {}

  const void* data() const { return data_; }
  ScalarType type() const { return type_; }
  size_t dim() const { return dim_; }
  size_t bytes() const { return BytesOf(type_, dim_); }

 private:
  const void* data_ = nullptr;
  size_t dim_ = 0;
  ScalarType type_ = ScalarType::kFloat32;
};

// Vectors that the caller owns: `rows` x `dim` elements of `type`, row-major, contiguous. (Rows of
// bits begin with a byte of their own.)
class MatrixView {
 public:
  MatrixView() = default;
  MatrixView(const void* data, ScalarType type, size_t rows, size_t dim)
      : data_(static_cast<const std::byte*>(data)), rows_(rows), dim_(dim), type_(type) {}
  // `elements`: rows x dim, row-major. A remainder that fills no row is left out.
  template <class T>
  MatrixView(std::span<const T> elements, size_t dim)
      : MatrixView(elements.data(), ScalarTypeOf<T>::kValue, dim == 0 ? 0 : elements.size() / dim,
                   dim) {}

  const std::byte* data() const { return data_; }
  ScalarType type() const { return type_; }
  size_t rows() const { return rows_; }
  size_t dim() const { return dim_; }
  size_t row_bytes() const { return BytesOf(type_, dim_); }
  // Row i, i < rows().
  VectorView operator[](size_t i) const { return {data_ + i * row_bytes(), type_, dim_}; }
  // Rows [begin, begin + count), which must lie inside.
  MatrixView Slice(size_t begin, size_t count) const {
    return {data_ + begin * row_bytes(), type_, count, dim_};
  }

 private:
  const std::byte* data_ = nullptr;
  size_t rows_ = 0;
  size_t dim_ = 0;
  ScalarType type_ = ScalarType::kFloat32;
};

// A vector of the caller's to be written: as VectorView. Converts implicitly from a range of float,
// Half, int8_t or uint8_t that is contiguous and not const.
class MutableVectorView {
 public:
  MutableVectorView(void* data, ScalarType type, size_t dim)
      : data_(data), dim_(dim), type_(type) {}
  template <std::ranges::contiguous_range Range>
    requires std::ranges::borrowed_range<Range> &&
             (!std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<Range>>>) &&
             requires { ScalarTypeOf<std::ranges::range_value_t<Range>>::kValue; }
  MutableVectorView(Range&& elements)  // NOLINT: implicit, and no copy.
      : MutableVectorView(std::ranges::data(elements),
                          ScalarTypeOf<std::ranges::range_value_t<Range>>::kValue,
                          std::ranges::size(elements)) {}

  void* data() const { return data_; }
  ScalarType type() const { return type_; }
  size_t dim() const { return dim_; }
  size_t bytes() const { return BytesOf(type_, dim_); }
  operator VectorView() const {  // NOLINT(google-explicit-constructor)
    return {data_, type_, dim_};
  }

 private:
  void* data_;
  size_t dim_;
  ScalarType type_;
};

// Vectors of the caller's to be written: as MatrixView.
class MutableMatrixView {
 public:
  MutableMatrixView(void* data, ScalarType type, size_t rows, size_t dim)
      : data_(static_cast<std::byte*>(data)), rows_(rows), dim_(dim), type_(type) {}
  template <class T>
  MutableMatrixView(std::span<T> elements, size_t dim)
      : MutableMatrixView(elements.data(), ScalarTypeOf<T>::kValue,
                          dim == 0 ? 0 : elements.size() / dim, dim) {}

  size_t rows() const { return rows_; }
  // Row i, i < rows().
  MutableVectorView operator[](size_t i) const {
    return {data_ + i * BytesOf(type_, dim_), type_, dim_};
  }
  operator MatrixView() const {  // NOLINT(google-explicit-constructor)
    return {data_, type_, rows_, dim_};
  }

 private:
  std::byte* data_;
  size_t rows_;
  size_t dim_;
  ScalarType type_;
};

}  // namespace shoal
