#include "shoal/exact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "distance/block_dot.h"
#include "exact/exact_search.h"
#include "print_types.h"

namespace shoal {
namespace {

using exact::ExactSearchWith;
using testing::HasSubstr;

constexpr ScalarType kTypes[] = {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8,
                                 ScalarType::kUint8};
constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool IsInteger(ScalarType type) { return type == ScalarType::kInt8 || type == ScalarType::kUint8; }

// Rows of any type, with the same numbers in double beside them.
struct Rows {
  ScalarType type;
  size_t rows;
  size_t dim;
  std::vector<std::byte> bytes;
  std::vector<double> values;

  Rows(ScalarType t, size_t n, size_t d)
      : type(t), rows(n), dim(d), bytes(n * d * ScalarSize(t)), values(n * d) {}
  void Set(size_t i, double value) {
    std::byte* at = bytes.data() + i * ScalarSize(type);
    const auto put = [at](auto v) { std::memcpy(at, &v, sizeof(v)); };
    switch (type) {
      case ScalarType::kFloat32: put(static_cast<float>(value)); break;
      case ScalarType::kFloat16: put(FloatToHalf(static_cast<float>(value))); break;
      case ScalarType::kInt8: put(static_cast<int8_t>(value)); break;
      case ScalarType::kUint8: put(static_cast<uint8_t>(value)); break;
    }
    values[i] = type == ScalarType::kFloat32   ? static_cast<double>(static_cast<float>(value))
                : type == ScalarType::kFloat16 ? HalfToFloat(FloatToHalf(static_cast<float>(value)))
                                               : std::trunc(value);
  }
  MatrixView view() const { return {bytes.data(), type, rows, dim}; }
  const double* row(size_t i) const { return values.data() + i * dim; }
};

// Normal numbers for floats, the whole range for integers.
Rows RandomRows(ScalarType type, size_t rows, size_t dim, uint32_t seed) {
  Rows result(type, rows, dim);
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::uniform_int_distribution<int> byte(0, 255);
  for (size_t i = 0; i < rows * dim; ++i) {
    const double value = !IsInteger(type)             ? normal(random)
                         : type == ScalarType::kUint8 ? byte(random)
                                                      : byte(random) - 128;
    result.Set(i, value);
  }
  // No zero vectors, for cosine's sake.
  for (size_t i = 0; i < rows; ++i)
    if (result.values[i * dim] == 0) result.Set(i * dim, 1);
  return result;
}

double NaiveDistance(Metric metric, const double* a, const double* b, size_t dim) {
  long double l2 = 0;
  long double dot = 0;
  long double aa = 0;
  long double bb = 0;
  for (size_t i = 0; i < dim; ++i) {
    l2 += (static_cast<long double>(a[i]) - b[i]) * (static_cast<long double>(a[i]) - b[i]);
    dot += static_cast<long double>(a[i]) * b[i];
    aa += static_cast<long double>(a[i]) * a[i];
    bb += static_cast<long double>(b[i]) * b[i];
  }
  if (metric == Metric::kL2) return static_cast<double>(l2);
  if (metric == Metric::kInnerProduct) return static_cast<double>(-dot);
  return static_cast<double>(1 - dot / (std::sqrt(aa) * std::sqrt(bb)));
}

// What rounding to float, and the last bits of a double sum, may do to a distance.
double Tolerance(Metric metric, ScalarType type, double distance, double scale) {
  if (IsInteger(type) && metric != Metric::kCosine) return std::abs(distance) * 0x1p-24;
  return std::abs(distance) * 0x1.1p-24 + scale * 1e-14;
}

// That `truth` holds, for each query, the k nearest of the included rows, in order.
void ExpectTrue(const TruthSet& truth, const Rows& base, const Rows& queries,
                const ExactOptions& options, const std::string& what) {
  SCOPED_TRACE(what);
  ASSERT_EQ(truth.queries, queries.rows);
  ASSERT_EQ(truth.k, options.k);
  ASSERT_EQ(truth.ids.size(), queries.rows * options.k);
  ASSERT_EQ(truth.distances.size(), queries.rows * options.k);
  for (size_t q = 0; q < queries.rows; ++q) {
    std::vector<double> distance(base.rows);
    double scale = 0;
    size_t included = 0;
    for (size_t r = 0; r < base.rows; ++r) {
      distance[r] = NaiveDistance(options.metric, queries.row(q), base.row(r), base.dim);
      scale = std::max(scale, std::abs(distance[r]));
      if (options.include.empty() || options.include[r] != 0) ++included;
    }
    scale = std::max(scale, 1.0);
    const size_t count = std::min(options.k, included);
    ASSERT_EQ(truth.counts[q], count);
    std::vector<bool> found(base.rows);
    for (size_t j = 0; j < count; ++j) {
      const uint32_t row = truth.Ids(q)[j];
      ASSERT_LT(row, base.rows);
      ASSERT_FALSE(found[row]) << "row " << row << " twice";
      ASSERT_TRUE(options.include.empty() || options.include[row] != 0) << row;
      found[row] = true;
      const float reported = truth.Distances(q)[j];
      ASSERT_NEAR(reported, distance[row],
                  Tolerance(options.metric, base.type, distance[row], scale))
          << "query " << q << " row " << row;
      if (j == 0) continue;
      ASSERT_LE(truth.Distances(q)[j - 1], reported);
      if (truth.Distances(q)[j - 1] == reported && distance[truth.Ids(q)[j - 1]] == distance[row]) {
        ASSERT_LT(truth.Ids(q)[j - 1], row);
      }
    }
    for (size_t j = count; j < options.k; ++j) {
      ASSERT_EQ(truth.Ids(q)[j], TruthSet::kNoNeighbor);
      ASSERT_EQ(truth.Distances(q)[j], kInfinity);
    }
    if (count == 0) continue;
    const double kth = distance[truth.Ids(q)[count - 1]];
    for (size_t r = 0; r < base.rows; ++r) {
      if (found[r] || (!options.include.empty() && options.include[r] == 0)) continue;
      ASSERT_GE(distance[r], kth - Tolerance(options.metric, base.type, kth, scale))
          << "query " << q << " misses row " << r;
    }
  }
}

std::string Describe(std::string_view isa, ScalarType type, Metric metric, size_t rows, size_t dim,
                     size_t queries, size_t k) {
  return std::string(isa) + " " + std::string(ScalarTypeName(type)) + " " +
         std::string(MetricName(metric)) + " rows=" + std::to_string(rows) +
         " dim=" + std::to_string(dim) + " queries=" + std::to_string(queries) +
         " k=" + std::to_string(k);
}

// Searches with every instruction set, checks the best one's answer in full, and the others' to be
// the same to the last bit.
void ExpectTrueOnEveryIsa(const Rows& base, const Rows& queries, const ExactOptions& options) {
  TruthSet best;
  for (const auto* kernels : distance::AvailableBlockKernels()) {
    const std::string what = Describe(kernels->isa, base.type, options.metric, base.rows, base.dim,
                                      queries.rows, options.k);
    auto truth = ExactSearchWith(*kernels, base.view(), queries.view(), options);
    ASSERT_TRUE(truth.has_value()) << what << ": " << truth.error().message;
    if (best.ids.empty()) {
      best = *truth;
      ASSERT_NO_FATAL_FAILURE(ExpectTrue(*truth, base, queries, options, what));
    }
    ASSERT_EQ(truth->ids, best.ids) << what;
    ASSERT_EQ(truth->distances, best.distances) << what;
    ASSERT_EQ(truth->counts, best.counts) << what;
  }
}

class ExactOf : public testing::TestWithParam<std::tuple<ScalarType, Metric>> {
 protected:
  ScalarType type() const { return std::get<0>(GetParam()); }
  Metric metric() const { return std::get<1>(GetParam()); }
  ExactOptions Options(size_t k) const {
    ExactOptions options;
    options.k = k;
    options.metric = metric();
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(AllTypesAndMetrics, ExactOf,
                         testing::Combine(testing::ValuesIn(kTypes), testing::ValuesIn(kMetrics)),
                         [](const auto& param_info) {
                           return std::string(ScalarTypeName(std::get<0>(param_info.param))) + "_" +
                                  std::string(MetricName(std::get<1>(param_info.param)));
                         });

TEST_P(ExactOf, AgreesWithTheNaiveReferenceInEverySmallDimension) {
  for (size_t dim = 1; dim <= 70; ++dim) {
    const Rows base = RandomRows(type(), 97 + dim, dim, 1);
    const Rows queries = RandomRows(type(), dim % 2 == 0 ? 3 : 17, dim, 2);
    ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, Options(10)));
  }
}

TEST_P(ExactOf, AgreesWithTheNaiveReferenceInLargeDimensions) {
  for (const size_t dim : {100, 128, 960}) {
    for (const size_t queries : {1, 3, 17, 33}) {
      const Rows base = RandomRows(type(), 1003, dim, 3);
      ASSERT_NO_FATAL_FAILURE(
          ExpectTrueOnEveryIsa(base, RandomRows(type(), queries, dim, 4), Options(10)));
    }
  }
}

TEST_P(ExactOf, AnyKIsServed) {
  const Rows base = RandomRows(type(), 1571, 24, 5);
  const Rows queries = RandomRows(type(), 5, 24, 6);
  for (const size_t k : {1, 2, 10, 100, 1570, 1571, 2000})
    ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, Options(k)));
}

