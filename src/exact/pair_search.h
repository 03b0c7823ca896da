// Exact search in metrics that are no dot products: every query against every row of a block, by
// the kernels of the graph's search.
#pragma once

#include <memory>

#include "exact/problem.h"
#include "exact/slice_search.h"

namespace shoal::exact {

// For problems that are ByPairs(). Throws bad_alloc.
std::unique_ptr<SliceSearch> MakePairSearch(const Problem& problem, const Shape& shape);

}  // namespace shoal::exact
