#include "store/reverse_lists.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/test_data.h"

namespace shoal {
namespace {

using ChunkId = ReversePool::ChunkId;

class ReverseLists : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(pool_.Init()); }

  std::vector<SlotId> Sorted(std::atomic<ChunkId>& head) {
    std::vector<SlotId> ids;
    ReverseList(pool_, head).AppendTo(ids);
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  MemoryBudget budget_{0};
  ReversePool pool_{budget_};
};

TEST_F(ReverseLists, AFreshListIsEmpty) {
  std::atomic<ChunkId> head = ReversePool::kNone;
  ReverseList list(pool_, head);
  EXPECT_FALSE(list.Contains(1));
  EXPECT_FALSE(list.Remove(1));
  EXPECT_TRUE(Sorted(head).empty());
  list.Clear();
  EXPECT_EQ(head, ReversePool::kNone);
}

TEST_F(ReverseLists, AnIdMayBeInItTwiceAndIsRemovedOneByOne) {
  std::atomic<ChunkId> head = ReversePool::kNone;
  ReverseList list(pool_, head);
  ASSERT_TRUE(list.Add(7));
  ASSERT_TRUE(list.Add(7));
  EXPECT_EQ(Sorted(head), (std::vector<SlotId>{7, 7}));
  EXPECT_TRUE(list.Remove(7));
  EXPECT_TRUE(list.Contains(7));
  EXPECT_TRUE(list.Remove(7));
  EXPECT_FALSE(list.Contains(7));
  EXPECT_FALSE(list.Remove(7));
}

TEST_F(ReverseLists, AgreesWithAMultisetAcrossManyLists) {
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr size_t kLists = 20;
  std::vector<std::atomic<ChunkId>> heads(kLists);  // kNone.
  std::vector<std::multiset<SlotId>> model(kLists);
  for (int step = 0; step < 60000; ++step) {
    const size_t i = random() % kLists;
    ReverseList list(pool_, heads[i]);
    const auto id = static_cast<SlotId>(random() % 60);
    // Waves of growing and of shrinking, so that chunks come and go.
    const bool grow = random() % 100 < (step / 5000 % 2 == 0 ? 70u : 30u);
    if (random() % 2000 == 0) {
      list.Clear();
      model[i].clear();
    } else if (grow) {
      ASSERT_TRUE(list.Add(id));
      model[i].insert(id);
    } else {
      const auto there = model[i].find(id);
      ASSERT_EQ(list.Remove(id), there != model[i].end());
      if (there != model[i].end()) model[i].erase(there);
    }
    ASSERT_EQ(list.Contains(id), model[i].count(id) > 0);
    const size_t n = random() % 60;
    ASSERT_EQ(list.HasMoreThan(n), model[i].size() > n);
    if (step % 100 == 0) {
      ASSERT_EQ(Sorted(heads[i]), std::vector<SlotId>(model[i].begin(), model[i].end()));
    }
  }
}

// Of two lists, so that both trie nodes and chunks of the one are used again by the other.
TEST_F(ReverseLists, AgreesWithAMultisetOfAHub) {
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr size_t kLists = 2, kMax = 30000;
  std::vector<std::atomic<ChunkId>> heads(kLists);  // kNone.
  std::vector<std::vector<SlotId>> model(kLists);
  for (int wave = 0; wave < 12; ++wave) {
    const size_t i = random() % kLists;
    ReverseList list(pool_, heads[i]);
    std::vector<SlotId>& there = model[i];
    if (wave == 7) {
      list.Clear();
      there.clear();
    }
    // Up to many, or down to none or few.
    const size_t goal = there.size() < kMax / 2 ? kMax - random() % 1000 : random() % 2 * 100;
    while (there.size() < goal) {
      there.push_back(static_cast<SlotId>(random() % kMax));
      ASSERT_TRUE(list.Add(there.back()));
    }
    std::shuffle(there.begin(), there.end(), random);
    while (there.size() > goal) {
      ASSERT_TRUE(list.Remove(there.back()));
      there.pop_back();
      ASSERT_FALSE(list.Remove(kMax + 1));
    }
    for (int step = 0; step < 300; ++step) {  // As edges come and go.
      there.push_back(static_cast<SlotId>(random() % kMax));
      ASSERT_TRUE(list.Add(there.back()));
      std::swap(there[random() % there.size()], there.back());
      ASSERT_TRUE(list.Contains(there.back()));
      ASSERT_TRUE(list.Remove(there.back()));
      there.pop_back();
    }
    for (size_t j = 0; j < kLists; ++j) {
      std::vector<SlotId> ids = model[j];
      std::sort(ids.begin(), ids.end());
      ASSERT_EQ(Sorted(heads[j]), ids);
      const ReverseList whole(pool_, heads[j]);
      ASSERT_FALSE(whole.HasMoreThan(ids.size()));
      if (ids.empty()) continue;
      ASSERT_TRUE(whole.HasMoreThan(ids.size() - 1));
      std::vector<SlotId> part;
      whole.AppendTo(part, ids.size() / 2);
      ASSERT_GE(part.size(), ids.size() / 2);
      ASSERT_LT(part.size(), ids.size() / 2 + ReversePool::kChunkIds);
    }
  }
}

TEST_F(ReverseLists, AHubThatHasLostAllCanBeginAgainWithoutMemory) {
  std::atomic<ChunkId> head = ReversePool::kNone;
  ReverseList list(pool_, head);
  for (SlotId id = 0; id < 3000; ++id) ASSERT_TRUE(list.Add(id));
  for (SlotId id = 0; id < 3000; ++id) ASSERT_TRUE(list.Remove(id));
  ASSERT_NE(head, ReversePool::kNone) << "one chunk stays, and it is an empty chain:";
  EXPECT_EQ(pool_[head].next, ReversePool::kNone);
  const ChunkId before = head;
  ASSERT_TRUE(list.Add(7));
  EXPECT_EQ(head, before);
  EXPECT_EQ(Sorted(head), (std::vector<SlotId>{7}));
}

TEST_F(ReverseLists, AHubsChunksMoveDownAndAreGivenBack) {
  std::atomic<ChunkId> below = ReversePool::kNone, head = ReversePool::kNone;
  ReverseList first(pool_, below);
  for (SlotId id = 0; id < 1000000; ++id) ASSERT_TRUE(first.Add(id));
  ReverseList list(pool_, head);
  std::vector<SlotId> ids;
  for (SlotId id = 0; id < 20000; ++id) ASSERT_TRUE(list.Add(id));
  for (SlotId id = 0; id < 5000; ++id) ASSERT_TRUE(list.Remove(id));
  for (SlotId id = 5000; id < 20000; ++id) ids.push_back(id);
  ASSERT_EQ(pool_[head].next, ReversePool::kTrieNode) << "else this tests chains only";
  first.Clear();
  const uint64_t before = budget_.used();
  const ChunkId bound = pool_.BeginCompact();
  list.MoveBelow(bound);
  pool_.EndCompact();
  EXPECT_EQ(Sorted(head), ids);
  EXPECT_LT(budget_.used(), before);
  list.Clear();
  EXPECT_EQ(head, ReversePool::kNone);
}

TEST_F(ReverseLists, FreedChunksAreUsedAgain) {
  std::vector<std::atomic<ChunkId>> heads(1000);  // kNone.
  const auto fill = [&] {
    for (std::atomic<ChunkId>& head : heads)
      for (SlotId id = 0; id < 100; ++id) ASSERT_TRUE(ReverseList(pool_, head).Add(id));
    ReverseList hub(pool_, heads.front());  // With trie nodes.
    for (SlotId id = 100; id < 20000; ++id) ASSERT_TRUE(hub.Add(id));
    for (SlotId id = 0; id < 20000; id += 20) ASSERT_TRUE(hub.Remove(id));
  };
  const auto clear = [&] {
    for (std::atomic<ChunkId>& head : heads) ReverseList(pool_, head).Clear();
  };
  fill();
  const uint64_t bytes = budget_.used();
  for (int round = 0; round < 5; ++round) {
    clear();
    fill();
  }
  EXPECT_EQ(budget_.used(), bytes);
}

TEST_F(ReverseLists, AllocatedChunksAreDistinctAcrossThreads) {
  constexpr size_t kThreads = 4, kEach = 3000;
  std::vector<std::vector<ChunkId>> chunks(kThreads);
  std::vector<std::thread> threads;
  for (auto& mine : chunks) {
    threads.emplace_back([this, &mine] {
      for (size_t i = 0; i < kEach; ++i) {
        mine.push_back(pool_.Allocate());
        if (i % 3 == 2) {  // Another thread may get it, but one only.
          pool_.Free(mine.back());
          mine.pop_back();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<ChunkId> all;
  size_t count = 0;
  for (const auto& mine : chunks) {
    count += mine.size();
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), count);
  EXPECT_EQ(all.count(ReversePool::kNone), 0u);
}

TEST(ReverseListsUnderALimit, AddFailsCleanlyAndWorksAgainAfterARemoval) {
  MemoryBudget budget(2 * kHugePage);
  ReversePool pool(budget);
  ASSERT_TRUE(pool.Init());
  std::atomic<ChunkId> head = ReversePool::kNone;
  ReverseList list(pool, head);
  SlotId added = 0;
  while (list.Add(added)) ++added;
  // All chunks but number 0, and at most the rest of one run.
  EXPECT_GT(added, (2 * kHugePage / kCacheLine - 600) * ReversePool::kChunkIds);
  EXPECT_FALSE(list.Add(added)) << "still none";
  EXPECT_FALSE(list.Contains(added));
  std::vector<SlotId> ids;
  list.AppendTo(ids);
  EXPECT_EQ(ids.size(), added);
  ASSERT_TRUE(list.Remove(0));
  EXPECT_TRUE(list.Add(added));
  EXPECT_FALSE(list.Add(added + 1));
}

}  // namespace
}  // namespace shoal
