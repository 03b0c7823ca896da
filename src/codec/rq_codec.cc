#include "codec/rq_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "base/memory.h"
#include "base/mismatch.h"
#include "codec/buffer_parts.h"
#include "codec/code_layout.h"
#include "codec/elements.h"

namespace shoal {
namespace {

constexpr uint32_t kSignBit = 0x80000000u;
constexpr int32_t kMostOfQuery = 127;
constexpr uint32_t kVersion = 1;  // Of the parameters.
// A vector that is shorter is taken for 0: the factors of one bit more would leave a float's range.
constexpr double kNothing = 1e-30;

// The step of the best uniform grid of 2^B values for normal numbers, in standard deviations.
// (B = 1: the grid has no step; any scale will do.)
constexpr float kSteps[] = {0, 1, 0.9957f, 0.5860f, 0.3352f};

// The part of a code that is across y, for each unit along it: sqrt(1 / cos^2 - 1), of normal
// numbers.
constexpr double kAcross[] = {0, 0.756, 0.372, 0.197, 0.108};
constexpr double kErrors = Codec::kMarginErrors;
// Of one estimate, times the root of the dimension, by the distance: in a cloud of that dimension
// errors are then as large as the differences of distances. (graph/rerank.cc has the same.)
constexpr double kLargeError = 0.8;

template <class T>
T ValueAt(const std::byte* bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof(value));
  return value;
}
float FactorOf(const std::byte* row) { return ValueAt<float>(row, 0); }
// n, with the set in its sign.
uint32_t NormBitsOf(const std::byte* row) { return ValueAt<uint32_t>(row, sizeof(float)); }
float NormOf(const std::byte* row) { return std::abs(ValueAt<float>(row, sizeof(float))); }

}  // namespace

// A query for one set: a row's distance is max(least, base + n + f (a I + b)), I the kernel's sum;
// without n where rows have none.
struct RqCodec::Binding {
  distance::CodeQuery code;  // First: the kernel reads it.
  float a = 0, b = 0, base = 0;
  float least = -std::numeric_limits<float>::infinity();
  uint32_t set_bit = 0;            // kSignBit for set 1.
  const Binding* other = nullptr;  // For the other set; null if it was not alive.
};

struct RqCodec::Buffer {
  Binding* bindings;  // 2.
  float* z;           // rotation_.size().
  int8_t* v[2];       // Runs x run and kCodePadding.
  uint8_t* u;         // Runs x run.
};

namespace {

// Of a query's integers, and what may be read behind them.
size_t PlacesOf(size_t bits, size_t run) {
  return distance::CodeRuns(bits) * run + distance::kCodePadding;
}
size_t RunOf(const RqCodec::Shape& shape) {
  return distance::CodeRun(shape.bits, Rotation::SizeOf(shape.dim));
}
size_t OffsetOf(Metric metric) { return (metric == Metric::kCosine ? 1 : 2) * sizeof(float); }
size_t UsedBytes(const RqCodec::Shape& shape) {
  return OffsetOf(shape.metric) + distance::CodeBytes(shape.bits, Rotation::SizeOf(shape.dim));
}
// A row that fits a cache line is in one: rows begin at multiples of a divisor of the line.
size_t PaddedBytes(size_t used) { return used > kCacheLine ? used : std::bit_ceil(used); }

}  // namespace

RqCodec::RqCodec(const Shape& shape, uint64_t seed)
    : Codec({.row_bytes = PaddedBytes(UsedBytes(shape)),
             .buffer_bytes = BufferParts::kSlack + BufferParts::BytesOf<Binding>(2) +
                             BufferParts::BytesOf<float>(Rotation::SizeOf(shape.dim)) +
                             3 * BufferParts::BytesOf<int8_t>(PlacesOf(shape.bits, RunOf(shape)))}),
      shape_(shape),
      seed_(seed),
      rotation_(shape.dim, seed),
      run_(RunOf(shape)),
      kernel_(distance::ActiveCodes().code[shape.bits]),
      centres_(shape.metric == Metric::kL2 ? shape.dim : 0, rotation_.size()) {}

RqCodec::Buffer RqCodec::PartsOf(std::byte* buffer) const {
  BufferParts parts(buffer);
  const size_t places = PlacesOf(shape_.bits, run_);
  auto* const bindings = parts.Take<Binding>(2);
  auto* const z = parts.Take<float>(rotation_.size());
  return {bindings,
          z,
          {parts.Take<int8_t>(places), parts.Take<int8_t>(places)},
          parts.Take<uint8_t>(places)};
}

// --- Encoding.

