#include "persist/dataset_checks.h"

#include <algorithm>
#include <limits>

#include "base/finite.h"

namespace shoal {
namespace {

Result<RowRange> SelectRows(const std::filesystem::path& path, size_t rows,
                            const ReadOptions& options) {
  if (options.first_row >= rows) {
    return Mismatch(ErrorCode::kInvalidArgument, path, "first row asked for",
                    "less than the file's " + std::to_string(rows) + " rows",
                    std::to_string(options.first_row));
  }
  if (options.max_rows == 0) {
    return Mismatch(ErrorCode::kInvalidArgument, path, "rows asked for", "at least 1", "0");
  }
  return RowRange{options.first_row, std::min(options.max_rows, rows - options.first_row)};
}

}  // namespace

Result<Matrix> ReadSelected(const InputFile& file, ScalarType type, BinShape shape,
                            const ReadOptions& options,
                            const std::function<Status(RowRange, Matrix&)>& read) {
  const auto range = SelectRows(file.path(), shape.rows, options);
  if (!range) return tl::unexpected(range.error());
  auto matrix = Matrix::Create(type, range->count, shape.dim);
  if (!matrix)
    return MakeError(matrix.error().code, file.path().string() + ": " + matrix.error().message);
  Status ok = read(*range, *matrix);
  if (ok && options.require_finite) ok = CheckFinite(file.path(), *matrix, range->first);
  if (!ok) return tl::unexpected(ok.error());
  return matrix;
}

Status CheckSize(const InputFile& file, uint64_t bytes, std::string_view formula) {
  if (file.size() == bytes) return {};
  std::string expected = std::to_string(bytes) + " bytes";
  if (!formula.empty()) expected.append(" (").append(formula).append(")");
  return Mismatch(ErrorCode::kCorrupt, file.path(), "size", expected,
                  std::to_string(file.size()) + " bytes");
}

Status CheckFinite(const std::filesystem::path& path, MatrixView rows, size_t first_row) {
  const size_t n = rows.rows() * rows.dim();
  const size_t at = FirstNonFinite(rows.data(), rows.type(), n);
  if (at == n) return {};
  return Mismatch(ErrorCode::kCorrupt, path,
                  "row " + std::to_string(first_row + at / rows.dim()) + ", column " +
                      std::to_string(at % rows.dim()),
                  "a finite number",
                  NameNonFinite(rows.data() + BytesOf(rows.type(), at), rows.type()));
}

Status CheckWritable(const std::filesystem::path& path, size_t rows, size_t dim) {
  constexpr size_t kMaxRows = std::numeric_limits<int32_t>::max();
  if (rows < 1 || rows > kMaxRows) {
    return Mismatch(ErrorCode::kInvalidArgument, path, "rows to write",
                    "1 to " + std::to_string(kMaxRows), std::to_string(rows));
  }
  if (dim < 1 || dim > kMaxDim) {
    return Mismatch(ErrorCode::kInvalidArgument, path, "dimension to write",
                    "1 to " + std::to_string(kMaxDim), std::to_string(dim));
  }
  return {};
}

Status CheckWritableIds(const std::filesystem::path& path, size_t ids, size_t columns) {
  constexpr size_t kMax = std::numeric_limits<int32_t>::max();
  const size_t rows = columns == 0 ? 0 : ids / columns;
  if (rows >= 1 && rows <= kMax && columns <= kMax && rows * columns == ids) return {};
  return Mismatch(ErrorCode::kInvalidArgument, path, "ids to write",
                  "a multiple of their columns, at least one row",
                  std::to_string(ids) + " ids in " + std::to_string(columns) + " columns");
}

std::string DescribeShape(size_t rows, size_t dim, ScalarType type) {
  return std::to_string(rows) + " x " + std::to_string(dim) + " " +
         std::string(ScalarTypeName(type));
}

}  // namespace shoal
