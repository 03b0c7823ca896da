#include "store/neighbors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>

#include "tests/test_data.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using LinkResult = NeighborLists::LinkResult;
using Ids = std::vector<SlotId>;

constexpr uint32_t kDegree = 4;

// A start point, slot 0, and lists over a slot table.
class NeighborListsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(slots_.Init(6));
    ASSERT_TRUE(lists_.Init(10));
    OwnedSlot start = std::move(*slots_.Acquire());
    lists_.ResetStart(start.id());
    start_ = std::move(start).Freeze();
  }

  OwnedSlot Owned() {
    OwnedSlot slot = std::move(*slots_.Acquire());
    lists_.Reset(slot.id());
    return slot;
  }
  // A live point with an empty list, younger than all before.
  SlotId Live() { return Owned().Publish(); }
  Ids Live(size_t n) {
    Ids ids;
    for (size_t i = 0; i < n; ++i) ids.push_back(Live());
    return ids;
  }

  Ids Row(SlotId u) {
    Ids row(kDegree);
    row.resize(lists_.Copy(u, row.data()));
    return row;
  }

  // Replaces u's row by `wanted`, pushing what is new to it, as prune does.
  NeighborLists::Replacement Replace(SlotId u, const Ids& wanted) {
    NeighborLists::Replacement replacement;
    replacement.version = lists_.Version(u);
    replacement.wanted = wanted;
    const Ids row = Row(u);
    for (const SlotId v : wanted) {
      if (std::find(row.begin(), row.end(), v) != row.end()) continue;
      EXPECT_EQ(lists_.Push(u, v), LinkResult::kLinked);
    }
    EXPECT_TRUE(lists_.Replace(u, replacement));
    for (const SlotId v : replacement.take_back) lists_.TakeBack(u, v);
    return replacement;
  }

  // What must hold at rest: reverse lists are the transpose, guards are counted, edges are.
  void ExpectConsistent() {
    std::vector<std::multiset<SlotId>> in(slots_.high_water());
    uint64_t edges = 0;
    for (SlotId u = 0; u < slots_.high_water(); ++u) {
      for (const SlotId v : Row(u)) in[v].insert(u), ++edges;
    }
    EXPECT_EQ(lists_.edges(), edges);
    for (SlotId v = 0; v < slots_.high_water(); ++v) {
      const Ids reverse = lists_.Reverse(v);
      EXPECT_EQ(std::multiset<SlotId>(reverse.begin(), reverse.end()), in[v]) << "slot " << v;
      const auto guards =
          std::count_if(in[v].begin(), in[v].end(), [&](SlotId u) { return lists_.Guards(u, v); });
      EXPECT_EQ(lists_.GuardCount(v), static_cast<uint32_t>(guards)) << "slot " << v;
    }
  }

  MemoryBudget budget_{0};
  EpochRegistry epochs_;
  NeighborLists lists_{budget_, slots_, kDegree};
  SlotTable slots_{budget_, epochs_, {&lists_.rows(), &lists_.meta()}};
  SlotId start_ = kNoSlot;
};

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

TEST_F(NeighborListsTest, AnOlderSlotGuardsAYoungerOneAndTheStartGuardsAll) {
  const SlotId a = Live(), b = Live();
  EXPECT_TRUE(lists_.Guards(a, b));
  EXPECT_FALSE(lists_.Guards(b, a));
  EXPECT_TRUE(lists_.Guards(start_, a));
  EXPECT_FALSE(lists_.Guards(a, start_));
  ASSERT_EQ(lists_.Link(b, a), LinkResult::kLinked);
  EXPECT_EQ(lists_.GuardCount(a), 0u);
  ASSERT_EQ(lists_.Link(start_, a), LinkResult::kLinked);
  EXPECT_EQ(lists_.GuardCount(a), 1u);
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_EQ(lists_.GuardCount(b), 1u);
}

TEST_F(NeighborListsTest, AgeIsOfTheTenantNotOfTheSlot) {
  std::optional<OwnedSlot> low = Owned();
  const SlotId other = Live();
  const SlotId slot = low->id();
  EXPECT_TRUE(lists_.Guards(slot, other));
  low.reset();
  EXPECT_EQ(Live(), slot);
  EXPECT_FALSE(lists_.Guards(slot, other));
  EXPECT_TRUE(lists_.Guards(other, slot));
}

