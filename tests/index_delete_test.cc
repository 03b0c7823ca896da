// Delete, Upsert and what comes after them: what is gone is not found, what is left is, and the
// memory comes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "shoal/index.h"
#include "tests/print_types.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::IsEmpty;

Rows RandomRows(size_t n, size_t dim, uint64_t seed = 1) {
  return test::Generator(ScalarType::kFloat32, {.dim = dim}, seed).Many(n);
}

void ExpectWhole(const Index& index) {
  const Status structure = index.CheckStructure();
  EXPECT_TRUE(structure) << structure.error().message;
}

// How many of the ids are not found by their own vectors.
size_t Lost(const Index& index, const Rows& rows, std::span<const ExternalId> ids,
            size_t search_list_size = 64) {
  size_t lost = 0;
  for (const ExternalId id : ids) {
    const auto hits = index.Search(rows[id], {.k = 1, .search_list_size = search_list_size});
    lost += hits && hits->size() == 1 && hits->front().id == id ? 0 : 1;
  }
  return lost;
}

class Deleting : public ::testing::TestWithParam<RepairPolicy> {
 protected:
  Index Make(uint32_t dim, uint64_t memory_limit = 0) {
    return std::move(*Index::Create(
        {.dim = dim,
         .max_degree = 16,
         .build_list_size = 40,
         .runtime = {.memory_limit = memory_limit, .repair = GetParam(), .repair_threads = 2}}));
  }
  static void Fill(Index& index, const Rows& rows) {
    const auto ids = test::Iota(rows.size());
    ASSERT_EQ(index.InsertMany(ids, rows.view())->done, rows.size());
  }
};

std::string NameOf(const ::testing::TestParamInfo<RepairPolicy>& info) {
  if (info.param == RepairPolicy::kImmediate) return "immediate";
  return info.param == RepairPolicy::kBackground ? "background" : "manual";
}
INSTANTIATE_TEST_SUITE_P(All, Deleting,
                         ::testing::Values(RepairPolicy::kImmediate, RepairPolicy::kBackground,
                                           RepairPolicy::kManual),
                         NameOf);

TEST_P(Deleting, ADeletedPointIsNeverReturnedAndItsIdIsFreeAtOnce) {
  const Rows rows = RandomRows(500, 8);
  Index index = Make(8);
  Fill(index, rows);
  for (ExternalId id = 0; id < 500; id += 3) {
    ASSERT_TRUE(index.Delete(id));
    EXPECT_FALSE(index.Contains(id));
    float copy[8];
    EXPECT_EQ(index.Get(id, copy).error().code, ErrorCode::kNotFound);
    const Status again = index.Delete(id);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
    const auto hits = index.Search(rows[id], {.k = 500});
    for (const Hit& hit : *hits) ASSERT_NE(hit.id, id);
    if (id % 2 == 0) {
      ASSERT_TRUE(index.Insert(id, rows[id]));
      EXPECT_EQ(index.Insert(id, rows[id]).error().code, ErrorCode::kAlreadyExists);
      EXPECT_EQ(index.Search(rows[id], {.k = 1})->at(0).id, id);
    }
  }
  ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(index.Stats().pending_repairs, 0u);
  ExpectWhole(index);
}

// usearch #355: 500 points in and 500 out leave 448.
TEST_P(Deleting, AllCanGoAndComeBack) {
  constexpr size_t kN = 1200;
  const Rows rows = RandomRows(kN, 8);
  const auto ids = test::Iota(kN);
  Index index = Make(8);
  for (int round = 0; round < 3; ++round) {
    Fill(index, rows);
    ASSERT_EQ(index.DeleteMany(ids)->done, kN);
    EXPECT_EQ(index.size(), 0u);
    EXPECT_THAT(*index.Search(rows[0]), IsEmpty());
    EXPECT_THAT(*index.Ids(), IsEmpty());
    if (round == 1) {
      ASSERT_TRUE(index.Consolidate());
    }
  }
  Fill(index, rows);
  EXPECT_EQ(Lost(index, rows, ids), 0u);
  ExpectWhole(index);
  ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(Lost(index, rows, ids), 0u);
  ExpectWhole(index);
}

