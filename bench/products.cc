// Sets that make a graph's work hard: inner products of vectors whose norms vary or that all point
// the same way, points that are near to all others. How much of the truth does a search find, and
// how fast? Beside hnswlib, where its headers are (cmake -DSHOAL_HNSWLIB_INCLUDE_DIR=...), in one
// run.
//
//   products --set norms,cloud,factors,positive,far --rows 50000 --dim 64
//   products --set norms --rows 20000 --turnovers 3
//   products --set unit,zero,zeros --rows 20000 --dim 100
//
// Sets, all float32, by inner product: a normal cloud; one whose rows have log-normal norms;
// factors, rows of rank 16 with such norms, as a factorisation of ratings gives; positive, clusters
// folded to where all elements are; far, clusters whose middle is far from the origin. By squared
// L2: unit vectors; zero, unit vectors one of which is nearly zero; zeros, where one in a thousand
// is; of these it is counted, too, how many points their own vector does not lead to. Queries are
// of the same kind (factors: with their own norms). Builds take two threads, searches one; the
// times are the best of three passes, engines in turns. With --turnovers every point is replaced so
// often, in random order, with the CPU time of each delete and insert, and a fresh index of the
// same points stands beside; with --refine the first then gets a pass of Refine.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <thread>

#include "cpu_time.h"
#include "need.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/version.h"
#include "version.h"

#if defined(SHOAL_BENCH_HNSWLIB)
#include "hnswlib_search.h"
#endif

namespace shoal::bench {
namespace {

constexpr size_t kK = 10;

struct Options {
  std::vector<std::string> sets = {"norms", "cloud", "factors", "positive", "far"};
  size_t rows = 50000, dim = 64, queries = 500, turnovers = 0;
  uint32_t degree = 32;
  std::vector<size_t> lists = {16, 32, 64, 128};
  uint64_t seed = 5;
  bool refine = false;
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool IsL2(const std::string& set) { return set == "unit" || set == "zero" || set == "zeros"; }

// `n` rows of a set, `queries` of which come last.
std::vector<float> MakeRows(const std::string& set, const Options& options, size_t n) {
  constexpr size_t kRank = 16, kClusters = 200;
  std::mt19937_64 random(options.seed);
  std::normal_distribution<float> normal;
  const size_t dim = options.dim;
  std::vector<float> basis(kRank * dim), centres(kClusters * dim), rows(n * dim);
  for (float& x : basis) x = normal(random) / 4;
  for (float& x : centres) x = 2 * normal(random);
  for (size_t i = 0; i < n; ++i) {
    float* const row = rows.data() + i * dim;
    for (size_t j = 0; j < dim; ++j) row[j] = normal(random);
    const bool is_query = i + options.queries >= n;
    const float norm = std::exp((set == "norms" ? 0.5f : 0.4f) * normal(random));
    if (IsL2(set)) {
      const float length = std::sqrt(std::inner_product(row, row + dim, row, 0.0f));
      const size_t period = set == "zero" ? options.rows : 1000;
      const bool zero = set != "unit" && !is_query && i % period == period / 2;
      for (size_t j = 0; j < dim; ++j) row[j] *= (zero ? 0.01f : 1.0f) / length;
    } else if (set == "norms") {
      for (size_t j = 0; j < dim; ++j) row[j] *= norm;
    } else if (set == "factors") {
      float factors[kRank];
      for (float& x : factors) x = normal(random);
      for (size_t j = 0; j < dim; ++j) {
        row[j] *= 0.02f;
        for (size_t k = 0; k < kRank; ++k) row[j] += factors[k] * basis[k * dim + j];
        if (!is_query) row[j] *= norm;
      }
    } else if (set == "positive" || set == "far") {
      const float* const centre = centres.data() + random() % kClusters * dim;
      for (size_t j = 0; j < dim; ++j)
        row[j] = set == "far" ? 128 + 12 * (row[j] + centre[j]) : std::abs(row[j] + centre[j]);
    }
  }
  return rows;
}

// An index that answers: `live[i]` is the row that id i has.
struct Engine {
  std::string name;
  double seconds = 0;  // Of the build.
  std::function<size_t(VectorView, size_t list, uint64_t* ids)> search;
};

class Job {
 public:
  Job(const std::string& set, const Options& options)
      : options_(options),
        metric_(IsL2(set) ? Metric::kL2 : Metric::kInnerProduct),
        rows_(MakeRows(set, options, options.rows * (1 + options.turnovers) + options.queries)),
        live_(options.rows) {
    std::iota(live_.begin(), live_.end(), uint32_t{0});
    fmt::print("## {}: {} x {}, R = {}, {} turnovers\n\n", set, options.rows, options.dim,
               options.degree, options.turnovers);
  }

