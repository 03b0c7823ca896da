// What becomes of an index whose points come and go: recall, work per search, time per update and
// memory over many turnovers, beside a fresh index of the same points.
//
//   churn --data ROWS.u8bin --scenario random --live 50000 --turnovers 100 --every 10 --state S
//
// Scenarios (a turnover deletes as many points as are live; they go and come in rounds):
//   slide    the oldest go, the next rows of the file come
//   random   any go, any that are not there come
//   region   the rows are cut into 64 regions by k-means; whole regions go, others come
//   hub      those that most lists point at go, any come
//   shrink   nine of ten go; then as many come
//   refill   all go; then as many come
// The queries: --held-out rows from the end of the file, which never come in (--queries: a file).
// With --state FILE the job notes there after every checkpoint where it is, and the index beside it
// in FILE.shoal: run again, it goes on from there.
//
// One line a checkpoint. B/pt: the most memory since the last one by --live points. At equal
// distances: recall of the churned index minus that of the fresh
// one at the number of distances that the churned one took (linear between measured points); at
// equal recall: distances of the churned index by those of the fresh one. Seeds are fixed: a run
// with one thread repeats exactly.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "churn/curve.h"
#include "churn/in_degrees.h"
#include "churn/points.h"
#include "cpu_time.h"
#include "need.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/version.h"
#include "version.h"

namespace shoal::bench {
namespace {

struct Arguments {
  std::string data, queries, state, scenario = "random", type = "u8", policy = "immediate";
  size_t held_out = 10000, live = 50000, turnovers = 10, every = 1, threads = 2, rounds = 10;
  uint32_t degree = 32, list = 100;
  uint64_t seed = 1;
  bool curves = false;
};

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Matrix Read(const std::string& path, const std::string& type) {
  Matrix bytes = Need(ReadBin(path, ScalarType::kUint8));
  if (type == "u8") return bytes;
  Matrix floats = Need(Matrix::Create(ScalarType::kFloat32, bytes.rows(), bytes.dim()));
  for (size_t i = 0; i < bytes.rows() * bytes.dim(); ++i) {
    const auto value = static_cast<float>(std::to_integer<uint8_t>(bytes.data()[i]));
    std::memcpy(floats.data() + i * sizeof(float), &value, sizeof(float));
  }
  return floats;
}

// The last rows of the file; `queries`, if a file is named.
Matrix Queries(const Arguments& args, const Matrix& rows) {
  if (!args.queries.empty()) return Read(args.queries, args.type);
  if (args.held_out == 0 || args.held_out >= rows.rows())
    Fail("--held-out: expected more than 0 and less than the rows of the file");
  Matrix queries = Need(Matrix::Create(rows.type(), args.held_out, rows.dim()));
  const size_t bytes = args.held_out * rows.row_bytes();
  std::memcpy(queries.data(), rows.data() + rows.rows() * rows.row_bytes() - bytes, bytes);
  return queries;
}

class Churn {
 public:
  explicit Churn(const Arguments& args)
      : args_(args),
        rows_(Read(args.data, args.type)),
        queries_(Queries(args, rows_)),
        points_(rows_.rows() - (args.queries.empty() ? args.held_out : 0), args.seed,
                args.scenario == "region" ? CutIntoRegions(rows_) : std::vector<uint32_t>()),
        index_(Need(Index::Create(Options()))) {
    if (args.live >= points_.rows()) Fail("--live: expected less than the rows of the file");
  }

  void Run() {
    size_t turn = 0;
    if (!args_.state.empty() && std::filesystem::exists(args_.state)) {
      turn = Resume();
    } else {
      fmt::print("# {}\n", Settings());
      fmt::print("{:>5}{:>8}{:>9}{:>9}{:>9}{:>9}{:>8}{:>9}{:>9}{:>7}{:>8}{:>9}{:>9}{:>7}{:>8}\n",
                 "turn", "live", "r@L16", "r@L64", "min_dr", "mean_dr", "x_dist", "ins_us",
                 "del_us", "ratio", "p99/50", "rebirth", "relinked", "lost", "B/pt");
      Start();
      Report(0);
    }
    while (++turn <= args_.turnovers) {
      Turnover();
      if (turn % args_.every != 0) continue;
      Report(turn);
      if (!args_.state.empty()) SaveState(turn);
    }
  }

 private:
  using Ids = Points::Ids;

  IndexOptions Options() const {
    IndexOptions options{.dim = static_cast<uint32_t>(rows_.dim()),
                         .scalar_type = rows_.type(),
                         .max_degree = args_.degree,
                         .build_list_size = args_.list};
    if (args_.policy == "background") options.runtime.repair = RepairPolicy::kBackground;
    if (args_.policy == "manual") options.runtime.repair = RepairPolicy::kManual;
    return options;
  }