TEST_P(Deleting, AnEmptyIndexHasNothingToDelete) {
  Index index = Make(4);
  EXPECT_EQ(index.Delete(1).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(index.Consolidate());
  EXPECT_TRUE(index.Clear());
  EXPECT_TRUE(index.Compact());
  EXPECT_EQ(index.DeleteMany(std::array<ExternalId, 2>{1, 2})->failures.size(), 2u);
  EXPECT_THAT(*index.Ids(), IsEmpty());
  const std::array<float, 4> vector{1, 2, 3, 4};
  ASSERT_TRUE(index.Upsert(1, vector)) << "the first point";
  ASSERT_TRUE(index.Delete(1));
  EXPECT_THAT(*index.Search(vector), IsEmpty());
  ASSERT_TRUE(index.Insert(1, vector));
  EXPECT_EQ(index.Search(vector)->size(), 1u);
  ExpectWhole(index);
}

// The start point hangs on its first neighbours for ever: they go first, and the nearest to it.
TEST_P(Deleting, WhatIsNearTheStartCanGo) {
  constexpr size_t kN = 600;
  const Rows rows = RandomRows(kN, 6);
  Index index = Make(6);
  Fill(index, rows);
  std::set<ExternalId> left;
  for (ExternalId id = 0; id < kN; ++id) left.insert(id);
  while (left.size() > 20) {
    const auto hits = index.Search(rows[0], {.k = 20});  // Row 0 is or was near the start.
    ASSERT_EQ(hits->size(), 20u);
    for (const Hit& hit : *hits) {
      ASSERT_TRUE(index.Delete(hit.id));
      ASSERT_EQ(left.erase(hit.id), 1u);
    }
    ASSERT_EQ(Lost(index, rows, std::vector(left.begin(), left.end())), 0u);
  }
  ASSERT_TRUE(index.Consolidate());
  ExpectWhole(index);
}

TEST_P(Deleting, DeleteManyReportsWhatWasNotThere) {
  const Rows rows = RandomRows(100, 4);
  Index index = Make(4);
  Fill(index, rows);
  const std::vector<ExternalId> ids = {5, 500, 6, 5, 7, 501};
  size_t last = 0;
  const auto report =
      index.DeleteMany(ids, {.threads = 1, .progress = [&](size_t done, size_t total) {
                               EXPECT_EQ(total, ids.size());
                               last = done;
                             }});
  ASSERT_TRUE(report);
  EXPECT_EQ(last, ids.size());
  EXPECT_EQ(report->done, 3u);
  ASSERT_EQ(report->failures.size(), 3u);
  const size_t rows_that_failed[] = {1, 3, 5};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(report->failures[i].row, rows_that_failed[i]);
    EXPECT_EQ(report->failures[i].error.code, ErrorCode::kNotFound);
  }
  EXPECT_EQ(index.size(), 97u);
}

TEST_P(Deleting, UpsertMovesAPointAndInsertsWhatIsNotThere) {
  const Rows rows = RandomRows(400, 8), others = RandomRows(400, 8, 2);
  Index index = Make(8);
  for (ExternalId id = 0; id < 400; ++id) ASSERT_TRUE(index.Upsert(id, rows[id]));
  for (ExternalId id = 0; id < 400; id += 2) ASSERT_TRUE(index.Upsert(id, others[id]));
  EXPECT_EQ(index.size(), 400u);
  for (ExternalId id = 0; id < 400; ++id) {
    const VectorView now = id % 2 == 0 ? others[id] : rows[id];
    const auto hits = index.Search(now, {.k = 1});
    ASSERT_EQ(hits->at(0).id, id);
    EXPECT_LT(hits->at(0).distance, 1e-6f);
    float copy[8];
    ASSERT_TRUE(index.Get(id, copy));
    EXPECT_EQ(std::memcmp(copy, now.data(), sizeof(copy)), 0);
    if (id % 2 == 1) continue;
    const auto before = index.Search(rows[id], {.k = 400, .search_list_size = 400});
    EXPECT_EQ(before->size(), 400u);
    for (const Hit& hit : *before) {
      EXPECT_TRUE(hit.id != id || hit.distance > 1e-6f) << "its former vector";
    }
  }
  ASSERT_TRUE(index.Consolidate());
  ExpectWhole(index);
}

