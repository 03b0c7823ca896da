// Which plan a search with a filter takes, and the one that only large indices take by themselves.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "filtered_search.h"
#include "shoal/filter.h"
#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

TEST(FilterPlans, AreChosenByCost) {
  constexpr FilteredRowBytes kFloatsWithCodes{1536, 200};
  const auto plan = [&](double live, double share, FilteredRowBytes rows = {128, 128},
                        bool predicate = false) {
    return ChoosePlan({.list_size = 64,
                       .max_degree = 32,
                       .row_bytes = rows,
                       .has_predicate = predicate,
                       .live = live,
                       .accepted = live * share,
                       .at_least = live * share * .8});
  };
  EXPECT_EQ(plan(1e6, 1), FilterPlan::kPassThrough);
  EXPECT_EQ(plan(1e6, .5), FilterPlan::kPassThrough);
  EXPECT_EQ(plan(1e6, .02), FilterPlan::kTwoHop);
  EXPECT_EQ(plan(1e5, .2), FilterPlan::kPassThrough);  // Measured: a third of the others' time.
  EXPECT_EQ(plan(1e5, .1), FilterPlan::kScan);
  EXPECT_EQ(plan(1e5, .1, kFloatsWithCodes), FilterPlan::kTwoHop);  // A scan reads the vectors.
  EXPECT_EQ(plan(3e4, .14, {128, 128}, true), FilterPlan::kScan);
  EXPECT_EQ(plan(1e5, .14, {128, 128}, true), FilterPlan::kPassThrough);
  EXPECT_EQ(plan(1e6, .001), FilterPlan::kScan);
  EXPECT_EQ(plan(1e6, 0), FilterPlan::kScan);
  EXPECT_EQ(plan(4000, .5), FilterPlan::kScan);
}

// A predicate makes a scan of all points dear, a short list of edges two hops cheap. Of a thousand
// queries about one is scanned: the sample of its surroundings has few accepted points by chance.
// So one thread builds the index, and the samples are always the same.
TEST(FilterPlans, TwoHopsFindTheNearestAtTheirPrice) {
  constexpr size_t kPoints = 60000, kQueries = 10, kK = 10;
  const auto make = [](size_t n, uint64_t seed) {
    return test::Generator(ScalarType::kFloat32, {.dim = 4, .clusters = 20}, seed).Many(n);
  };
  const test::Rows rows = make(kPoints, 1), queries = make(kQueries, 2);
  Index index = *Index::Create({.dim = 4, .max_degree = 16, .build_list_size = 32});
  ASSERT_EQ(index.InsertMany(test::Iota(kPoints), rows.view(), BatchOptions{.threads = 1})->done,
            kPoints);
  const Filter filter =
      Filter::Where([](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
        for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 7 == 0 ? 1 : 0;
      });
  size_t found = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    std::vector<double> exact;
    for (size_t i = 0; i < kPoints; i += 7)
      exact.push_back(test::Distance(Metric::kL2, queries.values(q), rows.values(i)));
    std::sort(exact.begin(), exact.end());
    std::vector<ExternalId> ids(kK);
    std::vector<float> distances(kK);
    WorkCounters work;
    ASSERT_EQ(*index.Search(queries[q], {.k = kK, .search_list_size = 64, .filter = &filter}, ids,
                            distances, &work),
              kK);
    EXPECT_EQ(work.filter_two_hops, 1u);
    EXPECT_LE(work.distances, kPoints / 7 * 11 / 10);
    for (size_t i = 0; i < kK; ++i) {
      EXPECT_EQ(ids[i] % 7, 0u);
      found += distances[i] <= exact[kK - 1] * (1 + 1e-5) + 1e-6 ? 1 : 0;
    }
  }
  EXPECT_GE(found, .95 * kQueries * kK);
}

// As of embeddings: many directions, so that lists lead from a hole of half of the points to its
// other side.
TEST(FilterPlans, FindTheNearestBehindAHoleOfHalfOfThePoints) {
  constexpr size_t kPoints = 10000, kQueries = 40, kK = 10, kWide = 256;
  test::Generator generator(ScalarType::kFloat32, {.dim = kWide}, 5);
  const test::Rows rows = generator.Many(kPoints), queries = generator.Many(kQueries);
  Index index = *Index::Create({.dim = kWide, .max_degree = 32, .build_list_size = 64});
  ASSERT_TRUE(index.InsertMany(test::Iota(kPoints), rows.view(), BatchOptions{.threads = 1}));
  size_t found = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    std::vector<std::pair<double, ExternalId>> all;
    for (ExternalId id = 0; id < kPoints; ++id)
      all.emplace_back(test::Distance(Metric::kL2, queries.values(q), rows.values(id)), id);
    std::sort(all.begin(), all.end());
    std::vector<ExternalId> accepted;
    for (size_t i = kPoints / 2; i < kPoints; ++i) accepted.push_back(all[i].second);
    const Filter filter = Filter::Ids(accepted);
    const auto hits = index.Search(queries[q], {.k = kK, .filter = &filter});
    ASSERT_TRUE(hits);
    for (const Hit& hit : *hits)
      found += hit.distance <= all[kPoints / 2 + kK - 1].first * (1 + 1e-5) ? 1 : 0;
  }
  EXPECT_GE(found, .95 * kQueries * kK);
}

}  // namespace
}  // namespace shoal
