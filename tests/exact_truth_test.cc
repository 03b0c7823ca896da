// Recall by a truth set, and the truth sets that come with the shared data.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <vector>

#include "shoal/exact.h"
#include "shoal/index.h"
#include "tests/data_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TruthSet SmallTruth() {
  TruthSet truth;
  truth.queries = 2;
  truth.k = 4;
  truth.ids = {10, 11, 12, 13, 20, 21, TruthSet::kNoNeighbor, TruthSet::kNoNeighbor};
  truth.distances = {1, 2, 2, 3, 1, 5, kInfinity, kInfinity};
  truth.counts = {4, 2};
  return truth;
}

double RecallOf(const TruthSet& truth, size_t query, std::vector<uint64_t> found, size_t k) {
  return Recall(truth, query, found, k);
}

TEST(Recall, CountsTiesWithTheLastAsTrue) {
  TruthSet truth = SmallTruth();
  EXPECT_EQ(RecallOf(truth, 0, {10, 12}, 2), 1.0);
  EXPECT_EQ(RecallOf(truth, 0, {10, 13}, 2), 0.5);
  EXPECT_EQ(RecallOf(truth, 0, {11, 12}, 2), 1.0);
  truth.distances.clear();
  EXPECT_EQ(RecallOf(truth, 0, {10, 12}, 2), 0.5);
}

TEST(Recall, CountsOnlyTheFirstKAndNoneTwice) {
  const TruthSet truth = SmallTruth();
  EXPECT_EQ(RecallOf(truth, 0, {99, 98, 10, 11}, 2), 0.0);
  EXPECT_EQ(RecallOf(truth, 0, {10, 10}, 2), 0.5);
  EXPECT_EQ(RecallOf(truth, 0, {10}, 2), 0.5);
  EXPECT_EQ(RecallOf(truth, 0, {}, 2), 0.0);
  EXPECT_EQ(RecallOf(truth, 0, {13, 12, 11, 10}, 4), 1.0);
}

TEST(Recall, IsOfTheNeighboursThatThereAre) {
  const TruthSet truth = SmallTruth();
  EXPECT_EQ(RecallOf(truth, 1, {20, 21}, 4), 1.0);
  EXPECT_EQ(RecallOf(truth, 1, {20, TruthSet::kNoNeighbor}, 4), 0.5);
}

TEST(Recall, IsNoNumberWhereTheTruthIsTooShort) {
  EXPECT_TRUE(std::isnan(RecallOf(SmallTruth(), 0, {10}, 5)));
}

// Rows that are all equal, in every type and metric, with an index's own distances: each answer is
// as good as any other, at whatever depth the truth ends. All numbers are positive: no products
// cancel each other.
class RecallOfEqualRows : public testing::TestWithParam<test::TypeAndMetric> {};
INSTANTIATE_TEST_SUITE_P(All, RecallOfEqualRows, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(RecallOfEqualRows, IsOneAtEveryDepthOfTheTruth) {
  const auto [type, metric] = GetParam();
  constexpr size_t kDim = 100, kRows = 1000;
  test::Generator generator(type, {.dim = kDim, .clusters = 0}, 5);
  const auto positive = [&] {
    std::vector<double> row = generator.Row();
    for (double& x : row) x = std::abs(x);
    return row;
  };
  const std::vector<double> row = positive();
  test::Rows base(type, kDim), queries(type, kDim);
  for (size_t i = 0; i < kRows; ++i) base.Add(row);
  for (size_t i = 0; i < 20; ++i) queries.Add(i == 0 ? row : positive());
  auto index = Index::Create({.dim = kDim, .scalar_type = type, .metric = metric});
  ASSERT_TRUE(index);
  ASSERT_TRUE(index->InsertMany(test::Iota(kRows), base.view(), {.threads = 1}));
  for (const size_t depth : {10, 100, 1000}) {
    const auto truth = ExactSearch(base.view(), queries.view(), {.k = depth, .metric = metric});
    ASSERT_TRUE(truth);
    for (size_t q = 0; q < queries.size(); ++q) {
      uint64_t ids[10];
      float distances[10];
      const auto n = index->Search(queries[q], {.k = 10}, ids, distances);
      ASSERT_TRUE(n);
      EXPECT_EQ(Recall(*truth, q, std::span(ids, *n), 10,
                       {std::span(distances, *n), RoundingOf(metric, type, kDim)}),
                1.0)
          << "query " << q << ", depth " << depth << ": " << distances[0] << " beside "
          << truth->Distances(q)[9];
    }
  }
}

TEST(Recall, CountsAnIdBehindTheTruthOnlyAsNearAsTheLastWithinRounding) {
  const TruthSet truth = SmallTruth();
  const auto recall = [&](size_t query, std::vector<uint64_t> ids, std::vector<float> distances,
                          Rounding rounding = {}) {
    return Recall(truth, query, ids, 2, {distances, rounding});
  };
  EXPECT_EQ(recall(0, {10, 99}, {1, 2}), 1.0);
  EXPECT_EQ(recall(0, {98, 99}, {2, 2}), 1.0);
  EXPECT_EQ(recall(0, {99, 99}, {2, 2}), 0.5) << "one id, twice";
  EXPECT_EQ(recall(0, {10, 99}, {1, 2.0000002f}), 0.5) << "an ulp farther";
  EXPECT_EQ(recall(0, {10, 99}, {1, 2.0000002f}, {.relative = 1e-6}), 1.0);
  EXPECT_EQ(recall(0, {10, 99}, {1, 2.0000002f}, {.absolute = 1e-6}), 1.0);
  EXPECT_EQ(recall(0, {10, 99}, {1, 2.001f}, {.relative = 1e-6}), 0.5);
  EXPECT_EQ(recall(0, {10, 13}, {1, 2}), 0.5) << "the truth knows that 13 is farther";
  EXPECT_EQ(recall(0, {10, 99}, {1, NAN}), 0.5);
  EXPECT_EQ(recall(1, {20, 99}, {1, 1}), 0.5) << "the truth has all points that there are";
  EXPECT_EQ(recall(0, {10, 99}, {}), 0.5);
}

TEST(Recall, IsExactForIntegersWhoseDistancesAre) {
  for (const ScalarType type : {ScalarType::kInt8, ScalarType::kUint8}) {
    for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
      EXPECT_EQ(RoundingOf(metric, type, 4096).relative, 0);
      EXPECT_EQ(RoundingOf(metric, type, 4096).absolute, 0);
    }
  }
  EXPECT_LT(RoundingOf(Metric::kCosine, ScalarType::kUint8, 128).absolute, 4e-6);
  EXPECT_LT(RoundingOf(Metric::kL2, ScalarType::kFloat32, 128).relative, 2e-6);
}

