// The job of clusters.cc for one engine: the stream through the index, beside a fresh index.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "clusters/mixture.h"
#include "cpu_time.h"
#include "shoal/exact.h"
#include "shoal/options.h"
#include "version.h"

namespace shoal::bench {

struct ClustersOptions {
  MixtureOptions mixture;
  std::string fill = "inserts";
  uint32_t degree = 32, build_list = 0;
  std::vector<size_t> lists = {10, 40, 160};
};

// Engine(options): Fill(first id, rows), in one of the ways that Fills() names; Insert(id, row),
// Delete(id), Finish(): the rest of what the deletes cause,
// Search(query, k, list, ids, distances) -> hits, which adds the distances that it computed;
// Name(), and Structure(): a line on the state of the graph, or nothing. One thread.
template <class Engine>
class ClustersJob {
 public:
  explicit ClustersJob(const ClustersOptions& options)
      : options_(options), mixture_(options.mixture), engine_(options) {}

  void Run() {
    const MixtureOptions& mixture = options_.mixture;
    fmt::print(
        "# {} clusters={} dim={} spread={} live={} order={} fill={} turnovers={} R={} L={} "
        "seed={}\n",
        engine_.Name(), mixture.clusters, mixture.dim, mixture.spread, mixture.live, mixture.order,
        options_.fill, mixture.turnovers, options_.degree, options_.build_list, mixture.seed);
    const double fill_us = Fill(engine_, 0);
    // Without a turnover the fresh index would be the same graph.
    std::optional<Engine> fresh;
    if (mixture.turnovers > 0) {
      Slide();
      Fill(fresh.emplace(options_), First());
    }
    PrintSearches(fresh);
    PrintCosts(fill_us);
    const std::string structure = engine_.Structure();
    if (!structure.empty()) fmt::print("{}\n", structure);
  }

 private:
  static constexpr size_t kK = 10;

  struct Figures {
    double recall = 0, distances = 0;  // Means of the queries.
  };

  // The first row that is live at the end.
  size_t First() const { return options_.mixture.rows() - options_.mixture.live; }

  // With `live` rows from `first` on. CPU us of an insert.
  double Fill(Engine& engine, size_t first) const {
    const size_t live = options_.mixture.live;
    const double begin = ThreadCpuSeconds();
    engine.Fill(first, mixture_.rows().view().Slice(first, live));
    return (ThreadCpuSeconds() - begin) * 1e6 / static_cast<double>(live);
  }

  // Every point comes as the oldest goes.
  void Slide() {
    double now = ThreadCpuSeconds();
    const auto add_to = [&](double& sum) {
      const double before = now;
      now = ThreadCpuSeconds();
      sum += now - before;
      return now - before;
    };
    delete_each_.reserve(First());
    for (size_t oldest = 0; oldest < First(); ++oldest) {
      const size_t row = oldest + options_.mixture.live;
      engine_.Insert(row, mixture_.rows()[row]);
      add_to(insert_cpu_);
      engine_.Delete(oldest);
      delete_each_.push_back(add_to(delete_cpu_));
    }
    engine_.Finish();
    add_to(delete_cpu_);
  }

  void PrintSearches(std::optional<Engine>& fresh) {
    std::vector<uint32_t> ids(options_.mixture.live);
    std::iota(ids.begin(), ids.end(), static_cast<uint32_t>(First()));
    const MatrixView live = mixture_.rows().view().Slice(First(), ids.size());
    const TruthSet truth = Need(ExactSearch(live, mixture_.queries(), {.k = kK, .ids = ids}));
    fmt::print("{:>5}{:>11}{:>11}", "L", "recall@10", "distances");
    if (fresh) fmt::print("{:>11}{:>11}", "fresh", "distances");
    fmt::print("\n");
    for (const size_t list : options_.lists) {
      const Figures figures = Search(engine_, list, truth);
      fmt::print("{:>5}{:>11.4f}{:>11.1f}", list, figures.recall, figures.distances);
      if (fresh) {
        const Figures anew = Search(*fresh, list, truth);
        fmt::print("{:>11.4f}{:>11.1f}", anew.recall, anew.distances);
      }
      fmt::print("\n");
    }
  }

