// The job "database": what a database costs (docs/database.md), each figure beside its target.
//
// An index of 8 of 10 rows is loaded. 1 of 10 comes in batches, the last one by single inserts,
// which an index without a database gets, too. Then points are replaced: ids are shuffled, and in
// each batch they take each other's rows. Other processes (database_peer.h) read, and are killed.
//
// Bytes are counted from the end of a pass to the end of another: those given to write calls, and
// beside them the kernel's count of pages that became dirty. Where the page cache has large folios
// the latter counts all pages of a folio for one. The run has failed when points or recall miss.
#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <numeric>
#include <optional>
#include <string_view>
#include <thread>

#include "base/parallel.h"
#include "jobs/anonymous_memory.h"
#include "jobs/database_work.h"
#include "jobs/jobs.h"
#include "jobs/timed_search.h"
#include "runner/timing.h"
#include "shoal/dataset.h"

namespace shoal::bench {
namespace {

constexpr size_t kK = 10;
constexpr SyncLevel kLevels[] = {SyncLevel::kFull, SyncLevel::kInterval, SyncLevel::kNone};
constexpr const char* kLevelNames[] = {"full", "interval", "none"};

// A count of /proc/self/io.
double Io(std::string_view which) {
  std::ifstream lines("/proc/self/io");
  for (std::string key, value; lines >> key >> value;)
    if (key == which) return std::stod(value);
  return 0;
}

class DatabaseJob final : public Job, DatabaseWork {
 public:
  explicit DatabaseJob(DatabaseJobOptions options) : DatabaseWork(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    context_ = &context;
    folder_.path = context.output_directory / "database";
    Expected<Input> input = ReadInput(options_.data);
    if (!input) return tl::unexpected(input.error());
    input_ = std::move(*input);
    count_ = input_.rows.rows();
    if (count_ < 100)
      return tl::unexpected(fmt::format("data: expected at least 100 rows, found {}", count_));
    std::string error;
    try {
      RemoveFiles();
      std::filesystem::create_directory(folder_.path);
      Measure();
    } catch (const std::exception& thrown) {
      error = thrown.what();
    }
    Close();
    RemoveFiles();
    if (!error.empty()) return tl::unexpected(error);
    return Json{{"database", rows_}};
  }

 private:
  void Measure() {
    truth_ = OrThrow(ExactSearch(input_.rows, input_.queries, {.k = kK, .metric = input_.metric}));
    row_of_.resize(count_);
    std::iota(row_of_.begin(), row_of_.end(), uint32_t{0});
    OrThrow(WriteBin(folder_.queries(), input_.queries));
    OrThrow(WriteBin(folder_.rows(), input_.rows.view().Slice(0, count_ / 10)));
    const double engine_rate = EngineRate();
    Load();
    InsertBatches();
    InsertSingly(engine_rate);
    for (const SyncLevel level : kLevels) Commits(level);
    Replace();
    Searches("");
    Tail();
    Searches(", tail 5 %");
    Readers();
    Killed();
    VectorsInTheFile();
  }

  // The last tenth, one by one.
  template <class Any>
  void InsertRest(Any& index) {
    const size_t first = count_ / 10 * 9;
    ParallelFor(options_.threads, count_ - first, 1, {}, [&](size_t begin, size_t end) {
      for (size_t i = first + begin; i < first + end; ++i) OrThrow(index.Insert(i, Row(i)));
    });
  }

  // Of these inserts, a second, without a database.
  double EngineRate() {
    const size_t begin = count_ / 10 * 9;
    Index index = OrThrow(Index::Create(Options()));
    std::vector<ExternalId> ids(begin);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    OrThrow(
        index.InsertMany(ids, input_.rows.view().Slice(0, begin), {.threads = options_.threads}));
    const Timing timing(*context_, "inserts without a database");
    InsertRest(index);
    return static_cast<double>(count_ - begin) / timing.Stop().seconds;
  }

  void Load() {
    Open(SyncLevel::kInterval);
    const size_t end = count_ / 10 * 8;
    const auto begin = Clock::now();
    Insert(0, end);
    Put("load: points a second", static_cast<double>(end) / Since(begin));
    ExpectPoints(end);
    PutFileBytes("after the load", end, 1);
  }

  void PutFileBytes(const std::string& when, size_t points, double factor) {
    const auto row = static_cast<double>(input_.rows.row_bytes());
    const DatabaseStats stats = OrThrow(database_->Stat());
    const auto each = [&](uint64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(points);
    };
    Put("file bytes a point " + when, each(stats.file_bytes),
        fmt::format("<= {:.0f}", factor * (row + 4.0 * options_.index.max_degree + 48)));
    for (const auto& [table, bytes] : {std::pair("rows", stats.row_bytes),
                                       {"graph", stats.graph_bytes},
                                       {"log", stats.log_bytes}})
      Put(fmt::format("- of table {}", table), each(bytes));
    const std::filesystem::path copy = folder_.path / "copy";
    OrThrow(database_->Backup(copy));
    Put("- of a compact copy", each(std::filesystem::file_size(copy)));
    std::filesystem::remove(copy);
  }

