#include "store/slot_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <thread>

namespace shoal {
namespace {

class SlotTableTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(slots_.Init(6)); }

  SlotId Live() { return std::move(*slots_.Acquire()).Publish(); }
  SlotId Retired() {
    const SlotId slot = Live();
    EXPECT_TRUE(slots_.MarkDeleted(slot));
    const auto guard = epochs_.Pin();
    EXPECT_TRUE(slots_.Retire(slot, guard));
    return slot;
  }

  MemoryBudget budget_{0};
  EpochRegistry epochs_;
  TypedColumn<uint64_t> rows_;
  SlotTable slots_{budget_, epochs_, {&rows_}};
};

TEST_F(SlotTableTest, HandsOutSlotsFromZeroUpwards) {
  EXPECT_EQ(slots_.high_water(), 0u);
  for (SlotId slot = 0; slot < 200; ++slot) {
    EXPECT_EQ(Live(), slot);
    EXPECT_EQ(slots_.high_water(), slot + 1);
  }
  EXPECT_EQ(slots_.live(), 200u);
}

TEST_F(SlotTableTest, ADroppedSlotGoesBackAndTheLowestFreeOneComesNext) {
  std::vector<OwnedSlot> owned;
  for (int i = 0; i < 10; ++i) owned.push_back(std::move(*slots_.Acquire()));
  for (const OwnedSlot& slot : owned) EXPECT_EQ(slots_.tag(slot.id()), Tag::kOwned);
  owned.clear();
  EXPECT_EQ(slots_.tag(3), Tag::kAvailable);
  EXPECT_EQ(slots_.live(), 0u);
  for (SlotId slot = 0; slot < 12; ++slot) EXPECT_EQ(Live(), slot);
}

TEST_F(SlotTableTest, AMovedFromOwnedSlotReturnsNothing) {
  std::optional<OwnedSlot> first = slots_.Acquire();
  const OwnedSlot second = std::move(*first);
  first.reset();
  EXPECT_EQ(slots_.tag(second.id()), Tag::kOwned);
  EXPECT_NE(slots_.Acquire()->id(), second.id());
}

TEST_F(SlotTableTest, PublishAndFreezeMakeReadable) {
  const SlotId live = Live();
  const SlotId frozen = std::move(*slots_.Acquire()).Freeze();
  const std::optional<OwnedSlot> owned = slots_.Acquire();
  EXPECT_EQ(slots_.tag(live), Tag::kLive);
  EXPECT_EQ(slots_.tag(frozen), Tag::kFrozen);
  EXPECT_EQ(slots_.live(), 1u) << "a start point is no point";
  SlotId ids[] = {owned->id(), frozen, 999, live};
  bool eligible[4];
  ASSERT_EQ(slots_.KeepReadable(ids, 4, slots_.Now(), eligible), 2u);
  EXPECT_EQ(ids[0], frozen);
  EXPECT_FALSE(eligible[0]);
  EXPECT_EQ(ids[1], live);
  EXPECT_TRUE(eligible[1]);
}

TEST_F(SlotTableTest, KeepReadableKeepsAllOfThoseThatAreLiveInTheirOrder) {
  for (int i = 0; i < 200; ++i) Live();
  SlotId ids[] = {150, 3, 64, 63, 199, 0};
  const std::vector<SlotId> asked(std::begin(ids), std::end(ids));
  bool eligible[6] = {};
  ASSERT_EQ(slots_.KeepReadable(ids, 6, slots_.Now(), eligible), 6u);
  EXPECT_TRUE(std::equal(asked.begin(), asked.end(), ids));
  EXPECT_TRUE(std::all_of(eligible, eligible + 6, [](bool each) { return each; }));
}

TEST_F(SlotTableTest, ALiveBitSaysWhatTheTagSaysAfterEachTransition) {
  const auto holds = [&](size_t deleted) {
    const Status counts = slots_.CheckCounts(deleted);
    EXPECT_TRUE(counts) << (counts ? "" : counts.error().message);
  };
  const SlotId live = Live(), moved = Live(), frozen = std::move(*slots_.Acquire()).Freeze();
  slots_.Acquire();  // And drops it.
  holds(0);
  const auto guard = epochs_.Pin();
  ASSERT_TRUE(slots_.MarkDeleted(live));
  holds(1);
  ASSERT_TRUE(slots_.MarkRelocated(moved));
  holds(2);
  for (const SlotId slot : {live, moved, frozen}) ASSERT_TRUE(slots_.Retire(slot, guard));
  holds(0);
}