TEST_P(ExactOf, AnyNumberOfThreadsGivesTheSameAnswer) {
  const Rows base = RandomRows(type(), 70001, 12, 7);
  const Rows queries = RandomRows(type(), 40, 12, 8);
  ExactOptions options = Options(25);
  options.batch.threads = 1;
  const auto one = ExactSearch(base.view(), queries.view(), options);
  ASSERT_TRUE(one.has_value());
  for (const size_t threads : {0, 2, 3, 7}) {
    options.batch.threads = threads;
    const auto many = ExactSearch(base.view(), queries.view(), options);
    ASSERT_TRUE(many.has_value());
    EXPECT_EQ(one->ids, many->ids) << threads;
    EXPECT_EQ(one->distances, many->distances) << threads;
  }
}

TEST_P(ExactOf, ExcludedRowsAreNeverFoundAndMayBeAnything) {
  Rows base = RandomRows(type(), 3001, 19, 9);
  const Rows queries = RandomRows(type(), 17, 19, 10);
  std::vector<uint8_t> include(base.rows);
  for (size_t r = 0; r < base.rows; ++r) {
    include[r] = r % 3 == 0 ? 2 : 0;
    if (include[r] != 0) continue;
    for (size_t i = 0; i < base.dim; ++i)
      base.Set(r * base.dim + i, IsInteger(type()) ? 0.0 : std::nan(""));
  }
  ExactOptions options = Options(50);
  options.include = include;
  ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, options));
  options.k = 1100;  // More than are included.
  ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, options));
}

