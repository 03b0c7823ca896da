#include "store/neighbors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "support/neighbors_fixture.h"
#include "support/store_fixture.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
TEST_F(NeighborListsTest, LinkAddsAnEdgeOnceAndCountsIt) {
  const SlotId a = Live(), b = Live();
  EXPECT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_EQ(lists_.Link(a, b), LinkResult::kPresent);
  EXPECT_EQ(lists_.Link(b, a), LinkResult::kLinked);
  EXPECT_THAT(Row(a), ElementsAre(b));
  EXPECT_THAT(lists_.Reverse(b), ElementsAre(a));
  EXPECT_EQ(lists_.edges(), 2u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, TheStartMayGuardAllAndAnOlderSlotThatHasAGuardAYoungerOne) {
  const SlotId a = Live(), b = Live();
  EXPECT_TRUE(lists_.forest().CanBeParent(start_, a));
  EXPECT_FALSE(lists_.forest().CanBeParent(a, start_));
  EXPECT_FALSE(lists_.forest().CanBeParent(a, b)) << "nobody guards it";
  ASSERT_EQ(lists_.Link(b, a), LinkResult::kLinked);
  EXPECT_EQ(lists_.forest().ParentCount(a), 0u);
  ASSERT_EQ(lists_.Link(start_, a), LinkResult::kLinked);
  EXPECT_TRUE(lists_.forest().IsParent(start_, a));
  EXPECT_EQ(lists_.forest().ParentCount(a), 1u);
  EXPECT_TRUE(lists_.forest().CanBeParent(a, b));
  EXPECT_FALSE(lists_.forest().CanBeParent(b, a)) << "younger";
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_TRUE(lists_.forest().IsParent(a, b));
  EXPECT_FALSE(lists_.forest().IsParent(b, a));
  EXPECT_EQ(lists_.forest().ParentCount(b), 1u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, AnEdgeOfASlotWithoutAGuardGuardsNobodyUntilItIsAdopted) {
  const SlotId a = Live(), b = Live();
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_FALSE(lists_.forest().IsParent(a, b));
  EXPECT_EQ(lists_.forest().AdoptParents(b, in_), 0u);
  ASSERT_EQ(lists_.Link(start_, a), LinkResult::kLinked);
  const uint32_t version = lists_.Version(a);
  EXPECT_EQ(lists_.forest().AdoptParents(b, in_), 1u);
  EXPECT_TRUE(lists_.forest().IsParent(a, b));
  EXPECT_EQ(lists_.Version(a), version) << "the row names the same slots";
  EXPECT_EQ(lists_.forest().AdoptParents(b, in_), 1u) << "once";
  ExpectConsistent();
}

TEST_F(NeighborListsTest, AgeIsOfTheTenantNotOfTheSlot) {
  const SlotId low = Guarded(), other = Guarded();
  EXPECT_TRUE(lists_.forest().CanBeParent(low, other));
  {
    const EpochRegistry::Guard guard = epochs_.Pin();
    ASSERT_TRUE(lists_.MarkDeleted(slots_, low));
    ASSERT_TRUE(lists_.Unlink(start_, low));
    ASSERT_TRUE(slots_.Retire(low, guard));
  }
  for (int i = 0; i < 4; ++i) slots_.Reclaim();
  ASSERT_EQ(Guarded(), low);
  EXPECT_FALSE(lists_.forest().CanBeParent(low, other));
  EXPECT_TRUE(lists_.forest().CanBeParent(other, low));
}

// --- MoveToEnd. Births are in the order of the names.

TEST_F(NeighborListsTest, RebirthMakesASlotTheYoungestSoThatAllWhoPointAtItMayGuardIt) {
  const SlotId a = Guarded(), b = Guarded();
  ASSERT_EQ(lists_.Link(b, a), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_TRUE(lists_.forest().IsParent(a, b));
  EXPECT_EQ(lists_.forest().ParentCount(a), 1u);
  ASSERT_TRUE(lists_.forest().MoveToEnd(a, in_));
  EXPECT_FALSE(lists_.forest().IsParent(a, b)) << "a is younger than b now";
  EXPECT_FALSE(lists_.forest().CanBeParent(a, b));
  EXPECT_EQ(lists_.forest().ParentCount(b), 1u);
  EXPECT_THAT(Row(a), ElementsAre(b)) << "no edge moves";
  EXPECT_EQ(lists_.forest().AdoptParents(a, in_), 2u);
  EXPECT_TRUE(lists_.forest().IsParent(b, a));
  ExpectConsistent();
}

TEST_F(NeighborListsTest, RebirthIsRefusedByThoseWhomTheSlotAloneGuardsAndCostsNobodyAGuard) {
  const SlotId a = Guarded(), b = Guarded(), c = Live();
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(a, c), LinkResult::kLinked);
  Ids refused;
  EXPECT_FALSE(lists_.forest().MoveToEnd(a, refused));
  EXPECT_THAT(refused, ElementsAre(c));
  EXPECT_TRUE(lists_.forest().IsParent(a, b));
  EXPECT_TRUE(lists_.forest().IsParent(a, c));
  EXPECT_TRUE(lists_.forest().CanBeParent(a, b)) << "as old as before";
  ASSERT_EQ(lists_.Link(start_, c), LinkResult::kLinked);
  refused.clear();
  EXPECT_TRUE(lists_.forest().MoveToEnd(a, refused));
  EXPECT_THAT(refused, IsEmpty());
  ExpectConsistent();
}

TEST_F(NeighborListsTest, TheLastGuardOfADeletedSlotGoesOnlyWhenItGuardsNobody) {
  const SlotId z = Guarded(), p = Live(), w = Live();
  ASSERT_EQ(lists_.Link(z, p), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(p, w), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, p));
  EXPECT_THAT(Replace(z, {}).dropped, IsEmpty()) << "p still guards w";
  Ids refused;
  EXPECT_FALSE(lists_.forest().MoveToEnd(p, refused));
  EXPECT_THAT(refused, ElementsAre(w));
  ASSERT_EQ(lists_.Link(z, w), LinkResult::kLinked);
  EXPECT_TRUE(lists_.forest().MoveToEnd(p, refused)) << "released";
  EXPECT_THAT(Replace(z, {w}).dropped, ElementsAre(p));
  EXPECT_EQ(lists_.forest().ParentCount(p), 0u);
  EXPECT_EQ(lists_.forest().ParentCount(w), 1u);
  lists_.ClearRow(p);
  EXPECT_EQ(lists_.forest().ParentCount(w), 1u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, AReleasedSlotGuardsNobodyEvenIfItIsGuardedAgain) {
  const SlotId z = Live(), p = Guarded(), w = Guarded();
  ASSERT_EQ(lists_.Link(z, p), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(p, w), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, p));
  ASSERT_TRUE(lists_.forest().MoveToEnd(p, in_));
  ASSERT_EQ(lists_.Link(start_, z), LinkResult::kLinked);
  EXPECT_EQ(lists_.forest().AdoptParents(p, in_), 2u);
  EXPECT_FALSE(lists_.forest().CanBeParent(p, w));
  EXPECT_EQ(lists_.forest().AdoptParents(w, in_), 1u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, AFullRowRefusesAndLeavesNothingBehind) {
  const SlotId u = Guarded();
  const Ids others = Live(kDegree + 1);
  for (size_t i = 0; i < kDegree; ++i) ASSERT_EQ(lists_.Link(u, others[i]), LinkResult::kLinked);
  EXPECT_EQ(lists_.Link(u, others[kDegree]), LinkResult::kFull);
  EXPECT_THAT(lists_.Reverse(others[kDegree]), IsEmpty());
  EXPECT_EQ(lists_.forest().ParentCount(others[kDegree]), 0u);
  EXPECT_EQ(lists_.Link(u, others[0]), LinkResult::kPresent) << "rather than full";
  ExpectConsistent();
}

TEST_F(NeighborListsTest, OnlyLiveSlotsGetEdges) {
  const SlotId live = Live();
  const OwnedSlot owned = Owned();
  EXPECT_EQ(lists_.Link(live, owned.id()), LinkResult::kNotLive);
  EXPECT_EQ(lists_.Link(live, start_), LinkResult::kNotLive) << "none into a start point";
  const SlotId deleted = Live();
  ASSERT_TRUE(lists_.MarkDeleted(slots_, deleted));
  EXPECT_EQ(lists_.Link(live, deleted), LinkResult::kNotLive);
  EXPECT_EQ(lists_.Link(deleted, live), LinkResult::kNotLive);
  EXPECT_EQ(lists_.Link(owned.id(), live), LinkResult::kNotLive);
  EXPECT_THAT(Replace(owned.id(), {live}).added, ElementsAre(live)) << "an owner writes its row";
  EXPECT_EQ(lists_.Link(start_, live), LinkResult::kLinked);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, UnlinkTakesTheEdgeAndItsReverseEntry) {
  const SlotId u = Guarded();
  const Ids others = Live(3);
  for (const SlotId v : others) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  EXPECT_TRUE(lists_.Unlink(u, others[0]));
  EXPECT_FALSE(lists_.Unlink(u, others[0]));
  EXPECT_THAT(Row(u), UnorderedElementsAre(others[1], others[2]));
  EXPECT_THAT(lists_.Reverse(others[0]), IsEmpty());
  EXPECT_EQ(lists_.forest().ParentCount(others[0]), 0u) << "repair may take the last guard";
  ExpectConsistent();
}

// What Repair does with each row that names a deleted point.
TEST_F(NeighborListsTest, SwapPutsWhoComesInThePlaceOfWhoLeaves) {
  const SlotId u = Guarded();
  const Ids others = Live(3);
  const SlotId replacement = Live();
  for (const SlotId v : others) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, others[1]));
  ASSERT_EQ(lists_.AddBackLink(u, replacement), LinkResult::kLinked);
  EXPECT_TRUE(lists_.Swap(u, others[1], replacement));
  EXPECT_THAT(Row(u), ElementsAre(others[0], replacement, others[2]));
  EXPECT_THAT(lists_.Reverse(others[1]), IsEmpty());
  EXPECT_EQ(lists_.forest().ParentCount(replacement), 1u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, SwapTakesThePushBackWhereItWritesNoEdge) {
  const SlotId u = Guarded();
  const Ids others = Live(3);
  for (const SlotId v : others) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, others[0]));
  ASSERT_EQ(lists_.AddBackLink(u, others[1]), LinkResult::kLinked);
  EXPECT_TRUE(lists_.Swap(u, others[0], others[1])) << "the row has it";
  EXPECT_THAT(Row(u), UnorderedElementsAre(others[1], others[2]));
  const SlotId dying = Live();
  ASSERT_EQ(lists_.AddBackLink(u, dying), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, dying));
  ASSERT_TRUE(lists_.MarkDeleted(slots_, others[1]));
  EXPECT_TRUE(lists_.Swap(u, others[1], dying)) << "deleted since the push";
  EXPECT_THAT(Row(u), ElementsAre(others[2]));
  const SlotId replacement = Live();
  ASSERT_EQ(lists_.AddBackLink(u, replacement), LinkResult::kLinked);
  EXPECT_FALSE(lists_.Swap(u, others[1], replacement)) << "nobody leaves";
  EXPECT_THAT(Row(u), ElementsAre(others[2]));
  ExpectConsistent();
}

