// What a search needs to find a share of the true neighbours, as measured on the live points.
#pragma once

#include <cstddef>
#include <limits>

namespace shoal {

// The setting with the fewest distances that reached `target`, of those that were tried.
struct Calibration {
  // What was asked for: a recall@k.
  size_t k = 0;
  double target = 0;

  // What was chosen. SearchOptions has the first two.
  size_t search_list_size = 0;
  size_t rerank = 0;  // 0: hits are not reranked.
  // A search ends when its nearest candidate that was not expanded is farther than 1 + stop_margin
  // times the k-th hit, in the metric's distance. Infinite: it ends when all are expanded.
  float stop_margin = std::numeric_limits<float>::infinity();

  // What it gave on the sample. Less than `target`: nothing that was tried reached it.
  double recall = 0;
  double distances = 0;  // A query, those of reranking not included.

  // The sample: queries of searches that asked for a target, where there are enough; else live
  // points, each of which its own search leaves out.
  size_t queries = 0;
  bool from_searches = false;
  size_t points = 0;  // Live points at that time.
};

}  // namespace shoal
