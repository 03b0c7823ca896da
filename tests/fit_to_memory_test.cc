// FitToMemory: the code for a budget of memory, and an index that keeps to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "shoal/feature_stores.h"
#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kPoints = 1000000;

IndexOptions Options(ScalarType type = ScalarType::kFloat32, Metric metric = Metric::kL2) {
  return {.dim = 128, .scalar_type = type, .metric = metric};
}

// What an index takes whose vectors are in a store.
uint64_t BytesWith(Code code, IndexOptions options = Options()) {
  options.code = code;
  options.rerank_code = code == Code::kNone ? Code::kFull : code;
  return EstimateBytes(options, kPoints).value();
}

// The codes that are picked as the budget rises by 1 MB from what is refused.
std::vector<Code> Picked(const IndexOptions& options) {
  std::vector<Code> picked;
  for (uint64_t budget = uint64_t{200} << 20; budget < uint64_t{1} << 30; budget += 1 << 20) {
    const auto fitted = FitToMemory(options, kPoints, budget);
    if (!fitted) continue;
    EXPECT_LE(fitted->bytes, budget);
    EXPECT_EQ(fitted->options.runtime.memory_limit, budget);
    if (picked.empty() || picked.back() != fitted->options.code)
      picked.push_back(fitted->options.code);
  }
  return picked;
}

TEST(FitToMemory, ALargerBudgetPicksALargerCode) {
  // rq3 and rq2 take as much for 128 dimensions: 64 bytes.
  EXPECT_THAT(Picked(Options()), ElementsAre(Code::kNone, Code::kRq1, Code::kRq3, Code::kRq4,
                                             Code::kSq8, Code::kFloat16, Code::kFull));
  EXPECT_THAT(Picked(Options(ScalarType::kUint8)),
              ElementsAre(Code::kNone, Code::kRq1, Code::kRq3, Code::kRq4, Code::kFull));
  EXPECT_THAT(Picked(Options(ScalarType::kFloat32, Metric::kManhattan)),
              ElementsAre(Code::kNone, Code::kFloat16, Code::kFull));
}

TEST(FitToMemory, ExactlyWhatACodeTakesIsEnough) {
  for (const Code code : {Code::kNone, Code::kRq1, Code::kRq4, Code::kFull}) {
    const uint64_t bytes = BytesWith(code);
    const auto fitted = FitToMemory(Options(), kPoints, bytes);
    ASSERT_TRUE(fitted) << fitted.error().message;
    EXPECT_EQ(fitted->options.code, code);
    EXPECT_EQ(fitted->options.rerank_code, Code::kFull);
    EXPECT_EQ(fitted->bytes, bytes);
  }
}

TEST(FitToMemory, ABudgetThatIsTooSmallIsRefusedWithWhatIsNeeded) {
  const uint64_t least = BytesWith(Code::kNone);
  const auto fitted = FitToMemory(Options(), kPoints, least - 1);
  ASSERT_FALSE(fitted);
  EXPECT_EQ(fitted.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(fitted.error().message,
            "memory_budget: expected at least " + std::to_string(least) +
                " bytes (none, 1000000 points of 128 dimensions, max_degree 32), found " +
                std::to_string(least - 1));
}

TEST(FitToMemory, OptionsThatAreWrongAreRefused) {
  IndexOptions options = Options();
  options.code = Code::kRq4;
  EXPECT_THAT(FitToMemory(options, 1, 1 << 30).error().message,
              HasSubstr("code: expected auto: the code is picked, found rq4"));
  options = Options();
  options.max_degree = 2;
  EXPECT_THAT(FitToMemory(options, 1, 1 << 30).error().message, HasSubstr("max_degree"));
}

TEST(FitToMemory, AnIndexOfAsManyPointsIsBuiltWithinTheBudget) {
  constexpr size_t kRows = 6000;
  constexpr uint32_t kDim = 128;
  const test::Rows rows =
      test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 8}, 1).Many(kRows);
  std::vector<ExternalId> ids(kRows);
  std::iota(ids.begin(), ids.end(), 0);
  const IndexOptions options{.dim = kDim, .max_degree = 16, .build_list_size = 32};
  IndexOptions sq8 = options;
  sq8.code = sq8.rerank_code = Code::kSq8;
  // And the working memory of an operation.
  const uint64_t budget = EstimateBytes(sq8, kRows).value() + (uint64_t{1} << 19);
  const auto fitted = FitToMemory(options, kRows, budget);
  ASSERT_TRUE(fitted) << fitted.error().message;
  EXPECT_EQ(fitted->options.code, Code::kSq8);
  auto store = MakeRamFeatures(kDim * sizeof(float));
  ASSERT_TRUE(store);
  auto index = Index::CreateWithFeatures(fitted->options, std::move(*store));
  ASSERT_TRUE(index) << index.error().message;
  const auto report = index->InsertMany(ids, rows.view(), {.threads = 1});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, kRows) << report->failures.front().error.message;
  EXPECT_LE(index->Stats().memory.total(), budget);
}

}  // namespace
}  // namespace shoal
