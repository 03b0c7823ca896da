#include "codec/rq_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/crc32c.h"
#include "tests/coded_rows.h"
#include "tests/print_types.h"
#include "tests/rq_decoded.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::CodedRows;
using test::Decoded;
using test::DecodedOf;
using test::Dot;
using test::Relative;
using test::RelativeTo;
using test::Rows;
using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;

constexpr ScalarType kFloat = ScalarType::kFloat32;

std::vector<size_t> Dimensions() {
  std::vector<size_t> dims;
  for (size_t dim = 1; dim <= 70; ++dim) dims.push_back(dim);
  dims.insert(dims.end(), {100, 127, 128, 129, 384, 768, 960, 1000, 1536});
  return dims;
}

// An estimate without the query's rounding.
double Estimate(Metric metric, const Relative& z, const Decoded& row) {
  const double product = Dot(z.y, row.fg);
  if (metric == Metric::kInnerProduct) return -product - z.along * row.along;
  return row.norm_sq + Dot(z.y, z.y) - 2 * product;
}
// What the rounding of a query to 8 bits may change: six standard deviations.
double RoundingOf(std::span<const float> z, const Decoded& row) {
  const double step =
      std::sqrt(Dot(z, z)) * std::min(1.0, 6 / std::sqrt(static_cast<double>(z.size()))) / 127;
  return 2 * 6 * step / std::sqrt(12.0) * std::sqrt(Dot(row.fg, row.fg)) + 1e-4 * row.norm_sq;
}
// A vector of fewer elements is rotated among 16, of which Decode gives only its own.
constexpr size_t kLeastRotated = 16;

struct Case {
  Metric metric;
  size_t bits;
};
class RqCodecTest : public ::testing::TestWithParam<Case> {
 protected:
  Metric metric() const { return GetParam().metric; }
  RqCodec Make(size_t dim, uint64_t seed = 7) const {
    return RqCodec({metric(), dim, GetParam().bits}, seed);
  }
};
std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine})
    for (const size_t bits : {1, 2, 3, 4}) cases.push_back({metric, bits});
  return cases;
}
std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  return std::string(MetricName(info.param.metric)) + "_" + std::to_string(info.param.bits);
}
void PrintTo(const Case& c, std::ostream* out) { *out << MetricName(c.metric) << " " << c.bits; }
INSTANTIATE_TEST_SUITE_P(All, RqCodecTest, ::testing::ValuesIn(AllCases()), CaseName);

// Rows about their mean, and of queries like them.
TEST_P(RqCodecTest, ScoresOfAQueryAreThoseOfTheDecodedRowsAtEveryDimension) {
  for (const size_t dim : Dimensions()) {
    test::Generator generator(kFloat, {.dim = dim, .norm_sigma = 0.5}, dim);
    const Rows rows = generator.Many(9), queries = generator.Many(3);
    RqCodec codec = Make(dim);
    const std::vector<float> centre = codec.MeanOf(rows.view());
    ASSERT_TRUE(codec.AddCentre(centre));
    codec.DropCentre(0);
    CodedRows coded(codec, rows.view());
    for (size_t q = 0; q < queries.size(); ++q) {
      const auto scores = coded.ScoreQuery(queries[q]);
      const Relative z = RelativeTo(centre, metric(), queries.values(q));
      for (size_t i = 0; i < rows.size(); ++i) {
        const Decoded row = DecodedOf(centre, metric(), rows.values(i), coded.Decoded(i, dim));
        const double rounding = RoundingOf(z.y, row) + 1e-4 * std::abs(z.along * row.along);
        if (dim >= kLeastRotated) {
          ASSERT_NEAR(scores[i], Estimate(metric(), z, row), rounding) << "dim " << dim;
          continue;
        }
        constexpr double kErrors[] = {0, 4.5, 2.2, 1.3, 0.7};  // 5 standard errors of 16 elements.
        ASSERT_NEAR(scores[i], test::Distance(metric(), queries.values(q), rows.values(i)),
                    rounding + kErrors[GetParam().bits] * std::sqrt(Dot(z.y, z.y) * row.norm_sq))
            << "dim " << dim;
      }
    }
  }
}

