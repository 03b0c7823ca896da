#include "codec/sq8_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coded_rows.h"
#include "tests/print_types.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::CodedRows;
using test::Rows;

class Sq8CodecTest : public ::testing::TestWithParam<Metric> {
 protected:
  Metric metric() const { return GetParam(); }
};
std::string CaseName(const ::testing::TestParamInfo<Metric>& info) {
  return std::string(MetricName(info.param));
}
INSTANTIATE_TEST_SUITE_P(All, Sq8CodecTest,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine),
                         CaseName);

constexpr ScalarType kFloat = ScalarType::kFloat32;
constexpr size_t kDimensions[] = {1, 2, 3, 7, 16, 31, 33, 64, 100, 127, 128, 129, 384, 1000, 1536};

// The query is rounded to 16 bits, to fewer in many dimensions.
double RoundingOf(Metric metric, std::span<const float> query, std::span<const float> row) {
  const auto norm = [](std::span<const float> x) {
    return std::sqrt(-test::Distance(Metric::kInnerProduct, x, x));
  };
  const double norms = metric == Metric::kCosine ? 1 : norm(query) * norm(row);
  return 2e-4 * norms + 1e-6 * (std::pow(norm(query), 2) + std::pow(norm(row), 2));
}

TEST_P(Sq8CodecTest, ScoresAreThoseOfTheDecodedRowsAtEveryDimension) {
  for (const size_t dim : kDimensions) {
    test::Generator generator(kFloat, {.dim = dim, .norm_sigma = 0.5}, dim);
    const Rows rows = generator.Many(9), queries = generator.Many(3);
    Sq8Codec codec(metric(), dim);
    CodedRows coded(codec, rows.view());
    for (size_t q = 0; q < queries.size(); ++q) {
      const auto scores = coded.ScoreQuery(queries[q]);
      const auto of_row = coded.ScoreRow(coded[q]);
      const auto as_query = coded.ScoreRowAsQuery(coded[q]);
      const std::vector<float> decoded_q = coded.Decoded(q, dim);
      for (size_t i = 0; i < rows.size(); ++i) {
        const std::vector<float> decoded = coded.Decoded(i, dim);
        ASSERT_NEAR(scores[i], test::Distance(metric(), queries.values(q), decoded),
                    RoundingOf(metric(), queries.values(q), decoded))
            << "dim " << dim;
        ASSERT_NEAR(as_query[i], test::Distance(Metric::kInnerProduct, decoded_q, decoded),
                    RoundingOf(Metric::kInnerProduct, decoded_q, decoded));
        if (metric() == Metric::kInnerProduct) continue;
        ASSERT_NEAR(of_row[i], test::Distance(metric(), decoded_q, decoded),
                    RoundingOf(metric(), decoded_q, decoded))
            << "dim " << dim;
        ASSERT_GE(of_row[i], 0);
      }
    }
  }
}

TEST_P(Sq8CodecTest, AnElementIsWrongByAtMostHalfAStepOfItsVectorsRange) {
  for (const size_t dim : kDimensions) {
    const Rows rows = test::Generator(kFloat, {.dim = dim}, dim).Many(5);
    Sq8Codec codec(metric(), dim);
    CodedRows coded(codec, rows.view());
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto [low, high] = std::ranges::minmax(rows.values(i));
      const std::vector<float> decoded = coded.Decoded(i, dim);
      for (size_t j = 0; j < dim; ++j)
        ASSERT_NEAR(decoded[j], rows.values(i)[j], (high - low) / 255 * 0.5001 + 1e-7);
    }
  }
}

