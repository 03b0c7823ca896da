// The latency of searches while another thread inserts and deletes at full speed.
//
//   mixed --data ROWS.u8bin --queries Q.u8bin --live 200000 --seconds 10 --rounds 3
//
// One thread searches, open loop: queries are due at fixed times, whether or not the last one is
// done, and a latency counts from when the query was due. The rate is --load of what the thread can
// do alone. Beside it one thread (a) spins: its core is busy, nothing else happens; (b) inserts a
// row and deletes the oldest point, as fast as it can. Then (c) it does so without searches. Rounds
// of a, b, c in turn; medians of the rounds.
//
// With --save FILE there are two more phases: (d) as b, while a third thread saves the whole index,
// as often as the phase has time for, and (e) as d, but with a thread that spins in its place: what
// one more busy core costs where there are no more cores.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "cpu_time.h"
#include "need.h"
#include "peak_memory.h"
#include "shoal/index.h"
#include "version.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Arguments {
  std::string data, queries, save, type = "f32", policy = "immediate";
  size_t live = 200000, list = 64, rounds = 3;
  double seconds = 10, load = 0.5;
};

enum class Writer { kSpin, kUpdate };
enum class Third { kNone, kSpin, kSave };

struct Phase {
  std::vector<double> latencies_us;
  double updates_per_second = 0;
  std::vector<double> insert_us, delete_us;
  double longest_that_slept_us = 0;  // Of an insert and a delete together; see ThreadSleeps.
  std::vector<double> save_seconds;
  double growth = 0;  // Most memory during the saves by that before them.
};

double Percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(static_cast<double>(values.size() - 1) * share)];
}

class Mixed {
 public:
  explicit Mixed(const Arguments& args)
      : args_(args),
        type_(args.type == "u8" ? ScalarType::kUint8 : ScalarType::kFloat32),
        rows_(Rows::Read(args.data, Kind(), 0)),
        queries_(Rows::Read(args.queries, Kind(), 0)),
        index_(Index::Create(
            {.dim = static_cast<uint32_t>(rows_.dim()),
             .scalar_type = type_,
             .runtime = {.repair = args.policy == "background" ? RepairPolicy::kBackground
                                                               : RepairPolicy::kImmediate}})) {
    if (args.live > rows_.rows())
      Fail(fmt::format("--live: expected at most the {} rows of {}, found {}", rows_.rows(),
                       args.data, args.live));
    std::vector<ExternalId> ids(args.live);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    next_ = args.live;
    const auto built =
        index_->InsertMany(ids, MatrixView(rows_.data(), type_, args.live, rows_.dim()));
    if (!built || !built->failures.empty()) Fail("the build failed");
  }

  void Run() {
    const double alone = SearchesPerSecond();
    const double rate = alone * args_.load;
    fmt::print(
        "{} points {}, L = {}: a thread alone does {:.0f} searches/s; {:.0f} a second are due\n\n",
        args_.live, args_.type, args_.list, alone, rate);
    Figures figures;
    for (size_t round = 0; round < args_.rounds; ++round) {
      const Phase spin = Both(Writer::kSpin, rate), update = Both(Writer::kUpdate, rate);
      Phase writes;
      std::atomic<bool> stop{false};
      std::thread timer([&] {
        std::this_thread::sleep_for(std::chrono::duration<double>(args_.seconds));
        stop = true;
      });
      Update(stop, writes);
      timer.join();
      Note(figures, "core busy", "updates", spin, update);
      if (!args_.save.empty()) {
        const Phase third = Both(Writer::kUpdate, rate, Third::kSpin);
        const Phase saves = Both(Writer::kUpdate, rate, Third::kSave);
        Note(figures, "updates and a busy third", "updates and saves", third, saves);
        figures["save, s"].push_back(Percentile(saves.save_seconds, 0.5));
        figures["saves in a phase"].push_back(static_cast<double>(saves.save_seconds.size()));
        figures["save, memory by that before"].push_back(saves.growth);
        for (const auto& [name, phase] :
             {std::pair("busy third", &third), std::pair("saves", &saves)}) {
          const double longest =
              std::max(Percentile(phase->insert_us, 1), Percentile(phase->delete_us, 1));
          figures[fmt::format("longest update us, {}", name)].push_back(longest);
          figures[fmt::format("longest update that slept us, {}", name)].push_back(
              phase->longest_that_slept_us);
          figures[fmt::format("updates/s, {}", name)].push_back(phase->updates_per_second);
        }
      }
      figures["updates/s, alone"].push_back(writes.updates_per_second);
      figures["updates/s, beside searches"].push_back(update.updates_per_second);
      figures["updates/s, ratio"].push_back(update.updates_per_second / writes.updates_per_second);
      figures["insert us, median"].push_back(Percentile(update.insert_us, 0.5));
      figures["delete us, median"].push_back(Percentile(update.delete_us, 0.5));
      figures["delete us, 0.99"].push_back(Percentile(update.delete_us, 0.99));
    }
    fmt::print("| figure | median | least | most |\n|---|---|---|---|\n");
    for (auto& [name, values] : figures) {
      std::sort(values.begin(), values.end());
      fmt::print("| {} | {:.2f} | {:.2f} | {:.2f} |\n", name, values[values.size() / 2],
                 values.front(), values.back());
    }
  }

