// RqCodec's scorers: queries and rows, bound to the sets that are alive (rq_codec.h).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "codec/buffer_parts.h"
#include "codec/code_layout.h"
#include "codec/elements.h"
#include "codec/rq_codec.h"
#include "codec/rq_row.h"

namespace shoal {
namespace {

constexpr int32_t kMostOfQuery = 127;

// The part of a code that is across y, for each unit along it: sqrt(1 / cos^2 - 1), of normal
// numbers.
constexpr double kAcross[] = {0, 0.756, 0.372, 0.197, 0.108};
constexpr double kErrors = Codec::kMarginErrors;
// Of one estimate, times the root of the dimension, by the distance: in a cloud of that dimension
// errors are then as large as the differences of distances. (graph/rerank.cc has the same.)
constexpr double kLargeError = 0.8;

// Of a query's integers, and what may be read behind them.
size_t PlacesOf(size_t bits, size_t run) {
  return distance::CodeRuns(bits) * run + distance::kCodePadding;
}

}  // namespace

// A query for one set. f (a I + b), I the kernel's sum, is the estimate of <z, y>, times the factor
// that the query was bound with.
struct RqCodec::Binding {
  distance::CodeQuery code;  // First: the kernel reads it.
  float a = 0, b = 0;
  float base = 0;  // Distances: |z|^2.
  float least = -std::numeric_limits<float>::infinity();
  float along = 0;                 // Inner product: t of the query.
  uint32_t set_bit = 0;            // kSignBit for set 1.
  const Binding* other = nullptr;  // For the other set; null if it was not alive.

