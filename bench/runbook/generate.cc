#include "runbook/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <utility>

#include "runbook/live_points.h"
#include "runbook/pattern_tools.h"

namespace shoal::bench {
namespace {

// Rounds of a stream after its start.
size_t Rounds(const GenerateOptions& options) {
  return static_cast<size_t>(std::llround(options.turnovers * options.steps));
}

// Points of a round.
uint32_t Batch(const GenerateOptions& options) {
  return std::max(1u, options.window / options.steps);
}

void SlidingWindow(const GenerateOptions& options, RunbookMaker& maker) {
  Ring ring({0, options.rows});
  maker.Insert(ring.Come(options.window));
  maker.Search();
  for (size_t round = 0; round < Rounds(options); ++round) {
    maker.Insert(ring.Come(Batch(options)));
    maker.Delete(ring.Go(Batch(options)));
    maker.Search();
  }
}

void ExpirationTime(const GenerateOptions& options, RunbookMaker& maker) {
  const uint32_t batch = Batch(options);
  // Per round come 1 batch; of 26 batches 5 live 5 t rounds, 20 live t: 45/26 t are there.
  const auto lifetime = std::max<size_t>(
      1, static_cast<size_t>(std::llround(static_cast<double>(options.steps) * 26 / 45)));
  const size_t places = options.rows / batch;
  std::deque<uint32_t> free(places);
  std::iota(free.begin(), free.end(), 0u);
  std::vector<std::vector<uint32_t>> ends(1);  // By round: the places that go then.
  size_t eternal = 0;
  const auto range = [&](uint32_t place) { return IdRange{place * batch, (place + 1) * batch}; };
  for (size_t round = 0; round < options.steps + Rounds(options); ++round) {
    ends.resize(std::max(ends.size(), round + 5 * lifetime + 1));
    for (const uint32_t place : ends[round]) {
      maker.Delete({range(place)});
      free.push_back(place);
    }
    if (!free.empty()) {
      const uint32_t place = free.front();
      free.pop_front();
      maker.Insert({range(place)});
      const uint64_t draw = maker.random().Below(26);
      // Those that stay for ever must leave room for the rest, however long the stream.
      const bool stays = draw == 0 && 8 * (eternal + 1) <= options.steps;
      if (stays) ++eternal;
      if (!stays) ends[round + (draw <= 5 ? 5 * lifetime : lifetime)].push_back(place);
    }
    maker.Search();
  }
}

void ClusteredDrift(const GenerateOptions& options, RunbookMaker& maker) {
  const std::vector<IdRange> clusters = ClustersOf(options.bounds, options.rows);
  std::vector<Ring> rings;
  for (const IdRange& cluster : clusters) rings.emplace_back(cluster);
  // A round that ends with w (1 - g) points, g deleted on average, and comes back to w at its
  // height, inserts w g: g = 0.7, half to nine tenths.
  const double share = static_cast<double>(options.window) / options.rows;
  const size_t rounds =
      std::max<size_t>(1, static_cast<size_t>(std::llround(options.turnovers / 0.7)));
  for (size_t round = 0; round < rounds; ++round) {
    for (const size_t c : Shuffled(maker.random(), clusters.size())) {
      const double wanted = share * clusters[c].size() * (0.5 + Unit(maker.random()));
      const auto most = static_cast<uint32_t>(std::min<double>(wanted, clusters[c].size()));
      if (most <= rings[c].size()) continue;
      maker.Insert(rings[c].Come(most - rings[c].size()));
      maker.Search();
    }
    for (const size_t c : Shuffled(maker.random(), clusters.size())) {
      const double gone = 0.5 + 0.4 * Unit(maker.random());
      const auto n = static_cast<uint32_t>(gone * rings[c].size());
      if (n == 0) continue;
      maker.Delete(rings[c].Go(n));
      maker.Search();
    }
  }
}

void DeleteRegions(const GenerateOptions& options, RunbookMaker& maker) {
  const std::vector<IdRange> clusters = ClustersOf(options.bounds, options.rows);
  const std::vector<size_t> order = Shuffled(maker.random(), clusters.size());
  size_t next = 0, oldest = 0;
  uint64_t live = 0, came = 0;
  const auto come = [&] {
    const IdRange& cluster = clusters[order[next++ % order.size()]];
    maker.Insert({cluster});
    live += cluster.size();
    came += cluster.size();
  };
  // One region is always away, so that there is one to come.
  const auto full = [&] { return live >= options.window || next - oldest + 1 >= order.size(); };
  while (!full()) come();
  maker.Search();
  const auto all = came + static_cast<uint64_t>(options.turnovers * options.window);
  while (came < all) {
    while (full()) {
      const IdRange& cluster = clusters[order[oldest++ % order.size()]];
      maker.Delete({cluster});
      live -= cluster.size();
    }
    maker.Search();
    while (!full() && came < all) come();
    maker.Search();
  }
}

// Points that are replaced together: a small part of a cluster.
uint32_t Piece(const GenerateOptions& options) {
  const auto clusters = static_cast<uint32_t>(options.bounds.size());
  return std::clamp(options.rows / clusters / 8, 1u, Batch(options));
}

// All rows are cut into pieces of one size within their clusters. A piece of points holds a piece
// of rows; the pieces of rows that no point has wait in line, cluster by cluster.
void Replace(const GenerateOptions& options, RunbookMaker& maker) {
  const std::vector<IdRange> clusters = ClustersOf(options.bounds, options.rows);
  const uint32_t piece = Piece(options);
  struct Holder {
    IdRange points, rows;
    size_t cluster = 0;  // Of the rows.
  };
  std::vector<Holder> holders;
  std::vector<std::deque<IdRange>> waiting(clusters.size());
  const double share = static_cast<double>(options.window) / options.rows;
  for (size_t c = 0; c < clusters.size(); ++c) {
    const uint32_t pieces = clusters[c].size() / piece;
    if (pieces < 2) continue;  // One is left to wait, or nothing could be replaced.
    const auto live =
        std::clamp(static_cast<uint32_t>(std::lround(share * pieces)), 1u, pieces - 1);
    for (uint32_t i = 0; i < pieces; ++i) {
      const IdRange rows{clusters[c].begin + i * piece, clusters[c].begin + (i + 1) * piece};
      if (i < live) holders.push_back({rows, rows, c});
      if (i >= live) waiting[c].push_back(rows);
    }
  }
  for (const Holder& holder : holders) maker.Insert({holder.points});
  maker.Search();
  const uint32_t pieces = (Batch(options) + piece - 1) / piece;
  for (size_t n = 1; n <= Rounds(options) * pieces; ++n) {
    Holder& holder = holders[maker.random().Below(holders.size())];
    std::vector<size_t> able;
    for (size_t c = 0; c < clusters.size(); ++c) {
      const bool wanted = (c == holder.cluster) == (options.pattern == Pattern::kReplaceInPlace);
      if (wanted && !waiting[c].empty()) able.push_back(c);
    }
    if (!able.empty()) {  // Else all that wait are of its own cluster.
      const size_t to = able[maker.random().Below(able.size())];
      waiting[holder.cluster].push_back(holder.rows);
      maker.Replace(holder.points, waiting[to].front());
      holder.rows = waiting[to].front();
      holder.cluster = to;
      waiting[to].pop_front();
    }
    if (n % pieces == 0) maker.Search();
  }
}

struct PatternEntry {
  std::string_view name;
  std::string_view summary;
  void (*make)(const GenerateOptions&, RunbookMaker&);
  bool uses_clusters;
};
constexpr PatternEntry kTable[kPatterns] = {
    {"sliding-window", "the oldest points go, as many as come", SlidingWindow, false},
    {"expiration-time", "batches live for ever, long or short, at odds of 1:5:20", ExpirationTime,
     false},
    {"clustered-drift", "clusters come one by one, then 50 to 90 % of each goes", ClusteredDrift,
     true},
    {"delete-regions", "whole clusters go at once, others come", DeleteRegions, true},
    {"replace-in-place", "points get other vectors of their cluster", Replace, true},
    {"replace-across", "points get vectors of another cluster", Replace, true},
};

const PatternEntry& EntryOf(Pattern pattern) { return kTable[static_cast<size_t>(pattern)]; }

Status Check(const GenerateOptions& options) {
  const auto wrong = [](std::string_view option, const std::string& expected, auto found) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{}: expected {}, found {}", option, expected, found));
  };
  if (options.window < 1) return wrong("window", "at least 1", options.window);
  if (options.steps < 1 || options.steps > options.window)
    return wrong("steps", fmt::format("1 to {}, the window", options.window), options.steps);
  if (!(options.turnovers >= 0) || options.turnovers > 1e6)
    return wrong("turnovers", "0 to 1000000", options.turnovers);
  const uint64_t least = options.pattern == Pattern::kExpirationTime
                             ? 2 * uint64_t{options.window}
                             : uint64_t{options.window} + Batch(options);
  if (options.rows < least)
    return wrong("rows", fmt::format("at least {} for a window of {}", least, options.window),
                 options.rows);
  if (!EntryOf(options.pattern).uses_clusters) return {};
  uint32_t last = 0;
  for (size_t i = 0; i < options.bounds.size(); ++i) {
    if ((i == 0) == (options.bounds[i] == 0) && options.bounds[i] >= last &&
        options.bounds[i] < options.rows) {
      last = options.bounds[i];
      continue;
    }
    return wrong(fmt::format("bounds[{}]", i), "rows in ascending order, the first 0",
                 options.bounds[i]);
  }
  if (options.bounds.empty() && (options.clusters < 2 || options.clusters > options.rows))
    return wrong("clusters", fmt::format("2 to {}, the rows", options.rows), options.clusters);
  if (options.bounds.size() == 1) return wrong("bounds", "at least 2 clusters", 1);
  return {};
}

// Points are replaced in pieces: clusters of fewer than two have none.
Status CheckPieces(const GenerateOptions& options) {
  if (EntryOf(options.pattern).make != Replace) return {};
  size_t able = 0;
  for (const IdRange& cluster : ClustersOf(options.bounds, options.rows))
    able += cluster.size() / Piece(options) >= 2 ? 1 : 0;
  if (able >= 2) return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("clusters: expected two that are not small beside the others, "
                               "found {}",
                               able));
}

}  // namespace

