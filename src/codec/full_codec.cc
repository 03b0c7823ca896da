#include "codec/full_codec.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/finite.h"
#include "base/padding.h"
#include "base/round.h"
#include "codec/vector_check.h"
#include "distance/code_kernels.h"

namespace shoal {
namespace {

float Suffix(const std::byte* row, size_t offset) {
  float value;
  std::memcpy(&value, row + offset, sizeof(value));
  return value;
}

// What the distances of a metric are made of.
struct Figures {
  distance::Op op;
  bool has_suffix;  // Whether they are corrected by a row's norm.
};

Figures FiguresOf(Metric metric) {
  switch (metric) {
    case Metric::kL2: return {distance::Op::kL2, false};
    case Metric::kInnerProduct:
    case Metric::kCosine: return {distance::Op::kDot, true};
    case Metric::kManhattan: return {distance::Op::kL1, false};
    case Metric::kHamming: return {distance::Op::kHamming, false};
  }
  return {};
}

size_t SuffixOf(ScalarType type, size_t dim) { return RoundUp(BytesOf(type, dim), sizeof(float)); }

size_t RowBytes(ScalarType type, Metric metric, size_t dim) {
  return FiguresOf(metric).has_suffix ? SuffixOf(type, dim) + sizeof(float) : BytesOf(type, dim);
}

double InverseNorm(double norm_sq) { return norm_sq > 0 ? 1.0 / std::sqrt(norm_sq) : 0.0; }

// The scalar type of a row's elements; for bfloat16, which is none, one that takes as many bytes.
ScalarType StoredAs(ScalarType type, Code code) {
  return code == Code::kFull ? type : ScalarType::kFloat16;
}

void ToBfloats(VectorView floats, std::byte* out) {
  const auto* const elements = static_cast<const std::byte*>(floats.data());
  for (size_t i = 0; i < floats.dim(); ++i) {
    uint32_t bits;
    std::memcpy(&bits, elements + i * sizeof(bits), sizeof(bits));
    // No legal element is so large that it would become infinity.
    const auto upper = static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
    std::memcpy(out + i * sizeof(upper), &upper, sizeof(upper));
  }
}

void FromBfloats(const std::byte* elements, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    uint16_t upper;
    std::memcpy(&upper, elements + i * sizeof(upper), sizeof(upper));
    out[i] = std::bit_cast<float>(uint32_t{upper} << 16);
  }
}

void ToHalves(VectorView floats, std::byte* out) {
  constexpr float kMaxHalf = 65504;
  const auto* const elements = static_cast<const std::byte*>(floats.data());
  for (size_t i = 0; i < floats.dim(); ++i) {
    float value;
    std::memcpy(&value, elements + i * sizeof(value), sizeof(value));
    const Half half = FloatToHalf(std::clamp(value, -kMaxHalf, kMaxHalf));
    std::memcpy(out + i * sizeof(half), &half, sizeof(half));
  }
}

// g++ 12 keeps the loop behind a fence.
void PrefetchSuffixes(const Scorer& s, const std::byte* const* rows, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    __builtin_prefetch(rows[i] + s.suffix);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

// What becomes of the kernel's figures.
void ScorePlain(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  s.kernel(s.query, rows, n, s.dim, out);
}

void ScoreNegated(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) out[i] = 0.0f - out[i];  // Not -0.
}

// query_factor: 1 / |q|.
void ScoreCosine(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  PrefetchSuffixes(s, rows, n);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i)
    out[i] = std::min(2.0f,
                      std::max(0.0f, 1.0f - out[i] * (s.query_factor * Suffix(rows[i], s.suffix))));
}

void ScoreOnSphere(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  PrefetchSuffixes(s, rows, n);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i) out[i] = OnSphere(s, Suffix(rows[i], s.suffix), out[i]);
}

}  // namespace

FullCodec::FullCodec(ScalarType type, Code code, Metric metric, size_t dim)
    : Codec({.row_bytes = RowBytes(StoredAs(type, code), metric, dim),
             .buffer_bytes = dim * sizeof(float)}),
      type_(type),
      code_(code),
      stored_(StoredAs(type, code)),
      metric_(metric),
      dim_(dim),
      suffix_(SuffixOf(stored_, dim)),
      kernels_(distance::Active()) {}

void FullCodec::Encode(VectorView vector, std::byte* row) {
  if (code_ == Code::kFull) {
    std::memcpy(row, vector.data(), vector.bytes());
  } else if (code_ == Code::kFloat16) {
    ToHalves(vector, row);
  } else {
    ToBfloats(vector, row);
  }
  Complete(row);
  if (metric_ == Metric::kInnerProduct) norms_.Note(Suffix(row, suffix_));
}

void FullCodec::Learn(VectorView vector) {
  if (metric_ == Metric::kInnerProduct)
    norms_.Note(SuffixFor(static_cast<const std::byte*>(vector.data())));
}

void FullCodec::Complete(std::byte* row) const {
  if (!FiguresOf(metric_).has_suffix) return;
  const float suffix = SuffixFor(row);
  std::memcpy(row + suffix_, &suffix, sizeof(suffix));
}

