// Data that is hard on a graph: all of it is inserted, all of it is found.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "shoal/index.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Generator;
using test::Rows;

Index BuildFrom(const Rows& rows, IndexOptions options, size_t threads = 1) {
  options.dim = static_cast<uint32_t>(rows.dim());
  options.scalar_type = rows.type();
  Result<Index> index = Index::Create(options);
  EXPECT_TRUE(index);
  const auto report = index->InsertMany(test::Iota(rows.size()), rows.view(), {.threads = threads});
  EXPECT_TRUE(report && report->done == rows.size());
  EXPECT_EQ(index->size(), rows.size());
  const Status structure = index->CheckStructure();
  EXPECT_TRUE(structure) << structure.error().message;
  return std::move(*index);
}

// Vectors that do not lead to themselves, nor to one that is the same.
size_t LostByOwnVector(const Index& index, const Rows& rows) {
  size_t lost = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto hits = index.Search(rows[i], {.k = 1});
    EXPECT_TRUE(hits && hits->size() == 1u);
    lost += (*hits)[0].id != i && (*hits)[0].distance > 0 ? 1 : 0;
  }
  return lost;
}

// All of them, as a rule. A build on two threads is another one every time: one in a thousand may
// be missed at L = 64.
void ExpectAllFoundByOwnVector(const Index& index, const Rows& rows) {
  EXPECT_LE(LostByOwnVector(index, rows), rows.size() / 1000) << "of " << rows.size();
}

Rows Reordered(const Rows& rows, const std::vector<size_t>& order) {
  Rows result(rows.type(), rows.dim());
  for (const size_t i : order) {
    const auto values = rows.values(i);
    result.Add(std::vector<double>(values.begin(), values.end()));
  }
  return result;
}

