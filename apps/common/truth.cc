#include "apps/common/truth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "apps/common/measure.h"
#include "apps/common/progress.h"
#include "apps/common/zero_vectors.h"

namespace shoal::apps {
namespace {

// One neighbour, ordered as TruthSet orders: by distance, then by base row.
struct Candidate {
  float distance;
  uint32_t part;  // Within a part, the order found is by row; parts follow each other.
  size_t position;
  uint32_t id;
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return std::tie(a.distance, a.part, a.position) < std::tie(b.distance, b.part, b.position);
  }
};

size_t CountOf(const TruthSet& truth, size_t query) {
  return truth.counts.empty() ? truth.k : truth.counts[query];
}

// `into` becomes the k nearest of its own and those of `next`, whose rows are behind all of its
// own.
void Merge(TruthSet& into, const TruthSet& next) {
  if (into.counts.empty()) into.counts.assign(into.queries, static_cast<uint32_t>(into.k));
  std::vector<Candidate> all;
  for (size_t q = 0; q < into.queries; ++q) {
    all.clear();
    for (size_t i = 0; i < CountOf(into, q); ++i) {
      all.push_back({into.Distances(q)[i], 0, i, into.Ids(q)[i]});
    }
    for (size_t i = 0; i < CountOf(next, q); ++i) {
      all.push_back({next.Distances(q)[i], 1, i, next.Ids(q)[i]});
    }
    std::ranges::sort(all, std::less<>());
    const size_t count = std::min(all.size(), into.k);
    for (size_t i = 0; i < count; ++i) {
      into.ids[q * into.k + i] = all[i].id;
      into.distances[q * into.k + i] = all[i].distance;
    }
    into.counts[q] = static_cast<uint32_t>(count);
  }
}

// Under cosine rows without direction are left out or refused, before the work: reads the base once
// more, part by part.
Status TreatZeroRows(const TruthRequest& request, size_t part_rows, BaseIdentity& identity) {
  if (request.metric != Metric::kCosine) return {};
  auto& include = identity.include;
  const size_t rows = identity.ids.size();
  std::vector<uint32_t> zero;
  for (size_t first = 0; first < rows; first += part_rows) {
    const auto part =
        ReadBin(request.base_file, request.type, {.first_row = first, .max_rows = part_rows});
    if (!part) return tl::unexpected(part.error());
    for (const uint32_t row : RowsWithoutDirection(request.metric, *part, first))
      if (include.empty() || include[row] != 0) zero.push_back(row);
  }
  const auto used = include.empty() ? rows : rows - std::ranges::count(include, 0);
  if (auto ok = CheckZeroVectors(
          {.file = request.base_file, .vectors = used, .skip = request.skip_zero_vectors}, zero);
      !ok) {
    return ok;
  }
  if (!zero.empty() && include.empty()) include.assign(rows, 1);
  for (const uint32_t row : zero) include[row] = 0;
  return {};
}

struct TruthQueries {
  Matrix rows;                 // Those of `zero` have become copies of another: any has neighbours.
  std::vector<uint32_t> zero;  // Without direction under cosine: they have no neighbours.
};

Result<TruthQueries> ReadQueries(const TruthRequest& request, size_t dim) {
  auto rows = ReadBin(request.query_file, request.type);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->dim() != dim) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: dimension: expected {} as the base file has, found {}",
                                 request.query_file.string(), dim, rows->dim()));
  }
  auto zero = RowsWithoutDirection(request.metric, *rows);
  if (auto ok = CheckZeroVectors({.file = request.query_file,
                                  .what = "query",
                                  .vectors = rows->rows(),
                                  .skip = request.skip_zero_vectors},
                                 zero);
      !ok) {
    return tl::unexpected(ok.error());
  }
  // The first number that `zero` does not have in its place is not in it.
  size_t other = 0;
  while (other < zero.size() && zero[other] == other) ++other;
  const size_t bytes = rows->row_bytes();
  for (const uint32_t q : zero)
    std::memcpy(rows->data() + q * bytes, rows->data() + other * bytes, bytes);
  return TruthQueries{std::move(*rows), std::move(zero)};
}

// Queries without direction lose their answers; says if others have less than k neighbours.
void Finish(const TruthQueries& queries, TruthSet& truth) {
  if (truth.counts.empty()) truth.counts.assign(truth.queries, static_cast<uint32_t>(truth.k));
  const size_t least = std::ranges::min(truth.counts);
  if (least < truth.k) {
    fmt::print(
        "WARNING: found {} neighbours, less than --K {}: the rest of each row is id {} at "
        "the worst distance\n",
        least, truth.k, TruthSet::kNoNeighbor);
  }
  for (const uint32_t q : queries.zero) {
    truth.counts[q] = 0;
    std::fill_n(truth.ids.begin() + q * truth.k, truth.k, TruthSet::kNoNeighbor);
    std::fill_n(truth.distances.begin() + q * truth.k, truth.k,
                std::numeric_limits<float>::infinity());
  }
}

}  // namespace

float ToFileDistance(Metric metric, float distance) {
  switch (metric) {
    case Metric::kL2: return distance;
    case Metric::kInnerProduct: return -distance;
    case Metric::kCosine: return 2 * distance;
    case Metric::kManhattan:
    case Metric::kHamming: return distance;
  }
  return distance;
}

