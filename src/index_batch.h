// What calls on many rows, each of which may fail, have in common.
#pragma once

#include <algorithm>
#include <atomic>
#include <span>
#include <utility>

#include "base/mutex.h"
#include "base/parallel.h"
#include "shoal/index.h"

namespace shoal {

tl::unexpected<Error> Cancelled(const char* what, size_t done, size_t total);

struct RowBatch {
  const char* what;  // A verb, for messages.
  size_t rows;
  std::span<const uint32_t> order;  // Of the rows; empty: as they come.
  size_t grain;                     // Rows that one thread takes at a time.
};

// Calls work(row), which returns a Status, for each row, on several threads. May throw bad_alloc.
template <class Work>
BatchReport RunBatch(const RowBatch& rows, const BatchOptions& options, const Work& work) {
  BatchReport report;
  Mutex reporting;
  std::atomic<size_t> done{0};
  const auto piece = [&](size_t begin, size_t end) {
    for (size_t at = begin; at < end; ++at) {
      const size_t row = rows.order.empty() ? at : rows.order[at];
      if (Status status = work(row); status) {
        done.fetch_add(1, std::memory_order_relaxed);
      } else {
        const MutexLock lock(reporting);
        report.failures.push_back({row, std::move(status.error())});
      }
    }
  };
  const size_t tried =
      ParallelFor(options.threads, rows.rows, rows.grain, options.progress, piece, options.stop);
  if (tried < rows.rows) report.status = Cancelled(rows.what, tried, rows.rows);
  report.done = done.load();
  std::sort(report.failures.begin(), report.failures.end(),
            [](const auto& a, const auto& b) { return a.row < b.row; });
  return report;
}

}  // namespace shoal
