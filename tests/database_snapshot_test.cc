// Snapshots of a database: sorted runs of the log, and searches with filters.
#include <algorithm>
#include <stdexcept>

#include "database_fixture.h"
#include "shoal/filter.h"

namespace shoal {
namespace {

// Runs of all sizes, some of them merged; a pass drops those of the commits before it.
// No point comes or goes: the pass of Refine writes the lists nevertheless.
TEST_F(DatabaseTest, RefineRenewsTheListsOnDisk) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", {.dim = kDim, .max_degree = 8});
  for (ExternalId id = 0; id < 600; ++id) ExpectGood(index.Insert(id, Random()));
  ExpectGood(database.Pass());
  const DatabaseSnapshot before = Snapshot();
  ExpectGood(index.Refine({.threads = 1}));
  const DatabaseSnapshot after = Snapshot();
  ExpectSame(index.live(), after);
  const SearchOptions search = {.k = 10, .search_list_size = 10};
  std::vector<ExternalId> ids(search.k), same(search.k);
  WorkCounters work_before, work_after;
  for (int i = 0; i < 50; ++i) {
    const Vector query = Random();
    ASSERT_TRUE(before.Search(query, search, ids, {}, &work_before));
    ASSERT_TRUE(after.Search(query, search, ids, {}, &work_after));
    ASSERT_TRUE(index.live().Search(query, search, same, {}));
    EXPECT_EQ(ids, same);
  }
  EXPECT_NE(work_before.distances, work_after.distances);
}

TEST_F(DatabaseTest, SortedRunsHoldWhatTheLogHas) {
  Database database = Open({.pass_percent = 1000, .least_changes = 1u << 20});
  StoredIndex index =
      *database.CreateIndex("a", {.dim = kDim, .max_degree = 4, .build_list_size = 8});
  ExternalId next = 0;
  const auto add = [&](ExternalId n) {
    Transaction change = *database.Begin();
    if (next > 0) ExpectGood(change.Delete(index, next - 1));
    for (ExternalId i = 0; i < n; ++i) ExpectGood(change.Insert(index, next++, Random()));
    ExpectGood(change.Commit());
    const DatabaseSnapshot snapshot = Snapshot();
    EXPECT_EQ(snapshot.size(), index.live().size());
    ExpectGood(snapshot.Verify());
  };
  for (int i = 0; i < 20; ++i) add(i == 10 ? 3000 : 1030);
  const uint64_t before = database.Stat()->log_bytes;
  ExpectGood(database.Pass());
  EXPECT_LT(database.Stat()->log_bytes, before / 10);
  add(100);
  const Vector v = Random();
  ExpectGood(index.Insert(next, v));
  EXPECT_EQ((*Snapshot().Search(v, {.k = 1}))[0].id, next);
}

// 3,000 points, of which the last pass has half; one in ten is deleted.
class FilteredSnapshotTest : public DatabaseTest {
 protected:
  FilteredSnapshotTest() {
    Database database = Open({.least_changes = 1u << 20});
    StoredIndex index = *database.CreateIndex("a", kOptions);
    const auto add = [&](ExternalId first, ExternalId end) {
      Transaction change = *database.Begin();
      for (ExternalId id = first; id < end; ++id)
        ExpectGood(change.Insert(index, id, vectors_.emplace_back(Random())));
      ExpectGood(change.Commit());
    };
    add(0, 1500);
    ExpectGood(database.Pass());
    add(1500, 3000);
    for (ExternalId id = 0; id < 3000; id += 10) ExpectGood(index.Delete(id));
    ExpectGood(database.Flush());
  }
  // The k nearest that `accepts`, one by one.
  template <class Accepts>
  std::vector<ExternalId> Nearest(const Vector& query, size_t k, const Accepts& accepts) const {
    std::vector<std::pair<float, ExternalId>> all;
    for (ExternalId id = 0; id < vectors_.size(); ++id) {
      if (id % 10 == 0 || !accepts(id)) continue;
      float sum = 0;
      for (uint32_t i = 0; i < kDim; ++i)
        sum += (query[i] - vectors_[id][i]) * (query[i] - vectors_[id][i]);
      all.emplace_back(sum, id);
    }
    std::sort(all.begin(), all.end());
    std::vector<ExternalId> ids;
    for (size_t i = 0; i < std::min(k, all.size()); ++i) ids.push_back(all[i].second);
    return ids;
  }
  // All hits are accepted, and 95 % of the k nearest are among them.
  template <class Accepts>
  void ExpectFound(const Filter& filter, const Accepts& accepts) {
    const DatabaseSnapshot snapshot = Snapshot();
    size_t found = 0, wanted = 0;
    for (int i = 0; i < 30; ++i) {
      const Vector query = Random();
      const auto hits =
          snapshot.Search(query, {.k = 10, .search_list_size = 100, .filter = &filter});
      ASSERT_TRUE(hits) << hits.error().message;
      const std::vector<ExternalId> truth = Nearest(query, 10, accepts);
      ASSERT_EQ(hits->size(), truth.size());
      wanted += truth.size();
      for (const Hit& hit : *hits) {
        EXPECT_TRUE(accepts(hit.id)) << hit.id;
        found += std::find(truth.begin(), truth.end(), hit.id) != truth.end() ? 1 : 0;
      }
    }
    EXPECT_GE(found, wanted * 95 / 100);
  }
  static Filter Multiples(ExternalId of) {
    std::vector<ExternalId> ids;
    for (ExternalId id = 0; id < 4000; id += of) ids.push_back(id);
    return Filter::Ids(ids);
  }

  std::vector<Vector> vectors_;
};

TEST_F(FilteredSnapshotTest, IdsAreTheOnlyHits) {
  for (const ExternalId of : {2u, 7u, 101u})
    ExpectFound(Multiples(of), [&](ExternalId id) { return id % of == 0; });
  ExpectFound(Filter::Not(Multiples(3)), [](ExternalId id) { return id % 3 != 0; });
}

TEST_F(FilteredSnapshotTest, PredicateIsAskedForEachHit) {
  const Filter odd =
      Filter::Where([](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
        for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 2;
      });
  ExpectFound(odd, [](ExternalId id) { return id % 2 == 1; });
  ExpectFound(Filter::All({odd, Multiples(3)}), [](ExternalId id) { return id % 6 == 3; });
  const auto hits = Snapshot().RangeSearch(vectors_[1], {.radius = 1e9f, .filter = &odd});
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->size(), 1500u);
}

TEST_F(FilteredSnapshotTest, WhatCannotBeAnsweredIsAnError) {
  const Filter label = Filter::Label(1);
  const auto by_label = Snapshot().Search(vectors_[1], {.filter = &label});
  ASSERT_FALSE(by_label);
  EXPECT_EQ(by_label.error().code, ErrorCode::kUnsupported);
  const Filter throws = Filter::Where(
      [](std::span<const ExternalId>, std::span<uint8_t>) { throw std::runtime_error("no"); });
  const auto thrown = Snapshot().Search(vectors_[1], {.filter = &throws});
  ASSERT_FALSE(thrown);
  EXPECT_EQ(thrown.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
