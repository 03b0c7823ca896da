#include "runbook/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

#include "runbook/pattern_tools.h"
#include "runbook/vector_tools.h"
#include "shoal/exact.h"

namespace shoal::bench {
namespace {

class Clusters {
 public:
  Clusters(MatrixView rows, const ClusterOptions& options)
      : rows_(rows), options_(options), dim_(rows.dim()), random_(options.seed) {}

  Result<ClusterOrder> Run() {
    if (options_.clusters < 1 || options_.clusters > rows_.rows()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("clusters: expected 1 to {}, the rows, found {}", rows_.rows(),
                                   options_.clusters));
    }
    if (auto ok = FindCentres(); !ok) return tl::unexpected(ok.error());
    std::vector<uint32_t> cluster_of;
    constexpr size_t kBlock = 50000;
    for (size_t begin = 0; begin < rows_.rows(); begin += kBlock) {
      const size_t n = std::min(kBlock, rows_.rows() - begin);
      const auto of = Assign(Floats(rows_.Slice(begin, n)));
      if (!of) return tl::unexpected(of.error());
      cluster_of.insert(cluster_of.end(), of->begin(), of->end());
    }
    ClusterOrder order;
    order.rows.resize(rows_.rows());
    std::iota(order.rows.begin(), order.rows.end(), 0u);
    std::stable_sort(order.rows.begin(), order.rows.end(), [&](uint32_t a, uint32_t b) {
      return cluster_of[a] < cluster_of[b];
    });
    for (uint32_t i = 0; i < order.rows.size(); ++i)
      if (i == 0 || cluster_of[order.rows[i]] != cluster_of[order.rows[i - 1]])
        order.bounds.push_back(i);
    return order;
  }

 private:
  // The number of the nearest centre of each vector.
  Result<std::vector<uint32_t>> Assign(const std::vector<float>& vectors) const {
    auto found = ExactSearch(MatrixView(std::span<const float>(centres_), dim_),
                             MatrixView(std::span<const float>(vectors), dim_),
                             {.k = 1, .batch = options_.batch});
    if (!found) return tl::unexpected(found.error());
    return std::move(found->ids);
  }

  Status FindCentres() {
    auto order = random_.Order(rows_.rows());
    order.resize(std::min(std::max<size_t>(options_.sample, options_.clusters), order.size()));
    std::vector<float> sample;
    for (const size_t row : order) {
      const std::vector<float> one = Floats(rows_.Slice(row, 1));
      sample.insert(sample.end(), one.begin(), one.end());
    }
    centres_.assign(sample.begin(),
                    sample.begin() + static_cast<ptrdiff_t>(options_.clusters * dim_));
    for (size_t round = 0; round < options_.rounds; ++round) {
      const auto of = Assign(sample);
      if (!of) return tl::unexpected(of.error());
      std::vector<double> sums(centres_.size(), 0);
      std::vector<size_t> counts(options_.clusters, 0);
      for (size_t s = 0; s < of->size(); ++s) {
        ++counts[(*of)[s]];
        for (size_t i = 0; i < dim_; ++i) sums[(*of)[s] * dim_ + i] += sample[s * dim_ + i];
      }
      for (size_t c = 0; c < counts.size(); ++c)
        for (size_t i = 0; counts[c] > 0 && i < dim_; ++i)
          centres_[c * dim_ + i] =
              static_cast<float>(sums[c * dim_ + i] / static_cast<double>(counts[c]));
    }
    return {};
  }

  const MatrixView rows_;
  const ClusterOptions options_;
  const size_t dim_;
  PlainRandom random_;
  std::vector<float> centres_;
};

}  // namespace

Result<ClusterOrder> OrderByCluster(MatrixView rows, const ClusterOptions& options) {
  return Clusters(rows, options).Run();
}

Result<Matrix> Reorder(MatrixView rows, const std::vector<uint32_t>& order) {
  auto sorted = Matrix::Create(rows.type(), order.size(), rows.dim());
  for (size_t i = 0; sorted && i < order.size(); ++i)
    std::memcpy(sorted->data() + i * rows.row_bytes(), rows[order[i]].data(), rows.row_bytes());
  return sorted;
}

}  // namespace shoal::bench
