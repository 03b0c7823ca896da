#include "base/type_and_metric.h"

#include <string>

#include "base/mismatch.h"

namespace shoal {

Status CheckTypeAndMetric(ScalarType type, Metric metric) {
  if (IsPossible(type, metric)) return {};
  return Mismatch(ErrorCode::kInvalidArgument, "scalar_type and metric",
                  "bit with hamming, or neither of them",
                  std::string(ScalarTypeName(type)) + " with " + std::string(MetricName(metric)));
}

}  // namespace shoal
