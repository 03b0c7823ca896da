// Vectors for tests of every type, and the naive answers that an index is judged by.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "shoal/types.h"

namespace shoal::test {

inline constexpr ScalarType kTypes[] = {ScalarType::kFloat32, ScalarType::kFloat16,
                                        ScalarType::kInt8, ScalarType::kUint8};
// Of these types. Bits have a metric of their own.
inline constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine,
                                      Metric::kManhattan};

inline bool IsInteger(ScalarType type) {
  return type == ScalarType::kInt8 || type == ScalarType::kUint8;
}

// A case of a suite over all possible pairs, and its name: "float32_l2".
using TypeAndMetric = std::tuple<ScalarType, Metric>;
inline std::string NameOfCase(const ::testing::TestParamInfo<TypeAndMetric>& info) {
  return std::string(ScalarTypeName(std::get<0>(info.param))) + "_" +
         std::string(MetricName(std::get<1>(info.param)));
}
inline auto AllTypesAndMetrics() {
  std::vector<TypeAndMetric> all;
  for (const ScalarType type : kTypes)
    for (const Metric metric : kMetrics) all.emplace_back(type, metric);
  all.emplace_back(ScalarType::kBit, Metric::kHamming);
  return ::testing::ValuesIn(all);
}

// Rows of one type and dimension, with the same numbers as float beside them (exact for all types).
class Rows {
 public:
  Rows(ScalarType type, size_t dim) : type_(type), dim_(dim) {}

  // Adds a row: `dim` numbers, rounded to the type (and clamped to it, where it is an integer; as a
  // bit: whether it is positive).
  void Add(std::span<const double> row) {
    if (type_ == ScalarType::kBit) return AddBits(row);
    for (const double value : row) {
      const auto f = static_cast<float>(value);
      const auto rounded = static_cast<int>(std::lround(std::clamp(value, -1e6, 1e6)));
      switch (type_) {
        case ScalarType::kFloat32: Put(f, f); break;
        case ScalarType::kFloat16: Put(FloatToHalf(f), HalfToFloat(FloatToHalf(f))); break;
        case ScalarType::kInt8: PutInteger<int8_t>(std::clamp(rounded, -128, 127)); break;
        case ScalarType::kUint8: PutInteger<uint8_t>(std::clamp(rounded, 0, 255)); break;
        case ScalarType::kBit: break;
      }
    }
    ++size_;
  }

  size_t size() const { return size_; }
  size_t dim() const { return dim_; }
  ScalarType type() const { return type_; }
  MatrixView view() const { return {bytes_.data(), type_, size_, dim_}; }
  VectorView operator[](size_t i) const { return view()[i]; }
  std::span<const float> values(size_t i) const {
    return std::span(values_).subspan(i * dim_, dim_);
  }

 private:
  void AddBits(std::span<const double> row) {
    bytes_.resize(bytes_.size() + BytesOf(type_, dim_));
    std::byte* const out = bytes_.data() + bytes_.size() - BytesOf(type_, dim_);
    for (size_t i = 0; i < dim_; ++i) {
      if (row[i] > 0) out[i / 8] |= std::byte{1} << i % 8;
      values_.push_back(row[i] > 0 ? 1 : 0);
    }
    ++size_;
  }
  template <class T>
  void Put(T element, float value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&element);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(element));
    values_.push_back(value);
  }
  template <class T>
  void PutInteger(int value) {
    Put(static_cast<T>(value), static_cast<float>(value));
  }

  ScalarType type_;
  size_t dim_;
  size_t size_ = 0;
  std::vector<std::byte> bytes_;
  std::vector<float> values_;
};

// The metric in double precision.
inline double Distance(Metric metric, std::span<const float> a, std::span<const float> b) {
  double l2 = 0, l1 = 0, dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    l2 += (x - y) * (x - y);
    l1 += std::abs(x - y);
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (metric == Metric::kL2) return l2;
  if (metric == Metric::kInnerProduct) return -dot;
  if (metric == Metric::kManhattan || metric == Metric::kHamming) return l1;
  return std::max(0.0, 1 - dot / std::sqrt(aa * bb));
}

// How far a float distance may be from the one in double: relative to the terms' magnitude.
inline double Tolerance(Metric metric, std::span<const float> a, std::span<const float> b) {
  if (metric == Metric::kCosine) return 1e-5;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    sum += metric == Metric::kL2             ? (x - y) * (x - y)
           : metric == Metric::kInnerProduct ? std::abs(x * y)
                                             : std::abs(x - y);
  }
  return 1e-5 * sum + 1e-30;
}

