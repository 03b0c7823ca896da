#include "calibration_fit.h"

#include <algorithm>
#include <cmath>

#include "shoal/options.h"

namespace shoal {
namespace {

// One fit. After an error of the measurement nothing is tried any more.
class Fit {
 public:
  using Measure = std::function<Result<Trial>(const SearchPlan&)>;

  Fit(const CalibrationGoal& goal, const Measure& measure)
      : goal_(goal),
        measure_(measure),
        most_(std::max(goal.k, std::min<size_t>(goal.points, kMaxListSize))),
        spare_(std::min(0.001, (1 - goal.target) / 4)) {}

  Result<Calibration> Run() {
    const bool reached = FitList();
    if (reached && goal_.reranks) FitRerank();
    if (reached) FitStop();
    if (!error_) return tl::unexpected(error_.error());
    return Calibration{.k = goal_.k,
                       .target = goal_.target,
                       .search_list_size = best_.plan.list_size,
                       .rerank = best_.plan.rerank,
                       .stop_margin = best_.plan.stop_margin,
                       .recall = best_.trial.recall,
                       .distances = best_.trial.distances,
                       .points = goal_.points};
  }

 private:
  struct Tried {
    SearchPlan plan;
    Trial trial;
  };
  static constexpr double kWorthwhile = 0.95;  // Of the distances without a stop.
  static constexpr int kMarginSteps = 128;     // Of a margin of 1.

  // Tries a plan, and keeps it as the best if it reaches `recall`.
  bool Reaches(const SearchPlan& plan, double recall) {
    if (!error_) return false;
    const Result<Trial> trial = measure_(plan);
    if (!trial) {
      error_ = tl::unexpected(trial.error());
      return false;
    }
    if (trial->recall < recall) {
      last_ = {plan, *trial};
      return false;
    }
    best_ = {plan, *trial};
    return true;
  }
  SearchPlan PlanOf(size_t list_size) const {
    return {.k = goal_.k, .list_size = list_size, .rerank = goal_.reranks ? list_size : 0};
  }

  // The least value above `low` and at most `high`, within a sixteenth, for which `reaches` holds;
  // it holds for `high`.
  template <class ReachesAt>
  void Bisect(size_t low, size_t high, const ReachesAt& reaches) {
    while (error_ && high - low > std::max<size_t>(1, low / 16)) {
      const size_t middle = low + (high - low) / 2;
      (reaches(middle) ? high : low) = middle;
    }
  }

  bool FitList() {
    const double wanted = goal_.target + 2 * spare_;
    const auto reaches = [&](size_t list_size) { return Reaches(PlanOf(list_size), wanted); };
    size_t list_size = std::min(goal_.k, most_);
    size_t low = list_size - 1;
    while (!reaches(list_size)) {
      if (list_size == most_ || !error_) {
        best_ = last_;  // The nearest to it.
        return false;
      }
      low = list_size;
      list_size = std::min(2 * list_size, most_);
    }
    Bisect(low, list_size, reaches);
    return true;
  }

  void FitRerank() {
    SearchPlan plan = best_.plan;
    const size_t high = plan.rerank;
    Bisect(goal_.k - 1, high, [&](size_t rerank) {
      plan.rerank = rerank;
      return Reaches(plan, goal_.target + spare_);
    });
  }

  void FitStop() {
    const Tried plain = best_;
    Tried chosen = plain;
    for (const size_t list_size :
         {plain.plan.list_size, std::min(2 * plain.plan.list_size, most_)}) {
      best_ = plain;
      // Steps are counted from 1, as the margin may be 0.
      Bisect(0, kMarginSteps + 1, [&](size_t step) {
        SearchPlan plan = plain.plan;
        plan.list_size = list_size;
        plan.stop_margin = static_cast<float>(step - 1) / kMarginSteps;
        return Reaches(plan, goal_.target);
      });
      if (best_.trial.distances <= kWorthwhile * plain.trial.distances &&
          best_.trial.distances < chosen.trial.distances)
        chosen = best_;
    }
    best_ = chosen;
  }

  const CalibrationGoal goal_;
  const Measure& measure_;
  const size_t most_;   // The longest list.
  const double spare_;  // What the list and the rerank count reach beyond the target, for the rest.
  Status error_;
  Tried best_;  // The last that reached what was wanted,
  Tried last_;  // and the last that did not.
};

}  // namespace

Result<Calibration> FitCalibration(const CalibrationGoal& goal,
                                   const std::function<Result<Trial>(const SearchPlan&)>& measure) {
  return Fit(goal, measure).Run();
}

}  // namespace shoal