TEST_F(NeighborListsTest, AFullRowRefusesAndLeavesNothingBehind) {
  const SlotId u = Live();
  const Ids others = Live(kDegree + 1);
  for (size_t i = 0; i < kDegree; ++i) ASSERT_EQ(lists_.Link(u, others[i]), LinkResult::kLinked);
  EXPECT_EQ(lists_.Link(u, others[kDegree]), LinkResult::kFull);
  EXPECT_THAT(lists_.Reverse(others[kDegree]), IsEmpty());
  EXPECT_EQ(lists_.GuardCount(others[kDegree]), 0u);
  EXPECT_EQ(lists_.Link(u, others[0]), LinkResult::kPresent) << "rather than full";
  ExpectConsistent();
}

TEST_F(NeighborListsTest, OnlyLiveSlotsGetEdges) {
  const SlotId live = Live();
  const OwnedSlot owned = Owned();
  EXPECT_EQ(lists_.Link(live, owned.id()), LinkResult::kNotLive);
  EXPECT_EQ(lists_.Link(live, start_), LinkResult::kNotLive) << "none into a start point";
  const SlotId deleted = Live();
  Ids in;
  ASSERT_TRUE(lists_.MarkDeleted(slots_, deleted, in));
  EXPECT_EQ(lists_.Link(live, deleted), LinkResult::kNotLive);
  EXPECT_EQ(lists_.Link(deleted, live), LinkResult::kNotLive);
  EXPECT_EQ(lists_.Link(owned.id(), live), LinkResult::kLinked) << "an owner links its own";
  EXPECT_EQ(lists_.Link(start_, live), LinkResult::kLinked);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, UnlinkTakesTheEdgeAndItsReverseEntry) {
  const SlotId u = Live();
  const Ids others = Live(3);
  for (const SlotId v : others) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  EXPECT_TRUE(lists_.Unlink(u, others[0]));
  EXPECT_FALSE(lists_.Unlink(u, others[0]));
  EXPECT_THAT(Row(u), UnorderedElementsAre(others[1], others[2]));
  EXPECT_THAT(lists_.Reverse(others[0]), IsEmpty());
  EXPECT_EQ(lists_.GuardCount(others[0]), 0u) << "repair may take the last guard";
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
  lists_.Reset(u);
  EXPECT_TRUE(moved());
}

TEST_F(NeighborListsTest, ReplaceRefusesARowThatHasMovedOnAndDoesNothing) {
  const SlotId u = Live();
  const Ids others = Live(3);
  ASSERT_EQ(lists_.Link(u, others[0]), LinkResult::kLinked);
  NeighborLists::Replacement replacement;
  replacement.version = lists_.Version(u);
  const Ids wanted{others[1]};
  replacement.wanted = wanted;
  ASSERT_EQ(lists_.Push(u, others[1]), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u, others[2]), LinkResult::kLinked);  // Another thread's, meanwhile.
  EXPECT_FALSE(lists_.Replace(u, replacement));
  EXPECT_THAT(Row(u), ElementsAre(others[0], others[2]));
  EXPECT_THAT(replacement.take_back, IsEmpty());
  lists_.TakeBack(u, others[1]);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ReplaceWritesWhatIsWantedAndReportsTheRest) {
  const SlotId other_guard = Live(), u = Live();
  const Ids v = Live(4);
  for (const SlotId x : v) ASSERT_EQ(lists_.Link(other_guard, x), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u, v[0]), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u, v[1]), LinkResult::kLinked);
  const auto replacement = Replace(u, {v[2], v[1], v[3]});
  EXPECT_THAT(Row(u), UnorderedElementsAre(v[1], v[2], v[3]));
  EXPECT_THAT(replacement.take_back, ElementsAre(v[0]));
  EXPECT_THAT(replacement.added, UnorderedElementsAre(v[2], v[3]));
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ReplaceKeepsAnEdgeThatIsSomebodysLastGuard) {
  const SlotId u = Live();
  const Ids v = Live(2);
  ASSERT_EQ(lists_.Link(u, v[0]), LinkResult::kLinked);
  // A younger in-neighbour is no guard.
  ASSERT_EQ(lists_.Link(v[1], v[0]), LinkResult::kLinked);
  const auto replacement = Replace(u, {v[1]});
  EXPECT_THAT(Row(u), UnorderedElementsAre(v[0], v[1]));
  EXPECT_THAT(replacement.take_back, IsEmpty());
  // With a second guard it may go.
  ASSERT_EQ(lists_.Link(start_, v[0]), LinkResult::kLinked);
  EXPECT_THAT(Replace(u, {v[1]}).take_back, ElementsAre(v[0]));
  EXPECT_EQ(lists_.GuardCount(v[0]), 1u);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ARowFullOfLastGuardsRefusesTheNewOne) {
  const SlotId u = Live();
  const Ids old = Live(kDegree);
  for (const SlotId v : old) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  const SlotId fresh = Live();
  const auto replacement = Replace(u, {fresh});
  EXPECT_THAT(Row(u), ::testing::UnorderedElementsAreArray(old));
  EXPECT_THAT(replacement.take_back, ElementsAre(fresh));
  EXPECT_THAT(replacement.added, IsEmpty());
  ExpectConsistent();
}

