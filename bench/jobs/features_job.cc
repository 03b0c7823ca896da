// The job "features": the same index over every place for its vectors. Of each: time and memory of
// the build, recall, rate and memory of searches; then it is saved without its vectors, closed,
// opened over the store again, and searched again ("reopened").
//
// "...-no-code": the graph alone is in memory (Code::kNone). Its file is built over mmap, which is
// faster; the reopened index is the store's, and gets 1,000 upserts in the end ("updated"). "view":
// a file with everything, built in memory, then searched where it is.
//
// Memory is anonymous memory beyond what the process had before: the rows that are inserted are not
// in it, nor the page cache. Built by one thread the graph is the same over every store, and so
// must be the answers, ids and distances; a reopened index must always give those that it gave.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>

#include "jobs/anonymous_memory.h"
#include "jobs/input.h"
#include "jobs/jobs.h"
#include "jobs/timed_search.h"
#include "shoal/feature_stores.h"
#include "shoal/index_view.h"

namespace shoal::bench {
namespace {

struct FeaturesOptions {
  InputRequest data;
  IndexOptions index;
  size_t threads = 1, k = 10, rerank = 0, search_threads = 1, cache_mb = 0, budget_mb = 0;
  double seconds = 1;
  std::vector<uint64_t> lists;
  std::vector<std::string> stores;
};

using Stores = Result<std::unique_ptr<FeatureStore>>;
constexpr std::string_view kMemory = "memory";  // No store: the index has the vectors.
constexpr std::string_view kView = "view";
constexpr std::string_view kNoCode = "-no-code";
constexpr std::array<std::string_view, 8> kStores = {
    kMemory, "ram", "mmap", "disk", "disk-direct", "mmap-no-code", "disk-no-code", kView};

bool HasNoCode(std::string_view store) { return store.ends_with(kNoCode); }

Stores OpenStore(std::string_view name, const std::filesystem::path& path, size_t row_bytes,
                 size_t cache_bytes) {
  using Access = DiskFeatureOptions::Access;
  if (HasNoCode(name)) name.remove_suffix(kNoCode.size());
  if (name == "ram") return MakeRamFeatures(row_bytes);
  if (name == "mmap") return OpenMmapFeatures(path, row_bytes);
  return OpenDiskFeatures(
      path, row_bytes,
      {.access = name == "disk" ? Access::kBuffered : Access::kDirect, .cache_bytes = cache_bytes});
}

// Hits of all queries, at each list size.
using Answers = std::vector<std::vector<Hit>>;
bool AreSame(const Answers& a, const Answers& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const Hit& p, const Hit& q) {
      return p.id == q.id && p.distance == q.distance;
    });
  });
}

class FeaturesJob final : public Job {
 public:
  explicit FeaturesJob(FeaturesOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    context_ = &context;
    Expected<Input> input = ReadInput(options_.data);
    if (!input) return tl::unexpected(input.error());
    input_ = std::move(*input);
    if (!input_.truth || input_.truth->k < options_.k) {
      context.say("ground truth");
      auto truth = Plain(
          ExactSearch(input_.rows, input_.queries, {.k = options_.k, .metric = input_.metric}));
      if (!truth) return tl::unexpected(truth.error());
      input_.truth = std::move(*truth);
    }
    for (const std::string& store : options_.stores) {
      const Expected<void> ran = RunStore(store);
      std::error_code ignored;
      std::filesystem::remove(RowsPath(), ignored);
      std::filesystem::remove(IndexPath(), ignored);
      if (!ran) return tl::unexpected(ran.error());
      context.checkpoint({{"features", rows_}});
    }
    return Json{{"features", rows_}};
  }

 private:
  std::filesystem::path RowsPath() const { return context_->output_directory / "features.rows"; }
  std::filesystem::path IndexPath() const { return context_->output_directory / "features.shoal"; }
  Stores Open(std::string_view store) const {
    return OpenStore(store, RowsPath(), input_.rows.row_bytes(), options_.cache_mb << 20);
  }

  Result<Index> Create(std::string_view store) const {
    if (store == kMemory || store == kView) return CreateIndex(input_, options_.index);
    IndexOptions options = options_.index;
    options.dim = static_cast<uint32_t>(input_.rows.dim());
    options.scalar_type = input_.rows.type();
    options.metric = input_.metric;
    if (HasNoCode(store)) {
      options.code = Code::kNone;
    } else if (options_.budget_mb != 0) {
      const auto fitted = FitToMemory(options, input_.rows.rows(), options_.budget_mb << 20);
      if (!fitted) return tl::unexpected(fitted.error());
      options = fitted->options;
    }
    Stores opened = Open(store);
    if (!opened) return tl::unexpected(opened.error());
    return Index::CreateWithFeatures(options, std::move(*opened));
  }

