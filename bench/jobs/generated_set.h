// Sets of float vectors that are made, each with queries of its own kind: data of low intrinsic
// dimension, near duplicates, tight clusters, and what makes a graph under inner product hard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/result.h"

namespace shoal::bench {

struct GeneratedSetOptions {
  std::string set;  // Name of one of GeneratedSets().
  size_t rows = 500000;
  size_t queries = 1000;
  size_t dim = 256;
  // clusters: how many, and the deviation within one by that of their centres.
  size_t clusters = 200;
  float spread = 0.15f;
  // clusters: they come one after another, again after `period` rows; 0: in any order. clusters,
  // drift: queries are like the last `recent` rows; 0: all.
  size_t period = 0;
  size_t recent = 0;
  float offset = 0;                             // Added to every element, of queries, too.
  std::optional<Metric> metric = std::nullopt;  // Of the ground truth; by default the set's own.
  uint64_t seed = 1;
};

// Name and summary of each.
std::vector<std::pair<std::string, std::string>> GeneratedSets();

struct GeneratedSet {
  Matrix rows, queries;  // float32, or bits.
  Metric metric = Metric::kL2;
};
// The same options give the same vectors with the same C++ library, whatever the number of threads.
// InvalidArgument: no such set, more clusters than rows, a metric that its vectors do not have.
Result<GeneratedSet> GenerateSet(const GeneratedSetOptions& options);

}  // namespace shoal::bench
