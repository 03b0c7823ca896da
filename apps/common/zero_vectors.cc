#include "apps/common/zero_vectors.h"

#include <fmt/format.h>

#include "shoal/exact.h"

namespace shoal::apps {

std::vector<uint32_t> RowsWithoutDirection(Metric metric, MatrixView rows, size_t first) {
  if (metric != Metric::kCosine) return {};
  std::vector<uint32_t> zero = ZeroRows(rows);
  for (uint32_t& row : zero) row += static_cast<uint32_t>(first);
  return zero;
}

Status CheckZeroVectors(const ZeroVectorCheck& check, std::span<const uint32_t> zero) {
  if (zero.empty()) return {};
  if (!check.skip || zero.size() == check.vectors) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: {} {}: expected a direction for cosine, found a zero vector ({} of {} "
                    "are){}",
                    check.file.string(), check.what, zero.front(), zero.size(), check.vectors,
                    check.skip ? "" : "; " + check.advice));
  }
  fmt::print("Zero vectors are left out: {} of {} in {}\n", zero.size(), check.vectors,
             check.file.string());
  return {};
}

}  // namespace shoal::apps
