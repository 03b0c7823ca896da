// Zero vectors under cosine, which published sets have: they are refused by name, or left out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runner/json.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"

namespace shoal::bench {

// The rows but those of `without`, ascending.
Expected<Matrix> RowsWithout(const Matrix& rows, std::span<const uint32_t> without);

// The truth of the queries but those of `queries`, and without the ids of `ids`, both ascending. A
// row that loses ids has as many fewer neighbours.
TruthSet TruthWithout(const TruthSet& truth, std::span<const uint32_t> queries,
                      std::span<const uint32_t> ids);

}  // namespace shoal::bench