  Figures Search(Engine& engine, size_t list, const TruthSet& truth) {
    const Matrix& queries = mixture_.queries();
    const auto n = static_cast<double>(queries.rows());
    Figures figures;
    uint64_t distances = 0;
    std::vector<uint64_t> found(kK);
    for (size_t q = 0; q < queries.rows(); ++q) {
      const size_t hits = engine.Search(queries[q], kK, list, found.data(), distances);
      figures.recall += Recall(truth, q, std::span(found.data(), hits), kK) / n;
    }
    figures.distances = static_cast<double>(distances) / n;
    return figures;
  }

  void PrintCosts(double fill_us) const {
    fmt::print("CPU us: {:.1f} an insert of the fill", fill_us);
    if (First() > 0) {
      const double updates = static_cast<double>(First()) / 1e6;
      fmt::print(", {:.1f} a later insert, {:.1f} a delete; delete / insert {:.2f}",
                 insert_cpu_ / updates, delete_cpu_ / updates, delete_cpu_ / insert_cpu_);
      std::vector<double> each = delete_each_;
      std::sort(each.begin(), each.end());
      fmt::print("\nof single deletes: {:.1f} the middle one, {:.1f} p99, {:.1f} the longest",
                 each[each.size() / 2] * 1e6, each[each.size() * 99 / 100] * 1e6,
                 each.back() * 1e6);
    }
    fmt::print("\n");
  }

  const ClustersOptions options_;
  const Mixture mixture_;
  Engine engine_;
  double insert_cpu_ = 0, delete_cpu_ = 0;  // Seconds, of Slide().
  std::vector<double> delete_each_;
};

// build_list: what it is by default.
template <class Engine>
int ClustersMain(int argc, char** argv, uint32_t build_list) {
  ClustersOptions options;
  options.build_list = build_list;
  CLI::App app("Recall and cost of updates of an index of tight clusters, beside a fresh index.");
  AddVersion(app, "clusters");
  const auto option = [&](const char* name, auto& value, const char* what) {
    return app.add_option(name, value, what)->capture_default_str();
  };
  MixtureOptions& mixture = options.mixture;
  constexpr size_t kMax = 4'000'000;  // With the most turnovers, row numbers are 32 bits.
  option("--clusters", mixture.clusters, "clusters")->check(CLI::Range(size_t{1}, kMax));
  option("--dim", mixture.dim, "dimensions")->check(CLI::Range(size_t{1}, size_t{kMaxDim}));
  option("--spread", mixture.spread, "of a cluster, by that of the centres")
      ->check(CLI::Range(1e-3, 1e3));
  option("--live", mixture.live, "points in the index")->check(CLI::Range(size_t{10}, kMax));
  option("--turnovers", mixture.turnovers, "how often all are replaced")
      ->check(CLI::Range(size_t{0}, size_t{1000}));
  option("--order", mixture.order,
         "of the points: random, clusters (one after another, over and over) or drift (one after "
         "another, each once)")
      ->check(CLI::IsMember({"random", "clusters", "drift"}));
  option("--fill", options.fill, "by single inserts, or all in one call, in the same order")
      ->check(CLI::IsMember(Engine::Fills()));
  option("--queries", mixture.queries, "queries")->check(CLI::Range(size_t{1}, kMax));
  option("--seed", mixture.seed, "seed");
  option("--degree", options.degree, "R, or 2 M")->check(CLI::Range(uint32_t{4}, kMaxDegree));
  option("--build-list", options.build_list, "L of the inserts, or ef_construction")
      ->check(CLI::Range(uint32_t{1}, kMaxListSize));
  option("--lists", options.lists, "L of the searches, or ef: 10,40,160")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, size_t{kMaxListSize}));
  CLI11_PARSE(app, argc, argv);
  if (mixture.clusters > mixture.live) Fail("--clusters: expected at most --live");
  if (std::isnan(mixture.spread)) Fail("--spread: expected a number");
  ClustersJob<Engine>(options).Run();
  return 0;
}

}  // namespace shoal::bench
