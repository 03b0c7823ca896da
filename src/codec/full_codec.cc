#include "codec/full_codec.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "base/finite.h"
#include "base/mismatch.h"
#include "base/norm.h"

namespace shoal {
namespace {

float Trailer(const std::byte* row, size_t offset) {
  float value;
  std::memcpy(&value, row + offset, sizeof(value));
  return value;
}

tl::unexpected<Error> Refuse(const char* what, const std::string& why) {
  return MakeError(ErrorCode::kInvalidArgument, std::string(what) + ": " + why);
}

}  // namespace

void Scorer::Score(const std::byte* const* rows, size_t n, float* out) const {
  if (epilogue_ == Epilogue::kCosine || epilogue_ == Epilogue::kSphere) {
    for (size_t i = 0; i < n; ++i) {
      __builtin_prefetch(rows[i] + suffix_);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // g++ 12 keeps the loop then.
    }
  }
  kernel_(query_, rows, n, dim_, out);
  switch (epilogue_) {
    case Epilogue::kNone: return;
    case Epilogue::kNegate:
      for (size_t i = 0; i < n; ++i) out[i] = 0.0f - out[i];  // Not -0.
      return;
    case Epilogue::kCosine:
      for (size_t i = 0; i < n; ++i)
        out[i] = std::min(
            2.0f, std::max(0.0f, 1.0f - out[i] * (query_factor_ * Trailer(rows[i], suffix_))));
      return;
    case Epilogue::kSphere:
      // |a - b|^2 and the square of the difference of the coordinates beyond, as a quotient: M^2
      // may be so much larger than either norm that nothing would be left of them beside it.
      for (size_t i = 0; i < n; ++i) {
        const float norm_sq = Trailer(rows[i], suffix_);
        const float rest = std::sqrt(std::max(0.0f, max_norm_sq_ - norm_sq)) + query_factor_;
        const float beyond = rest > 0 ? (norm_sq - query_norm_sq_) / rest : 0.0f;
        const float inside = query_norm_sq_ + norm_sq - 2.0f * out[i];
        out[i] = std::max(0.0f, inside) + beyond * beyond;
      }
      return;
  }
}

FullCodec::FullCodec(ScalarType type, Metric metric, size_t dim)
    : type_(type),
      metric_(metric),
      dim_(dim),
      suffix_((dim * ScalarSize(type) + 3) / 4 * 4),
      row_bytes_(metric == Metric::kL2 ? dim * ScalarSize(type) : suffix_ + sizeof(float)),
      kernels_(distance::Active()) {}

Status FullCodec::ValidateShape(MatrixView rows, const char* what) const {
  const auto mismatch = [&](const char* field, std::string_view expected, std::string_view found) {
    return Mismatch(ErrorCode::kInvalidArgument, std::string(what) + ": " + field, expected, found);
  };
  if (rows.type() != type_)
    return mismatch("scalar type", ScalarTypeName(type_), ScalarTypeName(rows.type()));
  if (rows.dim() != dim_) return mismatch("dimension", Written(dim_), Written(rows.dim()));
  if (rows.data() == nullptr && rows.rows() != 0) return mismatch("data", "a pointer", "null");
  return {};
}

Status FullCodec::Validate(VectorView vector, const char* what) const {
  const auto refuse = [&](const std::string& why) { return Refuse(what, why); };
  Status shape = ValidateShape({vector.data(), vector.type(), 1, vector.dim()}, what);
  if (!shape) return shape;
  if (IsPlainlyLegal(vector)) return {};
  const size_t bad = FirstNonFinite(vector.data(), type_, dim_);
  if (bad != dim_) return refuse("element " + std::to_string(bad) + " is NaN or infinite");
  const double norm_sq = SquaredNorm(vector.data());
  if (!IsLegalNormSq(norm_sq, metric_)) return refuse(WhyIllegal(norm_sq));
  return {};
}

// By one pass of a kernel: a sum of squares well within the bounds has finite terms only.
bool FullCodec::IsPlainlyLegal(VectorView vector) const {
  if (type_ != ScalarType::kFloat32) return metric_ == Metric::kL2 && type_ != ScalarType::kFloat16;
  constexpr double kWithin = 0.9;  // More than the sum's rounding may be wrong by.
  const double norm_sq =
      kernels_.Pair(distance::Op::kDot, type_)(vector.data(), vector.data(), dim_);
  return norm_sq <= kWithin * kMaxNorm * kMaxNorm &&
         (metric_ != Metric::kCosine || kWithin * norm_sq >= kMinCosineNorm * kMinCosineNorm);
}

double FullCodec::SquaredNorm(const void* elements) const {
  const auto* bytes = static_cast<const std::byte*>(elements);
  double sum = 0;
  switch (type_) {
    case ScalarType::kFloat32:
      for (size_t i = 0; i < dim_; ++i) {
        const double x = Trailer(bytes, i * sizeof(float));
        sum += x * x;
      }
      return sum;
    case ScalarType::kFloat16:
      for (size_t i = 0; i < dim_; ++i) {
        Half half;
        std::memcpy(&half, bytes + i * sizeof(half), sizeof(half));
        const double x = HalfToFloat(half);
        sum += x * x;
      }
      return sum;
    case ScalarType::kInt8:
    case ScalarType::kUint8:
      return kernels_.PairInt(distance::Op::kDot, type_)(elements, elements, dim_);
  }
  return sum;
}

void FullCodec::Encode(VectorView vector, std::byte* row) {
  std::memcpy(row, vector.data(), vector.bytes());
  if (metric_ == Metric::kL2) return;
  const double norm_sq = SquaredNorm(vector.data());
  const auto suffix =
      static_cast<float>(metric_ == Metric::kCosine ? 1.0 / std::sqrt(norm_sq) : norm_sq);
  std::memcpy(row + suffix_, &suffix, sizeof(suffix));
  if (metric_ == Metric::kInnerProduct) NoteNorm(suffix);
}

void FullCodec::EncodeOrigin(std::byte* row) const { std::memset(row, 0, row_bytes_); }

void FullCodec::NoteNorm(float norm_sq) {
  RaiseMaxNormSq(norm_sq);
  if (norm_sq == 0) return;
  const double log_norm = std::log(norm_sq);
  log_norms_.fetch_add(log_norm, std::memory_order_relaxed);
  log_norms_sq_.fetch_add(log_norm * log_norm, std::memory_order_relaxed);
  norms_.fetch_add(1, std::memory_order_relaxed);
}

// The three sums may be of different moments: so good is good enough.
bool FullCodec::NormsVary() const {
  constexpr double kAlike = 0.03;  // Of the logarithm of the square.
  const auto n = static_cast<double>(norms_.load(std::memory_order_relaxed));
  if (n == 0) return false;
  const double mean = log_norms_.load(std::memory_order_relaxed) / n;
  return log_norms_sq_.load(std::memory_order_relaxed) / n - mean * mean > kAlike * kAlike;
}

void FullCodec::RaiseMaxNormSq(float norm_sq) {
  float max = max_norm_sq_.load(std::memory_order_relaxed);
  while (max < norm_sq &&
         !max_norm_sq_.compare_exchange_weak(max, norm_sq, std::memory_order_relaxed)) {
  }
}

// The kernel side of both bindings: float16 queries become float once, here.
Scorer FullCodec::Bind(const void* elements, std::byte* buffer) const {
  Scorer scorer;
  scorer.dim_ = dim_;
  scorer.suffix_ = suffix_;
  scorer.query_ = elements;
  if (type_ == ScalarType::kFloat16) {
    kernels_.half_to_float(static_cast<const Half*>(elements), dim_,
                           reinterpret_cast<float*>(buffer));
    scorer.query_ = buffer;
  }
  scorer.kernel_ =
      kernels_.Batch(metric_ == Metric::kL2 ? distance::Op::kL2 : distance::Op::kDot, type_);
  return scorer;
}

Scorer FullCodec::BindQuery(VectorView query, std::byte* buffer) const {
  Scorer scorer = Bind(query.data(), buffer);
  if (metric_ == Metric::kInnerProduct) scorer.epilogue_ = Scorer::Epilogue::kNegate;
  if (metric_ == Metric::kCosine) {
    scorer.epilogue_ = Scorer::Epilogue::kCosine;
    scorer.query_factor_ = static_cast<float>(1.0 / std::sqrt(SquaredNorm(query.data())));
  }
  return scorer;
}

void FullCodec::ScoreRaw(const std::byte* query, const std::byte* const* vectors, size_t n,
                         std::byte* buffer, float* out) const {
  Scorer scorer = Bind(query, buffer);
  if (metric_ != Metric::kL2) scorer.epilogue_ = Scorer::Epilogue::kNegate;
  scorer.Score(vectors, n, out);
}

Scorer FullCodec::BindRowAsQuery(const std::byte* row, std::byte* buffer) const {
  Scorer scorer = Bind(row, buffer);
  scorer.epilogue_ = Scorer::Epilogue::kNegate;
  return scorer;
}

Scorer FullCodec::BindRow(const std::byte* row, std::byte* buffer) const {
  Scorer scorer = Bind(row, buffer);
  if (metric_ == Metric::kInnerProduct) {
    scorer.epilogue_ = Scorer::Epilogue::kSphere;
    scorer.max_norm_sq_ = max_norm_sq_.load(std::memory_order_relaxed);
    scorer.query_norm_sq_ = Trailer(row, suffix_);
    scorer.query_factor_ = std::sqrt(std::max(0.0f, scorer.max_norm_sq_ - scorer.query_norm_sq_));
  }
  if (metric_ == Metric::kCosine) {
    scorer.epilogue_ = Scorer::Epilogue::kCosine;
    scorer.query_factor_ = Trailer(row, suffix_);
  }
  return scorer;
}

}  // namespace shoal
