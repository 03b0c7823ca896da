// The job "runbook": a runbook of the streaming track, step by step.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "jobs/data.h"
#include "jobs/jobs.h"
#include "runbook/replay.h"
#include "runbook/stream_fields.h"
#include "runbook/truth_files.h"
#include "runner/timing.h"

namespace shoal::bench {
namespace {

// What may be lost when a run is interrupted.
constexpr double kSecondsBetweenCheckpoints = 30;
constexpr double kSecondsBetweenLines = 5;

struct RunbookJobOptions {
  StreamFields stream;
  ReplayOptions replay;
  std::filesystem::path truth_folder;  // Of step<N>.gt<K>; empty: computed.
  std::filesystem::path cache;         // Where computed truth is kept.
  uint64_t depth = 100;                // Neighbours that computed truth has.
};

// The figures of all searches at one L.
struct Score {
  uint64_t list = 0;
  size_t searches = 0;
  double recall = 0, least = 1, seconds = 0;
  uint64_t queries = 0;
};

class RunbookJob final : public Job {
 public:
  explicit RunbookJob(RunbookJobOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    auto input = LoadStream(options_.stream, context);
    if (!input) return tl::unexpected(input.error());
    input_ = std::move(*input);
    if (options_.truth_folder.empty())
      if (auto ok = ComputeTruth(context); !ok) return tl::unexpected(ok.error().message);
    stream_ = {{"engine", fmt::format("shoal-{}", ShortName(input_.rows.type()))},
               {"threads", options_.replay.threads},
               {"k", options_.replay.k},
               {"dataset", options_.stream.runbook.dataset},
               {"list", options_.replay.lists.front()},
               {"steps", Json::array()}};
    if (auto ok = RunSteps(context); !ok) return tl::unexpected(ok.error().message);
    return Sections();
  }

 private:
  const Runbook& runbook() const { return options_.stream.runbook; }

  Status ComputeTruth(const JobContext& context) {
    auto cache =
        TruthCache::Open(context.output_directory / options_.cache, input_.rows, input_.queries,
                         {.k = options_.depth,
                          .reserve = options_.depth,
                          .metric = input_.metric,
                          .batch = {.threads = 0}});
    if (!cache) return tl::unexpected(cache.error());
    const Stopwatch watch;
    LivePoints live;
    for (const Step& step : runbook().steps) {
      if (auto ok = live.Apply(runbook(), step); !ok) return ok;
      if (step.operation != Operation::kSearch) continue;
      auto file = cache->Ensure(live);
      if (!file) return tl::unexpected(file.error());
      truth_files_[step.number] = std::move(*file);
    }
    const double all = static_cast<double>(cache->work().distances);
    context.say(fmt::format(
        "ground truth of {} searches in {:.1f} s: {} were there, {} computed "
        "with {:.3g} distances",
        truth_files_.size(), watch.Read().seconds, cache->found(), cache->computed(), all));
    return {};
  }

  Result<std::optional<TruthSet>> TruthAt(const Step& step, const LivePoints& live) const {
    if (options_.truth_folder.empty()) {
      auto truth = ReadTruthSet(truth_files_.at(step.number));
      if (!truth) return tl::unexpected(truth.error());
      return std::optional(OfQueries(std::move(*truth), step.queries));
    }
    auto truth = ReadStepTruth({.folder = options_.truth_folder,
                                .step = step.number,
                                .queries = input_.queries.rows(),
                                .asked = step.queries,
                                .k = options_.replay.k,
                                .metric = input_.metric},
                               live);
    if (!truth) return tl::unexpected(truth.error());
    return std::optional(std::move(*truth));
  }

  Status RunSteps(const JobContext& context) {
    auto replay = Replay::Create(input_, runbook(), options_.replay);
    if (!replay) return tl::unexpected(replay.error());
    const Timing timing(context, "the runbook");
    Stopwatch since_line, since_checkpoint;
    LivePoints live;
    for (const Step& step : runbook().steps) {
      if (auto ok = live.Apply(runbook(), step); !ok) return ok;
      auto done = replay->Do(step, [&](const Step& of) { return TruthAt(of, live); });
      if (!done) return tl::unexpected(done.error());
      for (const StreamStep& figures : *done) {
        Count(figures);
        StepsOf(figures).push_back(StepJson(figures));
      }
      if (since_line.Read().seconds > kSecondsBetweenLines) {
        context.say(Line(done->back()));
        since_line = {};
      }
      if (since_checkpoint.Read().seconds > kSecondsBetweenCheckpoints) {
        context.checkpoint(Sections());
        since_checkpoint = {};
      }
    }
    timing.Stop();
    for (const Score& score : scores_) {
      context.say(
          fmt::format("L = {}: recall {:.4f} over {} searches, least {:.4f}, {:.0f} "
                      "queries/s",
                      score.list, Mean(score), score.searches, score.least,
                      Rate(score.queries, score.seconds)));
    }
    return {};
  }

  // One line over time each: all steps with the searches at the first L; those at others apart.
  Json& StepsOf(const StreamStep& figures) {
    if (!figures.list || *figures.list == options_.replay.lists.front()) return stream_["steps"];
    Json& others = stream_["other_lists"];
    for (Json& other : others)
      if (other["list"] == *figures.list) return other["steps"];
    others.push_back({{"list", *figures.list}, {"steps", Json::array()}});
    return others.back()["steps"];
  }

