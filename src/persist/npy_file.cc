// NumPy's .npy: matrices, and columns of ids.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "persist/dataset_checks.h"
#include "persist/dataset_layout.h"
#include "persist/file_kind.h"
#include "persist/npy_header.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

constexpr size_t kTileBytes = size_t{4} << 20;
constexpr size_t kColumnRun = 4096;  // Most numbers of a column that are read at a time.
constexpr uint64_t kMaxNpyIds = uint64_t{1} << 40;
constexpr double kMaxFloat = std::numeric_limits<float>::max();

// The numbers of a file: their size in it, and the type that they are read as. Of another size,
// they are float64.
struct Numbers {
  size_t bytes = 0;
  ScalarType type = ScalarType::kFloat32;

  bool IsFloat64() const { return bytes != BytesOf(type, 1); }
};

struct Layout {
  Numbers numbers;
  size_t rows = 0;
  size_t dim = 0;
  bool column_major = false;
  uint64_t offset = 0;  // Of the numbers.
};

std::optional<Numbers> NumbersOfDescr(std::string_view descr) {
  if (descr == "<f8") return Numbers{sizeof(double), ScalarType::kFloat32};
  if (descr == "<f4") return Numbers{sizeof(float), ScalarType::kFloat32};
  if (descr == "<f2") return Numbers{sizeof(Half), ScalarType::kFloat16};
  if (descr == "|i1" || descr == "<i1") return Numbers{1, ScalarType::kInt8};
  if (descr == "|u1" || descr == "<u1") return Numbers{1, ScalarType::kUint8};
  return std::nullopt;
}

std::string_view DescrOfType(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat32: return "<f4";
    case ScalarType::kFloat16: return "<f2";
    case ScalarType::kInt8: return "|i1";
    case ScalarType::kUint8:
    case ScalarType::kBit: return "|u1";  // Of bits: packed.
  }
  return "?";
}

Result<Layout> ReadLayout(const InputFile& file) {
  Layout layout;
  auto header = ReadNpyHeader(file, &layout.offset);
  if (!header) return tl::unexpected(header.error());
  const auto numbers = NumbersOfDescr(header->descr);
  if (!numbers) {
    return Mismatch(ErrorCode::kUnsupported, file.path(), "descr",
                    "'<f8', '<f4', '<f2', '|i1' or '|u1'",
                    std::string("'").append(header->descr, 0, 32).append("'"));
  }
  constexpr uint64_t kMaxRows = std::numeric_limits<int32_t>::max();
  const auto& shape = header->shape;
  if (shape.size() != 2 || shape[0] < 1 || shape[0] > kMaxRows || shape[1] < 1 ||
      shape[1] > kMaxDim) {
    return Mismatch(shape.size() != 2 ? ErrorCode::kUnsupported : ErrorCode::kCorrupt, file.path(),
                    "shape",
                    "(rows, dimension) with 1 to " + std::to_string(kMaxRows) + " rows and 1 to " +
                        std::to_string(kMaxDim) + " columns",
                    DescribeNpyShape(shape));
  }
  layout.numbers = *numbers;
  layout.rows = shape[0];
  layout.dim = shape[1];
  layout.column_major = header->fortran_order;
  const uint64_t bytes = uint64_t{layout.rows} * layout.dim * numbers->bytes;
  if (auto ok = CheckSize(file, layout.offset + bytes,
                          "header of " + std::to_string(layout.offset) + ", " +
                              std::to_string(layout.rows) + " x " + std::to_string(layout.dim) +
                              " of '" + header->descr + "'");
      !ok) {
    return tl::unexpected(ok.error());
  }
  return layout;
}

// A part of the matrix as it lies in the file: all its numbers, row by row or column by column.
struct Tile {
  const std::byte* data = nullptr;
  size_t first_row = 0;  // Within the matrix, as the first column.
  size_t first_column = 0;
  size_t rows = 0;
  size_t columns = 0;
  bool column_major = false;

  size_t RowStep() const { return column_major ? 1 : columns; }
  size_t ColumnStep() const { return column_major ? rows : 1; }
};

template <class From, class To>
void CopyTile(const Tile& tile, Matrix& to) {
  for (size_t r = 0; r < tile.rows; ++r) {
    const std::byte* in = tile.data + r * tile.RowStep() * sizeof(From);
    std::byte* out =
        to.data() + (tile.first_row + r) * to.row_bytes() + tile.first_column * sizeof(To);
    for (size_t c = 0; c < tile.columns; ++c) {
      From number;
      std::memcpy(&number, in + c * tile.ColumnStep() * sizeof(From), sizeof(From));
      const auto converted = static_cast<To>(number);
      std::memcpy(out + c * sizeof(To), &converted, sizeof(To));
    }
  }
}

