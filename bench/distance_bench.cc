// Nanoseconds per distance: every instruction set of this CPU x scalar type x op, or metric.
//
//   distance_bench [--benchmark_filter=gather/avx3_dl/float32/l2] [other flags of Google Benchmark]
//
// cached/ISA/TYPE/OP/DIM  one query against the same 32 rows: what the arithmetic costs.
// gather/ISA/TYPE/OP/DIM  batches of 32 random rows of 512 MiB on huge pages, as in a search.
// metric/ISA/TYPE/METRIC/DIM  as cached, of rows as an index stores them, in the metric: an inner
//                         product and a cosine distance take the op dot, and cosine the norm that
//                         is kept behind the row. In the instruction set that is in use
//                         (SHOAL_ISA).
// The counter "distance" is the time per distance: 66n is 66 nanoseconds.
#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/full_codec.h"
#include "distance/kernels.h"
#include "shoal/version.h"
#include "version.h"

namespace {

using namespace shoal;            // NOLINT(google-build-using-namespace)
using namespace shoal::distance;  // NOLINT(google-build-using-namespace)

constexpr size_t kBatch = 32;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMemoryBytes = size_t{512} << 20;

// Memory on huge pages, if the machine gives them, filled with bytes that make ordinary numbers of
// every type: as float16 between 2^-7 and 4, as float32 between 2^-62 and 2.
const std::byte* Memory() {
  static const std::byte* const memory = [] {
    void* mapped = mmap(nullptr, kMemoryBytes + kHugePage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
      std::perror("distance_bench: mmap");
      std::exit(1);
    }
    const auto address = (reinterpret_cast<uintptr_t>(mapped) + kHugePage - 1) & ~(kHugePage - 1);
    auto* base = reinterpret_cast<std::byte*>(address);
    madvise(base, kMemoryBytes, MADV_HUGEPAGE);
    std::mt19937_64 random(1);
    auto* words = reinterpret_cast<uint64_t*>(base);
    for (size_t i = 0; i < kMemoryBytes / sizeof(uint64_t); ++i)
      words[i] = (random() & 0x1fff1fff1fff1fff) + 0x2000200020002000;
    return base;
  }();
  return memory;
}

// How much of this process is on huge pages, as the kernel says ("524288 kB").
std::string HugePages() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("AnonHugePages:")) return line.substr(line.find_first_not_of(' ', 14));
  }
  return "unknown";
}

struct Job {
  const KernelSet* set;
  ScalarType type;
  Op op;
  size_t dim;
};

// Times score(first of a batch, out) over `rows`, batch after batch, round and round.
template <class Score>
void TimeBatches(benchmark::State& state, const std::vector<const std::byte*>& rows,
                 const Score& score) {
  std::vector<float> out(kBatch);
  size_t next = 0;
  for (auto _ : state) {
    score(rows.data() + next, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
    // Where the next batch is depends on this one's results, as in a search: the processor cannot
    // start on it before they are there.
    next += out[0] == -12345.0f ? 2 * kBatch : kBatch;
    if (next >= rows.size()) next = 0;
  }
  state.counters["distance"] =
      benchmark::Counter(static_cast<double>(state.iterations() * kBatch),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void TimeKernel(benchmark::State& state, const Job& job,
                const std::vector<const std::byte*>& rows) {
  const std::vector<float> query(job.dim, 1.0f);  // As int8 and uint8: 0, 0, 128, 63.
  const BatchFn batch = job.set->Batch(job.op, job.type);
  TimeBatches(state, rows, [&](const std::byte* const* first, float* out) {
    batch(query.data(), first, kBatch, job.dim, out);
  });
}

void Cached(benchmark::State& state, const Job& job) {
  const size_t row_bytes = job.dim * ScalarSize(job.type);
  std::vector<const std::byte*> rows;
  for (size_t j = 0; j < kBatch; ++j) rows.push_back(Memory() + j % 8 * row_bytes);
  TimeKernel(state, job, rows);
}

void Gather(benchmark::State& state, const Job& job) {
  const size_t row_bytes = job.dim * ScalarSize(job.type);
  std::mt19937_64 random(7);
  std::vector<const std::byte*> rows(size_t{1} << 20);
  for (const std::byte*& row : rows)
    row = Memory() + random() % (kMemoryBytes / row_bytes) * row_bytes;
  TimeKernel(state, job, rows);
}

void InMetric(benchmark::State& state, ScalarType type, Metric metric, size_t dim) {
  constexpr size_t kRows = 8;
  FullCodec codec(type, metric, dim);
  std::vector<std::byte> stored(kRows * codec.row_bytes()), buffer(codec.buffer_bytes());
  const auto vector = [&](size_t i) {
    return VectorView(Memory() + i * dim * ScalarSize(type), type, dim);
  };
  std::vector<const std::byte*> rows;
  for (size_t i = 0; i < kRows; ++i) codec.Encode(vector(i), stored.data() + i * codec.row_bytes());
  for (size_t j = 0; j < kBatch; ++j) rows.push_back(&stored[j % kRows * codec.row_bytes()]);
  const Scorer scorer = codec.BindQuery(vector(kRows), buffer.data());
  TimeBatches(state, rows,
              [&](const std::byte* const* first, float* out) { scorer.Score(first, kBatch, out); });
}

void Register(const Job& job) {
  const std::string name = std::string(job.set->isa) + "/" + std::string(ScalarTypeName(job.type)) +
                           (job.op == Op::kL2 ? "/l2/" : "/dot/") + std::to_string(job.dim);
  benchmark::RegisterBenchmark(("cached/" + name).c_str(), Cached, job);
  benchmark::RegisterBenchmark(("gather/" + name).c_str(), Gather, job);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version")
    return std::puts(bench::VersionLine("distance_bench").c_str()) < 0 ? 1 : 0;
  std::printf("isa: %s (this CPU and binary have:", std::string(ActiveIsa()).c_str());
  for (const std::string_view isa : AvailableIsas()) std::printf(" %s", std::string(isa).c_str());
  std::printf(")\n");
  if (!IsaNote().empty()) std::printf("%s\n", std::string(IsaNote()).c_str());
  for (const KernelSet* set : Available())
    for (auto type :
         {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8, ScalarType::kUint8})
      for (auto op : {Op::kL2, Op::kDot})
        for (size_t dim : {128, 256, 768, 960, 1536}) Register({set, type, op, dim});
  for (auto type :
       {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8, ScalarType::kUint8})
    for (const auto& [metric, metric_name] : {std::pair{Metric::kL2, "l2"},
                                              {Metric::kInnerProduct, "mips"},
                                              {Metric::kCosine, "cosine"}})
      for (size_t dim : {128, 256, 768, 960, 1536}) {
        const std::string name = "metric/" + std::string(ActiveIsa()) + "/" +
                                 std::string(ScalarTypeName(type)) + "/" + metric_name + "/" +
                                 std::to_string(dim);
        benchmark::RegisterBenchmark(name.c_str(), [type, metric, dim](benchmark::State& state) {
          InMetric(state, type, metric, dim);
        });
      }
  // Long enough for these; a --benchmark_min_time of the user's comes later and wins.
  char min_time[] = "--benchmark_min_time=0.05";
  std::vector<char*> arguments = {argv[0], min_time};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  argv = arguments.data();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  Memory();
  std::printf("on huge pages: %s\n", HugePages().c_str());
  std::fflush(stdout);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