  Expected<void> RunStore(const std::string& store) {
    const std::string built = HasNoCode(store) ? "mmap" + std::string(kNoCode) : store;
    Json row{{"store", built}, {"state", "built"}, {"points", input_.rows.rows()}};
    Answers answers;
    before_mb_ = AnonymousMb();
    {
      AnonymousPeak memory(before_mb_);
      const auto begin = Clock::now();
      Expected<Index> index = Plain(Create(built));
      if (!index) return tl::unexpected(index.error());
      std::vector<ExternalId> ids(input_.rows.rows());
      std::iota(ids.begin(), ids.end(), ExternalId{0});
      const auto report = Plain(index->InsertMany(ids, input_.rows, {.threads = options_.threads}));
      if (!report) return tl::unexpected(report.error());
      if (!report->failures.empty()) return tl::unexpected(report->failures.front().error.message);
      row["seconds"] = Since(begin);
      row["code"] = CodeName(index->options().code);
      row["peak_mb"] = memory.StopMb();
      row["index_mb"] = static_cast<double>(index->Stats().memory.total()) / (1 << 20);
      if (auto ok = Search(*index, row, answers); !ok) return ok;
      const Code code = index->options().code;
      if (options_.threads == 1 && HasTheSameGraph(built, code))
        Compare(built, answers, expected_[code == Code::kNone ? Code::kFull : code]);
      if (store == kMemory || store == "ram") return {};
      const auto saving = Clock::now();
      const Status saved =
          store == kView ? index->Save(IndexPath()) : index->SaveWithoutVectors(IndexPath());
      if (!saved) return tl::unexpected(saved.error().message);
      row["save_seconds"] = Since(saving);
    }
    row["store"] = store;
    row["state"] = "reopened";
    return store == kView ? OpenView(row, answers) : Reopen(store, row, answers);
  }

  Expected<void> OpenView(Json row, Answers& expected) {
    before_mb_ = AnonymousMb();
    AnonymousPeak memory(before_mb_);
    const auto begin = Clock::now();
    const Expected<IndexView> view = Plain(IndexView::Open(IndexPath()));
    if (!view) return tl::unexpected(view.error());
    row["seconds"] = Since(begin);
    row["peak_mb"] = memory.StopMb();
    row.erase("index_mb");
    Answers answers;
    if (auto ok = Search(*view, row, answers); !ok) return ok;
    Compare(kView, answers, expected);
    return {};
  }

  Expected<void> Reopen(const std::string& store, Json row, Answers& expected) {
    before_mb_ = AnonymousMb();
    AnonymousPeak memory(before_mb_);
    const auto begin = Clock::now();
    Stores opened = Open(store);
    if (!opened) return tl::unexpected(opened.error().message);
    Expected<Index> index = Plain(Index::LoadWithFeatures(
        IndexPath(), std::move(*opened), {.batch = {.threads = options_.threads}}));
    if (!index) return tl::unexpected(index.error());
    row["seconds"] = Since(begin);
    row["peak_mb"] = memory.StopMb();
    row["index_mb"] = static_cast<double>(index->Stats().memory.total()) / (1 << 20);
    Answers answers;
    if (auto ok = Search(*index, row, answers); !ok) return ok;
    Compare(store + ", reopened", answers, expected);
    return HasNoCode(store) ? Update(*index, row) : Expected<void>();
  }

  // Each of some points gets the vector of the next.
  Expected<void> Update(Index& index, Json row) {
    constexpr size_t kUpserts = 1000;
    const size_t n = std::min(kUpserts, input_.rows.rows());
    AnonymousPeak memory(before_mb_);
    const auto begin = Clock::now();
    for (size_t i = 0; i < n; ++i) {
      const Status done = index.Upsert(i, input_.rows[(i + 1) % input_.rows.rows()]);
      if (!done) return tl::unexpected(done.error().message);
    }
    row["state"] = "updated";
    row["upserts_per_second"] = static_cast<double>(n) / Since(begin);
    row["peak_mb"] = memory.StopMb();
    context_->say(row.dump());
    rows_.push_back(std::move(row));
    return {};
  }

