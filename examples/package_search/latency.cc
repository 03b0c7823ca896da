#include "package_search/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace package_search {
namespace {

constexpr int kStepBits = 5;  // 32 buckets for each doubling.
constexpr uint64_t kSteps = 1u << kStepBits;

}  // namespace

// Below 32 a bucket a nanosecond; from there on the highest bit picks the doubling and the five
// bits below it the step.
size_t LatencyCounts::BucketOf(uint64_t nanoseconds) {
  if (nanoseconds < kSteps) return nanoseconds;
  const int shift = std::bit_width(nanoseconds) - 1 - kStepBits;
  const uint64_t step = (nanoseconds >> shift) - kSteps;
  return std::min<uint64_t>((shift + 1) * kSteps + step, kBuckets - 1);
}

double LatencyCounts::MiddleOf(size_t bucket) {
  if (bucket < kSteps) return static_cast<double>(bucket);
  const int shift = static_cast<int>(bucket / kSteps) - 1;
  const double begin = std::ldexp(static_cast<double>(kSteps + bucket % kSteps), shift);
  return begin + (std::ldexp(1.0, shift) - 1) / 2;
}

uint64_t LatencyCounts::total() const {
  uint64_t sum = 0;
  for (const uint64_t n : counts_) sum += n;
  return sum;
}

double LatencyCounts::Microseconds(double quantile) const {
  const uint64_t all = total();
  if (all == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(quantile * static_cast<double>(all)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= std::max<uint64_t>(wanted, 1)) return MiddleOf(bucket) / 1000;
  }
  return MiddleOf(kBuckets - 1) / 1000;
}

LatencyCounts& LatencyCounts::operator+=(const LatencyCounts& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  return *this;
}

LatencyCounts LatencyCounts::Since(const LatencyCounts& earlier) const {
  LatencyCounts difference;
  for (size_t i = 0; i < kBuckets; ++i) difference.counts_[i] = counts_[i] - earlier.counts_[i];
  return difference;
}

LatencyCounts LatencyRecorder::Read() const {
  LatencyCounts counts;
  for (size_t i = 0; i < LatencyCounts::kBuckets; ++i) {
    counts.Add(i, counts_[i].load(std::memory_order_relaxed));
  }
  return counts;
}

}  // namespace package_search
