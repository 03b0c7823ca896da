// Latencies of many operations in fixed memory, read while they are written.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace package_search {

// Counts of nanoseconds by bucket; a bucket is at most 1/32 wider than its lower end.
class LatencyCounts {
 public:
  static constexpr size_t kBuckets = 32 * 60;

  static size_t BucketOf(uint64_t nanoseconds);
  // The middle of a bucket, in nanoseconds.
  static double MiddleOf(size_t bucket);

  uint64_t total() const;
  // The latency in microseconds that a share `quantile` of all is at or below, 0 < quantile <= 1.
  // 0 when nothing was counted.
  double Microseconds(double quantile) const;

  void Add(size_t bucket, uint64_t n) { counts_[bucket] += n; }
  LatencyCounts& operator+=(const LatencyCounts& other);
  // What was counted after `earlier`, an older state of the same counts.
  LatencyCounts Since(const LatencyCounts& earlier) const;

 private:
  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kBuckets);
};

// Written by one thread, read by any at any time.
class LatencyRecorder {
 public:
  void Record(uint64_t nanoseconds) {
    counts_[LatencyCounts::BucketOf(nanoseconds)].fetch_add(1, std::memory_order_relaxed);
  }
  LatencyCounts Read() const;

 private:
  // Relaxed throughout: they are statistics, nothing is published through them.
  alignas(64) std::array<std::atomic<uint32_t>, LatencyCounts::kBuckets> counts_ = {};
};

}  // namespace package_search
