#include "codec/rq_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>

#include "base/memory.h"
#include "base/mismatch.h"
#include "codec/buffer_parts.h"
#include "codec/code_layout.h"
#include "codec/elements.h"
#include "codec/rq_row.h"

namespace shoal {
namespace {

// Of the parameters: of rows without a centre but under l2, and of those as they are now.
constexpr uint32_t kL2Alone = 1, kNow = 2;
uint32_t VersionOf(Metric metric) { return metric == Metric::kL2 ? kL2Alone : kNow; }
// A vector that is shorter is taken for 0: the factors of one bit more would leave a float's range.
constexpr double kNothing = 1e-30;

// The step of the best uniform grid of 2^B values for normal numbers, in standard deviations.
// (B = 1: the grid has no step; any scale will do.)
constexpr float kSteps[] = {0, 1, 0.9957f, 0.5860f, 0.3352f};

size_t RunOf(const RqCodec::Shape& shape) {
  return distance::CodeRun(shape.bits, Rotation::SizeOf(shape.dim));
}
size_t UsedBytes(const RqCodec::Shape& shape) {
  const size_t factors = shape.metric == Metric::kInnerProduct ? 3 : 2;
  return factors * sizeof(float) + distance::CodeBytes(shape.bits, Rotation::SizeOf(shape.dim));
}
// A row that fits a cache line is in one: rows begin at multiples of a divisor of the line.
size_t PaddedBytes(size_t used) { return used > kCacheLine ? used : std::bit_ceil(used); }

}  // namespace

RqCodec::RqCodec(const Shape& shape, uint64_t seed)
    : Codec({.row_bytes = PaddedBytes(UsedBytes(shape)),
             .buffer_bytes = BufferBytes(shape, RunOf(shape))}),
      shape_(shape),
      seed_(seed),
      rotation_(shape.dim, seed),
      run_(RunOf(shape)),
      kernel_(distance::ActiveCodes().code[shape.bits]),
      centres_(shape.metric == Metric::kInnerProduct ? Centres::Role::kDirection
                                                     : Centres::Role::kOrigin,
               shape.dim, rotation_.size()) {}

// --- Encoding.

float RqCodec::Prepare(VectorView vector, uint32_t set, float* y) const {
  PlaceOf(vector, shape_.metric, y);
  std::fill(y + shape_.dim, y + rotation_.size(), 0.0f);
  const float* const reference = centres_.reference(set);
  float along = 0;
  if (has_along()) {
    along = static_cast<float>(
        SumInOrder(shape_.dim, [&](size_t i) { return static_cast<double>(y[i]) * reference[i]; }));
    for (size_t i = 0; i < shape_.dim; ++i) y[i] -= along * reference[i];
  } else {
    for (size_t i = 0; i < shape_.dim; ++i) y[i] -= reference[i];
  }
  rotation_.Apply(y);
  return along;
}

void RqCodec::Encode(VectorView vector, std::byte* row) {
  alignas(BufferParts::kLine) float y[kMaxDim];
  alignas(BufferParts::kLine) uint8_t u[kMaxDim + 8];
  const size_t size = rotation_.size();
  const uint32_t set = centres_.state().current;
  const float along_centre = Prepare(vector, set, y);

  const double norm_sq = NormSqOf(y, size);
  const bool nothing = norm_sq < kNothing * kNothing;
  const auto most = static_cast<float>((1 << shape_.bits) - 1);
  const auto half = static_cast<float>(1 << (shape_.bits - 1));
  const auto sigma = static_cast<float>(std::sqrt(norm_sq / static_cast<double>(size)));
  const float per_step = nothing ? 0.0f : 1.0f / (kSteps[shape_.bits] * sigma);
  for (size_t i = 0; i < size; ++i)
    u[i] =
        static_cast<uint8_t>(static_cast<int32_t>(std::clamp(y[i] * per_step + half, 0.0f, most)));
  std::fill(u + size, u + distance::CodeRuns(shape_.bits) * run_, uint8_t{0});
  PackCode(shape_.bits, run_, u, row + offset());
  std::fill(row + UsedBytes(shape_), row + row_bytes(), std::byte{0});

  const double along = SumInOrder(size, [&](size_t i) {
    return (static_cast<double>(u[i]) - 0.5 * static_cast<double>(most)) * y[i];
  });
  const auto factor = nothing ? 0.0f : static_cast<float>(norm_sq / along);
  std::memcpy(row, &factor, sizeof(factor));
  const auto norm = std::copysign(static_cast<float>(norm_sq), set == 0 ? 1.0f : -1.0f);
  std::memcpy(row + rq::kNormAt, &norm, sizeof(norm));
  if (!has_along()) return;
  std::memcpy(row + rq::kAlongAt, &along_centre, sizeof(along_centre));
  norms_.Note(rq::FullNormSqOf(row));
}

bool RqCodec::Accept(const std::byte* row) {
  const float factor = rq::FactorOf(row);
  if (!(factor >= 0 && std::isfinite(factor))) return false;
  alignas(BufferParts::kLine) uint8_t u[kMaxDim + 8];
  UnpackCode(shape_.bits, run_, row + offset(), u);
  uint8_t* const end = u + distance::CodeRuns(shape_.bits) * run_;
  if (std::any_of(u + rotation_.size(), end, [](uint8_t element) { return element != 0; }))
    return false;
  if (std::any_of(row + UsedBytes(shape_), row + row_bytes(),
                  [](std::byte padding) { return padding != std::byte{0}; }))
    return false;
  if (!std::isfinite(rq::NormOf(row)) || !centres_.state().has(SetOf(row))) return false;
  if (!has_along()) return true;
  if (!std::isfinite(rq::FullNormSqOf(row))) return false;
  norms_.Note(rq::FullNormSqOf(row));
  return true;
}

void RqCodec::EncodeOrigin(std::byte* row) const { std::memset(row, 0, row_bytes()); }

void RqCodec::Decode(const std::byte* row, MutableVectorView out) const {
  alignas(BufferParts::kLine) float y[kMaxDim];
  alignas(BufferParts::kLine) uint8_t u[kMaxDim + 8];
  const size_t size = rotation_.size();
  UnpackCode(shape_.bits, run_, row + offset(), u);
  const float middle = 0.5f * static_cast<float>((1 << shape_.bits) - 1);
  for (size_t i = 0; i < size; ++i) y[i] = static_cast<float>(u[i]) - middle;
  // <g, y> / <g, g>; f is n / <g, y>.
  const double factor = rq::FactorOf(row);
  const auto scale =
      factor == 0 ? 0.0f : static_cast<float>(rq::NormOf(row) / (factor * NormSqOf(y, size)));
  for (size_t i = 0; i < size; ++i) y[i] *= scale;
  rotation_.Invert(y);
  const float* const reference = centres_.reference(SetOf(row));
  const float along = has_along() ? rq::AlongOf(row) : 1.0f;
  const float to_unit = shape_.metric == Metric::kCosine ? std::numbers::sqrt2_v<float> : 1.0f;
  for (size_t i = 0; i < shape_.dim; ++i) y[i] = to_unit * (y[i] + along * reference[i]);
  FromFloats(y, out);
}

// --- Sets and parameters.

uint32_t RqCodec::SetOf(const std::byte* row) const { return rq::NormBitsOf(row) >> 31; }

std::vector<float> RqCodec::MeanOf(MatrixView rows) const {
  std::vector<double> sums(shape_.dim);
  std::vector<float> row(shape_.dim);
  for (size_t i = 0; i < rows.rows(); ++i) {
    PlaceOf(rows[i], shape_.metric, row.data());
    for (size_t j = 0; j < shape_.dim; ++j) sums[j] += row[j];
  }
  for (size_t j = 0; j < shape_.dim; ++j)
    row[j] = static_cast<float>(sums[j] / static_cast<double>(rows.rows()));
  return row;
}

Result<uint32_t> RqCodec::AddCentre(std::span<const float> centre) {
  Result<uint32_t> set = AnnounceCentre(centre);
  if (set) UseCentre(*set);
  return set;
}

Result<uint32_t> RqCodec::AnnounceCentre(std::span<const float> centre) {
  return centres_.Announce(centre, rotation_);
}

bool RqCodec::IsOfOlderVersion(Metric metric, std::span<const std::byte> parameters) {
  return metric != Metric::kL2 && parameters.size() >= sizeof(uint32_t) &&
         rq::ValueAt<uint32_t>(parameters.data(), 0) == kL2Alone;
}

// version, seed, then the centres.
std::vector<std::byte> RqCodec::Parameters() const {
  const uint32_t version = VersionOf(shape_.metric);
  std::vector<std::byte> bytes(sizeof(version) + sizeof(seed_));
  std::memcpy(bytes.data(), &version, sizeof(version));
  std::memcpy(bytes.data() + sizeof(version), &seed_, sizeof(seed_));
  centres_.Write(bytes);
  return bytes;
}

Status RqCodec::Restore(std::span<const std::byte> parameters) {
  constexpr size_t kHeader = sizeof(uint32_t) + sizeof(seed_);
  if (parameters.size() < kHeader)
    return Mismatch(ErrorCode::kCorrupt, "parameters of rq: bytes", "at least " + Written(kHeader),
                    Written(parameters.size()));
  const auto version = rq::ValueAt<uint32_t>(parameters.data(), 0);
  if (version != VersionOf(shape_.metric))
    return Mismatch(ErrorCode::kCorrupt, "parameters of rq: version",
                    Written(VersionOf(shape_.metric)), Written(version));
  seed_ = rq::ValueAt<uint64_t>(parameters.data(), sizeof(version));
  rotation_ = Rotation(shape_.dim, seed_);
  return centres_.Read(parameters.subspan(kHeader), rotation_);
}

}  // namespace shoal
