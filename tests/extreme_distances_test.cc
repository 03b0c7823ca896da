// Distances at the ends of what floats hold: finite, in the metric's range, never -0, and the same
// vectors refused by the index and by ExactSearch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "codec/full_codec.h"
#include "codec/vector_check.h"
#include "exact/exact_search.h"
#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

using testing::HasSubstr;

constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine,
                               Metric::kManhattan};

template <class T>
MatrixView View(const std::vector<T>& rows, size_t dim) {
  return {std::span<const T>(rows), dim};
}

// An index with these rows (ids from 0), or the error of the first that is refused.
Result<Index> IndexOf(Metric metric, MatrixView rows) {
  auto index = Index::Create(
      {.dim = static_cast<uint32_t>(rows.dim()), .scalar_type = rows.type(), .metric = metric});
  for (size_t i = 0; i < rows.rows(); ++i)
    if (Status ok = index->Insert(i, rows[i]); !ok) return tl::unexpected(ok.error());
  return index;
}

Status ExactTakes(Metric metric, MatrixView base, MatrixView queries) {
  const auto truth = ExactSearch(base, queries, {.k = 1, .metric = metric});
  return truth ? Status() : Status(tl::unexpected(truth.error()));
}

TEST(ExtremeNorms, AreTakenOrRefusedByIndexAndExactSearchAlike) {
  const std::vector<float> good = {1, 2, 3};
  const MatrixView one = View(good, 3);
  for (const Metric metric : kMetrics) {
    for (const float norm :
         {0.0f, 1e-38f, 1e-19f, 1.2e-19f, 1.0f, 9.1e18f, 9.3e18f, 1e20f, 3e38f}) {
      const std::vector<float> row = {0, -norm, 0};
      const MatrixView rows = View(row, 3);
      const bool legal = norm <= 9.2e18f && (metric != Metric::kCosine || norm >= 1.1e-19f);
      SCOPED_TRACE(testing::Message() << MetricName(metric) << " norm " << norm);
      EXPECT_EQ(IndexOf(metric, rows).has_value(), legal);
      EXPECT_EQ(ExactTakes(metric, rows, one).has_value(), legal);
      EXPECT_EQ(ExactTakes(metric, one, rows).has_value(), legal);
      if (legal || norm < 1) continue;
      const auto bound = HasSubstr("norm: expected at most 9.2e18");
      EXPECT_THAT(IndexOf(metric, rows).error().message, bound);
      EXPECT_THAT(ExactTakes(metric, rows, one).error().message,
                  testing::AllOf(HasSubstr("base row 0"), bound));
      EXPECT_THAT(ExactTakes(metric, one, rows).error().message,
                  testing::AllOf(HasSubstr("queries row 0"), bound));
    }
  }
}

TEST(ExtremeNorms, GiveFiniteDistancesInTheMetricAndInTheGraph) {
  constexpr size_t kDim = 64;
  std::vector<float> row(kDim, 9.19e18f / 8);
  std::vector<float> opposite(kDim, -9.19e18f / 8);
  for (const Metric metric : kMetrics) {
    FullCodec codec(ScalarType::kFloat32, metric, kDim);
    ASSERT_TRUE(VectorCheck(ScalarType::kFloat32, metric, kDim).Vector(row, "row"));
    std::vector<std::byte> a(codec.row_bytes()), b(codec.row_bytes());
    codec.Encode(row, a.data());
    codec.Encode(opposite, b.data());
    std::vector<std::byte> buffer(codec.buffer_bytes());
    const std::byte* const rows[] = {a.data(), b.data()};
    float out[2];
    codec.BindQuery(row, buffer.data()).Score(rows, 2, out);
    EXPECT_TRUE(std::isfinite(out[0]) && std::isfinite(out[1])) << MetricName(metric);
    EXPECT_LT(out[0], out[1]);
    codec.BindRow(a.data(), buffer.data()).Score(rows, 2, out);
    EXPECT_TRUE(std::isfinite(out[0]) && std::isfinite(out[1])) << MetricName(metric);
    EXPECT_LT(out[0], out[1]);
  }
}

// The farther of two points does not come first (pgvector #1027).
TEST(ExtremeNorms, KeepTheOrderOfFarPoints) {
  const std::vector<float> rows = {6e18f, 2e18f, 6e18f, 1e18f};
  auto index = IndexOf(Metric::kL2, View(rows, 2));
  ASSERT_TRUE(index);
  const auto hits = index->Search(std::vector<float>{0, 0}, {.k = 2});
  ASSERT_TRUE(hits);
  EXPECT_EQ((*hits)[0].id, 1u);
  EXPECT_LT((*hits)[0].distance, (*hits)[1].distance);
}

TEST(CosineDistances, OfOppositeAndOfEqualVectorsAreInTheirRange) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const size_t dim : {3u, 17u, 128u, 384u}) {
    for (int round = 0; round < 50; ++round) {
      std::vector<float> rows(2 * dim);
      for (size_t i = 0; i < dim; ++i) rows[dim + i] = -(rows[i] = normal(random));
      FullCodec codec(ScalarType::kFloat32, Metric::kCosine, dim);
      std::vector<std::byte> a(codec.row_bytes()), b(codec.row_bytes());
      codec.Encode(std::span(rows).first(dim), a.data());
      codec.Encode(std::span(rows).last(dim), b.data());
      std::vector<std::byte> buffer(codec.buffer_bytes());
      const std::byte* const both[] = {a.data(), b.data()};
      float out[2];
      codec.BindQuery(std::span(rows).first(dim), buffer.data()).Score(both, 2, out);
      EXPECT_GE(out[0], 0);
      EXPECT_LE(out[1], 2);
    }
  }
}

TEST(CosineDistances, OfOppositeVectorsAreWithinTwo) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  constexpr size_t kDim = 100, kRows = 200;
  std::vector<float> query(kDim), rows;
  for (float& x : query) x = normal(random);
  for (size_t i = 0; i < kRows; ++i)
    for (const float x : query) rows.push_back(-x * static_cast<float>(i + 1));
  auto index = IndexOf(Metric::kCosine, View(rows, kDim));
  ASSERT_TRUE(index);
  const auto hits = index->RangeSearch(query, {.radius = 2, .search_list_size = kRows});
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->size(), kRows);
}

template <class T>
void ExpectNoNegativeZero(Metric metric) {
  const std::vector<T> rows(4 * 8);
  const MatrixView view = View(rows, 4);
  for (const auto* kernels : distance::AvailableBlockKernels()) {
    const auto truth = exact::ExactSearchWith(*kernels, view, view, {.k = 3, .metric = metric});
    ASSERT_TRUE(truth);
    for (const float d : truth->distances)
      EXPECT_FALSE(std::signbit(d))
          << kernels->isa << " " << MetricName(metric) << " " << ScalarTypeName(view.type());
  }
  auto index = IndexOf(metric, view);
  ASSERT_TRUE(index);
  const auto hits = index->Search(view[0], {.k = 8});
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->size(), 8u);
  for (const Hit& hit : *hits) EXPECT_FALSE(std::signbit(hit.distance));
}

TEST(Zero, IsNeverNegative) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    ExpectNoNegativeZero<float>(metric);
    ExpectNoNegativeZero<Half>(metric);
    ExpectNoNegativeZero<int8_t>(metric);
    ExpectNoNegativeZero<uint8_t>(metric);
  }
}

}  // namespace
}  // namespace shoal
