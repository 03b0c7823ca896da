// Clusters larger than a search's list, far from each other: is every one of them found, also when
// their points come and go? Recall, distances and the cost of updates, beside a fresh index.
//
//   clusters --clusters 200 --dim 32 --spread 0.15 --live 20000 --turnovers 2 --build-list 50
//   clusters --clusters 1000 --live 100000 --order clusters
//
// A Gaussian mixture (clusters/mixture.h), float32, squared L2, from which the queries are drawn,
// too. After the fill a window slides: each further point comes, then the oldest goes. One thread,
// so a run repeats exactly but for its times, which are of that thread's CPU clock.
//
// The table: of the index that all points went through, and with --turnovers of a fresh one, made
// of the points that are live at the end. The job beside it, clusters_hnswlib, prints the same.
#include "clusters/job.h"
#include "shoal/index.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

class ShoalClusters {
 public:
  explicit ShoalClusters(const ClustersOptions& options)
      : options_(options),
        index_(Need(Index::Create({.dim = static_cast<uint32_t>(options.mixture.dim),
                                   .max_degree = options.degree,
                                   .build_list_size = options.build_list}))) {}

  static std::vector<std::string> Fills() { return {"inserts", "batch"}; }
  void Fill(size_t first, MatrixView rows) {
    if (options_.fill == "inserts") {
      for (size_t i = 0; i < rows.rows(); ++i) Insert(first + i, rows[i]);
      return;
    }
    std::vector<ExternalId> ids(rows.rows());
    std::iota(ids.begin(), ids.end(), first);
    const auto report = Need(index_.InsertMany(ids, rows, {.threads = 1}));
    if (!report.failures.empty()) Fail(report.failures[0].error.message);
  }
  void Insert(size_t id, VectorView row) { Need(index_.Insert(id, row)); }
  void Delete(size_t id) { Need(index_.Delete(id)); }
  void Finish() { Need(index_.Consolidate({.threads = 1})); }
  size_t Search(VectorView query, size_t k, size_t list, uint64_t* ids, uint64_t& distances) {
    WorkCounters work;
    const size_t hits =
        Need(index_.Search(query, {.k = k, .search_list_size = list}, {ids, k}, {}, &work));
    distances += work.distances;
    return hits;
  }

  static std::string Name() { return fmt::format("shoal isa={}", ActiveIsa()); }
  std::string Structure() const {
    const Status sound = index_.CheckStructure();
    return fmt::format("structure: {}; unreachable: {}", sound ? "sound" : sound.error().message,
                       index_.Diagnostics().unreachable);
  }

 private:
  const ClustersOptions options_;
  Index index_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  return shoal::bench::ClustersMain<shoal::bench::ShoalClusters>(argc, argv, 100);
}
