// The codec of vectors as they are given, or, float32 ones, with elements of another type.
//
// Two geometries meet in a graph. A user's query is scored in the index's metric. The graph itself
// (the search of an insert, pruning) needs distances between stored points that behave like a
// distance: all metrics do but the inner product. (The squared l2 distance does as the square of
// one; so do Manhattan and Hamming, whose roots are Euclidean distances in some space: Schoenberg,
// "Metric spaces and positive definite functions", 1938.) For the inner product the points are put
// on a sphere by one more coordinate sqrt(M^2 - |x|^2), M the largest norm so far, where squared l2
// orders as the inner product does for queries without that coordinate (Bachrach et al., "Speeding
// up the Xbox recommender system", RecSys 2014). The coordinate is computed from the row's norm,
// not stored. Where norms vary the graph wants edges of both kinds (Pruner): a row can also be
// scored against as if it were a query.
//
// Row layout: dim elements of the stored type, then, for inner product and cosine, one float at the
// next multiple of four bytes: |x|^2, and 1/|x|, of what is stored. Where nothing is left of a
// vector that is too small for the type, 1/|x| is taken for 0: its distance from everything is 1.
// A bfloat16 is the upper half of a float, rounded to nearest, ties to even.
#pragma once

#include <cstddef>

#include "codec/codec.h"
#include "codec/norm_record.h"
#include "codec/vector_check.h"
#include "distance/kernels.h"
#include "shoal/types.h"

namespace shoal {

class FullCodec final : public Codec {
 public:
  FullCodec(ScalarType type, Metric metric, size_t dim)
      : FullCodec(type, Code::kFull, metric, dim) {}
  // `code`: what a row's elements are; kFull, or of float32 vectors kFloat16 or kBfloat16.
  FullCodec(ScalarType type, Code code, Metric metric, size_t dim);
  // Of the vectors that it encodes.
  VectorCheck check() const { return {type_, metric_, dim_}; }

  void Encode(VectorView vector, std::byte* row) override;
  bool Accept(const std::byte* row) override;
  void EncodeOrigin(std::byte* row) const override;
  void Decode(const std::byte* row, MutableVectorView out) const override;
  Scorer BindQuery(VectorView query, std::byte* buffer) const override;
  Scorer BindRow(const std::byte* row, std::byte* buffer) const override;
  Scorer BindRowAsQuery(const std::byte* row, std::byte* buffer) const override;

  float max_norm_sq() const override { return norms_.max(); }
  void RaiseMaxNormSq(float norm_sq) override { norms_.RaiseMax(norm_sq); }
  bool NormsVary() const override { return norms_.Vary(); }

  // Writes what is behind the elements of a row, as Encode does, and learns nothing.
  void Complete(std::byte* row) const;
  // Learns of a vector what Encode does. The code is kFull.
  void Learn(VectorView vector);

  // Kernel figures (a distance, or the negated inner product) between vectors that are no rows, for
  // choosing among them. The code is kFull.
  void ScoreRaw(const std::byte* query, const std::byte* const* vectors, size_t n,
                std::byte* buffer, float* out) const;

 private:
  // What is behind the elements of a row (not kL2).
  float SuffixFor(const std::byte* row) const;
  // As a kernel takes a query: `elements`, or `buffer` with what they are as floats.
  const void* AsQuery(VectorView vector, std::byte* buffer) const;
  const void* AsQuery(const std::byte* row, std::byte* buffer) const;
  Scorer MakeScorer(const void* query) const;

  const ScalarType type_;    // Of the vectors,
  const Code code_;          // of the elements of a row,
  const ScalarType stored_;  // and the scalar type that takes as many bytes.
  const Metric metric_;
  const size_t dim_;
  const size_t suffix_;
  const distance::KernelSet& kernels_;
  NormRecord norms_;  // kInnerProduct.
};

}  // namespace shoal
