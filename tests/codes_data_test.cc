// What codes are worth on data: rows in the order of their estimates, all of them, and the share of
// the true 10 nearest among the first r. docs/codes.md has the table; the figures expected are
// those of an independent prototype, whose rotations had other signs.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "codec/full_codec.h"
#include "codec/rq_codec.h"
#include "codec/sq8_codec.h"
#include "shoal/dataset.h"
#include "tests/coded_rows.h"
#include "tests/data_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::CodedRows;

constexpr size_t kQueries = 200, kNearest = 10;

// Rows and queries as float32.
struct Floats {
  size_t dim = 0;
  std::vector<float> rows, queries;
  MatrixView row_view() const { return {std::span(rows), dim}; }
  MatrixView query_view() const { return {std::span(queries), dim}; }
};

std::vector<float> ToFloats(MatrixView matrix) {
  std::vector<float> floats;
  floats.reserve(matrix.rows() * matrix.dim());
  for (size_t i = 0; i < matrix.rows(); ++i) {
    const void* const row = matrix[i].data();
    for (size_t j = 0; j < matrix.dim(); ++j)
      floats.push_back(matrix.type() == ScalarType::kUint8
                           ? static_cast<const uint8_t*>(row)[j]
                           : HalfToFloat(static_cast<const Half*>(row)[j]));
  }
  return floats;
}

// False: there is no shared data.
bool Read(const char* rows_file, const char* queries_file, ScalarType type, size_t n,
          Floats& floats) {
  const auto folder = test::DataFolder();
  if (!std::filesystem::exists(folder)) return false;
  const auto rows = ReadBin(folder / rows_file, type, {.max_rows = n});
  const auto queries = ReadBin(folder / queries_file, type, {.max_rows = kQueries});
  EXPECT_TRUE(rows && queries);
  if (!rows || !queries) return false;
  floats = {rows->dim(), ToFloats(rows->view()), ToFloats(queries->view())};
  return true;
}

// The n least, in order; ties by the smaller id.
std::vector<uint32_t> NearestOf(const std::vector<float>& scores, size_t n) {
  std::vector<std::pair<float, uint32_t>> best(n, {std::numeric_limits<float>::infinity(), 0});
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] >= best.back().first) continue;
    const std::pair<float, uint32_t> entry{scores[i], static_cast<uint32_t>(i)};
    best.pop_back();
    best.insert(std::upper_bound(best.begin(), best.end(), entry), entry);
  }
  std::vector<uint32_t> ids;
  for (const auto& [score, id] : best) ids.push_back(id);
  return ids;
}

using Ids = std::vector<std::vector<uint32_t>>;

Ids ReadTruth(const char* file) {
  const auto truth = ReadTruthSet(test::DataFolder() / file);
  EXPECT_TRUE(truth);
  Ids ids;
  for (size_t q = 0; truth && q < kQueries; ++q)
    ids.emplace_back(truth->Ids(q).begin(), truth->Ids(q).begin() + kNearest);
  return ids;
}

Ids FindTruth(Metric metric, const Floats& floats) {
  FullCodec codec(ScalarType::kFloat32, metric, floats.dim);
  CodedRows full(codec, floats.row_view());
  Ids ids;
  for (size_t q = 0; q < kQueries; ++q)
    ids.push_back(NearestOf(full.ScoreQuery(floats.query_view()[q]), kNearest));
  return ids;
}

struct Shares {
  double of_10 = 0, of_20 = 0;
};

// The shares of the truth among the first 10 and 20.
Shares SharesOf(const Floats& floats, const Ids& truth, Codec& codec) {
  CodedRows coded(codec, floats.row_view());
  Shares shares;
  for (size_t q = 0; q < kQueries; ++q) {
    const auto found = NearestOf(coded.ScoreQuery(floats.query_view()[q]), 20);
    for (const uint32_t id : truth[q]) {
      const auto at = std::find(found.begin(), found.end(), id) - found.begin();
      shares.of_10 += at < 10 ? 1 : 0;
      shares.of_20 += at < 20 ? 1 : 0;
    }
  }
  constexpr double kAll = kQueries * kNearest;
  shares = {shares.of_10 / kAll, shares.of_20 / kAll};
  std::printf("%zu bytes: %.4f %.4f\n", codec.row_bytes(), shares.of_10, shares.of_20);
  return shares;
}

