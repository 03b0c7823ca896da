// An index that is loaded from a file with many deleted points: their slots are theirs until a pass
// has written lists without them.
#include "database_fixture.h"

namespace shoal {
namespace {

constexpr DatabaseOptions kNoPass = {.pass_percent = 1000, .least_changes = 1u << 20};

// All lists name points that are deleted, and the start point's is full: a new point finds no
// parent until some of them are repaired.
TEST_F(DatabaseTest, IsOpenedAgainWhereAllThatListsNameIsDeleted) {
  constexpr ExternalId kIds = 12;
  {
    Database database = Open(kNoPass);
    StoredIndex index = *database.CreateIndex("a", {.dim = kDim, .max_degree = 6});
    for (int round = 0; round < 40; ++round)
      for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Upsert(id, Random()));
    ExpectGood(database.Pass());
    for (int round = 0; round < 4; ++round)
      for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Upsert(id, Random()));
  }
  for (const RepairPolicy repair : {RepairPolicy::kImmediate, RepairPolicy::kBackground}) {
    Database database = Open(kNoPass);
    Result<StoredIndex> index = database.OpenIndex("a", {.runtime = {.repair = repair}});
    ASSERT_TRUE(index) << index.error().message;
    ExpectSame(index->live(), Snapshot());
    EXPECT_EQ(index->live().Search(Random(), {.k = kIds})->size(), kIds);
  }
}

// Repairs that run while an index is loaded free no slot that is a deleted point's on disk.
TEST_F(DatabaseTest, SlotsThatAreDeadOnDiskAreNotUsedWhileAnIndexIsLoaded) {
  constexpr ExternalId kIds = 2000;
  {
    Database database = Open(kNoPass);
    StoredIndex index = *database.CreateIndex("a", kOptions);
    for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Insert(id, Random()));
    ExpectGood(database.Pass());
    for (ExternalId id = 0; id < kIds; id += 2) ExpectGood(index.Upsert(id, Random()));
  }
  const RuntimeOptions background{.repair = RepairPolicy::kBackground, .repair_share = 100};
  Database database = Open(kNoPass);
  StoredIndex index = *database.OpenIndex("a", {.runtime = background});
  const uint64_t slots = index.live().Stats().slots_used;
  for (ExternalId id = 0; id < 100; ++id) ExpectGood(index.Insert(kIds + id, Random()));
  EXPECT_EQ(index.live().Stats().slots_used, slots + 100);
  ExpectSame(index.live(), Snapshot());
  ExpectGood(database.Pass());
  ExpectSame(index.live(), Snapshot());
}

}  // namespace
}  // namespace shoal
