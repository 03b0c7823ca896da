#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "store/column.h"

namespace shoal {
namespace {

TEST(MemoryBudget, GrantsExactlyUpToTheLimit) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.TryCharge(60));
  EXPECT_FALSE(budget.TryCharge(41));
  EXPECT_EQ(budget.used(), 60u) << "a refusal takes nothing";
  EXPECT_TRUE(budget.TryCharge(40));
  EXPECT_FALSE(budget.TryCharge(1));
  EXPECT_TRUE(budget.TryCharge(0));
  budget.Release(100);
  EXPECT_TRUE(budget.TryCharge(100));
}

TEST(MemoryBudget, DoesNotOverflowOnHugeRequests) {
  MemoryBudget budget(100);
  ASSERT_TRUE(budget.TryCharge(50));
  EXPECT_FALSE(budget.TryCharge(UINT64_MAX));
  EXPECT_FALSE(budget.TryCharge(UINT64_MAX - 49));
  EXPECT_EQ(budget.used(), 50u);
}

TEST(MemoryBudget, WithoutALimitGrantsEverythingAndCounts) {
  MemoryBudget budget(0);
  EXPECT_TRUE(budget.TryCharge(uint64_t{1} << 60));
  EXPECT_EQ(budget.used(), uint64_t{1} << 60);
}

TEST(MemoryBudget, WorkingMemoryIsTakenEvenBeyondTheLimitAndBlocksTheNext) {
  MemoryBudget budget(100);
  budget.Charge(150);
  EXPECT_EQ(budget.used(), 150u);
  EXPECT_FALSE(budget.TryCharge(1));
  budget.Release(100);
  EXPECT_TRUE(budget.TryCharge(50));
}

TEST(MemoryBudget, ManyThreadsTogetherGetExactlyTheLimit) {
  constexpr uint64_t kLimit = 10007;
  MemoryBudget budget(kLimit);
  std::atomic<uint64_t> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10000; ++i)
        if (budget.TryCharge(1)) granted.fetch_add(1);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted.load(), kLimit);
  EXPECT_EQ(budget.used(), kLimit);
}

TEST(Reservation, CommitsZeroedMemoryThatNeverMoves) {
  MemoryBudget budget(0);
  Reservation memory = Reservation::Reserve(5 * kHugePage);
  ASSERT_NE(memory.base(), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.base()) % kHugePage, 0u);
  std::byte* const base = memory.base();
  ASSERT_TRUE(memory.Commit(kHugePage - 1, budget));
  EXPECT_EQ(memory.committed(), kHugePage) << "rounded up";
  EXPECT_EQ(budget.used(), kHugePage);
  base[kHugePage - 1] = std::byte{42};
  ASSERT_TRUE(memory.Commit(3 * kHugePage, budget));
  EXPECT_EQ(memory.base(), base);
  EXPECT_EQ(base[kHugePage - 1], std::byte{42});
  EXPECT_EQ(base[3 * kHugePage - 1], std::byte{0});
  ASSERT_TRUE(memory.Commit(kHugePage, budget)) << "less than before is there already";
  EXPECT_EQ(memory.committed(), 3 * kHugePage);
}

TEST(Reservation, LittleTakesLittleAndGrowsInPlaceToHugePages) {
  MemoryBudget budget(0);
  Reservation memory = Reservation::Reserve(6 * kHugePage);
  std::byte* const base = memory.base();
  size_t steps = 0;
  for (size_t used = 0; used < 5 * kHugePage; used = memory.committed(), ++steps) {
    ASSERT_TRUE(memory.Commit(used + 1, budget));
    EXPECT_GT(memory.committed(), used);
    EXPECT_LE(memory.committed(), used + std::max<size_t>(used / 4, 64 << 10));
    EXPECT_EQ(budget.used(), memory.committed());
    EXPECT_EQ(base[used], std::byte{0});
    std::memset(base + used, 7, memory.committed() - used);
    EXPECT_EQ(memory.Resident(memory.committed()), memory.committed());
  }
  EXPECT_GT(steps, 10u);
  EXPECT_EQ(memory.committed() % kHugePage, 0u);
  EXPECT_EQ(std::count(base, base + memory.committed(), std::byte{7}),
            static_cast<ptrdiff_t>(memory.committed()));
  // And back: what is behind the rounded size is not charged any more.
  memory.Decommit(70 << 10, budget);
  EXPECT_EQ(memory.committed(), size_t{128} << 10);
  EXPECT_EQ(budget.used(), size_t{128} << 10);
  EXPECT_EQ(base[(70 << 10) - 1], std::byte{7});
  ASSERT_TRUE(memory.Commit(kHugePage, budget));
  EXPECT_EQ(budget.used(), kHugePage);
  EXPECT_EQ(base[128 << 10], std::byte{0});
}

