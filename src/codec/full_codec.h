// The codec of full vectors: what the bytes of a row mean.
//
// Two geometries meet in a graph. A user's query is scored in the index's metric. The graph itself
// (the search of an insert, pruning) needs distances between stored points that behave like a
// distance: for l2 and cosine the metric does; for inner product the points are put on a sphere by
// one more coordinate sqrt(M^2 - |x|^2), M the largest norm so far, where squared l2 orders as the
// inner product does for queries without that coordinate (Bachrach et al., "Speeding up the Xbox
// recommender system", RecSys 2014). The coordinate is computed from the row's norm, not stored.
// Where norms vary the graph wants edges of both kinds (Pruner): a row can also be scored
// against as if it were a query.
//
// Row layout: dim elements, then, for inner product and cosine, one float at the next multiple of
// four bytes: |x|^2, and 1/|x|.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "distance/kernels.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// Seam 2 of the hop: a query bound to a codec. Cheap to make; refers to the query's bytes. Used by
// one thread.
class Scorer {
 public:
  // out[i]: the distance of rows[i], i < n.
  void Score(const std::byte* const* rows, size_t n, float* out) const;

 private:
  friend class FullCodec;
  // What becomes of the kernel's figure.
  enum class Epilogue : uint8_t { kNone, kNegate, kCosine, kSphere };

  distance::BatchFn kernel_ = nullptr;
  const void* query_ = nullptr;
  size_t dim_ = 0;
  size_t suffix_ = 0;  // Offset of the row's trailing float.
  Epilogue epilogue_ = Epilogue::kNone;
  float query_factor_ = 0;   // kCosine: 1/|q|. kSphere: sqrt(M^2 - |q|^2).
  float query_norm_sq_ = 0;  // kSphere.
  float max_norm_sq_ = 0;    // kSphere: M^2.
};

class FullCodec {
 public:
  FullCodec(ScalarType type, Metric metric, size_t dim);

  size_t row_bytes() const { return row_bytes_; }
  // Bytes of working memory that binding a query or a row takes, beyond the bytes bound.
  size_t buffer_bytes() const { return dim_ * sizeof(float); }

  // The caller's mistakes: type, dimension, NaN or infinity, a norm that is too large or, under
  // cosine, too small (base/norm.h). `what` names the vector in the message.
  Status Validate(VectorView vector, const char* what) const;
  // Of these, what concerns all rows of a matrix: type, dimension, no data.
  Status ValidateShape(MatrixView rows, const char* what) const;
  // Writes a validated vector as a row.
  void Encode(VectorView vector, std::byte* row);
  // Writes the row of a start point: the origin, which is nobody's vector. Under cosine its
  // distance from everything is 1.
  void EncodeOrigin(std::byte* row) const;
  // Inner product: the largest squared norm that was ever encoded; else 0.
  float max_norm_sq() const { return max_norm_sq_.load(std::memory_order_relaxed); }
  void RaiseMaxNormSq(float norm_sq);
  // Inner product: norms of what was encoded differ by so much (a standard deviation of 1.5 %) that
  // the largest products and the shortest distances are not the same rows'.
  bool NormsVary() const;
  // The vector of a row, dim elements of the scalar type, is at its front.

  // Scores in the metric. The vector and `buffer` (buffer_bytes()) must outlive the scorer.
  Scorer BindQuery(VectorView query, std::byte* buffer) const;
  // Scores in the graph's geometry, from a stored row.
  Scorer BindRow(const std::byte* row, std::byte* buffer) const;
  // Inner product: scores in the metric, as if the stored row were a query.
  Scorer BindRowAsQuery(const std::byte* row, std::byte* buffer) const;
  // Kernel figures (squared l2, or the negated inner product) between vectors that are no rows, for
  // choosing among them.
  void ScoreRaw(const std::byte* query, const std::byte* const* vectors, size_t n,
                std::byte* buffer, float* out) const;

 private:
  Scorer Bind(const void* elements, std::byte* buffer) const;
  // True: finite, and of a legal norm. False: perhaps not.
  bool IsPlainlyLegal(VectorView vector) const;
  double SquaredNorm(const void* elements) const;
  void NoteNorm(float norm_sq);

  const ScalarType type_;
  const Metric metric_;
  const size_t dim_;
  const size_t suffix_;
  const size_t row_bytes_;
  const distance::KernelSet& kernels_;
  // kInnerProduct: M^2, only grows; and of the logarithms of all squared norms but 0.
  std::atomic<float> max_norm_sq_{0};
  std::atomic<double> log_norms_{0}, log_norms_sq_{0};
  std::atomic<uint64_t> norms_{0};
};

}  // namespace shoal
