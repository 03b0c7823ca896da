#include "store/live_set.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace shoal {
namespace {

constexpr SlotId kSlots = (1u << 20) + 200;  // More than a chunk.

class LiveSetTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(set_.Commit(kSlots, budget_)); }

  MemoryBudget budget_{0};
  LiveSet set_;
};

TEST_F(LiveSetTest, HoldsWhatWasAddedAndNotRemovedAndNoNeighbourOfIt) {
  const SlotId borders[] = {0, 63, 64, 127, (1u << 20) - 1, 1u << 20, kSlots - 1};
  for (const SlotId slot : borders) {
    EXPECT_FALSE(set_.Has(slot));
    set_.Add(slot);
    EXPECT_TRUE(set_.Has(slot));
  }
  for (const SlotId slot : {1u, 62u, 65u, 126u, 128u, (1u << 20) + 1, kSlots - 2})
    EXPECT_FALSE(set_.Has(slot)) << slot;
  for (const SlotId slot : borders) {
    EXPECT_TRUE(set_.Has(slot));
    EXPECT_TRUE(set_.Remove(slot));
    EXPECT_FALSE(set_.Has(slot));
    EXPECT_FALSE(set_.Remove(slot)) << "it is gone";
  }
}

TEST_F(LiveSetTest, HasAllOfManyOnlyIfItHasEachAndEachIsBelowTheMark) {
  std::vector<SlotId> slots;
  for (SlotId slot = 5; slot < kSlots; slot += 9973) slots.push_back(slot);
  for (const SlotId slot : slots) set_.Add(slot);
  const auto all = [&](SlotId mark) { return set_.HasAll(slots.data(), slots.size(), mark); };
  EXPECT_TRUE(all(slots.back() + 1));
  EXPECT_FALSE(all(slots.back()));
  EXPECT_TRUE(set_.HasAll(slots.data(), 0, 0));
  for (const SlotId slot : slots) {
    set_.Remove(slot);
    EXPECT_FALSE(all(kSlots)) << slot;
    set_.Add(slot);
  }
  EXPECT_TRUE(all(kSlots));
  slots.push_back(kMaxSlots - 1);  // No room for it, and not asked.
  EXPECT_FALSE(all(kSlots));
}

TEST_F(LiveSetTest, ThreadsThatChangeBitsOfOneWordLoseNone) {
  std::vector<std::thread> threads;
  for (SlotId own = 0; own < 4; ++own) {
    threads.emplace_back([&, own] {
      for (int round = 0; round < 20000; ++round) {
        set_.Add(own);
        EXPECT_TRUE(set_.Has(own));
        EXPECT_TRUE(set_.Remove(own));
      }
      set_.Add(own + 4);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (SlotId slot = 0; slot < 9; ++slot) EXPECT_EQ(set_.Has(slot), slot / 4 == 1) << slot;
}

TEST_F(LiveSetTest, OfThreadsThatRemoveOneSlotOneDoes) {
  for (int round = 0; round < 200; ++round) {
    set_.Add(7);
    std::atomic<int> removed{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { removed += set_.Remove(7) ? 1 : 0; });
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(removed, 1);
  }
}

TEST(LiveSetUnderALimit, ARefusalOfTheBudgetChargesNothingAndKeepsWhatIsThere) {
  MemoryBudget budget(200'000);
  LiveSet set;
  EXPECT_TRUE(set.Commit(0, budget));
  EXPECT_EQ(budget.used(), 0u);
  ASSERT_TRUE(set.Commit(1, budget));
  set.Add(0);
  EXPECT_EQ(budget.used(), set.bytes());
  const uint64_t used = budget.used();
  EXPECT_TRUE(set.Commit(1u << 20, budget)) << "there is room";
  EXPECT_FALSE(set.Commit((1u << 20) + 1, budget));
  EXPECT_EQ(budget.used(), used);
  EXPECT_TRUE(set.Has(0));
}

}  // namespace
}  // namespace shoal
