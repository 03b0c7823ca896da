// An index over rq codes under l2: its code is relative to a centre near the mean of the vectors.
#include <gtest/gtest.h>

#include "shoal/index.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr size_t kDim = 32;
constexpr size_t kQueries = 40;

// Vectors of one generator, each moved by `shift` in every element.
class Data {
 public:
  Data(size_t points, double shift)
      : rows_(ScalarType::kFloat32, kDim), queries_(ScalarType::kFloat32, kDim) {
    const Rows all =
        test::Generator(ScalarType::kFloat32, {.dim = kDim}, 1).Many(points + kQueries);
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<double> row(all.values(i).begin(), all.values(i).end());
      for (double& x : row) x += shift;
      (i < points ? rows_ : queries_).Add(row);
    }
  }
  const Rows& rows() const { return rows_; }
  const Rows& queries() const { return queries_; }

 private:
  Rows rows_, queries_;
};

Index Make(const IndexOptions& options) {
  Result<Index> index = Index::Create(options);
  EXPECT_TRUE(index) << index.error().message;
  return std::move(*index);
}

// Of the first 10 by the code's own order.
double RecallOf(const Index& index, const Data& data) {
  double recall = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    std::vector<ExternalId> ids;
    const SearchOptions options{.k = 10, .search_list_size = 100, .rerank = 10};
    for (const Hit& hit : *index.Search(data.queries()[q], options)) ids.push_back(hit.id);
    recall += test::RecallAt(
        10, test::BruteForce(Metric::kL2, data.rows(), data.queries().values(q)), ids);
  }
  return recall / kQueries;
}

double RecallOfOneBatch(const Data& data, Code code) {
  Index index = Make({.dim = kDim, .code = code});
  EXPECT_TRUE(index.InsertMany(test::Iota(data.rows().size()), data.rows().view(),
                               BatchOptions{.threads = 1}));
  EXPECT_TRUE(index.CheckStructure());
  return RecallOf(index, data);
}

TEST(CentredIndex, ABatchIntoANewIndexIsFoundAsWellWhereverItsVectorsLie) {
  const Data near(1500, 0), far(1500, 20);
  for (const Code code : {Code::kRq3, Code::kRq2})
    EXPECT_NEAR(RecallOfOneBatch(far, code), RecallOfOneBatch(near, code), 0.03) << CodeName(code);
}

TEST(CentredIndex, TheFirstBatchIsCentredEvenIfAnInsertWasRefusedBefore) {
  const Data far(1500, 20);
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  EXPECT_FALSE(index.Insert(7, std::vector<float>(kDim + 1)));
  Rows rows = far.rows();
  ASSERT_TRUE(index.InsertMany(test::Iota(rows.size()), rows.view(), {}));
  EXPECT_GE(RecallOf(index, far), RecallOfOneBatch(far, Code::kRq3) - 0.03);
}

TEST(CentredIndex, ABatchWithRefusedRowsIsCentredOnTheOthers) {
  const Data far(1500, 20);
  Rows rows(ScalarType::kFloat32, kDim);
  for (size_t i = 0; i < far.rows().size(); ++i)
    rows.Add(std::vector<double>(far.rows().values(i).begin(), far.rows().values(i).end()));
  rows.Add(std::vector<double>(kDim, std::numeric_limits<double>::infinity()));
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  const auto inserted = index.InsertMany(test::Iota(rows.size()), rows.view(), {});
  ASSERT_TRUE(inserted);
  EXPECT_EQ(inserted->failures.size(), 1u);
  EXPECT_GE(RecallOf(index, far), RecallOfOneBatch(far, Code::kRq3) - 0.03);
}

TEST(CentredIndex, ASnapshotKeepsTheCentre) {
  const Data far(600, 20);
  TempFolder folder;
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  ASSERT_TRUE(index.InsertMany(test::Iota(600), far.rows().view(), {}));
  ASSERT_TRUE(index.Save(folder / "index"));
  const Result<Index> loaded = Index::Load(folder / "index");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_NEAR(RecallOf(*loaded, far), RecallOf(index, far), 0.02);
}

}  // namespace
}  // namespace shoal
