// A database of shoal behind the worker's protocol: searches are of a snapshot, in the file.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "shoal/database.h"
#include "shoal/exact.h"
#include "shoal/filter.h"
#include "shoal/version.h"
#include "worker/or_throw.h"
#include "worker/worker.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Bytes that this process has given to write calls.
uint64_t WrittenBytes() {
  std::ifstream lines("/proc/self/io");
  for (std::string key, value; lines >> key >> value;)
    if (key == "wchar:") return std::stoull(value);
  return 0;
}

class DatabaseEngine : public Engine {
 public:
  DatabaseEngine()
      : path_(std::filesystem::temp_directory_path() / fmt::format("shoal-{}.db", getpid())) {}
  DatabaseEngine(const DatabaseEngine&) = delete;
  DatabaseEngine& operator=(const DatabaseEngine&) = delete;
  ~DatabaseEngine() override {
    snapshot_.reset();
    for (const char* suffix : {"", "-lock", "-writer"}) {
      std::error_code ignored;
      std::filesystem::remove(path_.string() + suffix, ignored);
    }
  }

  void Describe(Reply& reply) const override {
    reply.Set("isa", ActiveIsa()).Set("version", Version());
  }
  void Settings(const BuildOptions& options, Reply& reply) const override {
    reply.Set("set_max_degree", uint64_t{options.degree});
    reply.Set("set_build_list_size", uint64_t{options.list_size});
  }

  void Build(const Rows& rows, const BuildOptions& options) override {
    {
      Database database = OrThrow(Database::Open(path_));
      OrThrow(database.CreateIndex(kName,
                                   {.dim = static_cast<uint32_t>(rows.dim()),
                                    .metric = *ParseMetric(options.metric),
                                    .max_degree = static_cast<uint32_t>(options.degree),
                                    .build_list_size = static_cast<uint32_t>(options.list_size)}));
      Add(database, rows, 0, options.threads);
      OrThrow(database.Pass());
    }
    Open();
  }
  void Save(const std::string&) const override { throw std::runtime_error("built in every run"); }
  void Open(const std::string&, const Rows&) override {
    throw std::runtime_error("built in every run");
  }

  void SetListSize(size_t list_size) override { list_size_ = list_size; }
  size_t Search(const std::byte* query, size_t k, uint32_t* ids) override {
    return Find(query, k, ids, nullptr, nullptr);
  }
  size_t SearchCounted(const std::byte* query, size_t k, uint32_t* ids,
                       uint64_t& distances) override {
    WorkCounters work;
    const size_t n = Find(query, k, ids, nullptr, &work);
    distances += work.distances;
    return n;
  }

  void FileFigures(const Rows& queries, size_t list_size, size_t k, Reply& reply) override {
    std::vector<double> ms(5);
    for (double& each : ms) {
      snapshot_.reset();
      const auto begin = Clock::now();
      Open();
      each = 1e3 * Since(begin);
    }
    std::sort(ms.begin(), ms.end());
    const size_t points = snapshot_->size();
    reply.Set("open_ms", ms[ms.size() / 2]);
    list_size_ = list_size;
    for (const size_t percent : {1, 10}) Filtered(queries, k, percent, reply);
    reply.Set("file_bytes_a_point",
              static_cast<double>(std::filesystem::file_size(path_)) / static_cast<double>(points));
    Database database = OrThrow(Database::Open(path_));
    OrThrow(database.OpenIndex(kName));
    const uint64_t written = WrittenBytes();
    const auto begin = Clock::now();
    Add(database, queries, points, 0);
    const double seconds = Since(begin);
    reply.Set("points", points).Set("added", uint64_t{queries.rows()}).Set("add_seconds", seconds);
    reply.Set("written_bytes_an_add",
              static_cast<double>(WrittenBytes() - written) / static_cast<double>(queries.rows()));
  }

 private:
  static constexpr const char* kName = "points";
  static constexpr size_t kMaxK = 256;

  void Open() { snapshot_.emplace(OrThrow(DatabaseSnapshot::Open(path_, kName))); }

  // Rows under ids from `first` on, in one transaction.
  static void Add(Database& database, const Rows& rows, size_t first, size_t threads) {
    std::vector<ExternalId> ids(rows.rows());
    std::iota(ids.begin(), ids.end(), ExternalId{first});
    const StoredIndex index = OrThrow(database.OpenIndex(kName));
    Transaction change = OrThrow(database.Begin());
    const MatrixView view(rows.data(), ScalarType::kFloat32, rows.rows(), rows.dim());
    const BatchReport report = OrThrow(change.InsertMany(index, ids, view, {.threads = threads}));
    if (!report.failures.empty()) throw std::runtime_error(report.failures[0].error.message);
    OrThrow(change.Commit());
  }

  size_t Find(const std::byte* query, size_t k, uint32_t* ids, const Filter* filter,
              WorkCounters* work) const {
    ExternalId found[kMaxK];
    if (k > kMaxK) throw std::runtime_error(fmt::format("k: at most {}", kMaxK));
    const size_t n = OrThrow(snapshot_->Search(
        VectorView(query, ScalarType::kFloat32, snapshot_->options().dim),
        {.k = k, .search_list_size = list_size_, .filter = filter}, {found, k}, {}, work));
    for (size_t i = 0; i < n; ++i) ids[i] = static_cast<uint32_t>(found[i]);
    return n;
  }

  // Recall and time of searches that accept every so many-th id.
  void Filtered(const Rows& queries, size_t k, size_t percent, Reply& reply) const {
    const size_t dim = queries.dim(), asked = std::min<size_t>(100, queries.rows());
    std::vector<ExternalId> accepted;
    for (ExternalId id = 0; id < snapshot_->size(); id += 100 / percent) accepted.push_back(id);
    std::vector<float> rows(accepted.size() * dim);
    for (size_t i = 0; i < accepted.size(); ++i)
      OrThrow(snapshot_->Get(accepted[i], std::span(rows).subspan(i * dim, dim)));
    const TruthSet truth =
        OrThrow(ExactSearch(MatrixView(std::span<const float>(rows), dim),
                            MatrixView(queries.data(), ScalarType::kFloat32, asked, dim),
                            {.k = k, .metric = snapshot_->options().metric}));
    const Filter filter = Filter::Ids(accepted);
    size_t hits = 0;
    double seconds = 0;
    for (size_t i = 0; i < asked; ++i) {
      uint32_t found[kMaxK];
      const auto begin = Clock::now();
      const size_t n = Find(queries[i], k, found, &filter, nullptr);
      seconds += Since(begin);
      for (const uint32_t row : truth.Ids(i).first(k))
        hits += std::find(found, found + n, accepted[row]) != found + n;
    }
    const std::string name = fmt::format("filter_{}_percent", percent);
    reply.Set(name + "_us", 1e6 * seconds / static_cast<double>(asked));
    reply.Set(name + "_recall", static_cast<double>(hits) / static_cast<double>(asked * k));
  }

  const std::filesystem::path path_;
  std::optional<DatabaseSnapshot> snapshot_;
  size_t list_size_ = 64;
};

}  // namespace
}  // namespace shoal::bench

int main() {
  shoal::bench::DatabaseEngine engine;
  return shoal::bench::Serve(engine);
}