  void Run() {
    engines_.push_back(Shoal(options_.turnovers > 0 ? "shoal, turned over" : "shoal"));
    if (options_.turnovers > 0) {
      Turn(*index_);
      if (options_.refine) Refine(*index_, engines_.back());
      engines_.push_back(Shoal("shoal, fresh"));
    }
    AddHnswlib();
    Print();
  }

 private:
  VectorView Row(size_t i) const { return View()[i]; }
  MatrixView View() const { return {std::span<const float>(rows_), options_.dim}; }
  MatrixView Queries() const {
    return View().Slice(View().rows() - options_.queries, options_.queries);
  }

  // The live rows, in the order of their ids.
  std::vector<float> Live() const {
    std::vector<float> live;
    for (const uint32_t row : live_)
      live.insert(live.end(), rows_.begin() + row * options_.dim,
                  rows_.begin() + (row + 1) * options_.dim);
    return live;
  }

  Engine Shoal(const std::string& name) {
    auto index =
        std::make_shared<Index>(Need(Index::Create({.dim = static_cast<uint32_t>(options_.dim),
                                                    .metric = metric_,
                                                    .max_degree = options_.degree})));
    index_ = index.get();
    std::vector<ExternalId> ids(options_.rows);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    const std::vector<float> live = Live();
    const double begin = Seconds();
    const auto report = Need(index->InsertMany(
        ids, MatrixView(std::span<const float>(live), options_.dim), {.threads = 2}));
    if (!report.failures.empty()) Fail(report.failures[0].error.message);
    return {
        name, Seconds() - begin, [index](VectorView query, size_t list, uint64_t* found) {
          return Need(index->Search(query, {.k = kK, .search_list_size = list}, {found, kK}, {}));
        }};
  }

  // Each id gets the row of another point, after its own has been deleted.
  void Turn(Index& index) {
    std::mt19937_64 random(options_.seed + 1);
    std::vector<uint32_t> order(options_.rows);
    std::iota(order.begin(), order.end(), uint32_t{0});
    size_t next = options_.rows;
    std::vector<double> deletes, inserts;  // CPU us of each.
    const auto time = [](std::vector<double>& times, const auto& operation) {
      const double begin = ThreadCpuSeconds();
      Need(operation());
      times.push_back((ThreadCpuSeconds() - begin) * 1e6);
    };
    for (size_t turn = 0; turn < options_.turnovers; ++turn) {
      std::shuffle(order.begin(), order.end(), random);
      for (const uint32_t id : order) {
        time(deletes, [&] { return index.Delete(id); });
        live_[id] = static_cast<uint32_t>(next++);
        time(inserts, [&] { return index.Insert(id, Row(live_[id])); });
      }
    }
    PrintTimes("delete", deletes);
    PrintTimes("insert", inserts);
    fmt::print("\n");
    Need(index.CheckStructure());
  }

  static void Refine(Index& index, Engine& engine) {
    const double begin = Seconds();
    Need(index.Refine({.threads = 2}));
    engine.name += fmt::format(", refined in {:.1f} s", Seconds() - begin);
  }

  static void PrintTimes(const char* operation, std::vector<double>& times) {
    std::sort(times.begin(), times.end());
    const double sum = std::accumulate(times.begin(), times.end(), 0.0);
    fmt::print("{}: mean {:.0f}, median {:.0f}, p99 {:.0f}, longest {:.0f} us of CPU\n", operation,
               sum / static_cast<double>(times.size()), times[times.size() / 2],
               times[times.size() * 99 / 100], times.back());
  }

  void AddHnswlib() {
#if defined(SHOAL_BENCH_HNSWLIB)
    struct Graph {
      Graph(const Options& o, Metric metric) : l2(o.dim), product(o.dim), graph(nullptr) {
        graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(
            metric == Metric::kL2 ? static_cast<hnswlib::SpaceInterface<float>*>(&l2) : &product,
            o.rows, o.degree / 2, 200);
      }
      hnswlib::L2Space l2;
      hnswlib::InnerProductSpace product;
      std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
    };
    auto hnsw = std::make_shared<Graph>(options_, metric_);
    const double begin = Seconds();
    std::atomic<size_t> next{1};
    const auto add = [&](size_t id) { hnsw->graph->addPoint(Row(live_[id]).data(), id); };
    add(0);
    const auto work = [&] {
      for (size_t i; (i = next.fetch_add(1)) < options_.rows;) add(i);
    };
    std::thread other(work);
    work();
    other.join();
    engines_.push_back(
        {"hnswlib", Seconds() - begin, [hnsw](VectorView query, size_t list, uint64_t* found) {
           hnsw->graph->setEf(list);
           return SearchHnsw(*hnsw->graph, query.data(), kK, found);
         }});
#endif
  }

