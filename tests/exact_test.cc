#include "shoal/exact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>

#include "distance/block_dot.h"
#include "exact/exact_search.h"
#include "tests/exact_rows.h"
#include "tests/print_types.h"

namespace shoal {
namespace {

using exact::ExactSearchWith;
using exact_test::IsInteger;
using exact_test::kInfinity;
using exact_test::kMetrics;
using exact_test::kTypes;
using exact_test::RandomRows;
using exact_test::Rows;

double NaiveDistance(Metric metric, const double* a, const double* b, size_t dim) {
  long double l2 = 0;
  long double l1 = 0;
  long double dot = 0;
  long double aa = 0;
  long double bb = 0;
  for (size_t i = 0; i < dim; ++i) {
    l2 += (static_cast<long double>(a[i]) - b[i]) * (static_cast<long double>(a[i]) - b[i]);
    l1 += std::abs(static_cast<long double>(a[i]) - b[i]);
    dot += static_cast<long double>(a[i]) * b[i];
    aa += static_cast<long double>(a[i]) * a[i];
    bb += static_cast<long double>(b[i]) * b[i];
  }
  if (metric == Metric::kL2) return static_cast<double>(l2);
  if (metric == Metric::kInnerProduct) return static_cast<double>(-dot);
  if (metric == Metric::kManhattan || metric == Metric::kHamming) return static_cast<double>(l1);
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

std::string NameOfCase(const testing::TestParamInfo<std::tuple<ScalarType, Metric>>& info) {
  return std::string(ScalarTypeName(std::get<0>(info.param))) + "_" +
         std::string(MetricName(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(AllTypesAndMetrics, ExactOf,
                         testing::Combine(testing::ValuesIn(kTypes), testing::ValuesIn(kMetrics)),
                         NameOfCase);
INSTANTIATE_TEST_SUITE_P(Bits, ExactOf,
                         testing::Values(std::tuple(ScalarType::kBit, Metric::kHamming)),
                         NameOfCase);

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
  if (type() == ScalarType::kBit) return;  // Two of the values may be equally far, too.
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
    std::uniform_int_distribution<int> exponent(metric == Metric::kCosine ? -18 : -40, 18);
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

}  // namespace
}  // namespace shoal
