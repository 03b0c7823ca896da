// search, get, ids, count, bench: verbs that read the file where it is.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "apps/shoal/rows.h"
#include "apps/shoal/verb.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/index_view.h"

namespace shoal::apps {
namespace {

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

struct SearchArguments {
  std::string file, vector, queries, format, truth;
  size_t k = 10, list_size = 64, rerank = 0, threads = 0;
  float radius = NAN;
  bool ids_as_strings = false;
};

// The answer to query i, as `format` says: text, jsonl or csv.
void Print(size_t i, std::span<const Hit> hits, const SearchArguments& arguments,
           const std::string& format) {
  if (format == "text") {
    for (const Hit& hit : hits) fmt::print("{:>6}  {:>20}  {}\n", i, hit.id, hit.distance);
    return;
  }
  if (format == "csv") {
    for (const Hit& hit : hits) fmt::print("{},{},{}\n", i, hit.id, hit.distance);
    return;
  }
  std::string ids, distances;
  const char* quote = arguments.ids_as_strings ? "\"" : "";
  for (const Hit& hit : hits) {
    const char* comma = ids.empty() ? "" : ",";
    ids += fmt::format("{}{}{}{}", comma, quote, hit.id, quote);
    distances += fmt::format("{}{}", comma, hit.distance);
  }
  fmt::print("{{\"query\":{},\"ids\":[{}],\"distances\":[{}]}}\n", i, ids, distances);
}

// The queries: the vector of the command line, or those of a file or of standard input.
Result<RowsRead> QueriesOf(const SearchArguments& arguments, const IndexOptions& index) {
  if (!arguments.vector.empty()) {
    Result<std::vector<std::byte>> one =
        ParseVector(arguments.vector, index.scalar_type, index.dim);
    if (!one) return tl::unexpected(one.error());
    return RowsRead{.ids = {0}, .elements = *std::move(one), .lines = {}, .bad = {}};
  }
  const std::string input = arguments.queries.empty() ? "-" : arguments.queries;
  return ReadRows(input,
                  {.type = index.scalar_type, .dim = index.dim, .bail = true, .ids_in_csv = false});
}

Result<std::vector<std::vector<Hit>>> Answers(const IndexView& view, MatrixView queries,
                                              const SearchArguments& arguments) {
  std::vector<std::vector<Hit>> answers(queries.rows());
  const BatchOptions batch{.threads = arguments.threads};
  if (!std::isnan(arguments.radius)) {
    for (size_t i = 0; i < queries.rows(); ++i) {
      auto hits = view.RangeSearch(
          queries[i], {.radius = arguments.radius, .search_list_size = arguments.list_size});
      if (!hits) return Invalid(fmt::format("query {}: {}", i, hits.error().message));
      answers[i] = *std::move(hits);
    }
    return answers;
  }
  const size_t k = std::max<size_t>(1, std::min(arguments.k, view.size()));
  std::vector<uint64_t> ids(queries.rows() * k);
  std::vector<float> distances(ids.size());
  std::vector<uint32_t> counts(queries.rows());
  const SearchOptions options{.k = arguments.k == 0 ? 0 : k,
                              .search_list_size = std::max(arguments.list_size, k),
                              .rerank = arguments.rerank};
  if (Status done = view.SearchMany(queries, options, {ids, distances, counts}, batch); !done)
    return tl::unexpected(done.error());
  for (size_t i = 0; i < queries.rows(); ++i)
    for (size_t j = 0; j < counts[i]; ++j)
      answers[i].push_back({ids[i * k + j], distances[i * k + j]});
  return answers;
}

// Recall of the answers against a truth set whose ids are the index's.
Status PrintRecall(const std::vector<std::vector<Hit>>& answers, const SearchArguments& arguments) {
  const Result<TruthSet> truth = ReadTruthSet(arguments.truth);
  if (!truth) return tl::unexpected(truth.error());
  if (truth->queries != answers.size() || truth->k < arguments.k)
    return Invalid(fmt::format("{}: expected {} queries and k of {} or more, found {} and {}",
                               arguments.truth, answers.size(), arguments.k, truth->queries,
                               truth->k));
  double sum = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    std::vector<uint64_t> ids;
    for (const Hit& hit : answers[i]) ids.push_back(hit.id);
    sum += Recall(*truth, i, ids, arguments.k);
  }
  fmt::print(stderr, "recall@{}: {:.4f}\n", arguments.k,
             sum / static_cast<double>(std::max<size_t>(1, answers.size())));
  return {};
}

Result<int> Search(const SearchArguments& arguments) {
  std::string format = arguments.format;
  if (format.empty()) format = isatty(STDOUT_FILENO) == 1 ? "text" : "jsonl";
  if (format != "text" && format != "jsonl" && format != "csv")
    return Invalid("--format: expected text, jsonl or csv, found " + format);
  const Result<IndexView> view = IndexView::Open(arguments.file);
  if (!view) return tl::unexpected(view.error());
  const IndexOptions& index = view->options();
  const Result<RowsRead> queries = QueriesOf(arguments, index);
  if (!queries) return tl::unexpected(queries.error());
  const auto answers = Answers(*view, queries->view(index.scalar_type, index.dim), arguments);
  if (!answers) return tl::unexpected(answers.error());
  if (format == "csv") fmt::print("query,id,distance\n");
  for (size_t i = 0; i < answers->size(); ++i) Print(i, (*answers)[i], arguments, format);
  if (!arguments.truth.empty())
    if (Status recall = PrintRecall(*answers, arguments); !recall)
      return tl::unexpected(recall.error());
  return kDone;
}

Result<int> PrintVectors(const std::string& file, const std::vector<std::string>& texts) {
  const Result<IndexView> view = IndexView::Open(file);
  if (!view) return tl::unexpected(view.error());
  const IndexOptions& index = view->options();
  std::vector<std::byte> vector(BytesOf(index.scalar_type, index.dim));
  int status = kDone;
  for (const std::string& text : texts) {
    const Result<uint64_t> id = ParseId(text);
    if (!id) return tl::unexpected(id.error());
    const Status got = view->Get(*id, {vector.data(), index.scalar_type, index.dim});
    if (got) {
      fmt::print("{{\"id\":{},\"vector\":{}}}\n", *id,
                 VectorText({vector.data(), index.scalar_type, index.dim}));
    } else {
      fmt::print(stderr, "shoal: {}\n", got.error().message);
      status = kFailed;
    }
  }
  return status;
}

struct BenchArguments {
  std::string file;
  std::vector<size_t> list_sizes = {16, 32, 64, 128, 256};
  size_t queries = 1000, k = 10, threads = 1;
};

// Searches for points of the index itself, at several list sizes: how many queries a second, and
// the share of the exact neighbours that are found.
Result<int> Bench(const BenchArguments& arguments) {
  const Result<IndexView> view = IndexView::Open(arguments.file);
  if (!view) return tl::unexpected(view.error());
  const IndexOptions& index = view->options();
  const size_t points = view->size(), row = BytesOf(index.scalar_type, index.dim);
  if (points == 0) return Invalid(arguments.file + ": has no points");
  const size_t n = std::min(arguments.queries, points);
  const size_t k = std::min(std::max<size_t>(1, arguments.k), points);
  std::vector<std::byte> base(points * row), chosen;
  for (size_t i = 0; i < points; ++i)
    if (Status got =
            view->Get(view->ids()[i], {base.data() + i * row, index.scalar_type, index.dim});
        !got)
      return tl::unexpected(got.error());
  for (size_t i = 0; i < n; ++i) {
    const std::byte* from = base.data() + i * points / n * row;
    chosen.insert(chosen.end(), from, from + row);
  }
  const MatrixView rows{base.data(), index.scalar_type, points, index.dim};
  const MatrixView queries{chosen.data(), index.scalar_type, n, index.dim};
  const auto truth = ExactSearch(rows, queries, {.k = k, .metric = index.metric});
  if (!truth) return tl::unexpected(truth.error());
  std::vector<uint64_t> ids(n * k);
  std::vector<float> distances(n * k);
  std::vector<uint32_t> counts(n);
  fmt::print("{:>9}  {:>12}  {:>9}\n", "list_size", "queries/s", fmt::format("recall@{}", k));
  for (const size_t list_size : arguments.list_sizes) {
    const auto begin = std::chrono::steady_clock::now();
    if (Status done = view->SearchMany(queries, {.k = k, .search_list_size = list_size},
                                       {ids, distances, counts}, {.threads = arguments.threads});
        !done)
      return tl::unexpected(done.error());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    size_t near = 0;  // Hits as near as the k-th true neighbour.
    for (size_t i = 0; i < n; ++i) {
      const float kth = truth->Distances(i)[k - 1];
      const Rounding rounding = RoundingOf(index.metric, index.scalar_type, index.dim);
      const double limit = kth + rounding.relative * std::abs(kth) + rounding.absolute;
      for (size_t j = 0; j < counts[i]; ++j) near += distances[i * k + j] <= limit ? 1 : 0;
    }
    fmt::print("{:>9}  {:>12.0f}  {:>9.4f}\n", list_size, static_cast<double>(n) / took.count(),
               static_cast<double>(near) / static_cast<double>(n * k));
  }
  return kDone;
}

void AddSearch(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<SearchArguments>();
  CLI::App* verb = AddVerb(app, "search", "Finds the nearest points of one vector, or of many.",
                           "shoal search colors.shoal 1,2,3 -k 5");
  verb->add_option("file", arguments->file, "the index")->required();
  verb->add_option("vector", arguments->vector,
                   "1,2,3 or [1,2,3]; none: --queries, or standard input, JSON lines");
  verb->add_option("--queries", arguments->queries, "a file of vectors");
  verb->add_option("-k", arguments->k, "hits for each query (10)");
  verb->add_option("--list-size", arguments->list_size, "candidates that a search keeps (64)");
  verb->add_option("--rerank", arguments->rerank, "candidates that are scored by the rerank code");
  verb->add_option("--radius", arguments->radius,
                   "all points within this distance, in place of -k");
  verb->add_option("--truth", arguments->truth, "a truth set: recall is printed on stderr");
  verb->add_option("--threads", arguments->threads, "0: one for each CPU");
  verb->add_option("--format", arguments->format, "text (a terminal), jsonl (else) or csv");
  verb->add_flag("--ids-as-strings", arguments->ids_as_strings,
                 "jsonl: ids in quotes, since JavaScript rounds those above 2^53");
  verb->callback([=] { *action = [=] { return Search(*arguments); }; });
}

void AddBench(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<BenchArguments>();
  CLI::App* verb = AddVerb(app, "bench", "Queries a second and recall, at several list sizes.",
                           "shoal bench colors.shoal --list-sizes 32 64 128");
  verb->add_option("file", arguments->file, "the index")->required();
  verb->add_option("--list-sizes", arguments->list_sizes, "which (16 32 64 128 256)");
  verb->add_option("--queries", arguments->queries,
                   "points of the index that are asked for (1000)");
  verb->add_option("-k", arguments->k, "hits for each query (10)");
  verb->add_option("--threads", arguments->threads, "threads (1); 0: one for each CPU");
  verb->callback([=] { *action = [=] { return Bench(*arguments); }; });
}

}  // namespace

