// The job "index": an index of the rows of a file, built and searched; curves of recall against
// rate, build times, memory.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "jobs/data.h"
#include "jobs/input.h"
#include "jobs/jobs.h"
#include "jobs/timed_search.h"
#include "jobs/zero_vectors.h"
#include "runner/timing.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index_view.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

enum class Refined { kNo, kYes };
enum class Viewed { kNo, kYes };  // A view of the snapshot is searched, too.

struct IndexJobOptions {
  InputRequest data;
  std::filesystem::path truth_file;  // Empty: the data's own, or computed.
  IndexOptions index;
  std::vector<uint64_t> build_threads;
  Refined refined = Refined::kNo;
  Viewed view = Viewed::kNo;
  uint64_t k = 10;
  std::vector<uint64_t> lists, search_threads;
  double seconds = 1;
  uint64_t samples = 5;
  uint64_t rerank = 0;
  double target_recall = 0;  // 0: the lists alone.
};

// Doubts of many samples, told in one line.
class Doubts {
 public:
  // `doubt`: empty if there is none.
  void Add(std::string doubt) {
    ++samples_;
    if (doubt.empty()) return;
    ++doubtful_;
    if (first_.empty()) first_ = std::move(doubt);
  }
  void Warn(const JobContext& context, std::string_view what) const {
    if (doubtful_ > 0)
      context.warn(fmt::format("{}: {} of {} samples are doubtful; the first, {}", what, doubtful_,
                               samples_, first_));
  }

 private:
  size_t samples_ = 0;
  size_t doubtful_ = 0;
  std::string first_;
};

class IndexJob final : public Job {
 public:
  explicit IndexJob(IndexJobOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    if (auto loaded = Load(context); !loaded) return tl::unexpected(loaded.error());
    for (const uint64_t threads : options_.build_threads)
      if (auto built = Build(context, threads); !built) return tl::unexpected(built.error());
    Settings();
    context.checkpoint(sections_);
    for (const uint64_t threads : options_.search_threads)
      if (auto searched = Search(context, threads); !searched)
        return tl::unexpected(searched.error());
    return sections_;
  }

 private:
  Expected<void> Load(const JobContext& context) {
    Expected<Input> input = ReadInput(options_.data);
    if (!input) return tl::unexpected(input.error());
    rows_ = std::move(input->rows);
    queries_ = std::move(input->queries);
    zero_rows_ = std::move(input->zero_rows);
    zero_queries_ = std::move(input->zero_queries);
    if (!zero_rows_.empty() || !zero_queries_.empty()) {
      context.warn(fmt::format("zero vectors are left out: {} of {} rows, {} of {} queries",
                               zero_rows_.size(), rows_.rows(), zero_queries_.size(),
                               zero_queries_.size() + queries_.rows()));
    }
    engine_ = fmt::format("shoal-{}", ShortName(rows_.type()));
    if (options_.index.code > Code::kFull)
      engine_ += fmt::format("-{}", CodeName(options_.index.code));
    options_.index.scalar_type = rows_.type();
    options_.index.metric = input->metric;
    options_.index.dim = static_cast<uint32_t>(rows_.dim());
    if (options_.truth_file.empty() && input->truth && input->truth->k >= options_.k) {
      truth_ = std::move(*input->truth);
      return {};
    }
    return LoadTruth(context);
  }

  Expected<void> LoadTruth(const JobContext& context) {
    if (options_.truth_file.empty())
      context.say(
          fmt::format("ground truth of {} queries over {} rows", queries_.rows(), rows_.rows()));
    Expected<TruthSet> truth = options_.truth_file.empty() ? ComputeTruth() : ReadTruth();
    if (!truth) return tl::unexpected(truth.error());
    truth_ = std::move(*truth);
    return {};
  }

  Expected<TruthSet> ComputeTruth() const {
    std::vector<uint8_t> include;  // Empty: all.
    if (!zero_rows_.empty()) include.assign(rows_.rows(), 1);
    for (const uint32_t row : zero_rows_) include[row] = 0;
    return Plain(ExactSearch(
        rows_, queries_, {.k = options_.k, .metric = options_.index.metric, .include = include}));
  }

  Expected<TruthSet> ReadTruth() const {
    const std::string file = options_.truth_file.string();
    const Expected<TruthSet> truth =
        Plain(ReadTruthSet(file, {.points = rows_.rows(), .metric = options_.index.metric}));
    if (!truth) return truth;
    const size_t queries = queries_.rows() + zero_queries_.size();
    if (truth->queries != queries)
      return tl::unexpected(
          fmt::format("{}: queries: expected {}, found {}", file, queries, truth->queries));
    if (truth->k < options_.k)
      return tl::unexpected(
          fmt::format("{}: k: expected at least {}, found {}", file, options_.k, truth->k));
    if (zero_rows_.empty() && zero_queries_.empty()) return truth;
    return TruthWithout(*truth, zero_queries_, zero_rows_);
  }

