// DiskANN's consolidation and what it does to those who search and write meanwhile: the peer of
// `beside --work consolidate`, in the same words.
//
//   beside_diskann --data ROWS.u8bin --queries Q.u8bin
//
// An index of all rows but a tenth, as float32; --share of them are lazily deleted; one thread
// consolidates while another searches, inserts a row and lazily deletes it again, in turn, as fast
// as it can. Before that it does the same beside a thread that only spins. Built where DiskANN's
// C++ is (SHOAL_DISKANN_DIR).
#include <fmt/format.h>
#include <index_factory.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "cpu_time.h"
#include "meanwhile.h"
#include "need.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

using Tag = uint32_t;

struct Arguments {
  std::string data, queries;
  size_t rows = 0, list = 64, degree = 32, build_list = 100, threads = 2;
  double share = 0.1, idle_seconds = 5;
};

class BesideDiskann {
 public:
  explicit BesideDiskann(const Arguments& args)
      : args_(args),
        rows_(Rows::Read(args.data, Element::kFloat32, args.rows)),
        queries_(Rows::Read(args.queries, Element::kFloat32, 0)),
        built_(rows_.rows() - rows_.rows() / 10),
        next_(built_),
        params_(diskann::IndexWriteParametersBuilder(static_cast<uint32_t>(args.build_list),
                                                     static_cast<uint32_t>(args.degree))
                    .with_alpha(1.2f)
                    .with_num_threads(static_cast<uint32_t>(args.threads))
                    .build()) {
    diskann::IndexSearchParams search(static_cast<uint32_t>(args.list),
                                      static_cast<uint32_t>(args.threads));
    auto config = diskann::IndexConfigBuilder()
                      .with_metric(diskann::L2)
                      .with_dimension(rows_.dim())
                      .with_max_points(built_ + kInserts)
                      .is_dynamic_index(true)
                      .with_index_write_params(params_)
                      .with_index_search_params(search)
                      .with_data_type("float")
                      .with_tag_type("uint32")
                      .with_label_type("uint32")
                      .with_data_load_store_strategy(diskann::DataStoreStrategy::MEMORY)
                      .with_graph_load_store_strategy(diskann::GraphStoreStrategy::MEMORY)
                      .is_enable_tags(true)
                      .with_num_frozen_pts(1)
                      .is_concurrent_consolidate(true)
                      .build();
    index_ = diskann::IndexFactory(config).create_instance();
    index_->set_start_points_at_random(508.0f);
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < args.threads; ++t)
      threads.emplace_back([&] {
        for (size_t i; (i = next.fetch_add(1)) < built_;) Insert(i, i);
      });
    for (std::thread& thread : threads) thread.join();
  }

  void Run() {
    fmt::print("{} points as f32, R = {}, L = {}\n\n", built_, args_.degree, args_.list);
    PrintMeanwhileHead();
    const auto turn = [this](Latencies& latencies) { Turn(latencies); };
    Meanwhile("an idle loop", turn, [&] { Spin(args_.idle_seconds); });
    const auto ids = Leaving<size_t>(built_, args_.share);
    for (const size_t id : ids) Delete(id);
    const auto params = diskann::IndexWriteParametersBuilder(params_).with_num_threads(1).build();
    double seconds = 0, cpu = 0;
    size_t released = 0;
    Meanwhile("consolidate", turn, [&] {
      const auto begin = Clock::now();
      cpu = ThreadCpuSeconds();
      const diskann::consolidation_report report = index_->consolidate_deletes(params);
      cpu = ThreadCpuSeconds() - cpu;
      seconds = Since(begin);
      if (report._status != diskann::consolidation_report::SUCCESS) Fail("consolidation failed");
      released = report._slots_released;
    });
    fmt::print("\nconsolidate: {:.2f} s, {:.2f} s of CPU\n", seconds, cpu);
    fmt::print("{} deleted points, {:.0f} a second, {:.0f} a CPU second\n", released,
               static_cast<double>(released) / seconds, static_cast<double>(released) / cpu);
  }

 private:
  const float* Row(const Rows& rows, size_t i) const {
    return reinterpret_cast<const float*>(rows[i]);
  }
  void Insert(size_t id, size_t row) {
    if (index_->insert_point(Row(rows_, row), static_cast<Tag>(id + 1)) != 0)
      Fail("insert_point of " + std::to_string(id) + " failed");
  }
  void Delete(size_t id) {
    if (index_->lazy_delete(static_cast<Tag>(id + 1)) != 0)
      Fail("lazy_delete of " + std::to_string(id) + " failed");
  }

  // Slots of deleted points come back by a consolidation only: inserts end when all are used.
  void Turn(Latencies& latencies) {
    const float* query = Row(queries_, turn_++ % queries_.rows());
    Tag tags[10];
    float distances[10];
    std::vector<float*> vectors;
    Time(latencies.search, [&] {
      index_->search_with_tags(query, 10, static_cast<uint32_t>(args_.list), tags, distances,
                               vectors);
    });
    if (next_ - built_ == kInserts) return;
    const size_t spare = rows_.rows() - built_;
    Time(latencies.insert, [&] { Insert(next_, built_ + (next_ - built_) % spare); });
    Time(latencies.erase, [&] { Delete(next_); });
    ++next_;
  }

  static constexpr size_t kInserts = 300000;  // That there is room for.

  const Arguments args_;
  const Rows rows_;
  const Rows queries_;
  const size_t built_;
  size_t next_;  // The id of the next insert.
  size_t turn_ = 0;
  diskann::IndexWriteParameters params_;  // (Their builder takes no constant.)
  std::unique_ptr<diskann::AbstractIndex> index_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Arguments args;
  CLI::App app("The latency of searches and updates beside DiskANN's consolidation.");
  app.add_option("--data", args.data, "rows, .u8bin")->required()->check(CLI::ExistingFile);
  app.add_option("--queries", args.queries, "queries, .u8bin")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--rows", args.rows, "of the file; 0: all")->capture_default_str();
  app.add_option("--share", args.share, "of the points that are deleted")
      ->check(CLI::Range(0.001, 0.9))
      ->capture_default_str();
  app.add_option("--list", args.list, "L of the searches")->capture_default_str();
  app.add_option("--degree", args.degree, "R")->capture_default_str();
  app.add_option("--build-list", args.build_list, "L of the inserts")->capture_default_str();
  app.add_option("--threads", args.threads, "of the build")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  shoal::bench::BesideDiskann(args).Run();
}
