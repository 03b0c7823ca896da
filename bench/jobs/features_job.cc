// The job "features": the same index over every place for its vectors. Of each: time and memory of
// the build, recall, rate and memory of searches; then it is saved without its vectors, closed,
// opened over the store again, and searched again ("reopened").
//
// "...-no-code": the graph alone is in memory (Code::kNone). Its file is built over mmap, which is
// faster; the reopened index is the store's, and gets 1,000 upserts in the end ("updated"). "view":
// a file with everything, built in memory, then searched where it is. "view-disk-direct": a file
// without the vectors, whose codes are read to memory, over a store on disk; "view-beside-...":
// codes stay in the file, beside the lists. Files are in the order that "order" says.
//
// hold_percent: pages of files and anonymous memory are held to so much of the vectors' bytes, from
// the build on (held_memory.h); not for "memory", "ram", and what is built for "view". Searches are
// timed "cold", too: with no page of the files in memory at first.
//
// Memory is anonymous memory beyond what the process had before: the rows that are inserted are not
// in it, nor the page cache. Built by one thread the graph is the same over every store, and so
// must be the answers, ids and distances; a reopened index must always give those that it gave.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>

#include "jobs/held_memory.h"
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
  size_t queries = 0, hold_percent = 0;
  double seconds = 1;
  SaveOptions::Order order = SaveOptions::Order::kSlots;
  std::vector<uint64_t> lists;
  std::vector<std::string> stores;
};

using Stores = Result<std::unique_ptr<FeatureStore>>;
constexpr std::string_view kMemory = "memory";  // No store: the index has the vectors.
constexpr std::string_view kView = "view";
constexpr std::string_view kViewOfStore = "view-disk-direct";
constexpr std::string_view kViewBeside = "view-beside-disk-direct";
constexpr std::string_view kNoCode = "-no-code";
constexpr std::array<std::string_view, 10> kStores = {
    kMemory,        "ram",          "mmap", "disk",       "disk-direct",
    "mmap-no-code", "disk-no-code", kView,  kViewOfStore, kViewBeside};

bool HasNoCode(std::string_view store) { return store.ends_with(kNoCode); }
bool IsInMemory(std::string_view store) {
  return store == kMemory || store == "ram" || store.starts_with(kView);
}

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