// y = T(x - c), of x / |x| for cosine. y: rotation_.size() floats.
void RqCodec::Prepare(VectorView vector, uint32_t set, float* y) const {
  ToFloats(vector, y);
  std::fill(y + shape_.dim, y + rotation_.size(), 0.0f);
  if (shape_.metric == Metric::kL2) {
    const float* const centre = centres_.centre(set);
    for (size_t i = 0; i < shape_.dim; ++i) y[i] -= centre[i];
  }
  if (shape_.metric == Metric::kCosine) {
    const auto inverse = static_cast<float>(1.0 / std::sqrt(NormSqOf(y, shape_.dim)));
    for (size_t i = 0; i < shape_.dim; ++i) y[i] *= inverse;
  }
  rotation_.Apply(y);
}

void RqCodec::Encode(VectorView vector, std::byte* row) {
  alignas(BufferParts::kLine) float y[kMaxDim];
  alignas(BufferParts::kLine) uint8_t u[kMaxDim + 8];
  const size_t size = rotation_.size();
  const uint32_t set = centres_.state().current;
  Prepare(vector, set, y);

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
  if (!has_norm()) return;
  const auto norm = std::copysign(static_cast<float>(norm_sq), set == 0 ? 1.0f : -1.0f);
  std::memcpy(row + sizeof(factor), &norm, sizeof(norm));
  if (shape_.metric == Metric::kInnerProduct) norms_.Note(norm);
}

bool RqCodec::Accept(const std::byte* row) {
  const float factor = FactorOf(row);
  if (!(factor >= 0 && std::isfinite(factor))) return false;
  alignas(BufferParts::kLine) uint8_t u[kMaxDim + 8];
  UnpackCode(shape_.bits, run_, row + offset(), u);
  uint8_t* const end = u + distance::CodeRuns(shape_.bits) * run_;
  if (std::any_of(u + rotation_.size(), end, [](uint8_t element) { return element != 0; }))
    return false;
  if (std::any_of(row + UsedBytes(shape_), row + row_bytes(),
                  [](std::byte padding) { return padding != std::byte{0}; }))
    return false;
  if (!has_norm()) return true;
  if (!std::isfinite(NormOf(row)) || !centres_.state().has(SetOf(row))) return false;
  if (shape_.metric == Metric::kInnerProduct) norms_.Note(NormOf(row));
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
  const double norm = has_norm() ? NormOf(row) : 1;
  const auto scale =
      FactorOf(row) == 0 ? 0.0f : static_cast<float>(norm / (FactorOf(row) * NormSqOf(y, size)));
  for (size_t i = 0; i < size; ++i) y[i] *= scale;
  rotation_.Invert(y);
  if (shape_.metric == Metric::kL2) {
    const float* const centre = centres_.centre(SetOf(row));
    for (size_t i = 0; i < shape_.dim; ++i) y[i] += centre[i];
  }
  FromFloats(y, out);
}

// --- Scoring.

void RqCodec::ScoreL2(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  uint32_t foreign = 0;
  for (size_t i = 0; i < n; ++i) {
    foreign |= NormBitsOf(rows[i]) ^ binding.set_bit;
    out[i] = std::max(binding.least, binding.base + NormOf(rows[i]) +
                                         FactorOf(rows[i]) * (binding.a * out[i] + binding.b));
  }
  if ((foreign & kSignBit) != 0) [[unlikely]]
    ScoreForeign(s, rows, n, out);
}

// The rows that are not of the binding's set, again.
void RqCodec::ScoreForeign(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  for (size_t i = 0; i < n; ++i) {
    const std::byte* const row = rows[i];
    if (((NormBitsOf(row) ^ binding.set_bit) & kSignBit) == 0) continue;
    if (NormBitsOf(row) == 0 && FactorOf(row) == 0) continue;  // The start point: scored rightly.
    out[i] = std::numeric_limits<float>::infinity();
    if (binding.other == nullptr) continue;
    const Binding& other = *binding.other;
    float sum;
    s.kernel(&other, &row, 1, s.dim, &sum);
    out[i] =
        std::max(other.least, other.base + NormOf(row) + FactorOf(row) * (other.a * sum + other.b));
  }
}

void RqCodec::ScoreProduct(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i)
    out[i] = std::max(binding.least,
                      binding.base + FactorOf(rows[i]) * (binding.a * out[i] + binding.b));
}

void RqCodec::ScoreOnSphere(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  for (size_t i = 0; i < n; ++i)
    out[i] = OnSphere(s, NormOf(rows[i]), FactorOf(rows[i]) * (binding.a * out[i] + binding.b));
}

// --- Binding.

// factor * f <z, g> for z ~ scale * v, `sum` that of v.
void RqCodec::SetEstimate(float factor, float scale, double sum, Binding& binding) const {
  const double middle = 0.5 * ((1 << shape_.bits) - 1);
  binding.a = factor * scale;
  binding.b = static_cast<float>(-factor * middle * scale * sum);
}

