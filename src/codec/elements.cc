#include "codec/elements.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "distance/kernels.h"

namespace shoal {
namespace {

// To nearest, ties to even, of a magnitude below 2^22; without the call that std::lrint is.
int32_t ToNearest(float x) {
  constexpr float kMagic = 0x1.8p23f;
  return static_cast<int32_t>(std::bit_cast<uint32_t>(x + kMagic) -
                              std::bit_cast<uint32_t>(kMagic));
}

template <class T>
void FromFloatsAs(const float* floats, MutableVectorView out) {
  auto* const elements = static_cast<T*>(out.data());
  for (size_t i = 0; i < out.dim(); ++i)
    elements[i] = static_cast<T>(ToNearest(std::clamp(
        floats[i], float{std::numeric_limits<T>::min()}, float{std::numeric_limits<T>::max()})));
}

template <class T>
void IntegersToFloats(VectorView vector, float* out) {
  const auto* const elements = static_cast<const T*>(vector.data());
  for (size_t i = 0; i < vector.dim(); ++i) out[i] = elements[i];
}

float LargestMagnitude(const float* x, size_t n) {
  int32_t largest = 0;  // Magnitudes of floats are ordered as their bits are.
  for (size_t i = 0; i < n; ++i)
    largest = std::max(largest, std::bit_cast<int32_t>(x[i]) & 0x7fffffff);
  return std::bit_cast<float>(largest);
}

template <class T>
Rounded RoundToAs(const float* x, size_t n, int32_t most, T* v) {
  constexpr float kNothing = 1e-30f;  // Below, the quotient might overflow.
  const float largest = LargestMagnitude(x, n);
  if (largest < kNothing) {
    std::fill_n(v, n, T{0});
    return {};
  }
  const float per_unit = static_cast<float>(most) / largest;
  int32_t sum = 0;  // Fits: kMaxDim times an int16.
  for (size_t i = 0; i < n; ++i) {
    const int32_t rounded = ToNearest(x[i] * per_unit);
    v[i] = static_cast<T>(rounded);
    sum += rounded;
  }
  return {largest / static_cast<float>(most), sum};
}

}  // namespace

void ToFloats(VectorView vector, float* out) {
  switch (vector.type()) {
    case ScalarType::kFloat32: std::memcpy(out, vector.data(), vector.bytes()); return;
    case ScalarType::kFloat16:
      distance::Active().half_to_float(static_cast<const Half*>(vector.data()), vector.dim(), out);
      return;
    case ScalarType::kInt8: return IntegersToFloats<int8_t>(vector, out);
    case ScalarType::kUint8: return IntegersToFloats<uint8_t>(vector, out);
    case ScalarType::kBit: break;
  }
}

void PlaceOf(VectorView vector, Metric metric, float* out) {
  ToFloats(vector, out);
  if (metric != Metric::kCosine) return;
  const double norm_sq = NormSqOf(out, vector.dim());
  const auto factor = norm_sq == 0 ? 0.0f : static_cast<float>(std::sqrt(0.5 / norm_sq));
  for (size_t i = 0; i < vector.dim(); ++i) out[i] *= factor;
}

void FromFloats(const float* floats, MutableVectorView out) {
  switch (out.type()) {
    case ScalarType::kFloat32: std::memcpy(out.data(), floats, out.bytes()); return;
    case ScalarType::kFloat16:
      for (size_t i = 0; i < out.dim(); ++i) {
        const Half half = FloatToHalf(floats[i]);
        std::memcpy(static_cast<std::byte*>(out.data()) + i * sizeof(half), &half, sizeof(half));
      }
      return;
    case ScalarType::kInt8: return FromFloatsAs<int8_t>(floats, out);
    case ScalarType::kUint8: return FromFloatsAs<uint8_t>(floats, out);
    case ScalarType::kBit: break;
  }
}

Rounded RoundTo(const float* x, size_t n, int32_t most, int8_t* v) {
  return RoundToAs(x, n, most, v);
}
Rounded RoundTo(const float* x, size_t n, int32_t most, int16_t* v) {
  return RoundToAs(x, n, most, v);
}

}  // namespace shoal
