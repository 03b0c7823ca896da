// A window that slides over a file, for one engine: what `bench/window.py` runs side by side.
//
//   window_shoal --data ROWS.u8bin --queries Q.u8bin --window 200000 --threads 2
//
// Fills the window, then lets the rest of the rows pass through it: every thread takes the next
// row, inserts it and deletes the one that leaves; with --batch so many rows come at once, and then
// as many go. The clock runs from the full window until all work that this causes has ended. Then
// recall@10 of the last window, one thread, at each of --search-lists.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "cpu_time.h"
#include "need.h"
#include "shoal/exact.h"
#include "version.h"
#include "worker/worker.h"

namespace shoal::bench {

struct WindowOptions {
  std::string data, queries, type = "f32";
  size_t window = 200000, rows = 0, threads = 2, list = 100, batch = 0;
  std::vector<size_t> search_lists = {100};
  uint32_t degree = 32;
};

// Engine(options, dim): Insert(id, row), Replace(leaving, id, row), Finish(), and
// Search(query, k, list, ids) -> hits; the first two from any thread. Perhaps also
// ReplaceMany(leaving, id, rows, n): rows `id` to `id` + n come, then n from `leaving` on go.
template <class Engine>
class Window {
 public:
  explicit Window(const WindowOptions& options)
      : options_(options),
        element_(options.type == "u8" ? Element::kUint8 : Element::kFloat32),
        rows_(Rows::Read(options.data, element_, options.rows)),
        queries_(Rows::Read(options.queries, element_, 0)),
        engine_(options, rows_.dim()) {}

  void Run() {
    using Clock = std::chrono::steady_clock;
    const auto since = [](Clock::time_point begin) {
      return std::chrono::duration<double>(Clock::now() - begin).count();
    };
    auto begin = Clock::now();
    const size_t window = options_.window;
    Parallel(0, window, [&](size_t i) { engine_.Insert(i, rows_[i]); });
    const double filling = since(begin);
    begin = Clock::now();
    const double cpu = CpuSeconds();
    if (options_.batch == 0) {
      Parallel(window, rows_.rows(), [&](size_t i) { engine_.Replace(i - window, i, rows_[i]); });
    } else {
      ReplaceInBatches();
    }
    engine_.Finish();
    const double seconds = since(begin), cpu_seconds = CpuSeconds() - cpu;
    const auto updates = static_cast<double>(rows_.rows() - window);
    fmt::print(
        "{{\"fill_seconds\": {:.2f}, \"seconds\": {:.2f}, \"cpu_seconds\": {:.2f}, "
        "\"updates_per_second\": {:.1f}, \"searches\": [{}]}}\n",
        filling, seconds, cpu_seconds, updates / seconds, Searches());
  }

 private:
  template <class Work>
  void Parallel(size_t begin, size_t end, const Work& work) {
    std::atomic<size_t> next{begin};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < options_.threads; ++t)
      threads.emplace_back([&] {
        for (size_t i; (i = next.fetch_add(1)) < end;) work(i);
      });
    for (std::thread& thread : threads) thread.join();
  }

  void ReplaceInBatches() {
    if constexpr (requires { engine_.ReplaceMany(0, 0, rows_[0], 1); }) {
      const size_t window = options_.window, end = rows_.rows();
      for (size_t at = window; at < end; at += options_.batch)
        engine_.ReplaceMany(at - window, at, rows_[at], std::min(options_.batch, end - at));
    } else {
      Fail("--batch: this engine takes points one by one");
    }
  }

  // Of every list size its recall and time, as JSON.
  std::string Searches() {
    constexpr size_t kK = 10;
    const ScalarType type = element_ == Element::kUint8 ? ScalarType::kUint8 : ScalarType::kFloat32;
    const size_t first = rows_.rows() - options_.window;
    std::vector<uint32_t> ids(options_.window);
    std::iota(ids.begin(), ids.end(), static_cast<uint32_t>(first));
    const auto truth = ExactSearch(MatrixView(rows_[first], type, options_.window, rows_.dim()),
                                   MatrixView(queries_.data(), type, queries_.rows(), rows_.dim()),
                                   {.k = kK, .ids = ids});
    const auto n = static_cast<double>(queries_.rows());
    std::string searches;
    for (const size_t list : options_.search_lists) {
      double sum = 0;
      const auto begin = std::chrono::steady_clock::now();
      std::vector<std::vector<uint64_t>> found(queries_.rows());
      for (size_t q = 0; q < queries_.rows(); ++q) {
        found[q].resize(kK);
        found[q].resize(engine_.Search(queries_[q], kK, list, found[q].data()));
      }
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      for (size_t q = 0; q < queries_.rows(); ++q) sum += Recall(*truth, q, found[q], kK);
      searches += fmt::format("{}{{\"list\": {}, \"recall\": {:.4f}, \"search_us\": {:.1f}}}",
                              searches.empty() ? "" : ", ", list, sum / n, took.count() * 1e6 / n);
    }
    return searches;
  }

  const WindowOptions options_;
  const Element element_;
  const Rows rows_;
  const Rows queries_;
  Engine engine_;
};

template <class Engine>
int WindowMain(int argc, char** argv) {
  WindowOptions options;
  CLI::App app("Updates per second of a window that slides over a file, and its recall.");
  AddVersion(app, "window");
  app.add_option("--data", options.data, "rows, .u8bin")->required();
  app.add_option("--queries", options.queries, "queries, .u8bin")->required();
  app.add_option("--type", options.type, "f32 or u8")->capture_default_str();
  app.add_option("--window", options.window, "points in the index")->capture_default_str();
  app.add_option("--rows", options.rows, "rows of the file that pass; 0: all");
  app.add_option("--threads", options.threads, "threads")->capture_default_str();
  app.add_option("--batch", options.batch, "rows that come, then go, at a time; 0: one by one");
  app.add_option("--degree", options.degree, "R, or 2 M")->capture_default_str();
  app.add_option("--list", options.list, "L, or ef_construction")->capture_default_str();
  app.add_option("--search-lists", options.search_lists, "each L, or ef")
      ->delimiter(',')
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  Window<Engine>(options).Run();
  return 0;
}

}  // namespace shoal::bench
