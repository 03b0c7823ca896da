// An index over each of the small codes, from end to end.
#include <gtest/gtest.h>

#include "shoal/index.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr size_t kDim = 64, kPoints = 700;

struct Case {
  Code code;
  Metric metric;
};
class SmallCodes : public ::testing::TestWithParam<Case> {
 protected:
  IndexOptions Options(Code rerank) const {
    return {
        .dim = kDim, .metric = GetParam().metric, .code = GetParam().code, .rerank_code = rerank};
  }
  Index MakeOf(Code rerank) const {
    Result<Index> index = Index::Create(Options(rerank));
    EXPECT_TRUE(index) << index.error().message;
    const auto inserted =
        index->InsertMany(test::Iota(kPoints), rows_.view(), BatchOptions{.threads = 1});
    EXPECT_TRUE(inserted && inserted->failures.empty());
    return std::move(*index);
  }
  double RecallOf(const Index& index, const SearchOptions& options) const {
    double recall = 0;
    for (size_t q = 0; q < queries_.size(); ++q) {
      std::vector<ExternalId> ids;
      for (const Hit& hit : *index.Search(queries_[q], options)) ids.push_back(hit.id);
      recall +=
          test::RecallAt(10, test::BruteForce(GetParam().metric, rows_, queries_.values(q)), ids);
    }
    return recall / static_cast<double>(queries_.size());
  }
  static Rows Make(size_t n) {
    // One generator: the queries come from the points' clusters.
    static const Rows all =
        test::Generator(ScalarType::kFloat32, {.dim = kDim, .norm_sigma = 0.1}, 1)
            .Many(kPoints + 30);
    Rows rows(ScalarType::kFloat32, kDim);
    const size_t first = n == kPoints ? 0 : kPoints;
    for (size_t i = first; i < first + n; ++i)
      rows.Add(std::vector<double>(all.values(i).begin(), all.values(i).end()));
    return rows;
  }
  const Rows rows_ = Make(kPoints), queries_ = Make(30);
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const Code code :
       {Code::kBfloat16, Code::kSq8, Code::kRq4, Code::kRq3, Code::kRq2, Code::kRq1, Code::kSign})
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine})
      cases.push_back({code, metric});
  return cases;
}
std::string CaseName(const ::testing::TestParamInfo<Case>& info) {
  return std::string(CodeName(info.param.code)) + "_" + std::string(MetricName(info.param.metric));
}
void PrintTo(const Case& c, std::ostream* out) {
  *out << CodeName(c.code) << " " << MetricName(c.metric);
}
INSTANTIATE_TEST_SUITE_P(All, SmallCodes, ::testing::ValuesIn(AllCases()), CaseName);

TEST_P(SmallCodes, FindTheNearestWhereAllCandidatesAreReranked) {
  const Index index = MakeOf(Code::kFull);
  EXPECT_TRUE(index.CheckStructure());
  const double recall = RecallOf(index, {.k = 10, .search_list_size = 200, .rerank = 200});
  EXPECT_GE(recall, GetParam().code == Code::kSign ? 0.85 : 0.97);
}

TEST_P(SmallCodes, ASnapshotHasTheSameHitsAtTheSameDistances) {
  TempFolder folder;
  for (const Code rerank : {Code::kFull, Code::kSq8}) {
    const Index index = MakeOf(rerank);
    ASSERT_TRUE(index.Save(folder / "index"));
    const Result<Index> loaded = Index::Load(folder / "index");
    ASSERT_TRUE(loaded) << loaded.error().message;
    for (size_t q = 0; q < queries_.size(); ++q) {
      const auto all = SearchOptions{.k = kPoints, .search_list_size = kPoints};
      const auto hits = *index.Search(queries_[q], all), again = *loaded->Search(queries_[q], all);
      ASSERT_EQ(hits.size(), again.size());
      for (size_t i = 0; i < hits.size(); ++i)
        ASSERT_EQ(hits[i].distance, again[i].distance) << CodeName(rerank) << " " << i;
    }
  }
}

TEST_P(SmallCodes, PointsComeAndGo) {
  Index index = MakeOf(Code::kFull);
  for (ExternalId id = 0; id < kPoints; id += 3) ASSERT_TRUE(index.Delete(id));
  for (ExternalId id = 1; id < kPoints; id += 3) ASSERT_TRUE(index.Upsert(id, rows_[id]));
  for (ExternalId id = 0; id < kPoints; id += 3) ASSERT_TRUE(index.Insert(id, rows_[id]));
  EXPECT_TRUE(index.CheckStructure());
  const double recall = RecallOf(index, {.k = 10, .search_list_size = 200, .rerank = 200});
  EXPECT_GE(recall, GetParam().code == Code::kSign ? 0.85 : 0.97);
}

}  // namespace
}  // namespace shoal