// Over seeds the shares of 1 and 2 bits have a deviation of .008. (The prototype's, about the
// origin: .650, .833; .835, .978; .904, .998; .948, .9995; of 8 bits .997, 1.)
TEST(CodesOnText, FindTheShareOfTheNearestThatTheirBitsAllow) {
  Floats floats;
  if (!Read("text-100k.f16bin", "text-query-1k.f16bin", ScalarType::kFloat16, 100000, floats))
    GTEST_SKIP() << "no shared data";
  const Ids truth = ReadTruth("text-100k.gt100");
  constexpr Shares kExpected[] = {{}, {0.692, 0.882}, {0.844, 0.986}, {0.909, 1}, {0.948, 1}};
  for (const size_t bits : {1, 2, 3, 4}) {
    RqCodec codec({Metric::kCosine, floats.dim, bits}, 1);
    ASSERT_TRUE(codec.AddCentre(codec.MeanOf(floats.row_view().Slice(0, 2000))));
    const Shares shares = SharesOf(floats, truth, codec);
    EXPECT_NEAR(shares.of_10, kExpected[bits].of_10, bits <= 2 ? 0.02 : 0.01) << bits;
    EXPECT_NEAR(shares.of_20, kExpected[bits].of_20, 0.01) << bits;
  }
  Sq8Codec sq8(Metric::kCosine, floats.dim);
  const Shares shares = SharesOf(floats, truth, sq8);
  EXPECT_NEAR(shares.of_10, 0.997, 0.01);
  EXPECT_EQ(shares.of_20, 1);
}

// (The prototype's first 10 of 60,000 rows: .9260, .7890; without a rotation, 4 bits: .6410.)
TEST(CodesOnText, FindAsManyWhereAFewElementsAreLarge) {
  Floats floats;
  if (!Read("text-100k.f16bin", "text-query-1k.f16bin", ScalarType::kFloat16, 10000, floats))
    GTEST_SKIP() << "no shared data";
  for (std::vector<float>* vectors : {&floats.rows, &floats.queries})
    for (size_t i = 0; i < vectors->size(); i += floats.dim)
      for (size_t j = 0; j < 8; ++j) (*vectors)[i + 48 * j] *= 8;
  const Ids truth = FindTruth(Metric::kCosine, floats);
  RqCodec four({Metric::kCosine, floats.dim, 4}, 1), two({Metric::kCosine, floats.dim, 2}, 1);
  EXPECT_GE(SharesOf(floats, truth, four).of_10, 0.92);
  EXPECT_GE(SharesOf(floats, truth, two).of_10, 0.77);
}

// (The prototype's first 10 of l2 about the mean: .4265, .6830, .8250, .8905.)
TEST(CodesOnSift, FindTheShareOfTheNearestThatTheirBitsAllow) {
  Floats floats;
  if (!Read("sift-1m.u8bin", "sift-query-1k.u8bin", ScalarType::kUint8, 100000, floats))
    GTEST_SKIP() << "no shared data";
  const Ids truth = ReadTruth("sift-100k.gt100");
  constexpr double kExpected[] = {0, 0.4265, 0.6830, 0.8250, 0.8905};
  for (const size_t bits : {1, 2, 3, 4}) {
    RqCodec codec({Metric::kL2, floats.dim, bits}, 1);
    ASSERT_TRUE(codec.AddCentre(codec.MeanOf(floats.row_view().Slice(0, 2000))));
    EXPECT_NEAR(SharesOf(floats, truth, codec).of_10, kExpected[bits], 0.02) << bits;
  }
  Sq8Codec sq8(Metric::kL2, floats.dim);
  EXPECT_GE(SharesOf(floats, truth, sq8).of_10, 0.98);
}

}  // namespace
}  // namespace shoal
