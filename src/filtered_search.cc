#include "filtered_search.h"

namespace shoal {
namespace {

constexpr double kLookedUp = 2;       // The cost of looking an id up, in distances,
constexpr double kJudged = 1.0 / 16;  // and of a look at a set of ids.

double CostOfJudging(const FilterEstimate& e) { return e.has_predicate ? 1 : kJudged; }

}  // namespace

bool ScansByLookUp(const FilterEstimate& e) {
  return e.superset > 0 && e.superset * kLookedUp < e.live * CostOfJudging(e);
}

FilterPlan ChoosePlan(const FilterEstimate& e) {
  constexpr double kNewPerHop = 16;        // Points that an expansion scores,
  constexpr double kNewPerTwoHops = 24;    // likewise where lists of refused points are read.
  constexpr double kEnoughAccepted = 64;   // When it reads no more of these.
  constexpr double kMinWithinTwoHops = 8;  // Accepted points; fewer do not hold together.
  if (e.accepted <= 0) return FilterPlan::kScan;
  const double share = e.accepted / e.live;
  const auto list_size = static_cast<double>(e.list_size);
  const auto degree = static_cast<double>(e.max_degree);
  const double judged = CostOfJudging(e);

  double least = e.accepted + (ScansByLookUp(e) ? e.superset * kLookedUp : e.live * judged);
  FilterPlan plan = FilterPlan::kScan;
  const double scored = list_size / share * kNewPerHop;
  if (scored * (1 - share) < e.at_least / 10 && scored * (1 + judged) < least) {
    least = scored * (1 + judged);
    plan = FilterPlan::kPassThrough;
  }
  const double within = share * degree * degree;
  const double lists = std::min(degree * (1 - share), kEnoughAccepted / (share * degree));
  const double two_hops =
      list_size * kTwoHopLists * (kNewPerTwoHops + lists + judged * lists * degree);
  if (e.at_least >= kFewAccepted && within >= kMinWithinTwoHops && two_hops < least)
    plan = FilterPlan::kTwoHop;
  return plan;
}

}  // namespace shoal
