#include "store/parent_forest.h"

#include <gmock/gmock.h>

#include "support/neighbors_fixture.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ParentForestTest : public NeighborListsTest {
 protected:
  ParentForest& forest_ = lists_.forest();
};

TEST_F(ParentForestTest, TheStartCanBeParentOfAllAndASlotWithAParentOfThoseOfHigherRank) {
  const SlotId a = Live(), b = Live();
  EXPECT_TRUE(forest_.CanBeParent(start_, a));
  EXPECT_FALSE(forest_.CanBeParent(a, start_));
  EXPECT_FALSE(forest_.CanBeParent(a, b)) << "it has no parent";
  ASSERT_EQ(lists_.Link(b, a), LinkResult::kLinked);
  EXPECT_EQ(forest_.ParentCount(a), 0u);
  ASSERT_EQ(lists_.Link(start_, a), LinkResult::kLinked);
  EXPECT_TRUE(forest_.IsParent(start_, a));
  EXPECT_EQ(forest_.ParentCount(a), 1u);
  EXPECT_TRUE(forest_.CanBeParent(a, b));
  EXPECT_FALSE(forest_.CanBeParent(b, a)) << "of higher rank";
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_TRUE(forest_.IsParent(a, b));
  EXPECT_FALSE(forest_.IsParent(b, a));
  EXPECT_EQ(forest_.ParentCount(b), 1u);
  ExpectConsistent();
}

TEST_F(ParentForestTest, AnEdgeOfASlotWithoutAParentIsNoParentEdgeUntilItIsAdopted) {
  const SlotId a = Live(), b = Live();
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_FALSE(forest_.IsParent(a, b));
  EXPECT_EQ(forest_.AdoptParents(b, in_), 0u);
  ASSERT_EQ(lists_.Link(start_, a), LinkResult::kLinked);
  const uint32_t version = lists_.Version(a);
  EXPECT_EQ(forest_.AdoptParents(b, in_), 1u);
  EXPECT_TRUE(forest_.IsParent(a, b));
  EXPECT_EQ(lists_.Version(a), version) << "the row names the same slots";
  EXPECT_EQ(forest_.AdoptParents(b, in_), 1u) << "once";
  ExpectConsistent();
}

TEST_F(ParentForestTest, ASlotGetsANewRankWhenItIsUsedAgain) {
  const SlotId low = Child(), other = Child();
  EXPECT_TRUE(forest_.CanBeParent(low, other));
  {
    const EpochRegistry::Guard guard = epochs_.Pin();
    ASSERT_TRUE(lists_.MarkDeleted(slots_, low));
    ASSERT_TRUE(lists_.Unlink(start_, low));
    ASSERT_TRUE(slots_.Retire(low, guard));
  }
  for (int i = 0; i < 4; ++i) slots_.Reclaim();
  ASSERT_EQ(Child(), low);
  EXPECT_FALSE(forest_.CanBeParent(low, other));
  EXPECT_TRUE(forest_.CanBeParent(other, low));
}

// --- MoveToEnd. Ranks are in the order of the names.

TEST_F(ParentForestTest, MoveToEndGivesTheHighestRankSoThatAllInNeighboursCanBeParents) {
  const SlotId a = Child(), b = Child();
  ASSERT_EQ(lists_.Link(b, a), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  EXPECT_TRUE(forest_.IsParent(a, b));
  EXPECT_EQ(forest_.ParentCount(a), 1u);
  ASSERT_TRUE(forest_.MoveToEnd(a, in_));
  EXPECT_FALSE(forest_.IsParent(a, b)) << "a follows b now";
  EXPECT_FALSE(forest_.CanBeParent(a, b));
  EXPECT_EQ(forest_.ParentCount(b), 1u);
  EXPECT_THAT(Row(a), ElementsAre(b)) << "no edge changes";
  EXPECT_EQ(forest_.AdoptParents(a, in_), 2u);
  EXPECT_TRUE(forest_.IsParent(b, a));
  ExpectConsistent();
}

TEST_F(ParentForestTest, MoveToEndIsRefusedForChildrenWithoutAnotherParentAndCostsNoneAParent) {
  const SlotId a = Child(), b = Child(), c = Live();
  ASSERT_EQ(lists_.Link(a, b), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(a, c), LinkResult::kLinked);
  Ids refused;
  EXPECT_FALSE(forest_.MoveToEnd(a, refused));
  EXPECT_THAT(refused, ElementsAre(c));
  EXPECT_TRUE(forest_.IsParent(a, b));
  EXPECT_TRUE(forest_.IsParent(a, c));
  EXPECT_TRUE(forest_.CanBeParent(a, b)) << "its rank is as before";
  ASSERT_EQ(lists_.Link(start_, c), LinkResult::kLinked);
  refused.clear();
  EXPECT_TRUE(forest_.MoveToEnd(a, refused));
  EXPECT_THAT(refused, IsEmpty());
  ExpectConsistent();
}

TEST_F(ParentForestTest, TheLastParentOfADeletedSlotGoesOnlyWhenItIsChildless) {
  const SlotId z = Child(), p = Live(), w = Live();
  ASSERT_EQ(lists_.Link(z, p), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(p, w), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, p));
  EXPECT_THAT(Replace(z, {}).dropped, IsEmpty()) << "p is still a parent of w";
  Ids refused;
  EXPECT_FALSE(forest_.MoveToEnd(p, refused));
  EXPECT_THAT(refused, ElementsAre(w));
  ASSERT_EQ(lists_.Link(z, w), LinkResult::kLinked);
  EXPECT_TRUE(forest_.MoveToEnd(p, refused)) << "childless";
  EXPECT_THAT(Replace(z, {w}).dropped, ElementsAre(p));
  EXPECT_EQ(forest_.ParentCount(p), 0u);
  EXPECT_EQ(forest_.ParentCount(w), 1u);
  lists_.ClearRow(p);
  EXPECT_EQ(forest_.ParentCount(w), 1u);
  ExpectConsistent();
}

TEST_F(ParentForestTest, AChildlessSlotGetsNoChildEvenIfItGetsAParentAgain) {
  const SlotId z = Live(), p = Child(), w = Child();
  ASSERT_EQ(lists_.Link(z, p), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(p, w), LinkResult::kLinked);
  ASSERT_TRUE(lists_.MarkDeleted(slots_, p));
  ASSERT_TRUE(forest_.MoveToEnd(p, in_));
  ASSERT_EQ(lists_.Link(start_, z), LinkResult::kLinked);
  EXPECT_EQ(forest_.AdoptParents(p, in_), 2u);
  EXPECT_FALSE(forest_.CanBeParent(p, w));
  EXPECT_EQ(forest_.AdoptParents(w, in_), 1u);
  ExpectConsistent();
}

}  // namespace
}  // namespace shoal