TEST_P(ExactOf, ThousandsOfTiesAreBrokenByRow) {
  // Rows 0..4999 take seven different values in turn: each query has ties by the hundred.
  const Rows kinds = RandomRows(type(), 7, 33, 11);
  Rows base(type(), 5000, 33);
  for (size_t i = 0; i < base.rows * base.dim; ++i)
    base.Set(i, kinds.values[i / 33 % 7 * 33 + i % 33]);
  const Rows queries = RandomRows(type(), 17, 33, 12);
  ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, Options(100)));

  const auto truth = ExactSearch(base.view(), queries.view(), Options(100));
  ASSERT_TRUE(truth.has_value());
  for (size_t q = 0; q < queries.rows; ++q)
    for (size_t j = 0; j < 100; ++j) ASSERT_EQ(truth->Ids(q)[j], truth->Ids(q)[0] + 7 * j);
}

TEST_P(ExactOf, IdenticalRowsAreReportedFromTheFirstOn) {
  Rows base(type(), 40000, 8);
  for (size_t i = 0; i < base.rows * base.dim; ++i) base.Set(i, static_cast<double>(i % 8 + 1));
  const Rows queries = RandomRows(type(), 3, 8, 13);
  ExactOptions options = Options(10);
  options.batch.threads = 3;
  const auto truth = ExactSearch(base.view(), queries.view(), options);
  ASSERT_TRUE(truth.has_value());
  for (size_t q = 0; q < queries.rows; ++q)
    for (uint32_t j = 0; j < 10; ++j) ASSERT_EQ(truth->Ids(q)[j], j);
}

