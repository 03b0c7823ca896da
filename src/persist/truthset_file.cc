// Truthsets: int32 queries, int32 k, queries x k uint32 ids, then as many float32 distances.
#include <array>
#include <limits>

#include "base/file.h"
#include "persist/dataset_checks.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
constexpr size_t kHeaderBytes = 8;

struct Layout {
  size_t queries = 0;
  size_t k = 0;
  bool distances = false;
};

Result<Layout> ReadLayout(const InputFile& file) {
  std::array<int32_t, 2> header;
  if (file.size() < sizeof(header)) {
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size", "at least 8 bytes (the header)",
                    std::to_string(file.size()) + " bytes");
  }
  if (auto ok = file.ReadAt(0, header.data(), sizeof(header), "header"); !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = CheckRange(file.path(), "queries", header[0], 1, kMax); !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = CheckRange(file.path(), "k", header[1], 1, kMax); !ok) {
    return tl::unexpected(ok.error());
  }
  // Below 2^62, so 4 bytes of each fit into 64 bits, 8 may not.
  const uint64_t entries = static_cast<uint64_t>(header[0]) * static_cast<uint64_t>(header[1]);
  const uint64_t body = file.size() - kHeaderBytes;
  const bool both = body % 8 == 0 && body / 8 == entries;
  if (!both && body != 4 * entries) {
    const std::string shape =
        std::to_string(header[0]) + " queries x k = " + std::to_string(header[1]);
    return Mismatch(ErrorCode::kCorrupt, file.path(), "size",
                    "8 + 8 x or 8 + 4 x " + std::to_string(entries) + " bytes (" + shape +
                        " ids, with or without distances)",
                    std::to_string(file.size()) + " bytes");
  }
  return Layout{static_cast<size_t>(header[0]), static_cast<size_t>(header[1]), both};
}

// Fills `counts` from the place where each row's ids end; leaves it empty when all rows are full.
Status CountNeighbors(const std::filesystem::path& path, TruthSet& truth) {
  bool full = true;
  if (auto ok = TryResize(path, truth.counts, truth.queries); !ok) return ok;
  for (size_t q = 0; q < truth.queries; ++q) {
    const auto ids = truth.Ids(q);
    size_t count = 0;
    while (count < ids.size() && ids[count] != TruthSet::kNoNeighbor) ++count;
    for (size_t i = count; i < ids.size(); ++i) {
      if (ids[i] == TruthSet::kNoNeighbor) continue;
      return Mismatch(ErrorCode::kCorrupt, path,
                      "id " + std::to_string(i) + " of query " + std::to_string(q),
                      "none, as at " + std::to_string(count), std::to_string(ids[i]));
    }
    truth.counts[q] = static_cast<uint32_t>(count);
    full &= count == ids.size();
  }
  if (full) truth.counts.clear();
  return {};
}

// Whether the first distances of a row that differ from each other descend: the inner products
// themselves, unless there are none that differ.
bool Descends(const TruthSet& truth) {
  for (size_t q = 0; q < truth.queries && !truth.distances.empty(); ++q) {
    const size_t count = truth.counts.empty() ? truth.k : truth.counts[q];
    const auto distances = truth.Distances(q).first(count);
    for (size_t i = 1; i < count; ++i)
      if (distances[i] != distances[i - 1]) return distances[i] < distances[i - 1];
  }
  return true;
}

void FromDiskann(Metric metric, TruthSet& truth) {
  const bool products = metric == Metric::kInnerProduct && Descends(truth);
  if (!products && metric != Metric::kCosine) return;
  const float factor = products ? -1.0f : 0.5f;
  for (float& distance : truth.distances) distance *= factor;
}

}  // namespace

Result<TruthSet> ReadTruthSet(const std::filesystem::path& path, const TruthReadOptions& options) {
  auto file = InputFile::Open(path);
  if (!file) return tl::unexpected(file.error());
  auto layout = ReadLayout(*file);
  if (!layout) return tl::unexpected(layout.error());
  TruthSet truth;
  truth.queries = layout->queries;
  truth.k = layout->k;
  const size_t entries = truth.queries * truth.k;
  Status ok = TryResize(path, truth.ids, entries);
  if (ok) ok = file->ReadAt(kHeaderBytes, truth.ids.data(), entries * sizeof(uint32_t), "ids");
  if (ok && layout->distances) {
    ok = TryResize(path, truth.distances, entries);
    if (ok) {
      ok = file->ReadAt(kHeaderBytes + entries * sizeof(uint32_t), truth.distances.data(),
                        entries * sizeof(float), "distances");
    }
  }
  if (ok) ok = CountNeighbors(path, truth);
  if (!ok) return tl::unexpected(ok.error());
  if (options.metric) FromDiskann(*options.metric, truth);
  if (ok = CheckTruthSet(truth, {.points = options.points}); ok) return truth;
  return MakeError(ok.error().code, path.string() + ": " + ok.error().message);
}

Status WriteTruthSet(const std::filesystem::path& path, const TruthSet& truth) {
  if (truth.queries < 1 || truth.k < 1 || truth.queries > size_t{kMax} || truth.k > size_t{kMax}) {
    return Mismatch(ErrorCode::kInvalidArgument, path, "truthset to write",
                    "at least 1 query and k = 1",
                    std::to_string(truth.queries) + " queries, k = " + std::to_string(truth.k));
  }
  const size_t entries = truth.queries * truth.k;
  if (truth.ids.size() != entries ||
      (!truth.distances.empty() && truth.distances.size() != entries)) {
    return Mismatch(ErrorCode::kInvalidArgument, path, "truthset to write",
                    std::to_string(entries) + " ids and as many distances or none",
                    std::to_string(truth.ids.size()) + " ids and " +
                        std::to_string(truth.distances.size()) + " distances");
  }
  const std::array<int32_t, 2> header = {static_cast<int32_t>(truth.queries),
                                         static_cast<int32_t>(truth.k)};
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  Status ok = file->Append(header.data(), sizeof(header));
  if (ok) ok = file->Append(truth.ids.data(), truth.ids.size() * sizeof(uint32_t));
  if (ok) ok = file->Append(truth.distances.data(), truth.distances.size() * sizeof(float));
  if (ok) ok = file->Commit();
  return ok;
}

}  // namespace shoal
