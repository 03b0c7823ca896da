// What long work does to those who search and write meanwhile.
//
//   beside --data ROWS.u8bin --queries Q.u8bin --work consolidate
//
// An index of all rows but those that are kept back for inserts. Work, on one thread:
//   consolidate   --share of the points were deleted and not repaired (RepairPolicy::kManual)
//   delete        --share of the points go, one by one, each repaired at once
//   save          the whole index into --file, which is removed afterwards
// Beside it another thread searches, inserts a row and deletes it again, in turn,
// as fast as it can. Before that it does the same beside a thread that only spins. Printed: seconds
// and CPU of the work, how far the process grew during it, and the latencies of both times. Where
// points went also what a delete costs by an insert's cost, the bytes of a point that is left, and
// how the index compares with a fresh one of the same points (churn/curve.h).
//
// --index FILE keeps the built index: a second run loads it from there.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "churn/curve.h"
#include "cpu_time.h"
#include "meanwhile.h"
#include "need.h"
#include "peak_memory.h"
#include "shoal/index.h"
#include "version.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

struct Arguments {
  std::string data, queries, index, type = "f32", work = "consolidate", file = "beside.shoal";
  size_t rows = 0, list = 64, threads = 2;
  double share = 0.1, idle_seconds = 5;
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
        ids_(built_),
        index_(Index::Create(Options())) {
    std::iota(ids_.begin(), ids_.end(), ExternalId{0});
    if (!args.index.empty() && std::filesystem::exists(args.index)) {
      LoadOptions options;
      options.runtime = Options().runtime;
      index_ = Index::Load(args.index, options);
      if (!index_) Fail(index_.error().message);
      if (index_->size() != built_) Fail(args.index + ": is of other points");
      return;
    }
    Build(*index_);
    if (!args.index.empty()) Need(index_->Save(args.index));
  }

  void Run() {
    fmt::print("{} points as {}, L = {}\n\n", built_, args_.type, args_.list);
    PrintMeanwhileHead();
    const auto turn = [this](Latencies& latencies) { Turn(latencies); };
    const size_t inserts = Meanwhile("an idle loop", turn, [&] { Spin(args_.idle_seconds); });
    const double insert_us = insert_cpu_ * 1e6 / static_cast<double>(inserts);
    std::vector<ExternalId> leaving;
    if (args_.work != "save") leaving = Leaving<ExternalId>(built_, args_.share);
    if (args_.work == "consolidate") Delete(leaving);
    double cpu = 0, seconds = 0, resident = 0, most = 0;
    Meanwhile(args_.work, turn, [&] {
      const auto begin = Clock::now();
      const PeakMemory memory;
      cpu = ThreadCpuSeconds();
      if (args_.work == "save") Need(index_->Save(args_.file, {.threads = 1}));
      if (args_.work == "consolidate") Need(index_->Consolidate({.threads = 1}));
      if (args_.work == "delete") Delete(leaving);
      cpu = ThreadCpuSeconds() - cpu;
      seconds = Since(begin);
      resident = memory.before_mb();
      most = PeakMemory::most_mb();
    });
    fmt::print(
        "\n{}: {:.2f} s, {:.2f} s of CPU; resident {:.0f} MB, at most {:.0f} MB ({:+.1f} %)\n",
        args_.work, seconds, cpu, resident, most, 100 * (most / resident - 1));
    if (args_.work == "save") std::filesystem::remove(args_.file);
    if (!leaving.empty()) {
      const auto deleted = static_cast<double>(leaving.size());
      fmt::print("{} deleted points, {:.0f} a second, {:.0f} a CPU second; {} pending\n", deleted,
                 deleted / seconds, deleted / cpu, index_->Stats().pending_repairs);
      fmt::print("a delete takes {:.1f} us of CPU, {:.3f} of an insert's {:.1f}\n",
                 cpu / deleted * 1e6, cpu / deleted * 1e6 / insert_us, insert_us);
      CompareWithFresh(leaving);
    }
    Need(index_->CheckStructure());
  }

 private:
  Element Kind() const { return args_.type == "u8" ? Element::kUint8 : Element::kFloat32; }

