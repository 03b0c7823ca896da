// Directed races: for every order of steps that is known to break a protocol of this kind, one test
// that drives the threads through exactly that order. docs/concurrency.md explains the protocols.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <string>
#include <thread>
#include <utility>

#include "support/sequencer.h"
#include "support/store_fixture.h"

namespace shoal::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using LinkResult = NeighborLists::LinkResult;

// --- Epochs and tags.

TEST(EpochRaceTest, AReaderThatIsLateWithItsClaimEndsAtTheCurrentEpoch) {
  EpochRegistry epochs;
  Sequencer sequencer;
  uint64_t pinned = 0;
  sequencer.Start("reader", [&] { pinned = epochs.Pin().epoch(); });
  ASSERT_TRUE(sequencer.RunTo("reader", "pin.before_claim"));  // It has loaded the epoch.
  ASSERT_TRUE(epochs.TryAdvance());
  ASSERT_TRUE(epochs.TryAdvance());
  ASSERT_TRUE(sequencer.RunTo("reader", "pin.after_claim"));
  EXPECT_FALSE(epochs.TryAdvance()) << "a cell with an old epoch must hold the epoch";
  ASSERT_TRUE(sequencer.RunToEnd("reader"));
  EXPECT_EQ(pinned, epochs.Current());
  EXPECT_TRUE(epochs.TryAdvance());
}

TEST(EpochRaceTest, AReaderThatTheScanMissedHoldsTheNextAdvance) {
  EpochRegistry epochs;
  Sequencer sequencer;
  bool advanced = false;
  sequencer.Start("advancer", [&] { advanced = epochs.TryAdvance(); });
  ASSERT_TRUE(sequencer.RunTo("advancer", "advance.before_bump"));  // No reader was there.
  const EpochRegistry::Guard reader = epochs.Pin();
  EXPECT_FALSE(epochs.TryAdvance()) << "one advances at a time";
  ASSERT_TRUE(sequencer.RunToEnd("advancer"));
  EXPECT_TRUE(advanced);
  EXPECT_EQ(reader.epoch() + 1, epochs.Current());
  EXPECT_FALSE(epochs.TryAdvance());
}

TEST(EpochRaceTest, EveryReaderOfALaterBlockOfCellsHoldsTheEpoch) {
  EpochRegistry epochs;
  std::deque<EpochRegistry::Guard> readers;
  for (int i = 0; i < 200; ++i) readers.push_back(epochs.Pin());
  ASSERT_TRUE(epochs.TryAdvance());
  while (!readers.empty()) {
    EXPECT_FALSE(epochs.TryAdvance());
    readers.pop_front();
  }
  EXPECT_TRUE(epochs.TryAdvance());
}

TEST(SlotRaceTest, RetiredSlotIsNotReusedWhileAnOlderReaderIsPinned) {
  StoreFixture store;
  const SlotId slot = store.Make();
  {
    const EpochRegistry::Guard reader = store.epochs.Pin();
    ASSERT_EQ(store.slots.tag(slot), Tag::kLive);
    ASSERT_TRUE(store.Remove(slot));
    for (int i = 0; i < 10; ++i) EXPECT_EQ(store.slots.Reclaim(), 0u);
    EXPECT_EQ(store.slots.tag(slot), Tag::kRetired);
    EXPECT_NE(store.Make(), slot);
  }
  size_t reclaimed = 0;
  for (int i = 0; i < 3; ++i) reclaimed += store.slots.Reclaim();
  EXPECT_EQ(reclaimed, 1u);
  EXPECT_EQ(store.Make(), slot);
}

