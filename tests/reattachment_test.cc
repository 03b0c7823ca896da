// Suspension and subtree re-attachment on small graphs whose parent edges are known one by one.
#include "store/reattachment.h"

#include <gmock/gmock.h>

#include "support/neighbors_fixture.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ReattachmentTest : public NeighborListsTest {
 protected:
  void Link(SlotId u, SlotId v) { ASSERT_EQ(lists_.Link(u, v), LinkResult::kLinked); }
  // A child of the start point that DeleteAll deletes.
  SlotId Doomed() {
    const SlotId p = Child();
    doomed_.push_back(p);
    return p;
  }
  void DeleteAll() {
    for (const SlotId p : doomed_) ASSERT_TRUE(lists_.MarkDeleted(slots_, p));
  }
  // What a repair does once p is childless.
  void Unlink(SlotId p) {
    for (const SlotId u : lists_.Reverse(p)) lists_.Unlink(u, p);
    lists_.ClearRow(p);
  }
  void ExpectAllHaveParents(const Ids& ids) {
    for (const SlotId v : ids) {
      EXPECT_FALSE(lists_.forest().IsSuspended(v)) << "slot " << v;
      EXPECT_GT(lists_.forest().ParentCount(v), 0u) << "slot " << v;
      for (const SlotId u : lists_.Reverse(v)) {
        EXPECT_TRUE(!lists_.forest().IsParent(u, v) || lists_.forest().CanBeParent(u, v))
            << u << " is a parent of " << v;
      }
    }
    ExpectConsistent();
  }
  bool Run(SlotId p) {
    return reattachment_.Run(p, [&](SlotId v) {
      linked_.push_back(v);
      return lists_.Link(start_, v) == LinkResult::kLinked;
    });
  }

  Ids doomed_, linked_;
  SubtreeReattachment reattachment_{lists_, slots_};
};

TEST_F(ReattachmentTest, AChainGetsOneEdgeFromOutsideAndTheRestFollow) {
  const SlotId p = Doomed();
  const Ids chain = Live(4);
  Link(p, chain[0]);
  for (size_t i = 0; i + 1 < chain.size(); ++i) Link(chain[i], chain[i + 1]);
  DeleteAll();
  EXPECT_TRUE(Run(p));
  EXPECT_THAT(linked_, ElementsAre(chain[0]));
  Unlink(p);
  ExpectAllHaveParents(chain);
}

// Ranks are in the order of the names: a is a parent of b, and b would be one of a if it came
// first. One by one, each finds the other whenever it is moved to the end.
TEST_F(ReattachmentTest, PointsThatWouldBeEachOthersParentsByTurnsNeedOneEdgeFromOutside) {
  const SlotId p = Doomed();
  const SlotId a = Live(), b = Live(), c = Live();
  Link(p, a), Link(p, b), Link(p, c);
  Link(a, b), Link(b, a), Link(b, c), Link(c, b), Link(c, a);
  DeleteAll();
  EXPECT_TRUE(Run(p));
  EXPECT_EQ(linked_.size(), 1u);
  Unlink(p);
  ExpectAllHaveParents({a, b, c});
}

TEST_F(ReattachmentTest, APointWithAnInNeighbourOutsideNeedsNoEdgeThoughThatFollowsIt) {
  const SlotId p = Doomed();
  const SlotId a = Live(), b = Live();
  Link(p, a), Link(a, b);
  const SlotId outside = Child();
  Link(outside, b), Link(b, a);
  DeleteAll();
  EXPECT_TRUE(Run(p));
  EXPECT_THAT(linked_, IsEmpty());
  Unlink(p);
  ExpectAllHaveParents({a, b});
  EXPECT_TRUE(lists_.forest().IsParent(outside, b));
  EXPECT_TRUE(lists_.forest().IsParent(b, a));
  EXPECT_FALSE(lists_.forest().IsParent(a, b));
  EXPECT_THAT(Row(a), ElementsAre(b)) << "no edge changes";
}

TEST_F(ReattachmentTest, APointWithAnotherParentIsLeftAlone) {
  const SlotId p = Doomed(), other = Child();
  const SlotId a = Live();
  Link(p, a), Link(other, a);
  DeleteAll();
  EXPECT_TRUE(Run(p));
  EXPECT_EQ(reattachment_.reparented(), 0u);
  EXPECT_TRUE(lists_.forest().IsParent(other, a));
  EXPECT_FALSE(lists_.forest().IsParent(p, a));
  Unlink(p);
  ExpectAllHaveParents({a});
}

// Some of the points that hang on p are deleted, too: they become childless with it, and live
// points behind them get parents.
TEST_F(ReattachmentTest, DeletedPointsBetweenBecomeChildlessWithIt) {
  const SlotId p = Doomed();
  const SlotId d = Live(), e = Live(), a = Live();
  Link(p, d), Link(d, e), Link(e, a);
  doomed_ = {p, d, e};
  DeleteAll();
  EXPECT_TRUE(Run(p));
  EXPECT_THAT(linked_, ElementsAre(a));
  for (const SlotId slot : doomed_) {
    EXPECT_FALSE(lists_.forest().IsSuspended(slot));
    Ids refused;
    EXPECT_TRUE(lists_.forest().MoveToEnd(slot, refused)) << "childless";
  }
  for (const SlotId slot : doomed_) Unlink(slot);
  ExpectAllHaveParents({a});
}

// Where no edge can be made now, no point loses anything, and the next call goes on.
TEST_F(ReattachmentTest, ACallThatCouldNotLinkLeavesTheSubtreeSuspendedAndTheNextGoesOn) {
  const SlotId p = Doomed();
  const SlotId a = Live(), b = Live();
  Link(p, a), Link(a, b), Link(b, a);
  DeleteAll();
  EXPECT_FALSE(reattachment_.Run(p, [](SlotId) { return false; }));
  EXPECT_THROW(reattachment_.Run(p, [](SlotId) -> bool { throw std::bad_alloc(); }),
               std::bad_alloc);
  for (const SlotId slot : {p, a, b}) EXPECT_TRUE(lists_.forest().IsSuspended(slot)) << slot;
  EXPECT_THAT(Replace(a, {}).dropped, IsEmpty()) << "b hangs on it";
  EXPECT_FALSE(lists_.forest().CanBeParent(a, b));
  ExpectConsistent();
  EXPECT_TRUE(Run(p));
  EXPECT_THAT(linked_, ElementsAre(a));
  Unlink(p);
  ExpectAllHaveParents({a, b});
}

TEST_F(ReattachmentTest, ASuspendedPointLosesNoParentAndGetsNoChild) {
  const SlotId a = Child(), b = Child(), c = Live();
  Link(a, b);
  lists_.forest().Suspend(b);
  EXPECT_THAT(Replace(a, {}).dropped, IsEmpty()) << "though b has two";
  Ids refused;
  EXPECT_FALSE(lists_.forest().MoveToEnd(a, refused));
  EXPECT_THAT(refused, ElementsAre(b));
  refused.clear();
  EXPECT_FALSE(lists_.forest().MoveToEnd(b, refused));
  EXPECT_THAT(refused, IsEmpty());
  Link(b, c);
  EXPECT_EQ(lists_.forest().ParentCount(c), 0u);
  EXPECT_EQ(lists_.forest().ParentCount(b), 2u);
  EXPECT_TRUE(lists_.forest().Resume(b, in_));
  EXPECT_EQ(lists_.forest().AdoptParents(c, in_), 0u) << "b follows c now";
  ExpectConsistent();
}

}  // namespace
}  // namespace shoal
