// generate-runbook: a runbook of one of the patterns, for a data set that is there or to be.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/file.h"
#include "jobs/input.h"
#include "runbook/clusters.h"
#include "runbook/generate.h"
#include "runbook/runbook.h"
#include "runner/verb.h"

namespace shoal::bench {
namespace {

struct GenerateArguments {
  std::string pattern, output, data, sorted_data;
  GenerateOptions options;
};

Status WriteText(const std::filesystem::path& path, const std::string& text) {
  auto file = OutputFile::Create(path);
  if (!file) return tl::unexpected(file.error());
  if (auto ok = file->Append(text.data(), text.size()); !ok) return ok;
  return file->Commit();
}

// Sorts the data by cluster and makes the pattern follow them.
Status Sort(const GenerateArguments& args, const Matrix& rows, GenerateOptions& options) {
  const auto order =
      OrderByCluster(rows, {.clusters = options.clusters, .seed = options.seed, .batch = {}});
  if (!order) return tl::unexpected(order.error());
  const auto sorted = Reorder(rows, order->rows);
  if (!sorted) return tl::unexpected(sorted.error());
  options.bounds = order->bounds;
  return WriteBin(args.sorted_data, *sorted);
}

Result<std::string> Generate(GenerateArguments args) {
  GenerateOptions& options = args.options;
  for (size_t i = 0; i < kPatterns; ++i)
    if (PatternName(static_cast<Pattern>(i)) == args.pattern)
      options.pattern = static_cast<Pattern>(i);
  if (!args.data.empty()) {
    const auto rows = ReadBase(args.data, options.rows);
    if (!rows) return MakeError(ErrorCode::kInvalidArgument, rows.error());
    options.rows = static_cast<uint32_t>(rows->rows());
    if (!args.sorted_data.empty())
      if (auto ok = Sort(args, *rows, options); !ok) return tl::unexpected(ok.error());
  }
  if (options.window == 0) options.window = options.rows / 2;
  const auto runbook = GenerateRunbook(options);
  if (!runbook) return tl::unexpected(runbook.error());
  const std::string text = RunbookText(*runbook, GenerateComments(options));
  if (auto ok = WriteText(args.output, text); !ok) return tl::unexpected(ok.error());
  return fmt::format("{}: {} steps, at most {} points, seed {}\n", args.output,
                     runbook->steps.size(), runbook->max_points, options.seed);
}

}  // namespace

void AddGenerateRunbook(CLI::App& app, int& status) {
  static GenerateArguments args;
  args = {};
  GenerateOptions& options = args.options;
  std::vector<std::string> names;
  std::string patterns = "what comes and goes:";
  for (size_t i = 0; i < kPatterns; ++i) {
    const auto pattern = static_cast<Pattern>(i);
    names.emplace_back(PatternName(pattern));
    patterns += fmt::format("\n{}: {}", names.back(), PatternSummary(pattern));
  }
  app.add_option("--pattern", args.pattern, patterns)->required()->check(CLI::IsMember(names));
  app.add_option("-o,--output", args.output, "the runbook, YAML")->required();
  auto* const data =
      app.add_option("--data", args.data, "the vectors, of which --rows are used (0: all)")
          ->check(CLI::ExistingFile);
  auto* const rows = app.add_option("--rows", options.rows, "rows of the data");
  app.add_option("--window", options.window,
                 "points that are there at a time, about (0: rows / 2)");
  app.add_option("--steps", options.steps, "rounds of coming and going in a turnover")
      ->capture_default_str();
  app.add_option("--turnovers", options.turnovers, "points that come, by the window")
      ->capture_default_str();
  app.add_option("--clusters", options.clusters, "clusters, for patterns that have some")
      ->capture_default_str();
  app.add_option("--sorted-data", args.sorted_data,
                 "write the data here, sorted by cluster: for patterns of clusters")
      ->needs(data);
  app.add_option("--dataset", options.dataset, "the name in the runbook")->capture_default_str();
  app.add_option("--seed", options.seed, "of all that is random")->capture_default_str();
  app.callback([&status, data, rows] {
    if (data->count() + rows->count() == 0) throw CLI::RequiredError("--data or --rows");
    const auto said = Generate(args);
    if (said) fmt::print("{}", *said);
    if (!said) fmt::print(stderr, "shoal-bench: {}\n", said.error().message);
    status = said ? 0 : 1;
  });
}

}  // namespace shoal::bench