TEST_P(ExactOf, UnalignedVectorsAreRead) {
  const Rows base = RandomRows(type(), 300, 21, 14);
  const Rows queries = RandomRows(type(), 3, 21, 15);
  std::vector<std::byte> shifted_base(base.bytes.size() + 1);
  std::vector<std::byte> shifted_queries(queries.bytes.size() + 1);
  std::memcpy(shifted_base.data() + 1, base.bytes.data(), base.bytes.size());
  std::memcpy(shifted_queries.data() + 1, queries.bytes.data(), queries.bytes.size());
  for (const auto* kernels : distance::AvailableBlockKernels()) {
    const auto aligned = ExactSearchWith(*kernels, base.view(), queries.view(), Options(10));
    const auto unaligned = ExactSearchWith(
        *kernels, {shifted_base.data() + 1, type(), base.rows, base.dim},
        {shifted_queries.data() + 1, type(), queries.rows, queries.dim}, Options(10));
    ASSERT_TRUE(aligned.has_value() && unaligned.has_value());
    EXPECT_EQ(aligned->ids, unaligned->ids) << kernels->isa;
    EXPECT_EQ(aligned->distances, unaligned->distances) << kernels->isa;
  }
}

TEST(Exact, IntegersAreExactAtTheirExtremesInTheLargestDimension) {
  for (const ScalarType type : {ScalarType::kInt8, ScalarType::kUint8}) {
    const double low = type == ScalarType::kInt8 ? -128 : 0;
    const double high = type == ScalarType::kInt8 ? 127 : 255;
    Rows base(type, 5, kMaxDim);
    for (size_t r = 0; r < base.rows; ++r)
      for (size_t i = 0; i < kMaxDim; ++i)
        base.Set(r * kMaxDim + i, i < r * kMaxDim / 4 ? high : low);
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
      ExactOptions options;
      options.k = 5;
      options.metric = metric;
      ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, base, options));
    }
  }
}

TEST(Exact, LargeIntegerDistancesAreOrderedBeforeTheyAreRounded) {
  // Distances 2^24 + 1 and 2^24 are one float, but not one distance.
  Rows base(ScalarType::kUint8, 2, 1024);
  for (size_t i = 0; i < 256; ++i) {  // 256 x 256^2 = 2^24, in terms of at most 255^2.
    base.Set(i, 255);
    base.Set(1024 + i, 255);
  }
  for (size_t i = 0; i < 2; ++i) {  // 256 * 511 is missing: 130816 = 2 * 255^2 + 766.
    base.Set(256 + i, 255);
    base.Set(1024 + 256 + i, 255);
  }
  const int rest[] = {27, 6, 1};  // 729 + 36 + 1 = 766.
  for (size_t i = 0; i < 3; ++i) {
    base.Set(260 + i, rest[i]);
    base.Set(1024 + 260 + i, rest[i]);
  }
  base.Set(270, 1);  // Row 0 is one further away.
  const Rows queries(ScalarType::kUint8, 1, 1024);
  ExactOptions options;
  options.k = 2;
  const auto truth = ExactSearch(base.view(), queries.view(), options);
  ASSERT_TRUE(truth.has_value());
  EXPECT_THAT(truth->ids, testing::ElementsAre(1u, 0u));
  EXPECT_EQ(truth->distances[0], 16777216.0f);
  EXPECT_EQ(truth->distances[1], 16777216.0f);
}

