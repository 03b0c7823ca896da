// The choice of a setting, on searches that are a formula.
#include "calibration_fit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "shoal/options.h"

namespace shoal {
namespace {

// Recall grows with the list, the rerank count and the margin; distances with list and margin.
struct Curve {
  double of_list = 40;    // Candidates that miss 1/e of the neighbours.
  double of_rerank = 6;   // Likewise of rows reranked.
  double of_margin = .1;  // The margin that loses 1/e.
  double saved = .5;      // Of the distances, by a margin of 0.

  Trial operator()(const SearchPlan& plan) const {
    Trial trial;
    const auto list = static_cast<double>(plan.list_size);
    trial.recall = 1 - std::exp(-list / of_list);
    if (plan.rerank != 0) trial.recall -= std::exp(-static_cast<double>(plan.rerank) / of_rerank);
    trial.distances = 20 * list;
    if (plan.stop_margin == SearchPlan::kNoStop) return trial;
    const double lost = std::exp(-static_cast<double>(plan.stop_margin) / of_margin);
    trial.recall -= lost;
    trial.distances *= 1 - saved * lost;
    return trial;
  }
};

Calibration Fitted(const Curve& curve, const CalibrationGoal& goal) {
  const Result<Calibration> fitted =
      FitCalibration(goal, [&](const SearchPlan& plan) -> Result<Trial> { return curve(plan); });
  EXPECT_TRUE(fitted);
  return fitted ? *fitted : Calibration{};
}

TEST(CalibrationFit, TakesTheShortestListThatReachesTheTargetWithinASixteenth) {
  for (const double target : {.5, .9, .95, .99}) {
    const Calibration fitted = Fitted({.saved = 0}, {.k = 10, .target = target, .points = 100000});
    const double least = -40 * std::log(1 - target);
    EXPECT_GE(fitted.recall, target);
    EXPECT_GE(static_cast<double>(fitted.search_list_size), least);
    EXPECT_LE(static_cast<double>(fitted.search_list_size), 1.25 * least + 1);
    EXPECT_EQ(fitted.stop_margin, SearchPlan::kNoStop) << "it would save nothing";
    EXPECT_EQ(fitted.rerank, 0u);
  }
}

TEST(CalibrationFit, TakesTheFewestRowsRerankedThatReachIt) {
  const Calibration fitted =
      Fitted({.saved = 0}, {.k = 10, .target = .95, .points = 100000, .reranks = true});
  EXPECT_GE(fitted.recall, .95);
  EXPECT_GE(fitted.rerank, 10u);
  EXPECT_LT(fitted.rerank, fitted.search_list_size / 2);
}

TEST(CalibrationFit, StopsEarlyWhereThatSavesDistances) {
  const Curve curve{.of_margin = .02, .saved = 30};
  const CalibrationGoal goal{.k = 10, .target = .95, .points = 100000};
  const Calibration fitted = Fitted(curve, goal);
  const Calibration plain = Fitted({.saved = 0}, goal);
  EXPECT_LT(fitted.stop_margin, 1);
  EXPECT_GE(fitted.recall, .95);
  EXPECT_LE(fitted.distances, .95 * plain.distances);
}

TEST(CalibrationFit, SaysWhatWasReachedWhereTheTargetIsOutOfReach) {
  const Calibration few = Fitted({}, {.k = 10, .target = .99, .points = 50});
  EXPECT_EQ(few.search_list_size, 50u) << "all points";
  EXPECT_LT(few.recall, .99);
  const Calibration many = Fitted({.of_list = 1e6}, {.k = 10, .target = .99, .points = 1000000});
  EXPECT_EQ(many.search_list_size, kMaxListSize);
  EXPECT_LT(many.recall, .99);
}

TEST(CalibrationFit, ListsAreAtLeastKAlsoWhereThereAreFewerPoints) {
  const Calibration fitted = Fitted({.of_list = .1}, {.k = 30, .target = 1, .points = 5});
  EXPECT_EQ(fitted.search_list_size, 30u);
}

TEST(CalibrationFit, TriesNothingAfterAnError) {
  int tried = 0;
  const Result<Calibration> fitted = FitCalibration(
      {.k = 10, .target = .9, .points = 1000}, [&](const SearchPlan&) -> Result<Trial> {
        if (++tried < 3) return Trial{};
        return MakeError(ErrorCode::kCancelled, "enough");
      });
  ASSERT_FALSE(fitted);
  EXPECT_EQ(fitted.error().message, "enough");
  EXPECT_EQ(tried, 3);
}

}  // namespace
}  // namespace shoal
