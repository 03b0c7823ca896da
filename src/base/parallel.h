// Work on [0, n) by several threads, and nothing more.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"

namespace shoal {

// Calls work(begin, end) for consecutive pieces of [0, n), each of at most `grain`, from up to
// `threads` threads (0: AvailableCpus()), the calling one among them. Pieces are handed out in
// order. `progress`, when set, is called with what is done, one call at a time; the last call has
// n. A thread that the system refuses is done without.
template <class Work>
void ParallelFor(size_t threads, size_t n, size_t grain,
                 const std::function<void(size_t, size_t)>& progress, const Work& work) {
  if (threads == 0) threads = AvailableCpus();
  if (threads > (n + grain - 1) / grain) threads = (n + grain - 1) / grain;
  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  Mutex reporting;
  size_t reported = 0;  // Guarded by `reporting`.
  const auto report = [&] {
    reported = done.load(std::memory_order_relaxed);
    progress(reported, n);
  };
  const auto run = [&] {
    for (;;) {
      const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= n) return;
      const size_t end = begin + grain < n ? begin + grain : n;
      work(begin, end);
      done.fetch_add(end - begin, std::memory_order_relaxed);
      if (progress && reporting.TryLock()) {
        report();
        reporting.Unlock();
      }
    }
  };
  std::vector<std::thread> helpers;
  try {
    for (size_t i = 1; i < threads; ++i) helpers.emplace_back(run);
  } catch (const std::system_error&) {
    // Fewer threads: slower, not wrong.
  }
  run();
  for (auto& helper : helpers) helper.join();
  if (progress && (reported != n || n == 0)) report();
}

}  // namespace shoal
