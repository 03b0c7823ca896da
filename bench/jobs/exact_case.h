// One exact baseline: a deterministic life of an index on one thread, and everything it counted.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runner/json.h"
#include "shoal/options.h"
#include "shoal/types.h"

namespace shoal::bench {

// How the index comes to its points.
enum class Mode : uint8_t {
  kStatic,  // InsertMany of all rows, then Refine.
  kInsert,  // Insert row by row.
  kStream,  // stream_live of the rows; then in rounds Upserts and DeleteMany of the stream_step
            // oldest, inserts of as many, one Consolidate.
  kRepair,  // The same, where every Delete repairs at once.
};
inline constexpr std::string_view kModeNames[] = {"static", "insert", "stream", "repair"};

struct ExactCase {
  MatrixView rows;
  MatrixView queries;
  Metric metric = Metric::kL2;
  Mode mode = Mode::kStatic;
  uint32_t max_degree = 12;
  uint32_t build_list_size = 16;
  float alpha = 1.2f;
  uint64_t k = 10;
  std::vector<uint64_t> lists = {10, 40};
  // stream_live + rounds * stream_step <= rows; rounds * stream_step <= stream_live.
  uint64_t stream_live = 3000;
  uint64_t stream_step = 400;
  uint64_t rounds = 3;
};

// {"points", "edges", one member of counts per phase, "searches": [{"list", "recall": [hits,
// wanted], "answers": a hash of ids and distances, counts}]}. Every figure is an integer.
Expected<Json> RunExactCase(const ExactCase& exact);

}  // namespace shoal::bench
