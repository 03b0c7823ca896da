// Search a Debian machine's own packages by meaning: "packages like git", "edit photos".
//
// Reads the package index, turns every package into a 256-d vector, inserts the vectors into a
// shoal index while other threads search it, shows throughput, latency and recall against exact
// search as it goes, and then answers queries. `make demo` runs it.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "package_search/live_run.h"
#include "package_search/packages.h"
#include "package_search/queries.h"
#include "package_search/screen.h"
#include "package_search/vectorizer.h"
#include "shoal/dataset.h"
#include "shoal/index.h"
#include "shoal/version.h"

namespace package_search {
namespace {

using Clock = std::chrono::steady_clock;

// Queries that the searching threads cycle through; the first kFinalQueries give the final recall.
constexpr size_t kSampledQueries = 8192;
constexpr size_t kFinalQueries = 1000;

// Used if the machine has the packages; each shows another kind of query.
constexpr const char* kTellingQueries[] = {
    "packages like libhnswlib-dev",    "vector similarity search", "packages like liblmdb-dev",
    "play chess against the computer", "weather forecast",
};

struct Flags {
  std::string packages;
  std::vector<std::string> queries;
  std::string export_prefix;
  size_t threads = std::max(1u, std::thread::hardware_concurrency());
  size_t insert_threads = std::max<size_t>(1, threads / 2);
  size_t search_threads = std::max<size_t>(1, threads / 2);
  size_t hits = 5;
  shoal::IndexOptions index{.dim = kVectorDim,
                            .metric = shoal::Metric::kCosine,
                            .max_degree = 32,
                            .build_list_size = 100};
  shoal::SearchOptions search{.k = 10, .search_list_size = 128};
};

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

shoal::MatrixView AsMatrix(const std::vector<float>& rows) {
  return {std::span<const float>(rows), kVectorDim};
}

// PREFIX.fbin, PREFIX.queries.fbin and PREFIX.names.txt: a real float set for benchmarks.
shoal::Status Export(const std::string& prefix, const std::vector<Package>& packages,
                     const std::vector<float>& rows, const std::vector<float>& queries) {
  if (auto status = shoal::WriteBin(prefix + ".fbin", AsMatrix(rows)); !status) return status;
  const auto some = AsMatrix(queries).Slice(0, kFinalQueries);
  if (auto status = shoal::WriteBin(prefix + ".queries.fbin", some); !status) return status;
  const std::string names_path = prefix + ".names.txt";
  std::ofstream names(names_path);
  for (const Package& package : packages) names << package.name << '\n';
  names.close();
  if (!names) return shoal::MakeError(shoal::ErrorCode::kIo, names_path + ": cannot write");
  fmt::print("wrote {0}.fbin ({1} x {2}), {0}.queries.fbin ({3} x {2}) and {0}.names.txt\n", prefix,
             packages.size(), kVectorDim, kFinalQueries);
  return {};
}

shoal::Status Answer(const Query& query, const std::vector<Package>& packages,
                     const shoal::Index& index, const Flags& flags, const Screen& screen) {
  // One more: the package that a query starts from is no answer.
  auto hits = index.Search(
      query.vector, {.k = flags.hits + 1, .search_list_size = flags.search.search_list_size});
  if (!hits) return tl::unexpected(hits.error());
  std::vector<AnswerRow> rows;
  for (const shoal::Hit& hit : *hits) {
    if (query.package == hit.id || rows.size() == flags.hits) continue;
    rows.push_back({hit.distance, packages[hit.id].name, packages[hit.id].synopsis});
  }
  fmt::print("\n{}", AnswerTable(query.title, rows, screen));
  return {};
}

// The example queries for which this machine has the packages, then the user's own.
shoal::Status AnswerAll(const std::vector<Query>& own, const std::vector<Package>& packages,
                        const Vectorizer& vectorizer, const shoal::Index& index, const Flags& flags,
                        const Screen& screen) {
  std::vector<Query> queries;
  for (const char* text : kTellingQueries) {
    if (auto query = MakeQuery(text, packages, vectorizer)) queries.push_back(*std::move(query));
  }
  queries.insert(queries.end(), own.begin(), own.end());
  for (const Query& query : queries) {
    if (auto status = Answer(query, packages, index, flags, screen); !status) return status;
  }
  return {};
}

void PrintSummary(const RunSummary& run, const FinalFigures& final, const shoal::Index& index,
                  const Flags& flags, Clock::time_point start) {
  const shoal::IndexStats stats = index.Stats();
  fmt::print(
      "\n{} points built at {:.0f} inserts/s beside {:.0f} searches/s; at rest {:.0f} searches/s "
      "({} threads), recall@{} {:.4f}; {:.0f} bytes/point; {:.1f} s in all\n",
      Grouped(stats.points), run.inserts_per_second, run.searches_per_second,
      final.searches_per_second, flags.threads, flags.search.k, final.recall,
      static_cast<double>(stats.memory.total()) /
          static_cast<double>(std::max<uint64_t>(stats.points, 1)),
      SecondsSince(start));
}

shoal::Status Run(const Flags& flags) {
  const auto start = Clock::now();
  const Screen screen = Screen::Of(stdout);
  auto index = shoal::Index::Create(flags.index);
  if (!index) return tl::unexpected(index.error());
  const auto list =
      flags.packages.empty() ? ReadMachinePackages() : ReadPackageFile(flags.packages);
  if (!list) return tl::unexpected(list.error());
  const std::vector<Package>& packages = list->packages;
  if (!list->warning.empty()) fmt::print(stderr, "package_search: {}\n", list->warning);

  const Vectorizer vectorizer(packages);
  std::vector<Query> own;
  for (const std::string& text : flags.queries) {
    auto query = MakeQuery(text, packages, vectorizer);
    if (!query) return tl::unexpected(query.error());
    own.push_back(*std::move(query));
  }
  const std::vector<float> rows = EmbedAll(vectorizer, packages, flags.threads);
  const std::vector<float> queries = SampleQueries(packages, vectorizer, kSampledQueries);
  fmt::print("{} packages ({}) as {}-d vectors in {:.1f} s\n", Grouped(packages.size()),
             list->source, kVectorDim, SecondsSince(start));
  if (!flags.export_prefix.empty()) return Export(flags.export_prefix, packages, rows, queries);

  fmt::print("{} thread(s) insert, {} search; R={} L={}, search L={}; kernels {}\n",
             flags.insert_threads, flags.search_threads, flags.index.max_degree,
             flags.index.build_list_size, flags.search.search_list_size, shoal::ActiveIsa());
  std::fflush(stdout);
  LiveView view(stdout, screen);
  LiveRun live(*index, AsMatrix(rows), AsMatrix(queries),
               {.insert_threads = flags.insert_threads,
                .search_threads = flags.search_threads,
                .search = flags.search});
  const auto run = live.Run(view);
  if (!run) return tl::unexpected(run.error());
  const auto final =
      MeasureAtRest(*index, AsMatrix(rows), AsMatrix(queries).Slice(0, kFinalQueries), flags.search,
                    flags.threads);
  if (!final) return tl::unexpected(final.error());
  const auto status = AnswerAll(own, packages, vectorizer, *index, flags, screen);
  if (status) PrintSummary(*run, *final, *index, flags, start);
  return status;
}

}  // namespace
}  // namespace package_search

