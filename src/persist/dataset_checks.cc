#include "persist/dataset_checks.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace shoal {
namespace {

// The position of the first element whose exponent bits are all ones, or n. `Bits` is the unsigned
// integer as wide as the float.
template <class Bits>
size_t FirstNonFinite(const std::byte* data, size_t n, Bits exponent) {
  constexpr size_t kBlock = 4096;  // The search within a block runs only when the block has one.
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t end = std::min(n, begin + kBlock);
    bool bad = false;
    for (size_t i = begin; i < end; ++i) {
      Bits bits;
      std::memcpy(&bits, data + i * sizeof(Bits), sizeof(Bits));
      bad |= (bits & exponent) == exponent;
    }
    for (size_t i = begin; bad && i < end; ++i) {
      Bits bits;
      std::memcpy(&bits, data + i * sizeof(Bits), sizeof(Bits));
      if ((bits & exponent) == exponent) return i;
    }
  }
  return n;
}

std::string_view NameNonFinite(const std::byte* element, ScalarType type) {
  uint32_t bits = 0;
  std::memcpy(&bits, element, ScalarSize(type));
  const bool half = type == ScalarType::kFloat16;
  if ((bits & (half ? 0x3ffu : 0x7fffffu)) != 0) return "NaN";
  return (bits & (half ? 0x8000u : 0x80000000u)) != 0 ? "-infinity" : "infinity";
}

}  // namespace

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

Status CheckRange(const std::filesystem::path& path, std::string_view field, int64_t value,
                  int64_t low, int64_t high) {
  if (low <= value && value <= high) return {};
  return Mismatch(ErrorCode::kCorrupt, path, field,
                  std::to_string(low) + " to " + std::to_string(high), std::to_string(value));
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
  size_t at = n;
  if (rows.type() == ScalarType::kFloat32) {
    at = FirstNonFinite<uint32_t>(rows.data(), n, 0x7f800000u);
  } else if (rows.type() == ScalarType::kFloat16) {
    at = FirstNonFinite<uint16_t>(rows.data(), n, uint16_t{0x7c00});
  }
  if (at == n) return {};
  return Mismatch(ErrorCode::kCorrupt, path,
                  "row " + std::to_string(first_row + at / rows.dim()) + ", column " +
                      std::to_string(at % rows.dim()),
                  "a finite number",
                  NameNonFinite(rows.data() + at * ScalarSize(rows.type()), rows.type()));
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