  IndexOptions Options() const {
    return {.dim = static_cast<uint32_t>(rows_.dim()),
            .scalar_type = type_,
            .runtime = {.repair = args_.work == "consolidate" ? RepairPolicy::kManual
                                                              : RepairPolicy::kImmediate}};
  }
  MatrixView First(size_t rows) const { return {rows_.data(), type_, rows, rows_.dim()}; }

  void Build(Index& index) {
    const auto report = Need(index.InsertMany(ids_, First(built_), {.threads = args_.threads}));
    if (!report.failures.empty()) Fail(report.failures[0].error.message);
  }

  void Delete(const std::vector<ExternalId>& ids) {
    for (const ExternalId id : ids) Need(index_->Delete(id));
  }

  // index_ against an index of what is left.
  void CompareWithFresh(const std::vector<ExternalId>& gone) {
    Matrix left = Need(Matrix::Create(type_, built_ - gone.size(), rows_.dim()));
    std::vector<bool> is_gone(built_, false);
    for (const ExternalId id : gone) is_gone[id] = true;
    std::erase_if(ids_, [&](ExternalId id) { return is_gone[id]; });
    for (size_t i = 0; i < ids_.size(); ++i)
      std::memcpy(left.data() + i * left.row_bytes(), rows_[ids_[i]], left.row_bytes());
    Index fresh = Need(Index::Create(Options()));
    (void)Need(fresh.InsertMany(ids_, left, {.threads = args_.threads}));
    const MatrixView queries(queries_.data(), type_, queries_.rows(), queries_.dim());
    const std::vector<uint32_t> ids(ids_.begin(), ids_.end());
    const TruthSet truth = Need(ExactSearch(left, queries, {.k = kCurveK, .ids = ids}));
    const Curve after = MeasureCurve(*index_, queries, truth);
    const Difference difference = Compare(after, MeasureCurve(fresh, queries, truth));
    Need(index_->Compact());
    fmt::print(
        "{} points left, {:.0f} bytes each (fresh {:.0f}); recall@10 at L = {} {:.4f}; at equal"
        " distances against a fresh index mean {:+.4f}, least {:+.4f}; {:.3f} times the distances"
        " at equal recall\n",
        ids.size(), Bytes(*index_), Bytes(fresh), kCurveLists[1], after[1].recall, difference.mean,
        difference.least, difference.distances);
  }
  static double Bytes(const Index& index) {
    return static_cast<double>(index.Stats().memory.total()) / static_cast<double>(index.size());
  }

  void Turn(Latencies& latencies) {
    const VectorView query(queries_[turn_++ % queries_.rows()], type_, rows_.dim());
    ExternalId ids[10];
    Time(latencies.search, [&] {
      const auto hits = index_->Search(query, {.k = 10, .search_list_size = args_.list}, ids, {});
      if (!hits) Fail(hits.error().message);
    });
    const size_t spare = rows_.rows() - built_, row = built_ + (next_ - built_) % spare;
    insert_cpu_ -= ThreadCpuSeconds();
    Time(latencies.insert,
         [&] { Need(index_->Insert(next_, VectorView(rows_[row], type_, rows_.dim()))); });
    insert_cpu_ += ThreadCpuSeconds();
    Time(latencies.erase, [&] { Need(index_->Delete(next_)); });
    ++next_;
  }

  const Arguments args_;
  const ScalarType type_;
  const Rows rows_;
  const Rows queries_;
  const size_t built_;
  size_t next_;  // The id of the next insert.
  size_t turn_ = 0;
  double insert_cpu_ = 0;        // Seconds, of all turns' inserts.
  std::vector<ExternalId> ids_;  // Of the points that were built.
  Result<Index> index_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::Arguments args;
  CLI::App app("The latency of searches and updates beside long work.");
  shoal::bench::AddVersion(app, "beside");
  app.add_option("--data", args.data, "rows, .u8bin")->required()->check(CLI::ExistingFile);
  app.add_option("--queries", args.queries, "queries, .u8bin")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--type", args.type, "the rows as")
      ->check(CLI::IsMember({"f32", "u8"}))
      ->capture_default_str();
  app.add_option("--work", args.work, "what")
      ->check(CLI::IsMember({"consolidate", "delete", "save"}))
      ->capture_default_str();
  app.add_option("--index", args.index, "keeps the built index");
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
