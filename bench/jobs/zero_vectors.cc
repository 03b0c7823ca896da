#include "jobs/zero_vectors.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace shoal::bench {

Expected<Matrix> RowsWithout(const Matrix& rows, std::span<const uint32_t> without) {
  auto kept = Matrix::Create(rows.type(), rows.rows() - without.size(), rows.dim());
  if (!kept) return tl::unexpected(kept.error().message);
  std::byte* to = kept->data();
  for (size_t i = 0; i < rows.rows(); ++i) {
    if (std::binary_search(without.begin(), without.end(), i)) continue;
    std::memcpy(to, rows.data() + i * rows.row_bytes(), rows.row_bytes());
    to += rows.row_bytes();
  }
  return std::move(*kept);
}

TruthSet TruthWithout(const TruthSet& truth, std::span<const uint32_t> queries,
                      std::span<const uint32_t> ids) {
  TruthSet kept;
  kept.k = truth.k;
  const bool distances = !truth.distances.empty();
  for (size_t query = 0; query < truth.queries; ++query) {
    if (std::binary_search(queries.begin(), queries.end(), query)) continue;
    const size_t count = truth.counts.empty() ? truth.k : truth.counts[query];
    uint32_t left = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint32_t id = truth.Ids(query)[i];
      if (std::binary_search(ids.begin(), ids.end(), id)) continue;
      kept.ids.push_back(id);
      if (distances) kept.distances.push_back(truth.Distances(query)[i]);
      ++left;
    }
    kept.counts.push_back(left);
    ++kept.queries;
    kept.ids.resize(kept.queries * kept.k, TruthSet::kNoNeighbor);
    if (distances)
      kept.distances.resize(kept.queries * kept.k, std::numeric_limits<float>::infinity());
  }
  return kept;
}

}  // namespace shoal::bench
