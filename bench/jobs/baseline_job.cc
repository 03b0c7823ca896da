// The job "baseline": exact cases for every asked combination of scalar type, metric and mode. What
// it counts is the same on every machine and instruction set, so tests compare it to the digit.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "jobs/data.h"
#include "jobs/exact_case.h"
#include "jobs/integer_set.h"
#include "jobs/jobs.h"
#include "shoal/options.h"

namespace shoal::bench {
namespace {

struct BaselineOptions {
  // Empty: rows of our own making.
  std::filesystem::path base_file, query_file;
  IntegerSetOptions set;
  std::vector<ScalarType> types;
  std::vector<Metric> metrics;
  std::vector<Mode> modes;
  ExactCase exact;
};

// The numbers of a uint8 file as another type: int8 gets the halves, as the classic bytes of
// descriptors go to 255. Refused: numbers whose distances depend on the instruction set.
Expected<Matrix> ReadAs(const std::filesystem::path& path, size_t rows, ScalarType type) {
  Expected<Matrix> read = ReadRows(path, rows);
  if (!read) return read;
  if (type == ScalarType::kInt8 && read->type() == ScalarType::kUint8)
    for (size_t i = 0; i < read->rows() * read->dim(); ++i) read->data()[i] >>= 1;
  read = ConvertRows(std::move(*read), type, path.string());
  if (read)
    if (auto exact = CheckExact(*read, path.string()); !exact) return tl::unexpected(exact.error());
  return read;
}

Expected<IntegerSet> MakeRows(const BaselineOptions& options, ScalarType type) {
  if (options.base_file.empty()) {
    auto set = MakeIntegerSet(type, options.set);
    if (!set) return tl::unexpected(set.error().message);
    return std::move(*set);
  }
  Expected<Matrix> rows = ReadAs(options.base_file, options.set.rows, type);
  if (!rows) return tl::unexpected(rows.error());
  Expected<Matrix> queries = ReadAs(options.query_file, options.set.queries, type);
  if (!queries) return tl::unexpected(queries.error());
  return IntegerSet{std::move(*rows), std::move(*queries)};
}

class BaselineJob final : public Job {
 public:
  explicit BaselineJob(BaselineOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    Json cases = Json::object();
    for (const ScalarType type : options_.types) {
      const Expected<IntegerSet> set = MakeRows(options_, type);
      if (!set) return tl::unexpected(set.error());
      for (const Metric metric : MetricsOf(type))
        for (const Mode mode : options_.modes)
          if (auto done = RunCase(*set, metric, mode, cases); !done)
            return tl::unexpected(done.error());
      context.say(ScalarTypeName(type));
    }
    return Json{{"exact", cases}};
  }

 private:
  std::vector<Metric> MetricsOf(ScalarType type) const {
    std::vector<Metric> metrics;
    for (const Metric metric : options_.metrics)
      if (IsPossible(type, metric)) metrics.push_back(metric);
    return metrics;
  }

  Expected<void> RunCase(const IntegerSet& set, Metric metric, Mode mode, Json& cases) const {
    const std::string type(ScalarTypeName(set.rows.type())), metric_name(MetricName(metric)),
        mode_name(kModeNames[static_cast<size_t>(mode)]);
    ExactCase exact = options_.exact;
    exact.rows = set.rows;
    exact.queries = set.queries;
    exact.metric = metric;
    exact.mode = mode;
    Expected<Json> counted = RunExactCase(exact);
    if (!counted)
      return tl::unexpected(
          fmt::format("{}, {}, {}: {}", type, metric_name, mode_name, counted.error()));
    cases[type][metric_name][mode_name] = std::move(*counted);
    return {};
  }

  const BaselineOptions options_;
};

// The values of a list of words, each of which `parse` understands.
template <class T>
std::vector<T> Words(FieldReader& content, std::string_view key,
                     const std::vector<std::pair<std::string_view, T>>& known) {
  std::vector<std::string> all;
  all.reserve(known.size());
  for (const auto& [word, value] : known) all.emplace_back(word);
  std::vector<T> values;
  for (const std::string& word : content.TextList(key, all)) {
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const auto& each) { return each.first == word; });
    if (found != known.end()) {
      values.push_back(found->second);
    } else {
      content.Fail(key, fmt::format("words out of {}", fmt::join(all, ", ")),
                   fmt::format("\"{}\"", word));
    }
  }
  return values;
}