TEST_P(Deleting, ClearRemovesAllAndTheIndexIsAsGoodAsNew) {
  const Rows rows = RandomRows(800, 8);
  Index index = Make(8);
  for (int round = 0; round < 3; ++round) {
    Fill(index, rows);
    ASSERT_TRUE(index.Clear());
    EXPECT_EQ(index.size(), 0u);
    EXPECT_EQ(index.Stats().pending_repairs, 0u);
    EXPECT_EQ(index.Stats().edges, 0u);
  }
  Fill(index, rows);
  EXPECT_EQ(Lost(index, rows, test::Iota(800)), 0u);
  ExpectWhole(index);
}

// A repair of every deleted point would make room; here no thread repairs, and all rows that may
// guard the new point are full of deleted points' last guards.
TEST(DeletingLazily, AnInsertFindsAPlaceThoughOnlyDeletedPointsAreLeft) {
  const Rows rows = RandomRows(3000, 8);
  Index index = std::move(*Index::Create({.dim = 8,
                                          .max_degree = 4,
                                          .build_list_size = 10,
                                          .runtime = {.repair = RepairPolicy::kManual}}));
  const auto ids = test::Iota(2500);
  ASSERT_EQ(index.InsertMany(ids, rows.view().Slice(0, 2500))->done, 2500u);
  ASSERT_EQ(index.DeleteMany(ids)->done, 2500u);
  for (ExternalId id = 2500; id < 3000; ++id) {
    ASSERT_TRUE(index.Insert(id, rows[id]));
    ASSERT_EQ(index.Search(rows[id], {.k = 1})->size(), 1u);
  }
  ExpectWhole(index);
}

// hnswlib #321, pgvector #244: deleted points take places, and fewer than k come back.
TEST(DeletingLazily, ASearchAmongNineTenthsOfDeletedPointsReturnsKHits) {
  constexpr size_t kN = 10000;
  const Rows rows = RandomRows(kN, 16);
  Index index =
      std::move(*Index::Create({.dim = 16, .runtime = {.repair = RepairPolicy::kManual}}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view())->done, kN);
  std::vector<ExternalId> survivors;
  for (ExternalId id = 0; id < kN; ++id) {
    if (id % 10 == 3) {
      survivors.push_back(id);
    } else {
      ASSERT_TRUE(index.Delete(id));
    }
  }
  EXPECT_EQ(index.Stats().pending_repairs, kN - survivors.size());
  for (size_t i = 0; i < kN; i += 37)
    ASSERT_EQ(index.Search(rows[i], {.k = 10, .search_list_size = 20})->size(), 10u) << i;
  EXPECT_EQ(Lost(index, rows, survivors), 0u);
  ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(Lost(index, rows, survivors), 0u);
  ExpectWhole(index);
}

// --- Memory.

// The same graph in every run: a search may miss a point, and which is no matter of chance then.
const BatchOptions kOneThread{.threads = 1};

TEST(DeletingMemory, NineTenthsOfThePointsTakeMoreThanEightTenthsOfTheMemoryWithThem) {
  constexpr size_t kN = 40000, kDim = 128;
  const Rows rows = RandomRows(kN, kDim);
  Index index = std::move(*Index::Create({.dim = kDim, .build_list_size = 30}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view(), kOneThread)->done, kN);
  const uint64_t before = index.Stats().memory.total();
  std::vector<ExternalId> gone = test::Iota(kN), survivors;
  std::shuffle(gone.begin(), gone.end(), std::mt19937_64(1));
  survivors.assign(gone.begin(), gone.begin() + kN / 10);
  gone.erase(gone.begin(), gone.begin() + kN / 10);
  ASSERT_EQ(index.DeleteMany(gone, kOneThread)->done, gone.size());
  const auto returned = index.Compact(kOneThread);
  ASSERT_TRUE(returned);
  const MemoryBreakdown after = index.Stats().memory;
  RecordProperty("before", std::to_string(before));
  RecordProperty("after", std::to_string(after.total()));
  EXPECT_GT(*returned, before / 2);
  EXPECT_LE(after.total(), before / 5)
      << "vectors " << after.vectors << ", neighbors " << after.neighbors << ", reverse lists "
      << after.reverse_lists << ", slots " << after.slots << ", id map " << after.id_map
      << ", scratch " << after.scratch;
  // Unclustered data of 128 dimensions is as hard as data gets; reached is everybody.
  EXPECT_LE(Lost(index, rows, survivors, 400), 2u);
  ExpectWhole(index);
}

