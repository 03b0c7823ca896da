// The job "exact-search": how near ExactSearch comes to the multiply-add rate of the machine.
//
// The peak is that of multiply-adds on registers alone (float, and integer as the kernels do it),
// on as many threads. It is measured before and after each search and averaged, for the clock of a
// shared machine wanders. ExactSearch counts as a whole: packing, thresholds, candidates and final
// distances included. One multiply-add is two operations.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "distance/block_dot.h"
#include "jobs/jobs.h"
#include "runner/timing.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

struct ExactSearchOptions {
  std::vector<std::string> types;
  std::vector<uint64_t> dims, threads;
  size_t rows = 0, queries = 0, k = 0, samples = 1;
};

bool IsInteger(ScalarType type) { return type == ScalarType::kInt8 || type == ScalarType::kUint8; }

Result<Matrix> RandomRows(ScalarType type, size_t rows, size_t dim, uint32_t seed) {
  auto matrix = Matrix::Create(type, rows, dim);
  if (!matrix) return matrix;
  std::mt19937 random(seed);
  for (size_t i = 0; i < rows * dim; ++i) {
    // Sums of uniforms: near enough to normal, and quick to make.
    const uint32_t bits = random();
    const uint32_t sum = (bits & 0xff) + (bits >> 8 & 0xff) + (bits >> 16 & 0xff) + (bits >> 24);
    const float value = (static_cast<float>(sum) - 510) / 64;
    if (IsInteger(type)) matrix->data()[i] = static_cast<std::byte>(sum / 4);
    if (type == ScalarType::kFloat32) reinterpret_cast<float*>(matrix->data())[i] = value;
    if (type == ScalarType::kFloat16)
      reinterpret_cast<Half*>(matrix->data())[i] = FloatToHalf(value);
  }
  return matrix;
}

// Operations a second.
double Peak(double (*loop)(size_t), size_t threads) {
  static constexpr double kSeconds = 0.1;
  std::vector<double> done(threads);
  std::vector<std::thread> workers;
  const Stopwatch watch;
  const auto begin = std::chrono::steady_clock::now();
  for (double& mine : done) {
    workers.emplace_back([&mine, begin, loop] {
      while (std::chrono::steady_clock::now() - begin < std::chrono::duration<double>(kSeconds))
        mine += loop(20000);
    });
  }
  for (std::thread& worker : workers) worker.join();
  double operations = 0;
  for (const double mine : done) operations += 2 * mine;
  return operations / watch.Read().seconds;
}

class ExactSearchJob final : public Job {
 public:
  explicit ExactSearchJob(ExactSearchOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    Json rows = Json::array();
    for (const std::string& type : options_.types) {
      for (const uint64_t dim : options_.dims) {
        const auto base = Plain(RandomRows(*ParseScalarType(type), options_.rows, dim, 1));
        const auto queries = Plain(RandomRows(*ParseScalarType(type), options_.queries, dim, 2));
        if (!base) return tl::unexpected(base.error());
        if (!queries) return tl::unexpected(queries.error());
        for (const uint64_t threads : options_.threads) {
          const Timing timing(context, fmt::format("{}, dim {}, {} threads", type, dim, threads));
          auto row = Measure(*base, *queries, threads);
          if (!row) return row;
          timing.Stop();
          rows.push_back(std::move(*row));
        }
      }
    }
    return Json{{"exact_search", rows}};
  }

 private:
  Expected<Json> Measure(const Matrix& base, const Matrix& queries, size_t threads) const {
    const distance::BlockKernels& kernels = distance::BlockKernelsFor(ActiveIsa());
    const auto loop = IsInteger(base.type()) ? kernels.int_peak : kernels.float_peak;
    std::vector<double> shares, rates;
    for (size_t i = 0; i < options_.samples; ++i) {
      const double before = Peak(loop, threads);
      const Stopwatch watch;
      const auto truth =
          Plain(ExactSearch(base, queries, {.k = options_.k, .batch = {.threads = threads}}));
      if (!truth) return tl::unexpected(truth.error());
      const double rate = 2.0 * static_cast<double>(base.rows() * queries.rows() * base.dim()) /
                          watch.Read().seconds;
      const double after = Peak(loop, threads);
      rates.push_back(rate);
      shares.push_back(2 * rate / (before + after));
    }
    const auto median = [](std::vector<double>& values) {
      std::sort(values.begin(), values.end());
      return values[values.size() / 2];
    };
    return Json{{"isa", kernels.isa},
                {"type", ScalarTypeName(base.type())},
                {"dim", base.dim()},
                {"threads", threads},
                {"gop_rate", median(rates) / 1e9},
                {"share_of_peak", median(shares)},
                {"least_share", shares.front()},
                {"most_share", shares.back()}};
  }

  const ExactSearchOptions options_;
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext&) {
  ExactSearchOptions options;
  options.types = content.TextList("types", {{"float32", "uint8", "int8", "float16"}});
  for (const std::string& type : options.types)
    if (!ParseScalarType(type) || ParseScalarType(type) == ScalarType::kBit)
      content.Fail("types", "some of float32, float16, int8, uint8", type);
  options.dims = content.UnsignedList("dims", {1, kMaxDim}, {{128, 960}});
  options.threads = content.UnsignedList("threads", {1, 1024}, {{1}});
  options.rows = content.Unsigned("rows", {1, 1'000'000'000}, 200000);
  options.queries = content.Unsigned("queries", {1, 1'000'000'000}, 1000);
  options.k = content.Unsigned("k", {1, options.rows}, std::min<uint64_t>(100, options.rows));
  options.samples = content.Unsigned("samples", {1, 1000}, 3);
  return std::make_unique<ExactSearchJob>(std::move(options));
}

}  // namespace

constinit const JobType kExactSearchJob{
    "exact-search",
    "operations a second of exact search, and their share of what the machine can do", R"({
  "types": ["float32", "uint8", "int8", "float16"], "dims": [128, 960], "threads": [1, 2],
  "rows": 200000, "queries": 1000, "k": 100, "samples": 3
})",
    Parse};

}  // namespace shoal::bench
