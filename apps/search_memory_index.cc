// search_memory_index: queries, speed and recall of an index in DiskANN's files.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "apps/common/command_line.h"
#include "apps/common/labels.h"
#include "apps/common/measure.h"
#include "apps/common/progress.h"
#include "apps/common/truth.h"
#include "apps/common/zero_vectors.h"
#include "shoal/dataset.h"
#include "shoal/diskann_files.h"

namespace shoal::apps {
namespace {

struct Request {
  DiskannLoadOptions load{.index = {.code = Code::kFull, .max_degree = 0}};
  std::filesystem::path index_path_prefix;
  std::filesystem::path result_path;
  std::filesystem::path query_file;
  std::filesystem::path gt_file = "null";
  uint32_t k = 0;
  uint32_t rerank = 0;          // 0: a few times k.
  std::vector<uint32_t> lists;  // L, one table row each.
  uint32_t threads = 0;
  bool dynamic = false;
  bool print_all_recalls = false;
  bool print_qps_per_thread = false;
  bool skip_zero_vectors = false;
  float fail_if_recall_below = 0;
  float target_recall = 0;  // In percent; 0: none.
  std::string filter_label;
  std::string query_filters_file;  // A path; empty: none.

  bool HasFilters() const { return !filter_label.empty() || !query_filters_file.empty(); }