void ParseData(FieldReader& data, const JobContext& context, BaselineOptions& options) {
  options.set.rows = data.Unsigned("rows", {.least = 100, .most = 1000000}, 10000);
  options.set.queries = data.Unsigned("queries", {.least = 1, .most = 100000}, 100);
  options.base_file = data.InputFile("base_file", context.find_input, "");
  options.query_file = data.InputFile("query_file", context.find_input, "");
  if (options.base_file.empty() != options.query_file.empty())
    data.Fail("query_file", "a file just where base_file is one", "one without the other");
  if (!options.base_file.empty()) return;
  options.set.dim = data.Unsigned("dim", {.least = 2, .most = 512}, 16);
  options.set.clusters = data.Unsigned("clusters", {.least = 1, .most = 100000}, 64);
  options.set.seed = data.Unsigned("seed", {}, 1);
}

void ParseStream(FieldReader& stream, size_t rows, ExactCase& exact) {
  exact.stream_live = stream.Unsigned("live", {.least = 1, .most = rows}, exact.stream_live);
  exact.stream_step = stream.Unsigned("step", {.least = 1, .most = rows}, exact.stream_step);
  exact.rounds = stream.Unsigned("rounds", {.least = 1, .most = rows}, exact.rounds);
  const uint64_t moved = exact.rounds * exact.stream_step;
  if (moved > exact.stream_live)
    stream.Fail("rounds", fmt::format("rounds * step of at most live, {}", exact.stream_live),
                std::to_string(moved));
  if (exact.stream_live + moved > rows)
    stream.Fail("live", fmt::format("live + rounds * step of at most the rows, {}", rows),
                std::to_string(exact.stream_live + moved));
}

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  BaselineOptions options;
  content.OptionalObject("data", [&](FieldReader& data) { ParseData(data, context, options); });
  options.types = Words<ScalarType>(content, "scalar_types",
                                    {{"float32", ScalarType::kFloat32},
                                     {"float16", ScalarType::kFloat16},
                                     {"int8", ScalarType::kInt8},
                                     {"uint8", ScalarType::kUint8},
                                     {"bit", ScalarType::kBit}});
  options.metrics = Words<Metric>(content, "metrics",
                                  {{"l2", Metric::kL2},
                                   {"inner_product", Metric::kInnerProduct},
                                   {"cosine", Metric::kCosine},
                                   {"manhattan", Metric::kManhattan},
                                   {"hamming", Metric::kHamming}});
  for (const ScalarType type : options.types)
    if (std::ranges::none_of(options.metrics, [type](Metric m) { return IsPossible(type, m); }))
      content.Fail("metrics", fmt::format("one that {} vectors have", ScalarTypeName(type)),
                   "none");
  options.modes = Words<Mode>(content, "modes",
                              {{"static", Mode::kStatic},
                               {"insert", Mode::kInsert},
                               {"stream", Mode::kStream},
                               {"repair", Mode::kRepair}});
  ExactCase& exact = options.exact;
  exact.max_degree = static_cast<uint32_t>(content.Unsigned("degree", {4, kMaxDegree}, 12));
  exact.build_list_size =
      static_cast<uint32_t>(content.Unsigned("build_list", {1, kMaxListSize}, 16));
  exact.alpha = static_cast<float>(content.Number("alpha", {1, 2}, 1.2));
  exact.k = content.Unsigned("k", {1, 100}, 10);
  exact.lists = content.UnsignedList("lists", {1, kMaxListSize}, {{10, 40}});
  content.OptionalObject(
      "stream", [&](FieldReader& stream) { ParseStream(stream, options.set.rows, exact); });
  return std::make_unique<BaselineJob>(std::move(options));
}

}  // namespace

constinit const JobType kBaselineJob{
    "baseline", "exact counts of builds, streams and searches, the same on every machine", R"({
  "data": {"rows": 10000, "queries": 100, "dim": 16, "clusters": 64, "seed": 1},
  "scalar_types": ["float32", "float16", "int8", "uint8", "bit"],
  "metrics": ["l2", "inner_product", "cosine", "manhattan", "hamming"],
  "modes": ["static", "insert", "stream", "repair"],
  "degree": 12, "build_list": 16, "alpha": 1.2, "k": 10, "lists": [10, 40],
  "stream": {"live": 3000, "step": 400, "rounds": 3}
})",
    Parse};

}  // namespace shoal::bench
