// Work on [0, n) by several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <new>
#include <stop_token>
#include <system_error>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/round.h"

namespace shoal {

// Calls work(begin, end) for consecutive pieces of [0, n), each of at most `grain`, from up to
// `threads` threads (0: AvailableCpus()), the calling one among them. Pieces are handed out in
// order. `progress`, when set, is called with what is done, one call at a time; the last call has
// n. If the system refuses a thread, the others do its work. The first exception that leaves `work`
// or `progress` ends the rest and is thrown again, in the calling thread. Once `stop` is requested
// no piece is begun. Returns how much of n was done.
template <class Work>
size_t ParallelFor(size_t threads, size_t n, size_t grain,
                   const std::function<void(size_t, size_t)>& progress, const Work& work,
                   const std::stop_token& stop = {}) {
  constexpr size_t kMaxThreads = 1024;  // More is a caller's mistake.
  threads = std::min({threads == 0 ? AvailableCpus() : threads, kMaxThreads, DivideUp(n, grain)});
  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  Mutex reporting;
  size_t reported = 0;  // Guarded by `reporting`.
  const auto report = [&] {
    reported = done.load(std::memory_order_relaxed);
    progress(reported, n);
  };
  std::exception_ptr thrown;  // Guarded by `throwing`.
  Mutex throwing;
  const auto pieces = [&] {
    while (!stop.stop_requested()) {
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
  const auto run = [&] {
    try {
      pieces();
    } catch (...) {
      next.store(n, std::memory_order_relaxed);
      const MutexLock lock(throwing);
      if (!thrown) thrown = std::current_exception();
    }
  };
  std::vector<std::thread> helpers;
  try {
    if (threads > 1) helpers.reserve(threads - 1);
    for (size_t i = 1; i < threads; ++i) helpers.emplace_back(run);
  } catch (const std::system_error&) {
    // Fewer threads: slower, not wrong.
  } catch (const std::bad_alloc&) {
    // Likewise.
  }
  run();
  for (auto& helper : helpers) helper.join();
  if (thrown) std::rethrow_exception(thrown);
  if (progress && done.load() == n && (reported != n || n == 0)) report();
  return done.load();
}

}  // namespace shoal
