#include "exact/modes.h"

namespace shoal::exact {
namespace {

constexpr int32_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr int32_t kMinInt = std::numeric_limits<int32_t>::min();

distance::PackedInt PackInt(const Problem& problem, const std::byte* row, std::byte* out,
                            size_t stride) {
  const auto pack = problem.base.type() == ScalarType::kInt8 ? problem.kernels->pack_int8_row
                                                             : problem.kernels->pack_uint8_row;
  return pack(row, problem.dim(), out, stride);
}

distance::PackedInt PackIntQuery(const Problem& problem, size_t query, std::byte* out) {
  const auto pack = problem.base.type() == ScalarType::kInt8 ? problem.kernels->pack_int8_query
                                                             : problem.kernels->pack_uint8_query;
  return pack(problem.queries.data() + query * problem.queries.row_bytes(), problem.dim(), out,
              distance::kChunkWords * 4);
}

template <class T>
int32_t DotOf(const std::byte* a, const std::byte* b, size_t dim) {
  const auto* x = reinterpret_cast<const T*>(a);
  const auto* y = reinterpret_cast<const T*>(b);
  int32_t sum = 0;
  for (size_t i = 0; i < dim; ++i) sum += x[i] * y[i];
  return sum;
}

int32_t Dot(ScalarType type, const std::byte* a, const std::byte* b, size_t dim) {
  return type == ScalarType::kInt8 ? DotOf<int8_t>(a, b, dim) : DotOf<uint8_t>(a, b, dim);
}

}  // namespace

// With h = floor(|row|^2 / 2) the kernel sums s = dot - offsets - h, so the distance is
//   |query|^2 - 2 (s + query's offset) + (|row|^2 mod 2).
IntMode::IntMode(const Problem& problem, size_t slots, size_t places)
    : problem_(problem),
      limits_(slots * sizeof(int32_t)),
      bars_(slots),
      query_(slots),
      bias_(places),
      odd_(places) {}

void IntMode::PackQuery(size_t query, size_t slot, std::byte* out) {
  query_[slot] = PackIntQuery(problem_, query, out);
  SetBar(slot, kLowest, false);
}

bool IntMode::PackRow(size_t row, size_t place, std::byte* out, size_t stride) {
  const auto packed =
      PackInt(problem_, problem_.base.data() + row * problem_.base.row_bytes(), out, stride);
  const bool l2 = problem_.metric == Metric::kL2;
  bias_[place] = packed.offset - (l2 ? packed.norm / 2 : 0);
  odd_[place] = l2 ? packed.norm % 2 : 0;
  return true;
}

void IntMode::ClearSlot(size_t slot) {
  limits_.As<int32_t>()[slot] = kMaxInt;
  bars_[slot] = kMaxInt;
}

void IntMode::SetBar(size_t slot, Score bar, bool strictly_better) {
  if (strictly_better && bar < kMaxInt) ++bar;
  bars_[slot] = bar;
  // The least sum whose score may reach the bar, an odd norm's one given as a present.
  int64_t least = bar;
  if (bar == kLowest) {
    least = kMinInt;
  } else if (problem_.metric == Metric::kL2) {
    // 2 (s + offset) - norm >= bar
    least = int64_t{bar} + query_[slot].norm;
    least = (least >= 0 ? (least + 1) / 2 : least / 2) - query_[slot].offset;
  } else {
    least -= query_[slot].offset;
  }
  limits_.As<int32_t>()[slot] = static_cast<int32_t>(std::clamp<int64_t>(least, kMinInt, kMaxInt));
}

distance::TileJob<int32_t> IntMode::Job(const TilePlace& at, TileResult<Score>& result) const {
  return {at.panel,
          at.tile,
          problem_.words(),
          bias_.data() + at.place,
          limits_.As<int32_t>() + at.slot,
          result.scores,
          result.hits};
}

uint32_t IntMode::Multiply(const TilePlace& at, TileResult<Score>& result) {
  return problem_.kernels->int_tile[at.vectors - 1](Job(at, result));
}

void IntMode::Tops(const TilePlace& at, TileResult<Score>& result) {
  problem_.kernels->int_tops[at.vectors - 1](Job(at, result));
}

// Which of the rows it was, and so whether its norm is odd, is not known.
int32_t IntMode::LeastScore(Score top, size_t slot, size_t /*place*/) const {
  const int64_t sum = int64_t{top} + query_[slot].offset;
  if (problem_.metric != Metric::kL2) return static_cast<Score>(sum);
  return static_cast<Score>(2 * sum - query_[slot].norm - 1);
}

double IntMode::Distance(size_t /*slot*/, const Candidate<Score>& candidate) {
  return static_cast<double>(-int64_t{candidate.low});  // Never -0.
}

ScaledIntMode::ScaledIntMode(const Problem& problem, size_t slots, size_t places)
    : problem_(problem),
      limits_(slots * sizeof(float)),
      offsets_(slots * sizeof(int32_t)),
      query_(slots),
      query_norm_(slots),
      bias_(places),
      scale_(places) {}

void ScaledIntMode::PackQuery(size_t query, size_t slot, std::byte* out) {
  const auto packed = PackIntQuery(problem_, query, out);
  query_[slot] = query;
  query_norm_[slot] = std::sqrt(static_cast<float>(packed.norm));
  offsets_.As<int32_t>()[slot] = packed.offset;
  SetBar(slot, kLowest, false);
}

bool ScaledIntMode::PackRow(size_t row, size_t place, std::byte* out, size_t stride) {
  const auto packed =
      PackInt(problem_, problem_.base.data() + row * problem_.base.row_bytes(), out, stride);
  if (packed.norm == 0) return false;
  bias_[place] = packed.offset;
  scale_[place] = static_cast<float>(1 / std::sqrt(static_cast<double>(packed.norm)));
  return true;
}

void ScaledIntMode::ClearSlot(size_t slot) {
  limits_.As<float>()[slot] = std::numeric_limits<float>::infinity();
  offsets_.As<int32_t>()[slot] = 0;
}

// A score dot / |row|, three roundings from the true one, is at most |query|; another two for the
// rounding of the distance that is reported. The slack, taken on both sides of the bar:
void ScaledIntMode::SetBar(size_t slot, Score bar, bool /*strictly_better*/) {
  limits_.As<float>()[slot] = bar - 2 * 0x1p-20f * query_norm_[slot];
}

distance::ScaledTileJob ScaledIntMode::Job(const TilePlace& at, TileResult<Score>& result) const {
  return {
      {at.panel, at.tile, problem_.words(), bias_.data() + at.place, nullptr, nullptr, result.hits},
      offsets_.As<int32_t>() + at.slot,
      scale_.data() + at.place,
      limits_.As<float>() + at.slot,
      result.scores};
}

uint32_t ScaledIntMode::Multiply(const TilePlace& at, TileResult<Score>& result) {
  return problem_.kernels->scaled_tile[at.vectors - 1](Job(at, result));
}

void ScaledIntMode::Tops(const TilePlace& at, TileResult<Score>& result) {
  problem_.kernels->scaled_tops[at.vectors - 1](Job(at, result));
}

float ScaledIntMode::LeastScore(Score top, size_t /*slot*/, size_t /*place*/) const { return top; }

double ScaledIntMode::Distance(size_t slot, const Candidate<Score>& candidate) {
  const size_t bytes = problem_.base.row_bytes();
  const std::byte* query = problem_.queries.data() + query_[slot] * bytes;
  const std::byte* row = problem_.base.data() + candidate.row * bytes;
  const ScalarType type = problem_.base.type();
  const double dot = Dot(type, query, row, bytes);
  const double norms = static_cast<double>(Dot(type, query, query, bytes)) *
                       static_cast<double>(Dot(type, row, row, bytes));
  return static_cast<float>(std::clamp(1 - dot / std::sqrt(norms), 0.0, 2.0));
}

}  // namespace shoal::exact