  // What `what` writes, from one pass to the next; it returns by how many points.
  template <class What>
  void PutWritten(const std::string& name, const std::string& target, const What& what) {
    OrThrow(database_->Pass());
    const uint64_t passes = Passes();
    const double before = Io("wchar:"), dirty = Io("write_bytes:");
    const auto begin = Clock::now();
    const auto points = static_cast<double>(what());
    const double rate = points / Since(begin);
    if (Passes() == passes || name == "upsert") OrThrow(database_->Pass());
    Put(fmt::format("bytes written an {}, batches of 1,000", name),
        (Io("wchar:") - before) / points, target);
    Put("- in pages that became dirty", (Io("write_bytes:") - dirty) / points);
    Put("- points a second", rate);
  }

  uint64_t Passes() const { return OrThrow(database_->Stat()).passes; }

  void InsertBatches() {
    const size_t begin = count_ / 10 * 8, end = count_ / 10 * 9;
    size_t at = begin;
    PutWritten("insert", "<= 4096", [&] {
      for (const uint64_t passes = Passes(); at < end && Passes() == passes;) {
        const size_t next = std::min(end, at + kDatabaseBatch);
        Insert(at, next);
        at = next;
      }
      return at - begin;
    });
    if (at < end) Insert(at, end);
    ExpectPoints(end);
  }

  void InsertSingly(double engine_rate) {
    OrThrow(database_->Pass());
    const size_t inserted = count_ - count_ / 10 * 9;
    const Timing timing(*context_, "inserts at interval");
    InsertRest(*index_);
    OrThrow(database_->Pass());
    const double rate = static_cast<double>(inserted) / timing.Stop().seconds;
    Put("inserts a second at interval, with a pass / without a database", rate / engine_rate,
        ">= 0.7");
    Put("- inserts a second", rate);
    ExpectPoints(count_);
  }

  // Latencies of single upserts and of transactions of one; how soon another process finds a point.
  void Commits(SyncLevel level) {
    Open(level);
    const std::string name = kLevelNames[static_cast<size_t>(level)];
    Latencies calls, transactions;
    for (size_t i = 0; i < options_.commits; ++i) {
      const ExternalId id = random_.Below(count_);
      const auto begin = Clock::now();
      OrThrow(index_->Upsert(id, Row(row_of_[id])));
      calls.us.push_back(static_cast<float>(1e6 * Since(begin)));
      const auto middle = Clock::now();
      Commit([&](Transaction& change) { OrThrow(change.Upsert(*index_, id, Row(row_of_[id]))); });
      transactions.us.push_back(static_cast<float>(1e6 * Since(middle)));
    }
    PutLatencies("us of an upsert, " + name, calls);
    PutLatencies("us of a transaction of an upsert, " + name, transactions);
    DatabasePeer peer(folder_);
    const ExternalId id = 0;  // Still with row 0.
    Latencies first;
    const auto seen = [&](const auto& insert) {
      Latencies ms;
      for (size_t i = 0; i < 20; ++i) {
        Commit([&](Transaction& change) { OrThrow(change.Delete(*index_, id)); });
        const Json watching = peer.Ask(fmt::format("watch 0 {}", id));
        first.us.push_back(watching["first_ms"].get<float>());
        const double begin = SharedSeconds();
        insert();
        const double found = peer.Receive()["at"].get<double>();
        ms.us.push_back(static_cast<float>(1e3 * (found - begin)));
      }
      return ms;
    };
    const std::string what = fmt::format("ms until another process finds it, {}, ", name);
    PutLatencies(
        what + "transaction", seen([&] {
          Commit([&](Transaction& change) { OrThrow(change.Insert(*index_, id, Row(0))); });
        }),
        "<= 10");
    PutLatencies(what + "insert", seen([&] { OrThrow(index_->Insert(id, Row(0))); }));
    PutLatencies("ms of the first search of a process that opens the file, " + name, first);
    ExpectPoints(count_);
  }
  void Replace() {
    Open(SyncLevel::kInterval);
    PutWritten("upsert", "<= 8192", [&] {
      for (size_t turnover = 0; turnover < options_.turnovers; ++turnover) RotateShuffled(count_);
      return options_.turnovers * count_;
    });
    PutFileBytes(fmt::format("after {} turnovers", options_.turnovers), count_, 1.3);
    ExpectPoints(count_);
  }