TEST_P(RqCodecTest, ScoresOfARowAreThoseOfBothRowsDecoded) {
  for (const size_t dim : {16u, 33u, 128u, 384u}) {
    const Rows rows = test::Generator(kFloat, {.dim = dim, .norm_sigma = 0.3}, 3).Many(12);
    RqCodec codec = Make(dim);
    const std::vector<float> centre = codec.MeanOf(rows.view());
    ASSERT_TRUE(codec.AddCentre(centre));
    CodedRows coded(codec, rows.view());
    std::vector<Decoded> decoded;
    for (size_t i = 0; i < rows.size(); ++i)
      decoded.push_back(DecodedOf(centre, metric(), rows.values(i), coded.Decoded(i, dim)));
    for (size_t p = 0; p < rows.size(); ++p) {
      const auto scores = coded.ScoreRow(coded[p]);
      const auto as_query = coded.ScoreRowAsQuery(coded[p]);
      for (size_t i = 0; i < rows.size(); ++i) {
        const Decoded &a = decoded[p], &b = decoded[i];
        const double product = Dot(a.fg, b.fg);
        double expected = std::max(0.0, a.norm_sq + b.norm_sq - 2 * product);
        double rounding = 1e-4 * (a.full_norm_sq() + b.full_norm_sq());
        if (metric() == Metric::kInnerProduct) {
          ASSERT_NEAR(as_query[i], -product - a.along * b.along, rounding);
          const double most = codec.max_norm_sq();
          rounding *= 10;  // Roots of small differences of norms.
          expected =
              std::max(0.0, a.norm_sq + b.norm_sq - 2 * product + std::pow(a.along - b.along, 2));
          expected += std::pow(std::sqrt(std::max(0.0, most - a.full_norm_sq())) -
                                   std::sqrt(std::max(0.0, most - b.full_norm_sq())),
                               2);
        } else {
          ASSERT_EQ(as_query[i], scores[i]);
        }
        ASSERT_NEAR(scores[i], expected, rounding);
      }
      ASSERT_THAT(scores, Each(Ge(0)));
      ASSERT_LE(scores[p], 1e-5f) << "rows whose codes are equal";
    }
  }
}

// error / standard error of estimates has mean 0 and deviation 1: over rotations, so of a code of
// which many seeds are drawn.
TEST_P(RqCodecTest, EstimatesAreUnbiasedWithTheErrorThatTheFormulaGives) {
  for (const size_t dim : {128u, 384u}) {
    test::Generator generator(kFloat, {.dim = dim, .clusters = 10}, dim);
    const Rows rows = generator.Many(20), queries = generator.Many(20);
    double sum = 0, squares = 0, n = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      RqCodec codec = Make(dim, seed);
      CodedRows coded(codec, rows.view());
      std::vector<Decoded> decoded;
      for (size_t i = 0; i < rows.size(); ++i)
        decoded.push_back(DecodedOf({}, metric(), rows.values(i), coded.Decoded(i, dim)));
      for (size_t q = 0; q < queries.size(); ++q) {
        const auto scores = coded.ScoreQuery(queries[q]);
        const std::vector<float> z = RelativeTo({}, metric(), queries.values(q)).y;
        for (size_t i = 0; i < rows.size(); ++i) {
          const std::vector<float> y = RelativeTo({}, metric(), rows.values(i)).y;
          const double error =
              scores[i] - test::Distance(metric(), queries.values(q), rows.values(i));
          const double cos_sq = decoded[i].cos * decoded[i].cos;
          const double across = Dot(z, z) - std::pow(Dot(z, y), 2) / decoded[i].norm_sq;
          const double standard = (metric() == Metric::kInnerProduct ? 1 : 2) *
                                  std::sqrt(decoded[i].norm_sq * across * (1 / cos_sq - 1) /
                                            static_cast<double>(dim - 1));
          sum += error / standard;
          squares += std::pow(error / standard, 2);
          ++n;
        }
      }
    }
    EXPECT_NEAR(sum / n, 0, 0.06) << "dim " << dim;
    EXPECT_NEAR(std::sqrt(squares / n), 1, 0.07) << "dim " << dim;
  }
}

