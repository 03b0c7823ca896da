#include "codec/sign_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coded_rows.h"
#include "tests/print_types.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::CodedRows;
using test::Rows;
using ::testing::Each;
using ::testing::Ge;

class SignCodecTest : public ::testing::TestWithParam<Metric> {
 protected:
  Metric metric() const { return GetParam(); }
};
std::string CaseName(const ::testing::TestParamInfo<Metric>& info) {
  return std::string(MetricName(info.param));
}
INSTANTIATE_TEST_SUITE_P(All, SignCodecTest, ::testing::ValuesIn(test::kMetrics), CaseName);

std::vector<size_t> Dimensions() {
  std::vector<size_t> dims;
  for (size_t dim = 1; dim <= 70; ++dim) dims.push_back(dim);
  dims.insert(dims.end(), {128, 448, 512, 1000, 1152, 1536, 1728, 2048});
  return dims;
}

TEST_P(SignCodecTest, ScoresAreTheMetricsOfTheSignsAtEveryDimension) {
  for (const size_t dim : Dimensions()) {
    const Rows rows = test::Generator(ScalarType::kFloat32, {.dim = dim}, dim).Many(9);
    SignCodec codec(metric(), dim);
    CodedRows coded(codec, rows.view());
    const auto of_query = coded.ScoreQuery(rows[2]), of_row = coded.ScoreRow(coded[2]),
               as_query = coded.ScoreRowAsQuery(coded[2]);
    std::vector<float> signs(dim);
    for (size_t i = 0; i < dim; ++i) signs[i] = rows.values(2)[i] >= 0 ? 1.0f : -1.0f;
    ASSERT_EQ(coded.Decoded(2, dim), signs);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::vector<float> decoded = coded.Decoded(i, dim);
      const Metric graph = metric() == Metric::kInnerProduct ? Metric::kL2 : metric();
      ASSERT_NEAR(of_query[i], test::Distance(metric(), signs, decoded), 1e-6) << "dim " << dim;
      ASSERT_NEAR(of_row[i], test::Distance(graph, signs, decoded), 1e-6) << "dim " << dim;
      ASSERT_EQ(as_query[i], test::Distance(Metric::kInnerProduct, signs, decoded));
    }
  }
}

// hannoy's cosine has equal codes below 0 at some of these, which it orders last.
TEST_P(SignCodecTest, EqualCodesComeFirstAtEveryDimension) {
  for (const size_t dim : Dimensions()) {
    const Rows rows = test::Generator(ScalarType::kFloat32, {.dim = dim}, dim).Many(9);
    SignCodec codec(metric(), dim);
    CodedRows coded(codec, rows.view());
    const auto scores = coded.ScoreQuery(rows[2]);
    ASSERT_EQ(scores[2], metric() == Metric::kInnerProduct ? -static_cast<float>(dim) : 0.0f);
    ASSERT_THAT(scores, Each(Ge(scores[2])));
    ASSERT_EQ(coded.ScoreRow(coded[2])[2], 0);
  }
}

TEST_P(SignCodecTest, BothZerosArePositiveAndBehindTheLastElementAreZeros) {
  SignCodec codec(metric(), 11);
  std::vector<std::byte> row(codec.row_bytes(), std::byte{0xff});
  ASSERT_EQ(row.size(), 2u);
  codec.Encode(std::vector<float>{0.0f, -0.0f, -1, 1, -1e-30f, 1, -1, -1, 1, -1, 1}, row.data());
  EXPECT_EQ(row[0], std::byte{0b00101011});
  EXPECT_EQ(row[1], std::byte{0b00000101});
  EXPECT_TRUE(codec.Accept(row.data()));
  row[1] |= std::byte{8};
  EXPECT_FALSE(codec.Accept(row.data()));
}

TEST(SignCodec, TheStartPointIsAtHalfOfTheLargestDistanceFromRandomRows) {
  const Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 384, .clusters = 0}, 5).Many(50);
  SignCodec codec(Metric::kCosine, 384);
  CodedRows coded(codec, rows.view());
  std::vector<std::byte> origin(codec.row_bytes());
  codec.EncodeOrigin(origin.data());
  for (const float score : coded.ScoreRow(origin.data())) EXPECT_NEAR(score, 1, 0.3);
}

}  // namespace
}  // namespace shoal
