// When the operations of one thread are due.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>

#include "jobs/random.h"
#include "runbook/pattern_tools.h"

namespace shoal::bench {

// Nanoseconds since `Begin`, on the clock that all threads share. Never 0.
class RunClock {
 public:
  RunClock();
  uint64_t Now() const;
  // Sleeps, and spins at the end. Returns early, false, when `stop` is set.
  bool WaitUntil(uint64_t time, const std::atomic<bool>& stop) const;

 private:
  uint64_t begin_;
};

enum class ArrivalKind : uint8_t {
  kPoisson,  // Independent of each other.
  kEven,     // One each 1 / rate seconds.
};

// Open loop: operations are due whether or not those before are done, and their latency counts from
// then. Rate 0, closed loop: the next is due when the last is done.
// `threads` such sequences together have the rate; each thread has a queue of its own.
class Arrivals {
 public:
  // rate: per second, over all threads.
  Arrivals(ArrivalKind kind, double rate, size_t threads, size_t thread, uint64_t seed)
      : kind_(kind),
        gap_ns_(rate > 0 ? 1e9 * static_cast<double>(threads) / rate : 0),
        next_ns_(gap_ns_ * static_cast<double>(thread) / static_cast<double>(threads)),
        random_(seed + thread) {}

  bool open_loop() const { return gap_ns_ > 0; }
  // When the next one is due; meaningless in closed loop.
  uint64_t Next() {
    const double due = next_ns_;
    next_ns_ += kind_ == ArrivalKind::kEven ? gap_ns_ : -gap_ns_ * std::log1p(-Unit(random_));
    return static_cast<uint64_t>(due) + 1;
  }
  // The thread was held up by what is not its load: all that is to come is due later by as much.
  void Postpone(uint64_t nanoseconds) { next_ns_ += static_cast<double>(nanoseconds); }

 private:
  ArrivalKind kind_;
  double gap_ns_;
  double next_ns_;
  Random random_;
};

}  // namespace shoal::bench
