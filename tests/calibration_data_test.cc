// target_recall on data: SIFT, with and without codes, judged by queries of its own.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>

#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "tests/data_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

constexpr size_t kPoints = 6000, kQueries = 500, kK = 10;

// A matrix as float32.
std::vector<float> ToFloats(MatrixView matrix) {
  std::vector<float> floats;
  for (size_t i = 0; i < matrix.rows(); ++i) {
    const auto* const row = static_cast<const uint8_t*>(matrix[i].data());
    floats.insert(floats.end(), row, row + matrix.dim());
  }
  return floats;
}

double RecallWith(const Index& index, MatrixView queries, const TruthSet& truth, double target,
                  double& distances) {
  double sum = 0;
  for (size_t q = 0; q < queries.rows(); ++q) {
    std::vector<ExternalId> ids(kK);
    WorkCounters work;
    const auto hits = index.Search(queries[q], {.k = kK, .target_recall = target}, ids, {}, &work);
    EXPECT_TRUE(hits);
    sum += Recall(truth, q, std::vector<uint64_t>(ids.begin(), ids.end()), kK);
    distances += static_cast<double>(work.distances) / static_cast<double>(queries.rows());
  }
  return sum / static_cast<double>(queries.rows());
}

TEST(CalibrationOnSift, TheTargetIsReachedWithinAHundredthOnQueriesThatItHasNotSeen) {
  const auto folder = test::DataFolder();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no shared data";
  const auto rows = ReadBin(folder / "sift-1m.u8bin", ScalarType::kUint8, {.max_rows = kPoints});
  const auto asked =
      ReadBin(folder / "sift-query-1k.u8bin", ScalarType::kUint8, {.max_rows = kQueries});
  ASSERT_TRUE(rows && asked);
  const std::vector<float> base = ToFloats(rows->view()), query = ToFloats(asked->view());
  const MatrixView points(std::span<const float>(base), rows->dim());
  const MatrixView queries(std::span<const float>(query), rows->dim());
  const auto truth = ExactSearch(points, queries, {.k = kK});
  ASSERT_TRUE(truth);
  for (const Code code : {Code::kFull, Code::kRq4}) {
    Result<Index> index = Index::Create({.dim = static_cast<uint32_t>(rows->dim()), .code = code});
    ASSERT_TRUE(index);
    ASSERT_TRUE(index->InsertMany(test::Iota(kPoints), points));
    for (const double target : {.95, .99}) {
      const auto found = index->Calibrate(kK, target);
      ASSERT_TRUE(found);
      double distances = 0;
      const double recall = RecallWith(*index, queries, *truth, target, distances);
      EXPECT_GE(recall, target - .01);
      EXPECT_NEAR(distances, found->distances, found->distances / 4);
      std::cout << CodeName(code) << " " << target << ": L " << found->search_list_size
                << ", rerank " << found->rerank << ", margin " << found->stop_margin << ", recall "
                << found->recall << " and " << recall << ", distances " << found->distances
                << " and " << distances << "\n";
    }
  }
}

}  // namespace
}  // namespace shoal
