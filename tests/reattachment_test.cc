// Pinning and reattachment on small graphs whose guards are known edge by edge.
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
  // Deleted, and guarded by the start.
  SlotId Dying() {
    const SlotId p = Guarded();
    dying_.push_back(p);
    return p;
  }
  void Die() {
    for (const SlotId p : dying_) ASSERT_TRUE(lists_.MarkDeleted(slots_, p));
  }
  // What a repair does once p is released: nothing hangs on p any more.
  void Leave(SlotId p) {
    for (const SlotId u : lists_.Reverse(p)) lists_.Unlink(u, p);
    lists_.ClearRow(p);
  }
  void ExpectAllGuarded(const Ids& ids) {
    for (const SlotId v : ids) {
      EXPECT_FALSE(lists_.forest().IsSuspended(v)) << "slot " << v;
      EXPECT_GT(lists_.forest().ParentCount(v), 0u) << "slot " << v;
      for (const SlotId u : lists_.Reverse(v)) {
        EXPECT_TRUE(!lists_.forest().IsParent(u, v) || lists_.forest().CanBeParent(u, v))
            << u << " guards " << v;
      }
    }
    ExpectConsistent();
  }
  bool Release(SlotId p) {
    return reattachment_.Run(p, [&](SlotId v) {
      linked_.push_back(v);
      return lists_.Link(start_, v) == LinkResult::kLinked;
    });
  }

  Ids dying_, linked_;
  SubtreeReattachment reattachment_{lists_, slots_};
};

TEST_F(ReattachmentTest, WhomNobodyElseLeadsToGetsOneEdgeFromOutsideAndTheRestFollow) {
  const SlotId p = Dying();
  const Ids chain = Live(4);
  Link(p, chain[0]);
  for (size_t i = 0; i + 1 < chain.size(); ++i) Link(chain[i], chain[i + 1]);
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_THAT(linked_, ElementsAre(chain[0]));
  Leave(p);
  ExpectAllGuarded(chain);
}

// Births are those of the names: a guards b, and b would guard a if it were older. One by one, each
// finds the other whenever it is born anew.
TEST_F(ReattachmentTest, ThoseWhoWouldGuardEachOtherByTurnsNeedOneEdgeFromOutside) {
  const SlotId p = Dying();
  const SlotId a = Live(), b = Live(), c = Live();
  Link(p, a), Link(p, b), Link(p, c);
  Link(a, b), Link(b, a), Link(b, c), Link(c, b), Link(c, a);
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_EQ(linked_.size(), 1u);
  Leave(p);
  ExpectAllGuarded({a, b, c});
}

TEST_F(ReattachmentTest, WhoIsPointedAtFromOutsideNeedsNoEdgeThoughThatOneIsYounger) {
  const SlotId p = Dying();
  const SlotId a = Live(), b = Live();
  Link(p, a), Link(a, b);
  const SlotId young = Guarded();
  Link(young, b), Link(b, a);
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_THAT(linked_, IsEmpty());
  Leave(p);
  ExpectAllGuarded({a, b});
  EXPECT_TRUE(lists_.forest().IsParent(young, b));
  EXPECT_TRUE(lists_.forest().IsParent(b, a));
  EXPECT_FALSE(lists_.forest().IsParent(a, b));
  EXPECT_THAT(Row(a), ElementsAre(b)) << "no edge moves";
}

TEST_F(ReattachmentTest, WhoHasAnotherGuardIsLeftAlone) {
  const SlotId p = Dying(), other = Guarded();
  const SlotId a = Live();
  Link(p, a), Link(other, a);
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_EQ(reattachment_.reparented(), 0u);
  EXPECT_TRUE(lists_.forest().IsParent(other, a));
  EXPECT_FALSE(lists_.forest().IsParent(p, a));
  Leave(p);
  ExpectAllGuarded({a});
}

// Much of what hangs on the oldest is deleted, too: it is released with it, live points behind it
// get guards.
TEST_F(ReattachmentTest, DeletedPointsBetweenAreReleasedWithIt) {
  const SlotId p = Dying();
  const SlotId dead = Live(), deader = Live(), a = Live();
  Link(p, dead), Link(dead, deader), Link(deader, a);
  dying_ = {p, dead, deader};
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_THAT(linked_, ElementsAre(a));
  for (const SlotId slot : dying_) {
    EXPECT_FALSE(lists_.forest().IsSuspended(slot));
    Ids refused;
    EXPECT_TRUE(lists_.forest().MoveToEnd(slot, refused)) << "released";
  }
  for (const SlotId slot : dying_) Leave(slot);
  ExpectAllGuarded({a});
}

// Where no edge can be had now, nobody loses anything, and the next call goes on.
TEST_F(ReattachmentTest, ACallThatCouldNotLinkLeavesAllThatHangOnItPinnedAndTheNextGoesOn) {
  const SlotId p = Dying();
  const SlotId a = Live(), b = Live();
  Link(p, a), Link(a, b), Link(b, a);
  Die();
  EXPECT_FALSE(reattachment_.Run(p, [](SlotId) { return false; }));
  EXPECT_THROW(reattachment_.Run(p, [](SlotId) -> bool { throw std::bad_alloc(); }),
               std::bad_alloc);
  for (const SlotId slot : {p, a, b}) EXPECT_TRUE(lists_.forest().IsSuspended(slot)) << slot;
  EXPECT_THAT(Replace(a, {}).dropped, IsEmpty()) << "b hangs on it";
  EXPECT_FALSE(lists_.forest().CanBeParent(a, b));
  ExpectConsistent();
  EXPECT_TRUE(Release(p));
  EXPECT_THAT(linked_, ElementsAre(a));
  Leave(p);
  ExpectAllGuarded({a, b});
}

TEST_F(ReattachmentTest, APinnedPointLosesNoGuardAndGuardsNobodyAnew) {
  const SlotId a = Guarded(), b = Guarded(), c = Live();
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
  EXPECT_EQ(lists_.forest().AdoptParents(c, in_), 0u) << "b is younger now";
  ExpectConsistent();
}

}  // namespace
}  // namespace shoal
