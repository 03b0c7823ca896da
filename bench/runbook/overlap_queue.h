// The updates of a runbook as operations on single points, for threads that take them in turn.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runbook/arrivals.h"
#include "runbook/history.h"
#include "runbook/runbook.h"

namespace shoal::bench {

struct PointOperation {
  uint32_t id = 0;
  uint32_t row = PointEvent::kDeleted;  // A delete.
  bool replaces = false;
  uint32_t turn = 0;      // How many operations on the point come before it.
  uint64_t position = 0;  // In the runbook's order, of all.
};

// One line; its threads take operations from the front.
struct OperationQueue {
  std::vector<PointOperation> operations;
  std::atomic<size_t> next{0};

  // Where in the runbook it is; UINT64_MAX: through.
  uint64_t Position() const {
    const size_t i = next.load(std::memory_order_relaxed);
    return i < operations.size() ? operations[i].position : UINT64_MAX;
  }
};

// Both lines, and the rules between them.
class OverlapQueues {
 public:
  // The steps from `first` (an index) on. lead 0: twice the largest of them.
  OverlapQueues(const Runbook& runbook, size_t first, size_t lead);

  OperationQueue& writes() { return writes_; }  // Inserts and replaces.
  OperationQueue& deletes() { return deletes_; }
  bool empty() const { return writes_.operations.empty() && deletes_.operations.empty(); }

  // Whether the operation may start: the ones before it on its point are done, and the other line
  // is near enough.
  bool MayStart(const PointOperation& operation, const OperationQueue& other) const;
  // Waits until it may. False: `stop` was set.
  bool WaitForTurn(const PointOperation& operation, const OperationQueue& other,
                   const std::atomic<bool>& stop) const;
  void Done(const PointOperation& operation);

 private:
  OperationQueue writes_, deletes_;
  size_t lead_ = 0;
  std::unique_ptr<std::atomic<uint32_t>[]> done_;  // By point: operations that are done.
};

}  // namespace shoal::bench
