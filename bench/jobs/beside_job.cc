// The job "beside": what work costs those that search and write meanwhile.
//
// A phase is what goes on at the same time, a thread for each:
//   search        open loop: queries are due at fixed times, `load` of the rate that the thread has
//                 alone, and a latency counts from when its query was due
//   update        inserts the next row and deletes the oldest point, as fast as it can
//   save          saves the whole index, again and again
//   spin          keeps a core busy: what is compared with, where there are no more cores
//   consolidate   repairs `share` of the points, deleted before the phase (repair: manual), on one
//                 thread; ends the phase
//   delete        deletes `share` of the points; ends the phase
// "search+update+save", say. Phases take turns, `rounds` times, so that a slow minute does not fall
// on one of them; each is a row of the results.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <thread>

#include "base/mutex.h"
#include "cpu_time.h"
#include "jobs/input.h"
#include "jobs/jobs.h"
#include "jobs/peak_memory.h"
#include "jobs/timed_search.h"
#include "runner/timing.h"
#include "shoal/index.h"

namespace shoal::bench {
namespace {

struct BesideOptions {
  InputRequest data;
  IndexOptions index;
  std::vector<std::string> phases;
  size_t live = 0, list = 64, rerank = 0, rounds = 1, build_threads = 1;
  double seconds = 10, load = 0.5, share = 0.1;
};

// The words of "search+update".
std::vector<std::string> Actors(const std::string& phase) {
  std::vector<std::string> actors(1);
  for (const char c : phase) {
    if (c == '+') actors.emplace_back();
    if (c != '+') actors.back() += c;
  }
  return actors;
}

class BesideJob final : public Job {
 public:
  explicit BesideJob(BesideOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    context_ = &context;
    Expected<Input> input = ReadInput(options_.data);
    if (!input) return tl::unexpected(input.error());
    input_ = std::move(*input);
    if (options_.live >= input_.rows.rows()) {
      return tl::unexpected(fmt::format("live: expected less than the {} rows, found {}",
                                        input_.rows.rows(), options_.live));
    }
    if (const Status built = Build(); !built) return tl::unexpected(built.error().message);
    const double alone = SearchesPerSecond();
    rate_ = alone * options_.load;
    context.say(fmt::format("a thread alone does {:.0f} searches/s", alone));
    for (size_t round = 1; failed_ && round <= options_.rounds; ++round) {
      for (const std::string& phase : options_.phases) {
        row_ = {{"phase", phase}, {"round", round}};
        RunPhase(phase);
        rows_.push_back(row_);
        context.checkpoint({{"beside", rows_}});
      }
    }
    if (failed_) failed_ = index_->CheckStructure();
    if (!failed_) return tl::unexpected(failed_.error().message);
    return Json{{"searches_per_second_alone", alone}, {"beside", rows_}};
  }

 private:
  Status Build() {
    auto index = CreateIndex(input_, options_.index);
    if (!index) return tl::unexpected(index.error());
    index_ = std::make_unique<Index>(std::move(*index));
    std::vector<ExternalId> ids(options_.live);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    next_ = options_.live;
    const auto report = index_->InsertMany(ids, input_.rows.view().Slice(0, options_.live),
                                           {.threads = options_.build_threads});
    if (!report) return tl::unexpected(report.error());
    return report->failures.empty() ? Status{} : tl::unexpected(report->failures[0].error);
  }

  // Remembers the first error, which ends everything. True: none.
  bool Check(const Status& status) {
    if (status) return true;
    const MutexLock lock(mutex_);
    if (failed_) failed_ = status;
    stop_ = true;
    return false;
  }
  void Put(const std::string& figure, Json value) {
    const MutexLock lock(mutex_);
    row_[figure] = std::move(value);
  }
  void PutLatencies(const std::string& what, Latencies latencies, double seconds) {
    Put(what + "_rate", static_cast<double>(latencies.us.size()) / seconds);
    for (const auto& [name, share] : {std::pair("p50", 0.5), std::pair("p99", 0.99),
                                      std::pair("p999", 0.999), std::pair("max", 1.0)})
      Put(fmt::format("{}_{}_us", what, name), latencies.Percentile(share));
  }

