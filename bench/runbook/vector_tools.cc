#include "runbook/vector_tools.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace shoal::bench {
namespace {

float Element(const std::byte* data, ScalarType type, size_t i) {
  const auto load = [&]<class T>(T value) {
    std::memcpy(&value, data + i * sizeof(T), sizeof(T));
    return value;
  };
  switch (type) {
    case ScalarType::kFloat32: return load(0.0f);
    case ScalarType::kFloat16: return HalfToFloat(load(Half()));
    case ScalarType::kInt8: return static_cast<float>(load(int8_t{0}));
    case ScalarType::kUint8: return static_cast<float>(load(uint8_t{0}));
  }
  return 0;
}

struct Sums {
  double l2 = 0, dot = 0, aa = 0, bb = 0, magnitude = 0;
};

Sums SumsOf(VectorView a, VectorView b) {
  Sums sums;
  const auto* const x = static_cast<const std::byte*>(a.data());
  const auto* const y = static_cast<const std::byte*>(b.data());
  for (size_t i = 0; i < a.dim(); ++i) {
    const double p = Element(x, a.type(), i), q = Element(y, b.type(), i);
    sums.l2 += (p - q) * (p - q);
    sums.dot += p * q;
    sums.magnitude += std::abs(p * q);
    sums.aa += p * p;
    sums.bb += q * q;
  }
  return sums;
}

double Finish(Metric metric, const Sums& sums) {
  if (metric == Metric::kL2) return sums.l2;
  if (metric == Metric::kInnerProduct) return -sums.dot;
  return std::max(0.0, 1 - sums.dot / std::sqrt(sums.aa * sums.bb));
}

}  // namespace

std::vector<float> Floats(MatrixView rows) {
  std::vector<float> floats(rows.rows() * rows.dim());
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = Element(rows.data(), rows.type(), i);
  return floats;
}

bool PutElement(float value, ScalarType type, std::byte* row, size_t i) {
  const auto store = [&](auto element, float back) {
    std::memcpy(row + i * sizeof(element), &element, sizeof(element));
    return back == value;
  };
  switch (type) {
    case ScalarType::kFloat32: return store(value, value);
    case ScalarType::kFloat16: {
      const Half half = FloatToHalf(value);
      return store(half, HalfToFloat(half));
    }
    case ScalarType::kInt8: {
      const auto element = static_cast<int8_t>(std::clamp(value, -128.0f, 127.0f));
      return store(element, static_cast<float>(element));
    }
    case ScalarType::kUint8: {
      const auto element = static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
      return store(element, static_cast<float>(element));
    }
  }
  return false;
}

double DistanceOf(Metric metric, VectorView a, VectorView b) {
  return Finish(metric, SumsOf(a, b));
}

bool SameDistance(Metric metric, VectorView a, VectorView b, float reported) {
  const Sums sums = SumsOf(a, b);
  // Of float sums, relative to their terms.
  const double scale = metric == Metric::kL2             ? sums.l2
                       : metric == Metric::kInnerProduct ? sums.magnitude
                                                         : 1;
  return std::abs(Finish(metric, sums) - double{reported}) <= 1e-4 * scale + 1e-6;
}

}  // namespace shoal::bench
