// Searches with a filter: beside exact search over the accepted points.
#include "shoal/filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

constexpr uint32_t kDim = 16;

Rows RandomRows(size_t n, uint64_t seed) {
  return test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 20}, seed).Many(n);
}

Index MakeIndex(Code code = Code::kFull, size_t dim = kDim) {
  return *Index::Create({.dim = static_cast<uint32_t>(dim), .code = code});
}

double Distance(VectorView a, VectorView b) {
  double sum = 0;
  for (size_t i = 0; i < a.dim(); ++i) {
    const double difference =
        static_cast<const float*>(a.data())[i] - static_cast<const float*>(b.data())[i];
    sum += difference * difference;
  }
  return sum;
}

Filter IsMultipleOf(uint64_t divisor) {
  return Filter::Where([divisor](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
    for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % divisor == 0 ? 1 : 0;
  });
}

std::vector<ExternalId> MultiplesOf(uint64_t divisor, uint64_t below) {
  std::vector<ExternalId> ids;
  for (uint64_t id = 0; id < below; id += divisor) ids.push_back(id);
  return ids;
}

// Points by id, and what an index with these points must answer.
class Model {
 public:
  Model(const Rows& rows, std::set<ExternalId> live) : rows_(rows), live_(std::move(live)) {}
  explicit Model(const Rows& rows) : rows_(rows) {
    for (size_t i = 0; i < rows.size(); ++i) live_.insert(i);
  }

  // Distances of the accepted points, nearest first.
  template <class Accepts>
  std::vector<double> Distances(VectorView query, const Accepts& accepts) const {
    std::vector<double> distances;
    for (const ExternalId id : live_)
      if (accepts(id)) distances.push_back(Distance(query, rows_[id]));
    std::sort(distances.begin(), distances.end());
    return distances;
  }

  // A search finds min(k, accepted points), all accepted, at a bounded cost. Returns its recall@k.
  template <class Accepts, class Searched>
  double Check(const Searched& index, VectorView query, SearchOptions options,
               const Accepts& accepts) const {
    const std::vector<double> exact = Distances(query, accepts);
    std::vector<ExternalId> ids(options.k);
    std::vector<float> distances(options.k);
    WorkCounters work;
    const Result<size_t> n = index.Search(query, options, ids, distances, &work);
    EXPECT_TRUE(n) << n.error().message;
    if (!n) return 0;
    EXPECT_EQ(*n, std::min(options.k, exact.size()));
    EXPECT_LE(work.distances, exact.size() * 11 / 10 + 1);
    EXPECT_EQ(work.filter_scans + work.filter_traversals + work.filter_two_hops, 1u);
    size_t found = 0;
    for (size_t i = 0; i < *n; ++i) {
      EXPECT_TRUE(live_.count(ids[i]) == 1 && accepts(ids[i])) << ids[i];
      EXPECT_NEAR(distances[i], Distance(query, rows_[ids[i]]), 1e-3 * (1 + distances[i]));
      found += distances[i] <= exact[*n - 1] * (1 + 1e-5) + 1e-6 ? 1 : 0;
    }
    return *n == 0 ? 1 : static_cast<double>(found) / static_cast<double>(*n);
  }

  std::set<ExternalId>& live() { return live_; }

 private:
  const Rows& rows_;
  std::set<ExternalId> live_;
};

