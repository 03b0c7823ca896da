#include "apps/common/stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "apps/common/progress.h"
#include "apps/common/zero_vectors.h"
#include "shoal/diskann_files.h"

namespace shoal::apps {
namespace {

// Lines of two threads do not mix: each is one call.
template <class... Args>
void Say(fmt::format_string<Args...> format, Args&&... args) {
  const std::string line = fmt::format(format, std::forward<Args>(args)...) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

// Slots without a point. Others insert meanwhile, and the figures are not of one instant.
uint64_t EmptySlots(const IndexStats& stats) {
  const uint64_t used = stats.points + stats.pending_repairs + 1;  // The start point.
  return stats.slots_used - std::min(stats.slots_used, used);
}

double Rate(size_t count, double seconds) { return static_cast<double>(count) / seconds; }

}  // namespace

void StreamRequest::Declare(CommandLine& line) {
  line.Required(flags::kIndexDataType, &index.scalar_type);
  line.Required(flags::kDistFn, &index.metric);
  line.Required(flags::kIndexPathPrefix, &index_path_prefix);
  line.Required(flags::kStreamData, &data_path);
  line.Optional(flags::kMaxDegree, &index.max_degree);
  line.Optional(flags::kLbuild, &index.build_list_size);
  line.Optional(flags::kAlpha, &index.alpha);
  line.Optional(flags::kCodec, &index.code);
  line.Optional(flags::kRerankCodec, &index.rerank_code);
  line.Optional(flags::kMaxPointsToInsert, &max_points);
  line.Switch(flags::kSkipZeroVectors, &skip_zero_vectors);
  line.IgnoredNumber(flags::kStartPointNorm);
  line.IgnoredNumber(flags::kNumStartPoints);
  line.Optional(flags::kLabelFile, &label_file);
  line.Optional(flags::kUniversalLabel, &universal_label);
  line.IgnoredNumber(flags::kFilteredLbuild);
  line.IgnoredNumber(flags::kUniqueLabels);
  line.Ignored(flags::kLabelType);
}

Stream::Stream(StreamRequest request, Matrix rows, std::vector<uint32_t> left_out, Index index)
    : request_(std::move(request)),
      rows_(std::move(rows)),
      left_out_(std::move(left_out)),
      index_(std::move(index)),
      inserted_(std::make_unique<std::atomic<size_t>>(0)) {}

Result<Stream> Stream::Open(StreamRequest& request, size_t skip) {
  if (auto ok = CheckDiskannOutput(request.index_path_prefix, request.index.scalar_type); !ok)
    return tl::unexpected(ok.error());
  if (request.label_file.empty() && !request.universal_label.empty()) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "--label_file: expected a file with --universal_label, found none");
  }
  auto rows = ReadBin(request.data_path, request.index.scalar_type);
  if (!rows) return tl::unexpected(rows.error());
  const size_t left = rows->rows() - std::min(rows->rows(), skip);
  if (request.max_points == 0) request.max_points = static_cast<uint32_t>(left);
  if (left < request.max_points || left == 0) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: rows: expected {} from row {} on, found {}", request.data_path.string(),
                    std::max(1u, request.max_points), skip, left));
  }
  const auto zero = RowsWithoutDirection(request.index.metric,
                                         rows->view().Slice(skip, request.max_points), skip);
  if (auto ok = CheckZeroVectors({.file = request.data_path,
                                  .vectors = request.max_points,
                                  .skip = request.skip_zero_vectors},
                                 zero);
      !ok) {
    return tl::unexpected(ok.error());
  }
  std::optional<PointLabels> labels;
  if (!request.label_file.empty()) {
    auto read = ReadLabels(request.label_file, request.universal_label, rows->rows());
    if (!read) return tl::unexpected(read.error());
    labels = std::move(*read);
  }
  request.index.dim = static_cast<uint32_t>(rows->dim());
  IndexOptions options = request.index;
  // As in DiskANN's dynamic index, a list may hold 1.3 R edges.
  options.max_degree = std::min(kMaxDegree, options.max_degree * 13 / 10);
  auto index = Index::Create(options);
  if (!index) return tl::unexpected(index.error());
  Say("metadata: file {} has {} points in {} dims", request.data_path.string(), rows->rows(),
      rows->dim());
  Stream stream(request, std::move(*rows), zero, std::move(*index));
  stream.labels_ = std::move(labels);
  return stream;
}

size_t Stream::Points(size_t begin, size_t end) const {
  const auto left_out =
      std::ranges::lower_bound(left_out_, end) - std::ranges::lower_bound(left_out_, begin);
  return end - begin - static_cast<size_t>(left_out);
}