std::vector<ExternalId> SortedIds(const std::vector<Hit>& hits) {
  std::vector<ExternalId> ids;
  for (const Hit& hit : hits) ids.push_back(hit.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST(OnePoint, IsFoundByAnyQueryWithAnyKAndL) {
  Result<Index> index = Index::Create({.dim = 2});
  ASSERT_TRUE(index->Insert(42, std::vector<float>{1, 2}));
  for (const size_t k : {size_t{1}, size_t{2}, size_t{1000}, SIZE_MAX}) {
    for (const size_t list_size : {size_t{0}, size_t{1}, size_t{64}, SIZE_MAX}) {
      const auto hits =
          index->Search(std::vector<float>{50, -3}, {.k = k, .search_list_size = list_size});
      ASSERT_TRUE(hits);
      ASSERT_EQ(hits->size(), 1u);
      EXPECT_EQ(hits->at(0).id, 42u);
      EXPECT_EQ(hits->at(0).distance, 49 * 49 + 25);
    }
  }
}

// A zero among unit vectors leads to R of them. Left to it, one in twenty points of such a build
// could not be found.
TEST(APointThatIsNearToAll, DoesNotHideTheOthers) {
  constexpr size_t kN = 10000;
  const Rows rows = test::UnitVectorsAndAZero(kN, 100, kN / 2, 7);
  ExpectAllFoundByOwnVector(BuildFrom(rows, {}), rows);
}

TEST(TwoPoints, AreBothFoundAndOrdered) {
  for (const Metric metric : test::kMetrics) {
    Result<Index> index = Index::Create({.dim = 2, .metric = metric});
    ASSERT_TRUE(index->Insert(1, std::vector<float>{1, 0}));
    ASSERT_TRUE(index->Insert(2, std::vector<float>{0, 1}));
    const auto hits = index->Search(std::vector<float>{0.1f, 1});
    ASSERT_EQ(hits->size(), 2u);
    EXPECT_EQ(hits->at(0).id, 2u);
    EXPECT_EQ(hits->at(1).id, 1u);
    EXPECT_LT(hits->at(0).distance, hits->at(1).distance);
    EXPECT_TRUE(index->CheckStructure());
  }
}

// voyager #111: fewer points than k raise an exception.
TEST(KAndL, HitsAreTheSmallerOfKAndTheNumberOfPoints) {
  const Rows rows = Generator(ScalarType::kFloat32, {.dim = 8}, 1).Many(300);
  const Index index = BuildFrom(rows, {});
  for (const size_t k : {1u, 10u, 299u, 300u, 301u, 5000u}) {
    for (const size_t list_size : {1u, 9u, 64u, 300u, 9999u}) {
      const auto hits = index.Search(rows[7], {.k = k, .search_list_size = list_size});
      ASSERT_EQ(hits->size(), std::min<size_t>(k, 300)) << "L " << list_size;
      EXPECT_TRUE(std::is_sorted(hits->begin(), hits->end(), [](const Hit& a, const Hit& b) {
        return a.distance < b.distance;
      }));
      const auto ids = SortedIds(*hits);
      EXPECT_EQ(std::adjacent_find(ids.begin(), ids.end()), ids.end()) << "each id once";
    }
  }
  EXPECT_EQ(SortedIds(*index.Search(rows[7], {.k = 300})), test::Iota(300));
}

TEST(IdenticalVectors, TenThousandAreInsertedAndAllAreFound) {
  constexpr size_t kN = 10000;
  Rows rows(ScalarType::kFloat32, 8);
  for (size_t i = 0; i < kN; ++i) rows.Add(std::vector<double>(8, 0.5));
  const Index index = BuildFrom(rows, {.max_degree = 16, .build_list_size = 40}, 2);
  EXPECT_EQ(SortedIds(*index.Search(rows[0], {.k = kN})), test::Iota(kN));
  EXPECT_EQ(SortedIds(*index.RangeSearch(rows[0], {.radius = 0})), test::Iota(kN));
  EXPECT_EQ(index.Search(rows[0], {.k = 10})->size(), 10u);
}

// Half of all points are one plateau, on which a search sees no way down.
TEST(IdenticalVectors, AmongOthersHideAlmostNobody) {
  Generator generator(ScalarType::kFloat32, {.dim = 12}, 5);
  Rows rows(ScalarType::kFloat32, 12);
  const std::vector<double> popular = generator.Row();
  for (size_t i = 0; i < 4000; ++i) rows.Add(i % 2 == 0 ? popular : generator.Row());
  Index index = BuildFrom(rows, {});
  EXPECT_LE(LostByOwnVector(index, rows), 8u);  // Measured: 1.
  EXPECT_EQ(SortedIds(*index.Search(rows[1], {.k = 4000})), test::Iota(4000));
  ASSERT_TRUE(index.Refine({.threads = 1}));
  EXPECT_LE(LostByOwnVector(index, rows), 4u);  // Measured: 0.
}

TEST(IdenticalVectors, FewDistinctValuesInEveryTypeAndMetric) {
  for (const ScalarType type : test::kTypes) {
    for (const Metric metric : test::kMetrics) {
      Rows rows(type, 2);
      for (int i = 0; i < 900; ++i) rows.Add(std::vector<double>{1.0 + i % 3, 1.0 + i / 3 % 3});
      const Index index =
          BuildFrom(rows, {.metric = metric, .max_degree = 8, .build_list_size = 20});
      EXPECT_EQ(SortedIds(*index.Search(rows[0], {.k = 900})), test::Iota(900));
    }
  }
}

TEST(ArrivalOrder, ClusterByClusterIsFound) {
  for (const ScalarType type : {ScalarType::kFloat32, ScalarType::kUint8}) {
    Generator generator(type, {.dim = 24, .clusters = 40, .spread = 0.4}, 11);
    Rows rows(type, 24);
    for (size_t i = 0; i < 4000; ++i) rows.Add(generator.Row(i / 100));
    ExpectAllFoundByOwnVector(BuildFrom(rows, {}), rows);
    ExpectAllFoundByOwnVector(BuildFrom(rows, {}, 2), rows);
  }
}

// Clusters so tight that nothing lies between them: one pass loses some when it prunes the start's
// list (docs/algorithms.md); the second pass finds the way to all of them.
TEST(ArrivalOrder, TightClusterByTightClusterIsFoundAfterRefine) {
  for (const double spread : {0.05, 0.1, 0.2}) {
    Generator generator(ScalarType::kFloat32, {.dim = 24, .clusters = 40, .spread = spread}, 11);
    Rows rows(ScalarType::kFloat32, 24);
    for (size_t i = 0; i < 4000; ++i) rows.Add(generator.Row(i / 100));
    Index index = BuildFrom(rows, {});
    ASSERT_TRUE(index.Refine({.threads = 1}));
    EXPECT_TRUE(index.CheckStructure());
    ExpectAllFoundByOwnVector(index, rows);
  }
}

TEST(ArrivalOrder, SortedAlongAProjectionIsFound) {
  const Rows shuffled = Generator(ScalarType::kFloat32, {.dim = 16}, 13).Many(3000);
  std::vector<size_t> order(shuffled.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto x = shuffled.values(a), y = shuffled.values(b);
    return std::accumulate(x.begin(), x.end(), 0.0f) < std::accumulate(y.begin(), y.end(), 0.0f);
  });
  const Rows rows = Reordered(shuffled, order);
  ExpectAllFoundByOwnVector(BuildFrom(rows, {}), rows);
}

TEST(ArrivalOrder, GrowingNormsAreFoundUnderEveryMetric) {
  Generator generator(ScalarType::kFloat32, {.dim = 12}, 14);
  Rows rows(ScalarType::kFloat32, 12);
  for (size_t i = 0; i < 2000; ++i) {
    std::vector<double> row = generator.Row();
    for (double& x : row) x *= 1 + static_cast<double>(i) / 100;
    rows.Add(row);
  }
  for (const Metric metric : test::kMetrics) {
    const Index index =
        BuildFrom(rows, {.metric = metric, .max_degree = 16, .build_list_size = 40});
    EXPECT_EQ(SortedIds(*index.Search(rows[0], {.k = 2000})), test::Iota(2000));
  }
}

TEST(Dimension, OfOneWorksInEveryTypeAndMetric) {
  for (const ScalarType type : test::kTypes) {
    for (const Metric metric : test::kMetrics) {
      Rows rows(type, 1);
      for (int i = 1; i <= 120; ++i) rows.Add(std::vector<double>{static_cast<double>(i)});
      const Index index =
          BuildFrom(rows, {.metric = metric, .max_degree = 4, .build_list_size = 10});
      if (metric == Metric::kL2) ExpectAllFoundByOwnVector(index, rows);
      EXPECT_EQ(SortedIds(*index.Search(rows[60], {.k = 120})), test::Iota(120));
    }
  }
}

TEST(Dimension, OfOneWithManySortedPointsIsFound) {
  Rows rows(ScalarType::kFloat32, 1);
  for (int i = 0; i < 3000; ++i) rows.Add(std::vector<double>{static_cast<double>(i)});
  ExpectAllFoundByOwnVector(BuildFrom(rows, {.max_degree = 8, .build_list_size = 30}), rows);
}

TEST(Dimension, Of1536IsFound) {
  for (const ScalarType type : test::kTypes) {
    const Rows rows = Generator(type, {.dim = 1536}, 15).Many(200);
    for (const Metric metric : {Metric::kL2, Metric::kCosine}) {
      const Index index =
          BuildFrom(rows, {.metric = metric, .max_degree = 16, .build_list_size = 30});
      for (size_t i = 0; i < rows.size(); ++i)
        ASSERT_EQ(index.Search(rows[i], {.k = 1})->at(0).id, i);
    }
  }
}

// Opposite ones are nearly as far apart as a float says.
TEST(HugeVectors, OfTheLargestNormBreakNothing) {
  constexpr size_t kN = 500;
  Index index = *Index::Create({.dim = 16, .max_degree = 8, .build_list_size = 20});
  std::mt19937_64 random(19);
  std::vector<float> vector(16);
  for (size_t id = 0; id < kN; ++id) {
    for (float& x : vector) x = random() % 2 == 0 ? 2.29e18f : -2.29e18f;
    ASSERT_TRUE(index.Insert(id, vector));
    if (id % 3 == 0) {
      ASSERT_TRUE(index.Delete(id));
    }
  }
  EXPECT_TRUE(index.CheckStructure());
  EXPECT_EQ(index.Search(vector, {.k = 10})->size(), 10u);
  const TempFolder folder;
  ASSERT_TRUE(index.Save(folder / "x.shoal"));
  const Result<Index> loaded = Index::Load(folder / "x.shoal");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->size(), index.size());
}