TEST_P(Sq8CodecTest, ZeroAndConstantRowsAreExact) {
  for (const size_t dim : {1u, 2u, 100u}) {
    Rows rows(kFloat, dim);
    for (const double value : {1.0, -3.0, 1e15}) rows.Add(std::vector<double>(dim, value));
    if (metric() != Metric::kCosine) rows.Add(std::vector<double>(dim, 0.0));
    Sq8Codec codec(metric(), dim);
    CodedRows coded(codec, rows.view());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_THAT(coded.Decoded(i, dim), ::testing::ElementsAreArray(rows.values(i)));
      for (const float score : coded.ScoreQuery(rows[i])) ASSERT_TRUE(std::isfinite(score));
      for (const float score : coded.ScoreRow(coded[i])) ASSERT_TRUE(std::isfinite(score));
    }
  }
}

TEST_P(Sq8CodecTest, TheStartPointsRowHasTheDistancesOfTheOrigin) {
  const Rows rows = test::Generator(kFloat, {.dim = 40}, 5).Many(1);
  Sq8Codec codec(metric(), 40);
  std::vector<std::byte> row(codec.row_bytes(), std::byte{1}), buffer(codec.buffer_bytes());
  codec.EncodeOrigin(row.data());
  const std::byte* rows_of_one[] = {row.data()};
  float score = 0;
  codec.BindQuery(rows[0], buffer.data()).Score(rows_of_one, 1, &score);
  const double norm_sq = -test::Distance(Metric::kInnerProduct, rows.values(0), rows.values(0));
  const double expected = metric() == Metric::kL2 ? norm_sq : metric() == Metric::kCosine ? 1 : 0;
  EXPECT_NEAR(score, expected, 1e-5 * norm_sq);
}

TEST_P(Sq8CodecTest, IntegersOfFewValuesComeBackAsTheyWere) {
  for (const ScalarType type : {ScalarType::kInt8, ScalarType::kUint8}) {
    const Rows rows = test::Generator(type, {.dim = 60}, 5).Many(10);
    Sq8Codec codec(metric(), 60);
    CodedRows coded(codec, rows.view());
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<std::byte> decoded(60);
      codec.Decode(coded[i], MutableVectorView(decoded.data(), type, 60));
      EXPECT_EQ(std::memcmp(decoded.data(), rows[i].data(), 60), 0);
    }
  }
}

TEST_P(Sq8CodecTest, AcceptsTheRowsThatItWritesAndNoOthers) {
  const Rows rows = test::Generator(kFloat, {.dim = 60}, 5).Many(10);
  Sq8Codec codec(metric(), 60), other(metric(), 60);
  CodedRows coded(codec, rows.view());
  std::vector<std::byte> row(codec.row_bytes());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_TRUE(other.Accept(coded[i]));
  EXPECT_EQ(other.max_norm_sq(), codec.max_norm_sq());
  for (const size_t byte : {3u, 7u, 11u, 12u, 71u}) {  // Of a, b, the norm, the elements.
    std::memcpy(row.data(), coded[0], row.size());
    row[byte] ^= std::byte{0x7f};
    EXPECT_FALSE(other.Accept(row.data())) << byte;
  }
}

TEST(Sq8Codec, ARowTakesAByteAnElementAndThreeFactors) {
  EXPECT_EQ(Sq8Codec(Metric::kL2, 128).row_bytes(), 140u);
  EXPECT_EQ(Sq8Codec(Metric::kCosine, 384).row_bytes(), 396u);
}

// The extreme of what the kernel sums: nothing overflows.
TEST(Sq8Codec, TheLargestDimensionHasDistances) {
  Sq8Codec codec(Metric::kL2, kMaxDim);
  std::vector<float> vector(kMaxDim, 1.0f), query(kMaxDim, -1.0f);
  vector[0] = -1;
  std::vector<std::byte> row(codec.row_bytes()), buffer(codec.buffer_bytes());
  codec.Encode(vector, row.data());
  const std::byte* pointer = row.data();
  float score = 0;
  codec.BindQuery(query, buffer.data()).Score(&pointer, 1, &score);
  EXPECT_NEAR(score, 4.0f * (kMaxDim - 1), 1.0f);
}

}  // namespace
}  // namespace shoal
