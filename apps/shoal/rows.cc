#include "apps/shoal/rows.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>

#include "apps/shoal/lines.h"
#include "shoal/dataset.h"

namespace shoal::apps {
namespace {

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

// Writes element i of a vector whose bytes are 0.
Status Put(double value, ScalarType type, size_t i, std::byte* vector) {
  const auto whole = [&](double low, double high) -> Status {
    if (value >= low && value <= high && value == std::floor(value)) return {};
    return Invalid(fmt::format("element {}: expected a whole number from {} to {}, found {}", i,
                               low, high, value));
  };
  const auto write = [&](auto element) {
    std::memcpy(vector + i * sizeof(element), &element, sizeof(element));
    return Status();
  };
  Status fits;
  switch (type) {
    case ScalarType::kFloat32: return write(static_cast<float>(value));
    case ScalarType::kFloat16: return write(FloatToHalf(static_cast<float>(value)));
    case ScalarType::kInt8:
      fits = whole(-128, 127);
      return fits ? write(static_cast<int8_t>(value)) : fits;
    case ScalarType::kUint8:
      fits = whole(0, 255);
      return fits ? write(static_cast<uint8_t>(value)) : fits;
    case ScalarType::kBit:
      fits = whole(0, 1);
      if (fits && value == 1) vector[i / 8] |= std::byte{1} << i % 8;
      return fits;
  }
  return {};
}

Result<std::vector<std::byte>> VectorOf(const std::vector<double>& values, ScalarType type,
                                        size_t dim) {
  if (values.size() != dim)
    return Invalid(fmt::format("vector: expected {} elements, found {}", dim, values.size()));
  std::vector<std::byte> vector(BytesOf(type, dim));
  for (size_t i = 0; i < dim; ++i)
    if (Status put = Put(values[i], type, i, vector.data()); !put)
      return tl::unexpected(put.error());
  return vector;
}

// Standard input, or a file that is opened.
class Input {
 public:
  static Result<Input> Open(const std::string& name) {
    Input input;
    if (name == "-") return input;
    input.file_ = std::make_unique<std::ifstream>(name);
    if (*input.file_) return input;
    const int error = errno;
    return MakeError(error == ENOENT ? ErrorCode::kFileNotFound : ErrorCode::kIo,
                     fmt::format("{}: cannot read: {}", name, std::strerror(error)));
  }
  std::istream& stream() { return file_ ? *file_ : std::cin; }

 private:
  std::unique_ptr<std::ifstream> file_;
};

Format FormatOf(const std::string& input) {
  const std::string suffix = std::filesystem::path(input).extension().string();
  constexpr std::pair<std::string_view, Format> kSuffixes[] = {
      {".csv", Format::kCsv},     {".tsv", Format::kCsv},     {".npy", Format::kNpy},
      {".fvecs", Format::kFvecs}, {".bvecs", Format::kBvecs}, {".bin", Format::kBin},
      {".fbin", Format::kBin},    {".u8bin", Format::kBin},   {".i8bin", Format::kBin}};
  for (const auto& [name, format] : kSuffixes)
    if (suffix == name) return format;
  return Format::kJsonl;
}

// Without its end, and, of a file's first line, without a byte order mark.
std::string_view LineOf(std::string_view text, size_t number) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (number == 1 && text.starts_with(kMark)) text.remove_prefix(kMark.size());
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

Result<RowsRead> ReadLines(const std::string& name, Format format, const ReadRowsOptions& options) {
  Result<Input> input = Input::Open(name);
  if (!input) return tl::unexpected(input.error());
  RowsRead rows;
  CsvLines csv(options.columns, options.ids_in_csv);
  std::string text;
  for (size_t number = 1; std::getline(input->stream(), text); ++number) {
    const std::string_view line_text = LineOf(text, number);
    if (Trimmed(line_text).empty()) continue;
    if (format == Format::kCsv && number == 1) {
      const Result<bool> is_heading = csv.TakeHeading(line_text);
      if (!is_heading)
        return Invalid(fmt::format("{}: line 1: {}", name, is_heading.error().message));
      if (*is_heading) continue;
    }
    Result<Line> line =
        format == Format::kCsv ? csv.Parse(line_text) : ParseJson(line_text, options.columns);
    Result<std::vector<std::byte>> vector =
        line ? VectorOf(line->values, options.type, options.dim)
             : Result<std::vector<std::byte>>(tl::unexpected(line.error()));
    if (!vector) {
      rows.bad.push_back({number, vector.error().message});
      if (options.bail) return Invalid(fmt::format("line {}: {}", number, vector.error().message));
      continue;
    }
    rows.ids.push_back(line->id.value_or(options.first_id + rows.ids.size()));
    rows.lines.push_back(number);
    rows.elements.insert(rows.elements.end(), vector->begin(), vector->end());
  }
  if (input->stream().bad()) return MakeError(ErrorCode::kIo, name + ": reading failed");
  return rows;
}

// A ByteSource.
Result<size_t> TakeStandardInput(std::span<std::byte> bytes) {
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, bytes.data(), bytes.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR)
      return MakeError(ErrorCode::kIo,
                       fmt::format("standard input: cannot read: {}", std::strerror(errno)));
  }
}

