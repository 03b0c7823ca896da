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
#include <nlohmann/json.hpp>
#include <optional>

#include "shoal/dataset.h"

namespace shoal::apps {
namespace {

using Json = nlohmann::json;

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::vector<std::string_view> Split(std::string_view line, std::string_view separators) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0;;) {
    const size_t end = line.find_first_of(separators, begin);
    fields.push_back(Trimmed(line.substr(begin, end - begin)));
    if (end == std::string_view::npos) return fields;
    begin = end + 1;
  }
}

std::optional<double> NumberOf(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
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

Result<std::vector<double>> NumbersOf(const std::vector<std::string_view>& fields) {
  std::vector<double> values;
  values.reserve(fields.size());
  for (const std::string_view field : fields) {
    const auto value = NumberOf(field);
    if (!value)
      return Invalid(
          fmt::format("element {}: expected a number, found '{}'", values.size(), field));
    values.push_back(*value);
  }
  return values;
}

struct Line {
  std::optional<uint64_t> id;
  std::vector<double> values;
};

Result<Line> ParseJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Invalid("expected JSON, found something else");
  const Json* vector = &json;
  Line line;
  if (json.is_object()) {
    const auto found = json.find("vector");
    if (found == json.end()) return Invalid("vector: expected a field of this name, found none");
    vector = &*found;
    if (const auto id = json.find("id"); id != json.end()) {
      if (!id->is_number_integer() || (id->is_number_integer() && !id->is_number_unsigned()))
        return Invalid("id: expected a whole number from 0 to 2^64 - 1, found " + id->dump());
      line.id = id->get<uint64_t>();
    }
  }
  if (!vector->is_array()) return Invalid("vector: expected an array");
  line.values.reserve(vector->size());
  for (const Json& element : *vector) {
    if (!element.is_number())
      return Invalid(fmt::format("element {}: expected a number, found {}", line.values.size(),
                                 element.dump()));
    line.values.push_back(element.get<double>());
  }
  return line;
}

Result<Line> ParseCsv(std::string_view text, bool has_id) {
  std::vector<std::string_view> fields = Split(text, ",;\t");
  Line line;
  if (has_id) {
    const Result<uint64_t> id = ParseId(fields[0]);
    if (!id) return tl::unexpected(id.error());
    line.id = *id;
    fields.erase(fields.begin());
  }
  Result<std::vector<double>> values = NumbersOf(fields);
  if (!values) return tl::unexpected(values.error());
  line.values = *std::move(values);
  return line;
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

Result<RowsRead> ReadLines(const std::string& name, Format format, const ReadRowsOptions& options) {
  Result<Input> input = Input::Open(name);
  if (!input) return tl::unexpected(input.error());
  RowsRead rows;
  std::string text;
  for (size_t number = 1; std::getline(input->stream(), text); ++number) {
    const std::string_view trimmed = Trimmed(text);
    if (trimmed.empty()) continue;
    if (format == Format::kCsv && number == 1 && !NumberOf(Split(trimmed, ",;\t")[0])) continue;
    Result<Line> line =
        format == Format::kCsv ? ParseCsv(trimmed, options.ids_in_csv) : ParseJson(trimmed);
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
  return ReadBinary(input, format, options);
}

Result<std::vector<std::byte>> ParseVector(std::string_view text, ScalarType type, size_t dim) {
  text = Trimmed(text);
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const Result<std::vector<double>> values = NumbersOf(Split(text, ","));
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

Result<uint64_t> ParseId(std::string_view text) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return Invalid(fmt::format("id: expected a whole number from 0 to 2^64 - 1, found '{}'", text));
  return id;
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
