// compute_groundtruth_for_filters: the exact nearest neighbours with a label, of every query.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "apps/common/command_line.h"
#include "apps/common/labels.h"
#include "apps/common/truth.h"
#include "apps/common/zero_vectors.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"

namespace shoal::apps {
namespace {

struct Request {
  TruthRequest truth;
  uint32_t k = 0;
  uint32_t threads = 0;
  std::filesystem::path gt_file;
  std::filesystem::path label_file;
  std::filesystem::path filter_label_file;
  std::string filter_label;
  std::string universal_label;
};

Status Invalid(std::string text) { return MakeError(ErrorCode::kInvalidArgument, std::move(text)); }

// Of each query its label.
Result<std::vector<std::string>> QueryLabels(const Request& request, size_t queries) {
  if (request.filter_label.empty() == request.filter_label_file.empty())
    return tl::unexpected(
        Invalid("--filter_label: expected it or --filter_label_file, found both or none").error());
  if (!request.filter_label.empty()) return std::vector<std::string>(queries, request.filter_label);
  const auto lines = ReadLabelLines(request.filter_label_file);
  if (!lines) return tl::unexpected(lines.error());
  std::vector<std::string> labels;
  for (const auto& words : *lines) labels.push_back(words.front());
  if (labels.size() != queries)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: lines: expected one a query, {}, found {}",
                                 request.filter_label_file.string(), queries, labels.size()));
  return labels;
}

Result<Matrix> ReadVectors(const Request& request, const std::filesystem::path& path,
                           const char* what) {
  auto rows = ReadBin(path, request.truth.type);
  if (!rows) return rows;
  if (auto ok = CheckZeroVectors({.file = path, .what = what, .vectors = rows->rows()},
                                 RowsWithoutDirection(request.truth.metric, *rows));
      !ok) {
    return tl::unexpected(ok.error());
  }
  return rows;
}

struct Vectors {
  const Matrix& base;
  const std::vector<uint32_t>& ids;  // One a base row.
  const Matrix& queries;
};

// The truth of the queries with one label, into the truth of all.
Status Answer(const Request& request, const Vectors& vectors, const std::vector<size_t>& asked,
              const std::vector<uint8_t>& include, TruthSet& truth) {
  if (std::ranges::count(include, 1) == 0) return {};
  const Matrix& queries = vectors.queries;
  auto own = Matrix::Create(request.truth.type, asked.size(), queries.dim());
  if (!own) return tl::unexpected(own.error());
  const size_t bytes = queries.row_bytes();
  for (size_t i = 0; i < asked.size(); ++i)
    std::memcpy(own->data() + i * bytes, queries.data() + asked[i] * bytes, bytes);
  const auto found = ExactSearch(vectors.base, *own,
                                 {.k = truth.k,
                                  .metric = request.truth.metric,
                                  .ids = vectors.ids,
                                  .include = include,
                                  .batch = {.threads = request.threads}});
  if (!found) return tl::unexpected(found.error());
  for (size_t i = 0; i < asked.size(); ++i) {
    const size_t to = asked[i] * truth.k;
    truth.counts[asked[i]] =
        found->counts.empty() ? static_cast<uint32_t>(truth.k) : found->counts[i];
    std::ranges::copy(found->Ids(i), truth.ids.begin() + static_cast<ptrdiff_t>(to));
    std::ranges::copy(found->Distances(i), truth.distances.begin() + static_cast<ptrdiff_t>(to));
  }
  return {};
}

Status Run(const Request& request) {
  if (request.k == 0) return Invalid("--K: expected at least 1, found 0");
  if (auto ok = CheckOutputFile(request.gt_file); !ok) return ok;
  const auto base = ReadVectors(request, request.truth.base_file, "vector");
  if (!base) return tl::unexpected(base.error());
  const auto queries = ReadVectors(request, request.truth.query_file, "query");
  if (!queries) return tl::unexpected(queries.error());
  const auto labels = ReadLabels(request.label_file, request.universal_label, base->rows());
  if (!labels) return tl::unexpected(labels.error());
  const auto identity = ReadIdentity(request.truth.tags_file, base->rows());
  if (!identity) return tl::unexpected(identity.error());
  const auto wanted = QueryLabels(request, queries->rows());
  if (!wanted) return tl::unexpected(wanted.error());
  std::map<std::string, std::vector<size_t>> asked;
  for (size_t q = 0; q < wanted->size(); ++q) asked[(*wanted)[q]].push_back(q);
  TruthSet truth{
      .queries = queries->rows(), .k = request.k, .ids = {}, .distances = {}, .counts = {}};
  truth.ids.assign(truth.queries * truth.k, TruthSet::kNoNeighbor);
  truth.distances.assign(truth.ids.size(), std::numeric_limits<float>::infinity());
  truth.counts.assign(truth.queries, 0);
  for (const auto& [label, own] : asked) {
    const auto number = labels->numbers.find(label);
    std::vector<uint8_t> include = identity->include;  // Without those of tag 0.
    include.resize(base->rows(), 1);
    // A label that no point has: those with the universal one.
    const uint32_t found = number == labels->numbers.end() ? UINT32_MAX : number->second;
    for (size_t i = 0; i < include.size(); ++i)
      if (!labels->Has(i, found)) include[i] = 0;
    const Vectors vectors{.base = *base, .ids = identity->ids, .queries = *queries};
    if (auto ok = Answer(request, vectors, own, include, truth); !ok) return ok;
  }
  const size_t least = std::ranges::min(truth.counts);
  if (least < truth.k)
    fmt::print("WARNING: found {} neighbours of a query, less than --K {}\n", least, truth.k);
  if (auto ok = WriteTruth(request.gt_file, request.truth.metric, std::move(truth)); !ok) return ok;
  fmt::print("Written: {}\n", request.gt_file.string());
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("compute_groundtruth_for_filters",
                   "As compute_groundtruth, among the points that have a label: the same one for "
                   "all queries, or one for each.");
  Request request;
  line.Required(flags::kDataType, &request.truth.type);
  line.Required(flags::kDistFn, &request.truth.metric);
  line.Required(flags::kBaseFile, &request.truth.base_file);
  line.Required(flags::kQueryFile, &request.truth.query_file);
  line.Required(flags::kGtFileOut, &request.gt_file);
  line.Required(flags::kGtK, &request.k);
  line.Required(flags::kLabelFile, &request.label_file);
  line.Optional(flags::kFilterLabel, &request.filter_label);
  line.Optional(flags::kFilterLabelFile, &request.filter_label_file);
  line.Optional(flags::kUniversalLabel, &request.universal_label);
  line.Optional(flags::kTagsFile, &request.truth.tags_file);
  line.Optional(flags::kNumThreads, &request.threads);
  return line.Run(argc, argv, [&] { return Run(request); });
}
