// A data set in the order of its clusters, so that a range of its rows is a region: what runbooks
// about drift and regions are made for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::bench {

struct ClusterOrder {
  std::vector<uint32_t>
      rows;  // All row numbers, cluster by cluster, each in the order of the data.
  std::vector<uint32_t> bounds;  // Where each cluster begins among them; none is empty.
};

struct ClusterOptions {
  uint32_t clusters = 32;
  uint64_t seed = 1;
  size_t sample = 20000;  // Rows that the centres are computed from.
  size_t rounds = 8;      // Of Lloyd's algorithm.
  BatchOptions batch = {};
};

// k-means by squared l2, from `clusters` rows drawn at random. InvalidArgument: more clusters than
// rows.
Result<ClusterOrder> OrderByCluster(MatrixView rows, const ClusterOptions& options);

// Some rows, in the order in which they are named.
Result<Matrix> Reorder(MatrixView rows, std::span<const uint32_t> order);

}  // namespace shoal::bench
