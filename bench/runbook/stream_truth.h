// The true neighbours of every query at each search of a runbook.
//
// Problem: a runbook asks hundreds of times, and between two of its searches little changes; brute
// force over all live points each time costs more than the index under test.
// Idea: for each query keep the `k + reserve` nearest live points, and its horizon: the key
// (distance, id) up to which its list is complete. A point that leaves is taken out, the horizon
// stays; of the points that come, those within the horizon are put in; what is beyond capacity is
// cut off, and the horizon moves to the last that is left. So the list is at all times the true
// beginning of the order of all live points, and its first k are the answer while there are k. A
// query whose list has become shorter is computed anew over all live points; the reserve says how
// rarely. Points that come and go between two searches cost nothing.
// The costs: |queries| distances for each point that came, and |live points| for each query that
// ran out (`work`).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shoal/exact.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::bench {

struct StreamTruthOptions {
  size_t k = 100;
  size_t reserve = 100;  // A guess: half of the neighbours leave before a query is computed anew.
  Metric metric = Metric::kL2;
  // Points whose rows are copied together to be compared with the queries.
  size_t block = 65536;
  BatchOptions batch = {};
};

// One thread at a time.
class StreamTruth {
 public:
  // What it cost so far.
  struct Work {
    uint64_t distances = 0;
    uint64_t recomputed = 0;  // Queries that ran out, once for each time.
    uint64_t searches = 0;    // Calls of At.
  };

  // `base`: the data set. Both must outlive it.
  StreamTruth(MatrixView base, MatrixView queries, const StreamTruthOptions& options);

  // The k nearest of the points that are there now; `row_of`: as LivePoints::rows(). Ids are the
  // points'. Ties of distance in ascending order of id.
  Result<TruthSet> At(std::span<const uint32_t> row_of);

  const Work& work() const { return work_; }

 private:
  // In the order of the answer.
  struct Key {
    float distance = 0;
    uint32_t id = 0;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Answer {
    std::vector<Key> nearest;  // All live points up to the horizon, at most `capacity_`.
    Key horizon;
  };

  static Answer Unknown();
  // Takes the points out that are not there any more, and lists those that came.
  std::vector<uint32_t> Update(std::span<const uint32_t> row_of);
  // Offers points, ascending, to some queries, by number.
  Status Offer(std::span<const uint32_t> ids, std::span<const uint32_t> queries);
  Status OfferBlock(std::span<const uint32_t> ids, MatrixView queries,
                    std::span<const uint32_t> numbers);
  void Merge(Answer& answer, const TruthSet& found, size_t row) const;

  const MatrixView base_;
  const MatrixView queries_;
  const StreamTruthOptions options_;
  const size_t capacity_;
  std::vector<Answer> answers_;
  std::vector<uint32_t> row_of_;  // When At was last called.
  Work work_;
};

}  // namespace shoal::bench
