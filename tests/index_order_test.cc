// The order that large batches get: what it keeps, what it brings together, and that calls on many
// rows mean the same in it.
#include "index_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stop_token>

#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Generator;
using test::Rows;

constexpr uint32_t kDim = 4;
constexpr size_t kMany = 2 * kOrderedFrom + 1000;

Rows ManyRows() { return Generator(ScalarType::kFloat32, {.dim = kDim}, 3).Many(kMany); }

std::vector<uint32_t> OrderOf(MatrixView rows, size_t points, size_t threads = 2) {
  return InsertOrder(FullCodec(ScalarType::kFloat32, Metric::kL2, kDim), rows, {}, points,
                     {.threads = threads});
}

// Of rows that are neighbours in the order.
double MeanSquaredDistance(MatrixView rows, std::span<const uint32_t> order) {
  double sum = 0;
  for (size_t i = 1; i < order.size(); ++i) {
    const auto* a = static_cast<const float*>(rows[order[i - 1]].data());
    const auto* b = static_cast<const float*>(rows[order[i]].data());
    for (size_t d = 0; d < kDim; ++d) sum += std::pow(a[d] - b[d], 2);
  }
  return sum / static_cast<double>(order.size() - 1);
}

TEST(InsertOrder, NamesEachRowOnceAndTheFirstAsTheyCome) {
  const Rows rows = ManyRows();
  std::vector<uint32_t> order = OrderOf(rows.view(), 0);
  ASSERT_EQ(order.size(), kMany);
  for (uint32_t i = 0; i < kOrderedFrom; ++i) ASSERT_EQ(order[i], i);
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < kMany; ++i) ASSERT_EQ(order[i], i);
}

TEST(InsertOrder, PutsNearRowsNextToEachOther) {
  const Rows rows = ManyRows();
  std::vector<uint32_t> as_they_come(kMany);
  std::iota(as_they_come.begin(), as_they_come.end(), 0);
  const std::vector<uint32_t> order = OrderOf(rows.view(), kMany);
  ASSERT_EQ(order.size(), kMany);
  EXPECT_LT(MeanSquaredDistance(rows.view(), order),
            MeanSquaredDistance(rows.view(), as_they_come) / 4);
}

TEST(InsertOrder, IsTheSameForEveryNumberOfThreads) {
  const Rows rows = ManyRows();
  EXPECT_EQ(OrderOf(rows.view(), 0, 1), OrderOf(rows.view(), 0, 3));
}

TEST(InsertOrder, LooksAtNoRowWhoseIdIsThere) {
  const Rows rows = ManyRows();
  const FullCodec codec(ScalarType::kFloat32, Metric::kL2, kDim);
  std::vector<uint8_t> known(kMany, 1);
  std::fill_n(known.begin(), kOrderedFrom - 1, uint8_t{0});
  EXPECT_THAT(InsertOrder(codec, rows.view(), known, kMany, {.threads = 1}), testing::IsEmpty())
      << "the others are too few";
  known[kMany - 1] = 0;
  std::vector<uint32_t> order = InsertOrder(codec, rows.view(), known, kMany, {.threads = 1});
  ASSERT_EQ(order.size(), kMany);
  std::sort(order.begin(), order.end());
  for (uint32_t i = 0; i < kMany; ++i) ASSERT_EQ(order[i], i);
}

TEST(InsertOrder, LeavesFewRowsAsTheyCome) {
  const Rows rows = ManyRows();
  EXPECT_THAT(OrderOf(MatrixView(rows.view().data(), ScalarType::kFloat32, kOrderedFrom, kDim), 0),
              testing::IsEmpty());
  EXPECT_THAT(
      OrderOf(MatrixView(rows.view().data(), ScalarType::kFloat32, kOrderedFrom - 1, kDim), kMany),
      testing::IsEmpty());
}

TEST(InsertOrder, LeavesRowsOfAnotherKindAndInvalidOnesAsTheyCome) {
  const Rows rows = ManyRows();
  EXPECT_THAT(
      OrderOf(MatrixView(rows.view().data(), ScalarType::kFloat32, 2 * kMany, kDim / 2), kMany),
      testing::IsEmpty());
  const std::vector<float> nowhere(kDim * kOrderedFrom, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(OrderOf(MatrixView(nowhere.data(), ScalarType::kFloat32, kOrderedFrom, kDim), kMany),
              testing::IsEmpty());
}

// A batch so large that it is put in order; every 1000th row cannot be inserted.
TEST(LargeBatches, ReportTheRowsThatFailedByTheirNumbersAndKeepTheOthers) {
  const Rows rows = ManyRows();
  const auto* const first = reinterpret_cast<const float*>(rows.view().data());
  std::vector<float> values(first, first + kMany * kDim);
  std::vector<size_t> bad;
  for (size_t i = 500; i < kMany; i += 1000) {
    bad.push_back(i);
    values[i * kDim] = std::numeric_limits<float>::infinity();
  }
  auto index = Index::Create({.dim = kDim, .max_degree = 8, .build_list_size = 10});
  ASSERT_TRUE(index);
  const std::vector<ExternalId> ids = test::Iota(kMany);
  const auto inserted = index->InsertMany(
      ids, MatrixView(values.data(), ScalarType::kFloat32, kMany, kDim), {.threads = 2});
  ASSERT_TRUE(inserted);
  EXPECT_EQ(inserted->done, kMany - bad.size());
  std::vector<size_t> failed;
  for (const auto& failure : inserted->failures) failed.push_back(failure.row);
  EXPECT_EQ(failed, bad);
  EXPECT_EQ(index->size(), kMany - bad.size());

  // All of them go, in an order of their own, too: those that are not there are told by position.
  const auto deleted = index->DeleteMany(ids, {.threads = 2});
  ASSERT_TRUE(deleted);
  EXPECT_EQ(deleted->done, kMany - bad.size());
  failed.clear();
  for (const auto& failure : deleted->failures) failed.push_back(failure.row);
  EXPECT_EQ(failed, bad);
  EXPECT_EQ(index->size(), 0u);
  EXPECT_TRUE(index->CheckStructure());
}

TEST(LargeBatches, AreTheSameGraphWhenBuiltTwiceOnOneThread) {
  const Rows rows = ManyRows();
  std::vector<uint64_t> distances;
  for (int build = 0; build < 2; ++build) {
    auto index = Index::Create({.dim = kDim, .max_degree = 8, .build_list_size = 10});
    ASSERT_TRUE(index);
    ASSERT_TRUE(index->InsertMany(test::Iota(kMany), rows.view(), {.threads = 1}));
    distances.push_back(index->Stats().work.distances);
  }
  EXPECT_EQ(distances[0], distances[1]);
}

TEST(InsertOrder, IsNotMadeAfterARequestToStop) {
  const Rows rows = ManyRows();
  std::stop_source source;
  source.request_stop();
  const FullCodec codec(ScalarType::kFloat32, Metric::kL2, kDim);
  EXPECT_FALSE(InsertOrder(codec, rows.view(), {}, kMany, {}).empty());
  EXPECT_TRUE(InsertOrder(codec, rows.view(), {}, kMany, {.stop = source.get_token()}).empty());
}

}  // namespace
}  // namespace shoal
