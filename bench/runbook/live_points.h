// Which points are there after each step of a runbook, and with which row; what a runbook may not
// do.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runbook/runbook.h"
#include "shoal/result.h"

namespace shoal::bench {

class LivePoints {
 public:
  static constexpr uint32_t kNone = 0xffffffffu;

  // Does what the step says. Corrupt, and nothing is done, if it inserts a point that is there, or
  // deletes or replaces one that is not.
  Status Apply(const Runbook& runbook, const Step& step);

  // Points that are there.
  size_t size() const { return size_; }
  // By id: the row of the point, or kNone. Ids beyond the end are not there.
  std::span<const uint32_t> rows() const { return rows_; }

 private:
  std::vector<uint32_t> rows_;
  size_t size_ = 0;
};

// What a whole runbook does.
struct RunbookSummary {
  size_t steps[kOperations] = {};     // By operation.
  uint64_t points[kOperations] = {};  // Inserted, deleted, replaced.
  uint64_t rows = 0;                  // Rows that the data set must have.
  size_t max_live = 0;                // Most points at a time.
  size_t end_live = 0;
};

// Runs the runbook on paper. Corrupt: the first step that does what it may not, or names a row
// beyond `rows`, the data set's, or a query beyond `queries`.
Result<RunbookSummary> CheckRunbook(const Runbook& runbook, uint64_t rows,
                                    uint64_t queries = UINT64_MAX);

}  // namespace shoal::bench
