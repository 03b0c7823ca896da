#include "encoding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>

#include "shoal/types.h"

namespace shoal::vset {
namespace {

constexpr float kLargestNorm = 9.2e18f;  // shoal's Metric.
constexpr int kLevels = 127;             // Of int8, on each side of 0.
constexpr size_t kLanes = 16;            // Independent sums, for the compiler to vectorise.

// The i-th of a fixed pseudo-random sequence (splitmix64: Steele et al., "Fast splittable
// pseudorandom number generators", 2014).
uint64_t Random(uint64_t i) {
  uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

std::span<const float> Floats(const EncodedView& v) {
  return {reinterpret_cast<const float*>(v.bytes.data()), v.bytes.size() / sizeof(float)};
}
std::span<const int8_t> Int8s(const EncodedView& v) {
  return {reinterpret_cast<const int8_t*>(v.bytes.data()), v.bytes.size()};
}
bool BitOf(const EncodedView& v, size_t i) {
  return (std::to_integer<unsigned>(v.bytes[i / 8]) >> i % 8 & 1) != 0;
}

// Sums term(i) for i < n.
template <class Term>
float SumOfFloats(size_t n, Term term) {
  std::array<float, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += term(i + lane);
  for (; i < n; ++i) sums[i % kLanes] += term(i);
  return std::accumulate(sums.begin(), sums.end(), 0.0f);
}

double Norm(std::span<const float> x) {
  double sum = 0;
  for (const float element : x) sum += double{element} * double{element};
  return std::sqrt(sum);
}

double CosineOfInt8s(std::span<const int8_t> a, std::span<const int8_t> b) {
  // At most kMaxVectorDim x 127 x 127, which fits.
  int32_t product = 0;
  int32_t a_squared = 0;
  int32_t b_squared = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const int16_t x = a[i];
    const int16_t y = b[i];
    product += x * y;
    a_squared += x * x;
    b_squared += y * y;
  }
  if (a_squared == 0 || b_squared == 0) return 0;
  return product / std::sqrt(double{1} * a_squared * b_squared);
}

size_t DifferentBits(std::span<const std::byte> a, std::span<const std::byte> b) {
  size_t different = 0;
  for (size_t i = 0; i < a.size(); i += sizeof(uint64_t)) {
    uint64_t x = 0;
    uint64_t y = 0;
    const size_t bytes = std::min(sizeof(x), a.size() - i);
    std::memcpy(&x, a.data() + i, bytes);
    std::memcpy(&y, b.data() + i, bytes);
    different += static_cast<size_t>(std::popcount(x ^ y));
  }
  return different;
}

// In place; a power of two of elements.
void WalshHadamard(std::span<double> x) {
  for (size_t half = 1; half < x.size(); half *= 2) {
    for (size_t block = 0; block < x.size(); block += 2 * half) {
      for (size_t i = block; i < block + half; ++i) {
        const double a = x[i];
        const double b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }
}

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}
tl::unexpected<Error> Corrupt(std::string message) {
  return MakeError(ErrorCode::kCorrupt, std::move(message));
}

}  // namespace

std::string_view QuantizationName(Quantization quantization) {
  switch (quantization) {
    case Quantization::kFloat32: return "f32";
    case Quantization::kInt8: return "int8";
    case Quantization::kBinary: return "bin";
  }
  return "";
}

size_t EncodedBytes(const EncodingOptions& options) {
  switch (options.quantization) {
    case Quantization::kFloat32: return BytesOf(ScalarType::kFloat32, options.dim);
    case Quantization::kInt8: return BytesOf(ScalarType::kInt8, options.dim);
    case Quantization::kBinary: break;
  }
  return BytesOf(ScalarType::kBit, options.dim);
}

Result<Encoding> Encoding::Create(const EncodingOptions& o) {
  const auto check = [](const char* field, uint32_t found, uint32_t least) -> Status {
    if (found >= least && found <= kMaxVectorDim) return {};
    return Invalid(std::string(field) + ": " + std::to_string(least) + " to " +
                   std::to_string(kMaxVectorDim) + " expected, found " + std::to_string(found));
  };
  if (Status dim = check("dim", o.dim, 1); !dim) return tl::unexpected(dim.error());
  if (o.input_dim != 0) {
    if (Status input = check("input_dim", o.input_dim, o.dim); !input)
      return tl::unexpected(input.error());
  }
  if (o.quantization > Quantization::kBinary) return Invalid("quantization: unknown");
  if (o.similarity > Similarity::kInnerProduct) return Invalid("similarity: unknown");
  if (o.similarity != Similarity::kCosine && o.quantization != Quantization::kFloat32) {
    return MakeError(ErrorCode::kUnsupported, "similarity: cosine expected with quantization " +
                                                  std::string(QuantizationName(o.quantization)) +
                                                  ", found another");
  }
  return Encoding(o);
}

Encoding::Encoding(const EncodingOptions& options)
    : options_(options), bytes_(EncodedBytes(options)) {
  if (options.input_dim == 0) return;
  kept_.resize(std::bit_ceil(options.input_dim));
  std::iota(kept_.begin(), kept_.end(), 0u);
  for (size_t i = 0; i < options.dim; ++i)
    std::swap(kept_[i], kept_[i + Random(kMaxVectorDim + i) % (kept_.size() - i)]);
  kept_.resize(options.dim);
  kept_.shrink_to_fit();
}

std::vector<float> Encoding::Project(std::span<const float> vector) const {
  std::vector<double> mixed(std::bit_ceil(vector.size()));
  for (size_t i = 0; i < vector.size(); ++i)
    mixed[i] = (Random(i) & 1) != 0 ? -double{vector[i]} : double{vector[i]};
  WalshHadamard(mixed);
  const double scale = 1 / std::sqrt(static_cast<double>(kept_.size()));
  std::vector<float> projected(kept_.size());
  for (size_t i = 0; i < kept_.size(); ++i)
    projected[i] = static_cast<float>(mixed[kept_[i]] * scale);
  return projected;
}

Result<EncodedVector> Encoding::Encode(std::span<const float> given) const {
  if (given.size() != input_dim()) {
    return Invalid("vector: " + std::to_string(input_dim()) + " elements expected, found " +
                   std::to_string(given.size()));
  }
  for (size_t i = 0; i < given.size(); ++i)
    if (!std::isfinite(given[i]))
      return Invalid("vector[" + std::to_string(i) + "]: a finite number expected");
  std::vector<float> projected;
  if (options_.input_dim != 0) projected = Project(given);
  const std::span<const float> x =
      options_.input_dim != 0 ? std::span<const float>(projected) : given;
  const double norm = Norm(x);
  const bool is_cosine = options_.similarity == Similarity::kCosine;
  if (norm > (is_cosine ? double{std::numeric_limits<float>::max()} : double{kLargestNorm}))
    return Invalid("vector: a length of at most " + std::string(is_cosine ? "3.4e38" : "9.2e18") +
                   " expected");

  EncodedVector encoded{.bytes = std::vector<std::byte>(bytes_), .norm = static_cast<float>(norm)};
  switch (options_.quantization) {
    case Quantization::kFloat32: {
      auto* const out = reinterpret_cast<float*>(encoded.bytes.data());
      // The norm as it is kept: so that products with it are the elements again, but for the last
      // bit. A subnormal one has too few digits for that.
      const bool is_normal = norm >= double{std::numeric_limits<float>::min()};
      double divisor = is_normal ? double{encoded.norm} : norm;
      if (!is_cosine || norm == 0) divisor = 1;
      for (size_t i = 0; i < x.size(); ++i) out[i] = static_cast<float>(double{x[i]} / divisor);
      break;
    }
    case Quantization::kInt8: {
      if (norm == 0) break;
      double largest = 0;
      for (const float element : x) largest = std::max(largest, std::abs(double{element}));
      encoded.range = static_cast<float>(largest / norm);
      for (size_t i = 0; i < x.size(); ++i)
        encoded.bytes[i] = static_cast<std::byte>(
            static_cast<int8_t>(std::lround(double{x[i]} / largest * kLevels)));
      break;
    }
    case Quantization::kBinary:
      for (size_t i = 0; i < x.size(); ++i)
        if (x[i] > 0) encoded.bytes[i / 8] |= std::byte{1} << i % 8;
  }
  return encoded;
}

std::vector<double> Encoding::Decode(const EncodedView& v) const {
  std::vector<double> x(options_.dim);
  switch (options_.quantization) {
    case Quantization::kFloat32: {
      const double scale = options_.similarity == Similarity::kCosine ? double{v.norm} : 1;
      std::ranges::transform(Floats(v), x.begin(), [&](float f) { return double{f} * scale; });
      break;
    }
    case Quantization::kInt8: {
      const double scale = double{v.norm} * double{v.range} / kLevels;
      std::ranges::transform(Int8s(v), x.begin(), [&](int8_t q) { return q * scale; });
      break;
    }
    case Quantization::kBinary:
      for (size_t i = 0; i < x.size(); ++i) x[i] = BitOf(v, i) ? 1 : -1;
  }
  return x;
}

Status Encoding::Check(const EncodedView& v) const {
  if (v.bytes.size() != bytes_) {
    return Corrupt("vector: " + std::to_string(bytes_) + " bytes expected, found " +
                   std::to_string(v.bytes.size()));
  }
  if (!std::isfinite(v.norm) || v.norm < 0) return Corrupt("norm: finite, at least 0 expected");
  const bool has_range = options_.quantization == Quantization::kInt8 && v.norm > 0;
  if (has_range ? !(v.range > 0 && v.range <= 1) : v.range != 0)
    return Corrupt("range: above 0, at most 1, for int8 expected; else 0");
  switch (options_.quantization) {
    case Quantization::kFloat32: {
      const std::span<const float> x = Floats(v);
      if (!std::ranges::all_of(x, [](float f) { return std::isfinite(f); }))
        return Corrupt("vector: finite numbers expected");
      const double norm = Norm(x);
      const bool fits = options_.similarity == Similarity::kCosine
                            ? std::abs(norm - (v.norm > 0 ? 1 : 0)) <= (v.norm > 0 ? 1e-3 : 0)
                            : v.norm <= kLargestNorm && static_cast<float>(norm) == v.norm;
      if (!fits) return Corrupt("vector: another length expected");
      break;
    }
    case Quantization::kInt8: {
      int largest = 0;
      for (const int8_t q : Int8s(v)) largest = std::max(largest, std::abs(int{q}));
      if (largest != (v.norm > 0 ? kLevels : 0))
        return Corrupt("vector: a largest element of +-127, or zeros, expected");
      break;
    }
    case Quantization::kBinary:
      for (size_t i = options_.dim; i < v.bytes.size() * 8; ++i)
        if (BitOf(v, i)) return Corrupt("vector: no bits behind the last element expected");
  }
  return {};
}

double Encoding::Score(const EncodedView& a, const EncodedView& b) const {
  switch (options_.quantization) {
    case Quantization::kInt8:
      return std::clamp((1 + CosineOfInt8s(Int8s(a), Int8s(b))) / 2, 0.0, 1.0);
    case Quantization::kBinary:
      return ScoreOfDistance(static_cast<float>(DifferentBits(a.bytes, b.bytes)));
    case Quantization::kFloat32: break;
  }
  const std::span<const float> x = Floats(a);
  const std::span<const float> y = Floats(b);
  if (options_.similarity == Similarity::kL2) {
    return double{SumOfFloats(x.size(), [&](size_t i) { return (x[i] - y[i]) * (x[i] - y[i]); })};
  }
  const double product{SumOfFloats(x.size(), [&](size_t i) { return x[i] * y[i]; })};
  if (options_.similarity == Similarity::kInnerProduct) return product;
  return std::clamp((1 + product) / 2, 0.0, 1.0);
}

double Encoding::ScoreOfDistance(float distance) const {
  switch (options_.similarity) {
    case Similarity::kL2: return double{distance};
    case Similarity::kInnerProduct: return -double{distance};
    case Similarity::kCosine: break;
  }
  if (options_.quantization == Quantization::kBinary) return 1 - double{distance} / options_.dim;
  return std::clamp(1 - double{distance} / 2, 0.0, 1.0);
}

bool Encoding::IsIndexable(const EncodedView& v) const {
  if (options_.dim > shoal::kMaxDim) return false;
  return options_.similarity != Similarity::kCosine ||
         options_.quantization == Quantization::kBinary || v.norm > 0;
}

}  // namespace shoal::vset
