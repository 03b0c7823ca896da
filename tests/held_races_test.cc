// No thread waits for another for ever: a consolidation or a reattachment that stands still, a
// writer that stands still with a lock in its hand, deletes that never stop. Each test holds
// threads at sync points (support/sequencer.h) and lets everybody else do everything meanwhile.
// docs/peer_bugs.md says which bugs of other engines these are; docs/concurrency.md, promises 1, 6
// and 7, what is promised here.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "shoal/index.h"
#include "support/sequencer.h"
#include "support/told_points.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal::testing {
namespace {

// --- A consolidation that stands still, and one that is never done.

class HeldConsolidation : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr ExternalId kIds = 300;

  HeldConsolidation() {
    for (ExternalId id = 0; id < kIds; ++id) EXPECT_TRUE(index_.Insert(id, VectorOf(id, 0)));
  }
  Index index_ = *Index::Create({.dim = kDim,
                                 .max_degree = 8,
                                 .build_list_size = 20,
                                 .runtime = {.repair = RepairPolicy::kManual}});
  Sequencer sequencer_;
  TempFolder folder_;
};

// DiskANN's consolidation under its exclusive lock (searches at 2.6 a second meanwhile, #198), and
// its save; jvector #188, #483: a search meets a point that is being cleaned up.
TEST_P(HeldConsolidation, StopsNobody) {
  for (ExternalId id = 0; id < 100; ++id) ExpectGood(index_.Delete(id));
  sequencer_.Start("consolidate", [this] { ExpectGood(index_.Consolidate({.threads = 1})); });
  for (ExternalId stop = 0; stop < 10; ++stop) {
    ASSERT_TRUE(sequencer_.RunTo("consolidate", GetParam()));
    const ExternalId changed = 100 + stop, fresh = 1000 + stop;
    for (ExternalId id = 150; id < kIds; id += 10) {
      const auto hits = index_.Search(VectorOf(id, 0), {.k = 5, .search_list_size = kIds});
      ASSERT_TRUE(hits);
      EXPECT_EQ(hits->size(), 5u);
      EXPECT_EQ(hits->front().id, id);
      for (const Hit& hit : *hits) EXPECT_GE(hit.id, 100u) << "deleted";
    }
    ExpectGood(index_.Insert(fresh, VectorOf(fresh, 0)));
    ExpectGood(index_.Upsert(changed, VectorOf(changed, 1)));
    ExpectGood(index_.Delete(120 + stop));
    ExpectGood(index_.Insert(120 + stop, VectorOf(120 + stop, 1)));
    // It takes most edges to deleted points away, and so the points where the next stop would be.
    if (stop == 9) ExpectGood(index_.Refine({.threads = 1}));
    Vector vector{};
    ExpectGood(index_.Get(changed, vector));
    EXPECT_EQ(vector, VectorOf(changed, 1));
    EXPECT_EQ(index_.Ids()->size(), 201u + stop);
    EXPECT_TRUE(index_.RangeSearch(vector, {.radius = 0}));
    ExpectGood(index_.Save(folder_ / "x"));
    const auto saved = Index::Load(folder_ / "x");
    ASSERT_TRUE(saved) << saved.error().message;
    EXPECT_EQ(saved->size(), 201u + stop);
    ExpectGood(saved->CheckStructure());
  }
  ASSERT_TRUE(sequencer_.RunToEnd("consolidate"));
  ExpectGood(index_.Consolidate());
  EXPECT_EQ(index_.Stats().pending_repairs, 0u);
  ExpectGood(index_.CheckStructure());
}