TEST(Exact, LargeOffsetsDoNotDrownSmallDistances) {
  // |a|^2 + |b|^2 - 2ab in float would be off by hundreds; the distances are about 0.01.
  for (const double offset : {10000.0, -3.0e6}) {
    Rows base(ScalarType::kFloat32, 4001, 50);
    Rows queries(ScalarType::kFloat32, 17, 50);
    std::mt19937 random(16);
    std::normal_distribution<double> noise(0, offset > 0 ? 0.01 : 1);
    for (size_t i = 0; i < base.values.size(); ++i) base.Set(i, offset + noise(random));
    for (size_t i = 0; i < queries.values.size(); ++i) queries.Set(i, offset + noise(random));
    ExactOptions options;
    options.k = 20;
    ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, options));
  }
}

TEST(Exact, TightClustersFarApartAreTold) {
  // No one centre helps here: within a cluster the float product knows nothing.
  Rows base(ScalarType::kFloat32, 3000, 40);
  Rows queries(ScalarType::kFloat32, 5, 40);
  std::mt19937 random(17);
  std::normal_distribution<double> noise(0, 0.01);
  for (size_t i = 0; i < base.values.size(); ++i)
    base.Set(i, (i / 40 % 2 == 0 ? 5000 : -7000) + noise(random));
  for (size_t i = 0; i < queries.values.size(); ++i)
    queries.Set(i, (i / 40 % 2 == 0 ? 5000 : -7000) + noise(random));
  ExactOptions options;
  options.k = 30;
  ASSERT_NO_FATAL_FAILURE(ExpectTrueOnEveryIsa(base, queries, options));
}

TEST(Exact, RowsOfAllMagnitudesAreJudgedInDouble) {
  for (const Metric metric : kMetrics) {
    Rows base(ScalarType::kFloat32, 700, 9);
    Rows queries(ScalarType::kFloat32, 6, 9);
    std::mt19937 random(18);
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<int> exponent(-40, 37);
    const auto fill = [&](Rows& rows) {
      for (size_t r = 0; r < rows.rows; ++r) {
        const double scale = std::pow(10.0, exponent(random));
        for (size_t i = 0; i < rows.dim; ++i) rows.Set(r * rows.dim + i, scale * normal(random));
        if (rows.values[r * rows.dim] == 0) rows.Set(r * rows.dim, 1e-40);
      }
    };
    fill(base);
    fill(queries);
    for (const auto* kernels : distance::AvailableBlockKernels()) {
      ExactOptions options;
      options.k = 40;
      options.metric = metric;
      const auto truth = ExactSearchWith(*kernels, base.view(), queries.view(), options);
      ASSERT_TRUE(truth.has_value());
      for (size_t q = 0; q < queries.rows; ++q) {
        std::vector<std::pair<float, uint32_t>> expected;
        for (uint32_t r = 0; r < base.rows; ++r) {
          expected.emplace_back(
              static_cast<float>(NaiveDistance(metric, queries.row(q), base.row(r), 9)), r);
        }
        std::sort(expected.begin(), expected.end());
        for (size_t j = 0; j < options.k; ++j) {
          const float d = truth->Distances(q)[j];
          if (std::isinf(expected[j].first)) {
            ASSERT_EQ(d, expected[j].first);
          } else {
            ASSERT_NEAR(d, expected[j].first, std::abs(expected[j].first) * 3e-7 + 1e-14)
                << kernels->isa << " " << MetricName(metric) << " query " << q << " rank " << j;
          }
        }
      }
    }
  }
}

TEST(Exact, EqualDirectionsHaveCosineDistanceZero) {
  const Rows base = RandomRows(ScalarType::kFloat32, 200, 37, 19);
  ExactOptions options;
  options.k = 1;
  options.metric = Metric::kCosine;
  const auto truth = ExactSearch(base.view(), base.view(), options);
  ASSERT_TRUE(truth.has_value());
  for (uint32_t q = 0; q < 200; ++q) {
    EXPECT_EQ(truth->Ids(q)[0], q);
    EXPECT_EQ(truth->Distances(q)[0], 0.0f);
  }
}

