// Searches in pages, beside exact search: while points come, go and move between two pages.
#include "shoal/pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "shoal/filter.h"
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

Index Filled(const Rows& rows, Code code = Code::kFull) {
  Index index = *Index::Create({.dim = kDim, .code = code});
  std::vector<ExternalId> ids(rows.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = i;
  EXPECT_TRUE(index.InsertMany(ids, rows.view()));
  return index;
}

Filter IsMultipleOf(uint64_t divisor) {
  return Filter::Where([divisor](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
    for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % divisor == 0 ? 1 : 0;
  });
}

// Points, and the distances of those that are accepted, nearest first.
using Points = std::map<ExternalId, size_t>;  // Their rows.
template <class Accepts>
std::vector<std::pair<double, ExternalId>> Nearest(const Points& points, const Rows& rows,
                                                   std::span<const float> query,
                                                   const Accepts& accepts) {
  std::vector<std::pair<double, ExternalId>> all;
  for (const auto& [id, row] : points)
    if (accepts(id)) all.emplace_back(test::Distance(Metric::kL2, query, rows.values(row)), id);
  std::sort(all.begin(), all.end());
  return all;
}
Points AllOf(const Rows& rows) {
  Points points;
  for (size_t i = 0; i < rows.size(); ++i) points[i] = i;
  return points;
}

void ExpectSorted(const std::vector<Hit>& hits) {
  for (size_t i = 1; i < hits.size(); ++i) EXPECT_LE(hits[i - 1].distance, hits[i].distance);
}

struct PageCase {
  Code code;
  uint64_t divisor;  // 0: no filter.
};
class PageSearches : public ::testing::TestWithParam<PageCase> {};

// Every page but the last is full, all pages are disjoint, and the first P of them have the nearest
// P x k points, but for the recall of a search.
template <class Searched>
void ExpectPagesOfAll(const Searched& index, const Rows& rows, const PageCase& c, size_t k) {
  const auto accepts = [&](ExternalId id) { return c.divisor == 0 || id % c.divisor == 0; };
  const Filter filter = IsMultipleOf(std::max<uint64_t>(1, c.divisor));
  const Rows queries = RandomRows(3, 72);
  double found = 0, expected = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    const auto exact = Nearest(AllOf(rows), rows, queries.values(q), accepts);
    Result<Pages> pages =
        index.SearchPages(queries[q], {.k = k, .filter = c.divisor == 0 ? nullptr : &filter});
    ASSERT_TRUE(pages);
    std::set<ExternalId> ids;
    for (size_t page = 1;; ++page) {
      const auto hits = pages->Next();
      ASSERT_TRUE(hits);
      ExpectSorted(*hits);
      for (const Hit& hit : *hits) {
        EXPECT_TRUE(accepts(hit.id));
        EXPECT_TRUE(ids.insert(hit.id).second) << hit.id;
      }
      ASSERT_EQ(ids.size(), std::min(page * k, exact.size()));
      if (hits->empty()) break;
      if (page > 20) continue;
      for (size_t i = 0; i < ids.size(); ++i) found += ids.count(exact[i].second) == 1 ? 1 : 0;
      expected += static_cast<double>(ids.size());
    }
    EXPECT_TRUE(pages->Next()->empty());
  }
  EXPECT_GE(found / expected, .98);
}

TEST_P(PageSearches, HandEveryAcceptedPointOutOnceInOrder) {
  const Rows rows = RandomRows(6000, 71);
  ExpectPagesOfAll(Filled(rows, GetParam().code), rows, GetParam(), 10);
}

TEST_P(PageSearches, OfViewsDoTheSame) {
  const TempFolder folder;
  const Rows rows = RandomRows(6000, 71);
  ASSERT_TRUE(Filled(rows, GetParam().code).Save(folder / "index"));
  ExpectPagesOfAll(*IndexView::Open(folder / "index"), rows, GetParam(), 25);
}

INSTANTIATE_TEST_SUITE_P(Cases, PageSearches,
                         ::testing::Values(PageCase{Code::kFull, 0}, PageCase{Code::kSq8, 0},
                                           PageCase{Code::kFull, 1}, PageCase{Code::kFull, 2},
                                           PageCase{Code::kFull, 7}, PageCase{Code::kSq8, 2},
                                           PageCase{Code::kFull, 100}, PageCase{Code::kSq8, 1000},
                                           PageCase{Code::kFull, 7000}),
                         [](const auto& each) {
                           return std::string(CodeName(each.param.code)) + "_" +
                                  std::to_string(each.param.divisor);
                         });