  void RunPhase(const std::string& phase) {
    leaving_.clear();
    for (const std::string& actor : Actors(phase))
      if (actor == "consolidate" || actor == "delete") leaving_ = Leaving();
    if (phase.find("consolidate") != std::string::npos) DeleteLeaving();
    stop_ = !failed_.has_value();
    const Timing timing(*context_, phase);
    std::vector<std::thread> threads;
    for (const std::string& actor : Actors(phase))
      threads.emplace_back([this, act = ActorOf(actor)->act] { (this->*act)(); });
    const auto begin = Clock::now();
    while (!stop_ && (!leaving_.empty() || Since(begin) < options_.seconds))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    stop_ = true;
    for (std::thread& thread : threads) thread.join();
    timing.Stop();
    for (const ExternalId id : leaving_)  // They come again, for the next phase.
      if (id + options_.live >= next_ && !Check(index_->Insert(id, Row(id)))) return;
  }

  // Points that go: spread over those that are there, the same in every run.
  std::vector<ExternalId> Leaving() const {
    std::vector<ExternalId> ids;
    const auto every = static_cast<size_t>(1 / options_.share);
    for (size_t id = next_ - options_.live; id < next_; id += every) ids.push_back(id);
    return ids;
  }
  // One that another thread has deleted is no mistake.
  bool Delete(ExternalId id) {
    const Status gone = index_->Delete(id);
    return (!gone && gone.error().code == ErrorCode::kNotFound) || Check(gone);
  }
  void DeleteLeaving() {
    for (const ExternalId id : leaving_)
      if (!Delete(id)) return;
  }

  VectorView Row(ExternalId id) const { return input_.rows[id % input_.rows.rows()]; }

  bool SearchOne(size_t i) {
    ExternalId ids[10];
    const auto hits =
        index_->Search(input_.queries[i % input_.queries.rows()],
                       {.k = 10, .search_list_size = options_.list, .rerank = options_.rerank},
                       std::span(ids), {});
    return Check(hits ? Status{} : tl::unexpected(hits.error()));
  }

  double SearchesPerSecond() {
    const double seconds = std::min(2.0, options_.seconds);
    size_t n = 0;
    const auto begin = Clock::now();
    while (Since(begin) < seconds && SearchOne(n)) ++n;
    return static_cast<double>(n) / Since(begin);
  }

  void Search() {
    Latencies latencies;
    const auto begin = Clock::now();
    for (size_t i = 0; !stop_; ++i) {
      const auto due = begin + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(static_cast<double>(i) / rate_));
      while (Clock::now() < due) __builtin_ia32_pause();
      if (!SearchOne(i)) return;
      latencies.us.push_back(static_cast<float>(Since(due) * 1e6));
    }
    PutLatencies("search", std::move(latencies), Since(begin));
  }

  void Update() {
    Latencies inserts, deletes;
    const auto begin = Clock::now();
    for (; !stop_; ++next_) {
      const auto start = Clock::now();
      if (!Check(index_->Insert(next_, Row(next_)))) return;
      const auto inserted = Clock::now();
      if (!Delete(next_ - options_.live)) return;
      inserts.us.push_back(
          static_cast<float>(std::chrono::duration<double>(inserted - start).count() * 1e6));
      deletes.us.push_back(static_cast<float>(Since(inserted) * 1e6));
    }
    // What was put off belongs to the updates that caused it.
    if (options_.index.runtime.repair == RepairPolicy::kBackground) Check(index_->Consolidate());
    const double seconds = Since(begin);
    PutLatencies("insert", std::move(inserts), seconds);
    PutLatencies("delete", std::move(deletes), seconds);
  }

  void Save() {
    const std::filesystem::path path = context_->output_directory / "beside.shoal";
    const PeakMemory memory;
    std::vector<double> seconds;
    do {
      const auto begin = Clock::now();
      if (!Check(index_->Save(path, {.threads = 1}))) return;
      seconds.push_back(Since(begin));
    } while (!stop_);
    std::filesystem::remove(path);
    std::sort(seconds.begin(), seconds.end());
    Put("saves", seconds.size());
    Put("save_seconds", seconds[seconds.size() / 2]);
    Put("save_memory_ratio", PeakMemory::most_mb() / memory.before_mb());
  }

