#include "store/id_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>

#include "tests/test_data.h"

namespace shoal {
namespace {

// A slot table that hands out slots, and the map over it.
class IdMapTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(slots_.Init(12)); }

  // A fresh slot with this external id. It stays acquired.
  SlotId NewSlot(ExternalId id) {
    std::optional<OwnedSlot> slot = slots_.Acquire();
    EXPECT_TRUE(slot);
    slots_.set_external_id(slot->id(), id);
    return std::move(*slot).Publish();
  }

  MemoryBudget budget_{0};
  EpochRegistry epochs_;
  SlotTable slots_{budget_, epochs_, {}};
  IdMap map_{budget_, slots_};
};

TEST_F(IdMapTest, FindsWhatWasAddedAndNothingElse) {
  EXPECT_FALSE(map_.Lock(7).slot());
  const SlotId slot = NewSlot(7);
  {
    auto entry = map_.Lock(7);
    ASSERT_TRUE(entry.Add(slot));
    EXPECT_EQ(entry.slot(), slot) << "through the entry that added it";
  }
  EXPECT_EQ(map_.Lock(7).slot(), slot);
  EXPECT_FALSE(map_.Lock(8).slot());
  map_.Lock(7).Remove();
  EXPECT_FALSE(map_.Lock(7).slot());
}

TEST_F(IdMapTest, ARemovedIdCanBeAddedAgainWithAnotherSlot) {
  const SlotId first = NewSlot(7), second = NewSlot(7);
  ASSERT_TRUE(map_.Lock(7).Add(first));
  {
    auto entry = map_.Lock(7);
    entry.Remove();
    EXPECT_FALSE(entry.slot());
    ASSERT_TRUE(entry.Add(second));
  }
  EXPECT_EQ(map_.Lock(7).slot(), second);
}

// One thread passes an id along a ring: it adds the next before it removes the last. At any instant
// one or two of them are there.
TEST_F(IdMapTest, WhatIsCollectedAtOnceWasThereAtOneInstant) {
  EXPECT_TRUE(map_.CollectAtomically([](SlotId) { return true; }).empty());
  std::vector<SlotId> slots;
  for (ExternalId id = 0; id < 200; ++id) slots.push_back(NewSlot(id));
  for (ExternalId id = 100; id < 200; ++id) ASSERT_TRUE(map_.Lock(id).Add(slots[id]));
  const auto even = [](SlotId slot) { return slot % 2 == 0; };
  EXPECT_EQ(map_.CollectAtomically(even).size(), 50u);
  ASSERT_TRUE(map_.Lock(0).Add(slots[0]));
  std::atomic<bool> stop{false};
  std::thread mover([&] {
    for (ExternalId round = 1; !stop.load(); ++round) {
      EXPECT_TRUE(map_.Lock(round % 100).Add(slots[round % 100]));
      map_.Lock((round - 1) % 100).Remove();
    }
  });
  for (int look = 0; look < 2000; ++look) {
    std::vector<SlotId> found =
        map_.CollectAtomically([&](SlotId slot) { return slot < slots[100]; });
    ASSERT_GE(found.size(), 1u);
    ASSERT_LE(found.size(), 2u);
    std::sort(found.begin(), found.end());
    const SlotId apart = found.back() - found.front();
    ASSERT_TRUE(apart <= 1 || apart == 99) << apart;
  }
  stop.store(true);
  mover.join();
}

