// The job "churn": an index whose points come and go for many turnovers, beside a fresh index of
// the same points: recall, distances, what an insert and a delete cost, memory.
//
// Patterns; a turnover replaces as many points as are live, in rounds of live / rounds points:
//   slide    the next rows of the file come, the oldest points go
//   random   any points go, any rows come
//   region   the rows are cut into 64 regions by k-means; whole regions go, others come
//   hub      the points with the most in-edges go, any rows come
//   shrink   nine of ten points go (a checkpoint), then as many rows come
//   refill   all points go, then as many rows come
//
// A run on one thread repeats exactly but for its times. Times of single operations are of their
// thread's CPU clock, and a mean counts all that the operations cause, repairs included.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "base/parallel.h"
#include "cpu_time.h"
#include "jobs/churn_points.h"
#include "jobs/curve.h"
#include "jobs/data.h"
#include "jobs/input.h"
#include "jobs/jobs.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"

namespace shoal::bench {
namespace {

using Ids = ChurnPoints::Ids;

constexpr uint32_t kRegions = 64;
constexpr size_t kK = 10;

enum class Fill { kInserts, kBatch };
enum class Refined { kNo, kYes };

struct ChurnOptions {
  InputRequest data;
  IndexOptions index;
  std::string pattern;
  Fill fill = Fill::kBatch;
  Refined refined = Refined::kNo;
  size_t live = 0, turnovers = 0, every = 1, rounds = 1, threads = 1, self_list = 0, rerank = 0;
  uint64_t seed = 1;
  std::vector<uint64_t> lists;
};

// CPU time of operations of one kind.
struct Costs {
  double cpu_seconds = 0;  // With all that they caused.
  std::vector<float> us;   // Of each.

  double mean_us() const {
    return us.empty() ? 0 : cpu_seconds * 1e6 / static_cast<double>(us.size());
  }
  void Put(const std::string& what, Json& row) {
    if (us.empty()) return;
    Latencies each{std::move(us)};
    row[what + "_p50_us"] = each.Percentile(0.5);
    row[what + "_p99_us"] = each.Percentile(0.99);
    row[what + "_max_us"] = each.Percentile(1);
  }
};

// In-edges of the points, by rising id, as the graph that the index writes to `path` says.
Result<std::vector<uint32_t>> InDegrees(const Index& index, const std::filesystem::path& path) {
  // docs/file_formats.md: 24 bytes of header, then of each row how many neighbours, and which.
  constexpr size_t kHeader = 24;
  if (auto saved = SaveDiskann(index, path); !saved) return tl::unexpected(saved.error());
  std::vector<uint32_t> words((std::filesystem::file_size(path) - kHeader) / sizeof(uint32_t));
  std::ifstream file(path, std::ios::binary);
  file.seekg(kHeader);
  file.read(reinterpret_cast<char*>(words.data()),
            static_cast<std::streamsize>(words.size() * sizeof(uint32_t)));
  std::filesystem::remove(path);
  std::filesystem::remove(path.string() + ".data");
  if (!file) return MakeError(ErrorCode::kIo, path.string() + ": cannot be read");
  std::vector<uint32_t> degrees(index.size());
  for (size_t at = 0; at < words.size();)
    for (uint32_t left = words[at++]; left > 0; --left) ++degrees.at(words[at++]);
  return degrees;
}

class ChurnJob final : public Job {
 public:
  explicit ChurnJob(ChurnOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    context_ = &context;
    Expected<Input> input = ReadInput(options_.data);
    if (!input) return tl::unexpected(input.error());
    input_ = std::move(*input);
    if (options_.live >= input_.rows.rows()) {
      return tl::unexpected(fmt::format("live: expected less than the {} rows, found {}",
                                        input_.rows.rows(), options_.live));
    }
    if (const Status done = Churn(); !done) return tl::unexpected(done.error().message);
    return Json{{"churn", rows_}};
  }

