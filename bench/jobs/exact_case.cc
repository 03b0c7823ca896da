#include "jobs/exact_case.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <numeric>

#include "jobs/random.h"
#include "shoal/exact.h"
#include "shoal/index.h"

namespace shoal::bench {
namespace {

const BatchOptions kOneThread{.threads = 1};

Json ToJson(const WorkCounters& after, const WorkCounters& before) {
  return {{"distances", after.distances - before.distances},
          {"hops", after.hops - before.hops},
          {"rows_fetched", after.rows_fetched - before.rows_fetched},
          {"lists_read", after.lists_read - before.lists_read},
          {"lists_written", after.lists_written - before.lists_written},
          {"prunes", after.prunes - before.prunes}};
}

class ExactRun {
 public:
  ExactRun(const ExactCase& exact, Index index)
      : exact_(exact), index_(std::move(index)), is_live_(exact.rows.rows(), 0) {}

  Expected<Json> Run() {
    Status done;
    switch (exact_.mode) {
      case Mode::kStatic: done = Static(); break;
      case Mode::kInsert: done = InsertRange(0, exact_.rows.rows()); break;
      case Mode::kStream:
      case Mode::kRepair: done = Stream(); break;
    }
    if (done) done = index_.CheckStructure();
    if (!done) return tl::unexpected(done.error().message);
    const IndexStats stats = index_.Stats();
    json_["points"] = stats.points;
    json_["edges"] = stats.edges;
    json_["slots_used"] = stats.slots_used;
    if (done = Searches(); !done) return tl::unexpected(done.error().message);
    return std::move(json_);
  }

 private:
  // Adds what an action counts to the phase's figures.
  template <class Action>
  Status Phase(const char* name, const Action& action) {
    const WorkCounters before = index_.Stats().work;
    Status done = action();
    const Json counted = ToJson(index_.Stats().work, before);
    Json& sums = json_[name];
    if (sums.is_null()) sums = Json::object();
    for (const auto& [key, value] : counted.items())
      sums[key] = sums.value(key, uint64_t{0}) + value.template get<uint64_t>();
    return done;
  }

  Status Static() {
    std::vector<ExternalId> ids(exact_.rows.rows());
    std::iota(ids.begin(), ids.end(), ExternalId{0});
    is_live_.assign(ids.size(), 1);
    Status built = Phase("build", [&]() -> Status {
      const auto report = index_.InsertMany(ids, exact_.rows, kOneThread);
      if (!report) return tl::unexpected(report.error());
      if (!report->failures.empty()) return tl::unexpected(report->failures.front().error);
      return {};
    });
    if (!built) return built;
    return Phase("refine", [&] { return index_.Refine(kOneThread); });
  }

  Status InsertRange(size_t begin, size_t end) {
    return Phase("insert", [&]() -> Status {
      for (size_t row = begin; row < end; ++row) {
        if (Status done = index_.Insert(row, exact_.rows[row]); !done) return done;
        is_live_[row] = 1;
      }
      return {};
    });
  }

  // A round moves every third of the oldest to where a later point will be, then all of the oldest
  // go and the next come.
  Status Stream() {
    const size_t live = exact_.stream_live, step = exact_.stream_step;
    if (Status done = InsertRange(0, live); !done) return done;
    for (size_t round = 0; round < exact_.rounds; ++round) {
      const size_t oldest = round * step, next = live + round * step;
      Status done = Phase("upsert", [&]() -> Status {
        for (size_t i = 0; i < step; i += 3)
          if (Status moved = index_.Upsert(oldest + i, exact_.rows[next + i]); !moved) return moved;
        return {};
      });
      if (done) done = Phase("delete", [&] { return Delete(oldest, step); });
      if (done) done = InsertRange(next, next + step);
      if (done && exact_.mode == Mode::kStream)
        done = Phase("consolidate", [&] { return index_.Consolidate(kOneThread); });
      if (!done) return done;
    }
    return {};
  }

  Status Delete(size_t begin, size_t count) {
    std::vector<ExternalId> ids(count);
    std::iota(ids.begin(), ids.end(), ExternalId{begin});
    for (const ExternalId id : ids) is_live_[id] = 0;
    const auto report = index_.DeleteMany(ids, kOneThread);
    if (!report) return tl::unexpected(report.error());
    if (!report->failures.empty()) return tl::unexpected(report->failures.front().error);
    return {};
  }

  Status Searches() {
    const auto truth = ExactSearch(
        exact_.rows, exact_.queries,
        {.k = exact_.k, .metric = exact_.metric, .include = is_live_, .batch = kOneThread});
    if (!truth) return tl::unexpected(truth.error());
    for (const uint64_t list : exact_.lists)
      if (Status done = SearchAll(list, *truth); !done) return done;
    return {};
  }

  Status SearchAll(uint64_t list, const TruthSet& truth) {
    const WorkCounters before = index_.Stats().work;
    const Rounding rounding = RoundingOf(exact_.metric, exact_.rows.type(), exact_.rows.dim());
    uint64_t hits = 0, answers = 0;
    for (size_t query = 0; query < exact_.queries.rows(); ++query) {
      const auto found =
          index_.Search(exact_.queries[query], {.k = exact_.k, .search_list_size = list});
      if (!found) return tl::unexpected(found.error());
      std::vector<uint64_t> ids;
      std::vector<float> distances;
      for (const Hit& hit : *found) {
        ids.push_back(hit.id);
        distances.push_back(hit.distance);
        answers = Random::Mix(answers ^ hit.id);
        answers = Random::Mix(answers ^ std::bit_cast<uint32_t>(hit.distance));
      }
      const double recall = Recall(truth, query, ids, exact_.k, {distances, rounding});
      hits += static_cast<uint64_t>(std::llround(recall * static_cast<double>(exact_.k)));
    }
    Json search = {{"list", list},
                   {"recall", {hits, exact_.queries.rows() * exact_.k}},
                   {"answers", fmt::format("{:016x}", answers)}};
    search.update(ToJson(index_.Stats().work, before));
    json_["searches"].push_back(search);
    return {};
  }

  const ExactCase& exact_;
  Index index_;
  Json json_ = Json::object();
  std::vector<uint8_t> is_live_;  // By row, which is also the id.
};

}  // namespace

Expected<Json> RunExactCase(const ExactCase& exact) {
  auto index =
      Index::Create({.dim = static_cast<uint32_t>(exact.rows.dim()),
                     .scalar_type = exact.rows.type(),
                     .metric = exact.metric,
                     .code = Code::kFull,
                     .max_degree = exact.max_degree,
                     .build_list_size = exact.build_list_size,
                     .alpha = exact.alpha,
                     .runtime = {.repair = exact.mode == Mode::kRepair ? RepairPolicy::kImmediate
                                                                       : RepairPolicy::kManual}});
  if (!index) return tl::unexpected(index.error().message);
  return ExactRun(exact, std::move(*index)).Run();
}

}  // namespace shoal::bench
