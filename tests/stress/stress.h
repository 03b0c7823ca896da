// What the stress programs share: --seconds, --threads and --seed, random numbers, violations.
//
// A stress program runs threads against each other for some seconds and checks invariants all the
// time, on payloads that certify themselves. It exits with 1 and says what it saw if one is broken,
// or if it ran without ever getting to what it is there for. At sync points (base/hooks.h) threads
// yield the CPU at random: most of what can go wrong needs a thread to stop just there. The seed is
// in the output; threads are scheduled by the system, so the same seed makes a failure likely
// again, not certain.
#pragma once

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/hooks.h"

namespace shoal::testing {

struct StressOptions {
  uint64_t seconds = 5;
  uint64_t threads = 4;  // Of each kind, or in all: as the program says.
  uint64_t seed = 0;     // 0: a fresh one.
};

// False: an argument was not understood, and said so.
inline bool ParseStressOptions(int argc, char** argv, StressOptions& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    uint64_t* value = flag == "--seconds"   ? &options.seconds
                      : flag == "--threads" ? &options.threads
                      : flag == "--seed"    ? &options.seed
                                            : nullptr;
    const char* const text = i + 1 < argc ? argv[++i] : "";
    const char* const end = text + std::strlen(text);
    if (value == nullptr || end == text || std::from_chars(text, end, *value).ptr != end) {
      std::fprintf(stderr,
                   "%s: expected --seconds, --threads or --seed and a number, found %s %s\n",
                   argv[0], flag.c_str(), text);
      return false;
    }
  }
  if (options.seed == 0) options.seed = std::random_device()();
  return true;
}

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  static uint64_t Mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

 private:
  uint64_t state_;
};

// Squared; of arrays of the same size.
template <class Vector>
float Distance(const Vector& a, const Vector& b) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

// The sync points until this thread sleeps for so long that others overtake it by hundreds of
// calls; 0: it does not.
inline thread_local uint64_t points_until_stall = 0;

#if defined(SHOAL_TEST_HOOKS)
inline void YieldAtRandom(const char* /*point*/) {
  if (points_until_stall > 0 && --points_until_stall == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  static std::atomic<uint64_t> threads{0};
  thread_local Random random(threads.fetch_add(1, std::memory_order_relaxed));
  if (!random.OneIn(32)) return;
  for (uint64_t times = 1 + random.Below(4); times > 0; --times) std::this_thread::yield();
}
#endif

// A run: its end, its counts, its violations. Thread-safe but for Spawn and Finish.
class Stress {
 public:
  Stress(const char* name, const StressOptions& options)
      : name_(name),
        options_(options),
        end_(std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds)) {
#if defined(SHOAL_TEST_HOOKS)
    sync_point_handler.store(&YieldAtRandom, std::memory_order_release);
#endif
  }

  // A figure for the report; one that is 0 in the end fails the run: it has tested nothing then.
  struct Figure {
    const char* name;
    uint64_t value;
  };

  // False from the end of the time, or the first violation, on.
  bool Running() const { return !Failed() && std::chrono::steady_clock::now() < end_; }
  // Likewise, but while one of the figures is 0 for ten times as long: where the machine is slow,
  // or busy with others, the time is over before everything has happened once.
  bool Running(const std::vector<Figure>& figures) const {
    const auto late = end_ + std::chrono::seconds(9 * options_.seconds);
    return Running() || (!Failed() && std::chrono::steady_clock::now() < late &&
                         std::any_of(figures.begin(), figures.end(),
                                     [](const Figure& figure) { return figure.value == 0; }));
  }
  bool Failed() const { return failed_.load(std::memory_order_relaxed); }
  void Violation(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (violations_++ < 10) std::fprintf(stderr, "%s: VIOLATION: %s\n", name_, what.c_str());
    failed_.store(true, std::memory_order_relaxed);
  }
  void Check(bool holds, const char* what) {
    if (!holds) [[unlikely]]
      Violation(what);
  }

  // A thread that calls body(random) with a generator of its own.
  void Spawn(std::function<void(Random&)> body) {
    const uint64_t seed = Random::Mix(options_.seed + threads_.size());
    threads_.emplace_back([seed, body = std::move(body)] {
      Random random(seed);
      body(random);
    });
  }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // Joins, prints the figures, returns the exit status. `rare`: figures that may be 0.
  int Finish(const std::vector<Figure>& figures, const std::vector<Figure>& rare = {}) {
    Join();
    std::string line = std::string(name_) + ": seed " + std::to_string(options_.seed) + ", " +
                       std::to_string(options_.seconds) + " s";
    for (const Figure& figure : figures) {
      line += std::string(", ") + figure.name + " " + std::to_string(figure.value);
      if (figure.value == 0 && violations_ == 0)
        Violation(std::string(figure.name) + ": 0, so nothing was tested");
    }
    for (const Figure& figure : rare)
      line += std::string(", ") + figure.name + " " + std::to_string(figure.value);
    line += ", violations " + std::to_string(violations_);
    std::printf("%s\n", line.c_str());
    return violations_ == 0 ? 0 : 1;
  }

 private:
  const char* const name_;
  const StressOptions options_;
  const std::chrono::steady_clock::time_point end_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  uint64_t violations_ = 0;  // Guarded by mutex_.
  std::vector<std::thread> threads_;
};

}  // namespace shoal::testing