TEST_F(IdMapTest, AgreesWithAHashMapThroughErasuresAndRehashes) {
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::unordered_map<ExternalId, SlotId> model;
  std::unordered_map<ExternalId, SlotId> slot_of;  // A slot keeps its id for good here.
  for (int step = 0; step < 200000; ++step) {
    // Dense ids, ids at the far end, and multiples of the number of shards.
    const ExternalId base = random() % 3000;
    const ExternalId id = step % 3 == 0 ? base : step % 3 == 1 ? UINT64_MAX - base : base * 64;
    auto entry = map_.Lock(id);
    const auto there = model.find(id);
    ASSERT_EQ(entry.slot(), there == model.end() ? std::nullopt : std::optional(there->second));
    // Waves: mostly adding, then mostly removing, so that tables fill with erased places.
    const bool add = random() % 10 < (step / 20000 % 2 == 0 ? 8u : 2u);
    if (add && there == model.end()) {
      if (!slot_of.contains(id)) slot_of[id] = NewSlot(id);
      ASSERT_TRUE(entry.Add(slot_of[id]));
      model[id] = slot_of[id];
    } else if (!add && there != model.end()) {
      entry.Remove();
      model.erase(there);
    }
  }
  for (const auto& [id, slot] : slot_of) {
    const auto there = model.find(id);
    ASSERT_EQ(map_.Lock(id).slot(),
              there == model.end() ? std::nullopt : std::optional(there->second));
  }
}

TEST_F(IdMapTest, ErasedPlacesAreCollectedNotAccumulated) {
  for (ExternalId id = 0; id < 1000; ++id) ASSERT_TRUE(map_.Lock(id).Add(NewSlot(id)));
  const uint64_t bytes = map_.bytes();
  const SlotId slot = NewSlot(5000);
  for (int round = 0; round < 100000; ++round) {
    auto entry = map_.Lock(5000);
    ASSERT_TRUE(entry.Add(slot));
    entry.Remove();
  }
  // One shard at most was close to its limit, and doubled.
  EXPECT_LE(map_.bytes(), bytes + 4096);
}

TEST_F(IdMapTest, BytesAreChargedToTheBudget) {
  std::vector<SlotId> slots;
  for (ExternalId id = 0; id < 3000; ++id) slots.push_back(NewSlot(id));
  const uint64_t before = budget_.used() - map_.bytes();
  for (ExternalId id = 0; id < 3000; ++id) ASSERT_TRUE(map_.Lock(id).Add(slots[id]));
  EXPECT_GT(map_.bytes(), 3000 * sizeof(SlotId));
  EXPECT_EQ(budget_.used() - before, map_.bytes());
}

TEST_F(IdMapTest, WithoutMemoryAddFailsAndTheMapStaysAsItWas) {
  MemoryBudget little(64 * 16 * sizeof(SlotId));  // The first table of every shard.
  IdMap map(little, slots_);
  std::vector<ExternalId> added;
  ExternalId refused = 0;
  for (ExternalId id = 1; refused == 0; ++id) {
    auto entry = map.Lock(id);
    if (!entry.Add(NewSlot(id))) {
      refused = id;
      EXPECT_FALSE(entry.slot());
    } else {
      added.push_back(id);
    }
  }
  EXPECT_GE(added.size(), 12u) << "some shard is full at 12 of 16";
  for (const ExternalId id : added) EXPECT_TRUE(map.Lock(id).slot()) << id;
  EXPECT_FALSE(map.Lock(refused).slot());
  map.Lock(added.front()).Remove();
  EXPECT_FALSE(map.Lock(added.front()).slot());
}

TEST_F(IdMapTest, AnEntryKeepsOthersFromItsIdUntilItIsGone) {
  const SlotId slot = NewSlot(3);
  std::atomic<bool> seen{false};
  std::thread other;
  {
    auto entry = map_.Lock(3);
    other = std::thread([&] {
      const auto theirs = map_.Lock(3);
      seen.store(theirs.slot().has_value());
    });
    ASSERT_TRUE(entry.Add(slot));
  }
  other.join();
  EXPECT_TRUE(seen.load()) << "a thread that waited sees what was done under the lock";
}

TEST_F(IdMapTest, ThreadsThatAddDifferentIdsLoseNone) {
  constexpr size_t kThreads = 4, kEach = 3000;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (ExternalId i = 0; i < kEach; ++i) {
        const ExternalId id = i * kThreads + t;
        EXPECT_TRUE(map_.Lock(id).Add(NewSlot(id)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (ExternalId id = 0; id < kThreads * kEach; ++id) {
    const auto slot = map_.Lock(id).slot();
    ASSERT_TRUE(slot);
    ASSERT_EQ(slots_.external_id(*slot), id);
  }
}

}  // namespace
}  // namespace shoal
