#include <cstring>

#include "base/norm.h"
#include "exact/modes.h"

namespace shoal::exact {
namespace {

constexpr size_t kChunkBytes = distance::kChunkWords * sizeof(float);
constexpr double kUnit = 0x1p-24;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Beyond this squared norm float sums might overflow: such vectors are judged in double alone.
constexpr double kLargestNorm = 1e37;

float FloatAbove(double value) {
  const auto nearest = static_cast<float>(value);
  return nearest >= value ? nearest : std::nextafter(nearest, kInfinity);
}

// NaN: nothing is known, so nothing is out.
float RoundDown(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(nearest)) return -kInfinity;
  return nearest <= value ? nearest : std::nextafter(nearest, -kInfinity);
}

}  // namespace

FloatMode::FloatMode(const Problem& problem, size_t slots, size_t places)
    : problem_(problem),
      limits_(slots * sizeof(float)),
      query_slack_(slots),
      query_norm_(slots),
      query_floats_(slots * problem.dim()),
      bias_(places),
      twice_slack_(places),
      row_floats_(problem.dim()) {
  const double terms = (static_cast<double>(problem.dim()) + 2) * kUnit;
  relative_error_ = terms / (1 - terms) + (problem.metric == Metric::kCosine ? 32 : 8) * kUnit;
  // Products below the normal numbers lose at most this each, even where they are flushed to zero.
  absolute_error_ = (static_cast<double>(problem.dim()) + 2) * 0x1p-125;
  const float* centre = problem.centre.data();
  centre_norm_ = std::sqrt(problem.kernels->exact_dot(centre, centre, problem.dim()));
}

// Perhaps unaligned: for kernels only.
const float* FloatMode::RowAsFloats(const std::byte* row, std::vector<float>& scratch) const {
  if (problem_.base.type() == ScalarType::kFloat32) return reinterpret_cast<const float*>(row);
  problem_.kernels->half_to_float(reinterpret_cast<const Half*>(row), problem_.dim(),
                                  scratch.data());
  return scratch.data();
}

void FloatMode::CopyAsFloats(const std::byte* row, float* out) const {
  if (problem_.base.type() == ScalarType::kFloat32) {
    std::memcpy(out, row, problem_.base.row_bytes());
  } else {
    problem_.kernels->half_to_float(reinterpret_cast<const Half*>(row), problem_.dim(), out);
  }
}

double FloatMode::Slack(double norm) const {
  return norm < kLargestNorm ? relative_error_ * norm + absolute_error_
                             : std::numeric_limits<double>::infinity();
}

// Of a vector scaled to norm 1, unless its scale was beyond the floats.
double FloatMode::UnitSlack(double norm) const {
  return std::abs(norm - 1) < 16 * kUnit ? relative_error_
                                         : std::numeric_limits<double>::infinity();
}

// Whether the row's norm is legal. Known without a look, almost always: it is at most that of the
// row without the centre and the centre's.
bool FloatMode::IsLegal(const std::byte* row, double centred_norm_sq) {
  if (std::sqrt(centred_norm_sq) + centre_norm_ < kMaxNorm / 2) return true;
  CopyAsFloats(row, row_floats_.data());
  return IsLegalNormSq(
      problem_.kernels->exact_dot(row_floats_.data(), row_floats_.data(), problem_.dim()),
      problem_.metric);
}

void FloatMode::PackQuery(size_t query, size_t slot, std::byte* out) {
  const size_t dim = problem_.dim();
  const std::byte* data = problem_.queries.data() + query * problem_.queries.row_bytes();
  float* floats = query_floats_.data() + slot * dim;
  CopyAsFloats(data, floats);
  query_norm_[slot] = problem_.kernels->exact_dot(floats, floats, dim);

  double scale = 1;
  if (problem_.metric == Metric::kCosine) {
    scale = 1 / std::sqrt(query_norm_[slot]);
  } else if (problem_.metric == Metric::kInnerProduct && problem_.typical_norm > 0 &&
             query_norm_[slot] > 0) {
    // A power of two that makes the query about as long as the rows, which keeps the bound on
    // |q| |r| tight and the order as it is.
    const double exponent = std::log2(problem_.typical_norm / std::sqrt(query_norm_[slot]));
    scale = std::exp2(std::clamp(std::round(exponent), -100.0, 100.0));
  }
  const double norm =
      problem_.kernels->pack_float(floats, problem_.centre.data(), static_cast<float>(scale), dim,
                                   reinterpret_cast<float*>(out), distance::kChunkWords);
  query_slack_[slot] = problem_.metric == Metric::kCosine ? UnitSlack(norm) : Slack(norm);
  if (!std::isfinite(query_slack_[slot])) std::memset(out, 0, problem_.chunks() * kChunkBytes);
  SetBar(slot, kLowest, false);
}

