// The job "kernels": nanoseconds of a distance by instruction set, type, operation, dimension,
// place.
//
//   cached   one query against the same 8 rows: what the arithmetic costs
//   gather   batches of 32 rows at random places of `memory_mb` on huge pages, as in a search
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>

#include "distance/code_kernels.h"
#include "distance/kernels.h"
#include "jobs/jobs.h"
#include "runner/timing.h"

namespace shoal::bench {
namespace {

using distance::KernelSet;
using distance::Op;

constexpr size_t kBatch = 32;
constexpr size_t kGathered = size_t{1} << 18;  // Rows of a round.

struct KernelsOptions {
  std::vector<std::string> isas, types, ops, places;  // No isa: all.
  std::vector<uint64_t> dims;
  double seconds = 0.05;
  size_t samples = 5, memory_bytes = 0;
};

// Huge pages, where the system gives them, of bytes that make ordinary numbers of every type: as
// float16 between 2^-7 and 4, as float32 between 2^-62 and 2. Null: no memory.
std::unique_ptr<std::byte, decltype(&std::free)> Pages(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  auto* const words = static_cast<uint64_t*>(std::aligned_alloc(kHugePage, bytes));
  if (words != nullptr) madvise(words, bytes, MADV_HUGEPAGE);
  std::mt19937_64 random(1);
  for (size_t i = 0; words != nullptr && i < bytes / sizeof(uint64_t); ++i)
    words[i] = (random() & 0x1fff1fff1fff1fff) + 0x2000200020002000;
  return {reinterpret_cast<std::byte*>(words), &std::free};
}

// Calls `batch` over `rows`, round and round, for so long. Nanoseconds of a distance.
double Time(distance::BatchFn batch, const void* query, size_t dim,
            const std::vector<const std::byte*>& rows, double seconds) {
  using Clock = std::chrono::steady_clock;
  float out[kBatch] = {};
  size_t distances = 0, next = 0;
  const auto begin = Clock::now();
  std::chrono::duration<double> took{};
  do {
    for (int i = 0; i < 256; ++i) {
      batch(query, rows.data() + next, kBatch, dim, out);
      // Where the next batch is depends on this one's results, as in a search: the processor cannot
      // start on it before they are there.
      next += out[0] == -12345.0f ? 2 * kBatch : kBatch;
      if (next >= rows.size()) next = 0;
    }
    distances += 256 * kBatch;
    took = Clock::now() - begin;
  } while (took.count() < seconds);
  return took.count() * 1e9 / static_cast<double>(distances);
}

constexpr std::pair<std::string_view, Op> kOpNames[] = {
    {"l2", Op::kL2}, {"dot", Op::kDot}, {"l1", Op::kL1}, {"hamming", Op::kHamming}};

Op OpOf(std::string_view name) {
  return std::ranges::find(kOpNames, name, &std::pair<std::string_view, Op>::first)->second;
}

// Types of rows that are no vectors' own: small codes, whose kernels have the operation "dot".
constexpr std::pair<std::string_view, size_t> kCodeBits[] = {
    {"rq1", 1}, {"rq2", 2}, {"rq3", 3}, {"rq4", 4}, {"sq8", 8}};
constexpr std::string_view kBfloat16 = "bfloat16";
constexpr size_t kCodeOffset = 8;  // Two factors in front, as of l2.

// 0: no code.
size_t BitsOf(std::string_view type) {
  for (const auto& [name, bits] : kCodeBits)
    if (name == type) return bits;
  return 0;
}

// Null: there is none.
distance::BatchFn BatchOf(const KernelSet& set, std::string_view type, Op op) {
  const auto codes = std::ranges::find(distance::AvailableCodes(), set.isa,
                                       [](const distance::CodeKernels* k) { return k->isa; });
  if (type == kBfloat16) return (*codes)->bfloat16[static_cast<size_t>(op)];
  if (BitsOf(type) == 0) return set.Batch(op, *ParseScalarType(type));
  return op == Op::kDot ? (*codes)->code[BitsOf(type)] : nullptr;
}

size_t RowBytesOf(std::string_view type, size_t dim) {
  if (type == kBfloat16) return 2 * dim;
  if (BitsOf(type) == 0) return BytesOf(*ParseScalarType(type), dim);
  return kCodeOffset + distance::CodeBytes(BitsOf(type), dim);
}

class KernelsJob final : public Job {
 public:
  explicit KernelsJob(KernelsOptions options) : options_(std::move(options)) {}