// Of rows that have 99 % of their length in common the rest is as well told as of rows about 0.
TEST_P(RqCodecTest, WhatVectorsHaveInCommonIsInNoEstimate) {
  constexpr size_t kDim = 128, kRows = 40;
  const Rows base = test::Generator(kFloat, {.dim = kDim}, 3).Many(kRows);
  double scale = 0;
  for (size_t i = 0; i < kRows; ++i)
    scale += std::sqrt(Dot(base.values(i), base.values(i)) / kRows);
  const auto error_at = [&](double shift) {
    Rows rows(kFloat, kDim);
    for (size_t i = 0; i < kRows; ++i) {
      std::vector<double> row(base.values(i).begin(), base.values(i).end());
      for (double& x : row) x += shift * scale / std::sqrt(kDim);
      rows.Add(row);
    }
    RqCodec codec = Make(kDim);
    EXPECT_TRUE(codec.AddCentre(codec.MeanOf(rows.view())));
    CodedRows coded(codec, rows.view());
    // Of distances, in those of the rows' own parts.
    const double unit = metric() == Metric::kCosine ? scale * scale * (1 + shift * shift) : 1;
    double squares = 0;
    for (size_t q = 0; q < kRows; ++q) {
      const auto scores = coded.ScoreQuery(rows[q]);
      for (size_t i = 0; i < kRows; ++i) {
        const double error =
            unit * (scores[i] - test::Distance(metric(), rows.values(q), rows.values(i)));
        squares += error * error;
      }
    }
    return std::sqrt(squares) / kRows;
  };
  EXPECT_LE(error_at(10), 1.3 * error_at(0));
}

// As some models' embeddings have them; the windows of the rotation have little in common at 1000.
TEST_P(RqCodecTest, AFewLargeElementsAtEitherEndLeaveCodesAsGoodAsNormalNumbersDo) {
  constexpr double kCosOfNormal[] = {0, 0.797, 0.940, 0.980, 0.994};
  for (const size_t dim : {384u, 768u, 960u, 1000u, 1536u}) {
    std::mt19937_64 random(dim);
    std::normal_distribution<double> normal;
    Rows rows(kFloat, dim);
    for (size_t i = 0; i < 60; ++i) {
      std::vector<double> row(dim);
      for (double& x : row) x = normal(random);
      for (size_t j = 0; j < 8; ++j) row[i % 2 == 0 ? j : dim - 1 - j] *= 20;
      rows.Add(row);
    }
    RqCodec codec = Make(dim);
    CodedRows coded(codec, rows.view());
    double cos = 0;
    for (size_t i = 0; i < rows.size(); ++i)
      cos += DecodedOf({}, metric(), rows.values(i), coded.Decoded(i, dim)).cos;
    EXPECT_NEAR(cos / static_cast<double>(rows.size()), kCosOfNormal[GetParam().bits], 0.01)
        << "dim " << dim;
  }
}

TEST_P(RqCodecTest, ZeroAndConstantRowsAndQueriesHaveFiniteDistances) {
  for (const size_t dim : {1u, 2u, 16u, 100u, 384u}) {
    Rows rows(kFloat, dim);
    for (const double value : {1.0, -3.0, 1e-25, 1e15}) rows.Add(std::vector<double>(dim, value));
    if (metric() != Metric::kCosine) rows.Add(std::vector<double>(dim, 0.0));
    RqCodec codec = Make(dim);
    CodedRows coded(codec, rows.view());
    for (size_t q = 0; q < rows.size(); ++q) {
      for (const float score : coded.ScoreQuery(rows[q])) ASSERT_TRUE(std::isfinite(score));
      for (const float score : coded.ScoreRow(coded[q])) ASSERT_TRUE(std::isfinite(score));
      for (const float score : coded.ScoreRowAsQuery(coded[q])) ASSERT_TRUE(std::isfinite(score));
    }
    if (metric() == Metric::kCosine) continue;
    EXPECT_THAT(coded.Decoded(4, dim), Each(0.0f));
    const float of_zero = coded.ScoreQuery(rows[0])[4];
    EXPECT_EQ(of_zero, metric() == Metric::kL2 ? coded.ScoreQuery(rows[4])[0] : 0.0f)
        << "the distance of 0 from a row is that row's norm, without error";
  }
}

