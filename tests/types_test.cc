#include "shoal/types.h"

#include <gtest/gtest.h>

#include <cmath>

namespace shoal {
namespace {

TEST(Half, EveryHalfSurvivesTheWayToFloatAndBack) {
  for (uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      EXPECT_EQ(FloatToHalf(value).bits, half.bits) << value;
    }
  }
}

TEST(Half, RoundsToNearestTiesToEven) {
  EXPECT_EQ(HalfToFloat(FloatToHalf(2049.0f)), 2048.0f);
  EXPECT_EQ(HalfToFloat(FloatToHalf(2051.0f)), 2052.0f);
  EXPECT_EQ(FloatToHalf(65519.0f).bits, 0x7bffu);
  EXPECT_EQ(FloatToHalf(65520.0f).bits, 0x7c00u);
  EXPECT_EQ(FloatToHalf(0x1p-25f).bits, 0u);
  EXPECT_EQ(FloatToHalf(0x1.8p-24f).bits, 2u);
}

TEST(Names, ParseIsTheInverseOfName) {
  for (auto t : {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8, ScalarType::kUint8,
                 ScalarType::kBit})
    EXPECT_EQ(ParseScalarType(ScalarTypeName(t)), t);
  for (auto m :
       {Metric::kL2, Metric::kInnerProduct, Metric::kCosine, Metric::kManhattan, Metric::kHamming})
    EXPECT_EQ(ParseMetric(MetricName(m)), m);
  for (int i = 0; i <= static_cast<int>(Code::kSign); ++i)
    EXPECT_EQ(ParseCode(CodeName(static_cast<Code>(i))), static_cast<Code>(i));
  EXPECT_EQ(CodeName(Code::kRq1), "rq1");
  EXPECT_EQ(ParseCode("pq"), std::nullopt);
  EXPECT_EQ(ParseScalarType("double"), std::nullopt);
  EXPECT_EQ(ParseMetric("bananas"), std::nullopt);
}

}  // namespace
}  // namespace shoal
