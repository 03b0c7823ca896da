// What an index is, as JSON: in what stat and dump print, and load reads.
#pragma once

#include <nlohmann/json.hpp>

#include "shoal/options.h"

namespace shoal::apps {

inline nlohmann::ordered_json JsonOf(const IndexOptions& options) {
  return {{"dim", options.dim},
          {"dtype", ScalarTypeName(options.scalar_type)},
          {"metric", MetricName(options.metric)},
          {"code", CodeName(options.code)},
          {"rerank_code", CodeName(options.rerank_code)},
          {"max_degree", options.max_degree},
          {"build_list_size", options.build_list_size},
          {"alpha", options.alpha}};
}

}  // namespace shoal::apps
