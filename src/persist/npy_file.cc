// NumPy's .npy: "\x93NUMPY", major, minor, the header's length (u16 in version 1, u32 after), the
// header (npy_header.h), the numbers.
#include <array>
#include <cstring>
#include <limits>
#include <optional>

#include "base/file.h"
#include "persist/dataset_checks.h"
#include "persist/file_kind.h"
#include "persist/npy_header.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

constexpr std::array<unsigned char, 6> kMagic = {0x93, 'N', 'U', 'M', 'P', 'Y'};
// Versions 2 and 3 allow 4 GiB, for types of thousands of fields; no matrix needs it.
constexpr int64_t kMostHeaderBytes = 65536;
constexpr size_t kAlignment = 64;  // Of the numbers in the file, as NumPy writes.

struct Layout {
  ScalarType type = ScalarType::kFloat32;
  size_t rows = 0;
  size_t dim = 0;
  uint64_t offset = 0;  // Of the numbers.
};

std::optional<ScalarType> TypeOfDescr(std::string_view descr) {
  if (descr == "<f4") return ScalarType::kFloat32;
  if (descr == "<f2") return ScalarType::kFloat16;
  if (descr == "|i1" || descr == "<i1") return ScalarType::kInt8;
  if (descr == "|u1" || descr == "<u1") return ScalarType::kUint8;
  return std::nullopt;
}

std::string_view DescrOfType(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat32: return "<f4";
    case ScalarType::kFloat16: return "<f2";
    case ScalarType::kInt8: return "|i1";
    case ScalarType::kUint8: return "|u1";
  }
  return "?";
}

// The header's text; `offset` becomes that of the byte behind it.
Result<std::string> ReadHeaderText(const InputFile& file, uint64_t* offset) {
  std::array<unsigned char, 12> head = {};
  if (auto ok = file.ReadAt(0, head.data(), 8, "magic and version"); !ok) {
    return tl::unexpected(ok.error());
  }
  if (std::memcmp(head.data(), kMagic.data(), kMagic.size()) != 0) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "magic", "\\x93NUMPY",
                    RecognizeFile(file).value_or("other bytes"));
  }
  const unsigned version = head[6];
  if (version < 1 || version > 3 || head[7] != 0) {
    return Mismatch(ErrorCode::kUnsupported, file.path(), "version", "1.0, 2.0 or 3.0",
                    std::to_string(version) + "." + std::to_string(head[7]));
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (auto ok = file.ReadAt(8, head.data() + 8, length_bytes, "header length"); !ok) {
    return tl::unexpected(ok.error());
  }
  uint32_t length = 0;
  std::memcpy(&length, head.data() + 8, length_bytes);
  if (auto ok = CheckRange(file.path(), "header length", length, 2, kMostHeaderBytes); !ok) {
    return tl::unexpected(ok.error());
  }
  std::string text(length, '\0');
  if (auto ok = file.ReadAt(8 + length_bytes, text.data(), length, "header"); !ok) {
    return tl::unexpected(ok.error());
  }
  *offset = 8 + length_bytes + length;
  return text;
}

std::string DescribeAxes(const std::vector<uint64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

Result<Layout> ReadLayout(const InputFile& file) {
  Layout layout;
  auto text = ReadHeaderText(file, &layout.offset);
  if (!text) return tl::unexpected(text.error());
  auto header = ParseNpyHeader(*text);
  if (!header) {
    return MakeError(header.error().code, file.path().string() + ": " + header.error().message);
  }
  const auto type = TypeOfDescr(header->descr);
  if (!type) {
    return Mismatch(ErrorCode::kUnsupported, file.path(), "descr", "'<f4', '<f2', '|i1' or '|u1'",
                    std::string("'").append(header->descr, 0, 32).append("'"));
  }
  if (header->fortran_order) {
    return Mismatch(ErrorCode::kUnsupported, file.path(), "fortran_order", "False", "True");
  }
  constexpr uint64_t kMostRows = std::numeric_limits<int32_t>::max();
  const auto& shape = header->shape;
  if (shape.size() != 2 || shape[0] < 1 || shape[0] > kMostRows || shape[1] < 1 ||
      shape[1] > kMaxDim) {
    return Mismatch(shape.size() != 2 ? ErrorCode::kUnsupported : ErrorCode::kCorrupt, file.path(),
                    "shape",
                    "(rows, dimension) with 1 to " + std::to_string(kMostRows) + " rows and 1 to " +
                        std::to_string(kMaxDim) + " columns",
                    DescribeAxes(shape));
  }
  layout.type = *type;
  layout.rows = shape[0];
  layout.dim = shape[1];
  const uint64_t bytes = uint64_t{layout.rows} * layout.dim * ScalarSize(layout.type);
  if (auto ok = CheckSize(file, layout.offset + bytes,
                          "header of " + std::to_string(layout.offset) + ", " +
                              DescribeShape(layout.rows, layout.dim, layout.type));
      !ok) {
    return tl::unexpected(ok.error());
  }
  return layout;
}

}  // namespace

Result<Matrix> ReadNpy(const std::filesystem::path& path, const ReadOptions& options) {
  auto file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  auto layout = ReadLayout(*file);
  if (!layout) return tl::unexpected(layout.error());
  auto range = SelectRows(path, layout->rows, options);
  if (!range) return tl::unexpected(range.error());
  auto matrix = Matrix::Create(layout->type, range->count, layout->dim);
  if (!matrix) return MakeError(matrix.error().code, path.string() + ": " + matrix.error().message);
  if (auto ok = file->ReadAt(layout->offset + uint64_t{range->first} * matrix->row_bytes(),
                             matrix->data(), range->count * matrix->row_bytes(), "rows");
      !ok) {
    return tl::unexpected(ok.error());
  }
  if (options.require_finite) {
    if (auto ok = CheckFinite(path, *matrix, range->first); !ok) return tl::unexpected(ok.error());
  }
  return matrix;
}

Status WriteNpy(const std::filesystem::path& path, MatrixView rows) {
  if (auto ok = CheckWritable(path, rows.rows(), rows.dim()); !ok) return ok;
  std::string head(kMagic.begin(), kMagic.end());
  head += {1, 0, 0, 0};  // Version 1.0; the length is filled in below.
  head += "{'descr': '" + std::string(DescrOfType(rows.type())) +
          "', 'fortran_order': False, 'shape': (" + std::to_string(rows.rows()) + ", " +
          std::to_string(rows.dim()) + "), }";
  head.append(kAlignment - 1 - head.size() % kAlignment, ' ');
  head += '\n';
  const auto length = static_cast<uint16_t>(head.size() - 10);
  std::memcpy(head.data() + 8, &length, sizeof(length));
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = file->Append(head.data(), head.size()); !ok) return ok;
  if (auto ok = file->Append(rows.data(), rows.rows() * rows.row_bytes()); !ok) return ok;
  return file->Commit();
}

}  // namespace shoal