  uint32_t FirstRecall() const { return print_all_recalls ? 1 : k; }
};

Status Invalid(std::string text) { return MakeError(ErrorCode::kInvalidArgument, std::move(text)); }

// Checks what concerns several flags, and drops the L below K.
Status CheckRequest(Request& request) {
  if (request.k == 0) return Invalid("--recall_at: expected at least 1, found 0");
  if (request.dynamic && !request.load.tags) {
    return Invalid("--tags: expected true with --dynamic true, found false");
  }
  if (!request.filter_label.empty() && !request.query_filters_file.empty()) {
    return Invalid("--filter_label: expected it or --query_filters_file, found both");
  }
  if (const float floor = request.fail_if_recall_below; !(floor >= 0 && floor < 100)) {
    return Invalid(
        fmt::format("--fail_if_recall_below: expected 0 or more, below 100, found {}", floor));
  }
  if (request.fail_if_recall_below > 0 && request.gt_file == "null") {
    return Invalid("--gt_file: expected a file with --fail_if_recall_below, found null");
  }
  if (const float target = request.target_recall; !(target >= 0 && target < 100)) {
    return Invalid(fmt::format("--target_recall: expected 0 or more, below 100, found {}", target));
  }
  std::erase_if(request.lists, [&](uint32_t l) {
    if (l >= request.k) return false;
    fmt::print("Ignoring search with L:{} since it's smaller than K:{}\n", l, request.k);
    return true;
  });
  if (request.lists.empty()) {
    return Invalid(
        fmt::format("--search_list: expected a value of at least --recall_at {}, found "
                    "only smaller ones",
                    request.k));
  }
  return CheckOutputFolder(request.result_path);
}

void PrintHeader(const Request& request, bool recall) {
  std::string line =
      fmt::format("{:>4}{:>12}", "Ls", request.print_qps_per_thread ? "QPS/thread" : "QPS");
  if (!request.load.tags) line += fmt::format("{:>18}", "Avg dist cmps");
  line += fmt::format("{:>20}{:>15}", "Mean Latency (mus)", "99.9 Latency");
  for (uint32_t k = request.FirstRecall(); recall && k <= request.k; ++k) {
    line += fmt::format("{:>12}", fmt::format("Recall@{}", k));
  }
  fmt::print("{}\n{}\n", line, std::string(line.size(), '='));
}

// Prints one line of the table; returns the recall at K, 0 if it is not known.
double PrintRow(const Request& request, size_t list, const SearchRun& run,
                const std::optional<TruthSet>& truth) {
  const uint32_t share = request.print_qps_per_thread ? request.threads : 1;
  fmt::print("{:>4}{:>12.2f}", list, run.queries_per_second / share);
  if (!request.load.tags) fmt::print("{:>18.2f}", run.mean_distances);
  fmt::print("{:>20.2f}{:>15.2f}", run.mean_us, run.p999_us);
  double recall = 0;
  for (uint32_t k = request.FirstRecall(); truth && k <= request.k; ++k) {
    recall = MeanRecall(*truth, run, request.k, k);
    fmt::print("{:>12.2f}", recall);
  }
  fmt::print("\n");
  std::fflush(stdout);
  return recall;
}

Result<Queries> ReadQueries(const Request& request) {
  auto rows = ReadBin(request.query_file, request.load.index.scalar_type);
  if (!rows) return tl::unexpected(rows.error());
  const auto zero = RowsWithoutDirection(request.load.index.metric, *rows);
  if (auto ok = CheckZeroVectors({.file = request.query_file,
                                  .what = "query",
                                  .vectors = rows->rows(),
                                  .skip = request.skip_zero_vectors},
                                 zero);
      !ok) {
    return tl::unexpected(ok.error());
  }
  Queries queries;
  queries.rows = std::move(*rows);
  for (size_t q = 0; q < queries.rows.rows(); ++q)
    if (!std::ranges::binary_search(zero, q)) queries.asked.push_back(q);
  return queries;
}

// One row of the table, and the result file of this L; returns the recall at K.
Result<double> SearchWith(const Request& request, const Index& index, const Queries& queries,
                          const SearchOptions& options, const std::optional<TruthSet>& truth) {
  const size_t list = options.search_list_size;
  Progress progress(fmt::format("Searching with L = {}", list), "queries", queries.asked.size());
  const auto run = SearchEveryQuery(index, queries, options, request.threads, progress);
  if (!run)
    return MakeError(run.error().code, request.query_file.string() + ": " + run.error().message);
  const double recall = PrintRow(request, list, *run, truth);
  const std::string path = fmt::format("{}_{}", request.result_path.string(), list);
  if (auto ok = WriteResults(path, *run, request.load.index.metric, request.k); !ok)
    return tl::unexpected(ok.error());
  return recall;
}

// The options of the row for --target_recall; says what was chosen.
Result<SearchOptions> Calibrated(const Request& request, Index& index) {
  const double target = static_cast<double>(request.target_recall) / 100;
  const auto found = index.Calibrate(request.k, target, {.threads = request.threads});
  if (!found) return tl::unexpected(found.error());
  fmt::print("Target recall {}: L {}, rerank {}, stop margin {:.3g}; recall {:.2f} of {} points\n",
             request.target_recall, found->search_list_size, found->rerank, found->stop_margin,
             100 * found->recall, found->queries);
  return SearchOptions{.k = request.k,
                       .search_list_size = found->search_list_size,
                       .rerank = found->rerank,
                       .target_recall = target};
}

Result<Index> Load(Request& request) {
  std::optional<Progress> progress;
  request.load.batch = {.threads = request.threads, .progress = [&](size_t done, size_t total) {
                          if (!progress) progress.emplace("Loading", "points", total);
                          progress->Update(done);
                        }};
  return LoadDiskann(request.index_path_prefix, request.load);
}

// Gives the points their labels, and each query its filter.
Status SetFilters(const Request& request, Index& index, Queries& queries) {
  const auto labels = ReadIndexLabels(request.index_path_prefix, index.size());
  if (!labels) return tl::unexpected(labels.error());
  std::vector<uint32_t> ids(index.size());
  std::iota(ids.begin(), ids.end(), 0u);
  if (request.load.tags) {
    auto tags = ReadIndexTags(request.index_path_prefix);
    if (!tags) return tl::unexpected(tags.error());
    ids = std::move(*tags);
  }
  for (size_t row = 0; row < ids.size(); ++row)
    if (auto ok = index.SetLabels(ids[row], labels->sets[row]); !ok) return ok;
  std::vector<std::string> words{request.filter_label};
  const std::string where =
      request.filter_label.empty() ? request.query_filters_file : std::string("--filter_label");
  if (request.filter_label.empty()) {
    const auto lines = ReadLabelLines(request.query_filters_file);
    if (!lines) return tl::unexpected(lines.error());
    words.clear();
    for (const auto& line : *lines) words.push_back(line.front());
  }
  const size_t n = queries.rows.rows();
  if (words.size() != 1 && words.size() != n) {
    return Invalid(
        fmt::format("{}: lines: expected 1, or one a query, {}, found {}", where, n, words.size()));
  }
  for (size_t q = 0; q < n; ++q) {
    auto filter = labels->FilterFor(words[words.size() == 1 ? 0 : q], where);
    if (!filter) return tl::unexpected(filter.error());
    queries.filters.push_back(std::move(*filter));
  }
  return {};
}

Status CheckPoints(const Request& request, const TruthSet& truth, const Index& index) {
  const auto missing = CheckTruthPoints(request.gt_file, truth, index,
                                        request.load.tags ? Named::kByTag : Named::kByRow);
  if (!missing) return tl::unexpected(missing.error());
  if (*missing > 0) {
    fmt::print("WARNING: {} of the ids in {} are no tags of the index and cannot be found\n",
               *missing, request.gt_file.string());
  }
  return {};
}

Status Search(Request request) {
  if (auto ok = CheckRequest(request); !ok) return ok;
  request.threads = ThreadsOrAll(request.threads);
  auto queries = ReadQueries(request);
  if (!queries) return tl::unexpected(queries.error());
  request.load.index.dim = static_cast<uint32_t>(queries->rows.dim());
  std::optional<TruthSet> truth;
  if (request.gt_file != "null") {
    const Metric metric = request.load.index.metric;
    auto read = ReadTruthFor(request.gt_file, metric, queries->rows.rows(), request.k);
    if (!read) return tl::unexpected(read.error());
    truth = std::move(*read);
  }
  auto index = Load(request);
  if (!index) return tl::unexpected(index.error());
  fmt::print("Index loaded: {} points in {} dimensions\nUsing {} threads to search\n",
             index->size(), queries->rows.dim(), request.threads);
  if (request.HasFilters()) {
    if (auto ok = SetFilters(request, *index, *queries); !ok) return ok;
  }
  if (truth) {
    if (auto ok = CheckPoints(request, *truth, *index); !ok) return ok;
  }
  std::vector<SearchOptions> rows;
  for (uint32_t list : request.lists)
    rows.push_back({.k = request.k, .search_list_size = list, .rerank = request.rerank});
  if (request.target_recall > 0) {
    const auto calibrated = Calibrated(request, *index);
    if (!calibrated) return tl::unexpected(calibrated.error());
    rows.push_back(*calibrated);
  }
  PrintHeader(request, truth.has_value());
  double best = 0;
  for (const SearchOptions& options : rows) {
    const auto recall = SearchWith(request, *index, *queries, options, truth);
    if (!recall) return tl::unexpected(recall.error());
    best = std::max(best, *recall);
  }
  if (best >= static_cast<double>(request.fail_if_recall_below)) return {};
  return Invalid(fmt::format("recall@{}: expected at least {} with some L, found {:.2f}", request.k,
                             request.fail_if_recall_below, best));
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("search_memory_index",
                   "Searches an index in DiskANN's files for every query. Prints speed and recall "
                   "for every L.");
  Request request;
  line.Required(flags::kIndexDataType, &request.load.index.scalar_type);
  line.Required(flags::kDistFn, &request.load.index.metric);
  line.Required(flags::kIndexPathPrefix, &request.index_path_prefix);
  line.Required(flags::kResultPath, &request.result_path);
  line.Required(flags::kQueryFile, &request.query_file);
  line.Required(flags::kRecallAt, &request.k);
  line.Required(flags::kSearchList, &request.lists);
  line.Optional(flags::kGtFileIn, &request.gt_file);
  line.Optional(flags::kNumThreads, &request.threads);
  line.Optional(flags::kDynamic, &request.dynamic);
  line.Optional(flags::kTags, &request.load.tags);
  line.Optional(flags::kCodec, &request.load.index.code);
  line.Optional(flags::kRerankCodec, &request.load.index.rerank_code);
  line.Optional(flags::kRerank, &request.rerank);
  line.Optional(flags::kTargetRecall, &request.target_recall);
  line.Optional(flags::kFailIfRecallBelow, &request.fail_if_recall_below);
  line.Switch(flags::kSkipZeroVectors, &request.skip_zero_vectors);
  line.Switch(flags::kPrintAllRecalls, &request.print_all_recalls);
  line.Switch(flags::kPrintQpsPerThread, &request.print_qps_per_thread);
  line.Optional(flags::kFilterLabel, &request.filter_label);
  line.Optional(flags::kQueryFiltersFile, &request.query_filters_file);
  line.Ignored(flags::kLabelType);
  return line.Run(argc, argv, [&] { return Search(std::move(request)); });
}
