// The job "concurrent-runbook": a runbook's updates and searches, all at the same time.
#include <fmt/format.h>

#include <utility>

#include "jobs/data.h"
#include "jobs/jobs.h"
#include "runbook/overlap.h"
#include "runbook/stream_fields.h"
#include "runner/timing.h"

namespace shoal::bench {
namespace {

class OverlapJob final : public Job {
 public:
  OverlapJob(StreamFields stream, OverlapOptions options)
      : stream_(std::move(stream)), options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    const auto input = LoadStream(stream_, context);
    if (!input) return tl::unexpected(input.error());
    const Timing timing(context, "the stream");
    const auto figures = RunOverlap(*input, stream_.runbook, options_, context.say);
    if (!figures) return tl::unexpected(figures.error().message);
    timing.Stop();
    Judge(*figures, context);
    Json stream = {{"engine", fmt::format("shoal-{}", ShortName(input->rows.type()))},
                   {"mode", "concurrent"},
                   {"k", options_.k},
                   {"list", options_.list},
                   {"dataset", stream_.runbook.dataset},
                   {"steps", Json::array()}};
    for (const StreamStep& step : figures->buckets) stream["steps"].push_back(StepJson(step));
    return Json{{"stream", stream}, {"concurrent", Summary(*figures)}};
  }

 private:
  // What no run may show.
  static void Judge(const OverlapFigures& figures, const JobContext& context) {
    const auto none = [&](uint64_t count, std::string_view what) {
      if (count > 0) context.violated(fmt::format("{} {}", count, what));
    };
    none(figures.outside, "hits of points that were not there at any moment of the search");
    none(figures.wrong_distance, "hits at a distance of no vector that the point had");
    none(figures.doubled, "ids that an answer names twice");
    if (!figures.structure.empty()) context.violated(figures.structure);
    context.say(fmt::format(
        "recall {:.4f} to {:.4f} over {} searches; p50 {:.0f}, p99 {:.0f}, "
        "p99.9 {:.0f}, most {:.0f} us",
        figures.recall.low, figures.recall.high, figures.judged, figures.search_tail.p50,
        figures.search_tail.p99, figures.search_tail.p999, figures.search_tail.max));
  }

  static Json Summary(const OverlapFigures& figures) {
    const auto of = [&](uint64_t count, const Tail& tail) {
      Json json = {{"count", count}, {"rate", static_cast<double>(count) / figures.seconds}};
      json.update(TailJson(tail));
      return json;
    };
    Json json = {{"seconds", figures.seconds},
                 {"recall_low", figures.recall.low},
                 {"recall_high", figures.recall.high},
                 {"judged", figures.judged},
                 {"not_judged", figures.not_judged},
                 {"hits_outside", figures.outside},
                 {"hits_at_wrong_distance", figures.wrong_distance},
                 {"hits_twice", figures.doubled},
                 {"structure", figures.structure.empty() ? "sound" : figures.structure}};
    json["searches"] = of(figures.searches, figures.search_tail);
    json["searches"]["service"] = TailJson(figures.search_service);
    json["writes"] = of(figures.inserts + figures.replaces, figures.insert_tail);
    json["writes"]["inserts"] = figures.inserts;
    json["writes"]["replaces"] = figures.replaces;
    json["deletes"] = of(figures.deletes, figures.delete_tail);
    return json;
  }

  const StreamFields stream_;
  const OverlapOptions options_;
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  StreamFields stream = ParseStreamFields(content, context);
  OverlapOptions options;
  options.index = stream.index;
  content.OptionalObject("search", [&](FieldReader& search) {
    options.k = search.Unsigned("k", {1, 1000}, 10);
    options.list = search.Unsigned("list", {1, 100000}, 64);
    options.rerank = search.Unsigned("rerank", {}, 0);
  });
  const auto load = [&](std::string_view key, uint64_t least, Load& of) {
    content.OptionalObject(key, [&](FieldReader& reader) {
      of.threads = reader.Unsigned("threads", {least, 1024}, 1);
      of.rate = reader.Number("rate", {0, 1e9}, 0.0);
    });
  };
  options.warm_steps = content.Unsigned("warm_steps", {}, 1);
  load("inserts", 0, options.inserts);
  load("deletes", 0, options.deletes);
  load("searches", 1, options.searches);
  options.arrivals = content.OneOf("arrivals", {"poisson", "even"}, "poisson") == "even"
                         ? ArrivalKind::kEven
                         : ArrivalKind::kPoisson;
  options.seconds = content.Number("seconds", {0, 1e6}, 0.0);
  options.lead = content.Unsigned("lead", {}, 0);
  options.judged = content.Unsigned("judged", {}, 4000);
  options.bucket_seconds = content.Number("bucket_seconds", {0.01, 3600}, 1.0);
  options.seed = content.Unsigned("seed", {}, 1);
  return std::make_unique<OverlapJob>(std::move(stream), std::move(options));
}

}  // namespace

constinit const JobType kConcurrentRunbookJob{
    "concurrent-runbook",
    "a runbook's updates and searches at the same time: bounds of recall, tails", R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "held_out": 0,
           "rows": 100000, "scalar_type": "file", "metric": "l2"},
  "runbook": {"file": "runbook.yaml", "dataset": ""},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "code": "auto", "rerank_code": "full",
            "repair": "immediate", "repair_threads": 1},
  "search": {"k": 10, "list": 64, "rerank": 0},
  "warm_steps": 1,
  "inserts": {"threads": 1, "rate": 0.0},
  "deletes": {"threads": 1, "rate": 0.0},
  "searches": {"threads": 1, "rate": 1000.0},
  "arrivals": "poisson", "seconds": 0.0, "lead": 0, "judged": 4000, "bucket_seconds": 1.0, "seed": 1
})",
    Parse};

}  // namespace shoal::bench