TEST(Exact, IdsTakeThePlaceOfRowNumbers) {
  const Rows base = RandomRows(ScalarType::kUint8, 500, 16, 20);
  const Rows queries = RandomRows(ScalarType::kUint8, 4, 16, 21);
  std::vector<uint32_t> ids(base.rows);
  for (uint32_t r = 0; r < base.rows; ++r) ids[r] = 4000000000u - r;
  ExactOptions options;
  options.k = 10;
  const auto plain = ExactSearch(base.view(), queries.view(), options);
  options.ids = ids;
  const auto tagged = ExactSearch(base.view(), queries.view(), options);
  ASSERT_TRUE(plain.has_value() && tagged.has_value());
  for (size_t i = 0; i < plain->ids.size(); ++i)
    EXPECT_EQ(tagged->ids[i], 4000000000u - plain->ids[i]);
  EXPECT_EQ(plain->distances, tagged->distances);
}

TEST(Exact, ProgressNeverOverlapsNeverGoesBackAndEndsWithAll) {
  const Rows base = RandomRows(ScalarType::kFloat32, 50000, 20, 22);
  const Rows queries = RandomRows(ScalarType::kFloat32, 300, 20, 23);
  std::atomic<int> inside{0};
  bool overlapped = false;
  std::vector<size_t> calls;
  ExactOptions options;
  options.k = 10;
  options.batch.threads = 4;
  options.batch.progress = [&](size_t done, size_t total) {
    if (inside.fetch_add(1) != 0) overlapped = true;
    EXPECT_EQ(total, 300u);
    calls.push_back(done);
    inside.fetch_sub(1);
  };
  ASSERT_TRUE(ExactSearch(base.view(), queries.view(), options).has_value());
  EXPECT_FALSE(overlapped);
  ASSERT_GT(calls.size(), 1u);
  EXPECT_TRUE(std::is_sorted(calls.begin(), calls.end()));
  EXPECT_EQ(std::count(calls.begin(), calls.end(), 300u), 1);
  EXPECT_EQ(calls.back(), 300u);
}

std::string MessageOf(MatrixView base, MatrixView queries, const ExactOptions& options) {
  const auto truth = ExactSearch(base, queries, options);
  if (truth.has_value()) return "no error";
  EXPECT_EQ(truth.error().code, ErrorCode::kInvalidArgument);
  return truth.error().message;
}

TEST(ExactErrors, NameTheFieldTheExpectedAndTheFound) {
  const Rows base = RandomRows(ScalarType::kFloat32, 10, 4, 24);
  const Rows queries = RandomRows(ScalarType::kFloat32, 2, 4, 25);
  ExactOptions options;
  options.k = 0;
  EXPECT_THAT(MessageOf(base.view(), queries.view(), options), HasSubstr("k is 0"));
  options.k = 3;
  EXPECT_THAT(MessageOf(base.view(), Rows(ScalarType::kFloat32, 2, 5).view(), options),
              HasSubstr("queries have dimension 5, expected 4"));
  EXPECT_THAT(MessageOf(base.view(), Rows(ScalarType::kUint8, 2, 4).view(), options),
              HasSubstr("queries are uint8, expected float32"));
  EXPECT_THAT(MessageOf(base.view().Slice(0, 0), queries.view(), options),
              HasSubstr("base has no rows"));
  EXPECT_THAT(MessageOf(base.view(), queries.view().Slice(0, 0), options),
              HasSubstr("queries has no rows"));
  const std::vector<uint32_t> ids(9);
  options.ids = ids;
  EXPECT_THAT(MessageOf(base.view(), queries.view(), options),
              HasSubstr("ids has 9 entries, expected 10"));
  options.ids = {};
  const std::vector<uint8_t> include(11);
  options.include = include;
  EXPECT_THAT(MessageOf(base.view(), queries.view(), options),
              HasSubstr("include has 11 entries, expected 10"));
}

