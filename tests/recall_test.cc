// Recall floors, a little below what was measured, for every type and metric; judged by brute
// force. All builds are on one thread, so that figures repeat on one instruction set.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "shoal/dataset.h"
#include "shoal/index.h"
#include "tests/data_folder.h"
#include "tests/print_types.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

struct Figures {
  double recall = 0;
  double distances = 0;  // A query.
};

Figures Measure(const Index& index, const Rows& base, const Rows& queries, size_t list_size) {
  Figures figures;
  for (size_t q = 0; q < queries.size(); ++q) {
    ExternalId ids[10];
    WorkCounters work;
    const auto n =
        index.Search(queries[q], {.k = 10, .search_list_size = list_size}, ids, {}, &work);
    EXPECT_TRUE(n);
    figures.recall += test::RecallAt(
        10, test::BruteForce(index.options().metric, base, queries.values(q)), std::span(ids, *n));
    figures.distances += static_cast<double>(work.distances);
  }
  figures.recall /= static_cast<double>(queries.size());
  figures.distances /= static_cast<double>(queries.size());
  return figures;
}

Index Build(const Rows& base, Metric metric) {
  Result<Index> index = Index::Create(
      {.dim = static_cast<uint32_t>(base.dim()), .scalar_type = base.type(), .metric = metric});
  EXPECT_TRUE(index);
  const auto report = index->InsertMany(test::Iota(base.size()), base.view(), {.threads = 1});
  EXPECT_TRUE(report && report->done == base.size());
  EXPECT_TRUE(index->CheckStructure());
  return std::move(*index);
}

class Recall : public ::testing::TestWithParam<test::TypeAndMetric> {
 protected:
  ScalarType type() const { return std::get<0>(GetParam()); }
  Metric metric() const { return std::get<1>(GetParam()); }

  void ExpectFloors(const Rows& base, const Rows& queries, double at_16, double at_64,
                    double most_distances_at_64) {
    const Index index = Build(base, metric());
    const Figures low = Measure(index, base, queries, 16);
    const Figures high = Measure(index, base, queries, 64);
    std::printf("recall@10: L=16 %.4f (%.0f distances), L=64 %.4f (%.0f distances)\n", low.recall,
                low.distances, high.recall, high.distances);
    EXPECT_GE(low.recall, at_16);
    EXPECT_GE(high.recall, at_64);
    EXPECT_LE(high.distances, most_distances_at_64);
  }
};
INSTANTIATE_TEST_SUITE_P(All, Recall, test::AllTypesAndMetrics(), test::NameOfCase);

TEST_P(Recall, OnClustersHoldsItsFloor) {
  test::Generator generator(type(), {.dim = 32, .clusters = 30}, 21);
  const Rows base = generator.Many(3000), queries = generator.Many(100);
  // Under inner product uint8's clusters are far from the origin, all in one direction: a point's
  // largest products are with the same few, and rows lead there as well as to what is near.
  if (metric() == Metric::kInnerProduct) return ExpectFloors(base, queries, 0.99, 0.995, 450);
  // Of 32 bits a cluster has many at equal distance.
  ExpectFloors(base, queries, 0.99, 0.995, type() == ScalarType::kBit ? 450 : 350);
}

TEST_P(Recall, OnClustersWithNormsThatVaryHoldsItsFloor) {
  test::Generator generator(type(), {.dim = 32, .clusters = 30, .norm_sigma = 0.3}, 23);
  const Rows base = generator.Many(3000), queries = generator.Many(100);
  ExpectFloors(base, queries, 0.98, 0.995, 600);
}

// No structure at all, and norms that vary: the worst case. Under inner product the neighbours of a
// query are the few longest vectors of a whole half-space; uint8 has no half-spaces.
TEST_P(Recall, OnACloudWithNormsThatVaryHoldsItsFloor) {
  test::Generator generator(type(), {.dim = 32, .clusters = 0, .norm_sigma = 0.3}, 22);
  const Rows base = generator.Many(3000), queries = generator.Many(100);
  ExpectFloors(base, queries, 0.84, 0.97, 1200);
}

// Where the sizes of real sets begin to tell: with edges to what is near alone, L = 64 finds .32 of
// the cloud's.
TEST(InnerProduct, FindsTheLongestOfACloudAndTheLargestOfClustersThatAreFarFromTheOrigin) {
  for (const bool far : {false, true}) {
    test::Generator generator(
        ScalarType::kFloat32,
        {.dim = 48, .clusters = far ? 100u : 0u, .norm_sigma = far ? 0.0 : 0.5}, 31);
    Rows base(ScalarType::kFloat32, 48), queries(ScalarType::kFloat32, 48);
    for (size_t i = 0; i < 12000 + 100; ++i) {
      std::vector<double> row = generator.Row();
      for (double& x : row) x += far ? 8 : 0;
      (i < 12000 ? base : queries).Add(row);
    }
    const Index index = Build(base, Metric::kInnerProduct);
    const Figures low = Measure(index, base, queries, 16), high = Measure(index, base, queries, 64);
    std::printf("recall@10: L=16 %.4f (%.0f distances), L=64 %.4f (%.0f distances)\n", low.recall,
                low.distances, high.recall, high.distances);
    EXPECT_GE(low.recall, far ? 0.95 : 0.75);
    EXPECT_GE(high.recall, far ? 0.99 : 0.95);
  }
}

// Rows of a set of uint8 descriptors as another type: the same numbers, moved to the middle for
// int8.
Rows Converted(ScalarType type, const Matrix& matrix, size_t n) {
  Rows rows(type, matrix.dim());
  std::vector<double> row(matrix.dim());
  for (size_t i = 0; i < n; ++i) {
    const auto* bytes = static_cast<const uint8_t*>(matrix[i].data());
    for (size_t d = 0; d < row.size(); ++d)
      row[d] = bytes[d] - (type == ScalarType::kInt8 ? 128.0 : 0.0);
    rows.Add(row);
  }
  return rows;
}

// Tests of real data are skipped where there is none, but not because of a mistake in its place.
TEST(SharedData, IsWhereTheEnvironmentSaysItIs) {
  const char* const data = std::getenv("SHOAL_DATA");
  EXPECT_TRUE(data == nullptr || std::filesystem::exists(test::DataFolder() / "sift-1m.u8bin"))
      << "SHOAL_DATA=" << data;
}

// Nor because of the folder in which a test runs.
TEST(SharedData, IsLookedForAtTheSamePlaceFromEveryFolder) {
  EXPECT_TRUE(std::getenv("SHOAL_DATA") != nullptr || test::DataFolder().is_absolute())
      << test::DataFolder();
}

TEST_P(Recall, OnSiftHoldsItsFloor) {
  const auto folder = test::DataFolder();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no shared data in " << folder;
  constexpr size_t kN = 5000;
  const auto base = ReadBin(folder / "sift-1m.u8bin", ScalarType::kUint8, {.max_rows = kN});
  const auto queries = ReadBin(folder / "sift-query-1k.u8bin", ScalarType::kUint8, {});
  ASSERT_TRUE(base) << base.error().message;
  ASSERT_TRUE(queries) << queries.error().message;
  ExpectFloors(Converted(type(), *base, kN), Converted(type(), *queries, 100), 0.94, 0.99, 1000);
}

}  // namespace
}  // namespace shoal