void RqCodec::BindRounded(const float* z, uint32_t set, float factor, int8_t* v,
                          Binding& binding) const {
  const Rounded rounded = RoundTo(z, rotation_.size(), kMostOfQuery, v);
  std::memset(v + rotation_.size(), 0, distance::CodeRuns(shape_.bits) * run_ - rotation_.size());
  binding.code = {v, run_, offset()};
  binding.set_bit = set == 0 ? 0 : kSignBit;
  SetEstimate(factor, rounded.scale, static_cast<double>(rounded.sum), binding);
}

Scorer RqCodec::MakeScorer(Scorer::Fn score, const Binding& binding) const {
  Scorer scorer;
  scorer.score = score;
  scorer.kernel = kernel_;
  scorer.query = &binding;
  scorer.dim = rotation_.size();
  return scorer;
}

Scorer RqCodec::BindQuery(VectorView query, std::byte* buffer) const {
  const Buffer parts = PartsOf(buffer);
  Binding& binding = *new (parts.bindings) Binding;
  if (shape_.metric != Metric::kL2) {
    Prepare(query, 0, parts.z);
    BindRounded(parts.z, 0, -1, parts.v[0], binding);
    binding.base = shape_.metric == Metric::kCosine ? 1 : 0;
    return MakeScorer(ScoreProduct, binding);
  }
  const Centres::State state = centres_.state();
  const auto bind = [&](uint32_t set, int8_t* v, Binding& b) {
    Prepare(query, set, parts.z);
    BindRounded(parts.z, set, -2, v, b);
    b.base = static_cast<float>(NormSqOf(parts.z, rotation_.size()));
  };
  bind(state.current, parts.v[0], binding);
  if (state.has(1 - state.current)) {
    bind(1 - state.current, parts.v[1], *new (parts.bindings + 1) Binding);
    binding.other = parts.bindings + 1;
  }
  return MakeScorer(ScoreL2, binding);
}

// z = f g of the row, as 2 g, which are integers: nothing is rounded.
void RqCodec::BindElements(const std::byte* row, float factor, const Buffer& parts) const {
  Binding& binding = *new (parts.bindings) Binding;
  UnpackCode(shape_.bits, run_, row + offset(), parts.u);
  const int32_t most = (1 << shape_.bits) - 1;
  int32_t sum = 0;
  for (size_t i = 0; i < rotation_.size(); ++i) {
    const int32_t v = 2 * parts.u[i] - most;
    parts.v[0][i] = static_cast<int8_t>(v);
    sum += v;
  }
  std::memset(parts.v[0] + rotation_.size(), 0,
              distance::CodeRuns(shape_.bits) * run_ - rotation_.size());
  binding.code = {parts.v[0], run_, offset()};
  SetEstimate(factor, 0.5f * FactorOf(row), sum, binding);
}

// The row, of `from_set`, as a query for rows of `set`: z = f g + T(c - c').
void RqCodec::BindForeign(const std::byte* row, uint32_t from_set, uint32_t set,
                          const Buffer& parts) const {
  const size_t size = rotation_.size();
  const float* const from = centres_.rotated(from_set);
  const float* const to = centres_.rotated(set);
  const float scale = 0.5f * FactorOf(row);
  for (size_t i = 0; i < size; ++i)
    parts.z[i] = scale * static_cast<float>(parts.v[0][i]) + (from[i] - to[i]);
  Binding& binding = *new (parts.bindings + 1) Binding;
  BindRounded(parts.z, set, -2, parts.v[1], binding);
  // |y + T(c - c')|^2, of y with its true norm.
  const double code_norm_sq = SumInOrder(size, [&](size_t i) {
    const double x = static_cast<double>(scale) * parts.v[0][i];
    return x * x;
  });
  binding.base =
      std::max(0.0f, static_cast<float>(NormOf(row) + NormSqOf(parts.z, size) - code_norm_sq));
  binding.least = 0;
  parts.bindings[0].other = &binding;
}

Scorer RqCodec::BindRow(const std::byte* row, std::byte* buffer) const {
  const Buffer parts = PartsOf(buffer);
  Binding& binding = *parts.bindings;
  if (shape_.metric == Metric::kInnerProduct) {
    BindElements(row, 1, parts);
    Scorer scorer = MakeScorer(ScoreOnSphere, binding);
    BindToSphere(norms_, NormOf(row), scorer);
    return scorer;
  }
  BindElements(row, shape_.metric == Metric::kCosine ? -1 : -2, parts);
  binding.least = 0;
  binding.base = shape_.metric == Metric::kCosine ? 1 : NormOf(row);
  if (shape_.metric == Metric::kCosine) return MakeScorer(ScoreProduct, binding);
  const uint32_t set = SetOf(row);
  binding.set_bit = set == 0 ? 0 : kSignBit;
  const Centres::State state = centres_.state();
  // The start point's row keeps the number of its set when the set is dropped. It lies at the other
  // set's centre then: the place of a set that is not alive may be filled by another thread.
  if (state.has(1 - set)) BindForeign(row, state.has(set) ? set : 1 - set, 1 - set, parts);
  return MakeScorer(ScoreL2, binding);
}