TEST(ExactErrors, NameTheRowThatIsNotFiniteOrZero) {
  for (const ScalarType type : {ScalarType::kFloat32, ScalarType::kFloat16}) {
    const Rows good = RandomRows(type, 1000, 6, 26);
    Rows bad = good;
    bad.Set(777 * 6 + 2, std::nan(""));
    bad.Set(888 * 6 + 3, kInfinity);
    ExactOptions options;
    options.k = 3;
    for (const Metric metric : kMetrics) {
      options.metric = metric;
      EXPECT_THAT(MessageOf(bad.view(), good.view(), options),
                  HasSubstr("base row 777, element 2 is NaN"));
      EXPECT_THAT(MessageOf(good.view(), bad.view().Slice(800, 100), options),
                  HasSubstr("queries row 88, element 3 is infinite"));
    }
  }
  for (const ScalarType type : kTypes) {
    const Rows good = RandomRows(type, 100, 6, 27);
    Rows bad = good;
    for (size_t i = 0; i < 6; ++i) bad.Set(55 * 6 + i, 0);
    ExactOptions options;
    options.k = 3;
    EXPECT_EQ(MessageOf(bad.view(), bad.view(), options), "no error");
    options.metric = Metric::kCosine;
    EXPECT_THAT(MessageOf(bad.view(), good.view(), options),
                HasSubstr("base row 55 is a zero vector"));
    EXPECT_THAT(MessageOf(good.view(), bad.view(), options),
                HasSubstr("queries row 55 is a zero vector"));
  }
}

TEST(ExactErrors, AnAbsurdKIsOutOfMemoryNotACrash) {
  const Rows base = RandomRows(ScalarType::kUint8, 10, 4, 28);
  ExactOptions options;
  options.k = std::numeric_limits<size_t>::max() / 2;
  const auto truth = ExactSearch(base.view(), base.view(), options);
  ASSERT_FALSE(truth.has_value());
  EXPECT_EQ(truth.error().code, ErrorCode::kOutOfMemory);
}

TruthSet SmallTruth() {
  TruthSet truth;
  truth.queries = 2;
  truth.k = 4;
  truth.ids = {10, 11, 12, 13, 20, 21, TruthSet::kNoNeighbor, TruthSet::kNoNeighbor};
  truth.distances = {1, 2, 2, 3, 1, 5, kInfinity, kInfinity};
  truth.counts = {4, 2};
  return truth;
}

double RecallOf(const TruthSet& truth, size_t query, std::vector<uint64_t> found, size_t k) {
  return Recall(truth, query, found, k);
}

TEST(Recall, CountsTiesWithTheLastAsTrue) {
  TruthSet truth = SmallTruth();
  EXPECT_EQ(RecallOf(truth, 0, {10, 12}, 2), 1.0);
  EXPECT_EQ(RecallOf(truth, 0, {10, 13}, 2), 0.5);
  EXPECT_EQ(RecallOf(truth, 0, {11, 12}, 2), 1.0);
  truth.distances.clear();
  EXPECT_EQ(RecallOf(truth, 0, {10, 12}, 2), 0.5);
}

TEST(Recall, CountsOnlyTheFirstKAndNoneTwice) {
  const TruthSet truth = SmallTruth();
  EXPECT_EQ(RecallOf(truth, 0, {99, 98, 10, 11}, 2), 0.0);
  EXPECT_EQ(RecallOf(truth, 0, {10, 10}, 2), 0.5);
  EXPECT_EQ(RecallOf(truth, 0, {10}, 2), 0.5);
  EXPECT_EQ(RecallOf(truth, 0, {}, 2), 0.0);
  EXPECT_EQ(RecallOf(truth, 0, {13, 12, 11, 10}, 4), 1.0);
}