// A huge page there would be memory that is not charged.
TEST(Reservation, WhatIsTouchedBehindItsEndAfterADecommitComesBackInSmallPages) {
  MemoryBudget budget(0);
  Reservation memory = Reservation::Reserve(4 * kHugePage);
  ASSERT_TRUE(memory.Commit(4 * kHugePage, budget));
  std::memset(memory.base(), 1, 4 * kHugePage);
  memory.Decommit(70 << 10, budget);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  memory.base()[kHugePage - 1] = std::byte{2};
  memory.base()[3 * kHugePage] = std::byte{2};
  std::vector<unsigned char> in_core(4 * kHugePage / page);
  ASSERT_EQ(mincore(memory.base(), 4 * kHugePage, in_core.data()), 0);
  const auto pages = std::count_if(in_core.begin(), in_core.end(), [](auto c) { return c & 1; });
  EXPECT_LE(static_cast<size_t>(pages), (size_t{70} << 10) / page + 4);
  // Used again, it is in huge pages again, if it ever was.
  ASSERT_TRUE(memory.Commit(4 * kHugePage, budget));
  EXPECT_EQ(memory.base()[kHugePage], std::byte{0});
}

TEST(Reservation, ARefusedCommitLeavesWhatWasThere) {
  MemoryBudget budget(2 * kHugePage);
  Reservation memory = Reservation::Reserve(8 * kHugePage);
  ASSERT_TRUE(memory.Commit(2 * kHugePage, budget));
  EXPECT_FALSE(memory.Commit(2 * kHugePage + 1, budget)) << "the budget";
  EXPECT_FALSE(memory.Commit(8 * kHugePage + 1, budget)) << "the reservation";
  EXPECT_EQ(memory.committed(), 2 * kHugePage);
  EXPECT_EQ(budget.used(), 2 * kHugePage);
  memory.base()[2 * kHugePage - 1] = std::byte{1};
}

TEST(Reservation, MovesWithItsMemory) {
  MemoryBudget budget(0);
  Reservation a = Reservation::Reserve(kHugePage);
  ASSERT_TRUE(a.Commit(100, budget));
  a.base()[99] = std::byte{7};
  Reservation b = std::move(a);
  EXPECT_EQ(b.base()[99], std::byte{7});
  b = Reservation::Reserve(kHugePage);
  ASSERT_NE(b.base(), nullptr);
  EXPECT_EQ(b.committed(), 0u);
}

TEST(Reservation, MoreThanTheAddressSpaceIsNull) {
  EXPECT_EQ(Reservation::Reserve(size_t{1} << 60).base(), nullptr);
}

TEST(Reservation, ResidentCountsWhatWasTouched) {
  MemoryBudget budget(0);
  Reservation memory = Reservation::Reserve(8 * kHugePage);
  ASSERT_TRUE(memory.Commit(8 * kHugePage, budget));
  EXPECT_EQ(memory.Resident(0), 0u);
  const size_t used = 3 * kHugePage + 5000;
  std::memset(memory.base(), 1, used);
  EXPECT_GE(memory.Resident(used), used);
  EXPECT_LE(memory.Resident(used), 4 * kHugePage);
}

