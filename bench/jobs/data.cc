#include "jobs/data.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

namespace shoal::bench {
namespace {

// |a - b|^2 <= (|a| + |b|)^2 <= 2^24, up to which a float holds every integer.
constexpr double kMostSquaredLength = 1 << 22;

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
  }
  return false;
}

template <class T>
Expected<T> Plain(Result<T> result) {
  if (!result) return tl::unexpected(result.error().message);
  return std::move(*result);
}

}  // namespace

Expected<Matrix> ReadRows(const std::filesystem::path& path, size_t max_rows) {
  const ReadOptions options{.max_rows = max_rows == 0 ? SIZE_MAX : max_rows};
  const std::string extension = path.extension().string();
  if (extension == ".fbin") return Plain(ReadBin(path, ScalarType::kFloat32, options));
  if (extension == ".u8bin") return Plain(ReadBin(path, ScalarType::kUint8, options));
  if (extension == ".i8bin") return Plain(ReadBin(path, ScalarType::kInt8, options));
  if (extension == ".fvecs") return Plain(ReadVecs(path, ScalarType::kFloat32, options));
  if (extension == ".bvecs") return Plain(ReadVecs(path, ScalarType::kUint8, options));
  if (extension == ".npy") return Plain(ReadNpy(path, options));
  return tl::unexpected(
      fmt::format("{}: extension: expected .fbin, .u8bin, .i8bin, .fvecs, .bvecs or .npy, found "
                  "\"{}\"",
                  path.string(), extension));
}

Expected<Matrix> ConvertRows(Matrix rows, ScalarType type, std::string_view name) {
  if (rows.type() == type) return rows;
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
  if (rows.type() == ScalarType::kInt8 || rows.type() == ScalarType::kUint8) return {};
  for (size_t row = 0; row < rows.rows(); ++row) {
    double squared_length = 0;
    for (size_t column = 0; column < rows.dim(); ++column) {
      const float value = ToFloat(rows, row * rows.dim() + column);
      if (std::trunc(value) != value)
        return tl::unexpected(fmt::format("{}: row {}, column {}: expected an integer, found {}",
                                          name, row, column, value));
      squared_length += double{value} * value;
    }
    if (squared_length > kMostSquaredLength)
      return tl::unexpected(fmt::format("{}: row {}: squared length: expected at most {}, found {}",
                                        name, row, kMostSquaredLength, squared_length));
  }
  return {};
}

std::string_view ShortName(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat32: return "f32";
    case ScalarType::kFloat16: return "f16";
    case ScalarType::kInt8: return "i8";
    case ScalarType::kUint8: return "u8";
  }
  return "";
}

}  // namespace shoal::bench