// `from`: a path, or a ByteSource.
template <class From>
Result<Matrix> ReadMatrix(const From& from, Format format, ScalarType type) {
  const ReadOptions all{.require_finite = false};
  switch (format) {
    case Format::kNpy: return ReadNpy(from, all);
    case Format::kFvecs: return ReadVecs(from, ScalarType::kFloat32, all);
    case Format::kBvecs:
      return ReadVecs(from, type == ScalarType::kInt8 ? type : ScalarType::kUint8, all);
    default: return ReadBin(from, type, all);
  }
}

Result<RowsRead> ReadBinary(const std::string& input, Format format,
                            const ReadRowsOptions& options) {
  Result<Matrix> matrix = input == "-"
                              ? ReadMatrix(ByteSource(TakeStandardInput), format, options.type)
                              : ReadMatrix(input, format, options.type);
  if (matrix && options.type == ScalarType::kBit && matrix->type() == ScalarType::kUint8)
    matrix = Matrix::OfPackedBits(*std::move(matrix), options.dim);
  if (!matrix) return tl::unexpected(matrix.error());
  if (matrix->type() != options.type || matrix->dim() != options.dim)
    return Invalid(fmt::format("{}: expected {} elements of {}, found {} of {}", input, options.dim,
                               ScalarTypeName(options.type), matrix->dim(),
                               ScalarTypeName(matrix->type())));
  RowsRead rows;
  rows.elements.assign(matrix->data(), matrix->data() + matrix->rows() * matrix->row_bytes());
  if (options.ids.empty()) {
    for (size_t i = 0; i < matrix->rows(); ++i) rows.ids.push_back(options.first_id + i);
    return rows;
  }
  Result<std::vector<uint64_t>> ids = ReadIds(options.ids.string());
  if (!ids) return tl::unexpected(ids.error());
  if (ids->size() != matrix->rows())
    return Invalid(fmt::format("{}: expected an id for each of {} rows, found {}",
                               options.ids.string(), matrix->rows(), ids->size()));
  rows.ids = *std::move(ids);
  return rows;
}

}  // namespace

Result<RowsRead> ReadRows(const std::string& input, const ReadRowsOptions& options) {
  const Format format = options.format == Format::kAuto ? FormatOf(input) : options.format;
  if (format == Format::kJsonl || format == Format::kCsv) return ReadLines(input, format, options);
  if (!options.columns.id.empty() || !options.columns.vector.empty())
    return Invalid(input + ": --id-column, --vector-column: expected JSON lines or CSV");
  return ReadBinary(input, format, options);
}

Result<std::vector<std::byte>> ParseVector(std::string_view text, ScalarType type, size_t dim) {
  const Result<std::vector<double>> values = ParseNumbers(text);
  if (!values) return tl::unexpected(values.error());
  return VectorOf(*values, type, dim);
}

std::string ElementsText(VectorView vector) {
  std::string text;
  const auto* bytes = static_cast<const std::byte*>(vector.data());
  const auto element = [&]<class T>(size_t i, T value) {
    std::memcpy(&value, bytes + i * sizeof(value), sizeof(value));
    return value;
  };
  for (size_t i = 0; i < vector.dim(); ++i) {
    if (i > 0) text += ',';
    switch (vector.type()) {
      case ScalarType::kFloat32: text += fmt::format("{}", element(i, float{})); break;
      case ScalarType::kFloat16: text += fmt::format("{}", HalfToFloat(element(i, Half{}))); break;
      case ScalarType::kInt8: text += fmt::format("{}", int{element(i, int8_t{})}); break;
      case ScalarType::kUint8: text += fmt::format("{}", int{element(i, uint8_t{})}); break;
      case ScalarType::kBit:
        text += (bytes[i / 8] >> i % 8 & std::byte{1}) == std::byte{1} ? '1' : '0';
        break;
    }
  }
  return text;
}

Result<std::vector<uint64_t>> ReadIds(const std::string& input) {
  if (FormatOf(input) == Format::kNpy) return ReadIdNpy(input);
  Result<Input> opened = Input::Open(input);
  if (!opened) return tl::unexpected(opened.error());
  std::vector<uint64_t> ids;
  std::string text;
  for (size_t number = 1; std::getline(opened->stream(), text); ++number) {
    const std::string_view trimmed = Trimmed(text);
    if (trimmed.empty()) continue;
    const Result<uint64_t> id = ParseId(trimmed);
    if (!id) return Invalid(fmt::format("line {}: {}", number, id.error().message));
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace shoal::apps
