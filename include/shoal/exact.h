// Exact nearest neighbours by brute force: ground truth, and the judge of every recall figure.
#pragma once

#include <span>
#include <vector>

#include "shoal/export.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// The true neighbours of many queries. Row i belongs to query i, nearest first; ties in ascending
// order of row number. Where a query has fewer than k neighbours (k > base rows), `counts` says
// how many are there, and the rest of its row is kNoNeighbor at distance infinity.
struct TruthSet {
  static constexpr uint32_t kNoNeighbor = 0xffffffffu;
  size_t queries = 0;
  size_t k = 0;
  std::vector<uint32_t> ids;     // queries x k
  std::vector<float> distances;  // queries x k; may be empty when read from a file of ids only
  std::vector<uint32_t> counts;  // queries; empty means k everywhere

  std::span<const uint32_t> Ids(size_t query) const { return std::span(ids).subspan(query * k, k); }
  std::span<const float> Distances(size_t query) const {
    return std::span(distances).subspan(query * k, k);
  }
};

// What CheckTruthSet asks for.
struct TruthChecks {
  // Ids are row numbers below this; by default any number.
  size_t points = SIZE_MAX;
  // How much nearer than the one before it a neighbour may be, as a share of the row's largest
  // distance: 0, unless the distances were rounded after they had been put in order.
  double slack = 0;
};

// Corrupt if this cannot be the truth of anything: names query and position of the first id that is
// there twice or is no row, and of the first distance that is NaN or nearer than the one before.
SHOAL_API Status CheckTruthSet(const TruthSet& truth, const TruthChecks& checks = {});

struct ExactOptions {
  size_t k = 100;
  Metric metric = Metric::kL2;
  // When not empty: one id per base row, reported in place of the row number.
  std::span<const uint32_t> ids = {};
  // When not empty: one flag per base row; rows with a zero are left out.
  std::span<const uint8_t> include = {};
  BatchOptions batch = {};
};

// The k nearest rows of `base` for each row of `queries`; both of one type and dimension, finite.
// Distances are those of Metric: exact for int8 and uint8 (l2, inner product), and for the others
// computed from the very rows (no cancellation), summed in double in a fixed order and rounded
// once. So every instruction set and number of threads gives the same bits. Integer distances
// beyond 2^24 are ordered before they are rounded to float. InvalidArgument names what is wrong: k
// = 0, no rows, types or dimensions that differ, `ids` or `include` of another length than the
// base, the row that is not finite or whose norm Metric does not allow (rows left out may be
// anything). OutOfMemory where the answer does not fit. Memory beside the answer: about 15 MB a
// thread whatever the sizes, more only for k beyond 5000; with several threads also what each has
// found, until it is merged. Thread-safe.
SHOAL_API Result<TruthSet> ExactSearch(MatrixView base, MatrixView queries,
                                       const ExactOptions& options);

// recall@k of one answer: the share of the k true neighbours that `found` holds, where every base
// row as near as the k-th counts as true (ties), as DiskANN and big-ann-benchmarks count. `found`
// may be longer or shorter than k; its first k count. Where the query has fewer than k neighbours,
// the share of those. NaN unless 1 <= k <= truth.k.
SHOAL_API double Recall(const TruthSet& truth, size_t query, std::span<const uint64_t> found,
                        size_t k);

}  // namespace shoal