TEST_F(NeighborListsTest, EveryWriteMovesTheVersionAndNoRefusalDoes) {
  const SlotId u = Live();
  const Ids others = Live(kDegree + 1);
  uint32_t version = lists_.Version(u);
  const auto moved = [&] {
    const uint32_t before = std::exchange(version, lists_.Version(u));
    return version != before;
  };
  lists_.Link(u, others[0]);
  EXPECT_TRUE(moved());
  lists_.Link(u, others[0]);
  EXPECT_FALSE(moved()) << "present";
  lists_.Unlink(u, others[1]);
  EXPECT_FALSE(moved()) << "not there";
  lists_.Unlink(u, others[0]);
  EXPECT_TRUE(moved());
  Replace(u, {others[1], others[2]});
  EXPECT_TRUE(moved());
  lists_.ResetRow(u);
  EXPECT_TRUE(moved());
}

TEST_F(NeighborListsTest, ReplaceRefusesARowThatHasMovedOnAndDoesNothing) {
  const SlotId u = Live();
  const Ids others = Live(3);
  ASSERT_EQ(lists_.Link(u, others[0]), LinkResult::kLinked);
  NeighborLists::RowUpdate update;
  update.version = lists_.Version(u);
  const Ids wanted{others[1]};
  update.wanted = wanted;
  ASSERT_EQ(lists_.AddBackLink(u, others[1]), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u, others[2]), LinkResult::kLinked);  // Another thread's, meanwhile.
  EXPECT_FALSE(lists_.UpdateRow(u, update));
  EXPECT_THAT(Row(u), ElementsAre(others[0], others[2]));
  EXPECT_THAT(update.dropped, IsEmpty());
  lists_.RemoveBackLink(u, others[1]);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ReplaceWritesWhatIsWantedAndReportsTheRest) {
  const SlotId other_guard = Guarded(), u = Guarded();
  const Ids v = Live(4);
  for (const SlotId x : v) ASSERT_EQ(lists_.Link(other_guard, x), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u, v[0]), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u, v[1]), LinkResult::kLinked);
  const auto update = Replace(u, {v[2], v[1], v[3]});
  EXPECT_THAT(Row(u), UnorderedElementsAre(v[1], v[2], v[3]));
  EXPECT_THAT(update.dropped, ElementsAre(v[0]));
  EXPECT_THAT(update.added, UnorderedElementsAre(v[2], v[3]));
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ReplaceKeepsAnEdgeThatIsSomebodysLastGuard) {
  const SlotId u = Guarded();
  const Ids v = Live(2);
  ASSERT_EQ(lists_.Link(u, v[0]), LinkResult::kLinked);
  // A younger in-neighbour is no guard.
  ASSERT_EQ(lists_.Link(v[1], v[0]), LinkResult::kLinked);
  const auto update = Replace(u, {v[1]});
  EXPECT_THAT(Row(u), UnorderedElementsAre(v[0], v[1]));
  EXPECT_THAT(update.dropped, IsEmpty());
  // With a second guard it may go.
  ASSERT_EQ(lists_.Link(start_, v[0]), LinkResult::kLinked);
  EXPECT_THAT(Replace(u, {v[1]}).dropped, ElementsAre(v[0]));
  EXPECT_EQ(lists_.forest().ParentCount(v[0]), 1u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ARowFullOfLastGuardsRefusesTheNewOne) {
  const SlotId u = Guarded();
  const Ids old = Live(kDegree);
  for (const SlotId v : old) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  const SlotId fresh = Live();
  const auto update = Replace(u, {fresh});
  EXPECT_THAT(Row(u), ::testing::UnorderedElementsAreArray(old));
  EXPECT_THAT(update.dropped, ElementsAre(fresh));
  EXPECT_THAT(update.added, IsEmpty());
  ExpectConsistent();
}

TEST_F(NeighborListsTest, AYoungersEdgeIsDroppedWithoutAskingForGuards) {
  const SlotId old = Guarded(), young = Guarded();
  ASSERT_EQ(lists_.Link(young, old), LinkResult::kLinked);
  EXPECT_THAT(Replace(young, {}).dropped, ElementsAre(old));
  EXPECT_THAT(Row(young), IsEmpty());
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ReplaceLeavesOutWhatWasDeletedSinceItWasPushed) {
  const SlotId u = Live();
  const Ids v = Live(2);
  NeighborLists::RowUpdate update;
  update.version = lists_.Version(u);
  update.wanted = v;
  for (const SlotId x : v) ASSERT_EQ(lists_.AddBackLink(u, x), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, v[0]));
  EXPECT_THAT(lists_.Reverse(v[0]), ElementsAre(u)) << "the edge that may come is known";
  ASSERT_TRUE(lists_.UpdateRow(u, update));
  EXPECT_THAT(Row(u), ElementsAre(v[1]));
  EXPECT_THAT(update.dropped, ElementsAre(v[0]));
  lists_.RemoveBackLink(u, v[0]);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, TheReverseListOfADeletedSlotNamesEveryInNeighbourOnce) {
  const SlotId v = Live();
  const Ids others = Live(20);
  for (const SlotId u : others) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, v));
  EXPECT_THAT(lists_.Reverse(v), ::testing::UnorderedElementsAreArray(others));
  EXPECT_FALSE(lists_.MarkDeleted(slots_, v));
  EXPECT_EQ(lists_.AddBackLink(start_, v), LinkResult::kNotLive) << "it only shrinks";
  lists_.Reverse(v, in_);
  EXPECT_EQ(in_.size(), others.size());
}

