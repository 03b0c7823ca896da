// Generates the float sets of the comparison: SET.fbin, SET-query.fbin, SET.gt100.
//
//   make_data --out DIR [--set mixture] [--rows 500000] [--dim 256] [--seed 1]
//   make_data --out DIR --set near-duplicates --rows 200000 --dim 128
//
// mixture: points of a Gaussian mixture in a space of few dimensions, each cluster with axes of its
// own lengths, bent into `dim` dimensions by a random two-layer map, plus noise in all of them:
// float vectors of low intrinsic dimension, as embeddings are, on which no 8-bit code is lossless.
//
// near-duplicates: points of a Gaussian in all dimensions, and among them copies of a few of its
// points with a little noise: groups larger than the list of a search. So are the queries.
//
// The same seed gives the same files with the same C++ library, whatever the number of threads.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "version.h"

namespace {

struct Options {
  std::string out;
  std::string set = "mixture";
  size_t rows = 500000;
  size_t queries = 1000;
  size_t dim = 256;
  size_t latent_dim = 32;
  size_t clusters = 256;
  // Length of a cluster's axes, against 1 between the clusters.
  float within = 1.0f;
  // How far the map is from linear.
  float bend = 2.0f;
  // Standard deviation of the noise, against about 0.8 of the signal, in each dimension.
  float noise = 0.5f;
  // near-duplicates: groups, the share of rows that are copies, and the deviation of a copy.
  size_t groups = 500;
  float copies = 0.25f;
  float copy_noise = 0.02f;
  uint64_t seed = 1;
};

std::vector<float> Gaussian(size_t n, float deviation, std::mt19937_64& random) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

class Mixture {
 public:
  explicit Mixture(const Options& options) : options_(options), random_(options.seed) {
    const size_t latent = options.latent_dim;
    const float per_latent = options.bend / std::sqrt(static_cast<float>(latent));
    const float per_hidden = 1 / std::sqrt(static_cast<float>(kHidden));
    centers_ = Gaussian(options.clusters * latent, 1, random_);
    axes_ = Gaussian(options.clusters * latent, 0.5f, random_);
    for (float& axis : axes_) axis = options.within * std::exp(axis);
    bend_ = Gaussian(latent * kHidden, per_latent, random_);
    embed_ = Gaussian(kHidden * options.dim, per_hidden, random_);
  }

  void Point(std::mt19937_64& random, float* out) const {
    std::normal_distribution<float> normal(0, 1);
    const size_t latent = options_.latent_dim;
    const size_t cluster = random() % options_.clusters;
    float hidden[kHidden] = {};
    for (size_t i = 0; i < latent; ++i) {
      const size_t at = cluster * latent + i;
      const float z = centers_[at] + axes_[at] * normal(random);
      for (size_t h = 0; h < kHidden; ++h) hidden[h] += z * bend_[i * kHidden + h];
    }
    for (size_t d = 0; d < options_.dim; ++d) out[d] = options_.noise * normal(random);
    for (size_t h = 0; h < kHidden; ++h) {
      const float bent = std::tanh(hidden[h]);
      for (size_t d = 0; d < options_.dim; ++d) out[d] += bent * embed_[h * options_.dim + d];
    }
  }

 private:
  static constexpr size_t kHidden = 64;

  const Options options_;
  std::mt19937_64 random_;
  std::vector<float> centers_;  // clusters x latent_dim
  std::vector<float> axes_;     // clusters x latent_dim: standard deviations
  std::vector<float> bend_;     // latent_dim x kHidden
  std::vector<float> embed_;    // kHidden x dim
};

class NearDuplicates {
 public:
  explicit NearDuplicates(const Options& options) : options_(options), random_(options.seed) {
    originals_ = Gaussian(options.groups * options.dim, 1, random_);
  }

  void Point(std::mt19937_64& random, float* out) const {
    const bool is_copy = std::uniform_real_distribution<float>()(random) < options_.copies;
    const size_t group = random() % options_.groups;
    std::normal_distribution<float> normal(0, is_copy ? options_.copy_noise : 1);
    for (size_t d = 0; d < options_.dim; ++d)
      out[d] = normal(random) + (is_copy ? originals_[group * options_.dim + d] : 0);
  }

