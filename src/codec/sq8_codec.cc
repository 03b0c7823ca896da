#include "codec/sq8_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "codec/buffer_parts.h"
#include "codec/elements.h"

namespace shoal {
namespace {

constexpr size_t kBits = 8;
constexpr float kMost = 255;

// What stands in front of a row's elements.
struct Header {
  float low, step;
  float norm;  // |row|^2; cosine: 1 / |row|.
};
Header HeaderOf(const std::byte* row) {
  Header header;
  std::memcpy(&header, row, sizeof(header));
  return header;
}

// So that `dim` products of a query's elements with a byte fit an int32.
int32_t MostOfQuery(size_t dim) {
  return static_cast<int32_t>(std::min<size_t>(INT16_MAX, INT32_MAX / (255 * dim)));
}

struct Range {
  float low, high;
};
Range RangeOf(const float* x, size_t n) {
  Range range{x[0], x[0]};
  for (size_t i = 1; i < n; ++i) range = {std::min(range.low, x[i]), std::max(range.high, x[i])};
  return range;
}

}  // namespace

struct Sq8Codec::Binding {
  distance::CodeQuery code;  // First: the kernel reads it.
  float scale;               // Of the query's integers,
  float sum;                 // and the sum of the rounded query.
  // The inner product with a row, from the kernel's sum.
  float Product(const Header& row, float kernel_sum) const {
    return row.low * sum + row.step * (scale * kernel_sum);
  }
};

Sq8Codec::Sq8Codec(Metric metric, size_t dim)
    : Codec({.row_bytes = sizeof(Header) + distance::CodeBytes(kBits, dim),
             .buffer_bytes = BufferParts::kSlack + BufferParts::BytesOf<float>(dim) +
                             BufferParts::BytesOf<Binding>(1) +
                             BufferParts::BytesOf<int16_t>(dim + distance::kCodePadding)}),
      metric_(metric),
      dim_(dim),
      kernel_(distance::ActiveCodes().code[kBits]) {}

void Sq8Codec::Encode(VectorView vector, std::byte* row) {
  constexpr float kNothing = 1e-30f;  // Below, the quotient might overflow.
  alignas(BufferParts::kLine) float x[kMaxDim];
  ToFloats(vector, x);
  const Range range = RangeOf(x, dim_);
  Header header{range.low, (range.high - range.low) / kMost, 0};
  if (header.step < kNothing) header.step = 0;
  const float per_step = header.step == 0 ? 0.0f : 1.0f / header.step;
  auto* const u = reinterpret_cast<uint8_t*>(row + sizeof(header));
  for (size_t i = 0; i < dim_; ++i)
    u[i] = static_cast<uint8_t>(
        static_cast<int32_t>(std::min(kMost, (x[i] - header.low) * per_step + 0.5f)));
  std::memcpy(row, &header, sizeof(header));
  header.norm = NormFor(row);
  std::memcpy(row, &header, sizeof(header));
  if (metric_ == Metric::kInnerProduct) norms_.Note(header.norm);
}

// What stands in a row's header, from the rest of the row.
float Sq8Codec::NormFor(const std::byte* row) const {
  const Header header = HeaderOf(row);
  const auto* const u = reinterpret_cast<const uint8_t*>(row + sizeof(header));
  const double norm_sq = SumInOrder(dim_, [&](size_t i) {
    const double value = static_cast<double>(header.low) + static_cast<double>(header.step) * u[i];
    return value * value;
  });
  return static_cast<float>(metric_ == Metric::kCosine ? 1 / std::sqrt(norm_sq) : norm_sq);
}

bool Sq8Codec::Accept(const std::byte* row) {
  const Header header = HeaderOf(row);
  if (!std::isfinite(header.low) || !std::isfinite(header.step) || header.step < 0) return false;
  const float norm = NormFor(row);
  if (!std::isfinite(norm) || header.norm != norm) return false;
  if (metric_ == Metric::kInnerProduct) norms_.Note(norm);
  return true;
}

void Sq8Codec::EncodeOrigin(std::byte* row) const { std::memset(row, 0, row_bytes()); }

void Sq8Codec::ToRowFloats(const std::byte* row, float* out) const {
  const Header header = HeaderOf(row);
  const auto* const u = reinterpret_cast<const uint8_t*>(row + sizeof(header));
  for (size_t i = 0; i < dim_; ++i) out[i] = header.low + header.step * static_cast<float>(u[i]);
}

void Sq8Codec::Decode(const std::byte* row, MutableVectorView out) const {
  alignas(BufferParts::kLine) float x[kMaxDim];
  ToRowFloats(row, x);
  FromFloats(x, out);
}

// --- Scoring.

// query_norm_sq: |q|^2.
void Sq8Codec::ScoreL2(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) {
    const Header row = HeaderOf(rows[i]);
    out[i] = std::max(0.0f, s.query_norm_sq + row.norm - 2.0f * binding.Product(row, out[i]));
  }
}