  Expected<Json> Run(const JobContext& context) override {
    const auto pages = Pages(options_.memory_bytes);
    if (pages == nullptr)
      return tl::unexpected(std::string("memory_mb: expected less, found no memory"));
    const Timing timing(context, "the kernels");
    Json rows = Json::array();
    for (const KernelSet* set : distance::Available()) {
      if (!options_.isas.empty() &&
          std::ranges::find(options_.isas, set->isa) == options_.isas.end())
        continue;
      for (const std::string& type : options_.types)
        for (const std::string& op : options_.ops) {
          if (BatchOf(*set, type, OpOf(op)) == nullptr) continue;
          for (const uint64_t dim : options_.dims)
            for (const std::string& place : options_.places)
              rows.push_back({{"isa", set->isa},
                              {"type", type},
                              {"op", op},
                              {"dim", dim},
                              {"place", place},
                              {"distance_ns", Sample(*set, type, op, dim, place, pages.get())}});
        }
    }
    timing.Stop();
    return Json{{"kernels", rows}};
  }

 private:
  double Sample(const KernelSet& set, const std::string& type, const std::string& op, size_t dim,
                const std::string& place, const std::byte* pages) const {
    const distance::BatchFn batch = BatchOf(set, type, OpOf(op));
    const size_t row_bytes = RowBytesOf(type, dim);
    // As int8 and uint8: 0, 0, 128, 63.
    const std::vector<float> elements(dim + distance::kCodePadding, 1.0f);
    const size_t bits = BitsOf(type);
    const distance::CodeQuery code{elements.data(), bits == 0 ? 0 : distance::CodeRun(bits, dim),
                                   kCodeOffset};
    const void* const query = bits == 0 ? static_cast<const void*>(elements.data()) : &code;
    std::mt19937_64 random(7);
    std::vector<const std::byte*> rows(place == "cached" ? kBatch : kGathered);
    for (size_t i = 0; i < rows.size(); ++i)
      rows[i] =
          pages +
          row_bytes * (place == "cached" ? i % 8 : random() % (options_.memory_bytes / row_bytes));
    std::vector<double> samples;
    for (size_t i = 0; i < options_.samples; ++i)
      samples.push_back(Time(batch, query, dim, rows, options_.seconds));
    std::sort(samples.begin(), samples.end());
    return samples[samples.size() / 2];
  }

  const KernelsOptions options_;
};

Expected<std::unique_ptr<Job>> Parse(FieldReader& content, const JobContext&) {
  KernelsOptions options;
  std::vector<std::string> isas;
  for (const KernelSet* set : distance::Available()) isas.emplace_back(set->isa);
  const auto words = [&](const char* key, const std::vector<std::string>& known, bool all) {
    const auto otherwise = all ? known : std::vector<std::string>{};
    std::vector<std::string> found = content.TextList(key, otherwise);
    for (const std::string& word : found)
      if (std::ranges::find(known, word) == known.end())
        content.Fail(key, fmt::format("some of {}", fmt::join(known, ", ")), word);
    return found;
  };
  options.isas = words("isas", isas, false);
  options.types = words(
      "types",
      {"float32", "float16", "bfloat16", "int8", "uint8", "bit", "sq8", "rq4", "rq3", "rq2", "rq1"},
      true);
  options.ops = words("ops", {"l2", "dot", "l1", "hamming"}, true);
  options.places = words("places", {"cached", "gather"}, true);
  options.dims = content.UnsignedList("dims", {1, kMaxDim}, {{128, 256, 768, 960, 1536}});
  options.seconds = content.Number("seconds", {0.0001, 60}, 0.05);
  options.samples = content.Unsigned("samples", {1, 1000}, 5);
  options.memory_bytes = content.Unsigned("memory_mb", {1, 1 << 20}, 512) << 20;
  return std::make_unique<KernelsJob>(std::move(options));
}

}  // namespace

constinit const JobType kKernelsJob{
    "kernels", "nanoseconds of a distance by instruction set, type, operation, dimension, place",
    R"({
  "isas": [],
  "types": ["float32", "float16", "bfloat16", "int8", "uint8", "bit", "sq8", "rq4", "rq3", "rq2",
            "rq1"],
  "ops": ["l2", "dot", "l1", "hamming"],
  "dims": [128, 256, 768, 960, 1536], "places": ["cached", "gather"], "seconds": 0.05,
  "samples": 5, "memory_mb": 512
})",
    Parse};

}  // namespace shoal::bench
