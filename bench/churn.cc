// What becomes of an index whose points come and go: recall, work per search, time per update and
// memory over many turnovers, beside a fresh index of the same points.
//
//   churn --data ROWS.u8bin --queries Q.u8bin --scenario random --live 50000 --turnovers 100
//
// Scenarios (a turnover deletes as many points as are live; they go and come in rounds):
//   slide    the oldest go, the next rows of the file come
//   random   any go, any that are not there come
//   region   the rows are cut into 64 regions by k-means; whole regions go, others come
//   hub      those that most lists point at go, any come
//   shrink   nine of ten go; then as many come
//   refill   all go; then as many come
// One line a checkpoint; at equal distances: recall of the churned index minus that of the fresh
// one at the number of distances that the churned one took (linear between measured points); at
// equal recall: distances of the churned index by those of the fresh one. Seeds are fixed: a run
// with one thread repeats exactly.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

constexpr size_t kK = 10;
constexpr size_t kRegions = 64;
const std::vector<size_t> kLists = {10, 16, 24, 32, 48, 64, 100, 160};

struct Arguments {
  std::string data, queries, scenario = "random", type = "u8", policy = "immediate";
  size_t live = 50000, turnovers = 10, every = 1, threads = 2, rounds = 10;
  uint32_t degree = 32, list = 100;
  uint64_t seed = 1;
  bool curves = false;
};

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