void Sq8Codec::ScoreNegated(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) out[i] = 0.0f - binding.Product(HeaderOf(rows[i]), out[i]);
}

// query_factor: 1 / |q|.
void Sq8Codec::ScoreCosine(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) {
    const Header row = HeaderOf(rows[i]);
    const float product = binding.Product(row, out[i]);
    out[i] = std::clamp(1.0f - product * (s.query_factor * row.norm), 0.0f, 2.0f);
  }
}

void Sq8Codec::ScoreOnSphere(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) {
    const Header row = HeaderOf(rows[i]);
    out[i] = OnSphere(s, row.norm, binding.Product(row, out[i]));
  }
}

// --- Binding. A buffer holds the query as floats, the binding, and the query as integers.

float* Sq8Codec::QueryIn(std::byte* buffer) const { return BufferParts(buffer).Take<float>(dim_); }

// Of the query that stands in the buffer.
Scorer Sq8Codec::Bind(Scorer::Fn score, std::byte* buffer) const {
  BufferParts parts(buffer);
  const auto* const z = parts.Take<float>(dim_);
  Binding& binding = *new (parts.Take<Binding>(1)) Binding;
  auto* const v = parts.Take<int16_t>(dim_ + distance::kCodePadding);
  const Rounded rounded = RoundTo(z, dim_, MostOfQuery(dim_), v);
  binding.code = {v, distance::CodeRun(kBits, dim_), sizeof(Header)};
  binding.scale = rounded.scale;
  binding.sum = rounded.scale * static_cast<float>(rounded.sum);
  Scorer scorer;
  scorer.score = score;
  scorer.kernel = kernel_;
  scorer.query = &binding;
  scorer.dim = dim_;
  return scorer;
}

Scorer Sq8Codec::BindInMetric(double norm_sq, std::byte* buffer) const {
  if (metric_ == Metric::kInnerProduct) return Bind(ScoreNegated, buffer);
  Scorer scorer = Bind(metric_ == Metric::kCosine ? ScoreCosine : ScoreL2, buffer);
  scorer.query_norm_sq = static_cast<float>(norm_sq);
  scorer.query_factor = norm_sq > 0 ? static_cast<float>(1 / std::sqrt(norm_sq)) : 0.0f;
  return scorer;
}

Scorer Sq8Codec::BindQuery(VectorView query, std::byte* buffer) const {
  float* const z = QueryIn(buffer);
  ToFloats(query, z);
  return BindInMetric(metric_ == Metric::kInnerProduct ? 0 : NormSqOf(z, dim_), buffer);
}

Scorer Sq8Codec::BindRow(const std::byte* row, std::byte* buffer) const {
  float* const z = QueryIn(buffer);
  ToRowFloats(row, z);
  if (metric_ != Metric::kInnerProduct) return BindInMetric(NormSqOf(z, dim_), buffer);
  Scorer scorer = Bind(ScoreOnSphere, buffer);
  BindToSphere(norms_, HeaderOf(row).norm, scorer);
  return scorer;
}

Scorer Sq8Codec::BindRowAsQuery(const std::byte* row, std::byte* buffer) const {
  ToRowFloats(row, QueryIn(buffer));
  return Bind(ScoreNegated, buffer);
}

}  // namespace shoal
