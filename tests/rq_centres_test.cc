// Two sets of RqCodec's parameters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "codec/rq_codec.h"
#include "tests/coded_rows.h"
#include "tests/rq_decoded.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::CodedRows;
using test::Decoded;
using test::DecodedOf;
using test::Dot;
using test::Rows;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr ScalarType kFloat = ScalarType::kFloat32;

class RqCentresOfBits : public ::testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(All, RqCentresOfBits, ::testing::Values(1, 2, 3, 4));

TEST_P(RqCentresOfBits, RowsOfBothSetsAreScoredWhileBothAreAlive) {
  constexpr size_t kDim = 64;
  test::Generator generator(ScalarType::kUint8, {.dim = kDim}, 4);  // Far from the origin.
  const Rows bytes = generator.Many(40);
  Rows rows(kFloat, kDim);
  for (size_t i = 0; i < bytes.size(); ++i)
    rows.Add(std::vector<double>(bytes.values(i).begin(), bytes.values(i).end()));
  RqCodec codec({Metric::kL2, kDim, GetParam()}, 7);
  CodedRows coded(codec, rows.view().Slice(0, 20));
  const std::vector<float> centre = codec.MeanOf(rows.view());
  ASSERT_EQ(codec.AddCentre(centre), 1u);
  coded.Add(rows.view().Slice(20, 20));
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(codec.SetOf(coded[i]), i < 20 ? 0u : 1u);
  const std::vector<float> origin(kDim);
  const auto centre_of = [&](size_t i) -> std::span<const float> {
    return i < 20 ? origin : centre;
  };
  const auto decoded = [&](size_t i) {
    return DecodedOf({rows.values(i).begin(), rows.values(i).end()}, coded.Decoded(i, kDim),
                     centre_of(i));
  };
  // The length of what the code leaves of a row.
  const auto error_of = [](const Decoded& row) {
    return std::sqrt(row.norm_sq * (1 / (row.cos * row.cos) - 1));
  };
  // `error`: of the query's own code.
  const auto check = [&](const std::vector<float>& scores, size_t query, double error) {
    for (size_t i = 0; i < 40; ++i) {
      std::vector<float> z(rows.values(query).begin(), rows.values(query).end());
      for (size_t j = 0; j < kDim; ++j) z[j] -= centre_of(i)[j];
      const Decoded row = decoded(i);
      const double standard =
          2 * (error_of(row) * std::sqrt(Dot(z, z)) + error * std::sqrt(Dot(row.fg, row.fg))) /
          std::sqrt(kDim - 1);
      ASSERT_NEAR(scores[i], test::Distance(Metric::kL2, rows.values(query), rows.values(i)),
                  5 * standard)
          << query << " " << i;
    }
  };
  check(coded.ScoreQuery(rows[5]), 5, 0);
  for (const size_t p : {6u, 26u}) check(coded.ScoreRow(coded[p]), p, error_of(decoded(p)));

  codec.DropCentre(0);
  const auto scores = coded.ScoreQuery(rows[5]);
  for (size_t i = 0; i < 40; ++i) EXPECT_EQ(scores[i] == kInfinity, i < 20);
}

TEST(RqCentres, AScorerThatWasBoundBeforeASetCameFindsItsRowsInfinitelyFar) {
  const Rows rows = test::Generator(kFloat, {.dim = 32}, 4).Many(8);
  RqCodec codec({Metric::kL2, 32, 4}, 7);
  CodedRows coded(codec, rows.view());
  std::vector<std::byte> buffer(codec.buffer_bytes()), origin(codec.row_bytes());
  codec.EncodeOrigin(origin.data());
  const Scorer before = codec.BindQuery(rows[0], buffer.data());
  ASSERT_TRUE(codec.AddCentre(codec.MeanOf(rows.view())));
  coded.Add(rows.view());
  const auto scores = coded.Score(before);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(scores[i] == kInfinity, i >= 8);
  codec.DropCentre(0);
  const std::byte* start[] = {origin.data()};
  float score = 0;
  for (const Scorer& scorer : {before, codec.BindQuery(rows[1], buffer.data())}) {
    scorer.Score(start, 1, &score);
    EXPECT_TRUE(std::isfinite(score)) << "the start point's row is of every set";
  }
}

// The place of a set that was dropped is filled beside calls of other threads: it is not read.
TEST(RqCentres, TheStartPointIsAtTheCentreOfTheSetThatIsAliveWhateverTheOtherWas) {
  const Rows rows = test::Generator(kFloat, {.dim = 32}, 4).Many(8);
  const auto from_start = [&](float dropped) {
    RqCodec codec({Metric::kL2, 32, 4}, 7);
    std::vector<std::byte> origin(codec.row_bytes());
    codec.EncodeOrigin(origin.data());  // Of set 0, by its bits.
    const std::vector<float> centre = codec.MeanOf(rows.view());
    EXPECT_EQ(codec.AddCentre(centre), 1u);
    codec.DropCentre(0);
    EXPECT_EQ(codec.AddCentre(std::vector<float>(32, dropped)), 0u);
    codec.UseCentre(1);
    codec.DropCentre(0);
    CodedRows coded(codec, rows.view());
    const std::vector<float> scores = coded.ScoreRow(origin.data());
    for (size_t i = 0; i < rows.size(); ++i) {
      const double norm_sq = test::Distance(Metric::kL2, centre, rows.values(i));
      EXPECT_NEAR(scores[i], norm_sq, 1e-5 * norm_sq);
    }
    return scores;
  };
  EXPECT_EQ(from_start(0), from_start(1000));
}

TEST(RqCentres, SetsTakeTurnsAndAThirdIsRefused) {
  RqCodec codec({Metric::kL2, 4, 4}, 7);
  const std::vector<float> centre{1, 2, 3, 4};
  EXPECT_EQ(codec.current_set(), 0u);
  ASSERT_EQ(codec.AddCentre(centre), 1u);
  const auto third = codec.AddCentre(centre);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kAlreadyExists);
  codec.DropCentre(0);
  EXPECT_EQ(codec.AddCentre(centre), 0u);
  codec.DropCentre(1);
  EXPECT_EQ(codec.AddCentre(std::vector<float>{1}).error().message,
            "centre: dimension: expected 4, found 1");
  EXPECT_THAT(codec.AddCentre(std::vector<float>{1e19f, 0, 0, 0}).error().message,
              HasSubstr("centre: norm: expected at most 1e18"));
  RqCodec product({Metric::kInnerProduct, 4, 4}, 7);
  EXPECT_EQ(product.AddCentre(centre).error().code, ErrorCode::kUnsupported);
}

TEST(RqCentres, AQueryAtTheCentreHasTheNormsAsDistances) {
  const Rows rows = test::Generator(kFloat, {.dim = 32}, 4).Many(8);
  RqCodec codec({Metric::kL2, 32, 4}, 7);
  const std::vector<float> centre = codec.MeanOf(rows.view());
  ASSERT_TRUE(codec.AddCentre(centre));
  CodedRows coded(codec, rows.view());
  const auto scores = coded.ScoreQuery(centre);
  for (size_t i = 0; i < rows.size(); ++i) {
    const double norm_sq = test::Distance(Metric::kL2, centre, rows.values(i));
    EXPECT_NEAR(scores[i], norm_sq, 1e-5 * norm_sq);
  }
}

}  // namespace
}  // namespace shoal
