// What the threads of an overlapped run write down, and what is made of it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runbook/history.h"
#include "runbook/overlap.h"

namespace shoal::bench {

// One search. Times as in RunClock.
struct SearchRecord {
  uint64_t due = 0;  // Closed loop: start.
  uint64_t start = 0, end = 0;
  uint32_t query = 0;
  uint32_t found = 0;  // Hits: ids and distances [first, first + found) of its thread's log.
  size_t first = 0;
};

struct SearchLog {
  std::vector<SearchRecord> records;
  std::vector<uint32_t> ids;
  std::vector<float> distances;

  std::span<const uint32_t> Ids(const SearchRecord& record) const {
    return std::span(ids).subspan(record.first, record.found);
  }
};

// Inserts with replaces, or deletes, of one thread.
struct UpdateLog {
  std::vector<PointEvent> events;
  std::vector<uint8_t> replaces;    // Of each event: whether it is one.
  std::vector<float> latencies_us;  // Without waiting for the runbook's order.
};

// The index at the end of a bucket.
struct BucketSample {
  uint64_t time = 0;
  uint64_t live = 0, resident_bytes = 0, peak_resident_bytes = 0, index_bytes = 0,
           pending_repairs = 0;
};

struct OverlapLog {
  std::vector<PointEvent> before;  // What was there when the clock started, times 0.
  std::vector<SearchLog> searches;
  std::vector<UpdateLog> writes, deletes;
  std::vector<BucketSample> samples;  // At least one.
};

// Counts, rates, tails and buckets.
OverlapFigures Summarise(const OverlapLog& log);

// Checks every hit, and bounds the recall of a sample of the searches, in all and by bucket.
Status JudgeOverlap(const OverlapLog& log, const Input& input, const OverlapOptions& options,
                    OverlapFigures& figures);

}  // namespace shoal::bench