// What a distribution of vectors is made of.
struct DataShape {
  size_t dim = 32;
  size_t clusters = 20;   // 0: one normal cloud.
  double spread = 0.35;   // Of a cluster, relative to the spread of the centres.
  double norm_sigma = 0;  // Of the logarithm of a factor on each row: norms that vary.
};

// A source of vectors. The same seed gives the same vectors. None is zero.
class Generator {
 public:
  Generator(ScalarType type, const DataShape& shape, uint64_t seed)
      : type_(type), shape_(shape), random_(seed) {
    for (size_t c = 0; c < shape.clusters; ++c) {
      centres_.emplace_back(shape.dim);
      for (double& x : centres_.back()) x = normal_(random_);
    }
  }

  // One row of a given cluster (any, when there are none), in units of the centres' spread.
  std::vector<double> Row(size_t cluster) {
    const double factor = std::exp(shape_.norm_sigma * normal_(random_));
    std::vector<double> row(shape_.dim);
    for (size_t i = 0; i < row.size(); ++i) {
      const double x = centres_.empty() ? normal_(random_)
                                        : centres_[cluster][i] + shape_.spread * normal_(random_);
      row[i] = Scaled(factor * x);
    }
    // Integers may round to nothing, and what is below nothing does for uint8.
    const double size = type_ == ScalarType::kUint8 ? row[0] : std::abs(row[0]);
    if (IsInteger(type_) && size < 1) row[0] = 1;
    return row;
  }
  std::vector<double> Row() {
    return Row(centres_.empty() ? 0 : static_cast<size_t>(random_() % centres_.size()));
  }
  Rows Many(size_t n) {
    Rows rows(type_, shape_.dim);
    for (size_t i = 0; i < n; ++i) rows.Add(Row());
    return rows;
  }

 private:
  // Of a normal variable: to the middle of the type's range.
  double Scaled(double x) const {
    if (type_ == ScalarType::kInt8) return 32 * x;
    if (type_ == ScalarType::kUint8) return 128 + 32 * x;
    return x;
  }

  ScalarType type_;
  DataShape shape_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::vector<std::vector<double>> centres_;
};

struct Neighbor {
  double distance = 0;
  size_t row = 0;
};

// All rows by distance from the query, nearest first; ties by row.
inline std::vector<Neighbor> BruteForce(Metric metric, const Rows& rows,
                                        std::span<const float> query) {
  std::vector<Neighbor> all(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) all[i] = {Distance(metric, query, rows.values(i)), i};
  std::sort(all.begin(), all.end(), [](const Neighbor& a, const Neighbor& b) {
    return std::tie(a.distance, a.row) < std::tie(b.distance, b.row);
  });
  return all;
}

// The share of the k nearest of `truth` (from BruteForce) that `found`, ids that are row numbers,
// hold. Every row as near as the k-th counts as one of them.
inline double RecallAt(size_t k, const std::vector<Neighbor>& truth,
                       std::span<const ExternalId> found) {
  k = std::min(k, truth.size());
  if (k == 0) return 1;
  const double kth = truth[k - 1].distance;
  const double limit = kth + 1e-6 * std::abs(kth);
  std::vector<ExternalId> near;
  for (const Neighbor& neighbor : truth)
    if (neighbor.distance <= limit) near.push_back(neighbor.row);
  std::sort(near.begin(), near.end());
  size_t hits = 0;
  for (size_t i = 0; i < std::min(k, found.size()); ++i)
    hits += std::binary_search(near.begin(), near.end(), found[i]) ? 1 : 0;
  return static_cast<double>(hits) / static_cast<double>(k);
}

// Random unit vectors, and a zero among them, as of an empty document: in many dimensions it is
// nearer to each of them than any other is.
inline Rows UnitVectorsAndAZero(size_t n, size_t dim, size_t zero, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Rows rows(ScalarType::kFloat32, dim);
  for (size_t i = 0; i < n; ++i) {
    std::vector<double> row(dim);
    double squares = 0;
    for (double& x : row) {
      x = normal(random);
      squares += x * x;
    }
    for (double& x : row) x = i == zero ? 0 : x / std::sqrt(squares);
    rows.Add(row);
  }
  return rows;
}

inline std::vector<ExternalId> Iota(size_t n, ExternalId first = 0) {
  std::vector<ExternalId> ids(n);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// SHOAL_SEED, or a seed that no run had before.
inline uint64_t Seed() {
  if (const char* seed = std::getenv("SHOAL_SEED")) return std::strtoull(seed, nullptr, 10);
  return std::random_device()();
}

}  // namespace shoal::test
