// The .bin family: uint32 rows, uint32 columns (or both uint64), then the elements, row-major.
// docs/file_formats.md has the layout byte by byte.
//
// Of bits, columns are bytes of packed bits, as in files of uint8, or single bits: a file's size
// tells which. Those that are written are bytes if no bit of a row's last byte is left over.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "base/file.h"
#include "persist/dataset_checks.h"
#include "persist/dataset_layout.h"
#include "persist/file_kind.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

constexpr size_t kMaxIds = std::numeric_limits<int32_t>::max();
// What the ids and the vectors of a file may be. The product and its 4 bytes fit into 64 bits.
constexpr BinShape kMaxOfIds = {kMaxIds, kMaxIds};
constexpr BinShape kMaxOfVectors = {std::numeric_limits<uint32_t>::max(), kMaxDim};
constexpr std::string_view kExpected =
    "a .bin (uint32 rows, uint32 dimension, then the numbers of each row)";

struct Header {
  BinShape shape;  // As it says: `dim` columns.
  size_t bytes = 0;

  uint64_t FileBytes(size_t row_bytes) const { return bytes + uint64_t{shape.rows} * row_bytes; }
};

// "8 + 10 rows x 4 x 4 bytes of float32".
std::string SizeFormula(const Header& header, std::string_view type, size_t element) {
  return std::to_string(header.bytes) + " + " + std::to_string(header.shape.rows) + " rows x " +
         std::to_string(header.shape.dim) + " x " + std::to_string(element) + " bytes of " +
         std::string(type);
}

// The columns of a file of `dim` elements of `type`.
size_t ColumnsOf(ScalarType type, size_t dim) {
  return type == ScalarType::kBit && dim % 8 == 0 ? dim / 8 : dim;
}

// Rows and columns, each in [1, its most], as two uint32 or two uint64. The second uint32 tells
// them apart: as a dimension it is not 0, as the upper half of a number of rows it is.
Result<Header> ReadHeader(const InputFile& file, BinShape most) {
  std::array<uint32_t, 4> words = {};
  const size_t there = std::min<uint64_t>(sizeof(words), file.size());
  if (there < 2 * sizeof(uint32_t)) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size", "at least 8 bytes (the header)",
                    std::to_string(there) + " bytes");
  }
  if (auto read = file.ReadAt(0, words.data(), there, "header"); !read) {
    return tl::unexpected(read.error());
  }
  const bool wide = words[1] == 0 && words[2] != 0 && words[3] == 0;
  const Header header = {{words[0], wide ? words[2] : words[1]}, (wide ? 4 : 2) * sizeof(uint32_t)};
  if (auto ok = CheckRange(file.path(), "rows", words[0], 1, static_cast<int64_t>(most.rows));
      !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = CheckRange(file.path(), "dimension", static_cast<int64_t>(header.shape.dim), 1,
                           static_cast<int64_t>(most.dim));
      !ok) {
    return tl::unexpected(ok.error());
  }
  return header;
}

// The type, if any, that would make the file's size right: the likeliest reason why it is wrong.
std::optional<ScalarType> TypeThatFits(uint64_t size, const Header& header) {
  for (ScalarType type : {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kUint8}) {
    if (size == header.FileBytes(BytesOf(type, header.shape.dim))) return type;
  }
  return std::nullopt;
}

// Whose `dim` becomes that of the vectors.
Result<Header> ReadBitsHeader(const InputFile& file, Header header) {
  const size_t columns = header.shape.dim;
  if (columns <= kMaxDim / 8 && file.size() == header.FileBytes(columns)) {
    header.shape.dim = columns * 8;
    return header;
  }
  const std::string rows =
      std::to_string(header.bytes) + " + " + std::to_string(header.shape.rows) + " rows x ";
  const auto ok = CheckSize(file, header.FileBytes(BytesOf(ScalarType::kBit, columns)),
                            rows + std::to_string(columns) + " bits in whole bytes, or " + rows +
                                std::to_string(columns) + " bytes of 8 bits");
  if (!ok) return ExplainError(file, kExpected, ok.error());
  return header;
}

