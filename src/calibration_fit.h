// The choice of a setting: list size, rerank count and stop margin with which a search reaches a
// recall at the fewest distances.
#pragma once

#include <functional>

#include "search_plan.h"
#include "shoal/calibration.h"
#include "shoal/result.h"

namespace shoal {

struct CalibrationGoal {
  size_t k = 0;
  double target = 0;     // Recall@k, above 0, at most 1.
  size_t points = 0;     // Live points, at least 1.
  bool reranks = false;  // Whether hits are reranked.
};

// What a plan gave on the sample.
struct Trial {
  double recall = 0;
  double distances = 0;  // A query.
};

// Recall is taken to grow with each of the three. First the shortest list that reaches the target
// where all of it is reranked and no search ends early; then the fewest rows reranked; then the
// least stop margin, with that list and with one twice as long, if it saves a twentieth of the
// distances. Each step may lose what the step before had to spare. Some 30 trials. Errors are those
// of `measure`.
Result<Calibration> FitCalibration(const CalibrationGoal& goal,
                                   const std::function<Result<Trial>(const SearchPlan&)>& measure);

}  // namespace shoal