 private:
  Status Churn() {
    ClusterOrder regions;
    if (options_.pattern == "region") {
      auto cut = OrderByCluster(input_.rows, {.clusters = kRegions, .seed = options_.seed});
      if (!cut) return tl::unexpected(cut.error());
      regions = std::move(*cut);
    }
    points_.emplace(input_.rows.rows(), options_.seed, std::move(regions));
    auto index = CreateIndex(input_, options_.index);
    if (!index) return tl::unexpected(index.error());
    index_ = std::make_unique<Index>(std::move(*index));
    Status done = Start();
    if (done) done = Checkpoint(0);
    for (size_t turn = 1; done && turn <= options_.turnovers; ++turn) {
      done = Turnover(turn);
      if (done && turn % options_.every == 0) done = Checkpoint(turn);
    }
    if (!done || options_.refined == Refined::kNo) return done;
    done = index_->Refine({.threads = options_.threads});
    return done ? Checkpoint(options_.turnovers) : done;
  }

  auto InsertInto(Index& index) const {
    return [this, &index](ExternalId id) { return index.Insert(id, input_.rows[id]); };
  }

  size_t RegionRows() const { return std::max<size_t>(1, options_.live / (kRegions / 2)); }

  Status Start() {
    Ids ids;
    if (options_.pattern != "region") ids = points_->Next(options_.live);
    while (ids.size() < options_.live) {
      const Ids some = points_->NextRegion(RegionRows());
      if (some.empty()) break;
      ids.insert(ids.end(), some.begin(), some.end());
    }
    const double cpu = CpuSeconds();
    if (Status done = FillIndex(*index_, ids); !done) return done;
    fill_us_ = (CpuSeconds() - cpu) * 1e6 / static_cast<double>(ids.size());
    points_->Add(ids);
    return {};
  }

  Status FillIndex(Index& index, const Ids& ids) {
    if (options_.fill == Fill::kInserts) return Each(ids, InsertInto(index), nullptr);
    auto rows = RowsOf(ids);
    if (!rows) return tl::unexpected(rows.error());
    const auto report = index.InsertMany(ids, *rows, {.threads = options_.threads});
    if (!report) return tl::unexpected(report.error());
    return report->failures.empty() ? Status{} : tl::unexpected(report->failures[0].error);
  }

  Result<Matrix> RowsOf(const Ids& ids) const {
    return Reorder(input_.rows, std::vector<uint32_t>(ids.begin(), ids.end()));
  }

  Status Turnover(size_t turn) {
    const std::string& pattern = options_.pattern;
    const size_t live = points_->live().size();
    if (pattern == "shrink" || pattern == "refill") {
      Status done = Delete(points_->Any(pattern == "shrink" ? live * 9 / 10 : live));
      if (done && pattern == "shrink" && turn % options_.every == 0) done = Checkpoint(turn);
      return done ? Insert(points_->Absent(live - points_->live().size())) : done;
    }
    Status done;
    if (pattern == "region") {
      for (size_t gone = 0; done && gone < live;) {
        const Ids leaving = points_->OldestRegion();
        gone += leaving.size();
        done = Delete(leaving);
        if (done) done = Insert(points_->NextRegion(RegionRows()));
      }
      return done;
    }
    for (size_t round = 0; done && round < options_.rounds; ++round) {
      const size_t n = live * (round + 1) / options_.rounds - live * round / options_.rounds;
      done = Round(n);
    }
    return done;
  }

  Status Round(size_t n) {
    if (options_.pattern == "slide") {
      Status done = Insert(points_->Next(n));
      return done ? Delete(points_->Oldest(n)) : done;
    }
    Ids leaving;
    if (options_.pattern == "hub") {
      const auto degrees = InDegrees(*index_, context_->output_directory / "churn-graph");
      if (!degrees) return tl::unexpected(degrees.error());
      Ids by_id = points_->live();  // The degrees are by rising id, live points by their coming.
      std::sort(by_id.begin(), by_id.end());
      std::vector<uint32_t> values;
      for (const ExternalId id : points_->live())
        values.push_back((*degrees)[static_cast<size_t>(
            std::lower_bound(by_id.begin(), by_id.end(), id) - by_id.begin())]);
      leaving = points_->Highest(n, values);
    } else {
      leaving = points_->Any(n);
    }
    const Status done = Delete(leaving);
    return done ? Insert(points_->Absent(n)) : done;
  }