TEST_P(RqCodecTest, TheStartPointsRowIsAtTheCentreWhichIsTheOriginAtFirst) {
  const Rows rows = test::Generator(kFloat, {.dim = 40}, 5).Many(2);
  RqCodec codec = Make(40);
  std::vector<std::byte> row(codec.row_bytes(), std::byte{1}), buffer(codec.buffer_bytes());
  codec.EncodeOrigin(row.data());
  const std::byte* rows_of_one[] = {row.data()};
  float score = 0;
  codec.BindQuery(rows[0], buffer.data()).Score(rows_of_one, 1, &score);
  const double norm_sq = Dot(rows.values(0), rows.values(0));
  const double expected = metric() == Metric::kL2 ? norm_sq : metric() == Metric::kCosine ? 0.5 : 0;
  EXPECT_NEAR(score, expected, 1e-5 * norm_sq);
}

TEST_P(RqCodecTest, RowsOfEveryTypeHaveTheCodesOfTheirNumbers) {
  for (const ScalarType type : test::kTypes) {
    const Rows rows = test::Generator(type, {.dim = 48}, 5).Many(10);
    Rows floats(kFloat, 48);
    for (size_t i = 0; i < rows.size(); ++i)
      floats.Add(std::vector<double>(rows.values(i).begin(), rows.values(i).end()));
    RqCodec codec = Make(48), of_floats = Make(48);
    CodedRows coded(codec, rows.view()), expected(of_floats, floats.view());
    EXPECT_EQ(coded.bytes(), expected.bytes()) << ScalarTypeName(type);
    EXPECT_EQ(coded.ScoreQuery(rows[1]), expected.ScoreQuery(floats[1])) << ScalarTypeName(type);
    std::vector<std::byte> decoded(rows[0].bytes());
    codec.Decode(coded[0], MutableVectorView(decoded.data(), type, 48));
    Rows rounded(type, 48);
    const std::vector<float> as_floats = expected.Decoded(0, 48);
    rounded.Add(std::vector<double>(as_floats.begin(), as_floats.end()));
    EXPECT_EQ(std::memcmp(decoded.data(), rounded[0].data(), decoded.size()), 0)
        << ScalarTypeName(type);
  }
}

TEST_P(RqCodecTest, ACodecOfTheSameParametersIsTheSameToTheLastBit) {
  const Rows rows = test::Generator(kFloat, {.dim = 100}, 5).Many(20);
  RqCodec codec = Make(100, 123), other = Make(100, 9);
  CodedRows first(codec, rows.view());
  ASSERT_TRUE(codec.AddCentre(codec.MeanOf(rows.view())));
  first.Add(rows.view());
  const std::vector<std::byte> parameters = codec.Parameters();
  ASSERT_TRUE(other.Restore(parameters));
  EXPECT_EQ(other.Parameters(), parameters);
  CodedRows second(other);
  second.Add(rows.view());
  EXPECT_TRUE(std::equal(second.bytes().begin(), second.bytes().end(),
                         first.bytes().end() - static_cast<ptrdiff_t>(second.bytes().size())));
  std::vector<std::byte> buffer(other.buffer_bytes());
  EXPECT_EQ(first.ScoreQuery(rows[3]), first.Score(other.BindQuery(rows[3], buffer.data())));
  EXPECT_EQ(first.ScoreRow(first[3]), first.Score(other.BindRow(first[3], buffer.data())));
}

TEST_P(RqCodecTest, AcceptsTheRowsThatItWritesAndNoneOfOtherSetsOrWithWhatEncodeNeverWrites) {
  const Rows rows = test::Generator(kFloat, {.dim = 101}, 5).Many(10);
  RqCodec codec = Make(101), other = Make(101);
  CodedRows coded(codec, rows.view());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_TRUE(other.Accept(coded[i]));
  EXPECT_EQ(other.max_norm_sq(), codec.max_norm_sq());
  std::vector<std::byte> row(codec.row_bytes());
  const auto accepts_with = [&](size_t byte, uint8_t value) {
    std::memcpy(row.data(), coded[0], row.size());
    row[byte] = std::byte{value};
    return other.Accept(row.data());
  };
  EXPECT_FALSE(accepts_with(3, 0xff)) << "f below 0, or no number";
  EXPECT_FALSE(accepts_with(row.size() - 1, 0xff)) << "elements behind the last one";
  EXPECT_FALSE(accepts_with(7, 0xff)) << "n of no set that is alive";
}