  Expected<void> Build(const JobContext& context, uint64_t threads) {
    index_.reset();  // The old one's memory first.
    Expected<Index> index = Plain(Index::Create(options_.index));
    if (!index) return tl::unexpected(index.error());
    std::vector<ExternalId> ids(rows_.rows());
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    const Timing timing(context, fmt::format("build on {} threads", threads));
    const auto report = index->InsertMany(ids, rows_, {.threads = threads});
    if (!report) return tl::unexpected(report.error().message);
    if (report->failures.size() != zero_rows_.size())
      return tl::unexpected(
          fmt::format("row {}: {}", report->failures[0].row, report->failures[0].error.message));
    if (options_.refined == Refined::kYes)
      if (const Status done = index->Refine({.threads = threads}); !done)
        return tl::unexpected(done.error().message);
    const Stretch stretch = timing.Stop();
    context.say(fmt::format("{} points in {:.1f} s on {} threads", index->size(), stretch.seconds,
                            threads));
    sections_["builds"].push_back({{"engine", engine_},
                                   {"threads", threads},
                                   {"seconds", stretch.seconds},
                                   {"cpu_seconds", stretch.cpu_seconds},
                                   {"list", options_.index.build_list_size}});
    index_ = std::make_unique<Index>(std::move(*index));
    Memory();
    return {};
  }

  void Settings() {
    sections_["settings"][engine_] = {{"version", Version()},
                                      {"degree", options_.index.max_degree},
                                      {"list", options_.index.build_list_size},
                                      {"alpha", options_.index.alpha},
                                      {"code", CodeName(index_->options().code)},
                                      {"rerank_code", CodeName(index_->options().rerank_code)},
                                      {"rerank", options_.rerank},
                                      {"refine", options_.refined == Refined::kYes}};
  }

  // Of the last build; the earlier ones' is the same.
  void Memory() {
    const MemoryBreakdown memory = index_->Stats().memory;
    const auto per_point = [&](uint64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(index_->size());
    };
    sections_["memory"] = {{{"engine", engine_},
                            {"points", index_->size()},
                            {"bytes_per_point", per_point(memory.total())},
                            {"parts",
                             {{"vectors", per_point(memory.vectors)},
                              {"neighbors", per_point(memory.neighbors)},
                              {"reverse_lists", per_point(memory.reverse_lists)},
                              {"slots", per_point(memory.slots)},
                              {"id_map", per_point(memory.id_map)},
                              {"scratch", per_point(memory.scratch)}}}}};
  }

  // One that is searched, and its curve.
  struct Target {
    std::string engine;
    Searched searched;
    std::vector<uint64_t> lists;
    std::vector<Json> points;
    std::vector<Latencies> latencies;
  };

  // The index, with the target recall where one is asked for. The calibration is one on queries: a
  // few are searched for first, fewer than bring about another in the background.
  Expected<Target> TargetRecall() {
    constexpr size_t kFew = 200;
    const double recall = options_.target_recall;
    if (const auto first = index_->Calibrate(options_.k, recall); !first)
      return tl::unexpected(first.error().message);
    for (size_t q = 0; q < std::min(kFew, queries_.rows()); ++q) {
      const auto hits = index_->Search(queries_[q], {.k = options_.k, .target_recall = recall});
      if (!hits) return tl::unexpected(hits.error().message);
    }
    const Expected<Calibration> found = Plain(index_->Calibrate(options_.k, recall));
    if (!found) return tl::unexpected(found.error());
    sections_["settings"][engine_]["target_recall"] = {
        {"target", recall},
        {"list", found->search_list_size},
        {"rerank", found->rerank},
        {"stop_margin", std::isinf(found->stop_margin) ? Json() : Json(found->stop_margin)},
        {"recall", found->recall},
        {"distances", found->distances},
        {"queries", found->queries}};
    Target target{engine_ + "-target", *index_, {found->search_list_size}, {}, {}};
    target.searched.search = [index = index_.get(), recall](VectorView query, SearchOptions options,
                                                            const auto&... rest) {
      options.target_recall = recall;
      return index->Search(query, options, rest...);
    };
    return target;
  }

  // The index, with the target recall and a view of its snapshot, where they are asked for.
  Expected<std::vector<Target>> Targets(const JobContext& context) {
    std::vector<Target> targets{{engine_, *index_, options_.lists, {}, {}}};
    if (options_.target_recall > 0) {
      Expected<Target> target = TargetRecall();
      if (!target) return tl::unexpected(target.error());
      targets.push_back(std::move(*target));
    }
    if (options_.view == Viewed::kNo) return targets;
    if (view_ == nullptr) {
      const std::filesystem::path path = context.output_directory / "index.shoal";
      if (const Status saved = index_->Save(path); !saved)
        return tl::unexpected(saved.error().message);
      const auto begin = Clock::now();
      Expected<IndexView> view = Plain(IndexView::Open(path));
      if (!view) return tl::unexpected(view.error());
      sections_["settings"][engine_]["view_open_ms"] = Since(begin) * 1e3;
      view_ = std::make_unique<IndexView>(std::move(*view));
    }
    targets.push_back({engine_ + "-view", *view_, options_.lists, {}, {}});
    return targets;
  }