TEST(Pages, CostTheirShareOfASearchForAll) {
  const Rows rows = RandomRows(8000, 73);
  const Index index = Filled(rows);
  const Rows queries = RandomRows(1, 74);
  Pages pages = *index.SearchPages(queries[0], {});
  std::vector<ExternalId> ids(10);
  WorkCounters first, page, search, sum;
  ASSERT_EQ(*pages.Next(ids, {}, &first), 10u);
  std::vector<ExternalId> many(1000);
  ASSERT_TRUE(index.Search(queries[0], {.k = 1000}, many, {}, &search));
  sum = first;
  for (size_t i = 1; i < 100; ++i) {
    ASSERT_EQ(*pages.Next(ids, {}, &page), 10u);
    EXPECT_LE(page.distances, first.distances);
    sum += page;
  }
  EXPECT_LE(sum.distances, search.distances * 5 / 4);
}

TEST(Pages, WithAFilterCostNoMoreThanAScanEach) {
  const Rows rows = RandomRows(8000, 75);
  const Index index = Filled(rows);
  const Rows queries = RandomRows(1, 76);
  for (const uint64_t d : {2, 3, 50, 2000}) {
    const Filter filter = IsMultipleOf(d);
    Pages pages = *index.SearchPages(queries[0], {.filter = &filter});
    std::vector<ExternalId> ids(10);
    WorkCounters work;
    for (size_t page = 0; page < 30; ++page) {
      const size_t n = *pages.Next(ids, {}, &work);
      EXPECT_EQ(n, std::min<size_t>(10, 8000 / d - std::min<size_t>(8000 / d, 10 * page)));
      EXPECT_LE(work.distances, 8000 / d * 11 / 10 + 1) << d << " " << page;
    }
  }
}

// Points are deleted, inserted, replaced and moved between two pages.
class PagesWhilePoints : public ::testing::TestWithParam<PageCase> {};

TEST_P(PagesWhilePoints, ComeAndGoHandOutWhatStays) {
  constexpr size_t kPoints = 1500, kStable = 1000;  // The first ones stay as they are.
  const auto [code, divisor] = GetParam();
  const auto accepts = [d = divisor](ExternalId id) { return d == 0 || id % d == 0; };
  const Filter filter = IsMultipleOf(std::max<uint64_t>(1, divisor));
  const Rows rows = RandomRows(2 * kPoints, 77);
  const Rows queries = RandomRows(2, 78);
  Index index = Filled(rows, code);
  ASSERT_EQ(index.size(), 2 * kPoints);
  Points points = AllOf(rows);
  std::mt19937_64 random(79);
  double found = 0, expected = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    Pages pages =
        *index.SearchPages(queries[q], {.k = 20, .filter = divisor == 0 ? nullptr : &filter});
    std::set<ExternalId> ids;
    for (size_t page = 1;; ++page) {
      const auto hits = pages.Next();
      ASSERT_TRUE(hits);
      if (hits->empty()) break;
      ExpectSorted(*hits);
      for (const Hit& hit : *hits) {
        EXPECT_TRUE(accepts(hit.id));
        ASSERT_TRUE(points.contains(hit.id)) << hit.id;
        EXPECT_NEAR(hit.distance,
                    test::Distance(Metric::kL2, queries.values(q), rows.values(points[hit.id])),
                    1e-3 * (1 + hit.distance));
        EXPECT_TRUE(ids.insert(hit.id).second) << hit.id;
      }
      if (page == 8) {
        const auto stable = Nearest(AllOf(rows), rows, queries.values(q),
                                    [&](ExternalId id) { return accepts(id) && id < kStable; });
        const size_t n = std::min<size_t>(stable.size(), 20);
        for (size_t i = 0; i < n; ++i) found += ids.count(stable[i].second) == 1 ? 1 : 0;
        expected += static_cast<double>(n);
      }
      for (size_t i = 0; i < (page < 60 ? 60 : 1); ++i) {
        const ExternalId id = kStable + random() % (2 * kPoints - kStable);
        if (points.erase(id) == 1) {
          ASSERT_TRUE(index.Delete(id));
        } else {
          points[id] = random() % rows.size();
          ASSERT_TRUE(index.Insert(id, rows[points[id]]));
        }
        const ExternalId moved = random() % kStable;  // To another slot, as it is.
        ASSERT_TRUE(index.Upsert(moved, rows[moved]));
        const ExternalId changed = kStable + random() % kStable;
        if (points.contains(changed)) {
          points[changed] = random() % rows.size();
          ASSERT_TRUE(index.Upsert(changed, rows[points[changed]]));
        }
      }
      if (page % 16 == 0) {
        ASSERT_TRUE(index.Compact());
      }
    }
    for (ExternalId id = 0; id < kStable; ++id)
      if (accepts(id)) {
        EXPECT_EQ(ids.count(id), 1u) << id;
      }
    EXPECT_LE(pages.MemoryBytes(), 100 * 4 * kPoints + (1 << 18));
  }
  EXPECT_GE(found, .97 * expected);
}

