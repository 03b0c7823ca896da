// Runbooks made to measure: the shapes of the track's own, at any size, for any number of
// turnovers. Points are rows of the data set under their own numbers; a row that has been deleted
// may come again later, so that a stream can be longer than its data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runbook/runbook.h"
#include "shoal/result.h"

namespace shoal::bench {

enum class Pattern : uint8_t {
  // The oldest go, as many as come.
  kSlidingWindow,
  // Each batch is given its time to live when it comes: for ever, long, or a fifth of that, at odds
  // of 1 : 5 : 20.
  kExpirationTime,
  // Rounds over all clusters: a part of each comes, cluster by cluster; then half to nine tenths of
  // what is there of each goes. A search after every operation.
  kClusteredDrift,
  // Whole clusters go at once, others come.
  kDeleteRegions,
  // Points are given vectors of their own cluster.
  kReplaceInPlace,
  // Points are given vectors of another cluster.
  kReplaceAcross,
};
inline constexpr size_t kPatterns = 6;

// "sliding-window", "expiration-time", ...
std::string_view PatternName(Pattern pattern);
// What happens, in a line.
std::string_view PatternSummary(Pattern pattern);

struct GenerateOptions {
  Pattern pattern = Pattern::kSlidingWindow;
  std::string dataset = "generated";
  uint32_t rows = 0;     // Of the data set.
  uint32_t window = 0;   // Points that are there at a time, about; fewer than rows.
  uint32_t steps = 10;   // Rounds of coming, going and searching in a turnover.
  double turnovers = 1;  // Points that come (or are replaced) after the start, by `window`.
  // Where each cluster's rows begin, ascending, the first at 0. Empty: `clusters` equal ones.
  std::vector<uint32_t> bounds;
  uint32_t clusters = 32;
  uint64_t seed = 1;
};

// InvalidArgument names the option. What it returns passes CheckRunbook, and is the same for the
// same options everywhere.
Result<Runbook> GenerateRunbook(const GenerateOptions& options);

// What a reader of the file wants to know: pattern, sizes, seed.
std::vector<std::string> GenerateComments(const GenerateOptions& options);

}  // namespace shoal::bench
