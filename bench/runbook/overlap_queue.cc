#include "runbook/overlap_queue.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace shoal::bench {

OverlapQueues::OverlapQueues(const Runbook& runbook, size_t first, size_t lead) : lead_(lead) {
  const auto steps = std::span(runbook.steps).subspan(std::min(first, runbook.steps.size()));
  uint32_t points = 0, largest = 0;
  for (const Step& step : steps) {
    points = std::max(points, step.points.end);
    largest = std::max(largest, step.points.size());
  }
  if (lead_ == 0) lead_ = 2 * size_t{largest};
  std::vector<uint32_t> turns(points, 0);
  uint64_t position = 0;
  for (const Step& step : steps) {
    if (step.operation == Operation::kSearch) continue;
    const bool deletes = step.operation == Operation::kDelete;
    for (uint32_t i = 0; i < step.points.size(); ++i) {
      PointOperation operation;
      operation.id = step.points.begin + i;
      if (!deletes) operation.row = step.rows.begin + i;
      operation.replaces = step.operation == Operation::kReplace;
      operation.turn = turns[operation.id]++;
      operation.position = position++;
      (deletes ? deletes_ : writes_).operations.push_back(operation);
    }
  }
  done_ = std::make_unique<std::atomic<uint32_t>[]>(points);
}

bool OverlapQueues::MayStart(const PointOperation& operation, const OperationQueue& other) const {
  const uint64_t there = other.Position();
  // TURN.1, pairs with TURN.2: what was done to the point before this.
  return done_[operation.id].load(std::memory_order_acquire) == operation.turn &&
         (operation.position <= there || operation.position - there <= lead_);
}

// No deadlock: of the operations that are not done the runbook's first waits for none, and is
// the next of its line or has a thread.
bool OverlapQueues::WaitForTurn(const PointOperation& operation, const OperationQueue& other,
                                const std::atomic<bool>& stop) const {
  for (int tries = 0; !MayStart(operation, other); ++tries) {
    if (stop.load(std::memory_order_relaxed)) return false;  // A flag alone.
    if (tries < 100)
      __builtin_ia32_pause();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return !stop.load(std::memory_order_relaxed);
}

void OverlapQueues::Done(const PointOperation& operation) {
  // TURN.2, pairs with TURN.1.
  done_[operation.id].store(operation.turn + 1, std::memory_order_release);
}

}  // namespace shoal::bench
