// build_memory_index: all vectors of a file into an index, in DiskANN's files.
#include <fmt/format.h>

#include <numeric>
#include <optional>

#include "apps/common/command_line.h"
#include "apps/common/labels.h"
#include "apps/common/progress.h"
#include "apps/common/zero_vectors.h"
#include "shoal/dataset.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"

namespace shoal::apps {
namespace {

struct Request {
  std::filesystem::path data_path;
  std::filesystem::path index_path_prefix;
  IndexOptions index{.code = Code::kFull, .max_degree = 64, .build_list_size = 100, .alpha = 1.2f};
  uint32_t threads = 0;
  uint32_t passes = 1;
  bool skip_zero_vectors = false;
  std::string label_file;  // A path. Empty: there are no labels.
  std::string universal_label;
};

// Ids are row numbers, and nothing in the files says that one is missing.
constexpr const char* kHowToSkip =
    "test_insert_deletes_consolidate --skip_zero_vectors leaves them out, with tags for ids";

BatchOptions Batch(const Request& request, Progress& progress) {
  return {.threads = request.threads,
          .progress = [&progress](size_t done, size_t) { progress.Update(done); }};
}

// Every row, or an error that names the first that is not possible.
Status Insert(Index& index, const Matrix& rows, const Request& request) {
  std::vector<ExternalId> ids(rows.rows());
  std::iota(ids.begin(), ids.end(), ExternalId{0});
  Progress progress("Inserting", "points", rows.rows());
  const auto report = index.InsertMany(ids, rows, Batch(request, progress));
  if (!report) return tl::unexpected(report.error());
  if (report->failures.empty()) return {};
  const auto& failure = report->failures.front();
  return MakeError(
      failure.error.code,
      fmt::format("{}: row {}: {} ({} of {} rows cannot be used)", request.data_path.string(),
                  failure.row, failure.error.message, report->failures.size(), rows.rows()));
}

Status Build(Request request) {
  if (request.passes < 1 || request.passes > 2) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("--passes: expected 1 or 2, found {}", request.passes));
  }
  if (request.skip_zero_vectors) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("--skip_zero_vectors: expected it to be absent, since ids are row "
                                 "numbers; {}",
                                 kHowToSkip));
  }
  if (request.label_file.empty() && !request.universal_label.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "--label_file: expected a file with --universal_label, found none");
  }
  if (auto ok = CheckDiskannOutput(request.index_path_prefix, request.index.scalar_type); !ok)
    return ok;
  request.threads = ThreadsOrAll(request.threads);
  auto rows = ReadBin(request.data_path, request.index.scalar_type);
  if (!rows) return tl::unexpected(rows.error());
  if (auto ok = CheckZeroVectors(
          {.file = request.data_path, .vectors = rows->rows(), .advice = kHowToSkip},
          RowsWithoutDirection(request.index.metric, *rows));
      !ok) {
    return ok;
  }
  std::optional<PointLabels> labels;
  if (!request.label_file.empty()) {
    auto read = ReadLabels(request.label_file, request.universal_label, rows->rows());
    if (!read) return tl::unexpected(read.error());
    labels = std::move(*read);
  }
  request.index.dim = static_cast<uint32_t>(rows->dim());
  auto index = Index::Create(request.index);
  if (!index) return tl::unexpected(index.error());
  fmt::print("Starting index build with R: {}  Lbuild: {}  alpha: {}  #threads: {}\n",
             request.index.max_degree, request.index.build_list_size, request.index.alpha,
             request.threads);
  fmt::print("Starting index build with {} points in {} dimensions...\n", rows->rows(),
             rows->dim());
  std::fflush(stdout);
  const Progress clock("Indexing", "points", rows->rows());
  if (auto ok = Insert(*index, *rows, request); !ok) return ok;
  if (request.passes == 2) {
    Progress progress("Second pass", "points", rows->rows());
    if (auto ok = index->Refine(Batch(request, progress)); !ok) return ok;
  }
  const IndexStats stats = index->Stats();
  fmt::print("Index built with degree: avg:{:.2f}, {} edges, {:.1f} MB in memory\n",
             stats.average_degree, stats.edges, static_cast<double>(stats.memory.total()) / 1e6);
  fmt::print("Indexing time: {:.3f}\n", clock.Seconds());
  *rows = {};
  if (auto ok = SaveDiskann(*index, request.index_path_prefix); !ok) return ok;
  if (auto ok = WriteIndexLabels(request.index_path_prefix, labels); !ok) return ok;
  fmt::print("Written: {0} {0}.data\n", request.index_path_prefix.string());
  return {};
}

}  // namespace
}  // namespace shoal::apps

int main(int argc, char** argv) {
  using namespace shoal::apps;  // NOLINT(google-build-using-namespace)
  CommandLine line("build_memory_index",
                   "Builds an index of all vectors of a file and writes it in DiskANN's files "
                   "<prefix> and <prefix>.data. Ids are row numbers.");
  Request request;
  line.Required(flags::kIndexDataType, &request.index.scalar_type);
  line.Required(flags::kDistFn, &request.index.metric);
  line.Required(flags::kIndexPathPrefix, &request.index_path_prefix);
  line.Required(flags::kDataPath, &request.data_path);
  line.Optional(flags::kNumThreads, &request.threads);
  line.Optional(flags::kMaxDegree, &request.index.max_degree);
  line.Optional(flags::kLbuild, &request.index.build_list_size);
  line.Optional(flags::kAlpha, &request.index.alpha);
  line.Optional(flags::kCodec, &request.index.code);
  line.Optional(flags::kRerankCodec, &request.index.rerank_code);
  line.Optional(flags::kPasses, &request.passes);
  line.Switch(flags::kNoSkipZeroVectors, &request.skip_zero_vectors);
  line.Only(flags::kBuildPqBytes, "0");
  line.Never(flags::kUseOpq);
  line.Optional(flags::kLabelFile, &request.label_file);
  line.Optional(flags::kUniversalLabel, &request.universal_label);
  line.IgnoredNumber(flags::kFilteredLbuild);
  line.Ignored(flags::kLabelType);
  return line.Run(argc, argv, [&] { return Build(std::move(request)); });
}