// The order that needs three epochs and not two: the retirer is pinned at r, the epoch moves on,
// and only then a reader pins at r + 1 and still finds the slot readable.
TEST(SlotRaceTest, AReaderPinnedOneEpochAfterTheRetirerIsWaitedFor) {
  StoreFixture store;
  const SlotId slot = store.Make();
  std::optional<EpochRegistry::Guard> retirer(store.epochs.Pin());
  ASSERT_TRUE(store.epochs.TryAdvance());
  std::optional<EpochRegistry::Guard> reader(store.epochs.Pin());
  ASSERT_EQ(reader->epoch(), retirer->epoch() + 1);
  ASSERT_TRUE(IsReadable(store.slots.tag(slot)));
  ASSERT_TRUE(store.Mark(slot));
  ASSERT_TRUE(store.slots.Retire(slot, *retirer));
  retirer.reset();
  ASSERT_TRUE(store.epochs.TryAdvance());  // r + 2: the reader is pinned at r + 1, and holds it.
  EXPECT_EQ(store.slots.Reclaim(), 0u);
  EXPECT_EQ(store.slots.tag(slot), Tag::kRetired);
  reader.reset();
  EXPECT_EQ(store.slots.Reclaim(), 1u);
}

TEST(SlotRaceTest, OneOfTwoDeletersWinsAndOneOfTwoRetirers) {
  StoreFixture store;
  const SlotId slot = store.Make();
  const EpochRegistry::Guard guard = store.epochs.Pin();
  EXPECT_FALSE(store.slots.Retire(slot, guard)) << "live";
  EXPECT_TRUE(store.Mark(slot));
  EXPECT_FALSE(store.Mark(slot));
  EXPECT_TRUE(store.slots.Retire(slot, guard));
  EXPECT_FALSE(store.slots.Retire(slot, guard));
  EXPECT_EQ(store.slots.retired(), 1u);
}

// --- Edges.

class EdgeRaceTest : public ::testing::Test {
 protected:
  StoreFixture store_;
  // A guard, so that its edges to younger slots guard them.
  SlotId MakeGuarded() {
    const SlotId slot = store_.Make();
    EXPECT_EQ(lists_.Link(start_, slot), LinkResult::kLinked);
    return slot;
  }

  NeighborLists& lists_ = store_.neighbors;
  const SlotId start_ = store_.MakeStart();
  const SlotId u_ = MakeGuarded();
  const SlotId v_ = store_.Make();
  const SlotId w_ = store_.Make();
};

TEST_F(EdgeRaceTest, ADeleteBetweenPushAndRowLeavesNoEdgeAndNoPush) {
  Sequencer sequencer;
  LinkResult linked = LinkResult::kLinked;
  sequencer.Start("link", [&] {
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    linked = lists_.Link(u_, v_);
  });
  ASSERT_TRUE(sequencer.RunTo("link", "link.after_back_link"));
  ASSERT_TRUE(store_.Mark(v_));
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_)) << "the repairer must know the edge to come";
  store_.Repair(v_);
  ASSERT_TRUE(sequencer.RunToEnd("link"));
  EXPECT_EQ(linked, LinkResult::kNotLive);
  EXPECT_THAT(store_.Row(u_), IsEmpty());
  EXPECT_THAT(lists_.Reverse(v_), IsEmpty());
  EXPECT_EQ(lists_.forest().ParentCount(v_), 0u);
}

TEST_F(EdgeRaceTest, ASlotIsNotReusedWhileALinkToItsLastTenantIsUnderWay) {
  Sequencer sequencer;
  sequencer.Start("link", [&] {
    const EpochRegistry::Guard guard = store_.epochs.Pin();
    EXPECT_EQ(lists_.Link(u_, v_), LinkResult::kNotLive);
  });
  ASSERT_TRUE(sequencer.RunTo("link", "link.after_back_link"));
  ASSERT_TRUE(store_.Remove(v_));
  for (int i = 0; i < 10; ++i) store_.slots.Reclaim();
  EXPECT_NE(store_.Make(), v_);
  ASSERT_TRUE(sequencer.RunToEnd("link"));
  for (int i = 0; i < 3; ++i) store_.slots.Reclaim();
  EXPECT_THAT(lists_.Reverse(v_), IsEmpty()) << "before Reset: the pushes were taken back";
  EXPECT_EQ(store_.Make(), v_);
}

