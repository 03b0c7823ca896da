// The run: threads that insert, threads that search, and a judge that measures recall meanwhile.
//
// Recall needs a known set: the points that were there when the search ran. So now and then the
// judge closes a gate that every insert passes. While it is closed no insert is under way, and the
// points are exactly rows [0, n). The judge repeats the latest queries, opens the gate, and then
// compares the answers with exact search over those n rows. The inserts wait for some thirty
// searches; the searching threads never wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "package_search/latency.h"
#include "package_search/screen.h"
#include "shoal/database.h"

namespace package_search {

// Lets inserts pass one by one until it is closed.
class Gate {
 public:
  // Waits while the gate is closed.
  void Enter();
  void Leave();
  // Returns when no thread is inside; none enters before Open. One thread closes at a time.
  void Close();
  void Open();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;  // Guarded by mutex_.
  size_t inside_ = 0;    // Guarded by mutex_.
};

struct RunOptions {
  size_t insert_threads = 1;
  size_t search_threads = 1;
  shoal::SearchOptions search = {};
  uint64_t first_row = 0;
  double report_seconds = 1;                // Between two reports.
  size_t recall_queries = 32;               // Queries that the judge repeats for a report.
  std::function<std::string()> other = {};  // Says what another process sees, for a report.
};

struct RunSummary {
  double seconds = 0;  // From the first insert to the last.
  double inserts_per_second = 0;
  double searches_per_second = 0;
  LatencyCounts latency;
};

// Inserts rows into an index of a database, row i as id i, while searching for `queries`.
class LiveRun {
 public:
  // All outlive the run. rows and queries: of the index's dimension and type, at least one each.
  // The index has rows [0, options.first_row).
  LiveRun(const shoal::StoredIndex& index, shoal::MatrixView rows, shoal::MatrixView queries,
          const RunOptions& options)
      : index_(index),
        rows_(rows),
        queries_(queries),
        options_(options),
        next_row_(options.first_row),
        inserted_(options.first_row) {}

  // Runs until all rows are inserted or one cannot be; shows reports in `view`. Once.
  shoal::Result<RunSummary> Run(LiveView& view);

 private:
  struct Report {
    double seconds = 0;
    uint64_t inserted = 0;
    LatencyCounts latency;
  };

  void InsertLoop();
  void SearchLoop(LatencyRecorder& latency);
  void Fail(shoal::Error error);
  // Waits until it is time for a report; false when the inserts have ended.
  bool WaitForReport();
  Report Take(double seconds) const;
  shoal::Result<Progress> Judge(const Report& now, const Report& before);
  shoal::Status MeasureRecall(Progress& progress);

  // Constant while it runs.
  shoal::StoredIndex index_;
  const shoal::MatrixView rows_;
  const shoal::MatrixView queries_;
  const RunOptions options_;
  std::vector<std::unique_ptr<LatencyRecorder>> latencies_;  // One a searching thread.

  // Own synchronisation.
  Gate gate_;
  std::atomic<uint64_t> next_row_;  // Taken inside the gate.
  std::atomic<uint64_t> inserted_;
  std::atomic<uint64_t> next_query_ = 0;
  std::atomic<bool> stop_ = false;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t inserting_ = 0;
  std::optional<shoal::Error> error_;
};

// recall@k of queries against exact search over all `rows`, where row i has id i, and the rate at
// which the index answers with `threads` threads.
struct FinalFigures {
  double recall = 0;
  double searches_per_second = 0;
};
shoal::Result<FinalFigures> MeasureAtRest(const shoal::Index& index, shoal::MatrixView rows,
                                          shoal::MatrixView queries,
                                          const shoal::SearchOptions& search, size_t threads);

}  // namespace package_search
