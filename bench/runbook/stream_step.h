// What both kinds of streaming jobs report of a step, or of a second.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runner/json.h"

namespace shoal::bench {

// Percentiles of latencies by nearest rank, microseconds.
struct Tail {
  double p50 = 0, p99 = 0, p999 = 0, max = 0;
};
// Zeroes for no values. Reorders them.
Tail TailOf(std::vector<float>& microseconds);
// {"p50_us": ..., "p99_us": ..., "p999_us": ..., "max_us": ...}
Json TailJson(const Tail& tail);

// Memory of this process, bytes.
struct Resident {
  uint64_t now = 0;
  uint64_t peak = 0;  // Since ResetPeak, where the system allows that; else since the start.
  static Resident Read();
  static void ResetPeak();
};

// A step of the results' "stream" (docs/results.md). What is not there makes no sense for it.
struct StreamStep {
  size_t number = 0;
  std::string operation;
  double seconds = 0;     // How long it took.
  double at_seconds = 0;  // When it ended, from the first step on; only steps count.
  uint64_t points = 0;    // Inserted, deleted, replaced; searches made.
  uint64_t live = 0;      // Afterwards.
  Tail tail;              // Of single operations.
  std::optional<uint64_t> list;
  std::optional<double> recall, recall_low, recall_high;
  std::optional<double> qps, distances;
  std::optional<double> insert_rate, delete_rate, replace_rate;  // Points per second.
  std::optional<double> consolidate_seconds;                     // A part of `seconds`.
  std::optional<uint64_t> pending_repairs;                       // Afterwards.
  uint64_t resident_bytes = 0, peak_resident_bytes = 0;
  uint64_t index_bytes = 0;  // The index's own account.
};
Json StepJson(const StreamStep& step);

}  // namespace shoal::bench