TEST_F(EdgeRaceTest, ADeletedSourceGetsNoEdge) {
  Sequencer sequencer;
  sequencer.Start("link", [&] { EXPECT_EQ(lists_.Link(u_, v_), LinkResult::kNotLive); });
  ASSERT_TRUE(sequencer.RunTo("link", "link.after_back_link"));
  ASSERT_TRUE(store_.Mark(u_));
  store_.Repair(u_);
  ASSERT_TRUE(sequencer.RunToEnd("link"));
  EXPECT_THAT(store_.Row(u_), IsEmpty());
  EXPECT_THAT(lists_.Reverse(v_), IsEmpty());
}

TEST_F(EdgeRaceTest, OfTwoLinksOfOneEdgeOneWritesItAndTheOtherTakesItsPushBack) {
  Sequencer sequencer;
  std::vector<LinkResult> results(2);
  sequencer.Start("a", [&] { results[0] = lists_.Link(u_, v_); });
  sequencer.Start("b", [&] { results[1] = lists_.Link(u_, v_); });
  ASSERT_TRUE(sequencer.RunTo("a", "link.after_back_link"));
  ASSERT_TRUE(sequencer.RunTo("b", "link.after_back_link"));
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_, u_));
  ASSERT_TRUE(sequencer.RunToEnd("b"));
  ASSERT_TRUE(sequencer.RunToEnd("a"));
  EXPECT_THAT(results, ElementsAre(LinkResult::kPresent, LinkResult::kLinked));
  EXPECT_THAT(store_.Row(u_), ElementsAre(v_));
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_));
  EXPECT_EQ(lists_.forest().ParentCount(v_), 1u);
}

// What breaks "row first, reverse list second": the remover erases the renewed entry.
TEST_F(EdgeRaceTest, ARemoverDoesNotEraseTheEntryOfAnEdgeThatWasJustRenewed) {
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  Sequencer sequencer;
  sequencer.Start("unlink", [&] { EXPECT_TRUE(lists_.Unlink(u_, v_)); });
  ASSERT_TRUE(sequencer.RunTo("unlink", "unlink.after_row"));
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  ASSERT_TRUE(sequencer.RunToEnd("unlink"));
  EXPECT_THAT(store_.Row(u_), ElementsAre(v_));
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_));
}

TEST_F(EdgeRaceTest, ADeleteBetweenTheTwoHalvesOfAnUnlinkRepairsNothingTwice) {
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  Sequencer sequencer;
  sequencer.Start("unlink", [&] { EXPECT_TRUE(lists_.Unlink(u_, v_)); });
  ASSERT_TRUE(sequencer.RunTo("unlink", "unlink.after_row"));
  ASSERT_TRUE(store_.Mark(v_));
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_));
  store_.Repair(v_);
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_)) << "that entry is the remover's to take";
  ASSERT_TRUE(sequencer.RunToEnd("unlink"));
  EXPECT_THAT(lists_.Reverse(v_), IsEmpty());
}

// --- Writes after a computation.

// A prune of u's row that begins now, with its copy, and wants `wanted` in the end.
NeighborLists::RowUpdate BeginPrune(const NeighborLists& lists, SlotId u,
                                    std::span<const SlotId> wanted) {
  NeighborLists::RowUpdate prune;
  prune.version = lists.Version(u);
  prune.wanted = wanted;
  return prune;
}

TEST_F(EdgeRaceTest, APruneDoesNotLoseAnEdgeThatCameAfterItsCopy) {
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  NeighborLists::RowUpdate prune = BeginPrune(lists_, u_, {});
  ASSERT_EQ(lists_.Link(u_, w_), LinkResult::kLinked);
  EXPECT_FALSE(lists_.UpdateRow(u_, prune));
  EXPECT_THAT(store_.Row(u_), UnorderedElementsAre(v_, w_));
}

