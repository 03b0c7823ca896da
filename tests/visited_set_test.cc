#include "store/visited_set.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_set>

#include "tests/test_data.h"

namespace shoal {
namespace {

TEST(VisitedSet, InsertIsTrueTheFirstTimeOnly) {
  VisitedSet set;
  set.Reset(10);
  EXPECT_TRUE(set.Insert(7));
  EXPECT_FALSE(set.Insert(7));
  EXPECT_TRUE(set.Insert(0));
  EXPECT_FALSE(set.Insert(0));
  EXPECT_TRUE(set.Insert(kMaxSlots - 1));
  EXPECT_FALSE(set.Insert(kMaxSlots - 1));
}

TEST(VisitedSet, KeepNewKeepsTheOrderAndDropsRepetitionsWithinOneCall) {
  VisitedSet set;
  set.Reset(10);
  set.Insert(5);
  SlotId ids[] = {9, 5, 3, 9, 1, 3, 5};
  ASSERT_EQ(set.KeepNew(ids, 7), 3u);
  EXPECT_EQ(std::vector<SlotId>(ids, ids + 3), (std::vector<SlotId>{9, 3, 1}));
  EXPECT_EQ(set.KeepNew(ids, 3), 0u);
  EXPECT_EQ(set.KeepNew(ids, 0), 0u);
}

TEST(VisitedSet, ResetForgetsEverythingAlsoWhenItShrinks) {
  VisitedSet set;
  set.Reset(100000);
  for (SlotId slot = 0; slot < 100000; ++slot) set.Insert(slot);
  set.Reset(1);
  for (SlotId slot = 0; slot < 100000; ++slot) ASSERT_TRUE(set.Insert(slot)) << slot;
}

TEST(VisitedSet, AgreesWithAHashSetFarBeyondWhatItExpected) {
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  VisitedSet set;
  for (const uint32_t range : {64u, 5000u, 1u << 18, kMaxSlots}) {
    // Multiples of a power of two are what a poor hash would pile up.
    for (const uint32_t step : {1u, 64u, 4096u}) {
      std::unordered_set<SlotId> model;
      set.Reset(1 + random() % 100);
      for (int i = 0; i < 20000; ++i) {
        const auto slot = static_cast<SlotId>(random() % range * step % kMaxSlots);
        ASSERT_EQ(set.Contains(slot), model.count(slot) > 0) << slot;
        ASSERT_EQ(set.Insert(slot), model.insert(slot).second) << slot;
      }
    }
  }
}

}  // namespace
}  // namespace shoal