// The first `rows` rows of a uint8 .bin, or a truthset's ids and distances.
std::vector<char> ReadBytes(const std::filesystem::path& path, size_t offset, size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(offset));
  std::vector<char> data(bytes);
  file.read(data.data(), static_cast<std::streamsize>(bytes));
  EXPECT_TRUE(file.good()) << path;
  return data;
}

TEST(ExactOnSift, AgreesWithTheGroundTruthThatCameWithTheData) {
  const auto folder = test::DataFolder();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no shared data in " << folder;
  constexpr size_t kRows = 100000;
  constexpr size_t kQueries = 1000;
  constexpr size_t kDim = 128;
  constexpr size_t kK = 100;
  const auto base = ReadBytes(folder / "sift-1m.u8bin", 8, kRows * kDim);
  const auto queries = ReadBytes(folder / "sift-query-1k.u8bin", 8, kQueries * kDim);
  const auto gt = ReadBytes(folder / "sift-100k.gt100", 8, kQueries * kK * 8);
  std::vector<uint32_t> ids(kQueries * kK);
  std::vector<float> distances(kQueries * kK);
  std::memcpy(ids.data(), gt.data(), kQueries * kK * 4);
  std::memcpy(distances.data(), gt.data() + kQueries * kK * 4, kQueries * kK * 4);

  ExactOptions options;
  options.k = kK;
  const auto as_bytes = ExactSearch({base.data(), ScalarType::kUint8, kRows, kDim},
                                    {queries.data(), ScalarType::kUint8, kQueries, kDim}, options);
  ASSERT_TRUE(as_bytes.has_value());
  EXPECT_EQ(as_bytes->distances, distances);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (as_bytes->ids[i] == ids[i]) continue;
    // Only ties may be in another order, or cut off elsewhere.
    const size_t query = i / kK;
    const uint32_t row = as_bytes->ids[i];
    int32_t distance = 0;
    for (size_t d = 0; d < kDim; ++d) {
      const int diff = static_cast<uint8_t>(base[row * kDim + d]) -
                       static_cast<uint8_t>(queries[query * kDim + d]);
      distance += diff * diff;
    }
    ASSERT_EQ(static_cast<float>(distance), distances[i]) << "query " << query;
  }

  // The same numbers as float32 give the same answer: every distance is a whole number.
  std::vector<float> float_base(kRows * kDim);
  std::vector<float> float_queries(kQueries * kDim);
  for (size_t i = 0; i < base.size(); ++i) float_base[i] = static_cast<uint8_t>(base[i]);
  for (size_t i = 0; i < queries.size(); ++i) float_queries[i] = static_cast<uint8_t>(queries[i]);
  const auto as_floats =
      ExactSearch(MatrixView(std::span<const float>(float_base), kDim),
                  MatrixView(std::span<const float>(float_queries), kDim), options);
  ASSERT_TRUE(as_floats.has_value());
  EXPECT_EQ(as_floats->ids, as_bytes->ids);
  EXPECT_EQ(as_floats->distances, as_bytes->distances);
}

}  // namespace
}  // namespace shoal
