// Exact nearest neighbours by brute force: ground truth, and recall against it.
#pragma once

#include <span>
#include <vector>

#include "shoal/export.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// The true neighbours of many queries. Row i is that of query i, nearest first; ties in ascending
// order of row number. Where a query has fewer than k neighbours (k > base rows), `counts` says how
// many, and the rest of its row is kNoNeighbor at distance infinity.
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

// Options of CheckTruthSet.
struct TruthChecks {
  // Ids are row numbers below this; by default any number.
  size_t points = SIZE_MAX;
  // How much nearer than the previous one a neighbour may be, as a share of the row's largest
  // distance: 0, unless the distances were rounded after sorting.
  double slack = 0;
};

// Corrupt if this cannot be the truth of any data: names query and position of the first id that is
// there twice or is no row, or of the first distance that is NaN or nearer than the previous one.
SHOAL_API Status CheckTruthSet(const TruthSet& truth, const TruthChecks& checks = {});

struct ExactOptions {
  size_t k = 100;
  Metric metric = Metric::kL2;
  // If not empty: one id per base row, reported in place of the row number.
  std::span<const uint32_t> ids = {};
  // If not empty: one flag per base row; rows with a zero are left out.
  std::span<const uint8_t> include = {};
  BatchOptions batch = {};
};

// The k nearest rows of `base` for each row of `queries`; both of one type and dimension, finite.
// Thread-safe.
//
// Distances are those of Metric. For bits and, but under cosine, for int8 and uint8 they are exact;
// integers beyond 2^24 are sorted before they are rounded to float. Others are computed from the
// rows themselves (no cancellation), summed in double in a fixed order and rounded once. So every
// instruction set and number of threads gives the same bits.
//
// InvalidArgument names what is wrong: k = 0; no rows; types or dimensions that differ; a metric
// that the type does not have; `ids` or `include` of another length than the base; a row that is
// not finite, whose norm Metric does not allow, or that has bits behind its last element (rows left
// out may be anything). OutOfMemory: the answer does not fit. Memory beside the answer: about 15 MB
// a thread, more only for k beyond 5000; with several threads also what each has found, until it is
// merged.
SHOAL_API Result<TruthSet> ExactSearch(MatrixView base, MatrixView queries,
                                       const ExactOptions& options);

// The numbers of the rows of zeros only, ascending: they have no cosine distance.
SHOAL_API std::vector<uint32_t> ZeroRows(MatrixView rows);

// By how much the distance that a search gives may differ from ExactSearch's of the same two
// vectors: at most relative * |distance| + absolute.
struct Rounding {
  double relative = 0;
  double absolute = 0;
};
// 0 for bits and, but under cosine, for int8 and uint8. Otherwise, with e = (dim / 8 + 8) 2^-24,
// the error of a float sum of dim terms in at least 8 parts relative to the sum of their
// magnitudes: 2 e, absolute, under cosine, whose operands have length 1; else e, relative. Under
// inner product that is less than the bound where products cancel: a tie may be missed there, none
// is invented.
SHOAL_API Rounding RoundingOf(Metric metric, ScalarType type, size_t dim);

// The distances of the points of an answer, in the metric of the truth.
struct FoundDistances {
  std::span<const float> values = {};  // One for each of `found`.
  Rounding rounding = {};              // 0: they have the bits that ExactSearch gives.
};

// recall@k of one answer: the share of the k true neighbours that are in `found`. Every base row as
// near as the k-th counts as true (ties), as in DiskANN and big-ann-benchmarks. `found` may be
// longer or shorter than k; its first k count. Where the query has fewer than k neighbours, it is
// the share of those. At most 1. NaN unless 1 <= k <= truth.k.
//
// Ties are judged by distances. `truth` has those of its own ids. Other ids may tie, too, where
// more rows are as near as the k-th than `truth` has room for: such an id counts if its distance in
// `distances` is at most the k-th's plus the rounding. Without distances in `truth` only its k ids
// are true; without `distances` only ids in `truth`.
SHOAL_API double Recall(const TruthSet& truth, size_t query, std::span<const uint64_t> found,
                        size_t k, const FoundDistances& distances = {});

}  // namespace shoal