// Corrupt at a finite float64 that is beyond float32; `first_row`: of the matrix within the file.
Status CheckFloatRange(const std::filesystem::path& path, const Tile& tile, size_t first_row) {
  for (size_t i = 0; i < tile.rows * tile.columns; ++i) {
    double number = 0;
    std::memcpy(&number, tile.data + i * sizeof(number), sizeof(number));
    if (!std::isfinite(number) || std::fabs(number) <= kMaxFloat) continue;
    const size_t row = tile.column_major ? i % tile.rows : i / tile.columns;
    const size_t column = tile.column_major ? i / tile.rows : i % tile.columns;
    std::array<char, 32> text = {};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    return Mismatch(ErrorCode::kCorrupt, path,
                    "row " + std::to_string(first_row + tile.first_row + row) + ", column " +
                        std::to_string(tile.first_column + column),
                    "a number that float32 holds, up to 3.4028235e38",
                    std::string_view(text.data(), end));
  }
  return {};
}

Status PutTile(const InputFile& file, const Layout& layout, const Tile& tile, size_t first_row,
               Matrix& to) {
  if (layout.numbers.IsFloat64()) {
    if (auto ok = CheckFloatRange(file.path(), tile, first_row); !ok) return ok;
    CopyTile<double, float>(tile, to);
    return {};
  }
  switch (layout.numbers.bytes) {
    case 1: CopyTile<uint8_t, uint8_t>(tile, to); break;
    case 2: CopyTile<uint16_t, uint16_t>(tile, to); break;
    default: CopyTile<uint32_t, uint32_t>(tile, to); break;
  }
  return {};
}

// Reads a tile's numbers into `buffer`; a tile that is not column-major has whole rows.
Status ReadTile(const InputFile& file, const Layout& layout, const Tile& tile, size_t first_row,
                std::byte* buffer) {
  const size_t bytes = layout.numbers.bytes;
  const uint64_t row = first_row + tile.first_row;
  if (!tile.column_major) {
    return file.ReadAt(layout.offset + row * layout.dim * bytes, buffer,
                       tile.rows * tile.columns * bytes, "rows");
  }
  for (size_t c = 0; c < tile.columns; ++c) {
    const uint64_t at = uint64_t{tile.first_column + c} * layout.rows + row;
    if (auto ok = file.ReadAt(layout.offset + at * bytes, buffer + c * tile.rows * bytes,
                              tile.rows * bytes, "columns");
        !ok) {
      return ok;
    }
  }
  return {};
}

// Reads rows that lie otherwise in the file than in the matrix, tile by tile: beside the matrix it
// takes kTileBytes.
Status ReadTiles(const InputFile& file, const Layout& layout, RowRange range, Matrix& to) {
  const size_t bytes = layout.numbers.bytes;
  const size_t most_rows = std::min(
      range.count,
      layout.column_major ? kColumnRun : std::max<size_t>(kTileBytes / (layout.dim * bytes), 1));
  const size_t most_columns =
      layout.column_major ? std::clamp<size_t>(kTileBytes / (most_rows * bytes), 1, layout.dim)
                          : layout.dim;
  std::vector<std::byte> buffer;
  if (auto ok = TryResize(file.path(), buffer, most_rows * most_columns * bytes); !ok) return ok;
  Tile tile = {.data = buffer.data(), .column_major = layout.column_major};
  for (; tile.first_row < range.count; tile.first_row += tile.rows) {
    tile.rows = std::min(most_rows, range.count - tile.first_row);
    for (tile.first_column = 0; tile.first_column < layout.dim; tile.first_column += tile.columns) {
      tile.columns = std::min(most_columns, layout.dim - tile.first_column);
      auto ok = ReadTile(file, layout, tile, range.first, buffer.data());
      if (ok) ok = PutTile(file, layout, tile, range.first, to);
      if (!ok) return ok;
    }
  }
  return {};
}

Status ReadNumbers(const InputFile& file, const Layout& layout, RowRange range, Matrix& to) {
  if (layout.column_major || layout.numbers.IsFloat64()) return ReadTiles(file, layout, range, to);
  return file.ReadAt(layout.offset + uint64_t{range.first} * to.row_bytes(), to.data(),
                     range.count * to.row_bytes(), "rows");
}

Result<Matrix> ReadMatrix(const InputFile& file, const ReadOptions& options) {
  const auto layout = ReadLayout(file);
  if (!layout) return tl::unexpected(layout.error());
  return ReadSelected(
      file, layout->numbers.type, {layout->rows, layout->dim}, options,
      [&](RowRange range, Matrix& to) { return ReadNumbers(file, *layout, range, to); });
}