std::string_view PatternName(Pattern pattern) { return EntryOf(pattern).name; }
std::string_view PatternSummary(Pattern pattern) { return EntryOf(pattern).summary; }

Result<Runbook> GenerateRunbook(const GenerateOptions& wanted) {
  if (auto ok = Check(wanted); !ok) return tl::unexpected(ok.error());
  GenerateOptions options = wanted;
  if (options.bounds.empty()) {
    for (uint64_t c = 0; c < options.clusters; ++c)
      options.bounds.push_back(static_cast<uint32_t>(c * options.rows / options.clusters));
  }
  if (auto ok = CheckPieces(options); !ok) return tl::unexpected(ok.error());
  RunbookMaker maker(options.dataset, options.seed);
  EntryOf(options.pattern).make(options, maker);
  Runbook runbook = std::move(maker).Finish();
  const auto summary = CheckRunbook(runbook, options.rows);
  if (!summary) return tl::unexpected(summary.error());
  runbook.max_points = summary->max_live;
  return runbook;
}

std::vector<std::string> GenerateComments(const GenerateOptions& options) {
  std::vector<std::string> lines = {
      fmt::format("Made by shoal-bench generate-runbook: {}, {}", PatternName(options.pattern),
                  PatternSummary(options.pattern)),
      fmt::format("rows {}, window {}, steps {}, turnovers {}, seed {}", options.rows,
                  options.window, options.steps, options.turnovers, options.seed)};
  if (EntryOf(options.pattern).uses_clusters) {
    const size_t clusters = options.bounds.empty() ? options.clusters : options.bounds.size();
    lines.push_back(fmt::format("{} clusters, {}", clusters,
                                options.bounds.empty()
                                    ? "equal parts of the data in its order"
                                    : "for the data sorted by cluster with the same seed"));
  }
  return lines;
}

}  // namespace shoal::bench
