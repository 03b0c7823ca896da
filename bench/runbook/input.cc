#include "runbook/input.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>
#include <vector>

#include "runbook/hdf5_file.h"
#include "runbook/vector_tools.h"

namespace shoal::bench {
namespace {

constexpr struct {
  std::string_view ending;
  ScalarType type;
} kBinEndings[] = {{".fbin", ScalarType::kFloat32},
                   {".f16bin", ScalarType::kFloat16},
                   {".u8bin", ScalarType::kUint8},
                   {".i8bin", ScalarType::kInt8}};

Result<Matrix> Convert(Matrix from, ScalarType type, const std::filesystem::path& file) {
  if (from.type() == type) return from;
  auto to = Matrix::Create(type, from.rows(), from.dim());
  if (!to) return to;
  for (size_t r = 0; r < from.rows(); ++r) {
    const std::vector<float> values = Floats(from.view().Slice(r, 1));
    for (size_t i = 0; i < values.size(); ++i) {
      if (PutElement(values[i], type, to->data() + r * to->row_bytes(), i)) continue;
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("{}: row {}, column {}: expected a {}, found {}", file.string(),
                                   r, i, ScalarTypeName(type), values[i]));
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