void AddSearchingVerbs(CLI::App& app, Action* action) {
  AddSearch(app, action);
  const auto file = std::make_shared<std::string>();
  const auto ids = std::make_shared<std::vector<std::string>>();
  CLI::App* get =
      AddVerb(app, "get", "Prints vectors as JSON lines.", "shoal get colors.shoal 7 8");
  get->add_option("file", *file, "the index")->required();
  get->add_option("ids", *ids, "their ids")->required();
  get->callback([=] { *action = [=] { return PrintVectors(*file, *ids); }; });
  for (const bool all : {true, false}) {
    CLI::App* verb =
        all ? AddVerb(app, "ids", "Prints all ids, one a line.", "shoal ids a.shoal")
            : AddVerb(app, "count", "Prints the number of points.", "shoal count colors.shoal");
    verb->add_option("file", *file, "the index")->required();
    verb->callback([=] {
      *action = [=]() -> Result<int> {
        const Result<IndexView> view = IndexView::Open(*file);
        if (!view) return tl::unexpected(view.error());
        if (!all) fmt::print("{}\n", view->size());
        if (all)
          for (const uint64_t id : view->ids()) fmt::print("{}\n", id);
        return kDone;
      };
    });
  }
  AddBench(app, action);
}

}  // namespace shoal::apps
