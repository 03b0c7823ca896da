#include "jobs/input.h"

#include <fmt/format.h>

#include <cstring>
#include <string>
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

// The last n rows, which leave `rows`, to `queries`.
Expected<void> HoldOut(size_t n, std::string_view name, Expected<Matrix>& rows,
                       Expected<Matrix>& queries) {
  const size_t all = rows->rows();
  if (n >= all) {
    return tl::unexpected(
        fmt::format("{}: held_out: expected less than the {} rows, found {}", name, all, n));
  }
  queries = Plain(Matrix::Create(rows->type(), n, rows->dim()));
  if (!queries) return tl::unexpected(queries.error());
  std::memcpy(queries->data(), (*rows)[all - n].data(), n * rows->row_bytes());
  rows = FirstRows(std::move(*rows), all - n, name);
  return rows ? Expected<void>{} : tl::unexpected(rows.error());
}

// "file": as the data says.
constexpr const char* kOfFile = "file";

}  // namespace

InputRequest ParseInput(FieldReader& data, const JobContext& context) {
  InputRequest request;
  request.base_file = data.InputFile("base_file", context.find_input);
  request.query_file = data.InputFile("query_file", context.find_input, "");
  request.rows = data.Unsigned("rows", {}, 0);
  request.held_out = data.Unsigned("held_out", {0, UINT32_MAX}, 0);
  if (data.ok() && request.held_out > 0 && !request.query_file.empty())
    data.Fail("held_out", "0, as query_file has the queries", std::to_string(request.held_out));
  if (data.ok() && request.held_out == 0 && request.query_file.empty() &&
      !IsHdf5Name(request.base_file))
    data.Fail("query_file", "a file, as base_file is no HDF5", "nothing");
  request.type = ParseScalarType(
      data.OneOf("scalar_type", {kOfFile, "float32", "float16", "int8", "uint8", "bit"}, kOfFile));
  request.metric = ParseMetric(data.OneOf(
      "metric", {kOfFile, "l2", "inner_product", "cosine", "manhattan", "hamming"}, kOfFile));
  return request;
}

Code ParseCodeField(FieldReader& object, std::string_view field, const char* otherwise) {
  std::vector<std::string_view> names;
  for (auto i = static_cast<uint8_t>(Code::kAuto); i <= static_cast<uint8_t>(Code::kSign); ++i)
    names.push_back(CodeName(static_cast<Code>(i)));
  return *ParseCode(object.OneOf(field, names, otherwise));
}

void ParseBuild(FieldReader& build, IndexOptions& index) {
  index.max_degree = static_cast<uint32_t>(build.Unsigned("degree", {4, kMaxDegree}, 32));
  index.build_list_size = static_cast<uint32_t>(build.Unsigned("list", {1, kMaxListSize}, 100));
  index.alpha = static_cast<float>(build.Number("alpha", {1, 2}, 1.2));
  index.code = ParseCodeField(build, "code", "full");
  index.rerank_code = ParseCodeField(build, "rerank_code", "full");
}

void ParseRepair(FieldReader& build, IndexOptions& index) {
  const std::string repair =
      build.OneOf("repair", {"immediate", "background", "manual"}, "immediate");
  index.runtime.repair = repair == "immediate"    ? RepairPolicy::kImmediate
                         : repair == "background" ? RepairPolicy::kBackground
                                                  : RepairPolicy::kManual;
  index.runtime.repair_threads =
      static_cast<uint32_t>(build.Unsigned("repair_threads", {1, 256}, 1));
}

Result<Index> CreateIndex(const Input& input, IndexOptions options) {
  options.dim = static_cast<uint32_t>(input.rows.dim());
  options.scalar_type = input.rows.type();
  options.metric = input.metric;
  return Index::Create(options);
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
  if (request.held_out > 0) {
    input.truth.reset();
    query_file = request.base_file;
    if (auto held = HoldOut(request.held_out, query_file.string(), rows, queries); !held)
      return tl::unexpected(held.error());
  } else if (query_file != request.base_file) {
    queries = ReadRows(query_file);
  }
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
  input.metric =
      request.metric.value_or(type == ScalarType::kBit ? Metric::kHamming : input.metric);
  if (auto ok = TreatZeroVectors(request, query_file, input); !ok)
    return tl::unexpected(ok.error());
  return input;
}

}  // namespace shoal::bench