  // An index in memory may choose edges by its vectors, and is not made for the budget.
  bool HasTheSameGraph(std::string_view store, Code code) const {
    const bool prunes_by_vectors = code == Code::kRq2 || code == Code::kRq1 || code == Code::kSign;
    if (HasNoCode(store)) return true;
    return (store != kMemory && store != kView) || (options_.budget_mb == 0 && !prunes_by_vectors);
  }

  // The first answers are those that all others must be.
  void Compare(std::string_view store, Answers& answers, Answers& expected) const {
    if (expected.empty()) expected = answers;
    if (!AreSame(answers, expected))
      context_->violated(fmt::format("{}: other answers than those before", store));
  }

  // A row of results for each list size.
  template <class Any>
  Expected<void> Search(const Any& index, const Json& built, Answers& answers) {
    for (const uint64_t list : options_.lists) {
      const TimedSearch search{.k = options_.k,
                               .list = list,
                               .rerank = options_.rerank,
                               .threads = options_.search_threads,
                               .seconds = options_.seconds};
      AnonymousPeak memory(before_mb_);
      for (size_t i = 0; i < input_.queries.rows(); ++i) {
        auto hits = index.Search(input_.queries[i], search.options());
        if (!hits) return tl::unexpected(hits.error().message);
        answers.push_back(std::move(*hits));
      }
      const auto answered = AnswerAll(index, input_.queries, *input_.truth, search);
      if (!answered) return tl::unexpected(answered.error());
      auto timed = RunTimed(index, input_.queries, search);
      if (!timed) return tl::unexpected(timed.error());
      Json row = built;
      row["list"] = list;
      row["recall"] = answered->recall;
      row["qps"] = timed->queries_per_second;
      row["p50_us"] = timed->latencies.Percentile(0.5);
      row["p99_us"] = timed->latencies.Percentile(0.99);
      row["search_peak_mb"] = memory.StopMb();
      context_->say(row.dump());
      rows_.push_back(std::move(row));
    }
    return {};
  }

  const FeaturesOptions options_;
  const JobContext* context_ = nullptr;
  Input input_;
  std::map<Code, Answers> expected_;  // By the code: no code gives the answers of full.
  double before_mb_ = 0;              // What the process had before the index.
  Json rows_ = Json::array();
};

void ParseStores(FieldReader& content, FeaturesOptions& options) {
  const std::vector<std::string> all(kStores.begin(), kStores.end());
  options.stores = content.TextList("stores", all);
  for (const std::string& store : options.stores)
    if (std::find(kStores.begin(), kStores.end(), store) == kStores.end())
      content.Fail("stores", fmt::format("names of {}", fmt::join(kStores, ", ")), store);
  options.budget_mb = content.Unsigned("memory_budget_mb", {0, 1 << 20}, 0);
  options.cache_mb = content.Unsigned("cache_mb", {0, 1 << 20}, 0);
}

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext& context) {
  FeaturesOptions options;
  content.Object("data", [&](FieldReader& data) { options.data = ParseInput(data, context); });
  content.OptionalObject("build", [&](FieldReader& build) {
    ParseBuild(build, options.index);
    options.threads = build.Unsigned("threads", {1, 1024}, 1);
  });
  ParseStores(content, options);
  content.OptionalObject("search", [&](FieldReader& search) {
    options.k = search.Unsigned("k", {1, 1000}, 10);
    options.lists = search.UnsignedList("lists", {1, 100000}, {{20, 40, 80, 160}});
    options.rerank = search.Unsigned("rerank", {}, 0);
    options.search_threads = search.Unsigned("threads", {1, 1024}, 1);
    options.seconds = search.Number("seconds", {0.001, 3600}, 1);
  });
  return std::make_unique<FeaturesJob>(std::move(options));
}

}  // namespace

constinit const JobType kFeaturesJob{
    "features", "an index over every feature store: memory, build time, rates, the same answers",
    R"({
  "data": {"base_file": "sift-1m.u8bin", "query_file": "sift-query-1k.u8bin", "rows": 100000,
           "scalar_type": "float32"},
  "build": {"degree": 32, "list": 100, "alpha": 1.2, "code": "rq4", "threads": 1},
  "stores": ["memory", "ram", "mmap", "disk", "disk-direct", "disk-no-code", "view"],
  "cache_mb": 0,
  "memory_budget_mb": 0,
  "search": {"k": 10, "lists": [20, 40, 80, 160], "rerank": 0, "threads": 1, "seconds": 1.0}
})",
    Parse};

}  // namespace shoal::bench
