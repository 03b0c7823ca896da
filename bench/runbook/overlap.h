// Runs a runbook as no benchmark does and every service does: searches, inserts and deletes at the
// same time. What the threads did is logged with times, and judged afterwards (history.h).
//
// The first steps are done one after the other, for something to be there. The steps after them are
// taken apart into operations on single points: inserts and replaces are one queue, deletes
// another, each in the runbook's order, each with threads and a rate of its own. Two rules keep it
// the runbook's stream: the operations on one point keep their order, and no queue runs ahead of
// the other by more than `lead` operations of the runbook. Searches go on all the time; the
// runbook's own are left out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jobs/input.h"
#include "runbook/arrivals.h"
#include "runbook/history.h"
#include "runbook/runbook.h"
#include "runbook/stream_step.h"
#include "shoal/index.h"
#include "shoal/result.h"

namespace shoal::bench {

// Threads of one kind of operation, and how many operations a second are due in all; 0: the next
// when the last is done.
struct Load {
  size_t threads = 1;
  double rate = 0;
};

struct OverlapOptions {
  IndexOptions index;     // dim, scalar_type and metric are the input's.
  size_t warm_steps = 1;  // Done before the clock starts.
  Load inserts, deletes, searches;
  ArrivalKind arrivals = ArrivalKind::kPoisson;
  size_t k = 10;
  size_t list = 64;
  size_t rerank = 0;
  double seconds = 0;    // 0: until the runbook is done.
  size_t lead = 0;       // 0: twice the runbook's largest step.
  size_t judged = 4000;  // Searches whose recall is bounded, evenly over all; the more the slower.
  size_t judge_threads = 0;  // 0: all CPUs.
  double bucket_seconds = 1;
  uint64_t seed = 1;
};

struct OverlapFigures {
  std::vector<StreamStep> buckets;
  uint64_t searches = 0, inserts = 0, replaces = 0, deletes = 0;
  double seconds = 0;
  Tail search_tail, insert_tail, delete_tail;  // From when they were due; inserts with replaces.
  Tail search_service;                         // From when they were called.
  uint64_t judged = 0, not_judged = 0;         // Of the sample.
  RecallBounds recall;                         // Means over the judged.
  uint64_t outside = 0;                        // Hits outside of the upper set. Must be 0.
  uint64_t wrong_distance = 0;  // Hits at a distance of no vector that the point can have had.
  uint64_t doubled = 0;         // Ids that an answer names twice.
  std::string structure;        // What CheckStructure says in the end; empty: all is well.
};

// Runs it. `say`: lines for people.
Result<OverlapFigures> RunOverlap(const Input& input, const Runbook& runbook,
                                  const OverlapOptions& options,
                                  const std::function<void(std::string_view)>& say);

}  // namespace shoal::bench
