#include "runbook/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runbook/hdf5_file.h"

namespace shoal::bench {
namespace {

constexpr struct {
  std::string_view ending;
  ScalarType type;
} kBinEndings[] = {{".fbin", ScalarType::kFloat32},
                   {".f16bin", ScalarType::kFloat16},
                   {".u8bin", ScalarType::kUint8},
                   {".i8bin", ScalarType::kInt8}};

float Value(const std::byte* row, ScalarType type, size_t i) {
  const auto load = [&]<class T>(T value) {
    std::memcpy(&value, row + i * sizeof(T), sizeof(T));
    return value;
  };
  switch (type) {
    case ScalarType::kFloat32: return load(0.0f);
    case ScalarType::kFloat16: return HalfToFloat(load(Half()));
    case ScalarType::kInt8: return load(int8_t{0});
    case ScalarType::kUint8: return load(uint8_t{0});
  }
  return 0;
}

// Writes `value` as element i; false if the type does not have it.
bool Put(float value, ScalarType type, std::byte* row, size_t i) {
  const auto store = [&](auto element, float back) {
    std::memcpy(row + i * sizeof(element), &element, sizeof(element));
    return back == value;
  };
  switch (type) {
    case ScalarType::kFloat32: return store(value, value);
    case ScalarType::kFloat16: {
      const Half half = FloatToHalf(value);
      return store(half, HalfToFloat(half));
    }
    case ScalarType::kInt8: {
      const auto element = static_cast<int8_t>(std::clamp(value, -128.0f, 127.0f));
      return store(element, static_cast<float>(element));
    }
    case ScalarType::kUint8: {
      const auto element = static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
      return store(element, static_cast<float>(element));
    }
  }
  return false;
}

Result<Matrix> Convert(Matrix from, ScalarType type, const std::filesystem::path& file) {
  if (from.type() == type) return from;
  auto to = Matrix::Create(type, from.rows(), from.dim());
  if (!to) return to;
  for (size_t r = 0; r < from.rows(); ++r) {
    const std::byte* const in = from.data() + r * from.row_bytes();
    std::byte* const out = to->data() + r * to->row_bytes();
    for (size_t i = 0; i < from.dim(); ++i) {
      const float value = Value(in, from.type(), i);
      if (Put(value, type, out, i)) continue;
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("{}: row {}, column {}: expected a {}, found {}", file.string(),
                                   r, i, ScalarTypeName(type), value));
    }
  }
  return to;
}

Result<Matrix> FirstRows(Matrix from, size_t rows) {
  if (from.rows() <= rows) return from;
  auto to = Matrix::Create(from.type(), rows, from.dim());
  if (to) std::memcpy(to->data(), from.data(), rows * from.row_bytes());
  return to;
}

}  // namespace

Result<Matrix> ReadVectors(const std::filesystem::path& file, const ReadOptions& options) {
  const std::string ending = file.extension().string();
  for (const auto& [name, type] : kBinEndings)
    if (ending == name) return ReadBin(file, type, options);
  if (ending == ".fvecs") return ReadVecs(file, ScalarType::kFloat32, options);
  if (ending == ".bvecs") return ReadVecs(file, ScalarType::kUint8, options);
  if (ending == ".npy") return ReadNpy(file, options);
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("{}: name: expected .fbin, .f16bin, .u8bin, .i8bin, .fvecs, .bvecs, .npy or "
                  ".hdf5, found '{}'",
                  file.string(), ending));
}

Result<Input> ReadInput(const InputRequest& request) {
  Input input;
  Result<Matrix> rows, queries;
  if (IsHdf5Name(request.data)) {
    auto file = ReadHdf5(request.data);
    if (!file) return tl::unexpected(file.error());
    input.metric = file->metric;
    rows = FirstRows(std::move(file->rows), request.max_rows);
    queries = std::move(file->queries);
  } else {
    rows = ReadVectors(request.data, {.max_rows = request.max_rows});
  }
  if (!rows) return tl::unexpected(rows.error());
  if (!request.queries.empty() || !IsHdf5Name(request.data)) queries = ReadVectors(request.queries);
  if (queries) queries = FirstRows(std::move(*queries), request.max_queries);
  const ScalarType type = request.type.value_or(rows->type());
  rows = Convert(std::move(*rows), type, request.data);
  if (!rows) return tl::unexpected(rows.error());
  if (queries) queries = Convert(std::move(*queries), type, request.queries);
  if (!queries) return tl::unexpected(queries.error());
  if (queries->dim() != rows->dim()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: dimension: expected {}, that of the data, found {}",
                                 request.queries.string(), rows->dim(), queries->dim()));
  }
  input.rows = std::move(*rows);
  input.queries = std::move(*queries);
  input.metric = request.metric.value_or(input.metric);
  return input;
}

}  // namespace shoal::bench