Index Filled(const Rows& rows, Code code = Code::kFull) {
  Index index = MakeIndex(code, rows.dim());
  std::vector<ExternalId> ids(rows.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = i;
  EXPECT_TRUE(index.InsertMany(ids, rows.view()));
  return index;
}

// Every kind, in all selectivities, at a bounded cost.
class Filters : public ::testing::TestWithParam<Code> {};

TEST_P(Filters, FindTheNearestAcceptedPoints) {
  constexpr size_t kPoints = 9000, kQueries = 10;
  const Rows rows = RandomRows(kPoints, 3);
  const Rows queries = RandomRows(kQueries, 4);
  const Index index = Filled(rows, GetParam());
  const Model model(rows);
  for (const uint64_t d : {1, 2, 4, 10, 30, 100, 1000, 8999, 9001}) {
    const std::vector<ExternalId> multiples = MultiplesOf(d, kPoints);
    const auto accepts = [d](ExternalId id) { return id % d == 0; };
    const auto refuses = [d](ExternalId id) { return id % d != 0; };
    const Filter by_set = Filter::Ids(multiples), by_predicate = IsMultipleOf(d);
    const Filter others = Filter::Not(by_set);
    const Filter both =
        Filter::All({by_predicate, Filter::Any({by_set, Filter::Not(by_predicate)})});
    double recall = 0;
    for (size_t i = 0; i < kQueries; ++i) {
      recall +=
          model.Check(index, queries[i], {.search_list_size = 128, .filter = &by_set}, accepts);
      recall += model.Check(index, queries[i], {.search_list_size = 128, .filter = &by_predicate},
                            accepts);
      recall +=
          model.Check(index, queries[i], {.search_list_size = 128, .filter = &others}, refuses);
      recall += model.Check(index, queries[i], {.search_list_size = 128, .filter = &both}, accepts);
    }
    EXPECT_GE(recall / (4 * kQueries), .95) << d;
  }
}

INSTANTIATE_TEST_SUITE_P(Codes, Filters, ::testing::Values(Code::kFull, Code::kSq8),
                         [](const auto& each) { return std::string(CodeName(each.param)); });

// Accepted points that are all far from the query, or all near it.
TEST(FilterSearches, FindAcceptedPointsThatAreNearTogether) {
  constexpr size_t kPoints = 9000;
  const Rows rows = RandomRows(kPoints, 5);
  const Index index = Filled(rows);
  const Model model(rows);
  const Rows queries = RandomRows(6, 6);
  double recall[2] = {}, searches = 0;  // Far, near.
  for (size_t q = 0; q < queries.size(); ++q) {
    std::vector<std::pair<double, ExternalId>> order;
    for (size_t i = 0; i < kPoints; ++i) order.emplace_back(Distance(queries[q], rows[i]), i);
    std::sort(order.begin(), order.end());
    for (const double share : {.5, .3, .05, .001}) {
      const auto n = static_cast<size_t>(kPoints * share);
      for (const bool is_near : {true, false}) {
        std::vector<ExternalId> ids;
        for (size_t i = 0; i < n; ++i) ids.push_back(order[is_near ? i : kPoints - 1 - i].second);
        const std::set<ExternalId> accepted(ids.begin(), ids.end());
        const Filter filter = Filter::Ids(ids);
        const auto accepts = [&](ExternalId id) { return accepted.count(id) == 1; };
        recall[is_near ? 1 : 0] += model.Check(index, queries[q], {.filter = &filter}, accepts);
      }
      ++searches;
    }
  }
  EXPECT_GE(recall[0] / searches, .95);
  EXPECT_GE(recall[1] / searches, .95);
}

TEST(FilterSearches, FindWithinARadiusWhatExactSearchFinds) {
  constexpr size_t kPoints = 6000;
  const Rows rows = RandomRows(kPoints, 7);
  const Index index = Filled(rows);
  const Model model(rows);
  const Rows queries = RandomRows(5, 8);
  for (const uint64_t d : {1, 2, 10, 500}) {
    const auto accepts = [d](ExternalId id) { return id % d == 0; };
    const Filter filter = IsMultipleOf(d);
    for (size_t q = 0; q < queries.size(); ++q) {
      const std::vector<double> exact = model.Distances(queries[q], accepts);
      const auto radius = static_cast<float>(exact[exact.size() / 10]);
      WorkCounters work;
      const auto hits = index.RangeSearch(queries[q], {.radius = radius, .filter = &filter}, &work);
      ASSERT_TRUE(hits);
      EXPECT_LE(work.distances, exact.size() * 11 / 10 + 1) << d;
      for (const Hit& hit : *hits) {
        EXPECT_TRUE(accepts(hit.id));
        EXPECT_LE(hit.distance, radius);
      }
      EXPECT_GE(static_cast<double>(hits->size()), .95 * static_cast<double>(exact.size() / 10));
      EXPECT_LE(hits->size(), exact.size() / 10 + 1);
    }
  }
}

// Of a query the farthest points are accepted: hits lie around a hole of refused ones.
TEST(FilterSearches, WithinARadiusFindWhatLiesBehindRefusedPoints) {
  constexpr size_t kPoints = 15000, kAccepted = 3750, kWithin = 100;
  const Rows rows = RandomRows(kPoints, 9), queries = RandomRows(5, 10);
  const Index index = Filled(rows);
  for (size_t q = 0; q < queries.size(); ++q) {
    const auto distance_of = [&](ExternalId id) { return Distance(queries[q], rows[id]); };
    const std::vector<double> exact = Model(rows).Distances(queries[q], [](auto) { return true; });
    const double nearest = exact[kPoints - kAccepted];
    std::vector<ExternalId> accepted;
    for (ExternalId id = 0; id < kPoints; ++id)
      if (distance_of(id) >= nearest) accepted.push_back(id);
    const Filter filter = Filter::Ids(accepted);
    const auto radius = static_cast<float>(exact[kPoints - kAccepted + kWithin]);
    WorkCounters work;
    const auto hits = index.RangeSearch(queries[q], {.radius = radius, .filter = &filter}, &work);
    ASSERT_TRUE(hits);
    EXPECT_NEAR(static_cast<double>(hits->size()), kWithin + .5, .6);  // The last may be rounded.
    EXPECT_LE(work.distances, kAccepted * 11 / 10);
  }
}

TEST(FilterSearches, InAnEmptyIndexFindNothing) {
  const Index index = MakeIndex();
  const std::vector<float> query(kDim);
  const ExternalId one = 1;
  for (const Filter& filter : {Filter::Ids({&one, 1}), Filter::Ids({}), IsMultipleOf(2)}) {
    EXPECT_TRUE(index.Search(query, {.filter = &filter})->empty());
    EXPECT_TRUE(index.RangeSearch(query, {.radius = 1, .filter = &filter})->empty());
  }
}

TEST(FilterSearches, OfViewsAreThoseOfTheIndex) {
  const TempFolder folder;
  const Rows rows = RandomRows(6000, 9);
  const Rows queries = RandomRows(5, 10);
  double recall = 0, searches = 0;
  for (const Code code : {Code::kFull, Code::kSq8}) {
    Index index = Filled(rows, code);
    ASSERT_TRUE(index.Save(folder / "index"));
    const Result<IndexView> view = IndexView::Open(folder / "index");
    ASSERT_TRUE(view);
    const Model model(rows);
    for (const uint64_t d : {1, 2, 20, 3000}) {
      const Filter by_set = Filter::Ids(MultiplesOf(d, 20000)), by_predicate = IsMultipleOf(d);
      const auto accepts = [d](ExternalId id) { return id % d == 0; };
      for (size_t q = 0; q < queries.size(); ++q)
        for (const Filter* filter : {&by_set, &by_predicate}) {
          recall += model.Check(*view, queries[q], {.filter = filter}, accepts);
          ++searches;
          const float radius = index.Search(queries[q], {.filter = filter})->back().distance;
          const auto within = view->RangeSearch(queries[q], {.radius = radius, .filter = filter});
          ASSERT_TRUE(within);
          EXPECT_GE(within->size(), std::min<size_t>(3, 6000 / d));
          for (const Hit& hit : *within) EXPECT_TRUE(accepts(hit.id));
        }
    }
  }
  EXPECT_GE(recall / searches, .95);
}

// Every hit is accepted, live or deleted during the search, and k are found while k stay.
TEST(FilterSearches, AreRightAfterDeletesAndUpserts) {
  constexpr size_t kPoints = 4000;
  const Rows rows = RandomRows(kPoints, 11);
  const Rows queries = RandomRows(20, 12);
  for (const Code code : {Code::kFull, Code::kSq8}) {
    Index index = Filled(rows, code);
    Model model(rows);
    std::mt19937_64 random(13);
    double recall = 0;
    for (size_t round = 0; round < queries.size(); ++round) {
      for (size_t i = 0; i < 300; ++i) {
        const ExternalId id = random() % kPoints;
        if (model.live().erase(id) == 1) {
          ASSERT_TRUE(index.Delete(id));
        } else {
          ASSERT_TRUE(index.Insert(id, rows[id]));
          model.live().insert(id);
        }
        const ExternalId again = random() % kPoints;
        if (model.live().count(again) == 1) {
          ASSERT_TRUE(index.Upsert(again, rows[again]));
        }
      }
      const uint64_t d = uint64_t{1} << random() % 14;
      const Filter by_set = Filter::Ids(MultiplesOf(d, kPoints)), by_predicate = IsMultipleOf(d);
      const auto accepts = [d](ExternalId id) { return id % d == 0; };
      recall += model.Check(index, queries[round], {.filter = &by_set}, accepts);
      recall += model.Check(index, queries[round], {.filter = &by_predicate}, accepts);
    }
    EXPECT_GE(recall / 40, .95);
  }
}

TEST(FilterSearches, ThatRunBesideWritersReturnAcceptedPointsOnly) {
  constexpr size_t kPoints = 4000, kStable = 3000;
  const Rows rows = RandomRows(kPoints, 14);
  Index index = Filled(rows);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937_64 random(15);
    while (!stop) {
      const ExternalId id = kStable + random() % (kPoints - kStable);
      if (!index.Delete(id)) (void)index.Insert(id, rows[id]);
      const ExternalId other = random() % kStable;
      (void)index.Upsert(other, rows[other]);
    }
  });
  const Rows queries = RandomRows(30, 16);
  for (size_t q = 0; q < queries.size(); ++q)
    for (const uint64_t d : {1, 3, 50, 290}) {
      const Filter by_set = Filter::Ids(MultiplesOf(d, kPoints)), by_predicate = IsMultipleOf(d);
      for (const Filter* filter : {&by_set, &by_predicate}) {
        const auto hits = index.Search(queries[q], {.k = 10, .filter = filter});
        ASSERT_TRUE(hits);
        EXPECT_EQ(hits->size(), 10u) << d;
        std::set<ExternalId> ids;
        for (const Hit& hit : *hits) {
          EXPECT_EQ(hit.id % d, 0u);
          EXPECT_TRUE(ids.insert(hit.id).second);
        }
      }
    }
  stop = true;
  writer.join();
  EXPECT_TRUE(index.CheckStructure());
}