  void Spin() {
    while (!stop_) __builtin_ia32_pause();
  }
  void Consolidate() {
    Work([&] { Check(index_->Consolidate({.threads = 1})); });
  }
  void DeleteShare() {
    Work([&] { DeleteLeaving(); });
  }
  // Ends the phase.
  template <class What>
  void Work(const What& what) {
    const auto begin = Clock::now();
    const double cpu = ThreadCpuSeconds();
    what();
    const double seconds = Since(begin), cpu_seconds = ThreadCpuSeconds() - cpu;
    stop_ = true;
    const auto points = static_cast<double>(leaving_.size());
    Put("work_seconds", seconds);
    Put("points_per_second", points / seconds);
    Put("points_per_cpu_second", points / cpu_seconds);
  }

 public:
  struct Actor {
    std::string_view name;
    void (BesideJob::*act)();
  };
  // Null: there is none of that name.
  static const Actor* ActorOf(std::string_view name) {
    static constexpr Actor kActors[] = {
        {"search", &BesideJob::Search},      {"update", &BesideJob::Update},
        {"save", &BesideJob::Save},          {"spin", &BesideJob::Spin},
        {"delete", &BesideJob::DeleteShare}, {"consolidate", &BesideJob::Consolidate},
    };
    const auto* const found = std::ranges::find(kActors, name, &Actor::name);
    return found == std::end(kActors) ? nullptr : found;
  }

 private:
  BesideOptions options_;
  const JobContext* context_ = nullptr;
  Input input_;
  std::unique_ptr<Index> index_;
  double rate_ = 0;                  // Of the searches that are due.
  ExternalId next_ = 0;              // Of the next insert; the thread that updates.
  std::vector<ExternalId> leaving_;  // In this phase.
  std::atomic<bool> stop_{false};
  Mutex mutex_;
  Json row_;       // Guarded by mutex_.
  Status failed_;  // Likewise.
  Json rows_ = Json::array();
};

void CheckPhases(const BesideOptions& options, FieldReader& content) {
  for (const std::string& phase : options.phases) {
    std::vector<std::string> actors = Actors(phase);
    for (const std::string& actor : actors) {
      if (BesideJob::ActorOf(actor) == nullptr)
        content.Fail("phases", "words of search, update, save, spin, consolidate, delete", actor);
      if (actor == "consolidate" && options.index.runtime.repair != RepairPolicy::kManual)
        content.Fail("phases", "no consolidate, as build.repair is not manual", phase);
    }
    std::sort(actors.begin(), actors.end());
    if (std::unique(actors.begin(), actors.end()) != actors.end())
      content.Fail("phases", "each word once", phase);
  }
}

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  BesideOptions options;
  content.Object("data", [&](FieldReader& data) { options.data = ParseInput(data, context); });
  content.OptionalObject("build", [&](FieldReader& build) {
    ParseBuild(build, options.index);
    ParseRepair(build, options.index);
    options.build_threads = build.Unsigned("threads", {1, 1024}, 1);
  });
  options.live = content.Unsigned("live", {10, 1'000'000'000});
  options.phases = content.TextList("phases");
  options.rounds = content.Unsigned("rounds", {1, 1000}, 3);
  options.seconds = content.Number("seconds", {0.01, 3600}, 4);
  options.list = content.Unsigned("list", {10, kMaxListSize}, 64);
  options.rerank = content.Unsigned("rerank", {}, 0);
  options.load = content.Number("load", {0.01, 1}, 0.5);
  options.share = content.Number("share", {0.0001, 0.9}, 0.1);
  CheckPhases(options, content);
  return std::make_unique<BesideJob>(std::move(options));
}

}  // namespace

constinit const JobType kBesideJob{
    "beside", "searches and updates beside each other and beside saves, repairs, busy cores", R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "held_out": 0,
           "rows": 0, "scalar_type": "float32", "metric": "l2"},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "code": "auto", "rerank_code": "full",
            "repair": "immediate", "repair_threads": 1,
            "threads": 2},
  "phases": ["search+spin", "search+update", "update"],
  "live": 200000, "rounds": 3, "seconds": 4.0, "list": 64, "rerank": 0, "load": 0.5, "share": 0.1
})",
    Parse};

}  // namespace shoal::bench