// Bytes that this process has had read from disks.
double ReadFromDisk() {
  std::ifstream lines("/proc/self/io");
  const std::string key = "read_bytes:";
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key)) return std::stod(line.substr(key.size()));
  return 0;
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
    queries_ = input_.queries;
    if (options_.queries != 0 && options_.queries < queries_.rows())
      queries_ = {queries_.data(), queries_.type(), options_.queries, queries_.dim()};
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

  // From now on, if a limit was asked for.
  void Hold() {
    held_.reset();
    if (options_.hold_percent == 0) return;
    std::vector<std::filesystem::path> files;
    for (const auto& path : {RowsPath(), IndexPath()})
      if (std::filesystem::exists(path)) files.push_back(path);
    const double vectors_mb =
        static_cast<double>(input_.rows.rows() * input_.rows.row_bytes()) / (1 << 20);
    held_.emplace(files, vectors_mb * static_cast<double>(options_.hold_percent) / 100, before_mb_);
  }
  // Ends it.
  void NoteHeld(Json& row) {
    if (held_) row["held_mb"] = held_->StopMb();
    held_.reset();
  }

  Result<Index> Create(std::string_view store) {
    store_ = nullptr;
    if (store == kMemory || store.starts_with(kView)) return CreateIndex(input_, options_.index);
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
    store_ = opened->get();
    if (!IsInMemory(store)) Hold();
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
      NoteHeld(row);
      row["code"] = CodeName(index->options().code);
      row["peak_mb"] = memory.StopMb();
      row["index_mb"] = static_cast<double>(index->Stats().memory.total()) / (1 << 20);
      if (auto ok = Search(*index, row, answers); !ok) return ok;
      const Code code = index->options().code;
      if (options_.threads == 1 && HasTheSameGraph(built, code))
        Compare(built, answers, expected_[code == Code::kNone ? Code::kFull : code]);
      if (store == kMemory || store == "ram") return {};
      const auto saving = Clock::now();
      const Status saved = Save(*index, store);
      if (!saved) return tl::unexpected(saved.error().message);
      row["save_seconds"] = Since(saving);
    }
    row["store"] = store;
    row["state"] = "reopened";
    row.erase("held_mb");
    return store.starts_with(kView) ? OpenView(store, row, answers) : Reopen(store, row, answers);
  }

  Status Save(const Index& index, std::string_view store) const {
    SaveOptions options{.order = options_.order};
    if (store == kView) return index.Save(IndexPath(), {}, options);
    if (!store.starts_with(kView)) return index.SaveWithoutVectors(IndexPath());
    if (store == kViewBeside) options.list_codes = SaveOptions::ListCodes::kBeside;
    Stores opened = Open(store);
    if (!opened) return tl::unexpected(opened.error());
    return index.SaveToFeatures(IndexPath(), **opened, {}, options);
  }

  Result<IndexView> View(std::string_view store) {
    using Memory = ViewOptions::Memory;
    store_ = nullptr;
    if (store == kView)
      return IndexView::Open(
          IndexPath(), {.memory = options_.hold_percent == 0 ? Memory::kMapped : Memory::kPaged});
    Stores opened = Open(store);
    if (!opened) return tl::unexpected(opened.error());
    store_ = opened->get();
    return IndexView::OpenWithFeatures(
        IndexPath(), std::move(*opened),
        {.memory = store == kViewBeside ? Memory::kPaged : Memory::kCopiedCodes});
  }

  Expected<void> OpenView(std::string_view store, Json row, Answers& expected) {
    before_mb_ = AnonymousMb();
    AnonymousPeak memory(before_mb_);
    const auto begin = Clock::now();
    const Expected<IndexView> view = Plain(View(store));
    if (!view) return tl::unexpected(view.error());
    row["seconds"] = Since(begin);
    Hold();
    row["peak_mb"] = memory.StopMb();
    row.erase("index_mb");
    Answers answers;
    if (auto ok = Search(*view, row, answers); !ok) return ok;
    if (store == kView) Compare(store, answers, expected);
    return {};
  }

  Expected<void> Reopen(const std::string& store, Json row, Answers& expected) {
    before_mb_ = AnonymousMb();
    AnonymousPeak memory(before_mb_);
    const auto begin = Clock::now();
    Stores opened = Open(store);
    if (!opened) return tl::unexpected(opened.error().message);
    store_ = opened->get();
    Expected<Index> index = Plain(Index::LoadWithFeatures(
        IndexPath(), std::move(*opened), {.batch = {.threads = options_.threads}}));
    if (!index) return tl::unexpected(index.error());
    row["seconds"] = Since(begin);
    row["peak_mb"] = memory.StopMb();
    row["index_mb"] = static_cast<double>(index->Stats().memory.total()) / (1 << 20);
    Hold();
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
    return (store != kMemory && !store.starts_with(kView)) ||
           (options_.budget_mb == 0 && !prunes_by_vectors);
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
      Json row = built;
      row["list"] = list;
      if (held_) {
        held_->Drop();
        TimedSearch once = search;
        once.seconds = 0;
        if (auto ok = Time(index, once, "cold_", row); !ok) return ok;
      }
      for (size_t i = 0; i < queries_.rows(); ++i) {
        auto hits = index.Search(queries_[i], search.options());
        if (!hits) return tl::unexpected(hits.error().message);
        answers.push_back(std::move(*hits));
      }
      const auto answered = AnswerAll(index, queries_, *input_.truth, search);
      if (!answered) return tl::unexpected(answered.error());
      row["recall"] = answered->recall;
      if (auto ok = Time(index, search, "", row); !ok) return ok;
      row["search_peak_mb"] = memory.StopMb();
      CompareWithBudget(row);
      context_->say(row.dump());
      rows_.push_back(std::move(row));
    }
    if (held_) rows_.back()["held_mb"] = held_->StopMb();
    held_.reset();
    return {};
  }

  // Sampled memory while it was built and searched, the store's cache apart, by the budget.
  void CompareWithBudget(Json& row) const {
    const auto& store = row["store"].get_ref<const std::string&>();
    if (options_.budget_mb == 0 || HasNoCode(store) || IsInMemory(store)) return;
    const double peak = std::max(row["peak_mb"].get<double>(), row["search_peak_mb"].get<double>());
    row["memory_by_budget"] =
        (peak - static_cast<double>(options_.cache_mb)) / static_cast<double>(options_.budget_mb);
  }

  // Rate, latencies, and what the store has read, under names that begin with `prefix`.
  Expected<void> Time(const Searched& searched, const TimedSearch& search,
                      const std::string& prefix, Json& row) {
    const FeatureStats before = store_ == nullptr ? FeatureStats() : store_->Stats();
    const double read_before = ReadFromDisk();
    auto timed = RunTimed(searched, queries_, search);
    if (!timed) return tl::unexpected(timed.error());
    row[prefix + "qps"] = timed->queries_per_second;
    row[prefix + "p50_us"] = timed->latencies.Percentile(0.5);
    row[prefix + "p99_us"] = timed->latencies.Percentile(0.99);
    const auto searches = static_cast<double>(timed->latencies.us.size());
    row[prefix + "disk_pages_per_query"] = (ReadFromDisk() - read_before) / 4096 / searches;
    if (store_ == nullptr) return {};
    const FeatureStats after = store_->Stats();
    row[prefix + "reads_per_query"] = static_cast<double>(after.reads - before.reads) / searches;
    return {};
  }

  const FeaturesOptions options_;
  const JobContext* context_ = nullptr;
  Input input_;
  std::map<Code, Answers> expected_;  // By the code: no code gives the answers of full.
  MatrixView queries_;
  const FeatureStore* store_ = nullptr;  // Of what is searched now; null: it has none.
  std::optional<HeldMemory> held_;
  double before_mb_ = 0;  // What the process had before the index.
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
  const std::string order = content.OneOf("order", {"slots", "neighbors"}, "slots");
  if (order == "neighbors") options.order = SaveOptions::Order::kNeighbors;
  options.hold_percent = content.Unsigned("hold_percent", {0, 10000}, 0);
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
    options.queries = search.Unsigned("queries", {}, 0);
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
  "stores": ["memory", "ram", "mmap", "disk", "disk-direct", "disk-no-code", "view", "view-disk-direct",
             "view-beside-disk-direct"],
  "cache_mb": 0,
  "memory_budget_mb": 0,
  "hold_percent": 0,
  "order": "slots",
  "search": {"k": 10, "queries": 0, "lists": [20, 40, 80, 160], "rerank": 0, "threads": 1, "seconds": 1.0}
})",
    Parse};

}  // namespace shoal::bench
