#include "runbook/clusters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

#include "jobs/data.h"
#include "jobs/random.h"
#include "runbook/pattern_tools.h"
#include "shoal/exact.h"

namespace shoal::bench {
namespace {

class Clusters {
 public:
  Clusters(MatrixView rows, const ClusterOptions& options)
      : rows_(rows), options_(options), dim_(rows.dim()) {}

  Result<ClusterOrder> Run() {
    if (options_.clusters < 1 || options_.clusters > rows_.rows()) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("clusters: expected 1 to {}, the rows, found {}", rows_.rows(),
                                   options_.clusters));
    }
    if (auto ok = FindCentres(); !ok) return tl::unexpected(ok.error());
    std::vector<uint32_t> all(rows_.rows()), cluster_of;
    std::iota(all.begin(), all.end(), 0u);
    constexpr size_t kBlock = 50000;
    for (size_t begin = 0; begin < all.size(); begin += kBlock) {
      const auto block =
          Floats(std::span(all).subspan(begin, std::min(kBlock, all.size() - begin)));
      if (!block) return tl::unexpected(block.error());
      const auto of = Assign(*block);
      if (!of) return tl::unexpected(of.error());
      cluster_of.insert(cluster_of.end(), of->begin(), of->end());
    }
    std::stable_sort(all.begin(), all.end(),
                     [&](uint32_t a, uint32_t b) { return cluster_of[a] < cluster_of[b]; });
    ClusterOrder order{std::move(all), {}};
    for (uint32_t i = 0; i < order.rows.size(); ++i)
      if (i == 0 || cluster_of[order.rows[i]] != cluster_of[order.rows[i - 1]])
        order.bounds.push_back(i);
    return order;
  }

 private:
  // Some rows as float32.
  Result<Matrix> Floats(std::span<const uint32_t> which) const {
    auto rows = Reorder(rows_, which);
    if (!rows) return rows;
    auto floats = ConvertRows(std::move(*rows), ScalarType::kFloat32, "rows");
    if (!floats) return MakeError(ErrorCode::kOutOfMemory, floats.error());
    return std::move(*floats);
  }

  // The number of the nearest centre of each vector.
  Result<std::vector<uint32_t>> Assign(MatrixView vectors) const {
    auto found = ExactSearch(MatrixView(std::span<const float>(centres_), dim_), vectors,
                             {.k = 1, .batch = options_.batch});
    if (!found) return tl::unexpected(found.error());
    return std::move(found->ids);
  }

  Status FindCentres() {
    Random random(options_.seed);
    const std::vector<size_t> order = Shuffled(random, rows_.rows());
    const size_t n = std::min(std::max<size_t>(options_.sample, options_.clusters), order.size());
    const auto sample =
        Floats(std::vector<uint32_t>(order.begin(), order.begin() + static_cast<ptrdiff_t>(n)));
    if (!sample) return tl::unexpected(sample.error());
    const std::span values(reinterpret_cast<const float*>(sample->data()), n * dim_);
    const auto first = values.first(options_.clusters * dim_);
    centres_.assign(first.begin(), first.end());
    for (size_t round = 0; round < options_.rounds; ++round) {
      const auto of = Assign(*sample);
      if (!of) return tl::unexpected(of.error());
      MoveCentres(values, *of);
    }
    return {};
  }

  // Each to the mean of its vectors; one that has none stays.
  void MoveCentres(std::span<const float> values, const std::vector<uint32_t>& of) {
    std::vector<double> sums(centres_.size(), 0);
    std::vector<size_t> counts(options_.clusters, 0);
    for (size_t s = 0; s < of.size(); ++s) {
      ++counts[of[s]];
      for (size_t i = 0; i < dim_; ++i) sums[of[s] * dim_ + i] += values[s * dim_ + i];
    }
    for (size_t at = 0; at < sums.size(); ++at) {
      const auto count = static_cast<double>(counts[at / dim_]);
      if (count > 0) centres_[at] = static_cast<float>(sums[at] / count);
    }
  }

  const MatrixView rows_;
  const ClusterOptions options_;
  const size_t dim_;
  std::vector<float> centres_;
};

}  // namespace

Result<ClusterOrder> OrderByCluster(MatrixView rows, const ClusterOptions& options) {
  return Clusters(rows, options).Run();
}

Result<Matrix> Reorder(MatrixView rows, std::span<const uint32_t> order) {
  auto sorted = Matrix::Create(rows.type(), order.size(), rows.dim());
  for (size_t i = 0; sorted && i < order.size(); ++i)
    std::memcpy(sorted->data() + i * rows.row_bytes(), rows[order[i]].data(), rows.row_bytes());
  return sorted;
}

}  // namespace shoal::bench