TEST_F(SlotTableTest, KeepReadableKnowsSlotsAboveTheMarkAndDropsThoseThatAreNotThere) {
  const SlotId first = Live();
  const SlotTable::ReadStamp mark = slots_.Now();
  const SlotId second = Live();
  SlotId ids[] = {second, second + 1, first};
  bool eligible[3];
  ASSERT_EQ(slots_.KeepReadable(ids, 3, mark, eligible), 2u);
  EXPECT_EQ(ids[0], second);
  EXPECT_EQ(ids[1], first);
}

TEST_F(SlotTableTest, ASlotThatARelocationLeftIsReturnedToEarlierSearchesOnly) {
  const auto guard = epochs_.Pin();
  const SlotId slot = Live(), deleted = Live();
  const SlotTable::ReadStamp before = slots_.Now();
  ASSERT_TRUE(slots_.MarkRelocated(slot));
  ASSERT_TRUE(slots_.MarkDeleted(deleted));
  EXPECT_FALSE(slots_.MarkRelocated(slot)) << "only once";
  EXPECT_FALSE(slots_.MarkRelocated(deleted));
  const SlotTable::ReadStamp after = slots_.Now();
  for (const bool retired : {false, true}) {
    if (retired) {
      ASSERT_TRUE(slots_.Retire(slot, guard));
      ASSERT_TRUE(slots_.Retire(deleted, guard));
    }
    SlotId ids[] = {slot, deleted};
    bool eligible[2];
    ASSERT_EQ(slots_.KeepReadable(ids, 2, before, eligible), retired ? 1u : 2u);
    EXPECT_EQ(ids[0], slot);
    EXPECT_TRUE(eligible[0]);
    EXPECT_TRUE(retired || !eligible[1]);
    SlotId again[] = {slot};
    ASSERT_EQ(slots_.KeepReadable(again, 1, after, eligible), retired ? 0u : 1u);
    EXPECT_TRUE(retired || !eligible[0]);
  }
}

TEST_F(SlotTableTest, ADeletedSlotIsReadableButNotEligible) {
  const SlotId slot = Live();
  EXPECT_TRUE(slots_.MarkDeleted(slot));
  EXPECT_FALSE(slots_.MarkDeleted(slot)) << "only once";
  EXPECT_EQ(slots_.live(), 0u);
  SlotId ids[] = {slot};
  bool eligible[1];
  ASSERT_EQ(slots_.KeepReadable(ids, 1, slots_.Now(), eligible), 1u);
  EXPECT_FALSE(eligible[0]);
}

TEST_F(SlotTableTest, TransitionsFromAWrongStateAreRefused) {
  const auto guard = epochs_.Pin();
  const SlotId live = Live();
  EXPECT_FALSE(slots_.Retire(live, guard)) << "not deleted";
  const std::optional<OwnedSlot> owned = slots_.Acquire();
  EXPECT_FALSE(slots_.MarkDeleted(owned->id()));
  EXPECT_FALSE(slots_.Retire(owned->id(), guard));
  const SlotId frozen = std::move(*slots_.Acquire()).Freeze();
  EXPECT_FALSE(slots_.MarkDeleted(frozen));
  EXPECT_TRUE(slots_.Retire(frozen, guard)) << "a start point retires without being deleted";
  EXPECT_FALSE(slots_.Retire(frozen, guard)) << "once";
}

TEST_F(SlotTableTest, ARetiredSlotComesBackAfterTheGracePeriodAndNotBefore) {
  const SlotId slot = Retired();
  EXPECT_EQ(slots_.tag(slot), Tag::kRetired);
  EXPECT_EQ(slots_.retired(), 1u);
  for (uint64_t i = 1; i < EpochRegistry::kGracePeriod; ++i) {
    EXPECT_EQ(slots_.Reclaim(), 0u) << "epoch " << epochs_.Current();
    EXPECT_EQ(slots_.tag(slot), Tag::kRetired);
  }
  EXPECT_EQ(slots_.Reclaim(), 1u);
  EXPECT_EQ(slots_.tag(slot), Tag::kAvailable);
  EXPECT_EQ(slots_.retired(), 0u);
  EXPECT_EQ(Live(), slot);
}