  struct Figures {
    double recall = 0, us = 1e9;
  };

  void Pass(const Engine& engine, size_t list, const TruthSet& truth, Figures& figures) const {
    std::vector<uint64_t> found(kK * options_.queries);
    std::vector<size_t> hits(options_.queries);
    const double begin = Seconds();
    for (size_t q = 0; q < options_.queries; ++q)
      hits[q] = engine.search(Queries()[q], list, found.data() + q * kK);
    const auto n = static_cast<double>(options_.queries);
    figures.us = std::min(figures.us, (Seconds() - begin) * 1e6 / n);
    figures.recall = 0;
    for (size_t q = 0; q < options_.queries; ++q)
      figures.recall += Recall(truth, q, std::span(found).subspan(q * kK, hits[q]), kK) / n;
  }

  void Print() const {
    const std::vector<float> live = Live();
    const TruthSet truth = Need(ExactSearch(MatrixView(std::span<const float>(live), options_.dim),
                                            Queries(), {.k = kK, .metric = metric_}));
    fmt::print("| engine | build |");
    for (const size_t list : options_.lists) fmt::print(" L = {} |", list);
    fmt::print("\n|---|---|{}\n", [&] {
      std::string columns;
      for (size_t i = 0; i < options_.lists.size(); ++i) columns += "---|";
      return columns;
    }());
    std::vector<std::vector<Figures>> figures(engines_.size(),
                                              std::vector<Figures>(options_.lists.size()));
    for (int pass = 0; pass < 3; ++pass)
      for (size_t l = 0; l < options_.lists.size(); ++l)
        for (size_t e = 0; e < engines_.size(); ++e)
          Pass(engines_[e], options_.lists[l], truth, figures[e][l]);
    for (size_t e = 0; e < engines_.size(); ++e) {
      fmt::print("| {} | {:.1f} s |", engines_[e].name, engines_[e].seconds);
      for (const Figures& f : figures[e]) fmt::print(" {:.4f}, {:.0f} us |", f.recall, f.us);
      fmt::print("\n");
    }
    fmt::print("\n");
    if (metric_ == Metric::kL2) PrintLost();
  }

  // Whom their own vectors do not lead to. (No two points are the same.)
  void PrintLost() const {
    constexpr size_t kList = 64;
    for (const Engine& engine : engines_) {
      size_t lost = 0;
      for (size_t id = 0; id < live_.size(); ++id) {
        uint64_t found[kK];
        const size_t n = engine.search(Row(live_[id]), kList, found);
        lost += n == 0 || found[0] != id ? 1 : 0;
      }
      fmt::print("{}: {} of {} not found by their own vector at L = {}\n", engine.name, lost,
                 live_.size(), kList);
    }
    fmt::print("\n");
  }

  const Options options_;
  const Metric metric_;
  const std::vector<float> rows_;
  std::vector<uint32_t> live_;  // By id: its row.
  Index* index_ = nullptr;      // The last that was made.
  std::vector<Engine> engines_;
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Recall and speed on sets of vectors that make a graph's work hard.");
  shoal::bench::AddVersion(app, "products");
  const auto option = [&](const char* name, auto& value, const char* what) {
    return app.add_option(name, value, what)->capture_default_str();
  };
  option("--set", options.sets, "sets, with commas between")
      ->delimiter(',')
      ->check(
          CLI::IsMember({"norms", "cloud", "factors", "positive", "far", "unit", "zero", "zeros"}));
  option("--rows", options.rows, "points")->check(CLI::Range(size_t{kK}, size_t{4'000'000}));
  option("--dim", options.dim, "dimensions")->check(CLI::Range(size_t{1}, size_t{kMaxDim}));
  option("--queries", options.queries, "queries")->check(CLI::Range(size_t{1}, size_t{1'000'000}));
  option("--turnovers", options.turnovers, "how often all points are replaced")
      ->check(CLI::Range(size_t{0}, size_t{100}));
  app.add_flag("--refine", options.refine, "a pass of Refine after the turnovers");
  option("--degree", options.degree, "R, or 2 M")->check(CLI::Range(uint32_t{4}, kMaxDegree));
  option("--lists", options.lists, "L of the searches, or ef")
      ->delimiter(',')
      ->check(CLI::Range(size_t{1}, size_t{kMaxListSize}));
  option("--seed", options.seed, "seed");
  CLI11_PARSE(app, argc, argv);
  fmt::print("shoal {}, isa {}; recall@10, us a search on one thread\n\n", Version(), ActiveIsa());
  for (const std::string& set : options.sets) Job(set, options).Run();
  return 0;
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) { return shoal::bench::Main(argc, argv); }
