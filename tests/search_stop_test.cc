// A stop token ends one search: with the nearest of the points that it has met.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <stop_token>
#include <vector>

#include "shoal/database.h"
#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/pages.h"
#include "temp_folder.h"
#include "test_data.h"

namespace shoal {
namespace {

constexpr size_t kRows = 2000;
constexpr uint32_t kDim = 8;

class SearchStop : public testing::Test {
 protected:
  SearchStop() {
    for (size_t i = 0; i < kRows; ++i) ids_.push_back(i);
  }
  void Fill() {
    const auto report = index_.InsertMany(ids_, rows_.view());
    ASSERT_TRUE(report && report->done == kRows);
  }

  const test::Rows rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 9).Many(kRows);
  std::vector<ExternalId> ids_;
  Index index_ = *Index::Create({.dim = kDim, .max_degree = 16, .build_list_size = 32});
};

// Searches of points with the vectors `rows`: told to stop before it begins, and by its
// filter after two batches: hits of points that it has met, nearest first. A token that nobody asks
// to stop changes nothing.
template <class Searched>
void ExpectEndsSoon(const Searched& searched, const test::Rows& rows) {
  constexpr size_t kHits = 50;
  const auto expect_hits = [&](const std::vector<Hit>& hits) {
    for (size_t i = 0; i < hits.size(); ++i) {
      ASSERT_LT(hits[i].id, kRows);
      if (i > 0) {
        EXPECT_LE(hits[i - 1].distance, hits[i].distance);
      }
      EXPECT_NEAR(hits[i].distance,
                  test::Distance(Metric::kL2, rows.values(7), rows.values(hits[i].id)), 1e-4);
    }
  };
  std::stop_source early;
  early.request_stop();
  std::vector<ExternalId> ids(kHits);
  std::vector<float> distances(kHits);
  WorkCounters work;
  const Result<size_t> n =
      searched.Search(rows[7], {.k = kHits, .search_list_size = 200, .stop = early.get_token()},
                      ids, distances, &work);
  ASSERT_TRUE(n) << n.error().message;
  EXPECT_EQ(work.hops, 0u);
  EXPECT_LT(*n, kHits);
  const Result<std::vector<Hit>> few =
      searched.Search(rows[7], {.k = kHits, .search_list_size = 200, .stop = early.get_token()});
  ASSERT_TRUE(few);
  EXPECT_EQ(few->size(), *n);
  expect_hits(*few);

  std::stop_source midway;
  size_t calls = 0;
  const Filter filter =
      Filter::Where([&](std::span<const ExternalId>, std::span<uint8_t> accepted) {
        std::fill(accepted.begin(), accepted.end(), 1);
        if (++calls == 2) midway.request_stop();
      });
  const Result<std::vector<Hit>> some = searched.Search(
      rows[7],
      {.k = kHits, .search_list_size = 200, .filter = &filter, .stop = midway.get_token()});
  ASSERT_TRUE(some);
  EXPECT_EQ(calls, 2u);
  EXPECT_GT(some->size(), 0u);
  expect_hits(*some);

  const float all = 1e30f;
  const Result<std::vector<Hit>> within =
      searched.RangeSearch(rows[7], {.radius = all, .stop = early.get_token()}, nullptr);
  ASSERT_TRUE(within);
  EXPECT_LT(within->size(), kRows / 2);
  EXPECT_EQ(searched.RangeSearch(rows[7], {.radius = all}, nullptr)->size(), kRows);

  const std::stop_source never;
  const std::vector<Hit> whole = *searched.Search(rows[7], {.k = kHits});
  const std::vector<Hit> same = *searched.Search(rows[7], {.k = kHits, .stop = never.get_token()});
  ASSERT_EQ(whole.size(), same.size());
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(whole[i].id, same[i].id);
}

TEST_F(SearchStop, OfOneSearchGivesTheNearestThatItHasMet) {
  Fill();
  ExpectEndsSoon(index_, rows_);
  const TempFolder folder;
  ASSERT_TRUE(index_.Save(folder / "x"));
  ExpectEndsSoon(*IndexView::Open(folder / "x"), rows_);
  Database database = *Database::Open(folder / "db", {.sync = SyncLevel::kNone});
  const StoredIndex stored = *database.CreateIndex("a", index_.options());
  Transaction change = *database.Begin();
  ASSERT_TRUE(change.InsertMany(stored, ids_, rows_.view()));
  ASSERT_TRUE(change.Commit());
  ExpectEndsSoon(*DatabaseSnapshot::Open(folder / "db", "a"), rows_);

  Index coded =
      *Index::Create({.dim = kDim, .code = Code::kRq4, .max_degree = 16, .build_list_size = 32});
  ASSERT_TRUE(coded.InsertMany(ids_, rows_.view()));
  ExpectEndsSoon(coded, rows_);
  ASSERT_TRUE(coded.Save(folder / "coded"));
  ExpectEndsSoon(*IndexView::Open(folder / "coded"), rows_);
}

// Codes tell none of them apart, so that hits are sought once more, by the vectors.
TEST_F(SearchStop, OfASearchThatCodesDoNotTellKeepsWhatItHasMet) {
  std::vector<float> values(kRows * kDim, 100.f);
  std::mt19937 random(3);
  std::uniform_real_distribution<float> noise(-1e-3f, 1e-3f);
  for (float& value : values) value += noise(random);
  const MatrixView rows(std::span<const float>(values), kDim);
  Index index =
      *Index::Create({.dim = kDim, .code = Code::kRq4, .max_degree = 16, .build_list_size = 32});
  ASSERT_TRUE(index.InsertMany(ids_, rows));
  const TempFolder folder;
  ASSERT_TRUE(index.Save(folder / "x"));
  const IndexView view = *IndexView::Open(folder / "x");
  const auto expect_hits = [&](const auto& searched) {
    for (const size_t calls_before : {1u, 2u, 3u, 5u, 9u}) {
      std::stop_source source;
      size_t calls = 0;
      const Filter filter =
          Filter::Where([&](std::span<const ExternalId>, std::span<uint8_t> accepted) {
            std::fill(accepted.begin(), accepted.end(), 1);
            if (++calls == calls_before) source.request_stop();
          });
      const auto hits =
          searched.Search(rows[5], {.k = 10, .filter = &filter, .stop = source.get_token()});
      ASSERT_TRUE(hits);
      EXPECT_GT(hits->size(), 0u);
    }
    std::stop_source early;
    early.request_stop();
    EXPECT_GT(searched.Search(rows[5], {.k = 10, .stop = early.get_token()})->size(), 0u);
  };
  expect_hits(index);
  expect_hits(view);
}

TEST_F(SearchStop, OfASearchInPagesEndsItsPages) {
  Fill();
  for (const size_t max_per_label : {0u, 1u}) {
    std::stop_source source;
    Pages pages = *index_.SearchPages(
        rows_[3], {.k = 20, .max_per_label = max_per_label, .stop = source.get_token()});
    std::set<ExternalId> seen;
    for (const Hit& hit : *pages.Next()) EXPECT_TRUE(seen.insert(hit.id).second);
    EXPECT_EQ(seen.size(), 20u);
    source.request_stop();
    size_t later = 0;
    for (auto hits = pages.Next(); hits && !hits->empty(); hits = pages.Next(), ++later)
      for (const Hit& hit : *hits) EXPECT_TRUE(seen.insert(hit.id).second);
    EXPECT_LT(seen.size(), kRows / 2);
    EXPECT_GT(later, 0u);
  }
}

}  // namespace
}  // namespace shoal