TEST_F(SlotTableTest, ARetiredSlotIsNotReusedWhileAnOlderReaderIsPinned) {
  std::optional<EpochRegistry::Guard> reader(epochs_.Pin());
  const SlotId slot = Retired();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(slots_.Reclaim(), 0u);
    EXPECT_NE(Live(), slot) << "growing is better than waiting";
  }
  reader.reset();
  for (uint64_t i = 0; i < EpochRegistry::kGracePeriod; ++i) slots_.Reclaim();
  EXPECT_EQ(Live(), slot);
}

TEST_F(SlotTableTest, RetiredSlotsComeBackWithoutACallOfReclaim) {
  const SlotId slots = 1000;
  for (SlotId i = 0; i < 20 * slots; ++i) Retired();
  EXPECT_LT(slots_.high_water(), slots) << "each acquire makes some of them available";
}

TEST_F(SlotTableTest, GrowsAcrossSegmentsWithItsColumns) {
  constexpr SlotId kSlots = 64 * 50;
  for (SlotId i = 0; i < kSlots; ++i) {
    std::optional<OwnedSlot> slot = slots_.Acquire();
    ASSERT_TRUE(slot);
    rows_[slot->id()] = i;
    slots_.set_external_id(slot->id(), ~uint64_t{i});
    std::move(*slot).Publish();
  }
  for (SlotId i = 0; i < kSlots; ++i) {
    ASSERT_EQ(rows_[i], i);
    ASSERT_EQ(slots_.external_id(i), ~uint64_t{i});
  }
}

TEST(SlotTableUnderALimit, AcquireFailsWithoutMemoryAndWorksAgainWhenASlotComesBack) {
  MemoryBudget live_bits(0);
  ASSERT_TRUE(LiveSet().Commit(1, live_bits));
  constexpr size_t kSegment = 4 << 10;                 // What 256 slots take, of both columns.
  constexpr size_t kFreeList = 1024 * sizeof(SlotId);  // Has room for all slots that are owned.
  MemoryBudget budget(6 * kSegment + live_bits.used() + kFreeList);
  EpochRegistry epochs;
  SlotTable slots(budget, epochs, {});
  ASSERT_TRUE(slots.Init(8));
  std::vector<OwnedSlot> owned;
  for (;;) {
    std::optional<OwnedSlot> slot = slots.Acquire();
    if (!slot) break;
    owned.push_back(std::move(*slot));
  }
  EXPECT_EQ(owned.size(), 3u * 256u);
  EXPECT_FALSE(slots.Acquire());
  EXPECT_EQ(slots.high_water(), 3u * 256u);
  owned.pop_back();
  EXPECT_EQ(slots.Acquire()->id(), 3u * 256u - 1);
}

struct ScratchOf final : ScratchBase {
  explicit ScratchOf(size_t n) : held(n) {}
  size_t bytes() const override { return held; }
  size_t held;
};

TEST(EpochScratch, IsChargedBeyondTheLimitTooAndReleasedWhenItIsTooMuchToKeep) {
  MemoryBudget budget(1000);
  EpochRegistry epochs(&budget);
  {
    const auto one = epochs.Pin(), two = epochs.Pin();
    one.cell().scratch = std::make_unique<ScratchOf>(300);
    two.cell().scratch = std::make_unique<ScratchOf>(400);
    EXPECT_EQ(budget.used(), 0u);
  }
  EXPECT_EQ(budget.used(), 700u);
  EXPECT_FALSE(budget.TryCharge(301));
  size_t of_the_other = 700;
  {
    const auto guard = epochs.Pin();
    const auto& scratch = guard.cell().scratch;
    ASSERT_NE(scratch, nullptr) << "a thread finds the cell that it had";
    of_the_other -= scratch->bytes();
    static_cast<ScratchOf&>(*scratch).held = 2000;
  }
  EXPECT_EQ(budget.used(), 2000 + of_the_other);
  EXPECT_FALSE(budget.TryCharge(1));
  {
    const auto one = epochs.Pin(), two = epochs.Pin();
    for (const auto* guard : {&one, &two})
      if (guard->cell().scratch != nullptr)
        static_cast<ScratchOf&>(*guard->cell().scratch).held = size_t{1} << 30;
  }
  EXPECT_EQ(budget.used(), 0u) << "a gigabyte is not kept";
}

