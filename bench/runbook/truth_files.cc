#include "runbook/truth_files.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

#include "shoal/dataset.h"

namespace shoal::bench {
namespace {

std::string Hex(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string HashOf(const void* data, size_t bytes) { return Hex(XXH3_128bits(data, bytes)); }

std::string HashOf(MatrixView rows) {
  return fmt::format("{}x{} {} {}", rows.rows(), rows.dim(), ScalarTypeName(rows.type()),
                     HashOf(rows.data(), rows.rows() * rows.row_bytes()));
}

// The K of a name "step<N>.gt<K>".
std::optional<size_t> DepthOf(const std::string& name, size_t step) {
  const std::string prefix = fmt::format("step{}.gt", step);
  if (!name.starts_with(prefix)) return std::nullopt;
  size_t depth = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, depth);
  if (error != std::errc() || rest != end) return std::nullopt;
  return depth;
}

tl::unexpected<Error> Wrong(const std::filesystem::path& folder, std::string_view field,
                            std::string_view expected, std::string_view found) {
  return MakeError(ErrorCode::kCorrupt, fmt::format("{}: {}: expected {}, found {}",
                                                    folder.string(), field, expected, found));
}

}  // namespace

Result<std::filesystem::path> FindStepTruth(const std::filesystem::path& folder, size_t step) {
  std::vector<std::filesystem::path> files;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed))
    if (DepthOf(entry.path().filename().string(), step)) files.push_back(entry.path());
  if (failed) return Wrong(folder, "folder", "to read it", failed.message());
  if (files.size() != 1) {
    return Wrong(folder, fmt::format("step{}.gt<K>", step), "one file",
                 files.empty() ? "none" : fmt::format("{}", files.size()));
  }
  return files.front();
}

Result<TruthSet> ReadStepTruth(const StepTruthRequest& request, const LivePoints& live) {
  const auto file = FindStepTruth(request.folder, request.step);
  if (!file) return tl::unexpected(file.error());
  auto truth = ReadTruthSet(*file, {.metric = request.metric});
  if (!truth) return truth;
  const size_t asked = request.asked.size();
  const bool of_asked = asked > 0 && truth->queries == asked;
  if ((truth->queries != request.queries && !of_asked) || truth->k < request.k) {
    return Wrong(request.folder, file->filename().string(),
                 fmt::format("{}{} queries, k >= {}", asked > 0 ? fmt::format("{} or ", asked) : "",
                             request.queries, request.k),
                 fmt::format("{} queries, k = {}", truth->queries, truth->k));
  }
  const auto rows = live.rows();
  for (size_t i = 0; i < truth->ids.size(); ++i) {
    const uint32_t id = truth->ids[i];
    if (id == TruthSet::kNoNeighbor || (id < rows.size() && rows[id] != LivePoints::kNone))
      continue;
    return Wrong(*file, fmt::format("id {} of query {}", i % truth->k, i / truth->k),
                 "a point that is there at this step", std::to_string(id));
  }
  return of_asked ? std::move(*truth) : OfQueries(std::move(*truth), request.asked);
}

TruthSet OfQueries(TruthSet truth, IdRange queries) {
  if (queries.size() == 0) return truth;
  const auto keep = [&](auto& values, size_t columns) {
    if (values.empty()) return;
    const auto begin = values.begin();
    values = {begin + static_cast<ptrdiff_t>(queries.begin * columns),
              begin + static_cast<ptrdiff_t>(queries.end * columns)};
  };
  keep(truth.ids, truth.k);
  keep(truth.distances, truth.k);
  keep(truth.counts, 1);
  truth.queries = queries.size();
  return truth;
}

Result<TruthCache> TruthCache::Open(const std::filesystem::path& folder, MatrixView base,
                                    MatrixView queries, const StreamTruthOptions& options) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) {
    return MakeError(ErrorCode::kIo,
                     fmt::format("{}: expected a folder for ground truth, found: {}",
                                 folder.string(), failed.message()));
  }
  // The number in front is raised when what the files hold changes.
  const std::string key = fmt::format("1 {} {} {} {}", HashOf(base), HashOf(queries),
                                      MetricName(options.metric), options.k);
  return TruthCache(folder, key, StreamTruth(base, queries, options));
}

Result<std::filesystem::path> TruthCache::Ensure(const LivePoints& live) {
  // Ids at the end that are gone leave no trace.
  auto rows = live.rows();
  while (!rows.empty() && rows.back() == LivePoints::kNone) rows = rows.first(rows.size() - 1);
  const std::string key = key_ + " " + HashOf(rows.data(), rows.size_bytes());
  const auto path = folder_ / (HashOf(key.data(), key.size()) + ".gt");
  if (std::filesystem::exists(path)) {
    ++found_;
    return path;
  }
  const auto truth = truth_.At(rows);
  if (!truth) return tl::unexpected(truth.error());
  if (auto ok = WriteTruthSet(path, *truth); !ok) return tl::unexpected(ok.error());
  ++computed_;
  return path;
}

}  // namespace shoal::bench
