// Searches of hnswlib as the jobs ask for them, and a count of their distances.
#pragma once

#include <hnswlib/hnswlib.h>

#include <cstddef>
#include <cstdint>

namespace shoal::bench {

// Labels of the k nearest, nearest first; returns how many.
template <class Distance, class Id>
size_t SearchHnsw(const hnswlib::HierarchicalNSW<Distance>& graph, const void* query, size_t k,
                  Id* ids) {
  auto found = graph.searchKnn(query, k);
  const size_t n = found.size();
  for (size_t i = n; i-- > 0; found.pop()) ids[i] = static_cast<Id>(found.top().second);
  return n;
}

// Counts the distances of a graph while it lives, one at a time. hnswlib's own counters are off in
// searchKnn, and would count visited points again: so a distance function that counts stands in,
// outside of timed runs.
template <class Distance>
class DistanceCount {
 public:
  explicit DistanceCount(hnswlib::HierarchicalNSW<Distance>& graph) : graph_(graph) {
    counted_ = 0;
    original_ = graph.fstdistfunc_;
    graph.fstdistfunc_ = &Counting;
  }
  DistanceCount(const DistanceCount&) = delete;
  DistanceCount& operator=(const DistanceCount&) = delete;
  ~DistanceCount() { graph_.fstdistfunc_ = original_; }

  uint64_t counted() const { return counted_; }

 private:
  static Distance Counting(const void* a, const void* b, const void* dim) {
    ++counted_;
    return original_(a, b, dim);
  }
  static inline uint64_t counted_ = 0;
  static inline hnswlib::DISTFUNC<Distance> original_ = nullptr;

  hnswlib::HierarchicalNSW<Distance>& graph_;
};

}  // namespace shoal::bench