// 64 KB of records a slot: 32 slots fill a page of 2 MB.
class SlotTableHoles : public ::testing::TestWithParam<unsigned> {
 protected:
  static constexpr SlotId kSlots = 1000;
  void SetUp() override {
    ASSERT_TRUE(slots_.Init(GetParam()));
    for (SlotId slot = 0; slot < kSlots; ++slot) {
      ASSERT_EQ(std::move(*slots_.Acquire()).Publish(), slot);
      std::memset(rows_.At(slot), static_cast<int>(1 + slot % 100), rows_.stride());
    }
  }
  void Retire(SlotId begin, SlotId end) {
    for (SlotId slot = begin; slot < end; ++slot) {
      ASSERT_TRUE(slots_.MarkDeleted(slot));
      const auto guard = epochs_.Pin();
      ASSERT_TRUE(slots_.Retire(slot, guard));
    }
    for (int i = 0; i < 4; ++i) slots_.Reclaim();
    ASSERT_EQ(slots_.retired(), 0u);
  }
  size_t Punch() {
    return slots_.PunchHoles([this](SlotId slot) { forgotten_.insert(slot); });
  }
  void ExpectWhole(SlotId begin, SlotId end) const {
    for (SlotId slot = begin; slot < end; ++slot)
      for (size_t i = 0; i < rows_.stride(); i += 1000)
        ASSERT_EQ(rows_.At(slot)[i], static_cast<std::byte>(1 + slot % 100)) << slot;
  }

  MemoryBudget budget_{80 * kHugePage};
  EpochRegistry epochs_;
  Column rows_{size_t{64} << 10};
  SlotTable slots_{budget_, epochs_, {&rows_}};
  std::set<SlotId> forgotten_;
};
INSTANTIATE_TEST_SUITE_P(SegmentShift, SlotTableHoles, ::testing::Values(7, 30));

TEST_P(SlotTableHoles, ArePunchedWhereverTheyAreAndRecommittedByAcquire) {
  const auto columns = [&] { return budget_.used() - slots_.QueueBytes(); };
  const uint64_t before = columns(), resident = slots_.ResidentBytes(rows_);
  Retire(100, 300);
  EXPECT_EQ(Punch(), 5 * kHugePage) << "slots 128 to 287 fill pages of their own";
  EXPECT_EQ(columns(), before - 5 * kHugePage);
  EXPECT_EQ(slots_.ResidentBytes(rows_), resident - 5 * kHugePage);
  for (SlotId slot = 128; slot < 288; ++slot) EXPECT_TRUE(forgotten_.contains(slot));
  EXPECT_FALSE(forgotten_.contains(99));
  EXPECT_FALSE(forgotten_.contains(300));
  EXPECT_TRUE(slots_.IsPunched(128));
  EXPECT_FALSE(slots_.IsPunched(99));
  forgotten_.clear();
  EXPECT_EQ(Punch(), 0u);
  // To forget what is kept in their names would bring a page back.
  for (SlotId slot = 128; slot < 288; ++slot) EXPECT_FALSE(forgotten_.contains(slot));
  ExpectWhole(0, 100);
  ExpectWhole(300, kSlots);
  ASSERT_TRUE(slots_.CheckCounts(0));
  for (SlotId slot = 100; slot < 300; ++slot) {
    const SlotId again = std::move(*slots_.Acquire()).Publish();
    ASSERT_EQ(again, slot) << "the lowest first";
    if (slot >= 128 && slot < 288) {
      ASSERT_EQ(rows_.At(slot)[77], std::byte{0});
    }
  }
  EXPECT_EQ(columns(), before);
  EXPECT_EQ(slots_.ResidentBytes(rows_), resident);
}

TEST_P(SlotTableHoles, ARunThatGrowsPunchesThePagesThatItCompletes) {
  Retire(0, 33);
  EXPECT_EQ(Punch(), kHugePage);
  Retire(33, 63);
  EXPECT_EQ(Punch(), 0u);
  Retire(63, 64);
  EXPECT_EQ(Punch(), kHugePage);
}