  Status Insert(const Ids& ids) {
    Status done = Each(ids, InsertInto(*index_), &inserts_);
    points_->Add(ids);
    max_memory_ = std::max(max_memory_, index_->Stats().memory.total());
    return done;
  }

  Status Delete(const Ids& ids) {
    Status done = Each(
        ids, [&](ExternalId id) { return index_->Delete(id); }, &deletes_);
    points_->Remove(ids);
    return done && options_.index.runtime.repair != RepairPolicy::kImmediate ? Consolidate() : done;
  }

  Status Consolidate() {
    const double cpu = CpuSeconds();
    const auto done = index_->Consolidate({.threads = options_.threads});
    deletes_.cpu_seconds += CpuSeconds() - cpu;
    return done;
  }

  // operation(id) of each, on all threads. The first error.
  template <class Operation>
  Status Each(const Ids& ids, const Operation& operation, Costs* costs) const {
    std::vector<float> us(ids.size());
    Mutex failing;
    Status failed;
    const double cpu = CpuSeconds();
    ParallelFor(options_.threads, ids.size(), 16, nullptr, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const double start = ThreadCpuSeconds();
        const Status done = operation(ids[i]);
        us[i] = static_cast<float>((ThreadCpuSeconds() - start) * 1e6);
        const MutexLock lock(failing);
        if (!done && failed) failed = done;
      }
    });
    if (costs == nullptr) return failed;
    costs->cpu_seconds += CpuSeconds() - cpu;
    costs->us.insert(costs->us.end(), us.begin(), us.end());
    return failed;
  }

  Status Checkpoint(size_t turn) {
    const Ids& ids = points_->live();
    const auto live = RowsOf(ids);
    if (!live) return tl::unexpected(live.error());
    const std::vector<uint32_t> numbers(ids.begin(), ids.end());
    const auto truth =
        ExactSearch(*live, input_.queries, {.k = kK, .metric = input_.metric, .ids = numbers});
    if (!truth) return tl::unexpected(truth.error());
    auto fresh = CreateIndex(input_, options_.index);
    if (!fresh) return tl::unexpected(fresh.error());
    if (Status done = FillIndex(*fresh, ids); !done) return done;
    const auto churned = Measure(*index_, *truth), anew = Measure(*fresh, *truth);
    if (!churned) return tl::unexpected(churned.error());
    if (!anew) return tl::unexpected(anew.error());
    if (const Status sound = index_->CheckStructure(); !sound)
      context_->violated(fmt::format("turnover {}: {}", turn, sound.error().message));
    Json row = {{"pattern", options_.pattern}, {"turnover", turn}, {"live", ids.size()}};
    PutCurves(*churned, *anew, row);
    PutCosts(row);
    if (options_.self_list > 0) row["not_found_by_own_vector"] = NotFoundByOwnVector();
    row["unreachable"] = index_->Diagnostics().unreachable;
    max_memory_ = std::max(max_memory_, index_->Stats().memory.total());
    row["bytes_per_point"] =
        static_cast<double>(std::exchange(max_memory_, 0)) / static_cast<double>(options_.live);
    context_->say(fmt::format("turnover {}: {} points, recall {:.4f} at L = {}, fresh {:.4f}", turn,
                              ids.size(), churned->front().recall, options_.lists.front(),
                              anew->front().recall));
    rows_.push_back(std::move(row));
    context_->checkpoint({{"churn", rows_}});
    return {};
  }

  Result<Curve> Measure(const Index& index, const TruthSet& truth) const {
    auto curve = MeasureCurve(index, input_.queries, truth, options_.lists,
                              {.k = kK, .rerank = options_.rerank});
    if (!curve) return MakeError(ErrorCode::kInvalidArgument, curve.error());
    return std::move(*curve);
  }

