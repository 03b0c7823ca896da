// The sliding window on hnswlib, with allow_replace_deleted; see window.h.
#include "hnswlib_search.h"
#include "window.h"

namespace shoal::bench {
namespace {

class HnswWindow {
 public:
  HnswWindow(const WindowOptions& options, size_t dim)
      : space_(dim),
        // Room for what the threads hold at once: deleted, not yet replaced.
        graph_(&space_, options.window + 64, options.degree / 2, options.list, 100, true) {}

  void Insert(size_t id, const std::byte* row) { graph_.addPoint(row, id); }
  void Replace(size_t leaving, size_t id, const std::byte* row) {
    graph_.markDelete(leaving);
    graph_.addPoint(row, id, true);
  }
  void Finish() {}
  size_t Search(const std::byte* query, size_t k, size_t list, uint64_t* ids) {
    graph_.setEf(list);
    return SearchHnsw(graph_, query, k, ids);
  }

 private:
  hnswlib::L2Space space_;
  hnswlib::HierarchicalNSW<float> graph_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  return shoal::bench::WindowMain<shoal::bench::HnswWindow>(argc, argv);
}
