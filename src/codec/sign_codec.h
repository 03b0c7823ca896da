// The sign of each element, a bit each: the binary-quantised Euclidean, cosine and Manhattan
// distances of hannoy and arroy. A vector is taken for one of +1 (element >= 0) and -1.
//
// With h differing signs of d the squared l2 distance is 4 h, the inner product d - 2 h, the cosine
// distance 2 h / d, the Manhattan distance 2 h. All are exact: equal codes are at distance 0 (inner
// product: -d), whatever d. (Two of hannoy's differ by a constant factor, which leaves the order;
// and its cosine is not exactly 0 for equal codes at some dimensions, which does not.)
//
// Row: element i is bit i % 8 of byte i / 8; bits behind the last one are 0: as ScalarType::kBit.
#pragma once

#include <cstddef>

#include "codec/codec.h"
#include "shoal/types.h"

namespace shoal {

class SignCodec final : public Codec {
 public:
  // Of vectors of any type but bits, which are their own signs; any metric but kHamming.
  SignCodec(Metric metric, size_t dim);

  void Encode(VectorView vector, std::byte* row) override;
  bool Accept(const std::byte* row) override;
  // No code is as far from all others: half of its signs are +1, so under cosine its distance from
  // others is 1 on average.
  void EncodeOrigin(std::byte* row) const override;
  void Decode(const std::byte* row, MutableVectorView out) const override;
  Scorer BindQuery(VectorView query, std::byte* buffer) const override;
  // All rows have the same norm: the graph's geometry of inner products is that of l2.
  Scorer BindRow(const std::byte* row, std::byte* buffer) const override;
  Scorer BindRowAsQuery(const std::byte* row, std::byte* buffer) const override;

 private:
  Scorer Bind(const std::byte* row, Metric metric) const;

  const Metric metric_;
  const size_t dim_;
  const distance::BatchFn kernel_;
};

}  // namespace shoal
