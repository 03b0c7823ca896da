// Long work of one thread that reports its progress and may be cancelled.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal {

// Work of `total` steps. Messages call it `what`. Used by one thread at a time.
class LongWork {
 public:
  // `batch` outlives it.
  LongWork(std::string what, size_t total, const BatchOptions& batch)
      : what_(std::move(what)),
        total_(total),
        between_calls_(std::max<size_t>(1, total / 256)),
        batch_(batch) {}

  // n more steps are done. Calls `progress` from time to time. Cancelled: a stop was requested.
  Status Did(size_t n = 1) {
    done_ = std::min(done_ + n, total_);
    if (batch_.progress && done_ >= next_call_ && done_ < total_) {
      next_call_ = done_ + between_calls_;
      batch_.progress(done_, total_);
    }
    if (!batch_.stop.stop_requested()) return {};
    return MakeError(ErrorCode::kCancelled, what_ + ": cancelled after " + std::to_string(done_) +
                                                " of " + std::to_string(total_));
  }
  // All steps are done: the last call of `progress`.
  void End() const {
    if (batch_.progress) batch_.progress(total_, total_);
  }
  const std::stop_token& stop() const { return batch_.stop; }

 private:
  const std::string what_;
  const size_t total_, between_calls_;
  const BatchOptions& batch_;
  size_t done_ = 0, next_call_ = 0;
};

}  // namespace shoal
