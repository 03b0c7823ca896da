// Runs a runbook as the track does: one step after the other, each timed by itself.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "jobs/input.h"
#include "runbook/live_points.h"
#include "runbook/runbook.h"
#include "runbook/stream_step.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/result.h"

namespace shoal::bench {

struct ReplayOptions {
  IndexOptions index;  // dim, scalar_type and metric are the input's.
  size_t threads = 1;  // Of every step.
  size_t k = 10;
  uint64_t rerank = 0;                 // SearchOptions::rerank.
  std::vector<uint64_t> lists = {64};  // L of the searches, one after the other.
  size_t passes = 1;                   // Times that each L asks all queries.
  // RepairPolicy::kManual: Consolidate after a step that leaves more than this share of the live
  // points deleted and not repaired.
  double consolidate_share = 0;
};

// The truth of a search step, of the queries that it asks; none: its recall is not measured.
using TruthOf = std::function<Result<std::optional<TruthSet>>(const Step&)>;

// One thread uses it.
class Replay {
 public:
  // An empty index. `input` and `runbook` must outlive it; the runbook has passed CheckRunbook.
  static Result<Replay> Create(const Input& input, const Runbook& runbook,
                               const ReplayOptions& options);

  // Does the step. A search gives one entry for each L, the others one.
  Result<std::vector<StreamStep>> Do(const Step& step, const TruthOf& truth_of);

  const Index& index() const { return index_; }
  Index TakeIndex() && { return std::move(index_); }

 private:
  Replay(const Input& input, const Runbook& runbook, const ReplayOptions& options, Index index);

  Result<StreamStep> Update(const Step& step);
  Status UpdateOne(const Step& step, uint32_t i);
  Result<StreamStep> Search(const Step& step, size_t list, const TruthSet* truth);
  // Runs work(i) for i < n on all threads; the times of each in microseconds. The first error ends
  // it; `where` names it.
  template <class Work>
  Result<std::vector<float>> Timed(const Step& step, size_t n, const Work& work) const;
  void Measure(StreamStep& figures) const;

  const Input& input_;
  const Runbook& runbook_;
  const ReplayOptions options_;
  Index index_;
  double clock_ = 0;      // Seconds in steps so far.
  uint64_t deleted_ = 0;  // Since the last Consolidate.
};

}  // namespace shoal::bench
