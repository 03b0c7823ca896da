#include "search_plan.h"

#include <limits>

#include "codec/vector_check.h"

namespace shoal {

// What makes distances of inner products: |q - x|^2 / 2 = (|q|^2 + |x|^2) / 2 - <q, x>.
float OffsetOf(const IndexOptions& options, const Codec& codec, VectorView query) {
  if (options.metric != Metric::kInnerProduct) return 0;
  // Signs are vectors of +1 and -1.
  if (options.code == Code::kSign) return static_cast<float>(query.dim());
  const double query_norm_sq = SquaredNorm(query.data(), query.type(), query.dim());
  return static_cast<float>((query_norm_sq + codec.max_norm_sq()) / 2);
}

StopRule StopRuleOf(const SearchPlan& plan, size_t k, const IndexOptions& options,
                    const Codec& codec, VectorView query) {
  if (plan.stop_margin == SearchPlan::kNoStop) return {};
  if (options.metric == Metric::kInnerProduct && codec.NormsVary()) return {};
  return {k, 1 + plan.stop_margin, OffsetOf(options, codec, query)};
}

}  // namespace shoal
