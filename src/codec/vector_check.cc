#include "codec/vector_check.h"

#include <cmath>
#include <cstring>
#include <string>

#include "base/finite.h"
#include "base/mismatch.h"
#include "base/norm.h"
#include "base/padding.h"

namespace shoal {
namespace {

float FloatAt(const std::byte* elements, size_t i) {
  float value;
  std::memcpy(&value, elements + i * sizeof(value), sizeof(value));
  return value;
}

tl::unexpected<Error> Refuse(const char* what, const std::string& why) {
  return MakeError(ErrorCode::kInvalidArgument, std::string(what) + ": " + why);
}

}  // namespace

Status VectorCheck::Shape(MatrixView rows, const char* what) const {
  const auto mismatch = [&](const char* field, std::string_view expected, std::string_view found) {
    return Mismatch(ErrorCode::kInvalidArgument, std::string(what) + ": " + field, expected, found);
  };
  if (rows.type() != type_)
    return mismatch("scalar type", ScalarTypeName(type_), ScalarTypeName(rows.type()));
  if (rows.dim() != dim_) return mismatch("dimension", Written(dim_), Written(rows.dim()));
  if (rows.data() == nullptr && rows.rows() != 0) return mismatch("data", "a pointer", "null");
  return {};
}

Status VectorCheck::Vector(VectorView vector, const char* what) const {
  const auto refuse = [&](const std::string& why) { return Refuse(what, why); };
  Status shape = Shape({vector.data(), vector.type(), 1, vector.dim()}, what);
  if (!shape) return shape;
  if (type_ == ScalarType::kBit) {
    if (HasZeroPadding(vector)) return {};
    return refuse(WhyBadPadding(dim_));
  }
  if (IsPlainlyLegal(vector)) return {};
  const size_t bad = FirstNonFinite(vector.data(), type_, dim_);
  if (bad != dim_) return refuse("element " + std::to_string(bad) + " is NaN or infinite");
  const double norm_sq = SquaredNorm(vector.data(), type_, dim_);
  if (!IsLegalNormSq(norm_sq, metric_)) return refuse(WhyIllegal(norm_sq));
  return {};
}

// By one pass of a kernel: a sum of squares well within the bounds has finite terms only.
bool VectorCheck::IsPlainlyLegal(VectorView vector) const {
  if (type_ == ScalarType::kFloat16) return false;
  if (type_ != ScalarType::kFloat32) return metric_ != Metric::kCosine;
  constexpr double kWithin = 0.9;  // More than the sum's rounding may be wrong by.
  const double norm_sq =
      kernels_.Pair(distance::Op::kDot, type_)(vector.data(), vector.data(), dim_);
  return norm_sq <= kWithin * kMaxNorm * kMaxNorm &&
         (metric_ != Metric::kCosine || kWithin * norm_sq >= kMinCosineNorm * kMinCosineNorm);
}

double SquaredNorm(const void* elements, ScalarType type, size_t dim) {
  const auto* bytes = static_cast<const std::byte*>(elements);
  double sum = 0;
  switch (type) {
    case ScalarType::kFloat32:
      for (size_t i = 0; i < dim; ++i) {
        const double x = FloatAt(bytes, i);
        sum += x * x;
      }
      return sum;
    case ScalarType::kFloat16:
      for (size_t i = 0; i < dim; ++i) {
        Half half;
        std::memcpy(&half, bytes + i * sizeof(half), sizeof(half));
        const double x = HalfToFloat(half);
        sum += x * x;
      }
      return sum;
    case ScalarType::kInt8:
    case ScalarType::kUint8:
      return distance::Active().PairInt(distance::Op::kDot, type)(elements, elements, dim);
    case ScalarType::kBit: break;
  }
  return sum;
}

}  // namespace shoal
