// A stream of points of a Gaussian mixture, and queries of the same mixture.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "need.h"
#include "shoal/dataset.h"

namespace shoal::bench {

struct MixtureOptions {
  size_t clusters = 200, dim = 32;
  // Standard deviation within a cluster, by that of the centres, which is 1.
  float spread = 0.15f;
  // The first `live` points of the stream fill the index, `turnovers` times as many follow.
  size_t live = 20000, turnovers = 0, queries = 2000;
  // random: any cluster has the next point; clusters: the clusters one after another, all of them
  // in every turnover; drift: the same, but each comes once, and those that came first go for good.
  std::string order = "random";
  uint64_t seed = 1;

  size_t rows() const { return live * (turnovers + 1); }
};

// The same options give the same vectors, with the same C++ library.
class Mixture {
 public:
  explicit Mixture(const MixtureOptions& options)
      : options_(options), random_(options.seed), centers_(options.clusters * options.dim) {
    for (float& center : centers_) center = normal_(random_);
    std::vector<size_t> cluster_of(options.rows());
    for (size_t i = 0; i < cluster_of.size(); ++i) cluster_of[i] = ClusterOfRow(i);
    rows_ = Points(cluster_of);
    // Queries look for what is there at the end: under drift, not all clusters.
    std::vector<size_t> asked_for(options.queries);
    for (size_t& cluster : asked_for)
      cluster = cluster_of[options.rows() - 1 - random_() % options.live];
    queries_ = Points(asked_for);
  }

  const Matrix& rows() const { return rows_; }  // In the order in which they come.
  const Matrix& queries() const { return queries_; }

 private:
  size_t ClusterOfRow(size_t row) {
    if (options_.order == "random") return random_() % options_.clusters;
    const size_t period = options_.order == "drift" ? options_.rows() : options_.live;
    return row % period * options_.clusters / period;
  }

  Matrix Points(const std::vector<size_t>& cluster_of) {
    const size_t dim = options_.dim;
    Matrix points = Need(Matrix::Create(ScalarType::kFloat32, cluster_of.size(), dim));
    auto* out = reinterpret_cast<float*>(points.data());
    for (const size_t cluster : cluster_of) {
      const float* center = centers_.data() + cluster * dim;
      out = std::transform(center, center + dim, out,
                           [&](float x) { return x + options_.spread * normal_(random_); });
    }
    return points;
  }

  const MixtureOptions options_;
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
  std::vector<float> centers_;  // clusters x dim
  Matrix rows_, queries_;
};

}  // namespace shoal::bench
