// How near exact search comes to the multiply-add rate of the machine.
//
// For each instruction set asked for, in one run: the rate of multiply-adds on registers only
// (float, and integer as the kernels do it), and that of ExactSearch as a whole (packing,
// thresholds, candidates and final distances included) in the same unit, and their ratio. The
// peaks are measured before and after each search and averaged, on as many threads as it had, for
// the clock of a shared machine wanders. One multiply-add counts as two operations.
//
// The ratio is that of wall clock rates, and means something on a quiet machine only; beside it
// stands the ratio of rates per second of CPU time, which other processes disturb less, but which
// does not see threads that wait for each other.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "distance/block_dot.h"
#include "exact/exact_search.h"
#include "version.h"

namespace {

using shoal::MatrixView;
using shoal::ScalarType;
using shoal::distance::BlockKernels;

// Seconds on the wall, and of CPU time of all threads.
struct Clock {
  double wall;
  double cpu;
};
Clock Now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration<double>(now).count(),
          static_cast<double>(std::clock()) / CLOCKS_PER_SEC};
}
Clock Since(const Clock& begin) {
  const Clock now = Now();
  return {now.wall - begin.wall, now.cpu - begin.cpu};
}

// 1e9 operations per second on the wall, and per second of CPU time.
struct Rate {
  double wall;
  double cpu;
};
Rate RateOf(double operations, const Clock& seconds) {
  return {operations / seconds.wall / 1e9, operations / seconds.cpu / 1e9};
}

// On `threads` threads, on registers only.
Rate Peak(double (*loop)(size_t), size_t threads) {
  constexpr double kSeconds = 0.1;
  std::vector<double> done(threads);
  std::vector<std::thread> workers;
  const Clock begin = Now();
  for (double& mine : done) {
    workers.emplace_back([&mine, &begin, loop] {
      while (Since(begin).wall < kSeconds) mine += loop(20000);
    });
  }
  for (auto& worker : workers) worker.join();
  double operations = 0;
  for (const double mine : done) operations += 2 * mine;
  return RateOf(operations, Since(begin));
}

struct Data {
  ScalarType type;
  size_t rows;
  size_t dim;
  std::vector<std::byte> bytes;
  MatrixView view() const { return {bytes.data(), type, rows, dim}; }
};

Data RandomData(ScalarType type, size_t rows, size_t dim, uint32_t seed) {
  Data data{type, rows, dim, std::vector<std::byte>(rows * dim * shoal::ScalarSize(type))};
  std::mt19937 random(seed);
  const bool integer = type == ScalarType::kInt8 || type == ScalarType::kUint8;
  for (size_t i = 0; i < rows * dim; ++i) {
    // Sums of uniforms: near enough to normal, and quick to make.
    const uint32_t bits = random();
    const int sum =
        static_cast<int>((bits & 0xff) + (bits >> 8 & 0xff) + (bits >> 16 & 0xff) + (bits >> 24));
    if (integer) {
      data.bytes[i] = static_cast<std::byte>(sum / 4);
    } else if (type == ScalarType::kFloat32) {
      reinterpret_cast<float*>(data.bytes.data())[i] = static_cast<float>(sum - 510) / 64;
    } else {
      reinterpret_cast<shoal::Half*>(data.bytes.data())[i] =
          shoal::FloatToHalf(static_cast<float>(sum - 510) / 64);
    }
  }
  return data;
}

struct Setting {
  size_t rows;
  size_t queries;
  size_t k;
  int repeats;
};

struct Sample {
  double wall;  // ratio
  double cpu;   // ratio
  double rate;
  double peak;
};

void Measure(const BlockKernels& kernels, const Data& base, const Data& queries, size_t threads,
             shoal::Metric metric, const Setting& setting) {
  const bool integer = base.type == ScalarType::kInt8 || base.type == ScalarType::kUint8;
  const auto loop = integer ? kernels.int_peak : kernels.float_peak;
  shoal::ExactOptions options;
  options.k = setting.k;
  options.metric = metric;
  options.batch.threads = threads;
  std::vector<Sample> samples;
  for (int i = 0; i < setting.repeats; ++i) {
    const Rate before = Peak(loop, threads);
    const Clock begin = Now();
    const auto truth = shoal::exact::ExactSearchWith(kernels, base.view(), queries.view(), options);
    const Clock seconds = Since(begin);
    if (!truth) {
      fmt::print(stderr, "exact_rate: {}\n", truth.error().message);
      std::exit(1);
    }
    const Rate after = Peak(loop, threads);
    const Rate rate =
        RateOf(2.0 * static_cast<double>(base.rows * queries.rows * base.dim), seconds);
    const double peak = (before.wall + after.wall) / 2;
    samples.push_back(
        {rate.wall / peak, rate.cpu / ((before.cpu + after.cpu) / 2), rate.wall, peak});
  }
  const auto by_wall = [](const Sample& a, const Sample& b) { return a.wall < b.wall; };
  const auto by_cpu = [](const Sample& a, const Sample& b) { return a.cpu < b.cpu; };
  std::sort(samples.begin(), samples.end(), by_cpu);
  const double cpu_ratio = samples[samples.size() / 2].cpu;
  std::sort(samples.begin(), samples.end(), by_wall);
  const Sample& median = samples[samples.size() / 2];
  fmt::print(
      "{:8} {:8} {:13} {:5} {:7} {:10.1f} {:10.1f} {:6.0f} % {:5.0f} % {:5.0f} % {:5.0f} %\n",
      kernels.isa, shoal::ScalarTypeName(base.type), shoal::MetricName(metric), base.dim, threads,
      median.peak, median.rate, 100 * median.wall, 100 * samples.front().wall,
      100 * samples.back().wall, 100 * cpu_ratio);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  std::string isa = "best";
  Setting setting{200000, 1000, 100, 3};
  CLI::App app("How near exact search comes to the multiply-add rate of the machine.");
  shoal::bench::AddVersion(app, "exact_rate");
  const auto option = [&](const char* name, auto& value, const char* what) {
    app.add_option(name, value, what)->capture_default_str();
  };
  option("isa", isa, "an instruction set, best or all");
  option("rows", setting.rows, "base rows");
  option("queries", setting.queries, "queries");
  option("k", setting.k, "neighbours of each");
  option("repeats", setting.repeats, "runs of each line");
  CLI11_PARSE(app, argc, argv);
  const auto all = shoal::distance::AvailableBlockKernels();

  fmt::print("exact search: {} rows, {} queries, k = {}; median, least and most of {} runs\n",
             setting.rows, setting.queries, setting.k, setting.repeats);
  fmt::print("{:8} {:8} {:13} {:>5} {:>7} {:>10} {:>10} {:>8} {:>7} {:>7} {:>7}\n", "isa", "type",
             "metric", "dim", "threads", "peak Gop/s", "Gop/s", "ratio", "least", "most", "cpu");
  for (const ScalarType type :
       {ScalarType::kFloat32, ScalarType::kUint8, ScalarType::kInt8, ScalarType::kFloat16}) {
    for (const size_t dim : {128, 960}) {
      const Data base = RandomData(type, setting.rows, dim, 1);
      const Data queries = RandomData(type, setting.queries, dim, 2);
      for (const BlockKernels* kernels : all) {
        if (isa == "best" ? kernels != all[0] : isa != "all" && kernels->isa != isa) continue;
        for (const size_t threads : {1, 2})
          Measure(*kernels, base, queries, threads, shoal::Metric::kL2, setting);
      }
    }
  }
  return 0;
}