TEST_F(NeighborListsTest, AYoungersEdgeIsDroppedWithoutAskingForGuards) {
  const SlotId old = Live(), young = Live();
  ASSERT_EQ(lists_.Link(young, old), LinkResult::kLinked);
  EXPECT_THAT(Replace(young, {}).take_back, ElementsAre(old));
  EXPECT_THAT(Row(young), IsEmpty());
  ExpectConsistent();
}

TEST_F(NeighborListsTest, ReplaceLeavesOutWhatWasDeletedSinceItWasPushed) {
  const SlotId u = Live();
  const Ids v = Live(2);
  NeighborLists::Replacement replacement;
  replacement.version = lists_.Version(u);
  replacement.wanted = v;
  for (const SlotId x : v) ASSERT_EQ(lists_.Push(u, x), LinkResult::kLinked);
  Ids in;
  ASSERT_TRUE(lists_.MarkDeleted(slots_, v[0], in));
  EXPECT_THAT(in, ElementsAre(u)) << "the deleter knows of the edge that may come";
  ASSERT_TRUE(lists_.Replace(u, replacement));
  EXPECT_THAT(Row(u), ElementsAre(v[1]));
  EXPECT_THAT(replacement.take_back, ElementsAre(v[0]));
  lists_.TakeBack(u, v[0]);
  ExpectConsistent();
}

TEST_F(NeighborListsTest, MarkDeletedNamesEveryInNeighbourOnce) {
  const SlotId v = Live();
  const Ids others = Live(20);
  for (const SlotId u : others) ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked);
  Ids in;
  ASSERT_TRUE(lists_.MarkDeleted(slots_, v, in));
  EXPECT_THAT(in, ::testing::UnorderedElementsAreArray(others));
  EXPECT_FALSE(lists_.MarkDeleted(slots_, v, in));
  EXPECT_EQ(in.size(), others.size());
}

TEST_F(NeighborListsTest, ThreadsThatLinkReplaceAndUnlinkLeaveItConsistent) {
  const Ids points = Live(40);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20000; ++i) {
        const SlotId u = points[random() % points.size()], v = points[random() % points.size()];
        if (u == v) continue;
        if (lists_.Link(u, v) != LinkResult::kFull) continue;
        NeighborLists::Replacement replacement;
        replacement.version = lists_.Version(u);
        Ids row(kDegree);
        row.resize(lists_.Copy(u, row.data()));
        if (std::find(row.begin(), row.end(), v) != row.end()) continue;
        if (lists_.Push(u, v) != LinkResult::kLinked) continue;
        const Ids wanted{v, row[0]};
        replacement.wanted = wanted;
        if (lists_.Replace(u, replacement)) {
          for (const SlotId x : replacement.take_back) lists_.TakeBack(u, x);
        } else {
          lists_.TakeBack(u, v);
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