  std::string Settings() const {
    return fmt::format("{} {} live={} R={} L={} threads={} policy={} seed={} rounds={} isa={}",
                       args_.scenario, args_.type, args_.live, args_.degree, args_.list,
                       args_.threads, args_.policy, args_.seed, args_.rounds, ActiveIsa());
  }

  void SaveState(size_t turn) const {
    Need(index_.Save(args_.state + ".shoal"));
    std::ofstream out(args_.state + ".new");
    out << Settings() << '\n' << turn << '\n';
    points_.Save(out);
    out.close();
    if (!out) Fail(args_.state + ": cannot be written");
    std::filesystem::rename(args_.state + ".new", args_.state);
  }

  size_t Resume() {
    std::ifstream in(args_.state);
    std::string settings;
    std::getline(in, settings);
    if (settings != Settings())
      Fail(fmt::format("{}: is of another job: expected '{}', found '{}'", args_.state, Settings(),
                       settings));
    size_t turn = 0;
    if (!(in >> turn) || !points_.Load(in)) Fail(args_.state + ": is no state of this job");
    LoadOptions options;
    options.runtime = Options().runtime;
    index_ = Need(Index::Load(args_.state + ".shoal", options));
    if (index_.size() != points_.live().size()) Fail(args_.state + ".shoal: is of another moment");
    return turn;
  }

  void Start() {
    if (args_.scenario != "region") return Insert(points_.Next(args_.live));
    while (points_.live().size() < args_.live) Insert(points_.ComingRegion(RegionSize()));
  }
  size_t RegionSize() const { return args_.live / (kRegions / 2); }

  void Turnover() {
    if (args_.scenario == "region") return RegionTurnover();
    if (args_.scenario == "shrink" || args_.scenario == "refill") {
      Delete(points_.Any(args_.scenario == "shrink" ? args_.live * 9 / 10 : args_.live));
      if (args_.scenario == "shrink") Report(0);
      Insert(points_.Absent(args_.live - points_.live().size()));
      return;
    }
    for (size_t round = 0; round < args_.rounds; ++round) {
      const size_t n = args_.live / args_.rounds;
      if (args_.scenario == "slide") {
        Insert(points_.Next(n));
        Delete(points_.Oldest(n));
      } else {
        Delete(args_.scenario == "hub" ? Hubs(n) : points_.Any(n));
        Insert(points_.Absent(n));
      }
    }
  }

  void RegionTurnover() {
    for (const size_t before = deleted_; deleted_ - before < args_.live;) {
      Delete(points_.LeavingRegion(RegionSize()));
      Insert(points_.ComingRegion(RegionSize()));
    }
  }

  // The points with the most in-edges.
  Ids Hubs(size_t n) {
    const auto degrees = InDegrees(
        index_, std::filesystem::temp_directory_path() / fmt::format("churn-{}", getpid()));
    Ids ids = points_.live();
    std::stable_sort(ids.begin(), ids.end(),
                     [&](ExternalId a, ExternalId b) { return degrees.at(a) > degrees.at(b); });
    ids.resize(std::min(n, ids.size()));
    return ids;
  }

  void Insert(const Ids& ids) {
    const double cpu = CpuSeconds();
    const Matrix rows = RowsOf(ids);
    const auto report = Need(index_.InsertMany(ids, rows, {.threads = args_.threads}));
    if (!report.failures.empty()) Fail(report.failures[0].error.message);
    insert_cpu_ += CpuSeconds() - cpu;
    inserted_ += ids.size();
    most_memory_ = std::max(most_memory_, index_.Stats().memory.total());
    points_.Come(ids);
  }

  Matrix RowsOf(const Ids& ids) const {
    Matrix rows = Need(Matrix::Create(rows_.type(), ids.size(), rows_.dim()));
    for (size_t i = 0; i < ids.size(); ++i)
      std::memcpy(rows.data() + i * rows.row_bytes(), rows_.data() + ids[i] * rows.row_bytes(),
                  rows.row_bytes());
    return rows;
  }

