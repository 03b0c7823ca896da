// Which slots a database's writer uses again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "database_impl.h"

namespace shoal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint32_t kBlock = 8;

class SlotLedgerTest : public ::testing::Test {
 protected:
  // On disk, dead there, and left by all readers.
  void Die(SlotId slot) {
    ledger_.Set(slot, SlotLedger::kOnDisk | SlotLedger::kDead, 0);
    EXPECT_FALSE(ledger_.MayReuse(slot));
  }
  void Forget(SlotId slot) { ledger_.Set(slot, 0, SlotLedger::kOnDisk | SlotLedger::kDead); }

  SlotLedger ledger_;
};

TEST_F(SlotLedgerTest, UnknownSlotIsUsedAtOnce) {
  EXPECT_TRUE(ledger_.MayReuse(3));
  ledger_.Reserve(10);
  EXPECT_TRUE(ledger_.MayReuse(3));
  EXPECT_THAT(ledger_.TakeFree(kBlock, 1), IsEmpty());
}

TEST_F(SlotLedgerTest, KeptSlotIsFreeOnlyWhenNothingIsKnownOfIt) {
  Die(3);
  EXPECT_THAT(ledger_.Releasable(), ElementsAre(3));
  EXPECT_THAT(ledger_.TakeFree(kBlock, 1), IsEmpty());
  Forget(3);
  EXPECT_THAT(ledger_.Releasable(), IsEmpty());
  EXPECT_THAT(ledger_.TakeFree(kBlock, 1), ElementsAre(3));
  EXPECT_THAT(ledger_.TakeFree(kBlock, 1), IsEmpty());
  EXPECT_EQ(ledger_.Get(3), 0);
}

TEST_F(SlotLedgerTest, SlotThatIsLeftBeforeItDiesOnDiskIsReleasable) {
  ledger_.Set(5, SlotLedger::kOnDisk, 0);
  EXPECT_FALSE(ledger_.MayReuse(5));
  EXPECT_THAT(ledger_.Releasable(), IsEmpty());
  ledger_.Set(5, SlotLedger::kDead, 0);
  EXPECT_THAT(ledger_.Releasable(), ElementsAre(5));
}

TEST_F(SlotLedgerTest, QueuedSlotIsKept) {
  ledger_.Set(5, SlotLedger::kQueued, 0);
  EXPECT_FALSE(ledger_.MayReuse(5));
  EXPECT_THAT(ledger_.TakeFree(kBlock, 1), IsEmpty());
  ledger_.Set(5, 0, SlotLedger::kQueued);  // Its change was of no effect.
  EXPECT_THAT(ledger_.TakeFree(kBlock, 1), ElementsAre(5));
}

TEST_F(SlotLedgerTest, FreeSlotsOfABlockWaitUntilTheyAreMany) {
  for (const SlotId slot : {1u, 7u, 8u, 10u, 12u}) Die(slot);
  for (const SlotId slot : {1u, 7u, 8u, 10u}) Forget(slot);
  EXPECT_THAT(ledger_.TakeFree(kBlock, 3), IsEmpty());
  Forget(12);
  EXPECT_THAT(ledger_.TakeFree(kBlock, 3), ElementsAre(8, 10, 12));
  EXPECT_THAT(ledger_.TakeFree(kBlock, 2), ElementsAre(1, 7));
}

}  // namespace
}  // namespace shoal