  std::string Line(const StreamStep& figures) const {
    return fmt::format("step {} of {}, {}: {} points{}", figures.number, runbook().steps.size(),
                       figures.operation, figures.live,
                       figures.recall ? fmt::format(", recall {:.4f}", *figures.recall) : "");
  }

  void Count(const StreamStep& figures) {
    if (!figures.list) {
      auto& [points, seconds] = updates_[figures.operation];
      points += figures.points;
      seconds += figures.seconds;
      return;
    }
    auto score = std::find_if(scores_.begin(), scores_.end(),
                              [&](const Score& of) { return of.list == *figures.list; });
    if (score == scores_.end()) {
      scores_.emplace_back();
      score = scores_.end() - 1;
      score->list = *figures.list;
    }
    ++score->searches;
    score->recall += figures.recall.value_or(0);
    score->least = std::min(score->least, figures.recall.value_or(1));
    score->seconds += figures.seconds;
    score->queries += figures.points;
  }

  static double Mean(const Score& score) {
    return score.recall / static_cast<double>(score.searches);
  }
  static double Rate(uint64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
  }

  // The track's score is the mean of the recalls of all searches, whatever their sizes.
  Json Sections() const {
    Json summary = Json::object();
    for (const Score& score : scores_) {
      summary["searches"].push_back({{"list", score.list},
                                     {"recall", Mean(score)},
                                     {"least_recall", score.least},
                                     {"qps", Rate(score.queries, score.seconds)},
                                     {"seconds", score.seconds}});
    }
    for (const auto& [operation, count] : updates_) {
      summary[operation] = {{"points", count.first},
                            {"seconds", count.second},
                            {"rate", Rate(count.first, count.second)}};
    }
    Json stream = stream_;
    stream["summary"] = summary;
    return {{"stream", stream}};
  }

  RunbookJobOptions options_;
  Input input_;
  std::map<size_t, std::filesystem::path> truth_files_;  // By step.
  Json stream_;
  std::vector<Score> scores_;
  std::map<std::string, std::pair<uint64_t, double>> updates_;  // Points and seconds.
};

void ParseSearch(FieldReader& search, ReplayOptions& replay) {
  replay.k = search.Unsigned("k", {1, 1000}, 10);
  replay.lists = search.UnsignedList("lists", {1, 100000}, {{64}});
  replay.rerank = search.Unsigned("rerank", {}, 0);
  replay.passes = search.Unsigned("passes", {1, 1000}, 1);
}

// The folder is where the file of the first search is; it has to have those of all.
void ParseTruth(FieldReader& truth, const JobContext& context, RunbookJobOptions& options) {
  const std::string directory = truth.Text("directory", "");
  options.cache = truth.Text("cache", "groundtruth");
  options.depth = truth.Unsigned("depth", {1, 10000}, 100);
  if (options.depth < options.replay.k)
    truth.Fail("depth", fmt::format("at least search.k, {}", options.replay.k),
               std::to_string(options.depth));
  const auto& steps = options.stream.runbook.steps;
  const auto first = std::find_if(steps.begin(), steps.end(), [](const Step& step) {
    return step.operation == Operation::kSearch;
  });
  if (directory.empty() || first == steps.end() || !truth.ok()) return;
  const auto name = fmt::format("{}/step{}.gt{}", directory, first->number, options.depth);
  const auto file = context.find_input(name);
  if (!file) return truth.FailWith(fmt::format("{}: {}", truth.PathOf("directory"), file.error()));
  options.truth_folder = file->parent_path();
  for (const Step& step : steps) {
    if (step.operation != Operation::kSearch) continue;
    if (const auto found = FindStepTruth(options.truth_folder, step.number); !found)
      return truth.FailWith(
          fmt::format("{}: {}", truth.PathOf("directory"), found.error().message));
  }
}

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  RunbookJobOptions options;
  options.stream = ParseStreamFields(content, context, [&](FieldReader& build) {
    options.replay.consolidate_share = build.Number("consolidate_share", {0, 1}, 0.0);
  });
  options.replay.index = options.stream.index;
  content.OptionalObject("search",
                         [&](FieldReader& search) { ParseSearch(search, options.replay); });
  content.OptionalObject("groundtruth",
                         [&](FieldReader& truth) { ParseTruth(truth, context, options); });
  options.replay.threads = content.Unsigned("threads", {1, 1024}, 1);
  return std::make_unique<RunbookJob>(std::move(options));
}

}  // namespace

constinit const JobType kRunbookJob{
    "runbook", "a runbook of the streaming track, step by step: recall, rates, latencies, memory",
    R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "held_out": 0,
           "rows": 100000, "scalar_type": "file", "metric": "l2"},
  "runbook": {"file": "runbook.yaml", "dataset": ""},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "code": "auto", "rerank_code": "full",
            "repair": "immediate", "repair_threads": 1,
            "consolidate_share": 0.0},
  "search": {"k": 10, "lists": [64, 128], "rerank": 0, "passes": 1},
  "groundtruth": {"directory": "", "cache": "groundtruth", "depth": 100},
  "threads": 2
})",
    Parse};

}  // namespace shoal::bench
