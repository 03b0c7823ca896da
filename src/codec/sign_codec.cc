#include "codec/sign_codec.h"

#include <cstring>

#include "base/padding.h"
#include "codec/buffer_parts.h"
#include "codec/elements.h"

namespace shoal {
namespace {

size_t BytesOfSigns(size_t dim) { return BytesOf(ScalarType::kBit, dim); }

void PackSigns(const float* x, size_t dim, std::byte* row) {
  std::memset(row, 0, BytesOfSigns(dim));
  for (size_t i = 0; i < dim; ++i) row[i / 8] |= std::byte{x[i] >= 0} << (i % 8);
}

// query_factor: the distance of one differing sign.
void ScoreScaled(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) out[i] *= s.query_factor;
}

void ScoreNegatedProduct(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) out[i] = 2 * out[i] - static_cast<float>(s.dim);
}

float DistanceOfASign(Metric metric, size_t dim) {
  switch (metric) {
    case Metric::kInnerProduct:
    case Metric::kL2: return 4;
    case Metric::kCosine: return 2 / static_cast<float>(dim);
    case Metric::kManhattan: return 2;
    case Metric::kHamming: return 1;
  }
  return 1;
}

}  // namespace

SignCodec::SignCodec(Metric metric, size_t dim)
    : Codec({.row_bytes = BytesOfSigns(dim),
             .buffer_bytes = BufferParts::kSlack + BufferParts::BytesOf<float>(dim) +
                             BufferParts::BytesOf<std::byte>(BytesOfSigns(dim))}),
      metric_(metric),
      dim_(dim),
      kernel_(distance::Active().Batch(distance::Op::kHamming, ScalarType::kBit)) {}

void SignCodec::Encode(VectorView vector, std::byte* row) {
  alignas(BufferParts::kLine) float x[kMaxDim];
  ToFloats(vector, x);
  PackSigns(x, dim_, row);
}

bool SignCodec::Accept(const std::byte* row) {
  return HasZeroPadding({row, ScalarType::kBit, dim_});
}

void SignCodec::EncodeOrigin(std::byte* row) const {
  std::memset(row, 0, row_bytes());
  for (size_t i = 0; i < dim_; i += 2) row[i / 8] |= std::byte{1} << (i % 8);
}

void SignCodec::Decode(const std::byte* row, MutableVectorView out) const {
  alignas(BufferParts::kLine) float x[kMaxDim];
  for (size_t i = 0; i < dim_; ++i)
    x[i] = (row[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0} ? 1.0f : -1.0f;
  FromFloats(x, out);
}

Scorer SignCodec::Bind(const std::byte* row, Metric metric) const {
  Scorer scorer;
  scorer.score = ScoreScaled;
  scorer.kernel = kernel_;
  scorer.query = row;
  scorer.dim = dim_;
  scorer.query_factor = DistanceOfASign(metric, dim_);
  return scorer;
}

Scorer SignCodec::BindQuery(VectorView query, std::byte* buffer) const {
  BufferParts parts(buffer);
  auto* const x = parts.Take<float>(dim_);
  auto* const signs = parts.Take<std::byte>(BytesOfSigns(dim_));
  ToFloats(query, x);
  PackSigns(x, dim_, signs);
  return metric_ == Metric::kInnerProduct ? BindRowAsQuery(signs, buffer) : Bind(signs, metric_);
}

Scorer SignCodec::BindRow(const std::byte* row, std::byte*) const { return Bind(row, metric_); }

Scorer SignCodec::BindRowAsQuery(const std::byte* row, std::byte*) const {
  Scorer scorer = Bind(row, metric_);
  scorer.score = ScoreNegatedProduct;
  return scorer;
}

}  // namespace shoal