TEST(Recall, IsOfTheNeighboursThatThereAre) {
  const TruthSet truth = SmallTruth();
  EXPECT_EQ(RecallOf(truth, 1, {20, 21}, 4), 1.0);
  EXPECT_EQ(RecallOf(truth, 1, {20, TruthSet::kNoNeighbor}, 4), 0.5);
}

TEST(Recall, IsNoNumberWhereTheTruthIsTooShort) {
  EXPECT_TRUE(std::isnan(RecallOf(SmallTruth(), 0, {10}, 5)));
}

// Where the checked-in ground truth lies: $SHOAL_DATA, or beside the source tree.
std::filesystem::path DataDirectory() {
  if (const char* data = std::getenv("SHOAL_DATA")) return data;
  return std::filesystem::path(__FILE__).parent_path() / "../../shared/data";
}

// The first `rows` rows of a uint8 .bin, or a truthset's ids and distances.
std::vector<char> ReadBytes(const std::filesystem::path& path, size_t offset, size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  std::vector<char> data(bytes);
  file.read(data.data(), static_cast<std::streamsize>(bytes));
  EXPECT_TRUE(file.good()) << path;
  return data;
}

TEST(ExactOnSift, AgreesWithTheGroundTruthThatCameWithTheData) {
  const auto directory = DataDirectory();
  if (!std::filesystem::exists(directory / "sift-100k.gt100"))
    GTEST_SKIP() << "no data at " << directory;
  constexpr size_t kRows = 100000;
  constexpr size_t kQueries = 1000;
  constexpr size_t kDim = 128;
  constexpr size_t kK = 100;
  const auto base = ReadBytes(directory / "sift-1m.u8bin", 8, kRows * kDim);
  const auto queries = ReadBytes(directory / "sift-query-1k.u8bin", 8, kQueries * kDim);
  const auto gt = ReadBytes(directory / "sift-100k.gt100", 8, kQueries * kK * 8);
  std::vector<uint32_t> ids(kQueries * kK);
  std::vector<float> distances(kQueries * kK);
  std::memcpy(ids.data(), gt.data(), kQueries * kK * 4);
  std::memcpy(distances.data(), gt.data() + kQueries * kK * 4, kQueries * kK * 4);

  ExactOptions options;
  options.k = kK;
  const auto as_bytes = ExactSearch({base.data(), ScalarType::kUint8, kRows, kDim},
                                    {queries.data(), ScalarType::kUint8, kQueries, kDim}, options);
  ASSERT_TRUE(as_bytes.has_value());
  EXPECT_EQ(as_bytes->distances, distances);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (as_bytes->ids[i] == ids[i]) continue;
    // Only ties may be in another order, or cut off elsewhere.
    const size_t query = i / kK;
    const uint32_t row = as_bytes->ids[i];
    int32_t distance = 0;
    for (size_t d = 0; d < kDim; ++d) {
      const int diff = static_cast<uint8_t>(base[row * kDim + d]) -
                       static_cast<uint8_t>(queries[query * kDim + d]);
      distance += diff * diff;
    }
    ASSERT_EQ(static_cast<float>(distance), distances[i]) << "query " << query;
  }

  // The same numbers as float32 give the same answer: every distance is a whole number.
  std::vector<float> float_base(kRows * kDim);
  std::vector<float> float_queries(kQueries * kDim);
  for (size_t i = 0; i < base.size(); ++i) float_base[i] = static_cast<uint8_t>(base[i]);
  for (size_t i = 0; i < queries.size(); ++i) float_queries[i] = static_cast<uint8_t>(queries[i]);
  const auto as_floats =
      ExactSearch(MatrixView(std::span<const float>(float_base), kDim),
                  MatrixView(std::span<const float>(float_queries), kDim), options);
  ASSERT_TRUE(as_floats.has_value());
  EXPECT_EQ(as_floats->ids, as_bytes->ids);
  EXPECT_EQ(as_floats->distances, as_bytes->distances);
}

}  // namespace
}  // namespace shoal