TEST_F(EdgeRaceTest, APruneDoesNotBringBackAnEdgeThatWentAfterItsCopy) {
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, w_), LinkResult::kLinked);
  const std::vector<SlotId> wanted = {v_, w_};
  NeighborLists::RowUpdate prune = BeginPrune(lists_, u_, wanted);
  ASSERT_TRUE(store_.Remove(v_));
  EXPECT_FALSE(lists_.UpdateRow(u_, prune));
  EXPECT_THAT(store_.Row(u_), ElementsAre(w_));
}

TEST_F(EdgeRaceTest, APruneAddsNoEdgeToAPointThatDiedAfterThePush) {
  const std::vector<SlotId> wanted = {v_};
  NeighborLists::RowUpdate prune = BeginPrune(lists_, u_, wanted);
  ASSERT_EQ(lists_.AddBackLink(u_, v_), LinkResult::kLinked);
  ASSERT_TRUE(store_.Mark(v_));
  EXPECT_THAT(lists_.Reverse(v_), ElementsAre(u_));
  ASSERT_TRUE(lists_.UpdateRow(u_, prune));
  EXPECT_THAT(prune.dropped, ElementsAre(v_));
  EXPECT_THAT(store_.Row(u_), IsEmpty());
}

// --- Committed guards: edges from older slots that are guarded. Births are in the order u_, v_,
// w_.

TEST_F(EdgeRaceTest, TwoPrunesDoNotTakeAPointsLastTwoGuards) {
  ASSERT_EQ(lists_.Link(start_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, w_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(v_, w_), LinkResult::kLinked);
  Sequencer sequencer;
  std::vector<SlotId> dropped;
  const auto prune = [&](SlotId row) {
    NeighborLists::RowUpdate empty = BeginPrune(lists_, row, {});
    EXPECT_TRUE(lists_.UpdateRow(row, empty));
    for (const SlotId x : empty.dropped) {
      lists_.RemoveBackLink(row, x);
      dropped.push_back(row);
    }
  };
  sequencer.Start("a", [&] { prune(u_); });
  sequencer.Start("b", [&] { prune(v_); });
  ASSERT_TRUE(sequencer.RunTo("a", "parents.before_drop"));  // Both have seen 2.
  ASSERT_TRUE(sequencer.RunTo("b", "parents.before_drop"));
  ASSERT_TRUE(sequencer.RunToEnd("a"));
  ASSERT_TRUE(sequencer.RunToEnd("b"));
  EXPECT_THAT(dropped, ElementsAre(u_));
  EXPECT_THAT(store_.Row(v_), ElementsAre(w_));
  EXPECT_EQ(lists_.forest().ParentCount(w_), 1u);
  EXPECT_THAT(lists_.Reverse(w_), ElementsAre(v_));
}

TEST_F(EdgeRaceTest, TwoRebirthsDoNotTakeAPointsLastTwoGuards) {
  ASSERT_EQ(lists_.Link(start_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, w_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(v_, w_), LinkResult::kLinked);
  Sequencer sequencer;
  std::vector<SlotId> refused[2];
  bool reborn[2] = {false, false};
  sequencer.Start("a", [&] { reborn[0] = lists_.forest().MoveToEnd(u_, refused[0]); });
  sequencer.Start("b", [&] { reborn[1] = lists_.forest().MoveToEnd(v_, refused[1]); });
  ASSERT_TRUE(sequencer.RunTo("a", "parents.before_drop"));  // Both have seen 2.
  ASSERT_TRUE(sequencer.RunTo("b", "parents.before_drop"));
  ASSERT_TRUE(sequencer.RunToEnd("a"));
  ASSERT_TRUE(sequencer.RunToEnd("b"));
  EXPECT_THAT(reborn, ElementsAre(true, false));
  EXPECT_THAT(refused[1], ElementsAre(w_));
  EXPECT_FALSE(lists_.forest().IsParent(u_, w_));
  EXPECT_TRUE(lists_.forest().IsParent(v_, w_));
  EXPECT_EQ(lists_.forest().ParentCount(w_), 1u);
}

// The edge u_ -> v_ is about to be written while u_ dies and is released: it must not guard v_.
TEST_F(EdgeRaceTest, ASlotThatWasReleasedGuardsNobodyWhoseLinkWasUnderWay) {
  Sequencer sequencer;
  LinkResult linked = LinkResult::kLinked;
  sequencer.Start("link", [&] { linked = lists_.Link(u_, v_); });
  ASSERT_TRUE(sequencer.RunTo("link", "link.after_back_link"));
  std::vector<SlotId> working;
  ASSERT_TRUE(store_.Mark(u_));
  ASSERT_TRUE(lists_.forest().MoveToEnd(u_, working)) << "released";
  ASSERT_TRUE(sequencer.RunToEnd("link"));
  EXPECT_EQ(linked, LinkResult::kNotLive);
  EXPECT_EQ(lists_.forest().AdoptParents(v_, working), 0u);
  EXPECT_EQ(lists_.forest().ParentCount(v_), 0u);
}

// w_ is released after a prune of its guard's row has begun: the last guard may go.
TEST_F(EdgeRaceTest, APruneThatBeganBeforeARebirthAsksForTheGuardsThatAreThereNow) {
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, w_), LinkResult::kLinked);
  NeighborLists::RowUpdate prune = BeginPrune(lists_, u_, {});
  std::vector<SlotId> working;
  ASSERT_TRUE(store_.Mark(w_));
  ASSERT_TRUE(lists_.forest().MoveToEnd(w_, working)) << "released";
  ASSERT_TRUE(lists_.forest().MoveToEnd(v_, working));
  ASSERT_TRUE(lists_.UpdateRow(u_, prune)) << "no row moved";
  EXPECT_THAT(prune.dropped, ElementsAre(w_));
  EXPECT_THAT(store_.Row(u_), ElementsAre(v_));
  EXPECT_EQ(lists_.forest().ParentCount(v_), 1u);
}

