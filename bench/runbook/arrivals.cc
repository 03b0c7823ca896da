#include "runbook/arrivals.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace shoal::bench {
namespace {

uint64_t Nanoseconds() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                   std::chrono::steady_clock::now().time_since_epoch())
                                   .count());
}

// Sleeps end late by about as much; what is left is spun away.
constexpr uint64_t kSpin = 100'000;
// A stop is seen within this.
constexpr uint64_t kLongestSleep = 20'000'000;

}  // namespace

RunClock::RunClock() : begin_(Nanoseconds()) {}

uint64_t RunClock::Now() const { return Nanoseconds() - begin_ + 1; }

bool RunClock::WaitUntil(uint64_t time, const std::atomic<bool>& stop) const {
  for (;;) {
    const uint64_t now = Now();
    if (now >= time) return true;
    if (stop.load(std::memory_order_relaxed)) return false;  // A flag alone; nothing behind it.
    const uint64_t left = time - now;
    if (left > kSpin)
      std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(left - kSpin, kLongestSleep)));
    else
      __builtin_ia32_pause();
  }
}

}  // namespace shoal::bench
