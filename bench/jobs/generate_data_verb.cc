// generate-data: a set of vectors that is made, its queries and their ground truth.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "jobs/extended_set.h"
#include "jobs/generated_set.h"
#include "runner/verb.h"
#include "shoal/exact.h"

namespace shoal::bench {
namespace {

struct Arguments {
  std::string folder;
  GeneratedSetOptions options;
  std::string from, queries_from;  // extended_set.h
  std::string type;
};

constexpr const char* kExtended = "extended";

Result<Matrix> Rounded(const Matrix& rows) {
  auto out = Matrix::Create(ScalarType::kFloat16, rows.rows(), rows.dim());
  if (!out) return out;
  const auto* const in = reinterpret_cast<const float*>(rows.data());
  std::transform(in, in + rows.rows() * rows.dim(), reinterpret_cast<Half*>(out->data()),
                 FloatToHalf);
  return out;
}

Status Write(const Arguments& args) {
  auto made = args.options.set == kExtended
                  ? ExtendSet({args.from, args.queries_from, args.options.rows, args.options.seed})
                  : GenerateSet(args.options);
  if (!made) return tl::unexpected(made.error());
  if (args.type == "float16") {
    if (made->rows.type() != ScalarType::kFloat32)
      return MakeError(ErrorCode::kInvalidArgument, "type: expected a set of floats, found bits");
    for (Matrix* const matrix : {&made->rows, &made->queries}) {
      Result<Matrix> rounded = Rounded(*matrix);
      if (!rounded) return tl::unexpected(rounded.error());
      *matrix = std::move(*rounded);
    }
  }
  const auto truth =
      ExactSearch(made->rows, made->queries,
                  {.k = std::min<size_t>(100, args.options.rows), .metric = made->metric});
  if (!truth) return tl::unexpected(truth.error());
  const std::string prefix = (std::filesystem::path(args.folder) / args.options.set).string();
  const ScalarType type = made->rows.type();
  const char* const extension = type == ScalarType::kBit       ? ".bbin"
                                : type == ScalarType::kFloat16 ? ".f16bin"
                                                               : ".fbin";
  Status written = WriteBin(prefix + extension, made->rows);
  if (written) written = WriteBin(prefix + "-query" + extension, made->queries);
  if (written) written = WriteTruthSet(prefix + ".gt100", *truth);
  if (written)
    fmt::print("{0}{1}, {0}-query{1}, {0}.gt100: {2}\n", prefix, extension,
               MetricName(made->metric));
  return written;
}

}  // namespace

void AddGenerateData(CLI::App& app, int& status) {
  static Arguments args;
  args = {};
  args.type = "float32";
  GeneratedSetOptions& options = args.options;
  std::vector<std::string> names;
  std::string sets = "which set:";
  for (const auto& [name, summary] : GeneratedSets()) {
    names.push_back(name);
    sets += fmt::format("\n{}: {}", name, summary);
  }
  names.emplace_back(kExtended);
  sets += fmt::format("\n{}: unit vectors of a file, and as many more as are wanted", kExtended);
  const auto count = [&](const char* name, size_t& value, const char* what, size_t least) {
    constexpr size_t kMax = 1'000'000'000;
    app.add_option(name, value, what)->check(CLI::Range(least, kMax))->capture_default_str();
  };
  app.add_option("--set", options.set, sets)->required()->check(CLI::IsMember(names));
  app.add_option("--out", args.folder,
                 "the folder to write SET.fbin, SET-query.fbin, SET.gt100 to (float16: .f16bin, "
                 "bits: .bbin)")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--type", args.type, "of the vectors that are written; float16 rounds them")
      ->check(CLI::IsMember({"float32", "float16"}))
      ->capture_default_str();
  count("--rows", options.rows, "rows", 1);
  count("--queries", options.queries, "queries", 1);
  count("--dim", options.dim, "dimension", 1);
  count("--clusters", options.clusters, "clusters: how many", 1);
  app.add_option("--spread", options.spread, "clusters: deviation within one by the centres'")
      ->check(CLI::Range(1e-3, 1e3))
      ->capture_default_str();
  count("--period", options.period,
        "clusters: one after another, all of them in so many rows; 0: in any order", 0);
  count("--recent", options.recent,
        "clusters, drift: queries are like the last so many rows; 0: all", 0);
  app.add_option("--offset", options.offset, "added to every element, of queries, too")
      ->check(CLI::Range(-1e6, 1e6))
      ->capture_default_str();
  app.add_option("--from", args.from, "extended: unit vectors, a .f16bin or .fbin")
      ->check(CLI::ExistingFile);
  app.add_option("--queries-from", args.queries_from, "extended: queries, as --from")
      ->check(CLI::ExistingFile);
  app.add_option_function<std::string>(
         "--metric", [&options](const std::string& name) { options.metric = ParseMetric(name); },
         "of the ground truth; without it the set's own")
      ->check(CLI::IsMember({"l2", "inner_product", "cosine", "manhattan", "hamming"}));
  app.add_option("--seed", options.seed, "of all that is random")->capture_default_str();
  app.callback([&status] {
    const Status written = Write(args);
    if (!written) fmt::print(stderr, "shoal-bench: {}\n", written.error().message);
    status = written ? 0 : 1;
  });
}

}  // namespace shoal::bench