std::vector<ExternalId> Stream::Tags(size_t begin, size_t end) const {
  std::vector<ExternalId> tags;
  tags.reserve(end - begin);
  auto left_out = std::ranges::lower_bound(left_out_, begin);
  for (size_t row = begin; row < end; ++row) {
    if (left_out != left_out_.end() && *left_out == row) {
      ++left_out;
    } else {
      tags.push_back(row + 1);
    }
  }
  return tags;
}

Status Stream::Insert(size_t begin, size_t end, size_t threads) {
  Say("Inserting from {} to {}", begin, end);
  Progress progress("Inserting", "points", end - begin);
  const size_t points = Points(begin, end);
  const auto note = [&, last = size_t{0}](size_t done, size_t) mutable {
    const size_t so_far = std::min(done, points);  // It never falls, and ends at `points`.
    inserted_->fetch_add(so_far - std::exchange(last, so_far));
    progress.Update(done);
  };
  std::vector<ExternalId> tags(end - begin);  // Also of rows left out: InsertMany refuses these.
  std::iota(tags.begin(), tags.end(), ExternalId{begin + 1});
  const auto report = index_.InsertMany(tags, MatrixView(rows_).Slice(begin, end - begin),
                                        {.threads = threads, .progress = note});
  if (!report) return tl::unexpected(report.error());
  for (const auto& failure : report->failures) {
    if (std::ranges::binary_search(left_out_, begin + failure.row)) continue;
    return MakeError(failure.error.code, fmt::format("{}: row {}: {}", request_.data_path.string(),
                                                     begin + failure.row, failure.error.message));
  }
  const double seconds = progress.Seconds();
  const double rate = Rate(points, seconds);
  Say("Insertion time {:.3f} seconds ({:.0f} points/second overall, {:.0f} per thread)", seconds,
      rate, rate / static_cast<double>(threads));
  return {};
}

Status Stream::DeleteAndConsolidate(size_t begin, size_t end, size_t threads) {
  const std::vector<ExternalId> tags = Tags(begin, end);
  Progress progress("Consolidating", "deleted points", tags.size());
  const size_t inserted = inserted_->load();
  const auto deleted = index_.DeleteMany(tags, {.threads = threads});
  if (!deleted) return tl::unexpected(deleted.error());
  if (!deleted->failures.empty()) return tl::unexpected(deleted->failures.front().error);
  const double marking = progress.Seconds();
  Say("Lazy deleting points {} to {}... done in {:.3f} seconds.", begin, end, marking);
  if (auto ok = index_.Consolidate(
          {.threads = threads, .progress = [&](size_t done, size_t) { progress.Update(done); }});
      !ok) {
    return ok;
  }
  const double seconds = progress.Seconds();
  const IndexStats stats = index_.Stats();
  const double rate = Rate(tags.size(), seconds);
  Say("Starting consolidate_deletes... done in {:.3f} seconds.\n"
      "#active points: {}\nmax points: {}\nempty slots: {}\ndeletes processed: {}\n"
      "latest delete size: {}\nrate: ({:.0f} deletes/second overall, {:.0f} per thread)\n"
      "points inserted meanwhile: {}",
      seconds - marking, stats.points, stats.slots_used, EmptySlots(stats), tags.size(),
      tags.size(), rate, rate / static_cast<double>(threads), inserted_->load() - inserted);
  return {};
}

Status Stream::SaveLabels(const std::filesystem::path& prefix) const {
  if (!labels_) return WriteIndexLabels(prefix, std::nullopt);
  const auto tags = ReadIndexTags(prefix);
  if (!tags) return tl::unexpected(tags.error());
  PointLabels labels{
      .sets = {}, .numbers = labels_->numbers, .has_universal = labels_->has_universal};
  for (const uint32_t tag : *tags) labels.sets.push_back(labels_->sets[tag - 1]);
  return WriteIndexLabels(prefix, labels);
}

Status Stream::Save(const std::string& suffix) const {
  const std::filesystem::path path = request_.index_path_prefix.string() + suffix;
  const Progress progress("Saving", "points", index_.size());
  if (auto ok = SaveDiskann(index_, path, {.dynamic = true}); !ok) return ok;
  if (auto ok = SaveLabels(path); !ok) return ok;
  Say("Written: {0} {0}.data {0}.tags\nTime taken for save: {1:.3f}s.", path.string(),
      progress.Seconds());
  return {};
}

}  // namespace shoal::apps
