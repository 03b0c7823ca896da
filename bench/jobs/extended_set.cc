#include "jobs/extended_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <utility>

#include "shoal/dataset.h"

namespace shoal::bench {
namespace {

std::span<float> RowOf(Matrix& matrix, size_t i) {
  return {reinterpret_cast<float*>(matrix.data()) + i * matrix.dim(), matrix.dim()};
}

void Normalise(std::span<float> row) {
  const float norm_sq = std::inner_product(row.begin(), row.end(), row.begin(), 0.0f);
  for (float& element : row) element /= std::sqrt(norm_sq);
}

// The rows of a file, normalised, in a matrix with room for at least `rows`.
Result<Matrix> ReadUnit(const std::string& path, size_t rows) {
  const ScalarType type = path.ends_with(".fbin") ? ScalarType::kFloat32 : ScalarType::kFloat16;
  auto read = ReadBin(path, type);
  if (!read) return read;
  auto out = Matrix::Create(ScalarType::kFloat32, std::max(rows, read->rows()), read->dim());
  if (!out) return out;
  for (size_t i = 0; i < read->rows(); ++i) {
    const std::span<float> row = RowOf(*out, i);
    const std::byte* const in = read->data() + i * read->row_bytes();
    if (type == ScalarType::kFloat32)
      std::copy_n(reinterpret_cast<const float*>(in), row.size(), row.begin());
    else
      std::transform(reinterpret_cast<const Half*>(in),
                     reinterpret_cast<const Half*>(in) + row.size(), row.begin(), HalfToFloat);
    Normalise(row);
  }
  return out;
}

}  // namespace

Result<GeneratedSet> ExtendSet(const ExtendedSetOptions& options) {
  if (options.from.empty() || options.queries_from.empty())
    return MakeError(ErrorCode::kInvalidArgument, "from, queries_from: expected two files");
  const ScalarType type =
      options.from.ends_with(".fbin") ? ScalarType::kFloat32 : ScalarType::kFloat16;
  const auto shape = ReadBinShape(options.from, type);
  if (!shape) return tl::unexpected(shape.error());
  if (shape->rows > options.rows)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("rows: expected at least the {} of {}, found {}", shape->rows,
                                 options.from, options.rows));
  auto rows = ReadUnit(options.from, options.rows);
  if (!rows) return tl::unexpected(rows.error());
  auto queries = ReadUnit(options.queries_from, 0);
  if (!queries) return tl::unexpected(queries.error());
  if (queries->dim() != rows->dim())
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: expected {} dimensions, found {}", options.queries_from,
                                 rows->dim(), queries->dim()));
  std::mt19937_64 random(options.seed);
  for (size_t i = shape->rows; i < options.rows; ++i) {
    const std::span<float> a = RowOf(*rows, random() % shape->rows);
    const std::span<float> b = RowOf(*rows, random() % shape->rows);
    const std::span<float> out = RowOf(*rows, i);
    std::transform(a.begin(), a.end(), b.begin(), out.begin(),
                   [](float x, float y) { return x + 0.8f * y; });
    Normalise(out);
  }
  return GeneratedSet{std::move(*rows), std::move(*queries), Metric::kInnerProduct};
}

}  // namespace shoal::bench