int main(int argc, char** argv) {
  package_search::Flags flags;
  CLI::App app("Search a Debian machine's packages by meaning, while they are being inserted.");
  app.set_version_flag("--version", fmt::format("package_search, shoal {} ({})", shoal::Version(),
                                                shoal::ActiveIsa()));
  app.add_option(
      "--packages", flags.packages,
      "File with the output of `apt-cache dumpavail`; -: standard input; default: this machine");
  app.add_option("--query", flags.queries, "Free text, or \"packages like NAME\"; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--hits", flags.hits, "Packages shown for a query")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--export", flags.export_prefix,
                 "Only write PREFIX.fbin, PREFIX.queries.fbin and PREFIX.names.txt");
  app.add_option("--threads", flags.threads,
                 "Threads that compute the vectors, and that search at the end")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--insert_threads", flags.insert_threads, "Threads that insert")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--search_threads", flags.search_threads, "Threads that search meanwhile")
      ->capture_default_str();
  app.add_option("-R,--max_degree", flags.index.max_degree, "Most edges of a point")
      ->capture_default_str();
  app.add_option("-L,--build_list_size", flags.index.build_list_size, "Candidates of an insert")
      ->capture_default_str();
  app.add_option("--search_list_size", flags.search.search_list_size, "Candidates of a search")
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (const auto status = package_search::Run(flags); !status) {
    fmt::print(stderr, "package_search: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
