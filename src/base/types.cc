#include "shoal/types.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include "shoal/result.h"
#include "shoal/version.h"

namespace shoal {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "InvalidArgument";
    case ErrorCode::kAlreadyExists: return "AlreadyExists";
    case ErrorCode::kNotFound: return "NotFound";
    case ErrorCode::kOutOfMemory: return "OutOfMemory";
    case ErrorCode::kIo: return "Io";
    case ErrorCode::kCorrupt: return "Corrupt";
    case ErrorCode::kUnsupported: return "Unsupported";
    case ErrorCode::kCancelled: return "Cancelled";
    case ErrorCode::kConflict: return "Conflict";
    case ErrorCode::kFileNotFound: return "FileNotFound";
  }
  return "?";
}

std::string_view ScalarTypeName(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat32: return "float32";
    case ScalarType::kFloat16: return "float16";
    case ScalarType::kInt8: return "int8";
    case ScalarType::kUint8: return "uint8";
    case ScalarType::kBit: return "bit";
  }
  return "?";
}

std::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kL2: return "l2";
    case Metric::kInnerProduct: return "inner_product";
    case Metric::kCosine: return "cosine";
    case Metric::kManhattan: return "manhattan";
    case Metric::kHamming: return "hamming";
  }
  return "?";
}

std::optional<ScalarType> ParseScalarType(std::string_view name) {
  if (name == "float32" || name == "float" || name == "f32") return ScalarType::kFloat32;
  if (name == "float16" || name == "half" || name == "f16") return ScalarType::kFloat16;
  if (name == "int8" || name == "i8") return ScalarType::kInt8;
  if (name == "uint8" || name == "u8") return ScalarType::kUint8;
  if (name == "bit" || name == "b1") return ScalarType::kBit;
  return std::nullopt;
}

std::optional<Metric> ParseMetric(std::string_view name) {
  if (name == "l2") return Metric::kL2;
  if (name == "inner_product" || name == "mips" || name == "ip") return Metric::kInnerProduct;
  if (name == "cosine") return Metric::kCosine;
  if (name == "manhattan" || name == "l1") return Metric::kManhattan;
  if (name == "hamming") return Metric::kHamming;
  return std::nullopt;
}

namespace {

constexpr std::string_view kCodeNames[] = {"auto", "full", "float16", "bfloat16", "sq8", "rq4",
                                           "rq3",  "rq2",  "rq1",     "sign",     "none"};

}  // namespace

std::string_view CodeName(Code code) {
  const auto i = static_cast<size_t>(code);
  return i < std::size(kCodeNames) ? kCodeNames[i] : "?";
}

std::optional<Code> ParseCode(std::string_view name) {
  const auto* const at = std::find(std::begin(kCodeNames), std::end(kCodeNames), name);
  if (at == std::end(kCodeNames)) return std::nullopt;
  return static_cast<Code>(at - std::begin(kCodeNames));
}

float HalfToFloat(Half value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1fu;
  const uint32_t mantissa = value.bits & 0x3ffu;
  if (exponent == 0) {  // Zero or subnormal: mantissa * 2^-24.
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

Half FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};   // NaN, quiet.
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // Rounds to inf.
  if (magnitude < 0x38800000u) {  // Below 2^-14: a subnormal, in steps of 2^-24.
    // Adding 0.5 lets the FPU round the magnitude to a multiple of 2^-24, ties to even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

std::string_view Version() {
#define SHOAL_STRING2(x) #x
#define SHOAL_STRING(x) SHOAL_STRING2(x)
  return SHOAL_STRING(SHOAL_VERSION_MAJOR) "." SHOAL_STRING(SHOAL_VERSION_MINOR) "." SHOAL_STRING(
      SHOAL_VERSION_PATCH);
#undef SHOAL_STRING
#undef SHOAL_STRING2
}

}  // namespace shoal