  void PutCurves(const Curve& churned, const Curve& anew, Json& row) const {
    for (const auto& [name, curve] : {std::pair("", &churned), std::pair("fresh_", &anew)}) {
      for (const Answered& point : *curve) {
        row[fmt::format("{}recall", name)].push_back(point.recall);
        row[fmt::format("{}distances", name)].push_back(point.distances);
      }
    }
    const CurveDifference difference = Compare(churned, anew);
    row["least_difference"] = difference.least;
    row["mean_difference"] = difference.mean;
    row["distances_by_fresh"] = difference.distances;
  }

  // What was done since the last checkpoint.
  void PutCosts(Json& row) {
    const double insert_us = inserts_.us.empty() ? fill_us_ : inserts_.mean_us();
    row["insert_us"] = insert_us;
    if (!deletes_.us.empty()) {
      row["delete_us"] = deletes_.mean_us();
      row["delete_by_insert"] = deletes_.mean_us() / insert_us;
    }
    inserts_.Put("insert", row);
    deletes_.Put("delete", row);
    inserts_ = deletes_ = {};
  }

  size_t NotFoundByOwnVector() const {
    size_t lost = 0;
    for (const ExternalId id : points_->live()) {
      ExternalId found[kK];
      const auto n = index_->Search(
          input_.rows[id],
          {.k = kK, .search_list_size = options_.self_list, .rerank = options_.rerank}, found, {});
      lost += n && std::find(found, found + *n, id) != found + *n ? 0 : 1;
    }
    return lost;
  }

  ChurnOptions options_;
  const JobContext* context_ = nullptr;
  Input input_;
  std::optional<ChurnPoints> points_;
  std::unique_ptr<Index> index_;
  double fill_us_ = 0;
  Costs inserts_, deletes_;  // Since the last checkpoint.
  uint64_t max_memory_ = 0;  // Bytes; likewise.
  Json rows_ = Json::array();
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  ChurnOptions options;
  content.Object("data", [&](FieldReader& data) { options.data = ParseInput(data, context); });
  content.OptionalObject("build", [&](FieldReader& build) {
    ParseBuild(build, options.index);
    ParseRepair(build, options.index);
    options.fill = build.OneOf("fill", {"batch", "inserts"}, "batch") == "batch" ? Fill::kBatch
                                                                                 : Fill::kInserts;
  });
  options.pattern =
      content.OneOf("pattern", {"slide", "random", "region", "hub", "shrink", "refill"});
  options.live = content.Unsigned("live", {kK, 100'000'000});
  options.turnovers = content.Unsigned("turnovers", {0, 10000}, 1);
  options.every = content.Unsigned("every", {1, 10000}, 1);
  options.rounds = content.Unsigned("rounds", {1, options.live}, 10);
  options.refined = content.Flag("refine", false) ? Refined::kYes : Refined::kNo;
  options.lists =
      content.UnsignedList("lists", {1, kMaxListSize}, {{10, 16, 24, 32, 48, 64, 100, 160}});
  options.self_list = content.Unsigned("self_list", {0, kMaxListSize}, 0);
  options.rerank = content.Unsigned("rerank", {}, 0);
  options.threads = content.Unsigned("threads", {1, 1024}, 1);
  options.seed = content.Unsigned("seed", {}, 1);
  if (!std::is_sorted(options.lists.begin(), options.lists.end()))
    content.Fail("lists", "rising numbers", "others");
  return std::make_unique<ChurnJob>(std::move(options));
}

}  // namespace

constinit const JobType kChurnJob{
    "churn", "points that come and go for many turnovers, beside a fresh index of the same points",
    R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "", "held_out": 10000, "rows": 0,
           "scalar_type": "file", "metric": "l2"},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "code": "auto", "rerank_code": "full",
            "repair": "immediate", "repair_threads": 1,
            "fill": "batch"},
  "pattern": "random", "live": 50000, "turnovers": 10, "every": 1, "rounds": 10, "refine": false,
  "lists": [10, 16, 24, 32, 48, 64, 100, 160], "self_list": 0, "rerank": 0,
  "threads": 1, "seed": 1
})",
    Parse};

}  // namespace shoal::bench