TEST(Predicates, ThatThrowEndTheSearchWithAnError) {
  const Rows rows = RandomRows(5000, 17);
  const Index index = Filled(rows);
  const Filter throws =
      Filter::Where([](auto, auto) { throw std::runtime_error("no such table"); });
  const Filter throws_int = Filter::Where([](auto, auto) { throw 3; });
  const Filter no_memory = Filter::Where([](auto, auto) { throw std::bad_alloc(); });
  for (const Filter* filter : {&throws, &throws_int, &no_memory}) {
    const auto hits = index.Search(rows[0], {.filter = filter});
    ASSERT_FALSE(hits);
    EXPECT_EQ(hits.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(hits.error().message, HasSubstr("filter: its predicate threw: "));
    EXPECT_FALSE(index.RangeSearch(rows[0], {.radius = 1, .filter = filter}));
  }
  EXPECT_THAT(index.Search(rows[0], {.filter = &throws}).error().message,
              HasSubstr("no such table"));
  EXPECT_EQ(index.Search(rows[0], {})->size(), 10u);  // Nothing is left of them.
}

TEST(Predicates, MayWriteToTheIndex) {
  const Rows rows = RandomRows(5000, 18);
  Index index = Filled(rows);
  uint64_t calls = 0;
  const Filter filter =
      Filter::Where([&](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
        ++calls;
        EXPECT_TRUE(index.Upsert(ids[0], rows[ids[0]]));
        EXPECT_TRUE(index.Contains(ids[0]));
        EXPECT_EQ(index.Search(rows[ids[0]], {.k = 1})->front().distance, 0);
        std::fill(accepted.begin(), accepted.end(), uint8_t{1});
      });
  const auto hits = index.Search(rows[1], {.filter = &filter});
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->size(), 10u);
  EXPECT_GT(calls, 0u);
  EXPECT_TRUE(index.Consolidate());
  EXPECT_TRUE(index.CheckStructure());
}

