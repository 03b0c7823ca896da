#include "jobs/generated_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "base/parallel.h"

namespace shoal::bench {
namespace {

using Engine = std::mt19937_64;

// One point of a set.
struct Place {
  size_t row;
  bool is_query;
};
// Writes a point of options.dim elements; from any thread.
using MakePoint = std::function<void(const Place& place, Engine& random, float* out)>;

std::vector<float> Gaussian(size_t n, float deviation, Engine& random) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// A Gaussian mixture in 32 dimensions, each cluster with axes of its own lengths, bent into `dim`
// dimensions by a random two-layer map, plus noise in all of them: as embeddings are.
MakePoint Mixture(const GeneratedSetOptions& options, Engine& setup) {
  constexpr size_t kClusters = 256, kLatent = 32, kHidden = 64;
  constexpr float kBend = 2, kNoise = 0.5f;
  const std::vector<float> centers = Gaussian(kClusters * kLatent, 1, setup);
  std::vector<float> axes = Gaussian(kClusters * kLatent, 0.5f, setup);
  for (float& axis : axes) axis = std::exp(axis);
  const std::vector<float> bend =
      Gaussian(kLatent * kHidden, kBend / std::sqrt(static_cast<float>(kLatent)), setup);
  const std::vector<float> embed =
      Gaussian(kHidden * options.dim, 1 / std::sqrt(static_cast<float>(kHidden)), setup);
  return [=, dim = options.dim](const Place&, Engine& random, float* out) {
    std::normal_distribution<float> normal(0, 1);
    const size_t cluster = random() % kClusters;
    float hidden[kHidden] = {};
    for (size_t i = 0; i < kLatent; ++i) {
      const size_t at = cluster * kLatent + i;
      const float z = centers[at] + axes[at] * normal(random);
      for (size_t h = 0; h < kHidden; ++h) hidden[h] += z * bend[i * kHidden + h];
    }
    for (size_t d = 0; d < dim; ++d) out[d] = kNoise * normal(random);
    for (size_t h = 0; h < kHidden; ++h) {
      const float bent = std::tanh(hidden[h]);
      for (size_t d = 0; d < dim; ++d) out[d] += bent * embed[h * dim + d];
    }
  };
}

// A mixture in which every 48th element is eight times as large: over half of the energy is in 2 %
// of the elements, as in some models' embeddings.
MakePoint LargeElements(const GeneratedSetOptions& options, Engine& setup) {
  constexpr size_t kApart = 48;
  constexpr float kTimes = 8;
  const MakePoint mixture = Mixture(options, setup);
  return [mixture, dim = options.dim](const Place& place, Engine& random, float* out) {
    mixture(place, random, out);
    for (size_t d = 0; d < dim; d += kApart) out[d] *= kTimes;
  };
}

// The row that a point is like: a query is like one of the last `recent`, or of all.
size_t RowLike(const Place& place, const GeneratedSetOptions& options, Engine& random) {
  if (!place.is_query) return place.row;
  return options.rows - 1 - random() % (options.recent > 0 ? options.recent : options.rows);
}

// A mixture that moves, from the first row to the last by some three deviations of each element.
MakePoint Drift(const GeneratedSetOptions& options, Engine& setup) {
  const MakePoint mixture = Mixture(options, setup);
  const std::vector<float> way = Gaussian(options.dim, 3, setup);
  return [=](const Place& place, Engine& random, float* out) {
    const auto row = static_cast<float>(RowLike(place, options, random));
    const float share = row / static_cast<float>(options.rows);
    mixture(place, random, out);
    for (size_t d = 0; d < options.dim; ++d) out[d] += share * way[d];
  };
}

// A Gaussian in all dimensions; a quarter are copies of 500 of its points with a little noise:
// groups larger than the list of a search.
MakePoint NearDuplicates(const GeneratedSetOptions& options, Engine& setup) {
  constexpr size_t kGroups = 500;
  const std::vector<float> originals = Gaussian(kGroups * options.dim, 1, setup);
  return [=, dim = options.dim](const Place&, Engine& random, float* out) {
    const bool is_copy = std::uniform_real_distribution<float>()(random) < 0.25f;
    const size_t group = random() % kGroups;
    std::normal_distribution<float> normal(0, is_copy ? 0.02f : 1);
    for (size_t d = 0; d < dim; ++d)
      out[d] = normal(random) + (is_copy ? originals[group * dim + d] : 0);
  };
}

MakePoint Clusters(const GeneratedSetOptions& options, Engine& setup) {
  const std::vector<float> centers = Gaussian(options.clusters * options.dim, 1, setup);
  return [=](const Place& place, Engine& random, float* out) {
    const size_t n = options.clusters, period = options.period;
    const size_t row = RowLike(place, options, random);
    const size_t cluster = period > 0 ? row % period * n / period : random() % n;
    std::normal_distribution<float> normal(0, options.spread);
    for (size_t d = 0; d < options.dim; ++d)
      out[d] = centers[cluster * options.dim + d] + normal(random);
  };
}

// Unit vectors; with a `period` one in so many rows is nearly zero.
MakePoint Unit(const GeneratedSetOptions& options, size_t period) {
  return [dim = options.dim, period](const Place& place, Engine& random, float* out) {
    std::normal_distribution<float> normal;
    for (size_t d = 0; d < dim; ++d) out[d] = normal(random);
    const float length = std::sqrt(std::inner_product(out, out + dim, out, 0.0f));
    const bool zero = period > 0 && !place.is_query && place.row % period == period / 2;
    for (size_t d = 0; d < dim; ++d) out[d] *= (zero ? 0.01f : 1.0f) / length;
  };
}

// A Gaussian cloud whose rows, and queries too, have log-normal norms of this deviation.
MakePoint Cloud(const GeneratedSetOptions& options, float deviation) {
  return [dim = options.dim, deviation](const Place&, Engine& random, float* out) {
    std::normal_distribution<float> normal;
    const float norm = std::exp(deviation * normal(random));
    for (size_t d = 0; d < dim; ++d) out[d] = norm * normal(random);
  };
}

// Rows of rank 16 with log-normal norms, as a factorisation of ratings gives; queries without.
MakePoint Factors(const GeneratedSetOptions& options, Engine& setup) {
  constexpr size_t kRank = 16;
  const std::vector<float> basis = Gaussian(kRank * options.dim, 0.25f, setup);
  return [=, dim = options.dim](const Place& place, Engine& random, float* out) {
    std::normal_distribution<float> normal;
    const float norm = place.is_query ? 1 : std::exp(0.4f * normal(random));
    float factors[kRank];
    for (float& factor : factors) factor = normal(random);
    for (size_t d = 0; d < dim; ++d) {
      out[d] = 0.02f * normal(random);
      for (size_t k = 0; k < kRank; ++k) out[d] += factors[k] * basis[k * dim + d];
      out[d] *= norm;
    }
  };
}

enum class Where { kPositive, kFar };
// Clusters folded to where all elements are positive, or moved far from the origin.
MakePoint Folded(const GeneratedSetOptions& options, Engine& setup, Where where) {
  constexpr size_t kClusters = 200;
  const std::vector<float> centers = Gaussian(kClusters * options.dim, 2, setup);
  return [=, dim = options.dim](const Place&, Engine& random, float* out) {
    std::normal_distribution<float> normal;
    const float* const center = centers.data() + random() % kClusters * dim;
    for (size_t d = 0; d < dim; ++d) {
      const float x = normal(random) + center[d];
      out[d] = where == Where::kFar ? 128 + 12 * x : std::abs(x);
    }
  };
}

struct Entry {
  const char* name;
  const char* summary;
  Metric metric;  // kHamming: the set is the signs of its points, as bits.
  MakePoint (*make)(const GeneratedSetOptions& options, Engine& random);
};
using Options = GeneratedSetOptions;
constexpr Entry kSets[] = {
    {"mixture", "low intrinsic dimension, as embeddings have", Metric::kL2, Mixture},
    {"bits", "signs of a mixture, as binary embeddings are", Metric::kHamming, Mixture},
    {"large-elements", "a mixture in which a few elements are large", Metric::kCosine,
     LargeElements},
    {"drift", "a mixture that moves from row to row", Metric::kL2, Drift},
    {"near-duplicates", "groups of near copies, larger than a list", Metric::kL2, NearDuplicates},
    {"clusters", "tight clusters, in any order or one after another", Metric::kL2, Clusters},
    {"unit", "unit vectors", Metric::kL2, [](const Options& o, Engine&) { return Unit(o, 0); }},
    {"zero", "unit vectors, one of them nearly zero", Metric::kL2,
     [](const Options& o, Engine&) { return Unit(o, o.rows); }},
    {"zeros", "unit vectors, one in a thousand nearly zero", Metric::kL2,
     [](const Options& o, Engine&) { return Unit(o, 1000); }},
    {"cloud", "a Gaussian cloud", Metric::kInnerProduct,
     [](const Options& o, Engine&) { return Cloud(o, 0); }},
    {"norms", "a Gaussian cloud with log-normal norms", Metric::kInnerProduct,
     [](const Options& o, Engine&) { return Cloud(o, 0.5f); }},
    {"factors", "rank 16 with log-normal norms", Metric::kInnerProduct, Factors},
    {"positive", "clusters of positive elements", Metric::kInnerProduct,
     [](const Options& o, Engine& r) { return Folded(o, r, Where::kPositive); }},
    {"far", "clusters far from the origin", Metric::kInnerProduct,
     [](const Options& o, Engine& r) { return Folded(o, r, Where::kFar); }},
};

// n points from place `first` on, in blocks that have a generator each.
Result<Matrix> Points(const MakePoint& make, const Options& options, Place first, size_t n) {
  constexpr size_t kBlock = 1000;
  auto matrix = Matrix::Create(ScalarType::kFloat32, n, options.dim);
  if (!matrix) return matrix;
  auto* const out = reinterpret_cast<float*>(matrix->data());
  ParallelFor(0, n, kBlock, nullptr, [&](size_t begin, size_t end) {
    std::seed_seq seed{options.seed, uint64_t{(first.row + begin) / kBlock} + 1};
    Engine random(seed);
    for (size_t i = begin; i < end; ++i)
      make({first.row + i, first.is_query}, random, out + i * options.dim);
    for (size_t i = begin * options.dim; i < end * options.dim; ++i) out[i] += options.offset;
  });
  return matrix;
}

// A bit for each element: whether it is positive.
Result<Matrix> Signs(const Matrix& floats) {
  auto bits = Matrix::Create(ScalarType::kBit, floats.rows(), floats.dim());
  if (!bits) return bits;
  const auto* const in = reinterpret_cast<const float*>(floats.data());
  for (size_t row = 0; row < floats.rows(); ++row)
    for (size_t d = 0; d < floats.dim(); ++d)
      if (in[row * floats.dim() + d] > 0)
        bits->data()[row * bits->row_bytes() + d / 8] |= std::byte{1} << d % 8;
  return bits;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> GeneratedSets() {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Entry& set : kSets)
    all.emplace_back(set.name, fmt::format("{} ({})", set.summary, MetricName(set.metric)));
  return all;
}

Result<GeneratedSet> GenerateSet(const GeneratedSetOptions& options) {
  const auto* const set = std::ranges::find(kSets, options.set, &Entry::name);
  if (set == std::end(kSets))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("set: expected a known one, found \"{}\"", options.set));
  if (options.clusters < 1 || options.clusters > options.rows || options.recent > options.rows)
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("clusters, recent: expected at most the {} rows, found {}, {}",
                                 options.rows, options.clusters, options.recent));
  const ScalarType type = set->metric == Metric::kHamming ? ScalarType::kBit : ScalarType::kFloat32;
  const Metric metric = options.metric.value_or(set->metric);
  if (!IsPossible(type, metric))
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("metric: expected one of {} vectors, found {}",
                                 ScalarTypeName(type), MetricName(metric)));
  Engine random(options.seed);
  const MakePoint make = set->make(options, random);
  auto rows = Points(make, options, {0, false}, options.rows);
  if (!rows) return tl::unexpected(rows.error());
  // Queries come behind the last block of the rows.
  const size_t behind = (options.rows / 1000 + 1) * 1000;
  auto queries = Points(make, options, {behind, true}, options.queries);
  if (!queries) return tl::unexpected(queries.error());
  if (type == ScalarType::kBit) {
    rows = Signs(*rows);
    if (!rows) return tl::unexpected(rows.error());
    queries = Signs(*queries);
    if (!queries) return tl::unexpected(queries.error());
  }
  return GeneratedSet{std::move(*rows), std::move(*queries), metric};
}

}  // namespace shoal::bench
