// ExactSearch with the instruction set given, for the tests and the benchmark.
#pragma once

#include "distance/block_dot.h"
#include "shoal/exact.h"

namespace shoal::exact {

Result<TruthSet> ExactSearchWith(const distance::BlockKernels& kernels, MatrixView base,
                                 MatrixView queries, const ExactOptions& options);

}  // namespace shoal::exact