Scorer RqCodec::BindRowAsQuery(const std::byte* row, std::byte* buffer) const {
  const Buffer parts = PartsOf(buffer);
  BindElements(row, -1, parts);
  return MakeScorer(ScoreProduct, *parts.bindings);
}

// The standard error of <z, y> is kAcross |y| |z'| / sqrt(d - 1), z' what of z is across y. l2: of
// a y within the radius |z'| <= |z - y| <= r, and |y| <= |z| + r. Cosine: |z'| is the angle's sine.
// Inner product: |z| times the sine, of an angle whose cosine is at least -radius / (|z| max |y|).
float RqCodec::RangeMargin(VectorView query, float radius) const {
  alignas(BufferParts::kLine) float z[kMaxDim];
  const Centres::State state = centres_.state();
  double norm_sq = 0;
  for (uint32_t set = 0; set < 2; ++set) {
    if (!state.has(set)) continue;
    Prepare(query, set, z);
    norm_sq = std::max(norm_sq, NormSqOf(z, rotation_.size()));
  }
  double product = 0;  // |y| |z'|, at most.
  if (shape_.metric == Metric::kL2) {
    const double r = std::sqrt(std::max(0.0, static_cast<double>(radius)));
    product = 2 * (std::sqrt(norm_sq) + r) * r;
  } else if (shape_.metric == Metric::kInnerProduct) {
    const double norms = std::sqrt(norm_sq * static_cast<double>(norms_.max()));
    const double cosine =
        norms > 0 ? std::clamp(-static_cast<double>(radius) / norms, 0.0, 1.0) : 0;
    product = norms * std::sqrt(1 - cosine * cosine);
  } else {
    const double cosine = std::max(0.0, 1 - static_cast<double>(radius));
    product = std::sqrt(std::max(0.0, 1 - cosine * cosine));
  }
  return static_cast<float>(kErrors * kAcross[shape_.bits] * product /
                            std::sqrt(static_cast<double>(rotation_.size() - 1)));
}

// The error as above. A cosine distance is half a squared one.
bool RqCodec::TellsApart(const std::byte* row, float distance) const {
  const bool cosine = shape_.metric == Metric::kCosine;
  const double r_sq = std::max(0.0f, distance) * (cosine ? 2.0 : 1.0);
  const double norm_sq = cosine ? 1.0 : NormOf(row);
  return kAcross[shape_.bits] * 2 * std::sqrt(norm_sq * r_sq) < kLargeError * r_sq;
}

// --- Sets and parameters.

uint32_t RqCodec::SetOf(const std::byte* row) const {
  return has_norm() ? NormBitsOf(row) >> 31 : 0;
}

std::vector<float> RqCodec::MeanOf(MatrixView rows) const {
  std::vector<double> sums(shape_.dim);
  std::vector<float> row(shape_.dim);
  for (size_t i = 0; i < rows.rows(); ++i) {
    ToFloats(rows[i], row.data());
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
  if (shape_.metric == Metric::kL2) return centres_.Announce(centre, rotation_);
  return Mismatch(ErrorCode::kUnsupported, "centre: metric", MetricName(Metric::kL2),
                  MetricName(shape_.metric));
}

// version, seed, then the centres.
std::vector<std::byte> RqCodec::Parameters() const {
  std::vector<std::byte> bytes(sizeof(kVersion) + sizeof(seed_));
  std::memcpy(bytes.data(), &kVersion, sizeof(kVersion));
  std::memcpy(bytes.data() + sizeof(kVersion), &seed_, sizeof(seed_));
  centres_.Write(bytes);
  return bytes;
}

Status RqCodec::Restore(std::span<const std::byte> parameters) {
  constexpr size_t kHeader = sizeof(kVersion) + sizeof(seed_);
  if (parameters.size() < kHeader)
    return Mismatch(ErrorCode::kCorrupt, "parameters of rq: bytes", "at least " + Written(kHeader),
                    Written(parameters.size()));
  const auto version = ValueAt<uint32_t>(parameters.data(), 0);
  if (version != kVersion)
    return Mismatch(ErrorCode::kCorrupt, "parameters of rq: version", Written(kVersion),
                    Written(version));
  seed_ = ValueAt<uint64_t>(parameters.data(), sizeof(kVersion));
  rotation_ = Rotation(shape_.dim, seed_);
  return centres_.Read(parameters.subspan(kHeader), rotation_);
}

}  // namespace shoal