// Writers go on while a search waits for its predicate.
TEST(Predicates, ThatAreSlowHoldNobodyUp) {
  const Rows rows = RandomRows(3000, 19);
  Index index = Filled(rows);
  std::atomic<int> state{0};
  const Filter filter =
      Filter::Where([&](std::span<const ExternalId>, std::span<uint8_t> accepted) {
        if (state == 0) state = 1;
        while (state == 1) std::this_thread::yield();
        std::fill(accepted.begin(), accepted.end(), uint8_t{1});
      });
  std::thread search([&] { EXPECT_EQ(index.Search(rows[1], {.filter = &filter})->size(), 10u); });
  while (state == 0) std::this_thread::yield();
  for (ExternalId id = 0; id < 200; ++id) {
    EXPECT_TRUE(index.Delete(id));
    EXPECT_TRUE(index.Insert(id, rows[id]));
  }
  EXPECT_TRUE(index.Consolidate());
  state = 2;
  search.join();
}

TEST(FilterExpressions, ThatAreInvalidAreErrorsOfTheSearch) {
  const Index index = MakeIndex();
  const std::vector<float> query(kDim);
  const Filter empty = Filter::Where({});
  EXPECT_THAT(index.Search(query, {.filter = &empty}).error().message,
              HasSubstr("expected a predicate, found an empty function"));
  const Filter around = Filter::Not(Filter::All({IsMultipleOf(2), empty}));
  EXPECT_THAT(index.Search(query, {.filter = &around}).error().message,
              HasSubstr("empty function"));
  Filter deep = IsMultipleOf(2);
  for (int i = 0; i < 1000000; ++i) deep = Filter::Not(deep);
  EXPECT_THAT(index.Search(query, {.filter = &deep}).error().message,
              HasSubstr("at most 100 deep"));
}