 private:
  const Options options_;
  std::mt19937_64 random_;
  std::vector<float> originals_;  // groups x dim
};

constexpr size_t kBlock = 1000;

// Rows [begin, end) of an endless matrix; blocks of kBlock rows have a generator each.
template <class Set>
void Fill(const Set& set, const Options& options, size_t begin, size_t end, float* out) {
  for (size_t row = begin; row < end;) {
    const size_t block = row / kBlock;
    std::seed_seq seed{options.seed, uint64_t{block} + 1};
    std::mt19937_64 random(seed);
    for (; row < std::min(end, (block + 1) * kBlock); ++row, out += options.dim)
      set.Point(random, out);
  }
}

// Rows [first, first + rows) of a set. `first` and the share of each thread are whole blocks.
template <class Set>
shoal::Result<shoal::Matrix> Generate(const Set& set, const Options& options, size_t first,
                                      size_t rows) {
  const size_t dim = options.dim;
  auto matrix = shoal::Matrix::Create(shoal::ScalarType::kFloat32, rows, dim);
  if (!matrix) return matrix;
  auto* out = reinterpret_cast<float*>(matrix->data());
  const size_t threads = std::max(1u, std::thread::hardware_concurrency());
  const size_t share = (rows / threads / kBlock + 1) * kBlock;
  std::vector<std::thread> workers;
  for (size_t begin = 0; begin < rows; begin += share) {
    workers.emplace_back([&, begin] {
      Fill(set, options, first + begin, first + std::min(rows, begin + share), out + begin * dim);
    });
  }
  for (std::thread& worker : workers) worker.join();
  return matrix;
}

template <class Set>
shoal::Status Run(const Set& set, const Options& options) {
  auto rows = Generate(set, options, 0, options.rows);
  if (!rows) return tl::unexpected(rows.error());
  // Queries come from the same set, behind the last block of the rows.
  const size_t first = (options.rows / kBlock + 1) * kBlock;
  auto queries = Generate(set, options, first, options.queries);
  if (!queries) return tl::unexpected(queries.error());
  auto truth = shoal::ExactSearch(*rows, *queries, {.k = 100});
  if (!truth) return tl::unexpected(truth.error());
  const std::filesystem::path out = options.out;
  shoal::Status written = shoal::WriteBin(out / (options.set + ".fbin"), *rows);
  if (written) written = shoal::WriteBin(out / (options.set + "-query.fbin"), *queries);
  if (written) written = shoal::WriteTruthSet(out / (options.set + ".gt100"), *truth);
  return written;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Generates the float sets of the comparison.");
  shoal::bench::AddVersion(app, "make_data");
  app.add_option("--out", options.out, "Folder to write to")->required();
  app.add_option("--set", options.set, "Which set")
      ->check(CLI::IsMember({"mixture", "near-duplicates"}))
      ->capture_default_str();
  app.add_option("--rows", options.rows, "Number of rows")->capture_default_str();
  app.add_option("--queries", options.queries, "Number of queries")->capture_default_str();
  app.add_option("--dim", options.dim, "Dimension")->capture_default_str();
  app.add_option("--latent_dim", options.latent_dim, "Intrinsic dimension")->capture_default_str();
  app.add_option("--clusters", options.clusters, "Number of clusters")->capture_default_str();
  app.add_option("--within", options.within, "Size of a cluster")->capture_default_str();
  app.add_option("--bend", options.bend, "How far from linear")->capture_default_str();
  app.add_option("--noise", options.noise, "Deviation of the noise")->capture_default_str();
  app.add_option("--groups", options.groups, "near-duplicates: groups")->capture_default_str();
  app.add_option("--copies", options.copies, "near-duplicates: share of rows that are copies")
      ->capture_default_str();
  app.add_option("--copy_noise", options.copy_noise, "near-duplicates: deviation of a copy")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Seed")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const shoal::Status done = options.set == "mixture" ? Run(Mixture(options), options)
                                                      : Run(NearDuplicates(options), options);
  if (!done) fmt::print(stderr, "make_data: {}\n", done.error().message);
  return done ? 0 : 1;
}