// Slots behind the highest that is used lose their records, but not the chunks that these name.
TEST(NeighborListsMemory, ReverseListsOfTrimmedSlotsComeBack) {
  constexpr size_t kSlots = 200000;  // Their records take more than one huge page.
  testing::StoreFixture store(4, 64, 20);
  NeighborLists& lists = store.neighbors;
  uint64_t first = 0;
  for (int round = 0; round < 3; ++round) {
    {
      std::vector<OwnedSlot> owned;
      for (size_t i = 0; i < kSlots; ++i) {
        owned.push_back(std::move(*store.slots.Acquire()));
        lists.ResetRow(owned.back().id());
        ASSERT_TRUE(lists.ReserveReverse(owned.back().id()));
      }
    }
    if (round == 0) first = lists.ReverseBytes();
    EXPECT_EQ(lists.ReverseBytes(), first) << "round " << round;
    EXPECT_EQ(store.slots.Trim([&](SlotId slot) { lists.Forget(slot); }), kSlots);
  }
}

TEST_F(NeighborListsTest, ThreadsThatLinkReplaceAndUnlinkLeaveItConsistent) {
  const Ids points = Live(40);
  for (size_t i = 0; i < kDegree; ++i)
    ASSERT_EQ(lists_.Link(start_, points[i]), LinkResult::kLinked);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20000; ++i) {
        const SlotId u = points[random() % points.size()], v = points[random() % points.size()];
        if (u == v) continue;
        if (i % 16 == 0) TryRebirth(u);
        if (lists_.Link(u, v) != LinkResult::kFull) continue;
        NeighborLists::RowUpdate update;
        update.version = lists_.Version(u);
        Ids row(kDegree);
        row.resize(lists_.Copy(u, row.data()));
        if (std::find(row.begin(), row.end(), v) != row.end()) continue;
        if (lists_.AddBackLink(u, v) != LinkResult::kLinked) continue;
        const Ids wanted{v, row[0]};
        update.wanted = wanted;
        if (lists_.UpdateRow(u, update)) {
          for (const SlotId x : update.dropped) lists_.RemoveBackLink(u, x);
        } else {
          lists_.RemoveBackLink(u, v);
        }
        if (random() % 8 == 0) lists_.Unlink(points[random() % points.size()], v);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ExpectConsistent();
}

}  // namespace
}  // namespace shoal