TEST(Reservation, AHoleIsWholePagesNotChargedZeroAndComesBack) {
  MemoryBudget budget(8 * kHugePage);
  Reservation memory = Reservation::Reserve(8 * kHugePage);
  ASSERT_TRUE(memory.Commit(8 * kHugePage, budget));
  std::memset(memory.base(), 1, 8 * kHugePage);
  // Of [1.5, 5.5) the pages 2, 3 and 4 are whole, of which 2 and 3 begin below 3.1.
  const auto pages = [](double n) { return static_cast<size_t>(n * kHugePage); };
  EXPECT_EQ(memory.Punch(pages(1.5), pages(5.5), pages(3.1), budget), 2 * kHugePage);
  EXPECT_EQ(memory.Punch(pages(1.5), pages(5.5), pages(5.5), budget), kHugePage);
  EXPECT_EQ(memory.Punch(pages(1.5), pages(5.5), pages(5.5), budget), 0u);
  EXPECT_EQ(budget.used(), 5 * kHugePage);
  EXPECT_EQ(memory.Resident(8 * kHugePage), 5 * kHugePage);
  EXPECT_EQ(memory.base()[pages(2) - 1], std::byte{1});
  EXPECT_EQ(memory.base()[pages(2)], std::byte{0});
  EXPECT_EQ(memory.base()[pages(5) - 1], std::byte{0});
  EXPECT_EQ(memory.base()[pages(5)], std::byte{1});
  EXPECT_EQ(memory.HoleBytes(pages(3.5), pages(3.6)), kHugePage);
  EXPECT_EQ(memory.HoleBytes(pages(1.5), pages(3.6)), 2 * kHugePage);
  ASSERT_TRUE(budget.TryChargeMapped(kHugePage));
  memory.Recommit(pages(3.5), pages(3.6));
  EXPECT_EQ(memory.HoleBytes(pages(3.5), pages(3.6)), 0u) << "it is there";
  EXPECT_EQ(memory.Resident(8 * kHugePage), 6 * kHugePage);
  // Behind the end no hole is left, and none is released twice.
  memory.Decommit(pages(3), budget);
  EXPECT_EQ(budget.used(), 2 * kHugePage);
  ASSERT_TRUE(memory.Commit(8 * kHugePage, budget));
  EXPECT_EQ(budget.used(), 7 * kHugePage);
  EXPECT_EQ(memory.HoleBytes(0, pages(8)), kHugePage);
}

// A record of its own for every slot, in segments of 2^shift slots.
class SmallSegments : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Shift, SmallSegments, ::testing::Values(2, 4, 7, 12));

TEST_P(SmallSegments, RecordsKeepTheirPlaceAndContentsWhileTheColumnGrows) {
  constexpr size_t kStride = 12;
  MemoryBudget budget(0);
  Column column(kStride);
  ASSERT_TRUE(ColumnGroup({&column}).Init(GetParam()));
  const SlotId slots = 100u << GetParam();
  std::vector<std::byte*> at;
  for (SlotId slot = 0; slot < slots; ++slot) {
    ASSERT_TRUE(column.Commit(slot + 1, budget));
    at.push_back(column.At(slot));
    for (size_t i = 0; i < kStride; ++i) ASSERT_EQ(at.back()[i], std::byte{0}) << slot;
    std::memcpy(at.back(), &slot, sizeof(slot));
    std::memcpy(at.back() + 8, &slot, sizeof(slot));
  }
  for (SlotId slot = 0; slot < slots; ++slot) {
    ASSERT_EQ(column.At(slot), at[slot]);
    SlotId front, back;
    std::memcpy(&front, at[slot], sizeof(front));
    std::memcpy(&back, at[slot] + 8, sizeof(back));
    ASSERT_EQ(front, slot);
    ASSERT_EQ(back, slot);
  }
  EXPECT_GE(column.Resident(slots), slots * kStride);
}

TEST(Column, GrowsNoFurtherThanItsDirectoryAndKeepsWhatItHas) {
  MemoryBudget budget(0);
  TypedColumn<uint32_t> column;
  ASSERT_TRUE(ColumnGroup({&column}).Init(0));
  ASSERT_TRUE(column.Commit(Column::kMaxSegments, budget));
  EXPECT_FALSE(column.Commit(Column::kMaxSegments + 1, budget));
  column[Column::kMaxSegments - 1] = 5;
  EXPECT_EQ(column[Column::kMaxSegments - 1], 5u);
}

