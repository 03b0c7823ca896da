// Which scalar types go with which metrics.
#pragma once

#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// InvalidArgument unless IsPossible; names both fields.
Status CheckTypeAndMetric(ScalarType type, Metric metric);

}  // namespace shoal