float FullCodec::SuffixFor(const std::byte* row) const {
  double norm_sq = 0;
  if (code_ == Code::kBfloat16) {
    float floats[kMaxDim];
    FromBfloats(row, dim_, floats);
    norm_sq = SquaredNorm(floats, ScalarType::kFloat32, dim_);
  } else {
    norm_sq = SquaredNorm(row, stored_, dim_);
  }
  return static_cast<float>(metric_ == Metric::kInnerProduct ? norm_sq : InverseNorm(norm_sq));
}

bool FullCodec::Accept(const std::byte* row) {
  if (code_ == Code::kBfloat16) {
    float floats[kMaxDim];
    FromBfloats(row, dim_, floats);
    if (FirstNonFinite(floats, ScalarType::kFloat32, dim_) != dim_) return false;
  } else if (FirstNonFinite(row, stored_, dim_) != dim_) {
    return false;
  }
  if (!HasZeroPadding({row, stored_, dim_})) return false;
  if (!FiguresOf(metric_).has_suffix) return true;
  const std::byte* const end = row + BytesOf(stored_, dim_);
  if (std::any_of(end, row + suffix_, [](std::byte b) { return b != std::byte{0}; })) return false;
  const float suffix = SuffixFor(row);
  if (std::bit_cast<uint32_t>(Suffix(row, suffix_)) != std::bit_cast<uint32_t>(suffix))
    return false;
  if (metric_ == Metric::kInnerProduct) norms_.Note(suffix);
  return true;
}

void FullCodec::Decode(const std::byte* row, MutableVectorView out) const {
  if (code_ == Code::kFull) {
    std::memcpy(out.data(), row, out.bytes());
    return;
  }
  if (code_ == Code::kBfloat16) {
    float floats[kMaxDim];
    FromBfloats(row, dim_, floats);
    std::memcpy(out.data(), floats, out.bytes());
    return;
  }
  auto* const elements = static_cast<std::byte*>(out.data());
  for (size_t i = 0; i < dim_; ++i) {
    Half half;
    std::memcpy(&half, row + i * sizeof(half), sizeof(half));
    const float value = HalfToFloat(half);
    std::memcpy(elements + i * sizeof(value), &value, sizeof(value));
  }
}

void FullCodec::EncodeOrigin(std::byte* row) const { std::memset(row, 0, row_bytes()); }

// float16 queries become float once, here.
const void* FullCodec::AsQuery(VectorView vector, std::byte* buffer) const {
  if (vector.type() != ScalarType::kFloat16) return vector.data();
  kernels_.half_to_float(static_cast<const Half*>(vector.data()), dim_,
                         reinterpret_cast<float*>(buffer));
  return buffer;
}

const void* FullCodec::AsQuery(const std::byte* row, std::byte* buffer) const {
  if (code_ != Code::kBfloat16) return AsQuery(VectorView(row, stored_, dim_), buffer);
  FromBfloats(row, dim_, reinterpret_cast<float*>(buffer));
  return buffer;
}

Scorer FullCodec::MakeScorer(const void* query) const {
  const distance::Op op = FiguresOf(metric_).op;
  Scorer scorer;
  scorer.score = ScorePlain;
  scorer.dim = dim_;
  scorer.suffix = suffix_;
  scorer.query = query;
  scorer.kernel = code_ == Code::kBfloat16
                      ? distance::ActiveCodes().bfloat16[static_cast<size_t>(op)]
                      : kernels_.Batch(op, stored_);
  return scorer;
}

Scorer FullCodec::BindQuery(VectorView query, std::byte* buffer) const {
  Scorer scorer = MakeScorer(AsQuery(query, buffer));
  if (metric_ == Metric::kInnerProduct) scorer.score = ScoreNegated;
  if (metric_ == Metric::kCosine) {
    scorer.score = ScoreCosine;
    scorer.query_factor =
        static_cast<float>(1.0 / std::sqrt(SquaredNorm(query.data(), type_, dim_)));
  }
  return scorer;
}

void FullCodec::ScoreRaw(const std::byte* query, const std::byte* const* vectors, size_t n,
                         std::byte* buffer, float* out) const {
  Scorer scorer = MakeScorer(AsQuery(query, buffer));
  if (FiguresOf(metric_).op == distance::Op::kDot) scorer.score = ScoreNegated;
  scorer.Score(vectors, n, out);
}

Scorer FullCodec::BindRowAsQuery(const std::byte* row, std::byte* buffer) const {
  Scorer scorer = MakeScorer(AsQuery(row, buffer));
  scorer.score = ScoreNegated;
  return scorer;
}

Scorer FullCodec::BindRow(const std::byte* row, std::byte* buffer) const {
  Scorer scorer = MakeScorer(AsQuery(row, buffer));
  if (metric_ == Metric::kInnerProduct) {
    scorer.score = ScoreOnSphere;
    BindToSphere(norms_, Suffix(row, suffix_), scorer);
  }
  if (metric_ == Metric::kCosine) {
    scorer.score = ScoreCosine;
    scorer.query_factor = Suffix(row, suffix_);
  }
  return scorer;
}

}  // namespace shoal
