#include "jobs/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace shoal::bench {
namespace {

// |a - b|^2 <= (|a| + |b|)^2 <= 2^24, up to which a float holds every integer.
constexpr double kMaxSquaredLength = 1 << 22;

template <class T>
T ElementAt(const std::byte* data, size_t i) {
  T value;
  std::memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

float ToFloat(const Matrix& rows, size_t i) {
  switch (rows.type()) {
    case ScalarType::kFloat32: return ElementAt<float>(rows.data(), i);
    case ScalarType::kFloat16: return HalfToFloat(ElementAt<Half>(rows.data(), i));
    case ScalarType::kInt8: return ElementAt<int8_t>(rows.data(), i);
    case ScalarType::kUint8: return ElementAt<uint8_t>(rows.data(), i);
    case ScalarType::kBit: break;
  }
  return 0;
}

// False: the type has no such number.
template <class T>
bool PutInteger(std::byte* out, size_t i, float value, float least, float most) {
  if (!(least <= value && value <= most) || std::trunc(value) != value) return false;
  const auto integer = static_cast<T>(value);
  std::memcpy(out + i * sizeof(T), &integer, sizeof(T));
  return true;
}

bool Put(Matrix& rows, size_t i, float value) {
  switch (rows.type()) {
    case ScalarType::kFloat32:
      std::memcpy(rows.data() + i * sizeof(float), &value, sizeof(float));
      return true;
    case ScalarType::kFloat16: {
      const Half half = FloatToHalf(value);
      std::memcpy(rows.data() + i * sizeof(Half), &half, sizeof(Half));
      return HalfToFloat(half) == value;
    }
    case ScalarType::kInt8: return PutInteger<int8_t>(rows.data(), i, value, -128, 127);
    case ScalarType::kUint8: return PutInteger<uint8_t>(rows.data(), i, value, 0, 255);
    case ScalarType::kBit: break;
  }
  return false;
}

struct Format {
  std::string_view extension;
  ScalarType type;  // Of .npy the file says it.
  Result<Matrix> (*read)(const std::filesystem::path&, ScalarType, const ReadOptions&);
};

Result<Matrix> ReadNpyOfAnyType(const std::filesystem::path& path, ScalarType,
                                const ReadOptions& options) {
  return ReadNpy(path, options);
}

constexpr Format kFormats[] = {
    {".fbin", ScalarType::kFloat32, ReadBin},   {".f16bin", ScalarType::kFloat16, ReadBin},
    {".u8bin", ScalarType::kUint8, ReadBin},    {".i8bin", ScalarType::kInt8, ReadBin},
    {".fvecs", ScalarType::kFloat32, ReadVecs}, {".bvecs", ScalarType::kUint8, ReadVecs},
    {".bbin", ScalarType::kBit, ReadBin},       {".npy", ScalarType::kFloat32, ReadNpyOfAnyType},
};

}  // namespace

Expected<Matrix> ReadRows(const std::filesystem::path& path, size_t rows) {
  const ReadOptions options{.max_rows = rows == 0 ? SIZE_MAX : rows};
  const std::string extension = path.extension().string();
  const auto* const format = std::ranges::find(kFormats, extension, &Format::extension);
  if (format != std::end(kFormats)) {
    auto read = Plain(format->read(path, format->type, options));
    if (!read) return read;
    return FirstRows(std::move(*read), rows, path.string());
  }
  std::vector<std::string_view> known;
  for (const Format& each : kFormats) known.push_back(each.extension);
  return tl::unexpected(fmt::format("{}: extension: expected one of {}, found \"{}\"",
                                    path.string(), fmt::join(known, ", "), extension));
}

Expected<Matrix> FirstRows(Matrix from, size_t rows, std::string_view name) {
  if (rows == 0 || from.rows() == rows) return from;
  if (from.rows() < rows) {
    return tl::unexpected(
        fmt::format("{}: rows: expected at least {}, found {}", name, rows, from.rows()));
  }
  auto to = Plain(Matrix::Create(from.type(), rows, from.dim()));
  if (to) std::memcpy(to->data(), from.data(), rows * from.row_bytes());
  return to;
}

Expected<Matrix> ConvertRows(Matrix rows, ScalarType type, std::string_view name) {
  if (rows.type() == type) return rows;
  if (type == ScalarType::kBit && rows.type() == ScalarType::kUint8)
    return Plain(Matrix::OfPackedBits(std::move(rows)));
  if (type == ScalarType::kBit || rows.type() == ScalarType::kBit)
    return tl::unexpected(
        fmt::format("{}: scalar type: expected {}, found {}", name,
                    type == ScalarType::kBit ? "bit or uint8" : ScalarTypeName(type),
                    ScalarTypeName(rows.type())));
  Expected<Matrix> converted = Plain(Matrix::Create(type, rows.rows(), rows.dim()));
  if (!converted) return converted;
  for (size_t i = 0; i < rows.rows() * rows.dim(); ++i) {
    const float value = ToFloat(rows, i);
    if (Put(*converted, i, value)) continue;
    return tl::unexpected(
        fmt::format("{}: row {}, column {}: expected a number that {} holds, "
                    "found {}",
                    name, i / rows.dim(), i % rows.dim(), ScalarTypeName(type), value));
  }
  return converted;
}

Expected<void> CheckExact(const Matrix& rows, std::string_view name) {
  if (rows.type() != ScalarType::kFloat32 && rows.type() != ScalarType::kFloat16) return {};
  for (size_t row = 0; row < rows.rows(); ++row) {
    double squared_length = 0;
    for (size_t column = 0; column < rows.dim(); ++column) {
      const float value = ToFloat(rows, row * rows.dim() + column);
      if (std::trunc(value) != value)
        return tl::unexpected(fmt::format("{}: row {}, column {}: expected an integer, found {}",
                                          name, row, column, value));
      squared_length += double{value} * value;
    }
    if (squared_length > kMaxSquaredLength)
      return tl::unexpected(fmt::format("{}: row {}: squared length: expected at most {}, found {}",
                                        name, row, kMaxSquaredLength, squared_length));
  }
  return {};
}

std::string_view ShortName(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat32: return "f32";
    case ScalarType::kFloat16: return "f16";
    case ScalarType::kInt8: return "i8";
    case ScalarType::kUint8: return "u8";
    case ScalarType::kBit: return "b1";
  }
  return "";
}

}  // namespace shoal::bench