[[noreturn]] void Fail(const std::string& message) {
  fmt::print(stderr, "churn: {}\n", message);
  std::exit(1);
}
template <class T>
T Need(Result<T> result) {
  if (!result) Fail(result.error().message);
  return std::move(*result);
}
void Need(const Status& status) {
  if (!status) Fail(status.error().message);
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

struct Point {
  double distances = 0;
  double recall = 0;
};

// y at x on a curve with rising x, linear between its points and from the nearest two beyond them.
double At(const std::vector<Point>& curve, double x, double Point::*from, double Point::*to) {
  size_t i = 1;
  while (i + 1 < curve.size() && curve[i].*from < x) ++i;
  const Point &a = curve[i - 1], &b = curve[i];
  if (b.*from == a.*from) return b.*to;
  const double t = (x - a.*from) / (b.*from - a.*from);
  return a.*to + t * (b.*to - a.*to);
}

class Churn {
 public:
  explicit Churn(const Arguments& args)
      : args_(args),
        rows_(Read(args.data, args.type)),
        queries_(Read(args.queries, args.type)),
        random_(args.seed),
        index_(Need(Index::Create(Options()))),
        is_live_(rows_.rows(), false) {
    if (args.live >= rows_.rows()) Fail("--live: expected less than the rows of the file");
    if (args.scenario == "region") CutIntoRegions();
  }

  void Run() {
    fmt::print("# {} {} live={} R={} L={} threads={} policy={} seed={} isa={}\n", args_.scenario,
               args_.type, args_.live, args_.degree, args_.list, args_.threads, args_.policy,
               args_.seed, ActiveIsa());
    fmt::print("{:>5}{:>8}{:>9}{:>9}{:>9}{:>9}{:>8}{:>9}{:>9}{:>7}{:>8}{:>9}{:>9}{:>7}{:>8}\n",
               "turn", "live", "r@L16", "r@L64", "min_dr", "mean_dr", "x_dist", "ins_us", "del_us",
               "ratio", "p99/50", "rebirth", "relinked", "lost", "B/pt");
    Start();
    Report(0);
    for (size_t turn = 1; turn <= args_.turnovers; ++turn) {
      Turnover();
      if (turn % args_.every == 0) Report(turn);
    }
  }

 private:
  using Ids = std::vector<ExternalId>;

  IndexOptions Options() const {
    IndexOptions options{.dim = static_cast<uint32_t>(rows_.dim()),
                         .scalar_type = rows_.type(),
                         .max_degree = args_.degree,
                         .build_list_size = args_.list};
    if (args_.policy == "background") options.repair = RepairPolicy::kBackground;
    if (args_.policy == "manual") options.repair = RepairPolicy::kManual;
    return options;
  }

  void Start() {
    if (args_.scenario == "region") {
      for (size_t region = 0; live_.size() < args_.live && region < kRegions; ++region)
        Insert(RegionIds(region)), regions_.push_back(region);
      next_region_ = regions_.size() % kRegions;
      return;
    }
    Ids ids(args_.live);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    next_ = args_.live;
    Insert(ids);
  }

  void Turnover() {
    if (args_.scenario == "region") return RegionTurnover();
    if (args_.scenario == "shrink" || args_.scenario == "refill") {
      Delete(Any(args_.scenario == "shrink" ? args_.live * 9 / 10 : args_.live));
      if (args_.scenario == "shrink") Report(0);
      Insert(Absent(args_.live - live_.size()));
      return;
    }
    for (size_t round = 0; round < args_.rounds; ++round) {
      const size_t n = args_.live / args_.rounds;
      if (args_.scenario == "slide") {
        Insert(Next(n));
        Delete(Ids(live_.begin(), live_.begin() + static_cast<ptrdiff_t>(n)));
      } else {
        Delete(args_.scenario == "hub" ? Hubs(n) : Any(n));
        Insert(Absent(n));
      }
    }
  }

  void RegionTurnover() {
    const size_t before = deleted_;
    while (deleted_ - before < args_.live) {
      Delete(RegionIds(regions_.front()));
      regions_.erase(regions_.begin());
      while (std::find(regions_.begin(), regions_.end(), next_region_) != regions_.end())
        next_region_ = (next_region_ + 1) % kRegions;
      Insert(RegionIds(next_region_));
      regions_.push_back(next_region_);
      next_region_ = (next_region_ + 1) % kRegions;
    }
  }

  // Lloyd's k-means on a sample; then every row goes to its nearest centre.
  void CutIntoRegions() {
    constexpr size_t kSample = 20000;
    const size_t dim = rows_.dim();
    std::vector<float> sample(kSample * dim), centres(kRegions * dim);
    const auto value = [&](size_t row, size_t i) {
      const std::byte* data = rows_.data() + row * rows_.row_bytes();
      if (args_.type == "u8") return static_cast<float>(std::to_integer<uint8_t>(data[i]));
      float element = 0;
      std::memcpy(&element, data + i * sizeof(float), sizeof(float));
      return element;
    };
    for (size_t s = 0; s < kSample; ++s)
      for (size_t i = 0; i < dim; ++i) sample[s * dim + i] = value(s * rows_.rows() / kSample, i);
    std::copy_n(sample.begin(), centres.size(), centres.begin());
    const auto nearest = [&](const std::vector<float>& points) {
      return Need(ExactSearch(MatrixView(std::span<const float>(centres), dim),
                              MatrixView(std::span<const float>(points), dim), {.k = 1}))
          .ids;
    };
    for (int step = 0; step < 8; ++step) {
      const auto of = nearest(sample);
      std::vector<double> sums(kRegions * dim, 0);
      std::vector<size_t> counts(kRegions, 0);
      for (size_t s = 0; s < kSample; ++s) {
        ++counts[of[s]];
        for (size_t i = 0; i < dim; ++i) sums[of[s] * dim + i] += sample[s * dim + i];
      }
      for (size_t c = 0; c < kRegions; ++c)
        for (size_t i = 0; counts[c] > 0 && i < dim; ++i)
          centres[c * dim + i] =
              static_cast<float>(sums[c * dim + i] / static_cast<double>(counts[c]));
    }
    constexpr size_t kBlock = 50000;
    for (size_t begin = 0; begin < rows_.rows(); begin += kBlock) {
      const size_t n = std::min(kBlock, rows_.rows() - begin);
      std::vector<float> block(n * dim);
      for (size_t r = 0; r < n; ++r)
        for (size_t i = 0; i < dim; ++i) block[r * dim + i] = value(begin + r, i);
      for (const uint32_t region : nearest(block)) region_of_.push_back(region);
    }
  }

  // Of a region, the first rows: about live / 32 of them.
  Ids RegionIds(size_t region) const {
    Ids ids;
    for (size_t row = 0; row < rows_.rows() && ids.size() < args_.live / (kRegions / 2); ++row)
      if (region_of_[row] == region) ids.push_back(row);
    return ids;
  }

  Ids Any(size_t n) {
    Ids ids = live_;
    std::shuffle(ids.begin(), ids.end(), random_);
    ids.resize(std::min(n, ids.size()));
    return ids;
  }

  Ids Absent(size_t n) {
    Ids ids;
    std::vector<bool> taken = is_live_;
    while (ids.size() < n) {
      const size_t row = random_() % rows_.rows();
      if (taken[row]) continue;
      taken[row] = true;
      ids.push_back(row);
    }
    return ids;
  }

  Ids Next(size_t n) {
    Ids ids;
    for (; ids.size() < n; next_ = (next_ + 1) % rows_.rows())
      if (!is_live_[next_]) ids.push_back(next_);
    return ids;
  }

  // The points that are found most often as neighbours of others: those with the most in-edges, as
  // far as a user can tell.
  Ids Hubs(size_t n) {
    std::vector<uint32_t> times(rows_.rows(), 0);
    Ids probes = Any(std::min<size_t>(live_.size(), 5000));
    for (const ExternalId id : probes) {
      const auto hits = Need(index_.Search(rows_[id], {.k = 64, .search_list_size = 64}));
      for (const Hit& hit : hits) ++times[hit.id];
    }
    Ids ids = live_;
    std::stable_sort(ids.begin(), ids.end(),
                     [&](ExternalId a, ExternalId b) { return times[a] > times[b]; });
    ids.resize(std::min(n, ids.size()));
    return ids;
  }

  void Insert(const Ids& ids) {
    const double cpu = CpuSeconds();
    Matrix rows = Need(Matrix::Create(rows_.type(), ids.size(), rows_.dim()));
    for (size_t i = 0; i < ids.size(); ++i)
      std::memcpy(rows.data() + i * rows.row_bytes(), rows_.data() + ids[i] * rows.row_bytes(),
                  rows.row_bytes());
    const auto report = Need(index_.InsertMany(ids, rows, {.threads = args_.threads}));
    if (!report.failures.empty()) Fail(report.failures[0].error.message);
    insert_cpu_ += CpuSeconds() - cpu;
    inserted_ += ids.size();
    for (const ExternalId id : ids) {
      live_.push_back(id);
      is_live_[id] = true;
    }
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
    for (const ExternalId id : ids) is_live_[id] = false;
    std::erase_if(live_, [&](ExternalId id) { return !is_live_[id]; });
  }

  std::vector<Point> Curve(const Index& index, const TruthSet& truth) const {
    std::vector<Point> curve;
    const size_t n = queries_.rows();
    std::vector<ExternalId> ids(n * kK);
    std::vector<uint32_t> counts(n);
    std::vector<WorkCounters> work(n);
    for (const size_t list : kLists) {
      Need(index.SearchMany(queries_, {.k = kK, .search_list_size = list},
                            {.ids = ids, .distances = {}, .counts = counts, .work = work}));
      Point point;
      for (size_t q = 0; q < n; ++q) {
        const std::vector<uint64_t> found(ids.begin() + static_cast<ptrdiff_t>(q * kK),
                                          ids.begin() + static_cast<ptrdiff_t>(q * kK + counts[q]));
        point.recall += Recall(truth, q, found, kK) / static_cast<double>(n);
        point.distances += static_cast<double>(work[q].distances) / static_cast<double>(n);
      }
      curve.push_back(point);
    }
    return curve;
  }

  void Report(size_t turn) {
    Matrix live = Need(Matrix::Create(rows_.type(), live_.size(), rows_.dim()));
    std::vector<uint32_t> ids(live_.begin(), live_.end());
    for (size_t i = 0; i < ids.size(); ++i)
      std::memcpy(live.data() + i * live.row_bytes(), rows_.data() + ids[i] * live.row_bytes(),
                  live.row_bytes());
    const TruthSet truth = Need(ExactSearch(live, queries_, {.k = kK, .ids = ids}));
    Index fresh = Need(Index::Create(Options()));
    (void)Need(fresh.InsertMany(live_, live, {.threads = args_.threads}));
    const auto churned = Curve(index_, truth), anew = Curve(fresh, truth);
    double least = 1, sum = 0, ratio = 0;
    size_t ratios = 0;
    for (const Point& point : churned) {
      const double difference =
          point.recall - At(anew, point.distances, &Point::distances, &Point::recall);
      least = std::min(least, difference);
      sum += difference;
      if (point.recall < 0.8 || point.recall > 0.995) continue;
      ratio += point.distances / At(anew, point.recall, &Point::recall, &Point::distances);
      ++ratios;
    }
    const Status structure = index_.CheckStructure();
    const IndexStats stats = index_.Stats();
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
        turn, live_.size(), churned[1].recall, churned[5].recall, least,
        sum / static_cast<double>(churned.size()),
        ratios == 0 ? 0.0 : ratio / static_cast<double>(ratios), insert_us, delete_us,
        insert_us > 0 ? delete_us / insert_us : 0.0,
        percentile(50) > 0 ? percentile(99) / percentile(50) : 0.0, stats.rebirths, stats.relinked,
        stats.unreachable,
        static_cast<double>(stats.memory.total()) / static_cast<double>(live_.size()));
    for (size_t i = 0; args_.curves && i < churned.size(); ++i)
      fmt::print("      L={:<4} churned {:6.0f} {:.4f}   fresh {:6.0f} {:.4f}\n", kLists[i],
                 churned[i].distances, churned[i].recall, anew[i].distances, anew[i].recall);
    if (!structure) fmt::print("      structure: {}\n", structure.error().message);
    std::fflush(stdout);
    insert_cpu_ = delete_cpu_ = 0;
    inserted_ = 0;
    deleted_before_ = deleted_;
    delete_us_.clear();
  }

  const Arguments args_;
  const Matrix rows_;
  const Matrix queries_;
  std::mt19937_64 random_;
  Index index_;
  Ids live_;  // Oldest first.
  std::vector<bool> is_live_;
  size_t next_ = 0;
  std::vector<uint32_t> region_of_;
  std::vector<size_t> regions_;
  size_t next_region_ = 0;

  double insert_cpu_ = 0, delete_cpu_ = 0;
  size_t inserted_ = 0, deleted_ = 0, deleted_before_ = 0;
  std::vector<float> delete_us_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Arguments args;
  CLI::App app("Recall, work, update times and memory of an index over many turnovers.");
  app.add_option("--data", args.data, "rows, .u8bin")->required()->check(CLI::ExistingFile);
  app.add_option("--queries", args.queries, "queries, .u8bin")
      ->required()
      ->check(CLI::ExistingFile);
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
