// How GoogleTest shows the parameters of suites: by name. Without, ctest lists their bytes.
#pragma once

#include <ostream>

#include "shoal/options.h"
#include "shoal/types.h"

namespace shoal {

inline void PrintTo(ScalarType type, std::ostream* out) { *out << ScalarTypeName(type); }

inline void PrintTo(Metric metric, std::ostream* out) { *out << MetricName(metric); }

inline void PrintTo(RepairPolicy policy, std::ostream* out) {
  switch (policy) {
    case RepairPolicy::kImmediate: *out << "immediate"; return;
    case RepairPolicy::kBackground: *out << "background"; return;
    case RepairPolicy::kManual: *out << "manual"; return;
  }
}

}  // namespace shoal