  // 5 % of the points replaced, and no pass.
  void Tail() {
    Open(SyncLevel::kInterval, 100);
    RotateShuffled(count_ / 20);
    ExpectPoints(count_);
  }

  // Hits are named by their rows, as the truth is.
  Searched ByRow(Searched searched) const {
    searched.search = [this, search = std::move(searched.search)](
                          VectorView query, const SearchOptions& asked, std::span<ExternalId> ids,
                          std::span<float> distances, WorkCounters* work) {
      Result<size_t> found = search(query, asked, ids, distances, work);
      for (size_t i = 0; found && i < *found; ++i) ids[i] = row_of_[ids[i]];
      return found;
    };
    return searched;
  }
  double Recall(const Searched& searched, size_t list) const {
    const auto answered =
        AnswerAll(ByRow(searched), input_.queries, truth_, {.k = kK, .list = list});
    if (!answered) throw std::runtime_error(answered.error());
    if (list == options_.lists.back() && answered->recall < options_.least_recall)
      context_->violated(fmt::format("recall at list {}: expected at least {}, found {}", list,
                                     options_.least_recall, answered->recall));
    return answered->recall;
  }
  float Rate(const Searched& searched, size_t list) const {
    const auto timed =
        RunTimed(searched, input_.queries, {.k = kK, .list = list, .seconds = options_.seconds});
    if (!timed) throw std::runtime_error(timed.error());
    return static_cast<float>(timed->queries_per_second);
  }

  void Searches(const std::string& when) {
    const auto snapshot = OrThrow(DatabaseSnapshot::Open(folder_.database(), kDatabaseIndex));
    for (const uint64_t list : options_.lists) {
      const double recall = Recall(snapshot, list), loaded_recall = Recall(index_->live(), list);
      if (recall < loaded_recall - 0.01)
        context_->violated(fmt::format("recall at list {}: expected {} as loaded, found {}", list,
                                       loaded_recall, recall));
      Latencies in_place, loaded;  // Rates, rather.
      for (size_t round = 0; round < options_.rounds; ++round) {
        in_place.us.push_back(Rate(snapshot, list));
        loaded.us.push_back(Rate(index_->live(), list));
      }
      const double rate = in_place.Percentile(0.5);
      Put(fmt::format("searches a second in place / loaded, L = {}{}", list, when),
          rate / loaded.Percentile(0.5), when.empty() ? ">= 0.8" : ">= 0.6");
      Put("- in place", rate);
      Put("- recall in place", recall);
      Put("- recall loaded", loaded_recall);
    }
  }

  // The p99, us, of upserts that are due at fixed times, until `stop`.
  double Upserts(const std::atomic<bool>& stop) {
    Latencies latencies;
    const auto begin = Clock::now();
    for (size_t i = 1; !stop; ++i) {
      const double due = static_cast<double>(i) / options_.write_rate;
      std::this_thread::sleep_until(begin + std::chrono::duration<double>(due));
      const ExternalId id = random_.Below(count_);
      OrThrow(index_->Upsert(id, Row(row_of_[id])));
      latencies.us.push_back(static_cast<float>(1e6 * (Since(begin) - due)));
    }
    return latencies.Percentile(0.99);
  }
  // The same while `what` runs.
  template <class What>
  double UpsertsBeside(const What& what) {
    std::atomic<bool> stop{false};
    std::future<double> writer = std::async(std::launch::async, [&] { return Upserts(stop); });
    what();
    stop = true;
    return writer.get();
  }

  void Readers() {
    std::vector<DatabasePeer> peers;
    for (size_t i = 0; i < options_.readers; ++i) peers.emplace_back(folder_);
    double memory = 0;
    const auto sum = [&] {
      double qps = 0;
      for (DatabasePeer& peer : peers)
        peer.Send(fmt::format("search {} {}", options_.lists.front(), 4 * options_.seconds));
      for (DatabasePeer& peer : peers) {
        const Json answer = peer.Receive();
        qps += answer["qps"].get<double>();
        memory = std::max(memory, answer["anonymous_mb"].get<double>());
      }
      return qps;
    };
    const double alone = sum();
    const double writer_alone = UpsertsBeside(
        [&] { std::this_thread::sleep_for(std::chrono::duration<double>(4 * options_.seconds)); });
    double beside = 0;
    const double writer_beside = UpsertsBeside([&] { beside = sum(); });
    Put("readers' searches a second beside a writer / without", beside / alone, ">= 0.9");
    Put("- all readers' sum", beside);
    Put("writer's p99 beside readers / alone", writer_beside / writer_alone, "<= 2");
    Put("- us", writer_beside);
    Put("anonymous MB of a reader", memory, "<= 20");
    const Json opened = DatabasePeer(folder_).Ask("open 21");
    Put("ms to open a snapshot, tail 5 %", opened["ms"].get<double>(), "<= 10");
    if (opened["points"] != count_)
      context_->violated(fmt::format("points in another process: {}", opened["points"].dump()));
  }

