// Queries with their true neighbours, by which a setting is judged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "calibration_fit.h"
#include "search_plan.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/stats.h"
#include "shoal/types.h"
#include "store/tag.h"

namespace shoal {

// What is calibrated: an index, or a view. Every function may be called from any thread. bad_alloc.
class CalibrationSubject {
 public:
  virtual ~CalibrationSubject() = default;
  virtual const IndexOptions& options() const = 0;
  // Whether hits are reranked.
  virtual bool reranks() const = 0;
  // Live points.
  virtual size_t points() const = 0;
  // Grows by one with every point that comes.
  virtual uint64_t arrivals() const = 0;
  // Slots of live points.
  virtual std::vector<SlotId> Live() const = 0;
  // Copies the vector of a slot, as far as the index has it, and returns its id; nullopt: it holds
  // no live point any more. Errors are those of a feature store.
  virtual Result<std::optional<ExternalId>> Copy(SlotId slot, MutableVectorView out) const = 0;
  // Index::Search, by a plan.
  virtual Result<size_t> Run(VectorView query, const SearchPlan& plan, std::span<ExternalId> ids,
                             std::span<float> distances, WorkCounters* work) const = 0;
};

class CalibrationSample {
 public:
  // The sample: queries, rows of the subject's type and dimension; or, if empty, live points, the
  // same ones for the same live points. Scores all live points with each: memory is some 32 MB and
  // what k neighbours of each query take. Points that come or leave meanwhile may be missed.
  // `batch`: as in ExactSearch; progress is in live points. Cancelled. OutOfMemory. Errors of the
  // subject.
  static Result<CalibrationSample> Make(const CalibrationSubject& subject, size_t k,
                                        std::vector<std::byte> queries, const BatchOptions& batch);

  // Searches with all queries. Errors are those of the searches.
  Result<Trial> Measure(const SearchPlan& plan, const BatchOptions& batch) const;

  size_t queries() const { return truths_.size(); }
  size_t points() const { return points_; }

 private:
  struct Neighbor {
    float distance;
    ExternalId id;
  };
  // A query, and what is known of it.
  struct Truth {
    SlotId left_out = kNoSlot;  // The query is this point.
    ExternalId own_id = 0;      // If it is a point.
    std::vector<Neighbor> nearest;
  };

  CalibrationSample(const CalibrationSubject& subject, size_t k) : subject_(&subject), k_(k) {}
  MatrixView view() const;
  Status TakePoints(const std::vector<SlotId>& live);
  Status FindTruths(const std::vector<SlotId>& live, const BatchOptions& batch);
  Status MergeBlock(MatrixView rows, std::span<const ExternalId> ids, const BatchOptions& batch);
  // The share of the true neighbours of a query that `ids` has.
  double RecallOf(const Truth& truth, std::span<const ExternalId> ids,
                  std::span<const float> distances) const;

  const CalibrationSubject* subject_;
  size_t k_;
  size_t points_ = 0;
  std::vector<std::byte> queries_;
  std::vector<Truth> truths_;  // Of each query; `nearest`: at most k, sorted by distance.
};

}  // namespace shoal