// Points that came first go first: their slots are in front of those of the points that stay.
TEST(DeletingMemory, OfThoseInTheMiddleComesBackWithoutCompact) {
  constexpr size_t kN = 8000, kDim = 512, kFirst = 1000, kLast = 7000;
  const Rows rows = RandomRows(kN, kDim);
  Index index = std::move(*Index::Create({.dim = kDim, .max_degree = 24, .build_list_size = 50}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view(), kOneThread)->done, kN);
  const uint64_t before = index.Stats().memory.vectors;
  std::vector<ExternalId> gone = test::Iota(kN);
  gone = {gone.begin() + kFirst, gone.begin() + kLast};
  ASSERT_EQ(index.DeleteMany(gone, kOneThread)->done, gone.size());
  ASSERT_TRUE(index.Consolidate(kOneThread));
  // 6,000 rows of 2 KB, but for the pages at both ends.
  EXPECT_LE(index.Stats().memory.vectors, before - (uint64_t{10} << 20));
  ExpectWhole(index);
  for (const ExternalId id : gone) ASSERT_TRUE(index.Insert(id, rows[id]));
  EXPECT_LE(index.Stats().memory.vectors, before);
  EXPECT_LE(Lost(index, rows, test::Iota(kN), 400), 8u);  // One in a thousand.
  ExpectWhole(index);
}

// usearch #726: memory never comes back.
TEST(DeletingMemory, IsFlatOverTwentyTurnovers) {
  constexpr size_t kN = 3000, kDim = 32;
  const Rows rows = RandomRows(kN, kDim);
  Index index = std::move(*Index::Create({.dim = kDim, .max_degree = 16, .build_list_size = 30}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view(), kOneThread)->done, kN);
  uint64_t first = 0;
  for (int turnover = 0; turnover < 20; ++turnover) {
    for (ExternalId id = 0; id < kN; ++id) {
      if (turnover % 2 == 0) {
        ASSERT_TRUE(index.Upsert(id, rows[(id + 1) % kN]));
      } else {
        ASSERT_TRUE(index.Delete(id));
        ASSERT_TRUE(index.Insert(id, rows[id]));
      }
    }
    if (turnover == 1) first = index.Stats().memory.total();
    if (turnover < 2) continue;
    EXPECT_LE(index.Stats().memory.total(), first + first / 20) << "turnover " << turnover;
    EXPECT_LE(index.Stats().slots_used, kN + 200);
  }
  EXPECT_EQ(Lost(index, rows, test::Iota(kN), 400), 0u);
  ExpectWhole(index);
}

// The oldest points of an index guard the next oldest, these the next, one alone each: a tree of
// tens of thousands, much of it deleted, too. A thread that insisted on releasing its root first
// did not come back.
TEST(DeletingTheOldest, OfAHundredThousandComesToAnEnd) {
  constexpr size_t kN = 100000, kDim = 8;
  const Rows rows = test::Generator(ScalarType::kUint8, {.dim = kDim, .clusters = 0}, 1).Many(kN);
  Index index = std::move(*Index::Create({.dim = kDim,
                                          .scalar_type = ScalarType::kUint8,
                                          .max_degree = 8,
                                          .build_list_size = 12,
                                          .runtime = {.repair = RepairPolicy::kManual}}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view(), kOneThread)->done, kN);
  ASSERT_TRUE(index.DeleteMany(test::Iota(kN / 10), kOneThread));
  ASSERT_TRUE(index.Consolidate(kOneThread));
  EXPECT_EQ(index.Stats().pending_repairs, 0u);
  EXPECT_LT(index.Diagnostics().reparented, 50 * kN);  // 7 a point when this was written.
  ExpectWhole(index);
}