bool FloatMode::PackRow(size_t row, size_t place, std::byte* out, size_t stride) {
  const auto& kernels = *problem_.kernels;
  const std::byte* data = problem_.base.data() + row * problem_.base.row_bytes();
  double scale = 1;
  if (problem_.metric == Metric::kCosine) {
    const float* floats = RowAsFloats(data, row_floats_);
    const double norm_sq = kernels.exact_dot(floats, floats, problem_.dim());
    if (!IsLegalNormSq(norm_sq, problem_.metric)) return false;
    scale = 1 / std::sqrt(norm_sq);
  }
  const auto pack =
      problem_.base.type() == ScalarType::kFloat32 ? kernels.pack_float : kernels.pack_half;
  const double norm = pack(data, problem_.centre.data(), static_cast<float>(scale), problem_.dim(),
                           reinterpret_cast<float*>(out), stride / sizeof(float));
  if (problem_.metric != Metric::kCosine && !IsLegal(data, norm)) return false;
  // Under cosine the query's slack is that of both.
  double slack = Slack(norm);
  if (problem_.metric == Metric::kCosine && std::isfinite(UnitSlack(norm))) slack = 0;
  bias_[place] = FloatAbove((problem_.metric == Metric::kL2 ? -norm / 2 : 0) + slack);
  twice_slack_[place] = FloatAbove(2 * slack);
  if (!std::isfinite(slack)) ClearRow(place, out, stride);
  return true;
}

// A row that float arithmetic cannot judge scores infinity. (A query of that kind is zero and has
// no limit. So no score is NaN.)
void FloatMode::ClearRow(size_t place, std::byte* out, size_t stride) {
  for (size_t chunk = 0; chunk < problem_.chunks(); ++chunk)
    std::memset(out + chunk * stride, 0, kChunkBytes);
  bias_[place] = kInfinity;
}

void FloatMode::ClearSlot(size_t slot) { limits_.As<float>()[slot] = kInfinity; }

void FloatMode::SetBar(size_t slot, Score bar, bool /*strictly_better*/) {
  limits_.As<float>()[slot] = RoundDown(bar - 2 * query_slack_[slot]);
}

distance::TileJob<float> FloatMode::Job(const TilePlace& at, TileResult<Score>& result) const {
  return {at.panel,
          at.tile,
          problem_.words(),
          bias_.data() + at.place,
          limits_.As<float>() + at.slot,
          result.scores,
          result.hits};
}

uint32_t FloatMode::Multiply(const TilePlace& at, TileResult<Score>& result) {
  return problem_.kernels->float_tile[at.vectors - 1](Job(at, result));
}

void FloatMode::Tops(const TilePlace& at, TileResult<Score>& result) {
  problem_.kernels->float_tops[at.vectors - 1](Job(at, result));
}

float FloatMode::LeastScore(Score top, size_t /*slot*/, size_t place) const {
  const float* slack = twice_slack_.data() + place;
  const float least = top - *std::max_element(slack, slack + problem_.kernels->tile_rows);
  return std::isfinite(least) ? least : kLowest;
}

double FloatMode::Distance(size_t slot, const Candidate<Score>& candidate) {
  const size_t dim = problem_.dim();
  const auto& kernels = *problem_.kernels;
  const float* query = query_floats_.data() + slot * dim;
  const float* row =
      RowAsFloats(problem_.base.data() + candidate.row * problem_.base.row_bytes(), row_floats_);
  if (problem_.metric == Metric::kL2) return static_cast<float>(kernels.exact_l2(query, row, dim));
  const double dot = kernels.exact_dot(query, row, dim);
  if (problem_.metric == Metric::kInnerProduct) return static_cast<float>(-dot) + 0.0f;  // Not -0.
  const double norms = query_norm_[slot] * kernels.exact_dot(row, row, dim);
  return static_cast<float>(std::clamp(1 - dot / std::sqrt(norms), 0.0, 2.0));
}

}  // namespace shoal::exact