TEST(Column, ARefusalOfTheBudgetLeavesItUsableAndRepeatable) {
  constexpr size_t kSegment = 4 << 10;  // What the 16 slots of one take.
  MemoryBudget budget(3 * kSegment);
  TypedColumn<uint64_t> column;
  ASSERT_TRUE(ColumnGroup({&column}).Init(4));
  SlotId slots = 0;
  while (column.Commit(slots + 1, budget)) column[slots] = slots, ++slots;
  EXPECT_EQ(slots, 48u);
  EXPECT_FALSE(column.Commit(slots + 1, budget));
  for (SlotId slot = 0; slot < slots; ++slot) EXPECT_EQ(column[slot], slot);
  budget.Release(kSegment);
  EXPECT_TRUE(column.Commit(slots + 1, budget));
}

TEST(Column, OneSegmentHoldsWhatFitsPhysicalMemory) {
  MemoryBudget budget(0);
  TypedColumn<uint64_t> narrow;
  Column wide(1000);
  ASSERT_TRUE(ColumnGroup({&narrow, &wide}).Init());
  ASSERT_TRUE(narrow.Commit(100000, budget));
  ASSERT_TRUE(wide.Commit(100000, budget));
  EXPECT_EQ(&narrow[99999], &narrow[0] + 99999);
  EXPECT_EQ(wide.At(99999), wide.At(0) + 99999 * 1000);
}

TEST(Column, ManyShareTheAddressSpace) {
  const auto reserved_by_one = [&](Column& column) {
    const uint64_t others = ReservedAddressSpace();
    EXPECT_TRUE(ColumnGroup({&column}).Init());
    return ReservedAddressSpace() - others;
  };
  Column first(1000);
  const uint64_t whole = reserved_by_one(first);
  EXPECT_GT(whole, PhysicalMemory() / 2);
  if (whole > size_t{1} << 39) GTEST_SKIP() << "more memory than this test reckons with";
  // With 63 of 64 TB in others' hands a 32nd of what is left is less than 32 GB.
  std::vector<Reservation> others;
  for (int i = 0; i < 63; ++i) {
    others.push_back(Reservation::Reserve(size_t{1} << 40));
    if (others.back().base() == nullptr) GTEST_SKIP() << "so much is refused here";
  }
  others.push_back(Reservation::Reserve((size_t{1} << 40) - (size_t{32} << 30) - whole));
  Column second(1000);
  const uint64_t share = reserved_by_one(second);
  EXPECT_LE(share, size_t{1} << 30);
  EXPECT_GE(share, PhysicalMemory() / Column::kMaxSegments / 2);
  // It holds as much as any, segment by segment.
  MemoryBudget budget(0);
  const auto beyond = static_cast<SlotId>(3 * share / 1000);
  ASSERT_TRUE(second.Commit(beyond, budget));
  *second.At(beyond - 1) = std::byte{5};
  EXPECT_GT(budget.used(), 2 * share);
  others.clear();
  Column third(1000);
  EXPECT_EQ(reserved_by_one(third), whole);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Column, ALimitOfAddressSpaceIsSharedToo) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit limit = {.rlim_cur = uint64_t{6} << 30, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  EXPECT_EQ(AddressSpace(), limit.rlim_cur);
  std::vector<std::unique_ptr<Column>> columns;
  for (int i = 0; i < 8; ++i) {
    columns.push_back(std::make_unique<Column>(1000));
    ASSERT_TRUE(ColumnGroup({columns.back().get()}).Init());
  }
  // Half of it is left for the process.
  EXPECT_NE(Reservation::Reserve(size_t{3} << 30).base(), nullptr);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
}
#endif

TEST(Machine, HasMemoryAndCpus) {
  EXPECT_GT(PhysicalMemory(), uint64_t{64} << 20);
  EXPECT_GE(AvailableCpus(), 1u);
}

}  // namespace
}  // namespace shoal