INSTANTIATE_TEST_SUITE_P(At, HeldConsolidation,
                         ::testing::Values("repair.copied", "repair.before_replacing",
                                           "repair.before_commit", "repair.before_clearing"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

// pgvector #450 (a vacuum that was stopped after ten hours): Consolidate owes the points that were
// deleted when it was called. Here another one is deleted for each that it repairs.
TEST_F(HeldConsolidation, ComesToItsEndThoughPointsAreDeletedAllTheTime) {
  constexpr ExternalId kDeleted = 20;
  for (ExternalId id = 0; id < kDeleted; ++id) ExpectGood(index_.Delete(id));
  sequencer_.Start("consolidate", [this] { ExpectGood(index_.Consolidate({.threads = 1})); });
  ExternalId more = kDeleted;
  while (more < kIds && sequencer_.RunTo("consolidate", "repair.copied"))
    ExpectGood(index_.Delete(more++));
  EXPECT_LE(more, 3 * kDeleted) << "it goes on as long as others do";
  EXPECT_GE(more, 2 * kDeleted);
  EXPECT_LE(index_.Stats().pending_repairs, more - kDeleted);
  ExpectGood(index_.CheckStructure());
}

// A reattachment has pinned all that hangs on a deleted point, and stops: searches find those,
// inserts, upserts and deletes go on, of those, too. What they leave is settled later.
TEST(HeldSettlement, StopsNobody) {
  constexpr ExternalId kIds = 1500;
  constexpr size_t kWide = 64;
  const test::Rows rows =
      test::Generator(ScalarType::kFloat32, {.dim = kWide, .clusters = 0}, 1).Many(2 * kIds);
  Index index = std::move(*Index::Create({.dim = kWide,
                                          .max_degree = 6,
                                          .build_list_size = 8,
                                          .runtime = {.repair = RepairPolicy::kManual}}));
  for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Insert(id, rows[id]));
  ExternalId oldest = 0, youngest = kIds;
  Sequencer sequencer;
  int stops = 0;
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 50; ++i) ExpectGood(index.Delete(oldest++));
    const std::string name = "consolidate " + std::to_string(round);
    sequencer.Start(name, [&] { ExpectGood(index.Consolidate({.threads = 1})); });
    while (sequencer.RunTo(name, "reattachment.suspended")) {
      if (++stops % 4 != 0) continue;
      for (int i = 0; i < 4; ++i) {
        ExpectGood(index.Insert(youngest, rows[youngest]));
        ++youngest;
        ExpectGood(index.Delete(oldest++));
      }
      ExpectGood(index.Upsert(oldest, rows[oldest]));
      for (ExternalId id = oldest; id < youngest; id += 50) {
        const auto hits = index.Search(rows[id], {.k = 1, .search_list_size = kIds});
        ASSERT_TRUE(hits);
        ASSERT_EQ(hits->size(), 1u);
        EXPECT_EQ(hits->front().id, id);
      }
    }
  }
  EXPECT_GE(stops, 8) << "the data are such that much hangs on the oldest";
  ExpectGood(index.Consolidate());
  EXPECT_EQ(index.Stats().pending_repairs, 0u);
  ExpectGood(index.CheckStructure());
  for (ExternalId id = oldest; id < youngest; ++id)
    EXPECT_EQ(index.Search(rows[id], {.k = 1, .search_list_size = kIds})->front().id, id);
}

// --- A writer that stands still with a lock in its hand.

struct LockedWriter {
  const char* point;
  void (*write)(Index&);
};

void PrintTo(const LockedWriter& writer, std::ostream* out) { *out << writer.point; }

class HeldWriter : public ::testing::TestWithParam<LockedWriter> {};

// Promise 6, directly: were there one lock in a search that a writer holds, it would not return
// before the writer goes on, which it does not.
TEST_P(HeldWriter, StopsNoSearch) {
  constexpr ExternalId kIds = 300, kDeleted = 100;
  Index index = *Index::Create({.dim = kDim,
                                .max_degree = 8,
                                .build_list_size = 20,
                                .runtime = {.repair = RepairPolicy::kManual}});
  for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Insert(id, VectorOf(id, 0)));
  for (ExternalId id = 0; id < kDeleted; ++id) ExpectGood(index.Delete(id));
  Sequencer sequencer;
  sequencer.Start("writer", [&] { GetParam().write(index); });
  ASSERT_TRUE(sequencer.RunTo("writer", GetParam().point));
  sequencer.Start("searches", [&] {
    for (ExternalId id = kDeleted; id < kIds; id += 7) {
      const Vector query = VectorOf(id, 0);
      const auto hits = index.Search(query, {.k = 5, .search_list_size = kIds});
      ASSERT_TRUE(hits);
      ASSERT_EQ(hits->size(), 5u);
      for (const Hit& hit : *hits) EXPECT_GE(hit.id, kDeleted) << "deleted";
      const auto near = index.RangeSearch(query, {.radius = 0, .search_list_size = kIds});
      ASSERT_TRUE(near);
      ExternalId ids[1];
      uint32_t counts[1];
      const MatrixView one(std::span<const float>(query), kDim);
      ExpectGood(index.SearchMany(one, {.k = 1}, {.ids = ids, .distances = {}, .counts = counts}));
    }
  });
  EXPECT_TRUE(sequencer.RunToEnd("searches")) << "they wait for the writer";
  ASSERT_TRUE(sequencer.RunToEnd("writer"));
  ExpectGood(index.Consolidate());
  ExpectGood(index.CheckStructure());
}

void Consolidate(Index& index) { ExpectGood(index.Consolidate({.threads = 1})); }

INSTANTIATE_TEST_SUITE_P(
    At, HeldWriter,
    ::testing::Values(
        // Inside the slot table's mutex.
        LockedWriter{"acquire.locked",
                     [](Index& index) { ExpectGood(index.Insert(1000, VectorOf(1000, 0))); }},
        LockedWriter{"retire.locked", Consolidate}, LockedWriter{"trim.locked", Consolidate},
        // Inside an id's entry, and inside a list's lock.
        LockedWriter{"delete.marked", [](Index& index) { ExpectGood(index.Delete(200)); }},
        LockedWriter{"parents.before_drop",
                     [](Index& index) { ExpectGood(index.Refine({.threads = 1})); }}),
    [](const auto& suite) {
      std::string name = suite.param.point;
      std::replace(name.begin(), name.end(), '.', '_');
      return name;
    });

}  // namespace
}  // namespace shoal::testing
