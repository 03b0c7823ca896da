// The job "filters": recall and cost of searches with a filter, by the share of points that it
// accepts and by where these are.
//
// Of every query all points are sorted by their exact distance. "random" accepts any of them,
// "correlated" the nearest ones, "anticorrelated" the farthest ones: a filter of its own for each
// query. Cost is counted in distances, which no other program changes, beside those of brute force:
// one for each accepted point. Then half of the points are deleted and inserted again, twice, and
// everything is measured anew ("churned").
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "cpu_time.h"
#include "jobs/input.h"
#include "jobs/jobs.h"
#include "jobs/random.h"
#include "runner/timing.h"
#include "shoal/exact.h"
#include "shoal/filter.h"

namespace shoal::bench {
namespace {

struct FiltersOptions {
  InputRequest data;
  IndexOptions index;
  size_t threads = 1, k = 10, list = 64, queries = 100;
  // Points that filters accept, of 100,000.
  std::vector<uint64_t> per_100000{50000, 20000, 10000, 5000, 1000, 100, 10};
};

// What the searches of one kind and share have found and cost.
struct Sums {
  double recall = 0, least_hits = 1, distances = 0, worst_cost = 0, checks = 0, lists = 0, us = 0;
  std::array<uint64_t, 4> plans{};  // Scans, traversals, two hops, fallbacks.
};

class FiltersJob final : public Job {
 public:
  explicit FiltersJob(FiltersOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    auto input = ReadInput(options_.data);
    if (!input) return tl::unexpected(input.error());
    const size_t n = input->rows.rows();
    const MatrixView queries =
        MatrixView(input->queries).Slice(0, std::min(options_.queries, input->queries.rows()));
    context.say("sorting all points for every query");
    const auto order = Plain(ExactSearch(input->rows, queries, {.k = n, .metric = input->metric}));
    if (!order) return tl::unexpected(order.error());
    auto index = Plain(CreateIndex(*input, options_.index));
    if (!index) return tl::unexpected(index.error());
    std::vector<ExternalId> ids(n);
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    const auto report = Plain(index->InsertMany(ids, input->rows, {.threads = options_.threads}));
    if (!report) return tl::unexpected(report.error());
    Json rows = Json::array();
    for (const bool churned : {false, true}) {
      if (churned) Churn(*index, input->rows);
      for (const char* kind : {"random", "correlated", "anticorrelated"})
        for (const uint64_t share : options_.per_100000) {
          auto row = Measure(*index, queries, *order, kind, share);
          if (!row) return row;
          (*row)["churned"] = churned;
          context.say(row->dump());
          rows.push_back(std::move(*row));
        }
    }
    return Json{{"filters", rows}};
  }

 private:
  void Churn(Index& index, const Matrix& rows) const {
    Random random(2);
    for (size_t round = 0; round < 2; ++round) {
      std::vector<ExternalId> some;
      for (ExternalId id = 0; id < rows.rows(); ++id)
        if (random.OneIn(2)) some.push_back(id);
      for (const ExternalId id : some) (void)index.Delete(id);
      for (const ExternalId id : some) (void)index.Insert(id, MatrixView(rows)[id]);
    }
  }

  // The accepted ids of a query, nearest first.
  static std::vector<ExternalId> Accepted(std::span<const uint32_t> order, std::string_view kind,
                                          size_t n, Random& random) {
    if (kind == "correlated") return {order.begin(), order.begin() + static_cast<ptrdiff_t>(n)};
    if (kind == "anticorrelated") return {order.end() - static_cast<ptrdiff_t>(n), order.end()};
    std::vector<ExternalId> ids;
    for (size_t i = 0; i < order.size(); ++i)  // Knuth's selection sampling.
      if (random.Below(order.size() - i) < n - ids.size()) ids.push_back(order[i]);
    return ids;
  }