 private:
  Element Kind() const { return args_.type == "u8" ? Element::kUint8 : Element::kFloat32; }

  void Search(size_t i) {
    ExternalId ids[10];
    const auto hits = index_->Search(VectorView(queries_[i % queries_.rows()], type_, rows_.dim()),
                                     {.k = 10, .search_list_size = args_.list}, ids, {});
    if (!hits) Fail(hits.error().message);
  }

  using Figures = std::map<std::string, std::vector<double>>;
  static void Note(Figures& figures, const char* without, const char* with, const Phase& before,
                   const Phase& after) {
    for (const double p : {0.5, 0.99, 0.999, 1.0}) {
      const double first = Percentile(before.latencies_us, p);
      const double second = Percentile(after.latencies_us, p);
      figures[fmt::format("search {:>5} us, {}", p, without)].push_back(first);
      figures[fmt::format("search {:>5} us, {}", p, with)].push_back(second);
      figures[fmt::format("search {:>5} ratio, {} by {}", p, with, without)].push_back(second /
                                                                                       first);
    }
  }

  double SearchesPerSecond() {
    const auto begin = Clock::now();
    size_t n = 0;
    for (; Since(begin) < 2; ++n) Search(n);
    return static_cast<double>(n) / Since(begin);
  }

  void Update(const std::atomic<bool>& stop, Phase& phase) {
    const auto begin = Clock::now();
    size_t n = 0;
    for (; !stop.load(std::memory_order_relaxed); ++n) {
      const size_t row = next_ % rows_.rows();
      const int64_t sleeps = ThreadSleeps();
      const auto start = Clock::now();
      Need(index_->Insert(next_, VectorView(rows_[row], type_, rows_.dim())));
      const auto inserted = Clock::now();
      Need(index_->Delete(next_ - args_.live));
      phase.insert_us.push_back(std::chrono::duration<double>(inserted - start).count() * 1e6);
      phase.delete_us.push_back(Since(inserted) * 1e6);
      if (ThreadSleeps() != sleeps)
        phase.longest_that_slept_us =
            std::max(phase.longest_that_slept_us, phase.insert_us.back() + phase.delete_us.back());
      ++next_;
    }
    Need(index_->Consolidate());  // What was put off belongs to the updates that caused it.
    phase.updates_per_second = static_cast<double>(n) / Since(begin);
  }

  void Save(const std::atomic<bool>& stop, Phase& phase) {
    const PeakMemory memory;
    do {
      const auto begin = Clock::now();
      Need(index_->Save(args_.save, {.threads = 1}));
      phase.save_seconds.push_back(Since(begin));
    } while (!stop.load(std::memory_order_relaxed));
    phase.growth = PeakMemory::most_mb() / memory.before_mb();
    std::filesystem::remove(args_.save);
  }

  Phase Both(Writer writer, double rate, Third third = Third::kNone) {
    Phase phase;
    std::atomic<bool> stop{false};
    std::thread beside([&] {
      if (writer == Writer::kUpdate) return Update(stop, phase);
      while (!stop.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    });
    std::thread third_thread([&] {
      if (third == Third::kSave) Save(stop, phase);
      while (third == Third::kSpin && !stop.load(std::memory_order_relaxed)) __builtin_ia32_pause();
    });
    const auto interval =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1.0 / rate));
    const auto begin = Clock::now();
    const auto n = static_cast<size_t>(args_.seconds * rate);
    phase.latencies_us.reserve(n);
    for (size_t i = 0; i < n; ++i) {
      const auto due = begin + interval * static_cast<int64_t>(i);
      while (Clock::now() < due) __builtin_ia32_pause();
      Search(i);
      phase.latencies_us.push_back(std::chrono::duration<double>(Clock::now() - due).count() * 1e6);
    }
    stop = true;
    beside.join();
    third_thread.join();
    return phase;
  }

  const Arguments args_;
  const ScalarType type_;
  const Rows rows_;
  const Rows queries_;
  Result<Index> index_;
  size_t next_ = 0;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Arguments args;
  CLI::App app("The latency of searches beside inserts and deletes.");
  shoal::bench::AddVersion(app, "mixed");
  app.add_option("--data", args.data, "rows, .u8bin")->required();
  app.add_option("--queries", args.queries, "queries, .u8bin")->required();
  app.add_option("--type", args.type, "f32 or u8")->capture_default_str();
  app.add_option("--save", args.save, "a file: also searches and updates beside saves to it");
  app.add_option("--policy", args.policy, "immediate or background")->capture_default_str();
  app.add_option("--live", args.live, "points in the index")->capture_default_str();
  app.add_option("--list", args.list, "L of the searches")->capture_default_str();
  app.add_option("--rounds", args.rounds, "rounds")->capture_default_str();
  app.add_option("--seconds", args.seconds, "of one phase")->capture_default_str();
  app.add_option("--load", args.load, "share of a thread's own rate")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  shoal::bench::Mixed(args).Run();
}
