// An index may be destroyed at any moment when no call is in it. Repairs that are pending go with
// it: its threads end with those that they are at, and are joined.
//
// Idea: threads that have begun a repair are held at a sync point (src/base/hooks.h) until the
// destructor stands between closing the queue and joining them. Then every repair that begins is
// counted: one too many, and a repair was made that no call waits for.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "base/hooks.h"
#include "graph/repair_queue.h"
#include "shoal/index.h"
#include "tests/test_data.h"

#if !defined(SHOAL_TEST_HOOKS)
#error "this test needs sync points: compile with SHOAL_TEST_HOOKS"
#endif

namespace shoal {
namespace {

constexpr size_t kPoints = 600, kDeleted = 150;  // Few enough for deletes not to help.
constexpr uint32_t kThreads = 3;
constexpr std::chrono::seconds kPatience{120};  // Until a failure is one, and no hang.

// Counts repairs, and holds those of other threads than its own until an index is being destroyed.
// One at a time.
class HeldRepairs {
 public:
  HeldRepairs() {
    current = this;
    sync_point_handler.store(&AtPoint, std::memory_order_release);
  }
  ~HeldRepairs() { sync_point_handler.store(nullptr, std::memory_order_release); }
  HeldRepairs(const HeldRepairs&) = delete;
  HeldRepairs& operator=(const HeldRepairs&) = delete;

  size_t begun() {
    const std::lock_guard lock(mutex_);
    return begun_;
  }
  // False: so many did not come.
  bool AwaitBegun(size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return begun_ == n; });
  }

 private:
  static void AtPoint(const char* point) { current->Reached(point); }
  void Reached(std::string_view point) {
    std::unique_lock lock(mutex_);
    if (point == "destroy.closed") {
      closed_ = true;
      changed_.notify_all();
    } else if (point == "repair.copied") {
      ++begun_;
      changed_.notify_all();
      if (std::this_thread::get_id() == owner_) return;
      if (!changed_.wait_for(lock, kPatience, [&] { return closed_; })) closed_ = true;
    }
  }

  static inline HeldRepairs* current = nullptr;
  const std::thread::id owner_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t begun_ = 0;     // Guarded by mutex_.
  bool closed_ = false;  // Guarded by mutex_.
};

Index Filled(size_t n, RepairPolicy repair, uint32_t repair_share = 100) {
  Index index = *Index::Create(
      {.dim = 8,
       .max_degree = 8,
       .build_list_size = 20,
       .runtime = {.repair = repair, .repair_threads = kThreads, .repair_share = repair_share}});
  const test::Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 8}, 1).Many(n);
  EXPECT_EQ(index.InsertMany(test::Iota(n), rows.view(), {.threads = 1})->done, n);
  return index;
}

TEST(DestroyRaceTest, TheThreadsOfAnIndexEndWithTheRepairsTheyAreAt) {
  HeldRepairs repairs;
  {
    Index index = Filled(kPoints, RepairPolicy::kBackground);
    for (ExternalId id = 0; id < kDeleted; ++id) ASSERT_TRUE(index.Delete(id));
    ASSERT_TRUE(repairs.AwaitBegun(kThreads)) << "one for each thread";
    EXPECT_EQ(index.Stats().pending_repairs, kDeleted);
  }
  EXPECT_EQ(repairs.begun(), kThreads) << "pending repairs were made for no call";
}

TEST(DestroyRaceTest, RepairsThatWereLeftToConsolidateAreNotMade) {
  HeldRepairs repairs;
  {
    Index index = Filled(kPoints, RepairPolicy::kManual);
    for (ExternalId id = 0; id < kDeleted; ++id) ASSERT_TRUE(index.Delete(id));
    EXPECT_EQ(index.Stats().pending_repairs, kDeleted);
    index = Filled(10, RepairPolicy::kManual);  // An assignment destroys, too.
    EXPECT_EQ(index.size(), 10u);
  }
  EXPECT_EQ(repairs.begun(), 0u);
}

// A thread with repair_share = 1 rests 99 times as long as it has worked: no call waits for that.
// (A rest that nothing ends is found by ctest's time limit.)
TEST(DestroyRaceTest, WhoRestsBetweenRepairsIsWokenAndTakesNoMore) {
  for (int round = 0; round < 100; ++round) {
    MemoryBudget no_limit(0);
    RepairQueue queue(no_limit);
    for (SlotId slot = 0; slot < 3; ++slot) {
      ASSERT_TRUE(queue.Reserve());
      queue.Push(slot);
    }
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        queue.Rest(std::chrono::hours(1000));
        EXPECT_FALSE(queue.WaitAndTake());
      });
    }
    queue.Close();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(queue.size(), 3u);
  }
}

// No order is forced here: threads are wherever they happen to be, or at rest for a long time.
TEST(DestroyRaceTest, AnyMomentWillDo) {
  for (int round = 0; round < 48; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    constexpr std::array kPolicies = {RepairPolicy::kBackground, RepairPolicy::kImmediate,
                                      RepairPolicy::kBackground, RepairPolicy::kManual};
    Index index = Filled(150, kPolicies[static_cast<size_t>(round) % 4], round % 8 == 0 ? 1 : 100);
    const auto report = index.DeleteMany(test::Iota(120), {.threads = 2});
    ASSERT_EQ(report->done, 120u);
    if (round % 3 == 0) {
      const size_t enough = index.Stats().pending_repairs / 2;
      for (int i = 0; i < 1000 && index.Stats().pending_repairs > enough; ++i)
        std::this_thread::yield();
    }
  }
}

}  // namespace
}  // namespace shoal
