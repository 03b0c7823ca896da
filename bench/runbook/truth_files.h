// Where the ground truth of a runbook's searches comes from: given files, or our own
// computation, kept on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "runbook/live_points.h"
#include "runbook/runbook.h"
#include "runbook/stream_truth.h"
#include "shoal/exact.h"
#include "shoal/result.h"

namespace shoal::bench {

// <folder>/step<N>.gt<K>, the track's name for the truth of a step. Corrupt: none or several.
Result<std::filesystem::path> FindStepTruth(const std::filesystem::path& folder, size_t step);

struct StepTruthRequest {
  std::filesystem::path folder;
  size_t step = 0;
  size_t queries = 0;  // Of the query file.
  IdRange asked = {};  // Of these, by the step; empty: all.
  size_t k = 1;        // At least so many neighbours each.
  Metric metric = Metric::kL2;
};
// The truth in that file, of the queries that the step asks, in shoal's distances; the file has
// that of all or of just these. Corrupt: of another number of queries, with fewer neighbours, or
// with an id that is no live point.
Result<TruthSet> ReadStepTruth(const StepTruthRequest& request, const LivePoints& live);

// The truth of some of the queries; an empty range: as it is.
TruthSet OfQueries(TruthSet truth, IdRange queries);

// Computes truths in the order of the runbook and keeps each in a file that is named after the
// checksum of all it depends on: data, queries, metric, k, and which point has which row. (What led
// there does not matter: runbooks share what they have in common, and a step that changes nothing
// costs nothing.) One thread at a time.
class TruthCache {
 public:
  // Makes the folder if need be. `base` and `queries` must outlive it.
  static Result<TruthCache> Open(const std::filesystem::path& folder, MatrixView base,
                                 MatrixView queries, const StreamTruthOptions& options);

  // The truth for the points that are there now: its file, computed if it is not there.
  Result<std::filesystem::path> Ensure(const LivePoints& live);

  size_t found() const { return found_; }        // Searches whose file was there.
  size_t computed() const { return computed_; }  // And those whose was not.
  const StreamTruth::Work& work() const { return truth_.work(); }

 private:
  TruthCache(std::filesystem::path folder, std::string key, StreamTruth truth)
      : folder_(std::move(folder)), key_(std::move(key)), truth_(std::move(truth)) {}

  std::filesystem::path folder_;
  std::string key_;  // Of data, queries, metric and k.
  StreamTruth truth_;
  size_t found_ = 0, computed_ = 0;
};

}  // namespace shoal::bench