// In data without clusters and with small lists hundreds guard each other, by turns, and all of
// them hang on one of the oldest. When that one goes, no Delete does more than each of them is
// worth: it took half a million reparented, walks through the whole index, and 25 seconds.
TEST(DeletingTheOldest, OfPointsThatGuardEachOtherByTurnsCostsWhatTheyAreWorth) {
  constexpr size_t kN = 12000, kDim = 200;
  const Rows rows = test::Generator(ScalarType::kUint8, {.dim = kDim, .clusters = 0}, 1).Many(kN);
  Index index = std::move(*Index::Create(
      {.dim = kDim, .scalar_type = ScalarType::kUint8, .max_degree = 16, .build_list_size = 12}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view(), kOneThread)->done, kN);
  uint64_t most = 0;
  for (ExternalId id = 0; id < kN / 4; ++id) {
    const uint64_t before = index.Diagnostics().reparented;
    ASSERT_TRUE(index.Delete(id));
    most = std::max(most, index.Diagnostics().reparented - before);
    ASSERT_EQ(index.Stats().pending_repairs, 0u) << id;
  }
  EXPECT_GT(most, kN / 100) << "nothing hung on any";
  EXPECT_LE(most, kN);
  EXPECT_LT(index.Diagnostics().reparented, 50 * kN / 4);
  EXPECT_LT(index.Diagnostics().relinked, kN / 4 / 5);
  ExpectWhole(index);
}

// At the limit an Upsert is refused, and leaves nothing behind, since its new slot comes first; a
// Delete makes room.
TEST(DeletingMemory, AtTheLimitADeleteMakesRoomAndAnUpsertThatIsRefusedLeavesTheOldVector) {
  constexpr size_t kDim = 256;
  const Rows rows = RandomRows(12000, kDim);
  Index index = std::move(*Index::Create({.dim = kDim,
                                          .max_degree = 8,
                                          .build_list_size = 10,
                                          .runtime = {.memory_limit = uint64_t{10} << 20}}));
  ExternalId n = 0;
  while (n < rows.size() && index.Insert(n, rows[n])) ++n;
  ASSERT_GT(n, 2000u);
  ASSERT_LT(n, rows.size() - 200);
  for (ExternalId id = 0; id < 50; ++id) {
    const Status upserted = index.Upsert(id, rows[id + 1]);
    ASSERT_FALSE(upserted);
    ASSERT_EQ(upserted.error().code, ErrorCode::kOutOfMemory);
    std::vector<float> copy(kDim);
    ASSERT_TRUE(index.Get(id, copy));
    ASSERT_EQ(std::memcmp(copy.data(), rows[id].data(), kDim * sizeof(float)), 0);
  }
  EXPECT_EQ(index.size(), n);
  ExpectWhole(index);
  for (ExternalId id = 0; id < 200; ++id) {
    ASSERT_TRUE(index.Delete(id));
    // Readers have to leave, three epochs long, before a slot is free.
    for (int tries = 0; !index.Insert(n + id, rows[n + id]); ++tries) ASSERT_LT(tries, 5);
  }
  EXPECT_EQ(index.size(), n);
  ExpectWhole(index);
}

TEST(Ids, GivesEachIdOnceWhileOthersUpsert) {
  constexpr size_t kN = 400;
  const Rows rows = RandomRows(kN, 8);
  Index index = std::move(*Index::Create({.dim = 8, .max_degree = 8, .build_list_size = 20}));
  ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view())->done, kN);
  std::atomic<bool> done{false};
  std::vector<std::thread> upserters;
  for (uint64_t t = 0; t < 2; ++t) {
    upserters.emplace_back([&, t] {
      std::mt19937_64 random(t);
      while (!done.load()) EXPECT_TRUE(index.Upsert(random() % kN, rows[random() % kN]));
    });
  }
  for (int i = 0; i < 200; ++i) {
    const auto ids = index.Ids();
    ASSERT_TRUE(ids);
    ASSERT_EQ(ids->size(), kN);
    ASSERT_EQ(std::set(ids->begin(), ids->end()).size(), kN);
    float copy[8];
    for (ExternalId id = 0; id < kN; id += 7) ASSERT_TRUE(index.Get(id, copy)) << id;
  }
  done = true;
  for (auto& thread : upserters) thread.join();
  ExpectWhole(index);
}

}  // namespace
}  // namespace shoal