  // Samples in rounds over all list sizes, so that a slow minute does not fall on one of them.
  Expected<void> Search(const JobContext& context, uint64_t threads) {
    Expected<std::vector<Target>> targets = Targets(context);
    if (!targets) return tl::unexpected(targets.error());
    TimedSearch search{.k = options_.k,
                       .rerank = options_.rerank,
                       .threads = threads,
                       .seconds = options_.seconds};
    for (Target& target : *targets) {
      target.latencies.resize(target.lists.size());
      for (const uint64_t list : target.lists) {
        search.list = list;
        const Expected<Answered> answered = AnswerAll(target.searched, queries_, truth_, search);
        if (!answered) return tl::unexpected(answered.error());
        target.points.push_back({{"list", list},
                                 {"recall", answered->recall},
                                 {"qps", Json::array()},
                                 {"distances", answered->distances}});
      }
    }
    Doubts doubts;
    for (uint64_t sample = 0; sample < options_.samples; ++sample) {
      for (size_t i = 0; i < options_.lists.size(); ++i) {
        for (Target& target : *targets) {
          if (i >= target.lists.size()) continue;
          search.list = target.lists[i];
          const Stopwatch watch;
          const Expected<TimedSample> timed = RunTimed(target.searched, queries_, search);
          if (!timed) return tl::unexpected(timed.error());
          doubts.Add(watch.Read().Doubt(fmt::format("L = {}", search.list), MachineCores()));
          target.points[i]["qps"].push_back(timed->queries_per_second);
          auto& us = target.latencies[i].us;
          us.insert(us.end(), timed->latencies.us.begin(), timed->latencies.us.end());
        }
      }
    }
    doubts.Warn(context, fmt::format("search on {} threads", threads));
    for (Target& target : *targets) PutCurve(context, threads, target);
    return {};
  }

  void PutCurve(const JobContext& context, uint64_t threads, Target& target) {
    for (size_t i = 0; i < target.points.size(); ++i) {
      Json& point = target.points[i];
      point["p50_us"] = target.latencies[i].Percentile(0.5);
      point["p99_us"] = target.latencies[i].Percentile(0.99);
      point["p999_us"] = target.latencies[i].Percentile(0.999);
      context.say(fmt::format("{}: L = {}, {} threads: recall {:.4f}, {:.0f} queries/s",
                              target.engine, target.lists[i], threads,
                              point["recall"].get<double>(), point["qps"].back().get<double>()));
    }
    sections_["curves"].push_back({{"engine", target.engine},
                                   {"threads", threads},
                                   {"k", options_.k},
                                   {"points", target.points}});
  }

  IndexJobOptions options_;
  std::vector<uint32_t> zero_rows_, zero_queries_;  // Left out; by their numbers in the files.
  std::string engine_;                              // Of the rows' type.
  Matrix rows_, queries_;
  TruthSet truth_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<IndexView> view_;
  Json sections_ = Json::object();
};

void ParseData(FieldReader& data, const JobContext& context, IndexJobOptions& options) {
  options.data = ParseInput(data, context);
  if (data.Flag("skip_zero_vectors", false)) options.data.zero_vectors = ZeroVectors::kSkip;
  options.truth_file = data.InputFile("truth_file", context.find_input, "");
}

void ParseBuilds(FieldReader& build, IndexJobOptions& options) {
  ParseBuild(build, options.index);
  options.build_threads = build.UnsignedList("threads", {1, 1024}, {{1}});
  options.refined = build.Flag("refine", false) ? Refined::kYes : Refined::kNo;
}

void ParseSearch(FieldReader& search, IndexJobOptions& options) {
  options.k = search.Unsigned("k", {1, 1000}, 10);
  options.lists = search.UnsignedList("lists", {1, 100000}, {{10, 20, 40, 80, 160}});
  options.search_threads = search.UnsignedList("threads", {1, 1024}, {{1}});
  options.seconds = search.Number("seconds", {0.001, 3600}, 1);
  options.samples = search.Unsigned("samples", {1, 1000}, 5);
  options.view = search.Flag("view", false) ? Viewed::kYes : Viewed::kNo;
  options.rerank = search.Unsigned("rerank", {}, 0);
  options.target_recall = search.Number("target_recall", {0, 1}, 0);
}

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  IndexJobOptions options;
  content.Object("data", [&](FieldReader& data) { ParseData(data, context, options); });
  content.OptionalObject("build", [&](FieldReader& build) { ParseBuilds(build, options); });
  content.OptionalObject("search", [&](FieldReader& search) { ParseSearch(search, options); });
  return std::make_unique<IndexJob>(std::move(options));
}

}  // namespace

constinit const JobType kIndexJob{
    "index", "an index of a file's rows, built and searched: curves, build times, memory", R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "held_out": 0,
           "truth_file": "sift-1m.gt100", "rows": 0, "scalar_type": "uint8", "metric": "l2",
           "skip_zero_vectors": false},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "code": "auto", "rerank_code": "full",
            "threads": [2], "refine": false},
  "search": {"k": 10, "lists": [10, 20, 40, 80, 160], "threads": [1, 2], "seconds": 1.0,
             "samples": 5, "view": false, "rerank": 0, "target_recall": 0}
})",
    Parse};

}  // namespace shoal::bench