// --- Pinning (neighbors.h, G5).

// The prune has seen that v_ has two guards, then v_ is pinned: the one that hangs on u_ must stay.
TEST_F(EdgeRaceTest, APruneThatSawTwoGuardsTakesNoneOfAPointThatWasPinnedSince) {
  ASSERT_EQ(lists_.Link(start_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  Sequencer sequencer;
  NeighborLists::RowUpdate prune = BeginPrune(lists_, u_, {});
  sequencer.Start("prune", [&] { EXPECT_TRUE(lists_.UpdateRow(u_, prune)); });
  ASSERT_TRUE(sequencer.RunTo("prune", "parents.before_drop"));
  lists_.forest().Suspend(v_);
  ASSERT_TRUE(sequencer.RunToEnd("prune"));
  EXPECT_THAT(prune.dropped, IsEmpty());
  EXPECT_EQ(lists_.forest().ParentCount(v_), 2u);
  EXPECT_TRUE(lists_.forest().IsSuspended(v_));
}

// w_ gets another guard after it was found to have no other, before it is pinned: it keeps both.
TEST_F(EdgeRaceTest, AGuardThatComesWhileAPointIsBeingPinnedIsItsGuardOutside) {
  ASSERT_EQ(lists_.Link(start_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, w_), LinkResult::kLinked);
  ASSERT_TRUE(store_.Mark(u_));
  Sequencer sequencer;
  std::vector<SlotId> dependents, in;
  lists_.forest().Suspend(u_);
  sequencer.Start("pin", [&] { lists_.forest().SuspendChildren(u_, dependents); });
  ASSERT_TRUE(sequencer.RunTo("pin", "suspend_children.before_suspending"));
  ASSERT_EQ(lists_.Link(v_, w_), LinkResult::kLinked);
  ASSERT_TRUE(sequencer.RunToEnd("pin"));
  EXPECT_THAT(dependents, ElementsAre(w_));
  NeighborLists::RowUpdate prune = BeginPrune(lists_, v_, {});
  ASSERT_TRUE(lists_.UpdateRow(v_, prune));
  EXPECT_THAT(prune.dropped, IsEmpty());
  EXPECT_TRUE(lists_.forest().Resume(w_, in));
  EXPECT_EQ(lists_.forest().ParentCount(w_), 1u);
  EXPECT_TRUE(lists_.forest().IsParent(v_, w_));
  EXPECT_FALSE(lists_.forest().IsParent(u_, w_));
}

// v_ is about to be let go, since w_ guards it: a prune of w_'s row that comes now is refused.
TEST_F(EdgeRaceTest, TheGuardByWhichAPointIsLetGoIsNotTakenBeforeItIs) {
  ASSERT_EQ(lists_.Link(start_, w_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(u_, v_), LinkResult::kLinked);
  ASSERT_EQ(lists_.Link(w_, v_), LinkResult::kLinked);
  EXPECT_EQ(lists_.forest().ParentCount(v_), 1u) << "w_ is younger";
  lists_.forest().Suspend(u_);
  lists_.forest().Suspend(v_);
  Sequencer sequencer;
  std::vector<SlotId> in;
  sequencer.Start("unpin", [&] { EXPECT_TRUE(lists_.forest().Resume(v_, in)); });
  ASSERT_TRUE(sequencer.RunTo("unpin", "resume.before_resuming"));
  NeighborLists::RowUpdate prune = BeginPrune(lists_, w_, {});
  ASSERT_TRUE(lists_.UpdateRow(w_, prune));
  EXPECT_THAT(prune.dropped, IsEmpty());
  ASSERT_TRUE(sequencer.RunToEnd("unpin"));
  EXPECT_EQ(lists_.forest().ParentCount(v_), 1u);
  EXPECT_TRUE(lists_.forest().IsParent(w_, v_));
}

// Who stands behind its section of a row, with another row still to do.
class ListLockRaceTest : public EdgeRaceTest, public ::testing::WithParamInterface<const char*> {};

// usearch #680: an update releases a lock that it does not hold, and so lets two into one list.
// Here it would be that of `inside`, who came into u_'s row when `through` had left it.
TEST_P(ListLockRaceTest, WhoHasLeftARowLetsNobodyInBesideTheNext) {
  const SlotId x = MakeGuarded(), y = store_.Make();
  for (const auto& [from, to] : {std::pair(start_, v_), {u_, w_}, {v_, w_}, {u_, x}})
    ASSERT_EQ(lists_.Link(from, to), LinkResult::kLinked);
  Sequencer sequencer;
  const std::string point = GetParam();
  sequencer.Start("through", [&] {
    if (point == "link.before_undo") {
      EXPECT_EQ(lists_.Link(u_, w_), LinkResult::kPresent);
    } else {
      EXPECT_TRUE(point == "unlink.after_row" ? lists_.Unlink(u_, x) : lists_.Swap(u_, x, kNoSlot));
    }
  });
  ASSERT_TRUE(sequencer.RunTo("through", point));
  std::vector<SlotId> refused;
  sequencer.Start("inside", [&] { EXPECT_TRUE(lists_.forest().MoveToEnd(u_, refused)); });
  ASSERT_TRUE(sequencer.RunTo("inside", "parents.before_drop"));
  ASSERT_TRUE(sequencer.RunToEnd("through"));
  std::atomic<bool> comes{false}, came{false};
  std::thread next([&] {
    comes = true;
    EXPECT_EQ(lists_.Link(u_, y), LinkResult::kLinked);
    came = true;
  });
  while (!comes) std::this_thread::yield();
  for (int i = 0; i < 20000 && !came; ++i) std::this_thread::yield();
  EXPECT_FALSE(came) << "two in one row";
  ASSERT_TRUE(sequencer.RunToEnd("inside"));
  next.join();
  EXPECT_THAT(store_.Row(u_), Contains(y));
  EXPECT_THAT(lists_.Reverse(y), ElementsAre(u_));
}

INSTANTIATE_TEST_SUITE_P(At, ListLockRaceTest,
                         ::testing::Values("link.before_undo", "unlink.after_row",
                                           "swap.after_row"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace shoal::testing