TEST(RangeSearch, FindsWhatBruteForceFindsAtEveryRadius) {
  for (const Metric metric : test::kMetrics) {
    const Rows rows =
        Generator(ScalarType::kFloat32, {.dim = 16, .norm_sigma = 0.2}, 16).Many(2000);
    const Rows queries =
        Generator(ScalarType::kFloat32, {.dim = 16, .norm_sigma = 0.2}, 16).Many(40);
    const Index index = BuildFrom(rows, {.metric = metric});
    // The points within a large radius under these metrics are no ball: some of them are linked
    // over points outside only.
    const double floor = metric == Metric::kL2 ? 0.999 : 0.99;
    for (const size_t rank : {0u, 5u, 50u, 300u, 1000u}) {
      size_t wanted = 0, found = 0;
      for (size_t q = 0; q < queries.size(); ++q) {
        const auto truth = test::BruteForce(metric, rows, queries.values(q));
        // Between two ranks, so that rounding does not decide.
        const auto radius =
            static_cast<float>((truth[rank].distance + truth[rank + 1].distance) / 2);
        const auto hits = index.RangeSearch(queries[q], {.radius = radius});
        ASSERT_TRUE(hits);
        std::set<ExternalId> ids;
        for (const Hit& hit : *hits) {
          EXPECT_LE(hit.distance, radius);
          ids.insert(hit.id);
        }
        EXPECT_EQ(ids.size(), hits->size()) << "each id once";
        for (size_t i = 0; i <= rank; ++i) found += ids.count(truth[i].row);
        wanted += rank + 1;
        EXPECT_LE(hits->size(), rank + 1 + 2) << "nothing from outside";
      }
      EXPECT_GE(static_cast<double>(found), floor * static_cast<double>(wanted))
          << MetricName(metric) << " rank " << rank;
    }
  }
}

}  // namespace
}  // namespace shoal
