#include "base/parallel.h"

#include <gtest/gtest.h>

#include <set>

namespace shoal {
namespace {

TEST(ParallelFor, CoversEveryIndexOnceInPiecesOfAtMostTheGrain) {
  for (const size_t threads : {0u, 1u, 2u, 7u}) {
    for (const size_t n : {0u, 1u, 7u, 8u, 9u, 1000u}) {
      for (const size_t grain : {1u, 8u, 5000u}) {
        std::vector<std::atomic<int>> visits(n);
        ParallelFor(threads, n, grain, {}, [&](size_t begin, size_t end) {
          EXPECT_LT(begin, end);
          EXPECT_LE(end, n);
          EXPECT_LE(end - begin, grain);
          for (size_t i = begin; i < end; ++i) visits[i].fetch_add(1);
        });
        for (size_t i = 0; i < n; ++i) ASSERT_EQ(visits[i].load(), 1) << i << " of " << n;
      }
    }
  }
}

TEST(ParallelFor, AnAbsurdNumberOfThreadsIsAsManyAsHelp) {
  std::atomic<size_t> sum{0};
  ParallelFor(SIZE_MAX, 20, 1, {}, [&](size_t begin, size_t) { sum.fetch_add(begin); });
  EXPECT_EQ(sum.load(), 190u);
}

TEST(ParallelFor, OnOneThreadKeepsTheOrderAndTheThread) {
  std::vector<size_t> order;
  ParallelFor(1, 100, 7, {}, [&, me = std::this_thread::get_id()](size_t begin, size_t end) {
    EXPECT_EQ(std::this_thread::get_id(), me);
    for (size_t i = begin; i < end; ++i) order.push_back(i);
  });
  EXPECT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(ParallelFor, UsesAllThreadsThatItWasGiven) {
  // Each piece waits until all have begun: with fewer threads this would never end.
  constexpr size_t kThreads = 3;
  std::atomic<size_t> begun{0};
  std::set<std::thread::id> ids;
  Mutex mutex;
  ParallelFor(kThreads, kThreads, 1, {}, [&](size_t, size_t) {
    begun.fetch_add(1);
    while (begun.load() < kThreads) std::this_thread::yield();
    const MutexLock lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(ids.size(), kThreads);
}

TEST(ParallelFor, UsesNoMoreThreadsThanPieces) {
  std::set<std::thread::id> ids;
  Mutex mutex;
  ParallelFor(64, 20, 10, {}, [&](size_t, size_t) {
    const MutexLock lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_LE(ids.size(), 2u);
}

TEST(ParallelFor, ReportsProgressOneCallAtATimeNeverBackwardsAndAtLastAll) {
  for (const size_t threads : {1u, 4u}) {
    for (const size_t n : {0u, 1u, 999u}) {
      std::atomic<int> inside{0};
      std::vector<size_t> done;
      ParallelFor(
          threads, n, 3,
          [&](size_t so_far, size_t total) {
            EXPECT_EQ(inside.fetch_add(1), 0);
            EXPECT_EQ(total, n);
            done.push_back(so_far);
            inside.fetch_sub(1);
          },
          [](size_t, size_t) {});
      ASSERT_FALSE(done.empty());
      EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
      EXPECT_EQ(done.back(), n);
    }
  }
}

TEST(ParallelFor, ThrowsInTheCallingThreadWhatWorkThrewInAny) {
  for (const size_t threads : {1u, 4u}) {
    for (const size_t bad : {0u, 500u, 999u}) {
      std::atomic<size_t> pieces{0};
      EXPECT_THROW(ParallelFor(threads, 1000, 1, {},
                               [&](size_t begin, size_t) {
                                 pieces.fetch_add(1);
                                 if (begin == bad) throw std::bad_alloc();
                               }),
                   std::bad_alloc);
      EXPECT_LE(pieces.load(), 1000u);
    }
  }
}

}  // namespace
}  // namespace shoal
