// What ExactSearch refuses, and in which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "shoal/exact.h"
#include "tests/exact_rows.h"

namespace shoal {
namespace {

using exact_test::kInfinity;
using exact_test::kMetrics;
using exact_test::kTypes;
using exact_test::RandomRows;
using exact_test::Rows;
using testing::HasSubstr;

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
  EXPECT_THAT(MessageOf(base.view(), queries.view(), options),
              HasSubstr("k: expected at least 1, found 0"));
  options.k = 3;
  EXPECT_THAT(MessageOf(base.view(), Rows(ScalarType::kFloat32, 2, 5).view(), options),
              HasSubstr("dimension of the queries: expected 4, as the base, found 5"));
  EXPECT_THAT(MessageOf(base.view(), Rows(ScalarType::kUint8, 2, 4).view(), options),
              HasSubstr("scalar type of the queries: expected float32, as the base, found uint8"));
  EXPECT_THAT(MessageOf(base.view().Slice(0, 0), queries.view(), options),
              HasSubstr("rows of the base: expected at least 1, found 0"));
  EXPECT_THAT(MessageOf(base.view(), queries.view().Slice(0, 0), options),
              HasSubstr("queries: expected at least 1, found 0"));
  const std::vector<uint32_t> ids(9);
  options.ids = ids;
  EXPECT_THAT(MessageOf(base.view(), queries.view(), options),
              HasSubstr("ids: expected 10, one per base row, found 9"));
  options.ids = {};
  const std::vector<uint8_t> include(11);
  options.include = include;
  EXPECT_THAT(MessageOf(base.view(), queries.view(), options),
              HasSubstr("include: expected 10, one per base row, found 11"));
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
                  HasSubstr("base row 777, element 2: expected a finite number, found NaN"));
      EXPECT_THAT(MessageOf(good.view(), bad.view().Slice(800, 100), options),
                  HasSubstr("queries row 88, element 3: expected a finite number, found infinity"));
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

}  // namespace
}  // namespace shoal
