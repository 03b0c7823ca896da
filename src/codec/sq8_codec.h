// SQ8: each element is rounded to one of 256 values between the least and the largest of its
// vector. Nothing is trained. (LVQ-8: Aguerrebere et al., "Similarity search in the blink of an eye
// with compressed indices", PVLDB 16, 2023; ours has no centre. docs/codes.md has figures.)
//
// Of a vector x: a = min x_i, b = (max x_i - a) / 255, u_i = (x_i - a) / b, rounded. A vector of
// equal elements has b = 0, u = 0. Distances are those of a + b u, but for the query's rounding: to
// 16 bits, or to as many as keep a sum of `dim` products in an int32.
//
// Row: a; b; |a + b u|^2 (cosine: 1 / |a + b u|); u, a byte an element. All floats.
#pragma once

#include <cstddef>

#include "codec/codec.h"
#include "codec/norm_record.h"
#include "distance/code_kernels.h"
#include "shoal/types.h"

namespace shoal {

class Sq8Codec final : public Codec {
 public:
  // Of vectors of any type. `metric`: kL2, kInnerProduct or kCosine.
  Sq8Codec(Metric metric, size_t dim);

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

 private:
  struct Binding;  // What a scorer's query points to.

  float NormFor(const std::byte* row) const;
  void ToRowFloats(const std::byte* row, float* out) const;
  // Where a query stands in a buffer, as floats; and binding of what stands there.
  float* QueryIn(std::byte* buffer) const;
  Scorer Bind(Scorer::Fn score, std::byte* buffer) const;
  Scorer BindInMetric(double norm_sq, std::byte* buffer) const;

  static void ScoreL2(const Scorer& s, const std::byte* const* rows, size_t n, float* out);
  static void ScoreNegated(const Scorer& s, const std::byte* const* rows, size_t n, float* out);
  static void ScoreCosine(const Scorer& s, const std::byte* const* rows, size_t n, float* out);
  static void ScoreOnSphere(const Scorer& s, const std::byte* const* rows, size_t n, float* out);

  const Metric metric_;
  const size_t dim_;
  const distance::CodeFn kernel_;
  NormRecord norms_;
};

}  // namespace shoal
