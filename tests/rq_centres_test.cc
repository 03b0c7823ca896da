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

struct Case {
  Metric metric;
  size_t bits;
};
void PrintTo(const Case& c, std::ostream* out) { *out << MetricName(c.metric) << " " << c.bits; }
class RqCentresOfBits : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    All, RqCentresOfBits, ::testing::ValuesIn([] {
      std::vector<Case> cases;
      for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine})
        for (const size_t bits : {1, 2, 3, 4}) cases.push_back({metric, bits});
      return cases;
    }()),
    [](const auto& param) {
      return std::string(MetricName(param.param.metric)) + "_" + std::to_string(param.param.bits);
    });

TEST_P(RqCentresOfBits, RowsOfBothSetsAreScoredWhileBothAreAlive) {
  constexpr size_t kDim = 64, kRows = 40, kOld = 20;
  const auto [metric, bits] = GetParam();
  test::Generator generator(ScalarType::kUint8, {.dim = kDim}, 4);  // Far from the origin.
  const Rows bytes = generator.Many(kRows);
  Rows rows(kFloat, kDim);
  for (size_t i = 0; i < bytes.size(); ++i)
    rows.Add(std::vector<double>(bytes.values(i).begin(), bytes.values(i).end()));
  RqCodec codec({metric, kDim, bits}, 7);
  // Two places near the data.
  std::vector<float> centres[2] = {codec.MeanOf(rows.view().Slice(0, 3)),
                                   codec.MeanOf(rows.view())};
  ASSERT_EQ(codec.AddCentre(centres[0]), 1u);
  codec.DropCentre(0);
  CodedRows coded(codec, rows.view().Slice(0, kOld));
  ASSERT_EQ(codec.AddCentre(centres[1]), 0u);
  coded.Add(rows.view().Slice(kOld, kRows - kOld));
  const auto centre_of = [&](size_t i) {
    return std::span<const float>(centres[i < kOld ? 0 : 1]);
  };
  std::vector<Decoded> decoded;
  for (size_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(codec.SetOf(coded[i]), i < kOld ? 1u : 0u);
    decoded.push_back(DecodedOf(centre_of(i), metric, rows.values(i), coded.Decoded(i, kDim)));
  }
  // The length of what the code leaves of a row.
  const auto error_of = [](const Decoded& row) {
    return row.cos == 0 ? 0 : std::sqrt(row.norm_sq * (1 / (row.cos * row.cos) - 1));
  };
  // Of an inner product. `error`: of the query's own code.
  const auto standard_error = [&](size_t query, size_t i, double error) {
    const auto length = [&](std::span<const float> centre, size_t row) {
      const std::vector<float> y = test::RelativeTo(centre, metric, rows.values(row)).y;
      return std::sqrt(Dot(y, y));
    };
    return (error_of(decoded[i]) * length(centre_of(i), query) +
            error * length(centre_of(query), i)) /
               std::sqrt(kDim - 1) +
           1e-6 *
               Dot(test::PlacedIn(metric, rows.values(i)), test::PlacedIn(metric, rows.values(i)));
  };
  const double factor = metric == Metric::kInnerProduct ? 1 : 2;
  const auto check = [&](const std::vector<float>& scores, size_t query, double error) {
    for (size_t i = 0; i < kRows; ++i)
      ASSERT_NEAR(scores[i], test::Distance(metric, rows.values(query), rows.values(i)),
                  5 * factor * standard_error(query, i, error))
          << query << " " << i;
  };
  check(coded.ScoreQuery(rows[5]), 5, 0);
  for (const size_t p : {6u, 26u}) check(coded.ScoreRowAsQuery(coded[p]), p, error_of(decoded[p]));
  if (metric == Metric::kInnerProduct) {
    for (const size_t p : {6u, 26u}) {
      const auto scores = coded.ScoreRow(coded[p]);
      const auto beyond = [&](size_t i) {
        const double norm_sq = Dot(rows.values(i), rows.values(i));
        return std::sqrt(std::max(0.0, codec.max_norm_sq() - norm_sq));
      };
      for (size_t i = 0; i < kRows; ++i)
        ASSERT_NEAR(scores[i],
                    test::Distance(Metric::kL2, rows.values(p), rows.values(i)) +
                        std::pow(beyond(i) - beyond(p), 2),
                    10 * standard_error(p, i, error_of(decoded[p])) + 1e-4 * codec.max_norm_sq())
            << p << " " << i;
    }
  }

  codec.DropCentre(1);
  const auto scores = coded.ScoreQuery(rows[5]);
  for (size_t i = 0; i < kRows; ++i) EXPECT_EQ(scores[i] == kInfinity, i < kOld);
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