INSTANTIATE_TEST_SUITE_P(Cases, PagesWhilePoints,
                         ::testing::Values(PageCase{Code::kFull, 0}, PageCase{Code::kSq8, 0},
                                           PageCase{Code::kFull, 3}, PageCase{Code::kFull, 50}),
                         [](const auto& each) {
                           return std::string(CodeName(each.param.code)) + "_" +
                                  std::to_string(each.param.divisor);
                         });

TEST(Pages, HoldNoGuardBetweenThem) {
  const Rows rows = RandomRows(3000, 80);
  Index index = Filled(rows);
  Pages pages = *index.SearchPages(rows[0], {});
  ASSERT_EQ(pages.Next()->size(), 10u);
  // What an hour has: memory of deleted points comes back, however many there are.
  const uint64_t epoch = index.Diagnostics().epoch;
  const uint64_t slots = index.Stats().slots_used;
  for (size_t round = 0; round < 5; ++round)
    for (ExternalId id = 1000; id < 2000; ++id) {
      ASSERT_TRUE(index.Delete(id));
      ASSERT_TRUE(index.Insert(id, rows[id]));
    }
  EXPECT_GT(index.Diagnostics().epoch, epoch + 25);
  EXPECT_EQ(index.Diagnostics().oldest_pin, index.Diagnostics().epoch);
  EXPECT_LT(index.Stats().slots_used, slots + 500);
  ASSERT_TRUE(index.Clear());
  ASSERT_TRUE(index.Compact());
  EXPECT_TRUE(pages.Next()->empty());
}

TEST(Pages, GoOnAfterAPredicateHasThrown) {
  const Rows rows = RandomRows(5000, 81);
  const Index index = Filled(rows);
  std::mt19937_64 random(82);
  bool throws = false;
  const Filter filter =
      Filter::Where([&](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
        if (throws && random() % 4 == 0) throw std::runtime_error("no such table");
        for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 2 == 0 ? 1 : 0;
      });
  Pages pages = *index.SearchPages(rows[0], {.k = 20, .filter = &filter});
  std::set<ExternalId> found;
  size_t errors = 0;
  for (;;) {
    throws = !throws;
    const auto hits = pages.Next();
    if (!hits) {
      EXPECT_THAT(hits.error().message, HasSubstr("no such table"));
      ++errors;
      continue;
    }
    if (hits->empty()) break;
    for (const Hit& hit : *hits) EXPECT_TRUE(found.insert(hit.id).second);
  }
  EXPECT_GT(errors, 0u);
  EXPECT_EQ(found.size(), 2500u);
}

TEST(Pages, BesideWritersAreDisjoint) {
  constexpr size_t kPoints = 3000, kStable = 1500;
  const Rows rows = RandomRows(kPoints, 83);
  Index index = Filled(rows);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937_64 random(84);
    while (!stop) {
      const ExternalId id = kStable + random() % (kPoints - kStable);
      if (!index.Delete(id)) (void)index.Insert(id, rows[id]);
      const ExternalId moved = random() % kStable;
      (void)index.Upsert(moved, rows[moved]);
    }
  });
  const Filter filter = IsMultipleOf(3);
  for (const Filter* used : {static_cast<const Filter*>(nullptr), &filter})
    for (size_t q = 0; q < 4; ++q) {
      Pages pages = *index.SearchPages(rows[q], {.k = 50, .filter = used});
      std::set<ExternalId> ids;
      for (auto hits = pages.Next(); hits && !hits->empty(); hits = pages.Next())
        for (const Hit& hit : *hits) EXPECT_TRUE(ids.insert(hit.id).second);
      for (ExternalId id = 0; id < kStable; ++id)
        if (used == nullptr || id % 3 == 0) {
          EXPECT_EQ(ids.count(id), 1u) << id;
        }
    }
  stop = true;
  writer.join();
}

TEST(Pages, OfAnEmptyIndexAreEmpty) {
  const Index index = *Index::Create({.dim = kDim});
  const std::vector<float> query(kDim);
  EXPECT_TRUE(index.SearchPages(query, {})->Next()->empty());
  EXPECT_FALSE(index.SearchPages(query, {.k = 0}));
  EXPECT_FALSE(index.SearchPages(std::vector<float>(3), {}));
  std::vector<ExternalId> ids(2);
  std::vector<float> distances(1);
  EXPECT_THAT(index.SearchPages(query, {})->Next(ids, distances).error().message,
              HasSubstr("distances: expected room for 2, found 1"));
}

}  // namespace
}  // namespace shoal
