#include "jobs/input.h"

#include <fmt/format.h>

#include <utility>

#include "jobs/data.h"
#include "jobs/hdf5_file.h"
#include "jobs/zero_vectors.h"

namespace shoal::bench {
namespace {

Expected<Hdf5Dataset> ReadAll(const std::filesystem::path& file) {
  auto all = ReadHdf5(file);
  if (!all) return tl::unexpected(all.error().message);
  return std::move(*all);
}

// Finds them; skips those among the queries and in the truth.
Expected<void> TreatZeroVectors(const InputRequest& request,
                                const std::filesystem::path& query_file, Input& input) {
  if (input.metric != Metric::kCosine) return {};
  input.zero_rows = ZeroRows(input.rows);
  input.zero_queries = ZeroRows(input.queries);
  const auto check = [&](const std::filesystem::path& file, const char* what,
                         const std::vector<uint32_t>& zero, size_t all) -> Expected<void> {
    const bool skip = request.zero_vectors == ZeroVectors::kSkip;
    if (zero.empty() || (skip && zero.size() < all)) return {};
    return tl::unexpected(fmt::format(
        "{}: {} {}: expected a direction for cosine, found a zero vector ({} of {} are){}",
        file.string(), what, zero.front(), zero.size(), all,
        skip ? "" : "; the job \"index\" leaves them out with data.skip_zero_vectors"));
  };
  auto ok = check(request.base_file, "row", input.zero_rows, input.rows.rows());
  if (ok) ok = check(query_file, "query", input.zero_queries, input.queries.rows());
  if (!ok || (input.zero_rows.empty() && input.zero_queries.empty())) return ok;
  auto queries = RowsWithout(input.queries, input.zero_queries);
  if (!queries) return tl::unexpected(queries.error());
  input.queries = std::move(*queries);
  if (input.truth) input.truth = TruthWithout(*input.truth, input.zero_queries, input.zero_rows);
  return {};
}

// "file": as the data says.
constexpr const char* kOfFile = "file";

}  // namespace

InputRequest ParseInput(FieldReader& data, const JobContext& context) {
  InputRequest request;
  request.base_file = data.InputFile("base_file", context.find_input);
  request.query_file = data.InputFile("query_file", context.find_input, "");
  if (data.ok() && request.query_file.empty() && !IsHdf5Name(request.base_file))
    data.Fail("query_file", "a file, as base_file is no HDF5", "nothing");
  request.rows = data.Unsigned("rows", {}, 0);
  request.type = ParseScalarType(
      data.OneOf("scalar_type", {kOfFile, "float32", "float16", "int8", "uint8"}, kOfFile));
  request.metric =
      ParseMetric(data.OneOf("metric", {kOfFile, "l2", "inner_product", "cosine"}, kOfFile));
  return request;
}

Expected<Matrix> ReadBase(const std::filesystem::path& file, size_t rows) {
  if (!IsHdf5Name(file)) return ReadRows(file, rows);
  auto all = ReadAll(file);
  if (!all) return tl::unexpected(all.error());
  return FirstRows(std::move(all->rows), rows, file.string());
}

Expected<Input> ReadInput(const InputRequest& request) {
  Input input;
  Expected<Matrix> rows, queries;
  std::filesystem::path query_file = request.query_file;
  if (IsHdf5Name(request.base_file)) {
    auto all = ReadAll(request.base_file);
    if (!all) return tl::unexpected(all.error());
    input.metric = all->metric;
    if (query_file.empty() && request.metric.value_or(all->metric) == all->metric &&
        (request.rows == 0 || request.rows == all->rows.rows()))
      input.truth = std::move(all->truth);
    rows = FirstRows(std::move(all->rows), request.rows, request.base_file.string());
    queries = std::move(all->queries);
    if (query_file.empty()) query_file = request.base_file;
  } else {
    rows = ReadRows(request.base_file, request.rows);
  }
  if (!rows) return tl::unexpected(rows.error());
  if (query_file != request.base_file) queries = ReadRows(query_file);
  if (!queries) return tl::unexpected(queries.error());
  const ScalarType type = request.type.value_or(rows->type());
  rows = ConvertRows(std::move(*rows), type, request.base_file.string());
  if (rows) queries = ConvertRows(std::move(*queries), type, query_file.string());
  if (!rows) return tl::unexpected(rows.error());
  if (!queries) return tl::unexpected(queries.error());
  if (queries->dim() != rows->dim()) {
    return tl::unexpected(fmt::format("{}: dimension: expected {} as in {}, found {}",
                                      query_file.string(), rows->dim(), request.base_file.string(),
                                      queries->dim()));
  }
  input.rows = std::move(*rows);
  input.queries = std::move(*queries);
  input.metric = request.metric.value_or(input.metric);
  if (auto ok = TreatZeroVectors(request, query_file, input); !ok)
    return tl::unexpected(ok.error());
  return input;
}

}  // namespace shoal::bench
