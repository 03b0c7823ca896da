// Search a Debian machine's own packages by meaning: "packages like git", "edit photos".
//
// Reads the package index, turns every package into a 256-d vector, and keeps the vectors in a
// shoal database. A process that inserts them is killed in the middle; this one opens the file and
// goes on, while its other threads search and another process searches the file. It shows
// throughput, latency and recall against exact search as it goes, and then answers queries. `make
// demo` runs it.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "package_search/live_run.h"
#include "package_search/packages.h"
#include "package_search/processes.h"
#include "package_search/queries.h"
#include "package_search/screen.h"
#include "package_search/vectorizer.h"
#include "shoal/database.h"
#include "shoal/dataset.h"
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
  std::string database;
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

// What the reading process asks again and again: free text, for a package would find itself.
Query QueryToRepeat(const std::vector<Package>& packages, const Vectorizer& vectorizer) {
  for (const char* text : kTellingQueries)
    if (auto query = MakeQuery(text, packages, vectorizer); query && !query->package)
      return *std::move(query);
  return *MakeQuery(packages.front().name, packages, vectorizer);
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

// The database's file. That beside this program is made anew; another one must not be there.
shoal::Result<std::filesystem::path> NewDatabase(const std::string& wanted) {
  std::error_code failed;
  if (!wanted.empty()) {
    if (!std::filesystem::exists(wanted, failed)) return std::filesystem::path(wanted);
    return shoal::MakeError(shoal::ErrorCode::kAlreadyExists,
                            wanted + ": expected no such file, found one");
  }
  const std::filesystem::path path =
      std::filesystem::read_symlink("/proc/self/exe", failed).string() + ".db";
  for (const char* const suffix : {"", "-lock"})
    std::filesystem::remove(path.string() + suffix, failed);
  return path;
}

// What a second process sees of the file while another one inserts.
std::string OtherProcess(const Board& board, const Query& query,
                         const std::vector<Package>& packages) {
  if (board.snapshots.load() == 0) return "another process: waits for the first packages";
  return fmt::format(
      "another process: {} packages, snapshot opened in {:.1f} ms; {}: {} ({:.1f} ms)",
      Grouped(board.points.load()), static_cast<double>(board.open_us.load()) / 1e3, query.title,
      packages[board.nearest.load()].name, static_cast<double>(board.search_us.load()) / 1e3);
}

// Everything that was acknowledged is there, and goes on from there. Returns the first row that is
// not.
shoal::Result<uint64_t> RowsThere(const shoal::StoredIndex& index) {
  uint64_t rows = 0;
  while (index.live().Contains(rows)) ++rows;
  if (rows == index.live().size()) return rows;
  return shoal::MakeError(
      shoal::ErrorCode::kCorrupt,
      fmt::format("database: expected the first {} packages, found the first {}",
                  index.live().size(), rows));
}

// A process inserts a third of the rows and is killed.
shoal::Status KillAnInserter(const std::filesystem::path& path, const Flags& flags,
                             shoal::MatrixView rows, Board& board,
                             const std::function<std::string()>& other) {
  Child inserter([&] { return InsertUntilKilled(path, flags.index, rows, board); });
  const uint64_t wanted = std::max<uint64_t>(1, rows.rows() / 3);
  auto shown = Clock::now();
  while (board.acknowledged.load() < wanted) {
    if (inserter.HasEnded())
      return shoal::MakeError(shoal::ErrorCode::kIo,
                              path.string() + ": the inserting process ended");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (SecondsSince(shown) < 1) continue;
    shown = Clock::now();
    fmt::print("  a process has inserted {}; {}\n", Grouped(board.acknowledged.load()), other());
    std::fflush(stdout);
  }
  inserter.Kill();
  fmt::print("kill -9 of that process, in the middle of insert {}\n",
             Grouped(board.acknowledged.load() + 1));
  return {};
}

// Opens what the killed process has left.
shoal::Result<std::pair<shoal::StoredIndex, uint64_t>> Reopen(const std::filesystem::path& path) {
  const auto start = Clock::now();
  {
    const auto snapshot = shoal::DatabaseSnapshot::Open(path, kIndexName);
    if (!snapshot) return tl::unexpected(snapshot.error());
    if (const auto good = snapshot->Verify(); !good) return tl::unexpected(good.error());
  }
  const double verified = SecondsSince(start);
  auto database = shoal::Database::Open(path, kDatabaseOptions);
  if (!database) return tl::unexpected(database.error());
  auto index = database->OpenIndex(kIndexName);
  if (!index) return tl::unexpected(index.error());
  const auto there = RowsThere(*index);
  if (!there) return tl::unexpected(there.error());
  fmt::print(
      "the file is whole (checked in {:.2f} s), opened for writing in {:.2f} s: {} packages "
      "are there\n",
      verified, SecondsSince(start) - verified, Grouped(*there));
  return std::pair(*index, *there);
}

shoal::Status Run(const Flags& flags) {
  const auto start = Clock::now();
  const Screen screen = Screen::Of(stdout);
  if (const auto valid = shoal::Index::Create(flags.index); !valid)
    return tl::unexpected(valid.error());
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

  const auto path = NewDatabase(flags.database);
  if (!path) return tl::unexpected(path.error());
  fmt::print("database {}: an insert survives kill -9 {} ms after it, at the latest\n",
             path->string(), kDatabaseOptions.interval_ms);
  Board* const board = NewBoard();
  if (board == nullptr) return shoal::MakeError(shoal::ErrorCode::kOutOfMemory, "no memory");
  const Query asked = QueryToRepeat(packages, vectorizer);
  const auto other = [&] { return OtherProcess(*board, asked, packages); };
  Child reader([&] { return AnswerFromSnapshots(*path, asked.vector, *board); });
  if (const auto killed = KillAnInserter(*path, flags, AsMatrix(rows), *board, other); !killed)
    return killed;
  const auto opened = Reopen(*path);
  if (!opened) return tl::unexpected(opened.error());
  const auto& [stored, first_row] = *opened;
  fmt::print("{} thread(s) insert, {} search; R={} L={}, search L={}; kernels {}\n",
             flags.insert_threads, flags.search_threads, flags.index.max_degree,
             flags.index.build_list_size, flags.search.search_list_size, shoal::ActiveIsa());
  std::fflush(stdout);
  LiveView view(stdout, screen);
  LiveRun live(stored, AsMatrix(rows), AsMatrix(queries),
               {.insert_threads = flags.insert_threads,
                .search_threads = flags.search_threads,
                .search = flags.search,
                .first_row = first_row,
                .other = other});
  const auto run = live.Run(view);
  board->stop = true;
  reader.Wait();
  if (!run) return tl::unexpected(run.error());
  const shoal::Index& index = stored.live();
  const auto final = MeasureAtRest(index, AsMatrix(rows), AsMatrix(queries).Slice(0, kFinalQueries),
                                   flags.search, flags.threads);
  if (!final) return tl::unexpected(final.error());
  const auto status = AnswerAll(own, packages, vectorizer, index, flags, screen);
  if (status) PrintSummary(*run, *final, index, flags, start);
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
  app.add_option("--database", flags.database,
                 "File to make for the index; default: beside this program, made anew");
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