  float Part(const std::byte* row, float sum) const { return rq::FactorOf(row) * (a * sum + b); }
};

struct RqCodec::Buffer {
  Binding* bindings;  // 2.
  float* z;           // rotation_.size().
  int8_t* v[2];       // Runs x run and kCodePadding.
  uint8_t* u;         // Runs x run.
};

size_t RqCodec::BufferBytes(const Shape& shape, size_t run) {
  return BufferParts::kSlack + BufferParts::BytesOf<Binding>(2) +
         BufferParts::BytesOf<float>(Rotation::SizeOf(shape.dim)) +
         3 * BufferParts::BytesOf<int8_t>(PlacesOf(shape.bits, run));
}

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

// --- Scoring: a row's estimate from the kernel's sum.

// |z - y|^2; bound with -2.
struct RqCodec::ByDistance {
  static constexpr bool kHasAlong = false;
  static float Of(const Scorer&, const Binding& binding, const std::byte* row, float sum) {
    return std::max(binding.least, binding.base + rq::NormOf(row) + binding.Part(row, sum));
  }
};
// -<q, x>; bound with -1.
struct RqCodec::ByProduct {
  static constexpr bool kHasAlong = true;
  static float Of(const Scorer&, const Binding& binding, const std::byte* row, float sum) {
    return binding.Part(row, sum) - binding.along * rq::AlongOf(row);
  }
};
// The distance of inner product's graph (norm_record.h); bound with -2.
struct RqCodec::BySphere {
  static constexpr bool kHasAlong = true;
  static float Of(const Scorer& s, const Binding& binding, const std::byte* row, float sum) {
    const float beside = binding.along - rq::AlongOf(row);
    const float across = binding.base + rq::NormOf(row) + binding.Part(row, sum);
    return std::max(0.0f, across) + beside * beside + BeyondSphere(s, rq::FullNormSqOf(row));
  }
};

template <class Estimate>
void RqCodec::ScoreRows(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  s.kernel(s.query, rows, n, s.dim, out);
  uint32_t foreign = 0;
  for (size_t i = 0; i < n; ++i) {
    foreign |= rq::NormBitsOf(rows[i]) ^ binding.set_bit;
    out[i] = Estimate::Of(s, binding, rows[i], out[i]);
  }
  if ((foreign & rq::kSignBit) != 0) [[unlikely]]
    ScoreForeign<Estimate>(s, rows, n, out);
}

// The rows that are not of the binding's set, again.
template <class Estimate>
void RqCodec::ScoreForeign(const Scorer& s, const std::byte* const* rows, size_t n, float* out) {
  const auto& binding = *static_cast<const Binding*>(s.query);
  for (size_t i = 0; i < n; ++i) {
    const std::byte* const row = rows[i];
    if (((rq::NormBitsOf(row) ^ binding.set_bit) & rq::kSignBit) == 0) continue;
    // The start point: scored rightly.
    if (rq::NormBitsOf(row) == 0 && rq::FactorOf(row) == 0 &&
        (!Estimate::kHasAlong || rq::AlongOf(row) == 0))
      continue;
    out[i] = std::numeric_limits<float>::infinity();
    if (binding.other == nullptr) continue;
    float sum;
    s.kernel(binding.other, &row, 1, s.dim, &sum);
    out[i] = Estimate::Of(s, *binding.other, row, sum);
  }
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
  binding.set_bit = set == 0 ? 0 : rq::kSignBit;
  SetEstimate(factor, rounded.scale, static_cast<double>(rounded.sum), binding);
}

template <class Estimate>
Scorer RqCodec::MakeScorer(const Binding& binding) const {
  Scorer scorer;
  scorer.score = ScoreRows<Estimate>;
  scorer.kernel = kernel_;
  scorer.query = &binding;
  scorer.dim = rotation_.size();
  return scorer;
}

Scorer RqCodec::BindQuery(VectorView query, std::byte* buffer) const {
  const Buffer parts = PartsOf(buffer);
  Binding& binding = *new (parts.bindings) Binding;
  const Centres::State state = centres_.state();
  const auto bind = [&](uint32_t set, int8_t* v, Binding& b) {
    b.along = Prepare(query, set, parts.z);
    BindRounded(parts.z, set, has_along() ? -1 : -2, v, b);
    if (!has_along()) b.base = static_cast<float>(NormSqOf(parts.z, rotation_.size()));
  };
  bind(state.current, parts.v[0], binding);
  if (state.has(1 - state.current)) {
    bind(1 - state.current, parts.v[1], *new (parts.bindings + 1) Binding);
    binding.other = parts.bindings + 1;
  }
  return has_along() ? MakeScorer<ByProduct>(binding) : MakeScorer<ByDistance>(binding);
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
  SetEstimate(factor, 0.5f * rq::FactorOf(row), sum, binding);
  binding.set_bit = rq::NormBitsOf(row) & rq::kSignBit;
  binding.base = rq::NormOf(row);
  binding.least = 0;
  if (has_along()) binding.along = rq::AlongOf(row);
}

// The row, of one set, as a query for rows of another: of w = f g + T(c - c'), and with
// directions of w = f g + t T(c), what is across the other direction.
void RqCodec::BindForeign(const std::byte* row, const FromTo& sets, float factor,
                          const Buffer& parts) const {
  const size_t size = rotation_.size();
  const float* const from = centres_.rotated(sets.from);
  const float* const to = centres_.rotated(sets.to);
  const float scale = 0.5f * rq::FactorOf(row);
  float* const z = parts.z;
  Binding& binding = *new (parts.bindings + 1) Binding;
  // |z|^2 beyond that of the code: the row has |y|^2, of which the code has a part.
  double code_norm_sq = SumInOrder(size, [&](size_t i) {
    const double x = static_cast<double>(scale) * parts.v[0][i];
    return x * x;
  });
  if (has_along()) {
    // The row has nothing along its own direction; its code has a little.
    const double stray = SumInOrder(
        size, [&](size_t i) { return static_cast<double>(scale) * parts.v[0][i] * from[i]; });
    code_norm_sq -= stray * stray;
    const auto t = static_cast<float>(rq::AlongOf(row) - stray);
    for (size_t i = 0; i < size; ++i)
      z[i] = scale * static_cast<float>(parts.v[0][i]) + t * from[i];
    binding.along = static_cast<float>(
        SumInOrder(size, [&](size_t i) { return static_cast<double>(z[i]) * to[i]; }));
    for (size_t i = 0; i < size; ++i) z[i] -= binding.along * to[i];
  } else {
    for (size_t i = 0; i < size; ++i)
      z[i] = scale * static_cast<float>(parts.v[0][i]) + (from[i] - to[i]);
  }
  BindRounded(z, sets.to, factor, parts.v[1], binding);
  binding.base =
      std::max(0.0f, static_cast<float>(rq::NormOf(row) + NormSqOf(z, size) - code_norm_sq));
  binding.least = 0;
  parts.bindings[0].other = &binding;
}

// The row as a query, for all sets that are alive.
void RqCodec::BindSets(const std::byte* row, float factor, const Buffer& parts) const {
  BindElements(row, factor, parts);
  const uint32_t set = SetOf(row);
  const Centres::State state = centres_.state();
  // The start point's row keeps the number of its set when the set is dropped. It lies at the other
  // set's centre then: the place of a set that is not alive may be filled by another thread.
  if (state.has(1 - set))
    BindForeign(row, {state.has(set) ? set : 1 - set, 1 - set}, factor, parts);
}

Scorer RqCodec::BindRow(const std::byte* row, std::byte* buffer) const {
  const Buffer parts = PartsOf(buffer);
  BindSets(row, -2, parts);
  if (!has_along()) return MakeScorer<ByDistance>(*parts.bindings);
  Scorer scorer = MakeScorer<BySphere>(*parts.bindings);
  BindToSphere(norms_, rq::FullNormSqOf(row), scorer);
  return scorer;
}

Scorer RqCodec::BindRowAsQuery(const std::byte* row, std::byte* buffer) const {
  if (!has_along()) return BindRow(row, buffer);
  const Buffer parts = PartsOf(buffer);
  BindSets(row, -1, parts);
  return MakeScorer<ByProduct>(*parts.bindings);
}

// --- Errors.

// The standard error of <z, y> is kAcross |y| |z'| / sqrt(d - 1), z' what of z is across y. Of a y
// within the distance r |z'| <= |z - y| <= r, and |y| <= |z| + r; cosine: |y| <= sqrt(1/2) + |c|,
// and |z'| <= |z|. Inner product: r by the longest x; |z'| is at most what of q is across x, |q|
// times the sine of an angle whose cosine is at least -radius / (|q| max |x|).
float RqCodec::RangeMargin(VectorView query, float radius) const {
  alignas(BufferParts::kLine) float z[kMaxDim];
  const Centres::State state = centres_.state();
  double norm_sq = 0, along_sq = 0, longest_on_sphere = 0;
  for (uint32_t set = 0; set < 2; ++set) {
    if (!state.has(set)) continue;
    const double along = Prepare(query, set, z);
    const double across_sq = NormSqOf(z, rotation_.size());
    if (shape_.metric == Metric::kCosine)
      longest_on_sphere =
          std::max(longest_on_sphere,
                   std::sqrt(0.5) + std::sqrt(NormSqOf(centres_.centre(set), shape_.dim)));
    if (across_sq < norm_sq) continue;
    norm_sq = across_sq;
    along_sq = along * along;
  }
  const double norm = std::sqrt(norm_sq);
  double product = 0;  // |y| |z'|, at most.
  if (has_along()) {
    const double longest = std::sqrt(static_cast<double>(norms_.max()));
    const double full_norm = std::sqrt(norm_sq + along_sq);
    const double norms = full_norm * longest;
    const double cosine =
        norms > 0 ? std::clamp(-static_cast<double>(radius) / norms, 0.0, 1.0) : 0;
    const double r_sq = longest * longest + full_norm * full_norm + 2.0 * radius;
    product = std::min(longest, norm + std::sqrt(std::max(0.0, r_sq))) *
              std::min(norm, full_norm * std::sqrt(1 - cosine * cosine));
  } else {
    const double r = std::sqrt(std::max(0.0, static_cast<double>(radius)));
    product = 2 * (norm + r) * r;
    if (shape_.metric == Metric::kCosine)
      product = 2 * std::min(norm + r, longest_on_sphere) * std::min(norm, r);
  }
  return static_cast<float>(kErrors * kAcross[shape_.bits] * product /
                            std::sqrt(static_cast<double>(rotation_.size() - 1)));
}

// The error as above.
bool RqCodec::TellsApart(const std::byte* row, float distance) const {
  const double r_sq = std::max(0.0f, distance);
  const double norm_sq = rq::NormOf(row);
  return kAcross[shape_.bits] * 2 * std::sqrt(norm_sq * r_sq) < kLargeError * r_sq;
}

}  // namespace shoal