TEST(FilterExpressions, OfNoPartsAcceptAllOrNothing) {
  const Rows rows = RandomRows(100, 20);
  const Index index = Filled(rows);
  const Filter all = Filter::All({}), none = Filter::Any({});
  EXPECT_EQ(index.Search(rows[0], {.filter = &all})->size(), 10u);
  EXPECT_TRUE(index.Search(rows[0], {.filter = &none})->empty());
}

TEST(FilterSearches, CountTheirWork) {
  const Rows rows = RandomRows(3000, 21);
  const Index index = Filled(rows);
  const Filter few = Filter::Ids(MultiplesOf(100, 3000));
  std::vector<ExternalId> ids(10);
  WorkCounters work;
  ASSERT_TRUE(index.Search(rows[0], {.filter = &few}, ids, {}, &work));
  EXPECT_EQ(work.distances, 30u);
  EXPECT_EQ(work.filter_checks, 30u);
  EXPECT_EQ(work.filter_scans, 1u);
  EXPECT_EQ(index.Stats().work.filter_scans, 1u);
  ASSERT_TRUE(index.Search(rows[0], {}, ids, {}, &work));
  EXPECT_EQ(work.filter_checks + work.filter_scans + work.filter_traversals, 0u);
}

}  // namespace
}  // namespace shoal
