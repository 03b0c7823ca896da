// Pinning and settlement on small graphs whose guards are known edge by edge.
#include "store/settlement.h"

#include <gmock/gmock.h>

#include "support/neighbors_fixture.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class SettlementTest : public NeighborListsTest {
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
      EXPECT_FALSE(lists_.IsPinned(v)) << "slot " << v;
      EXPECT_GT(lists_.GuardCount(v), 0u) << "slot " << v;
      for (const SlotId u : lists_.Reverse(v)) {
        EXPECT_TRUE(!lists_.Guards(u, v) || lists_.MayGuard(u, v)) << u << " guards " << v;
      }
    }
    ExpectConsistent();
  }
  bool Release(SlotId p) {
    return settlement_.Release(p, [&](SlotId v) {
      linked_.push_back(v);
      return lists_.Link(start_, v) == LinkResult::kLinked;
    });
  }

  Ids dying_, linked_;
  Settlement settlement_{lists_, slots_};
};

TEST_F(SettlementTest, WhomNobodyElseLeadsToGetsOneEdgeFromOutsideAndTheRestFollow) {
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
TEST_F(SettlementTest, ThoseWhoWouldGuardEachOtherByTurnsNeedOneEdgeFromOutside) {
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

TEST_F(SettlementTest, WhoIsPointedAtFromOutsideNeedsNoEdgeThoughThatOneIsYounger) {
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
  EXPECT_TRUE(lists_.Guards(young, b));
  EXPECT_TRUE(lists_.Guards(b, a));
  EXPECT_FALSE(lists_.Guards(a, b));
  EXPECT_THAT(Row(a), ElementsAre(b)) << "no edge moves";
}

TEST_F(SettlementTest, WhoHasAnotherGuardIsLeftAlone) {
  const SlotId p = Dying(), other = Guarded();
  const SlotId a = Live();
  Link(p, a), Link(other, a);
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_EQ(settlement_.rebirths(), 0u);
  EXPECT_TRUE(lists_.Guards(other, a));
  EXPECT_FALSE(lists_.Guards(p, a));
  Leave(p);
  ExpectAllGuarded({a});
}

// Much of what hangs on the oldest is deleted, too: it is released with it, live points behind it
// get guards.
TEST_F(SettlementTest, DeletedPointsBetweenAreReleasedWithIt) {
  const SlotId p = Dying();
  const SlotId dead = Live(), deader = Live(), a = Live();
  Link(p, dead), Link(dead, deader), Link(deader, a);
  dying_ = {p, dead, deader};
  Die();
  EXPECT_TRUE(Release(p));
  EXPECT_THAT(linked_, ElementsAre(a));
  for (const SlotId slot : dying_) {
    EXPECT_FALSE(lists_.IsPinned(slot));
    Ids refused;
    EXPECT_TRUE(lists_.Rebirth(slot, refused)) << "released";
  }
  for (const SlotId slot : dying_) Leave(slot);
  ExpectAllGuarded({a});
}

// Where no edge can be had now, nobody loses anything, and the next call goes on.
TEST_F(SettlementTest, ACallThatCouldNotLinkLeavesAllThatHangOnItPinnedAndTheNextGoesOn) {
  const SlotId p = Dying();
  const SlotId a = Live(), b = Live();
  Link(p, a), Link(a, b), Link(b, a);
  Die();
  EXPECT_FALSE(settlement_.Release(p, [](SlotId) { return false; }));
  EXPECT_THROW(settlement_.Release(p, [](SlotId) -> bool { throw std::bad_alloc(); }),
               std::bad_alloc);
  for (const SlotId slot : {p, a, b}) EXPECT_TRUE(lists_.IsPinned(slot)) << slot;
  EXPECT_THAT(Replace(a, {}).take_back, IsEmpty()) << "b hangs on it";
  EXPECT_FALSE(lists_.MayGuard(a, b));
  ExpectConsistent();
  EXPECT_TRUE(Release(p));
  EXPECT_THAT(linked_, ElementsAre(a));
  Leave(p);
  ExpectAllGuarded({a, b});
}

TEST_F(SettlementTest, APinnedPointLosesNoGuardAndGuardsNobodyAnew) {
  const SlotId a = Guarded(), b = Guarded(), c = Live();
  Link(a, b);
  lists_.Pin(b);
  EXPECT_THAT(Replace(a, {}).take_back, IsEmpty()) << "though b has two";
  Ids refused;
  EXPECT_FALSE(lists_.Rebirth(a, refused));
  EXPECT_THAT(refused, ElementsAre(b));
  refused.clear();
  EXPECT_FALSE(lists_.Rebirth(b, refused));
  EXPECT_THAT(refused, IsEmpty());
  Link(b, c);
  EXPECT_EQ(lists_.GuardCount(c), 0u);
  EXPECT_EQ(lists_.GuardCount(b), 2u);
  EXPECT_TRUE(lists_.Unpin(b, in_));
  EXPECT_EQ(lists_.AdoptGuards(c, in_), 0u) << "b is younger now";
  ExpectConsistent();
}

}  // namespace
}  // namespace shoal
