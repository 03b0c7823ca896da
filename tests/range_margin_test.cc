// Range searches of an index whose vectors are in a feature store: codes estimate, vectors decide.
#include <gtest/gtest.h>

#include <algorithm>

#include "shoal/feature_stores.h"
#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

struct Case {
  Code code;
  Metric metric;
};
class RangeMargin : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(All, RangeMargin,
                         ::testing::Values(Case{Code::kRq3, Metric::kL2},
                                           Case{Code::kRq1, Metric::kL2},
                                           Case{Code::kRq1, Metric::kInnerProduct},
                                           Case{Code::kRq1, Metric::kCosine}),
                         [](const auto& param) {
                           return std::string(CodeName(param.param.code)) + "_" +
                                  std::string(MetricName(param.param.metric));
                         });

TEST_P(RangeMargin, FindsWhatIsWithinTheRadiusAndNothingElse) {
  constexpr size_t kDim = 48, kPoints = 1500;
  test::Generator generator(ScalarType::kFloat32, {.dim = kDim, .norm_sigma = 0.1}, 1);
  const Rows rows = generator.Many(kPoints), queries = generator.Many(20);
  const auto [code, metric] = GetParam();
  Result<Index> index = Index::CreateWithFeatures({.dim = kDim, .metric = metric, .code = code},
                                                  *MakeRamFeatures(kDim * sizeof(float)));
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_TRUE(index->InsertMany(test::Iota(kPoints), rows.view(), {}));
  size_t within = 0, found = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    std::vector<double> distances;
    for (size_t i = 0; i < kPoints; ++i)
      distances.push_back(test::Distance(metric, queries.values(q), rows.values(i)));
    std::vector<double> sorted = distances;
    std::sort(sorted.begin(), sorted.end());
    // Between two points, so that rounding decides nothing.
    const auto radius = static_cast<float>((sorted[29] + sorted[30]) / 2);
    within += 30;
    for (const Hit& hit :
         *index->RangeSearch(queries[q], {.radius = radius, .search_list_size = 300})) {
      EXPECT_LE(distances[hit.id], radius);
      ++found;
    }
  }
  EXPECT_GE(static_cast<double>(found), 0.97 * static_cast<double>(within));
}

}  // namespace
}  // namespace shoal