Result<Header> ReadVectorHeader(const InputFile& file, ScalarType type) {
  auto header = ReadHeader(file, kMaxOfVectors);
  if (!header) return ExplainError(file, kExpected, header.error());
  if (type == ScalarType::kBit) return ReadBitsHeader(file, *header);
  const size_t element = BytesOf(type, 1);
  auto ok = CheckSize(file, header->FileBytes(BytesOf(type, header->shape.dim)),
                      SizeFormula(*header, ScalarTypeName(type), element));
  if (ok) return header;
  const auto other = TypeThatFits(file.size(), *header);
  if (!other) return ExplainError(file, kExpected, ok.error());
  ok.error().message.append(", the size of ");
  ok.error().message.append(*other == ScalarType::kUint8 ? "uint8 or int8"
                                                         : ScalarTypeName(*other));
  return tl::unexpected(ok.error());
}

Result<Header> ReadIdHeader(const InputFile& file) {
  auto header = ReadHeader(file, kMaxOfIds);
  if (!header) return ExplainError(file, kExpected, header.error());
  const auto ok = CheckSize(file, header->FileBytes(header->shape.dim * sizeof(uint32_t)),
                            SizeFormula(*header, "uint32", sizeof(uint32_t)));
  if (!ok) return ExplainError(file, kExpected, ok.error());
  return header;
}

Result<Matrix> ReadRows(const InputFile& file, ScalarType type, const ReadOptions& options) {
  auto header = ReadVectorHeader(file, type);
  if (!header) return tl::unexpected(header.error());
  return ReadSelected(file, type, header->shape, options, [&](RowRange range, Matrix& to) {
    return file.ReadAt(header->bytes + uint64_t{range.first} * to.row_bytes(), to.data(),
                       range.count * to.row_bytes(), "rows");
  });
}

Status AppendHeader(OutputFile& file, size_t rows, size_t columns) {
  const std::array<int32_t, 2> header = {static_cast<int32_t>(rows), static_cast<int32_t>(columns)};
  return file.Append(header.data(), sizeof(header));
}

}  // namespace

Result<DatasetLayout> BinLayout(const InputFile& file, ScalarType type) {
  const Result<Header> header = ReadVectorHeader(file, type);
  if (!header) return tl::unexpected(header.error());
  return DatasetLayout{header->bytes, header->shape.rows, header->shape.dim};
}

Status AppendBinHeader(OutputFile& file, ScalarType type, size_t rows, size_t dim) {
  return AppendHeader(file, rows, ColumnsOf(type, dim));
}

Result<BinShape> ReadBinShape(const std::filesystem::path& path, ScalarType type) {
  const Result<InputFile> file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  const Result<Header> header = ReadVectorHeader(*file, type);
  if (!header) return tl::unexpected(header.error());
  return header->shape;
}

Result<Matrix> ReadBin(const std::filesystem::path& path, ScalarType type,
                       const ReadOptions& options) {
  return InputFile::Open(path).and_then(
      [&](const InputFile& file) { return ReadRows(file, type, options); });
}

Result<Matrix> ReadBin(const ByteSource& source, ScalarType type, const ReadOptions& options) {
  return InputFile::Gather(source).and_then(
      [&](const InputFile& file) { return ReadRows(file, type, options); });
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
  if (auto ok = AppendBinHeader(*file, type, rows, dim); !ok) return tl::unexpected(ok.error());
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
  auto header = ReadIdHeader(*file);
  if (!header) return tl::unexpected(header.error());
  const uint64_t n = uint64_t{header->shape.rows} * header->shape.dim;
  std::vector<uint32_t> ids;
  if (auto ok = TryResize(path, ids, n); !ok) return tl::unexpected(ok.error());
  if (auto read = file->ReadAt(header->bytes, ids.data(), n * sizeof(uint32_t), "ids"); !read) {
    return tl::unexpected(read.error());
  }
  if (shape != nullptr) *shape = header->shape;
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