TEST_P(RqCodecTest, ParametersThatAreNoneAreRefusedWithWhatIsWrong) {
  RqCodec codec = Make(20);
  const std::vector<std::byte> good = codec.Parameters();
  for (size_t n = 0; n < good.size(); ++n) {
    const Status refused = codec.Restore(std::span(good).first(n));
    ASSERT_FALSE(refused) << n;
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(refused.error().message, HasSubstr("expected"));
  }
  for (const size_t byte : {0u, 12u, 16u}) {  // version, sets, current set
    std::vector<std::byte> bad = good;
    bad[byte] = std::byte{9};
    const Status refused = codec.Restore(bad);
    ASSERT_FALSE(refused) << byte;
    EXPECT_THAT(refused.error().message, HasSubstr("found 9"));
  }
  EXPECT_TRUE(codec.Restore(good));
}

TEST_P(RqCodecTest, ParametersOfRowsThatHadNoCentreAreOfAnOlderVersionAndRefused) {
  RqCodec codec = Make(20);
  std::vector<std::byte> old = codec.Parameters();
  EXPECT_FALSE(RqCodec::IsOfOlderVersion(metric(), old));
  const uint32_t version = 1;
  std::memcpy(old.data(), &version, sizeof(version));
  EXPECT_EQ(RqCodec::IsOfOlderVersion(metric(), old), metric() != Metric::kL2);
  EXPECT_EQ(codec.Restore(old).has_value(), metric() == Metric::kL2);
}

TEST(RqCodec, ARowTakesItsBitsAndItsFactors) {
  const auto bytes = [](Metric metric, size_t dim, size_t bits) {
    return RqCodec({metric, dim, bits}, 0).row_bytes();
  };
  EXPECT_EQ(bytes(Metric::kL2, 128, 3), 64u) << "a cache line, of which 56 are used";
  EXPECT_EQ(bytes(Metric::kL2, 128, 1), 32u);
  EXPECT_EQ(bytes(Metric::kL2, 128, 4), 72u);
  EXPECT_EQ(bytes(Metric::kCosine, 384, 4), 200u);
  EXPECT_EQ(bytes(Metric::kInnerProduct, 384, 4), 204u) << "what is along the centre, too";
  EXPECT_EQ(bytes(Metric::kCosine, 768, 2), 200u);
  EXPECT_EQ(bytes(Metric::kCosine, 1536, 1), 200u);
}

// Rows that were written by one machine are read by others: their bytes are the same everywhere.
TEST_P(RqCodecTest, RowsAreWhatTheyWereInEveryVersionAndInstructionSet) {
  uint32_t crc = 0;
  for (const size_t dim : {3u, 100u, 384u, 1000u}) {
    std::vector<float> vector(dim), centre(dim, 0.1f);
    for (size_t i = 0; i < dim; ++i) vector[i] = static_cast<float>(i * i % 101) / 37.0f - 1.3f;
    RqCodec codec = Make(dim, 42);
    std::vector<std::byte> row(codec.row_bytes());
    codec.Encode(vector, row.data());
    crc = Crc32c(row.data(), row.size(), crc);
    ASSERT_TRUE(codec.AddCentre(centre));
    codec.Encode(vector, row.data());
    crc = Crc32c(row.data(), row.size(), crc);
  }
  const std::map<std::pair<Metric, size_t>, uint32_t> expected{
      {{Metric::kL2, 1}, 2092053402u},           {{Metric::kL2, 2}, 1843496444u},
      {{Metric::kL2, 3}, 3898240199u},           {{Metric::kL2, 4}, 1555227140u},
      {{Metric::kInnerProduct, 1}, 889336743u},  {{Metric::kInnerProduct, 2}, 2091195381u},
      {{Metric::kInnerProduct, 3}, 3808649230u}, {{Metric::kInnerProduct, 4}, 2579420793u},
      {{Metric::kCosine, 1}, 1537060605u},       {{Metric::kCosine, 2}, 3502424465u},
      {{Metric::kCosine, 3}, 156328309u},        {{Metric::kCosine, 4}, 3767812749u}};
  EXPECT_EQ(crc, expected.at({metric(), GetParam().bits}));
}

}  // namespace
}  // namespace shoal