Result<std::vector<uint64_t>> ReadIds(const InputFile& file) {
  const std::filesystem::path& path = file.path();
  uint64_t offset = 0;
  const auto header = ReadNpyHeader(file, &offset);
  if (!header) return tl::unexpected(header.error());
  if (header->shape.size() != 1)
    return Mismatch(ErrorCode::kUnsupported, path, "shape", "(ids,)",
                    DescribeNpyShape(header->shape));
  const bool is_signed = header->descr == "<i8" || header->descr == "<i4";
  const bool is_long = header->descr == "<u8" || header->descr == "<i8";
  if (!is_signed && !is_long && header->descr != "<u4")
    return Mismatch(ErrorCode::kUnsupported, path, "descr", "'<u8', '<i8', '<u4' or '<i4'",
                    "'" + header->descr.substr(0, 32) + "'");
  const uint64_t n = header->shape[0], bytes = is_long ? 8 : 4;
  if (n > kMaxNpyIds)
    return Mismatch(ErrorCode::kCorrupt, path, "shape", "fewer ids",
                    DescribeNpyShape(header->shape));
  if (auto ok = CheckSize(file, offset + n * bytes, "header and " + std::to_string(n) + " ids");
      !ok)
    return tl::unexpected(ok.error());
  std::vector<uint64_t> ids;
  if (auto ok = TryResize(path, ids, n); !ok) return tl::unexpected(ok.error());
  if (auto ok = file.ReadAt(offset, ids.data(), n * bytes, "ids"); !ok)
    return tl::unexpected(ok.error());
  // From the last: a short id lies before the place where it goes to.
  for (uint64_t i = n; !is_long && i-- > 0;) {
    uint32_t id = 0;
    std::memcpy(&id, reinterpret_cast<const std::byte*>(ids.data()) + i * bytes, sizeof(id));
    ids[i] = is_signed && id >> 31 != 0 ? uint64_t{id} | uint64_t{UINT32_MAX} << 32 : id;
  }
  for (uint64_t i = 0; is_signed && i < n; ++i)
    if (ids[i] >> 63 != 0)
      return Mismatch(ErrorCode::kCorrupt, path, "row " + std::to_string(i), "an id of 0 or more",
                      std::to_string(static_cast<int64_t>(ids[i])));
  return ids;
}

}  // namespace

Result<DatasetLayout> NpyLayout(const InputFile& file, ScalarType type) {
  const Result<Layout> layout = ReadLayout(file);
  if (!layout) return tl::unexpected(layout.error());
  const auto refused = [&](std::string_view field, std::string_view expected,
                           std::string_view found) {
    return Mismatch(ErrorCode::kUnsupported, file.path(), field, expected, found);
  };
  if (layout->numbers.IsFloat64()) return refused("type", ScalarTypeName(type), "float64");
  if (layout->numbers.type != type)
    return refused("type", ScalarTypeName(type), ScalarTypeName(layout->numbers.type));
  if (layout->column_major) return refused("fortran_order", "False", "True");
  return DatasetLayout{layout->offset, layout->rows, layout->dim};
}

Result<Matrix> ReadNpy(const std::filesystem::path& path, const ReadOptions& options) {
  return InputFile::Open(path).and_then(
      [&](const InputFile& file) { return ReadMatrix(file, options); });
}

Result<Matrix> ReadNpy(const ByteSource& source, const ReadOptions& options) {
  return InputFile::Gather(source).and_then(
      [&](const InputFile& file) { return ReadMatrix(file, options); });
}

Status WriteNpy(const std::filesystem::path& path, MatrixView rows) {
  if (auto ok = CheckWritable(path, rows.rows(), rows.dim()); !ok) return ok;
  const size_t columns = rows.type() == ScalarType::kBit ? rows.row_bytes() : rows.dim();
  const std::string head = NpyHead(DescrOfType(rows.type()), {rows.rows(), columns});
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = file->Append(head.data(), head.size()); !ok) return ok;
  if (auto ok = file->Append(rows.data(), rows.rows() * rows.row_bytes()); !ok) return ok;
  return file->Commit();
}

Result<std::vector<uint64_t>> ReadIdNpy(const std::filesystem::path& path) {
  return InputFile::Open(path).and_then(ReadIds);
}

Result<std::vector<uint64_t>> ReadIdNpy(const ByteSource& source) {
  return InputFile::Gather(source).and_then(ReadIds);
}

Status WriteIdNpy(const std::filesystem::path& path, std::span<const uint64_t> ids,
                  size_t columns) {
  if (columns != 0 && ids.size() % columns != 0)
    return Mismatch(ErrorCode::kInvalidArgument, path, "columns",
                    "a divisor of " + std::to_string(ids.size()), std::to_string(columns));
  const std::vector<uint64_t> flat = {ids.size()};
  const std::string head =
      NpyHead("<u8", columns == 0 ? flat : std::vector<uint64_t>{ids.size() / columns, columns});
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = file->Append(head.data(), head.size()); !ok) return ok;
  if (auto ok = file->Append(ids.data(), ids.size_bytes()); !ok) return ok;
  return file->Commit();
}

}  // namespace shoal
