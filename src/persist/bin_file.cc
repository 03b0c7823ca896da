// The .bin family: int32 rows, int32 columns, then the elements, row-major. docs/file_formats.md
// has the layout byte by byte.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "base/file.h"
#include "persist/dataset_checks.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

constexpr size_t kHeaderBytes = 8;
constexpr int64_t kMostRows = std::numeric_limits<int32_t>::max();

std::string SizeFormula(size_t rows, size_t dim, std::string_view type, size_t element) {
  return "8 + " + std::to_string(rows) + " rows x " + std::to_string(dim) + " x " +
         std::to_string(element) + " bytes of " + std::string(type);
}

// rows and columns, each in [1, its most].
Result<BinShape> ReadHeader(const InputFile& file, int64_t most_columns) {
  std::array<int32_t, 2> header;
  if (file.size() < sizeof(header)) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size", "at least 8 bytes (the header)",
                    std::to_string(file.size()) + " bytes");
  }
  if (auto read = file.ReadAt(0, header.data(), sizeof(header), "header"); !read) {
    return tl::unexpected(read.error());
  }
  if (auto ok = CheckRange(file.path(), "rows", header[0], 1, kMostRows); !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = CheckRange(file.path(), "dimension", header[1], 1, most_columns); !ok) {
    return tl::unexpected(ok.error());
  }
  return BinShape{static_cast<size_t>(header[0]), static_cast<size_t>(header[1])};
}

// The type, if any, that would make the file's size right: the likeliest reason why it is wrong.
std::optional<ScalarType> TypeThatFits(uint64_t size, BinShape shape) {
  for (ScalarType type : {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kUint8}) {
    if (size == kHeaderBytes + uint64_t{shape.rows} * shape.dim * ScalarSize(type)) return type;
  }
  return std::nullopt;
}

Result<BinShape> ReadShape(const InputFile& file, ScalarType type) {
  auto shape = ReadHeader(file, kMaxDim);
  if (!shape) return shape;
  const uint64_t bytes = kHeaderBytes + uint64_t{shape->rows} * shape->dim * ScalarSize(type);
  if (auto ok =
          CheckSize(file, bytes,
                    SizeFormula(shape->rows, shape->dim, ScalarTypeName(type), ScalarSize(type)));
      !ok) {
    if (const auto other = TypeThatFits(file.size(), *shape); other) {
      std::string_view name =
          *other == ScalarType::kUint8 ? "uint8 or int8" : ScalarTypeName(*other);
      ok.error().message += ", the size of " + std::string(name);
    }
    return tl::unexpected(ok.error());
  }
  return shape;
}

Status AppendHeader(OutputFile& file, size_t rows, size_t columns) {
  const std::array<int32_t, 2> header = {static_cast<int32_t>(rows), static_cast<int32_t>(columns)};
  return file.Append(header.data(), sizeof(header));
}

}  // namespace

Result<BinShape> ReadBinShape(const std::filesystem::path& path, ScalarType type) {
  return InputFile::Open(path).and_then(
      [&](const InputFile& file) { return ReadShape(file, type); });
}

Result<Matrix> ReadBin(const std::filesystem::path& path, ScalarType type,
                       const ReadOptions& options) {
  auto file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  auto shape = ReadShape(*file, type);
  if (!shape) return tl::unexpected(shape.error());
  auto range = SelectRows(path, shape->rows, options);
  if (!range) return tl::unexpected(range.error());
  auto matrix = Matrix::Create(type, range->count, shape->dim);
  if (!matrix) return MakeError(matrix.error().code, path.string() + ": " + matrix.error().message);
  const size_t row_bytes = matrix->row_bytes();
  if (auto read = file->ReadAt(kHeaderBytes + uint64_t{range->first} * row_bytes, matrix->data(),
                               range->count * row_bytes, "rows");
      !read) {
    return tl::unexpected(read.error());
  }
  if (options.require_finite) {
    if (auto ok = CheckFinite(path, *matrix, range->first); !ok) return tl::unexpected(ok.error());
  }
  return matrix;
}

Status WriteBin(const std::filesystem::path& path, MatrixView rows) {
  auto writer = BinWriter::Create(path, rows.type(), rows.rows(), rows.dim());
  if (!writer) return tl::unexpected(writer.error());
  if (auto ok = writer->Append(rows); !ok) return ok;
  return writer->Commit();
}

struct BinWriter::State {
  OutputFile file;
  std::filesystem::path path;
  ScalarType type;
  size_t rows;
  size_t dim;
  size_t written = 0;
};

BinWriter::BinWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
BinWriter::BinWriter(BinWriter&&) noexcept = default;
BinWriter& BinWriter::operator=(BinWriter&&) noexcept = default;
BinWriter::~BinWriter() = default;

Result<BinWriter> BinWriter::Create(const std::filesystem::path& path, ScalarType type, size_t rows,
                                    size_t dim) {
  if (auto ok = CheckWritable(path, rows, dim); !ok) return tl::unexpected(ok.error());
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = AppendHeader(*file, rows, dim); !ok) return tl::unexpected(ok.error());
  return BinWriter(std::unique_ptr<State>(new State{std::move(*file), path, type, rows, dim}));
}

Status BinWriter::Append(MatrixView rows) {
  State& s = *state_;
  if (rows.type() != s.type || rows.dim() != s.dim || rows.rows() > s.rows - s.written) {
    return Mismatch(ErrorCode::kInvalidArgument, s.path, "rows to append",
                    "at most " + DescribeShape(s.rows - s.written, s.dim, s.type),
                    DescribeShape(rows.rows(), rows.dim(), rows.type()));
  }
  s.written += rows.rows();
  return s.file.Append(rows.data(), rows.rows() * rows.row_bytes());
}

Status BinWriter::Commit() {
  State& s = *state_;
  if (s.written != s.rows) {
    return Mismatch(ErrorCode::kInvalidArgument, s.path, "rows written", std::to_string(s.rows),
                    std::to_string(s.written));
  }
  return s.file.Commit();
}

Result<std::vector<uint32_t>> ReadIdBin(const std::filesystem::path& path, BinShape* shape) {
  auto file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  auto header = ReadHeader(*file, kMostRows);
  if (!header) return tl::unexpected(header.error());
  // Both are below 2^31: the product and its 4 bytes fit into 64 bits.
  const uint64_t n = uint64_t{header->rows} * header->dim;
  if (auto ok = CheckSize(*file, kHeaderBytes + n * sizeof(uint32_t),
                          SizeFormula(header->rows, header->dim, "uint32", sizeof(uint32_t)));
      !ok) {
    return tl::unexpected(ok.error());
  }
  std::vector<uint32_t> ids;
  if (auto ok = TryResize(path, ids, n); !ok) return tl::unexpected(ok.error());
  if (auto read = file->ReadAt(kHeaderBytes, ids.data(), n * sizeof(uint32_t), "ids"); !read) {
    return tl::unexpected(read.error());
  }
  if (shape != nullptr) *shape = *header;
  return ids;
}

Status WriteIdBin(const std::filesystem::path& path, std::span<const uint32_t> ids,
                  size_t columns) {
  if (auto ok = CheckWritableIds(path, ids.size(), columns); !ok) return ok;
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = AppendHeader(*file, ids.size() / columns, columns); !ok) return ok;
  if (auto ok = file->Append(ids.data(), ids.size_bytes()); !ok) return ok;
  return file->Commit();
}

}  // namespace shoal
