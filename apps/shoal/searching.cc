// search, get, ids, count, bench: verbs that read the file where it is.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "apps/shoal/place.h"
#include "apps/shoal/rows.h"
#include "apps/shoal/verb.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/filter.h"

namespace shoal::apps {
namespace {

tl::unexpected<Error> Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

struct SearchArguments {
  Place place;
  std::string vector, queries, format, truth, filter_ids, out;
  std::vector<std::string> vector_columns;
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
  return ReadRows(input, {.type = index.scalar_type,
                          .dim = index.dim,
                          .bail = true,
                          .ids_in_csv = false,
                          .columns = {.vector = arguments.vector_columns}});
}

Result<std::vector<std::vector<Hit>>> Answers(const Source& view, MatrixView queries,
                                              const Filter* filter,
                                              const SearchArguments& arguments) {
  std::vector<std::vector<Hit>> answers(queries.rows());
  const BatchOptions batch{.threads = arguments.threads};
  if (!std::isnan(arguments.radius)) {
    for (size_t i = 0; i < queries.rows(); ++i) {
      auto hits = view.RangeSearch(
          queries[i],
          {.radius = arguments.radius, .search_list_size = arguments.list_size, .filter = filter});
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
                              .rerank = arguments.rerank,
                              .filter = filter};
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

// PREFIX.ids.npy and PREFIX.distances.npy, a row for each query and as many columns as the longest
// answer has hits. Where there are fewer: id 2^64 - 1 at distance infinity.
Status WriteAnswers(const std::vector<std::vector<Hit>>& answers, const std::string& prefix) {
  size_t k = 1;
  for (const std::vector<Hit>& hits : answers) k = std::max(k, hits.size());
  std::vector<uint64_t> ids(answers.size() * k, UINT64_MAX);
  std::vector<float> distances(ids.size(), INFINITY);
  for (size_t i = 0; i < answers.size(); ++i)
    for (size_t j = 0; j < answers[i].size(); ++j) {
      ids[i * k + j] = answers[i][j].id;
      distances[i * k + j] = answers[i][j].distance;
    }
  if (Status wrote = WriteIdNpy(prefix + ".ids.npy", ids, k); !wrote) return wrote;
  return WriteNpy(prefix + ".distances.npy",
                  {distances.data(), ScalarType::kFloat32, answers.size(), k});
}

Result<std::string> FormatOfAnswers(const SearchArguments& arguments) {
  const std::string& format = arguments.format;
  if (format.empty()) {
    if (!arguments.out.empty()) return Invalid("--out: expected --format npy, found none");
    return std::string(isatty(STDOUT_FILENO) == 1 ? "text" : "jsonl");
  }
  if (format != "text" && format != "jsonl" && format != "csv" && format != "npy")
    return Invalid("--format: expected text, jsonl, csv or npy, found " + format);
  if ((format == "npy") != !arguments.out.empty())
    return Invalid("--format npy: expected --out with the beginning of two files' names");
  return format;
}

Result<int> Search(const SearchArguments& arguments) {
  const Result<std::string> format = FormatOfAnswers(arguments);
  if (!format) return tl::unexpected(format.error());
  const Result<Source> view = Source::Open(arguments.place);
  if (!view) return tl::unexpected(view.error());
  const IndexOptions& index = view->options();
  std::optional<Filter> filter;
  if (!arguments.filter_ids.empty()) {
    const Result<std::vector<uint64_t>> ids = ReadIds(arguments.filter_ids);
    if (!ids) return tl::unexpected(ids.error());
    filter = Filter::Ids(*ids);
  }
  const Result<RowsRead> queries = QueriesOf(arguments, index);
  if (!queries) return tl::unexpected(queries.error());
  const auto answers = Answers(*view, queries->view(index.scalar_type, index.dim),
                               filter ? &*filter : nullptr, arguments);
  if (!answers) return tl::unexpected(answers.error());
  if (*format == "npy") {
    if (Status wrote = WriteAnswers(*answers, arguments.out); !wrote)
      return tl::unexpected(wrote.error());
  } else {
    if (*format == "csv") fmt::print("query,id,distance\n");
    for (size_t i = 0; i < answers->size(); ++i) Print(i, (*answers)[i], arguments, *format);
  }
  if (!arguments.truth.empty())
    if (Status recall = PrintRecall(*answers, arguments); !recall)
      return tl::unexpected(recall.error());
  return kDone;
}

struct GetArguments {
  Place place;
  std::vector<std::string> ids;
  std::string format = "jsonl", out;
};

Result<std::vector<uint64_t>> IdsOf(const GetArguments& arguments) {
  if (arguments.ids.empty()) return ReadIds("-");
  std::vector<uint64_t> ids;
  for (const std::string& text : arguments.ids) {
    const Result<uint64_t> id = ParseId(text);
    if (!id) return tl::unexpected(id.error());
    ids.push_back(*id);
  }
  return ids;
}

Result<int> PrintVectors(const GetArguments& arguments) {
  const std::string& format = arguments.format;
  if (format != "jsonl" && format != "csv" && format != "npy")
    return Invalid("--format: expected jsonl, csv or npy, found " + format);
  if ((format == "npy") != !arguments.out.empty())
    return Invalid("--format npy: expected --out with the file's name");
  const Result<Source> view = Source::Open(arguments.place);
  if (!view) return tl::unexpected(view.error());
  const Result<std::vector<uint64_t>> ids = IdsOf(arguments);
  if (!ids) return tl::unexpected(ids.error());
  const IndexOptions& index = view->options();
  std::vector<std::byte> vector(BytesOf(index.scalar_type, index.dim)), rows;
  int status = kDone;
  for (const uint64_t id : *ids) {
    if (Status got = view->Get(id, {vector.data(), index.scalar_type, index.dim}); !got) {
      fmt::print(stderr, "shoal: {}\n", got.error().message);
      status = kFailed;
      continue;
    }
    const std::string text = ElementsText({vector.data(), index.scalar_type, index.dim});
    if (format == "npy") rows.insert(rows.end(), vector.begin(), vector.end());
    if (format == "csv") fmt::print("{},{}\n", id, text);
    if (format == "jsonl") fmt::print("{{\"id\":{},\"vector\":[{}]}}\n", id, text);
  }
  // A row for each id: a matrix of fewer would not say which are missing.
  if (format == "npy" && status == kDone)
    if (Status wrote =
            WriteNpy(arguments.out, {rows.data(), index.scalar_type, ids->size(), index.dim});
        !wrote)
      return tl::unexpected(wrote.error());
  return status;
}

struct BenchArguments {
  Place place;
  std::vector<size_t> list_sizes = {16, 32, 64, 128, 256};
  size_t queries = 1000, k = 10, threads = 1;
};

// Searches for points of the index itself, at several list sizes: how many queries a second, and
// the share of the exact neighbours that are found.
Result<int> Bench(const BenchArguments& arguments) {
  const Result<Source> view = Source::Open(arguments.place);
  if (!view) return tl::unexpected(view.error());
  const auto points_ids = view->Ids();
  if (!points_ids) return tl::unexpected(points_ids.error());
  const IndexOptions& index = view->options();
  const size_t points = points_ids->size(), row = BytesOf(index.scalar_type, index.dim);
  if (points == 0) return Invalid(arguments.place.file + ": has no points");
  const size_t n = std::min(arguments.queries, points);
  const size_t k = std::min(std::max<size_t>(1, arguments.k), points);
  std::vector<std::byte> base(points * row), chosen;
  for (size_t i = 0; i < points; ++i)
    if (Status got =
            view->Get((*points_ids)[i], {base.data() + i * row, index.scalar_type, index.dim});
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
  AddPlace(*verb, &arguments->place);
  verb->add_option("vector", arguments->vector,
                   "1,2,3 or [1,2,3]; none: --queries, or standard input, JSON lines");
  verb->add_option("--queries", arguments->queries, "a file of vectors");
  verb->add_option("--vector-column", arguments->vector_columns,
                   "of CSV, whose first line has names then, and JSON lines: where the elements "
                   "are; several in this order")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_option("--filter-ids", arguments->filter_ids,
                   "a file of the ids that may be hits: one a line, or an .npy");
  verb->add_option("-k", arguments->k, "hits for each query (10)");
  verb->add_option("--list-size", arguments->list_size, "candidates that a search keeps (64)");
  verb->add_option("--rerank", arguments->rerank, "candidates that are scored by the rerank code");
  verb->add_option("--radius", arguments->radius,
                   "all points within this distance, in place of -k");
  verb->add_option("--truth", arguments->truth, "a truth set: recall is printed on stderr");
  verb->add_option("--threads", arguments->threads, "0: one for each CPU");
  verb->add_option("--format", arguments->format, "text (a terminal), jsonl (else), csv or npy");
  verb->add_option("--out", arguments->out,
                   "of npy: the beginning of two names, .ids.npy and .distances.npy");
  verb->add_flag("--ids-as-strings", arguments->ids_as_strings,
                 "jsonl: ids in quotes, since JavaScript rounds those above 2^53");
  verb->callback([=] { *action = [=] { return Search(*arguments); }; });
}

void AddBench(CLI::App& app, Action* action) {
  const auto arguments = std::make_shared<BenchArguments>();
  CLI::App* verb = AddVerb(app, "bench", "Queries a second and recall, at several list sizes.",
                           "shoal bench colors.shoal --list-sizes 32 64 128");
  AddPlace(*verb, &arguments->place);
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
  const auto arguments = std::make_shared<GetArguments>();
  CLI::App* get = AddVerb(app, "get", "Prints vectors.", "shoal get colors.shoal 7 8");
  AddPlace(*get, &arguments->place);
  get->add_option("ids", arguments->ids, "their ids; none: standard input, one a line");
  get->add_option("--format", arguments->format, "jsonl (by default), csv or npy");
  get->add_option("--out", arguments->out, "of npy: the file");
  get->callback([=] { *action = [=] { return PrintVectors(*arguments); }; });
  const auto place = std::make_shared<Place>();
  for (const bool all : {true, false}) {
    CLI::App* verb =
        all ? AddVerb(app, "ids", "Prints all ids, one a line.", "shoal ids colors.shoal")
            : AddVerb(app, "count", "Prints the number of points.", "shoal count colors.shoal");
    AddPlace(*verb, place.get());
    verb->callback([=] {
      *action = [=]() -> Result<int> {
        const Result<Source> view = Source::Open(*place);
        if (!view) return tl::unexpected(view.error());
        if (!all) {
          fmt::print("{}\n", view->size());
          return kDone;
        }
        const auto ids = view->Ids();
        if (!ids) return tl::unexpected(ids.error());
        for (const uint64_t id : *ids) fmt::print("{}\n", id);
        return kDone;
      };
    });
  }
  AddBench(app, action);
}

}  // namespace shoal::apps
