// The stream of clusters through hnswlib, with allow_replace_deleted; see clusters.cc.
#include "clusters/job.h"
#include "hnswlib_search.h"

namespace shoal::bench {
namespace {

class HnswClusters {
 public:
  explicit HnswClusters(const ClustersOptions& options)
      : space_(options.mixture.dim),
        // Room for the point that comes before the oldest goes.
        graph_(&space_, options.mixture.live + 1, options.degree / 2, options.build_list, 100,
               true) {}

  static std::vector<std::string> Fills() { return {"inserts"}; }
  void Fill(size_t first, MatrixView rows) {
    for (size_t i = 0; i < rows.rows(); ++i) Insert(first + i, rows[i]);
  }
  // In the place of a deleted point, where there is one.
  void Insert(size_t id, VectorView row) { graph_.addPoint(row.data(), id, true); }
  void Delete(size_t id) { graph_.markDelete(id); }
  void Finish() {}
  size_t Search(VectorView query, size_t k, size_t list, uint64_t* ids, uint64_t& distances) {
    graph_.setEf(list);
    const DistanceCount count(graph_);
    const size_t hits = SearchHnsw(graph_, query.data(), k, ids);
    distances += count.counted();
    return hits;
  }

  static std::string Name() { return "hnswlib"; }
  static std::string Structure() { return {}; }

 private:
  hnswlib::L2Space space_;
  hnswlib::HierarchicalNSW<float> graph_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  // ef_construction as in bench/compare.py.
  return shoal::bench::ClustersMain<shoal::bench::HnswClusters>(argc, argv, 200);
}