Result<TruthSet> ReadTruthFor(const std::filesystem::path& path, Metric metric, size_t queries,
                              size_t k) {
  auto truth = ReadTruthSet(path, {.metric = metric});
  if (!truth) return truth;
  if (truth->queries != queries) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: queries: expected {} as the query file has, found {}",
                                 path.string(), queries, truth->queries));
  }
  if (truth->k < k) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: neighbours of a query: expected at least --recall_at {}, "
                                 "found {}",
                                 path.string(), k, truth->k));
  }
  return truth;
}

Result<size_t> CheckTruthPoints(const std::filesystem::path& path, const TruthSet& truth,
                                const Index& index, Named named) {
  size_t missing = 0, all = 0;
  for (size_t q = 0; q < truth.queries; ++q) {
    for (size_t i = 0; i < CountOf(truth, q); ++i, ++all) {
      const uint32_t id = truth.Ids(q)[i];
      if (index.Contains(id)) continue;
      ++missing;
      if (named == Named::kByTag) continue;
      return MakeError(
          ErrorCode::kCorrupt,
          fmt::format("{}: id {} of query {}: expected a row number of the index of {} points, "
                      "found {}",
                      path.string(), i, q, index.size(), id));
    }
  }
  if (missing < all || all == 0) return missing;
  return MakeError(ErrorCode::kCorrupt,
                   fmt::format("{}: ids: expected tags of the index, found not one among {}",
                               path.string(), all));
}

Status WriteTruth(const std::filesystem::path& path, Metric metric, TruthSet truth) {
  for (float& distance : truth.distances) distance = ToFileDistance(metric, distance);
  return WriteTruthSet(path, truth);
}

Result<BaseIdentity> ReadIdentity(const std::filesystem::path& tags_file, size_t rows) {
  BaseIdentity identity;
  if (tags_file.empty()) {
    identity.ids.resize(rows);
    for (size_t i = 0; i < rows; ++i) identity.ids[i] = static_cast<uint32_t>(i);
    return identity;
  }
  BinShape shape;
  auto tags = ReadIdBin(tags_file, &shape);
  if (!tags) return tl::unexpected(tags.error());
  if (shape.rows != rows || shape.dim != 1) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: shape: expected {} x 1 as the base file has rows, found {} x {}",
                    tags_file.string(), rows, shape.rows, shape.dim));
  }
  identity.ids = std::move(*tags);
  identity.include.resize(rows);
  for (size_t i = 0; i < rows; ++i) identity.include[i] = identity.ids[i] != 0;
  return identity;
}

Result<TruthSet> ComputeTruth(const TruthRequest& request) {
  const auto base = ReadBinShape(request.base_file, request.type);
  if (!base) return tl::unexpected(base.error());
  const auto queries = ReadQueries(request, base->dim);
  if (!queries) return tl::unexpected(queries.error());
  auto identity = ReadIdentity(request.tags_file, base->rows);
  if (!identity) return tl::unexpected(identity.error());
  const size_t count = queries->rows.rows();
  const size_t part_rows =
      std::clamp<size_t>(request.part_bytes / queries->rows.row_bytes(), 1, base->rows);
  if (auto ok = TreatZeroRows(request, part_rows, *identity); !ok)
    return tl::unexpected(ok.error());
  fmt::print("Going to compute {} NNs for {} queries over {} points in {} dimensions using {}\n",
             request.k, count, base->rows, base->dim, MetricName(request.metric));
  Result<TruthSet> truth;
  const size_t parts = (base->rows + part_rows - 1) / part_rows;
  Progress progress("Ground truth", "queries x parts", parts * count);
  for (size_t part = 0; part < parts; ++part) {
    const size_t first = part * part_rows;
    const auto rows =
        ReadBin(request.base_file, request.type, {.first_row = first, .max_rows = part_rows});
    if (!rows) return tl::unexpected(rows.error());
    ExactOptions options{.k = request.k, .metric = request.metric};
    options.ids = std::span(identity->ids).subspan(first, rows->rows());
    if (!identity->include.empty()) {
      options.include = std::span(identity->include).subspan(first, rows->rows());
    }
    options.batch.threads = request.threads;
    options.batch.progress = [&](size_t done, size_t total) {
      progress.Update(part * count + done * count / std::max<size_t>(total, 1));
    };
    auto found = ExactSearch(*rows, queries->rows, options);
    if (!found) {
      return MakeError(found.error().code,
                       fmt::format("{} (rows from {}), {}: {}", request.base_file.string(), first,
                                   request.query_file.string(), found.error().message));
    }
    if (part == 0) {
      truth = std::move(found);
    } else {
      Merge(*truth, *found);
    }
  }
  Finish(*queries, *truth);
  return truth;
}

double MeanRecall(const TruthSet& truth, const SearchRun& run, size_t columns, size_t k) {
  double sum = 0;
  for (const size_t q : run.asked) {
    const size_t first = q * columns, count = run.counts[q];
    sum += Recall(truth, q, std::span(run.ids).subspan(first, count), k,
                  {std::span(run.distances).subspan(first, count), run.rounding});
  }
  return sum * 100 / static_cast<double>(run.asked.size());
}

}  // namespace shoal::apps
