// Whether a reported distance can be that of two vectors.
#pragma once

#include "shoal/types.h"

namespace shoal::bench {

// Two vectors of one type and dimension; floats may have been summed in another order.
bool SameDistance(Metric metric, VectorView query, VectorView row, float reported);

}  // namespace shoal::bench
