// What two threads do beside each other: one works, one takes its turns and times them. Shared by
// `beside` and its peers.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace shoal::bench {

using Clock = std::chrono::steady_clock;
inline double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Latencies in microseconds of what one thread did for a while.
struct Latencies {
  std::vector<double> search, insert, erase;
};

// Does it, and adds how long it took.
template <class What>
void Time(std::vector<double>& to, const What& what) {
  const auto begin = Clock::now();
  what();
  to.push_back(Since(begin) * 1e6);
}

inline void PrintMeanwhileHead() {
  fmt::print(
      "| beside | searches/s | p50 us | p99 | p99.9 | most | inserts/s | p50 us | p99 | most |"
      " deletes' most us |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
}

// Runs `work` here and turn(latencies) again and again on another thread until it is done; prints a
// line of the table. Returns how many inserts there were.
template <class Turn, class Work>
size_t Meanwhile(const std::string& name, const Turn& turn, const Work& work) {
  Latencies latencies;
  std::atomic<bool> stop{false};
  double seconds = 0;
  std::thread other([&] {
    const auto begin = Clock::now();
    while (!stop.load(std::memory_order_relaxed)) turn(latencies);
    seconds = Since(begin);
  });
  work();
  stop = true;
  other.join();
  const auto at = [](std::vector<double>& values, double share) {
    if (values.empty()) return 0.0;
    std::sort(values.begin(), values.end());
    return values[static_cast<size_t>(static_cast<double>(values.size() - 1) * share)];
  };
  auto& [search, insert, erase] = latencies;
  fmt::print(
      "| {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} |"
      " {:.0f} |\n",
      name, static_cast<double>(search.size()) / seconds, at(search, 0.5), at(search, 0.99),
      at(search, 0.999), at(search, 1), static_cast<double>(insert.size()) / seconds,
      at(insert, 0.5), at(insert, 0.99), at(insert, 1), at(erase, 1));
  return insert.size();
}

inline void Spin(double seconds) {
  for (const auto begin = Clock::now(); Since(begin) < seconds;) __builtin_ia32_pause();
}

// Which of n points go: the same for all engines.
template <class Id>
std::vector<Id> Leaving(size_t n, double share) {
  std::vector<Id> ids(n);
  std::iota(ids.begin(), ids.end(), Id{0});
  std::shuffle(ids.begin(), ids.end(), std::mt19937_64(1));
  ids.resize(static_cast<size_t>(static_cast<double>(n) * share));
  return ids;
}

}  // namespace shoal::bench