  // A process that has inserted 5 % is killed: the file is opened for writing.
  void Killed() {
    Open(SyncLevel::kInterval);
    OrThrow(database_->Pass());
    Close();
    size_t points = 0;
    {
      DatabasePeer peer(folder_);
      peer.Send(fmt::format("insert {}", count_));
      while (points < count_ / 20) points = peer.Receive()["points"].get<size_t>();
    }  // Killed.
    const auto begin = Clock::now();
    Open(SyncLevel::kInterval, 100);
    Put("seconds to open for writing after a kill, tail 5 %", Since(begin), "<= 5");
    for (ExternalId id = count_; id < count_ + points; ++id)
      if (!index_->live().Contains(id))
        return context_->violated(fmt::format("point {}: expected, as its commit was", id));
  }

  void VectorsInTheFile() {
    Close();
    RemoveFiles();
    std::filesystem::create_directory(folder_.path);
    const double before = AnonymousMb();
    database_ =
        OrThrow(Database::Open(folder_.database(), {.sync = SyncLevel::kInterval,
                                                    .vectors = DatabaseOptions::Vectors::kFile}));
    IndexOptions options = Options();
    options.code = options_.file_code;
    index_ = OrThrow(database_->CreateIndex(kDatabaseIndex, options));
    std::iota(row_of_.begin(), row_of_.end(), uint32_t{0});
    for (size_t i = 0; i < count_; i += 10 * kDatabaseBatch)
      Insert(i, std::min(count_, i + 10 * kDatabaseBatch));
    const auto each = [&](auto bytes) {
      return static_cast<double>(bytes) / static_cast<double>(count_);
    };
    Put(fmt::format("anonymous bytes a point of a writer, vectors in the file, {}",
                    CodeName(options.code)),
        each((AnonymousMb() - before) * (1 << 20)), "<= 340");
    const MemoryBreakdown memory = index_->live().Stats().memory;
    for (const auto& [part, bytes] : {std::pair("codes", memory.vectors),
                                      {"lists", memory.neighbors},
                                      {"reverse lists", memory.reverse_lists},
                                      {"slots", memory.slots},
                                      {"id map", memory.id_map},
                                      {"scratch", memory.scratch}})
      Put(fmt::format("- {}", part), each(bytes));
    Put("- recall", Recall(index_->live(), options_.lists.back()));
    ExpectPoints(count_);
  }
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  DatabaseJobOptions options;
  content.Object("data", [&](FieldReader& data) { options.data = ParseInput(data, context); });
  content.OptionalObject("build", [&](FieldReader& build) {
    ParseBuild(build, options.index);
    options.threads = build.Unsigned("threads", {1, 1024}, 2);
  });
  options.file_code = ParseCodeField(content, "file_code", "rq4");
  options.pass_percent = static_cast<uint32_t>(content.Unsigned("pass_percent", {1, 100}, 8));
  options.least_changes =
      static_cast<uint32_t>(content.Unsigned("least_changes", {1, 1'000'000}, 4096));
  options.commits = content.Unsigned("commits", {1, 1'000'000}, 200);
  options.turnovers = content.Unsigned("turnovers", {1, 1000}, 3);
  options.readers = content.Unsigned("readers", {1, 64}, 4);
  options.write_rate = content.Number("write_rate", {1, 10000}, 50);
  content.OptionalObject("search", [&](FieldReader& search) {
    options.lists = search.UnsignedList("lists", {kK, 100000}, {{20, 40, 80}});
    options.rounds = search.Unsigned("rounds", {1, 1000}, 3);
    options.seconds = search.Number("seconds", {0.001, 3600}, 0.5);
    options.least_recall = search.Number("least_recall", {0, 1}, 0.9);
  });
  return std::make_unique<DatabaseJob>(std::move(options));
}

}  // namespace

constinit const JobType kDatabaseJob{
    "database", "what a database costs: bytes, latencies, rates, memory, each beside its target",
    R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "rows": 100000,
           "scalar_type": "float32"},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "threads": 2},
  "file_code": "rq4", "pass_percent": 8, "least_changes": 4096, "commits": 200, "turnovers": 3, "readers": 4,
  "write_rate": 50,
  "search": {"lists": [20, 40, 80], "rounds": 3, "seconds": 0.5, "least_recall": 0.9}
})",
    Parse};

}  // namespace shoal::bench