  // How many of the hits are among the nearest accepted points, or as near as the last of these.
  static size_t Nearest(const TruthSet& order, size_t query, std::span<const ExternalId> nearest,
                        std::span<const ExternalId> ids, std::span<const float> distances) {
    const auto all = order.Ids(query);
    const auto last = std::find(all.begin(), all.end(), nearest.back()) - all.begin();
    const float farthest = order.Distances(query)[static_cast<size_t>(last)];
    size_t found = 0;
    for (size_t i = 0; i < ids.size(); ++i)
      found += distances[i] <= farthest ||
               std::find(nearest.begin(), nearest.end(), ids[i]) != nearest.end();
    return found;
  }

  Expected<Json> Measure(const Index& index, MatrixView queries, const TruthSet& order,
                         const char* kind, uint64_t share) const {
    const auto n = std::max<size_t>(1, order.k * share / 100000);
    const size_t expected = std::min(options_.k, n);
    Sums sums;
    Random random(1);
    std::vector<ExternalId> ids(options_.k);
    std::vector<float> distances(options_.k);
    for (size_t q = 0; q < queries.rows(); ++q) {
      const std::vector<ExternalId> accepted = Accepted(order.Ids(q), kind, n, random);
      const Filter filter = Filter::Ids(accepted);
      WorkCounters work;
      const double before = ThreadCpuSeconds();
      const auto hits = Plain(index.Search(
          queries[q], {.k = options_.k, .search_list_size = options_.list, .filter = &filter}, ids,
          distances, &work));
      sums.us += 1e6 * (ThreadCpuSeconds() - before);
      if (!hits) return tl::unexpected(hits.error());
      const size_t found = Nearest(order, q, std::span(accepted).first(expected),
                                   std::span(ids).first(*hits), distances);
      const auto share_of = [](auto a, auto b) {
        return static_cast<double>(a) / static_cast<double>(b);
      };
      sums.recall += share_of(found, expected);
      sums.least_hits = std::min(sums.least_hits, share_of(*hits, expected));
      sums.distances += static_cast<double>(work.distances);
      sums.worst_cost = std::max(sums.worst_cost, share_of(work.distances, n));
      sums.checks += static_cast<double>(work.filter_checks);
      sums.lists += static_cast<double>(work.lists_read);
      const std::array<uint64_t, 4> plans{work.filter_scans, work.filter_traversals,
                                          work.filter_two_hops, work.filter_fallbacks};
      for (size_t i = 0; i < plans.size(); ++i) sums.plans[i] += plans[i];
    }
    const auto count = static_cast<double>(queries.rows());
    return Json{{"kind", kind},
                {"percent", static_cast<double>(share) / 1000},
                {"accepted", n},
                {"recall", sums.recall / count},
                {"least_share_of_hits", sums.least_hits},
                {"distances", sums.distances / count},
                {"cost_beside_brute_force", sums.distances / count / static_cast<double>(n)},
                {"worst_cost_beside_brute_force", sums.worst_cost},
                {"filter_checks", sums.checks / count},
                {"lists_read", sums.lists / count},
                {"cpu_us", sums.us / count},
                {"scans", sums.plans[0]},
                {"traversals", sums.plans[1]},
                {"two_hops", sums.plans[2]},
                {"fallbacks", sums.plans[3]}};
  }

  const FiltersOptions options_;
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  FiltersOptions options;
  content.Object("data", [&](FieldReader& data) { options.data = ParseInput(data, context); });
  content.OptionalObject("build", [&](FieldReader& build) {
    ParseBuild(build, options.index);
    options.threads = build.Unsigned("threads", {1, 1024}, 1);
  });
  content.OptionalObject("search", [&](FieldReader& search) {
    options.k = search.Unsigned("k", {1, 1000}, 10);
    options.list = search.Unsigned("list", {1, 100000}, 64);
    options.queries = search.Unsigned("queries", {1, 10000}, 100);
    options.per_100000 = search.UnsignedList("per_100000", {1, 100000}, options.per_100000);
  });
  return std::make_unique<FiltersJob>(std::move(options));
}

}  // namespace

constinit const JobType kFiltersJob{
    "filters", "recall and cost of searches with a filter, by its selectivity and where it accepts",
    R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "rows": 100000},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "threads": 1},
  "search": {"k": 10, "list": 64, "queries": 100,
             "per_100000": [50000, 20000, 10000, 5000, 1000, 100, 10]}
})",
    Parse};

}  // namespace shoal::bench
