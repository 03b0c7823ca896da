// What long work does to those who search and write meanwhile.
//
//   beside --data ROWS.u8bin --queries Q.u8bin --work consolidate
//
// An index of all rows but those that are kept back for inserts. Work, on one thread:
//   consolidate   --share of the points were deleted and not repaired (RepairPolicy::kManual)
//   save          the whole index into --file, which is removed afterwards
// Beside it another thread searches, inserts a row and deletes it again, in turn,
// as fast as it can. Before that it does the same beside a thread that only spins. Printed: seconds
// and CPU of the work, how far the process grew during it, and the latencies of both times.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cpu_time.h"
#include "need.h"
#include "shoal/index.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Arguments {
  std::string data, queries, type = "f32", work = "consolidate", file = "beside.shoal";
  size_t rows = 0, list = 64, threads = 2;
  double share = 0.1, idle_seconds = 5;
};

// A line of /proc/self/status, in MB.
double StatusMb(const std::string& key) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key)) return std::stod(line.substr(key.size())) / 1024;
  return 0;
}

// Latencies in microseconds of what one thread did for a while.
struct Latencies {
  std::vector<double> search, insert, erase;
};

class Beside {
 public:
  explicit Beside(const Arguments& args)
      : args_(args),
        type_(args.type == "u8" ? ScalarType::kUint8 : ScalarType::kFloat32),
        rows_(Rows::Read(args.data, Kind(), args.rows)),
        queries_(Rows::Read(args.queries, Kind(), 0)),
        built_(rows_.rows() - rows_.rows() / 10),
        next_(built_),
        index_(Index::Create({.dim = static_cast<uint32_t>(rows_.dim()),
                              .scalar_type = type_,
                              .repair = args.work == "consolidate" ? RepairPolicy::kManual
                                                                   : RepairPolicy::kImmediate})) {
    std::vector<ExternalId> ids(built_);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    const auto report = index_->InsertMany(
        ids, MatrixView(rows_.data(), type_, built_, rows_.dim()), {.threads = args.threads});
    if (!report || !report->failures.empty()) Fail("the build failed");
  }

  void Run() {
    fmt::print("{} points as {}, L = {}\n\n", built_, args_.type, args_.list);
    fmt::print(
        "| beside | searches/s | p50 us | p99 | p99.9 | most | inserts/s | p50 us | p99 | most |"
        " deletes' most us |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
    Meanwhile("an idle loop", [&] {
      for (const auto begin = Clock::now(); Since(begin) < args_.idle_seconds;)
        __builtin_ia32_pause();
    });
    const size_t deleted = args_.work == "consolidate" ? DeleteSome() : 0;
    double cpu = 0, seconds = 0, resident = 0, most = 0;
    Meanwhile(args_.work, [&] {
      const auto begin = Clock::now();
      std::ofstream("/proc/self/clear_refs") << "5";  // VmHWM starts again from here.
      resident = StatusMb("VmRSS:");
      cpu = ThreadCpuSeconds();
      Need(args_.work == "save" ? index_->Save(args_.file, {.threads = 1})
                                : index_->Consolidate({.threads = 1}));
      cpu = ThreadCpuSeconds() - cpu;
      seconds = Since(begin);
      most = StatusMb("VmHWM:");
    });
    fmt::print(
        "\n{}: {:.2f} s, {:.2f} s of CPU; resident {:.0f} MB, at most {:.0f} MB ({:+.1f} %)\n",
        args_.work, seconds, cpu, resident, most, 100 * (most / resident - 1));
    if (deleted > 0)
      fmt::print("{} deleted points, {:.0f} a second, {:.0f} a CPU second; {} pending\n", deleted,
                 static_cast<double>(deleted) / seconds, static_cast<double>(deleted) / cpu,
                 index_->Stats().pending_repairs);
    if (args_.work == "save") std::filesystem::remove(args_.file);
    Need(index_->CheckStructure());
  }

 private:
  Element Kind() const { return args_.type == "u8" ? Element::kUint8 : Element::kFloat32; }

  size_t DeleteSome() {
    std::vector<ExternalId> ids(built_);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    std::mt19937_64 random(1);
    std::shuffle(ids.begin(), ids.end(), random);
    ids.resize(static_cast<size_t>(static_cast<double>(built_) * args_.share));
    for (const ExternalId id : ids) Need(index_->Delete(id));
    return ids.size();
  }

  // Runs `work` here and searches and updates on another thread until it is done.
  template <class Work>
  void Meanwhile(const std::string& name, const Work& work) {
    Latencies latencies;
    std::atomic<bool> stop{false};
    double seconds = 0;
    std::thread other([&] {
      const auto begin = Clock::now();
      while (!stop.load(std::memory_order_relaxed)) Turn(latencies);
      seconds = Since(begin);
    });
    work();
    stop = true;
    other.join();
    const auto at = [](std::vector<double>& values, double share) {
      std::sort(values.begin(), values.end());
      return values[static_cast<size_t>(static_cast<double>(values.size() - 1) * share)];
    };
    auto& [search, insert, erase] = latencies;
    fmt::print(
        "| {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} |"
        " {:.0f} |\n",
        name, static_cast<double>(search.size()) / seconds, at(search, 0.5), at(search, 0.99),
        at(search, 0.999), at(search, 1), static_cast<double>(insert.size()) / seconds,
        at(insert, 0.5), at(insert, 0.99), at(insert, 1), at(erase, 1));
  }

  void Turn(Latencies& latencies) {
    const auto timed = [](std::vector<double>& to, const auto& what) {
      const auto begin = Clock::now();
      what();
      to.push_back(Since(begin) * 1e6);
    };
    const VectorView query(queries_[turn_++ % queries_.rows()], type_, rows_.dim());
    ExternalId ids[10];
    timed(latencies.search, [&] {
      const auto hits = index_->Search(query, {.k = 10, .search_list_size = args_.list}, ids, {});
      if (!hits) Fail(hits.error().message);
    });
    const size_t spare = rows_.rows() - built_, row = built_ + (next_ - built_) % spare;
    timed(latencies.insert,
          [&] { Need(index_->Insert(next_, VectorView(rows_[row], type_, rows_.dim()))); });
    timed(latencies.erase, [&] { Need(index_->Delete(next_)); });
    ++next_;
  }

  const Arguments args_;
  const ScalarType type_;
  const Rows rows_;
  const Rows queries_;
  const size_t built_;
  size_t next_;  // The id of the next insert.
  size_t turn_ = 0;
  Result<Index> index_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Arguments args;
  CLI::App app("The latency of searches and updates beside long work.");
  app.add_option("--data", args.data, "rows, .u8bin")->required()->check(CLI::ExistingFile);
  app.add_option("--queries", args.queries, "queries, .u8bin")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--type", args.type, "the rows as")
      ->check(CLI::IsMember({"f32", "u8"}))
      ->capture_default_str();
  app.add_option("--work", args.work, "what")
      ->check(CLI::IsMember({"consolidate", "save"}))
      ->capture_default_str();
  app.add_option("--file", args.file, "of the save")->capture_default_str();
  app.add_option("--rows", args.rows, "of the file; 0: all")->capture_default_str();
  app.add_option("--share", args.share, "of the points that are deleted")
      ->check(CLI::Range(0.001, 0.9))
      ->capture_default_str();
  app.add_option("--list", args.list, "L of the searches")->capture_default_str();
  app.add_option("--threads", args.threads, "of the build")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  shoal::bench::Beside(args).Run();
}
