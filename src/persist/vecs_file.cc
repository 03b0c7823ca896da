// The TEXMEX formats: every row is its dimension as int32, then its elements (float32 in .fvecs,
// bytes in .bvecs, int32 in .ivecs).
#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "persist/dataset_checks.h"
#include "persist/file_kind.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

// Rows are read and written in blocks of about this size, whatever the file's.
constexpr size_t kBlockBytes = size_t{4} << 20;

// The shape, from the first row's dimension and the file's size.
Result<BinShape> ReadShape(const InputFile& file, size_t element, int64_t most_columns) {
  int32_t dim = 0;
  if (file.size() < sizeof(dim)) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size",
                    "at least 4 bytes (a row's dimension)", std::to_string(file.size()) + " bytes");
  }
  if (auto read = file.ReadAt(0, &dim, sizeof(dim), "dimension"); !read) {
    return tl::unexpected(read.error());
  }
  const std::string_view expected = element == sizeof(float) ? ".fvecs or .ivecs" : ".bvecs";
  if (auto ok = CheckRange(file.path(), "dimension of row 0", dim, 1, most_columns); !ok) {
    return ExplainError(file, expected, ok.error());
  }
  const uint64_t row = sizeof(dim) + static_cast<uint64_t>(dim) * element;
  if (file.size() % row != 0) {
    const auto error = Mismatch(
        ErrorCode::kCorrupt, file.path(), "size",
        "a multiple of " + std::to_string(row) + " bytes (4 + " + std::to_string(dim) + " x " +
            std::to_string(element) + ", a row)",
        std::to_string(file.size()) + " bytes, " + std::to_string(file.size() % row) + " too many");
    return ExplainError(file, expected, error.value());
  }
  return BinShape{static_cast<size_t>(file.size() / row), static_cast<size_t>(dim)};
}

// Copies the elements of `range` to `out`, row-major, and compares every row's dimension.
Status ReadRows(const InputFile& file, size_t dim, size_t element, RowRange range, std::byte* out) {
  const size_t payload = dim * element;
  const size_t row = sizeof(int32_t) + payload;
  const size_t block = std::clamp<size_t>(kBlockBytes / row, 1, range.count);
  std::vector<std::byte> buffer;
  if (auto ok = TryResize(file.path(), buffer, block * row); !ok) return ok;
  for (size_t done = 0; done < range.count;) {
    const size_t n = std::min(block, range.count - done);
    const size_t first = range.first + done;
    if (auto ok = file.ReadAt(uint64_t{first} * row, buffer.data(), n * row, "rows"); !ok)
      return ok;
    for (size_t i = 0; i < n; ++i) {
      int32_t found = 0;
      std::memcpy(&found, buffer.data() + i * row, sizeof(found));
      if (found != static_cast<int32_t>(dim)) {
        return Mismatch(ErrorCode::kCorrupt, file.path(),
                        "dimension of row " + std::to_string(first + i),
                        std::to_string(dim) + " as in row 0", std::to_string(found));
      }
      std::memcpy(out, buffer.data() + i * row + sizeof(found), payload);
      out += payload;
    }
    done += n;
  }
  return {};
}

Status CheckType(const std::filesystem::path& path, ScalarType type) {
  if (type != ScalarType::kFloat16 && type != ScalarType::kBit) return {};
  return Mismatch(ErrorCode::kUnsupported, path, "element type",
                  "float32 (fvecs), uint8 or int8 (bvecs)", ScalarTypeName(type));
}

Result<Matrix> ReadMatrix(const InputFile& file, ScalarType type, const ReadOptions& options) {
  const size_t element = BytesOf(type, 1);
  const auto shape = ReadShape(file, element, kMaxDim);
  if (!shape) return tl::unexpected(shape.error());
  return ReadSelected(file, type, *shape, options, [&](RowRange range, Matrix& to) {
    return ReadRows(file, shape->dim, element, range, to.data());
  });
}

}  // namespace

Result<BinShape> ReadVecsShape(const std::filesystem::path& path, ScalarType type) {
  if (auto ok = CheckType(path, type); !ok) return tl::unexpected(ok.error());
  return InputFile::Open(path).and_then(
      [&](const InputFile& file) { return ReadShape(file, BytesOf(type, 1), kMaxDim); });
}

Result<Matrix> ReadVecs(const std::filesystem::path& path, ScalarType type,
                        const ReadOptions& options) {
  if (auto ok = CheckType(path, type); !ok) return tl::unexpected(ok.error());
  return InputFile::Open(path).and_then(
      [&](const InputFile& file) { return ReadMatrix(file, type, options); });
}

Result<Matrix> ReadVecs(const ByteSource& source, ScalarType type, const ReadOptions& options) {
  if (auto ok = CheckType("stream", type); !ok) return tl::unexpected(ok.error());
  return InputFile::Gather(source).and_then(
      [&](const InputFile& file) { return ReadMatrix(file, type, options); });
}

Status WriteVecs(const std::filesystem::path& path, MatrixView rows) {
  if (auto ok = CheckType(path, rows.type()); !ok) return ok;
  if (auto ok = CheckWritable(path, rows.rows(), rows.dim()); !ok) return ok;
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  const auto dim = static_cast<int32_t>(rows.dim());
  for (size_t i = 0; i < rows.rows(); ++i) {
    if (auto ok = file->Append(&dim, sizeof(dim)); !ok) return ok;
    if (auto ok = file->Append(rows[i].data(), rows.row_bytes()); !ok) return ok;
  }
  return file->Commit();
}

Result<std::vector<uint32_t>> ReadIvecs(const std::filesystem::path& path, BinShape* shape) {
  auto file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  auto found = ReadShape(*file, sizeof(uint32_t), std::numeric_limits<int32_t>::max());
  if (!found) return tl::unexpected(found.error());
  std::vector<uint32_t> ids;
  if (auto ok = TryResize(path, ids, found->rows * found->dim); !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = ReadRows(*file, found->dim, sizeof(uint32_t), {0, found->rows},
                         reinterpret_cast<std::byte*>(ids.data()));
      !ok) {
    return tl::unexpected(ok.error());
  }
  if (shape != nullptr) *shape = *found;
  return ids;
}

Status WriteIvecs(const std::filesystem::path& path, std::span<const uint32_t> ids,
                  size_t columns) {
  if (auto ok = CheckWritableIds(path, ids.size(), columns); !ok) return ok;
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  const auto dim = static_cast<int32_t>(columns);
  for (size_t first = 0; first < ids.size(); first += columns) {
    const auto row = ids.subspan(first, columns);
    if (auto ok = file->Append(&dim, sizeof(dim)); !ok) return ok;
    if (auto ok = file->Append(row.data(), row.size_bytes()); !ok) return ok;
  }
  return file->Commit();
}

}  // namespace shoal
