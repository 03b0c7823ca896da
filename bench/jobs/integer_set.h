// A set of vectors with integer elements, the same bytes on every machine: what the exact baselines
// are computed on. Sums of such elements are exact in a float, in any order, so every instruction
// set computes the same distances and builds the same graph.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shoal/dataset.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::bench {

struct IntegerSetOptions {
  size_t rows = 10000;
  size_t queries = 100;
  size_t dim = 16;
  size_t clusters = 64;
  uint64_t seed = 1;
};

struct IntegerSet {
  Matrix rows;
  Matrix queries;
};

// Clusters of points with elements in [-127, 127], those of a cluster within 48 of its centre and
// most within 20. As uint8 every element is 128 more, so all scalar types have the same l2
// distances (the other metrics' differ for uint8). A bit is whether the element is positive. At
// most 512 dimensions are exact as float32.
Result<IntegerSet> MakeIntegerSet(ScalarType type, const IntegerSetOptions& options);

}  // namespace shoal::bench