  void Delete(const Ids& ids) {
    const double cpu = CpuSeconds();
    std::vector<std::vector<float>> took(args_.threads);
    std::vector<std::thread> threads;
    for (size_t t = 0; t < args_.threads; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = t; i < ids.size(); i += args_.threads) {
          const auto begin = Clock::now();
          Need(index_.Delete(ids[i]));
          took[t].push_back(static_cast<float>(Since(begin) * 1e6));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    Need(index_.Consolidate({.threads = args_.threads}));
    delete_cpu_ += CpuSeconds() - cpu;
    for (const auto& some : took) delete_us_.insert(delete_us_.end(), some.begin(), some.end());
    deleted_ += ids.size();
    points_.Go(ids);
  }

  void Report(size_t turn) {
    const Matrix live = RowsOf(points_.live());
    const std::vector<uint32_t> ids(points_.live().begin(), points_.live().end());
    const TruthSet truth = Need(ExactSearch(live, queries_, {.k = kCurveK, .ids = ids}));
    Index fresh = Need(Index::Create(Options()));
    (void)Need(fresh.InsertMany(points_.live(), live, {.threads = args_.threads}));
    const auto churned = MeasureCurve(index_, queries_, truth);
    const auto anew = MeasureCurve(fresh, queries_, truth);
    const Difference difference = Compare(churned, anew);
    const Status structure = index_.CheckStructure();
    const IndexDiagnostics stats = index_.Diagnostics();
    std::sort(delete_us_.begin(), delete_us_.end());
    const auto percentile = [&](size_t p) {
      return delete_us_.empty() ? 0.0 : double{delete_us_[(delete_us_.size() - 1) * p / 100]};
    };
    const double insert_us =
        insert_cpu_ * 1e6 / static_cast<double>(std::max<size_t>(1, inserted_));
    const double delete_us =
        delete_cpu_ * 1e6 / static_cast<double>(std::max<size_t>(1, deleted_ - deleted_before_));
    fmt::print(
        "{:>5}{:>8}{:>9.4f}{:>9.4f}{:>+9.4f}{:>+9.4f}{:>8.3f}{:>9.1f}{:>9.1f}{:>7.3f}{:>8.1f}{:>9}"
        "{:>9}{:>7}{:>8.0f}\n",
        turn, ids.size(), churned[1].recall, churned[5].recall, difference.least, difference.mean,
        difference.distances, insert_us, delete_us, insert_us > 0 ? delete_us / insert_us : 0.0,
        percentile(50) > 0 ? percentile(99) / percentile(50) : 0.0, stats.reparented,
        stats.relinked, stats.unreachable,
        static_cast<double>(most_memory_) / static_cast<double>(args_.live));
    for (size_t i = 0; args_.curves && i < churned.size(); ++i)
      fmt::print("      L={:<4} churned {:6.0f} {:.4f}   fresh {:6.0f} {:.4f}\n", kCurveLists[i],
                 churned[i].distances, churned[i].recall, anew[i].distances, anew[i].recall);
    if (!structure) fmt::print("      structure: {}\n", structure.error().message);
    std::fflush(stdout);
    insert_cpu_ = delete_cpu_ = 0;
    inserted_ = 0;
    most_memory_ = 0;
    deleted_before_ = deleted_;
    delete_us_.clear();
  }

  const Arguments args_;
  const Matrix rows_;
  const Matrix queries_;
  Points points_;
  Index index_;

  double insert_cpu_ = 0, delete_cpu_ = 0;
  size_t inserted_ = 0, deleted_ = 0, deleted_before_ = 0;
  uint64_t most_memory_ = 0;  // Bytes.
  std::vector<float> delete_us_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Arguments args;
  CLI::App app("Recall, work, update times and memory of an index over many turnovers.");
  shoal::bench::AddVersion(app, "churn");
  app.add_option("--data", args.data, "rows, .u8bin")->required()->check(CLI::ExistingFile);
  app.add_option("--queries", args.queries, "queries, .u8bin")->check(CLI::ExistingFile);
  app.add_option("--held-out", args.held_out, "without --queries: rows at the end that are queries")
      ->capture_default_str();
  app.add_option("--state", args.state, "where an interrupted job goes on from");
  app.add_option("--scenario", args.scenario, "what comes and goes")
      ->check(CLI::IsMember({"slide", "random", "region", "hub", "shrink", "refill"}))
      ->capture_default_str();
  app.add_option("--type", args.type, "u8, or f32: the same values as floats")
      ->check(CLI::IsMember({"u8", "f32"}))
      ->capture_default_str();
  app.add_option("--policy", args.policy, "who repairs")
      ->check(CLI::IsMember({"immediate", "background", "manual"}))
      ->capture_default_str();
  app.add_option("--live", args.live, "points in the index")->capture_default_str();
  app.add_option("--turnovers", args.turnovers, "how often all are replaced")
      ->capture_default_str();
  app.add_option("--every", args.every, "turnovers between checkpoints")->capture_default_str();
  app.add_option("--rounds", args.rounds, "rounds of a turnover")->capture_default_str();
  app.add_option("--threads", args.threads, "that insert, and that delete")->capture_default_str();
  app.add_option("--degree", args.degree, "R")->capture_default_str();
  app.add_option("--list", args.list, "L of the inserts")->capture_default_str();
  app.add_option("--seed", args.seed, "seed")->capture_default_str();
  app.add_flag("--curves", args.curves, "distances and recall of both at every list size");
  CLI11_PARSE(app, argc, argv);
  shoal::bench::Churn(args).Run();
}