// 32 pages of rows and some of the table's own are charged. The rest of the budget is then taken,
// with what was punched.
TEST_P(SlotTableHoles, UnderALimitASlotOutsideHolesIsFoundAndElseNone) {
  Retire(10, 20);
  Retire(64, 128);
  Retire(200, 210);
  ASSERT_EQ(Punch(), 2 * kHugePage);
  std::vector<OwnedSlot> owned;
  for (SlotId slot = 10; slot < 20; ++slot) owned.push_back(std::move(*slots_.Acquire()));
  const uint64_t left = budget_.limit() - budget_.used();
  ASSERT_TRUE(budget_.TryCharge(left));
  for (int i = 0; i < 10; ++i) {
    std::optional<OwnedSlot> slot = slots_.Acquire();
    ASSERT_TRUE(slot) << i;
    EXPECT_GE(slot->id(), 200u);
    owned.push_back(std::move(*slot));
  }
  // The last page of all has room for slots that never were.
  while (std::optional<OwnedSlot> slot = slots_.Acquire()) {
    ASSERT_GE(slot->id(), kSlots);
    owned.push_back(std::move(*slot));
  }
  budget_.Release(kHugePage);
  ASSERT_EQ(slots_.Acquire()->id(), 64u);
  budget_.Release(left - kHugePage);
}

// Even where no slot at the end is free, so that there is nothing to cut off.
TEST(SlotTableQueues, OfRetiredSlotsIsGivenBackByTrim) {
  MemoryBudget budget(0);
  EpochRegistry epochs;
  SlotTable slots(budget, epochs, {});
  ASSERT_TRUE(slots.Init(14));
  constexpr SlotId kSlots = 10000;
  for (SlotId slot = 0; slot < kSlots; ++slot) (void)std::move(*slots.Acquire()).Publish();
  {
    const auto reader = epochs.Pin();  // All of them have to wait.
    for (SlotId slot = 0; slot < kSlots - 1; ++slot) {
      ASSERT_TRUE(slots.MarkDeleted(slot));
      ASSERT_TRUE(slots.Retire(slot, reader));
    }
  }
  while (slots.retired() > 0) slots.Reclaim();
  const uint64_t before = slots.QueueBytes(), charged = budget.used();
  EXPECT_EQ(slots.Trim([](SlotId) {}), 0u);
  EXPECT_LE(slots.QueueBytes(), before - kSlots * 16) << "a slot and an epoch each";
  EXPECT_EQ(budget.used(), charged - (before - slots.QueueBytes()));
}

// A free slot in a hole of both columns, and room for one page: it takes neither.
TEST(SlotTableUnderALimit, APageThatIsRefusedKeepsNoOtherCharged) {
  MemoryBudget budget(40 * kHugePage);
  EpochRegistry epochs;
  Column a(size_t{64} << 10), b(size_t{64} << 10);  // 32 slots a page.
  SlotTable slots(budget, epochs, {&a, &b});
  ASSERT_TRUE(slots.Init(30));
  for (SlotId slot = 0; slot < 300; ++slot) (void)std::move(*slots.Acquire()).Publish();
  for (SlotId slot = 256; slot < 288; ++slot) {
    ASSERT_TRUE(slots.MarkDeleted(slot));
    ASSERT_TRUE(slots.Retire(slot, epochs.Pin()));
  }
  for (int i = 0; i < 4; ++i) slots.Reclaim();
  ASSERT_EQ(slots.PunchHoles([](SlotId) {}), 2 * kHugePage);
  const uint64_t left = budget.limit() - budget.used();
  const uint64_t queues = slots.QueueBytes();
  ASSERT_TRUE(budget.TryCharge(left - kHugePage));
  EXPECT_EQ(slots.Acquire()->id(), 300u) << "which never was, and has its memory";
  EXPECT_EQ(budget.used(), budget.limit() - kHugePage + slots.QueueBytes() - queues);
  ASSERT_TRUE(slots.CheckCounts(0));
}

TEST_F(SlotTableTest, ManyThreadsNeverOwnOneSlotTogether) {
  std::vector<std::vector<SlotId>> published(4);
  std::vector<std::thread> threads;
  for (auto& mine : published) {
    threads.emplace_back([this, &mine] {
      for (int i = 0; i < 2000; ++i) {
        std::optional<OwnedSlot> slot = slots_.Acquire();
        rows_[slot->id()] =
            static_cast<uint64_t>(i);  // A data race if another thread owns it, too.
        if (i % 2 == 0) mine.push_back(std::move(*slot).Publish());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<SlotId> all;
  for (const auto& mine : published) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 4000u);
  EXPECT_EQ(slots_.live(), 4000u);
  EXPECT_LE(slots_.high_water(), 4004u) << "what was dropped was used again";
}

}  // namespace
}  // namespace shoal
