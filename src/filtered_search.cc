#include "filtered_search.h"

namespace shoal {
namespace {

// CPU time in nanoseconds. Of 100,000 rows of 128 bytes, AVX-512, with a list of 64 and plans
// forced by hand at 50, 20, 10 and 5 % (docs/filters.md); what a byte costs is of kernels on rows
// in memory.
constexpr double kScored = 12, kPerByte = .1;  // A distance to a row that comes in order,
constexpr double kElsewhere = 25;              // and more to one that is anywhere;
constexpr double kLookedUp = 100;              // to look an id up,
constexpr double kJudged = 4;                  // to judge a point that comes in order,
constexpr double kMet = 11;                    // and one that is met anywhere;
constexpr double kAsked = 25;                  // likewise where a predicate is called;
constexpr double kListRead = 250;              // and a list.

double CostOfScoring(size_t row_bytes) {
  return kScored + kPerByte * static_cast<double>(row_bytes);
}
double CostOfJudging(const FilterEstimate& e) { return e.has_predicate ? kAsked : kJudged; }

}  // namespace

bool ScansByLookUp(const FilterEstimate& e) {
  return e.superset > 0 && e.superset * kLookedUp < e.live * CostOfJudging(e);
}

FilterPlan ChoosePlan(const FilterEstimate& e) {
  constexpr double kNewPerHop = 16;        // Points that an expansion scores,
  constexpr double kNewPerTwoHops = 32;    // likewise where lists of refused points are read;
  constexpr double kNewPerList = 1.0 / 3;  // the share of a list that these bring.
  constexpr double kEnoughAccepted = 64;   // When no more of these are read,
  constexpr double kAcceptedPerList = .5;  // and what of its accepted points a list brings.
  constexpr double kMinWithinTwoHops = 8;  // Accepted points; fewer do not hold together.
  constexpr double kSeeds = 100, kSpare = 2, kSpareScored = 1.5;
  if (e.at_least < kFewAccepted) return FilterPlan::kScan;
  const double share = e.accepted / e.live;
  const auto list_size = static_cast<double>(e.list_size);
  const auto degree = static_cast<double>(e.max_degree);
  const double met = e.has_predicate ? kAsked : kMet;
  const double traversed = CostOfScoring(e.row_bytes.traversed) + kElsewhere;

  double least = e.accepted * CostOfScoring(e.row_bytes.scanned) +
                 (ScansByLookUp(e) ? e.superset * kLookedUp : e.live * CostOfJudging(e));
  FilterPlan plan = FilterPlan::kScan;
  // Refused points count until the list is full; then all do.
  const double refused = kSpare * list_size * (1 - share) / share + kSeeds * (1 - share);
  const double scored = list_size / share * kNewPerHop;
  const double passing = scored * (traversed + met + kListRead / kNewPerHop);
  if (refused < e.at_least / 10 && scored * kSpareScored < e.at_least && passing < least) {
    least = passing;
    plan = FilterPlan::kPassThrough;
  }
  const double within = share * degree * degree;
  const double lists =
      std::min(degree * (1 - share), kEnoughAccepted / (share * degree * kAcceptedPerList));
  const double two_hops =
      list_size * kTwoHopLists *
      (kNewPerTwoHops * traversed + lists * (kListRead + met * degree * kNewPerList));
  if (within >= kMinWithinTwoHops && two_hops < least) plan = FilterPlan::kTwoHop;
  return plan;
}

}  // namespace shoal
