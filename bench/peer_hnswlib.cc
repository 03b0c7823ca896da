// hnswlib behind the worker's protocol. Compiled for the machine it runs on, as its users do.
#include <hnswlib/hnswlib.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "worker/worker.h"

namespace shoal::bench {
namespace {

struct Bits : hnswlib::BaseFilterFunctor {
  std::span<const uint8_t> accepted;
  bool operator()(hnswlib::labeltype label) override {
    return (accepted[label / 8] >> (label % 8) & 1) != 0;
  }
};

// Labels of the k nearest, nearest first; returns how many.
template <class Distance>
size_t SearchHnsw(const hnswlib::HierarchicalNSW<Distance>& graph, const void* query, size_t k,
                  hnswlib::BaseFilterFunctor* filter, uint32_t* ids) {
  auto found = graph.searchKnn(query, k, filter);
  const size_t n = found.size();
  for (size_t i = n; i-- > 0; found.pop()) ids[i] = static_cast<uint32_t>(found.top().second);
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

class Hnsw {
 public:
  virtual ~Hnsw() = default;
  virtual void Add(const std::byte* row, size_t id) = 0;
  virtual void Replace(size_t leaving, const std::byte* row, size_t id) = 0;
  virtual void Save(const std::string& path) = 0;
  virtual void SetEf(size_t ef) = 0;
  void Accept(std::span<const uint8_t> accepted) { bits_.accepted = accepted; }
  virtual size_t Search(const std::byte* query, size_t k, uint32_t* ids) = 0;
  virtual size_t SearchCounted(const std::byte* query, size_t k, uint32_t* ids,
                               uint64_t& distances) = 0;

 protected:
  hnswlib::BaseFilterFunctor* filter() { return bits_.accepted.empty() ? nullptr : &bits_; }

 private:
  Bits bits_;
};

// One of hnswlib's spaces (float or integer distances) and its graph.
template <class Space, class Distance>
class HnswOf : public Hnsw {
 public:
  HnswOf(size_t dim, size_t rows, const BuildOptions& options, bool replaces)
      : space_(dim), graph_(&space_, rows, options.degree / 2, options.list_size, 100, replaces) {}
  HnswOf(size_t dim, const std::string& path) : space_(dim), graph_(&space_, path) {}

  void Add(const std::byte* row, size_t id) override { graph_.addPoint(row, id); }
  void Replace(size_t leaving, const std::byte* row, size_t id) override {
    graph_.markDelete(leaving);
    graph_.addPoint(row, id, true);
  }
  void Save(const std::string& path) override { graph_.saveIndex(path); }
  void SetEf(size_t ef) override { graph_.setEf(ef); }

  size_t Search(const std::byte* query, size_t k, uint32_t* ids) override {
    return SearchHnsw(graph_, query, k, filter(), ids);
  }

  size_t SearchCounted(const std::byte* query, size_t k, uint32_t* ids,
                       uint64_t& distances) override {
    const DistanceCount count(graph_);
    const size_t n = Search(query, k, ids);
    distances += count.counted();
    return n;
  }

 private:
  Space space_;
  hnswlib::HierarchicalNSW<Distance> graph_;
};

using FloatHnsw = HnswOf<hnswlib::L2Space, float>;
using ByteHnsw = HnswOf<hnswlib::L2SpaceI, int>;
using ProductHnsw = HnswOf<hnswlib::InnerProductSpace, float>;

class HnswlibEngine : public Engine {
 public:
  void Describe(Reply& reply) const override {
#if defined(USE_AVX512)
    reply.Set("isa", std::string_view(AVX512Capable() ? "avx512" : "avx"));
#elif defined(USE_AVX)
    reply.Set("isa", std::string_view("avx"));
#else
    reply.Set("isa", std::string_view("sse"));
#endif
    reply.Set("version", std::string_view("hnswlib"));
  }

  void Build(const Rows& rows, const BuildOptions& options) override {
    Create(rows, rows.rows(), options, false);
    graph_->Add(rows[0], 0);
    std::atomic<size_t> next{1};
    auto work = [&] {
      for (size_t i; (i = next.fetch_add(1)) < rows.rows();) graph_->Add(rows[i], i);
    };
    std::vector<std::thread> others;
    for (size_t t = 1; t < options.threads; ++t) others.emplace_back(work);
    work();
    for (std::thread& t : others) t.join();
  }

  void Settings(const BuildOptions& options, Reply& reply) const override {
    reply.Set("set_M", uint64_t{options.degree / 2});
    reply.Set("set_ef_construction", uint64_t{options.list_size});
  }

  void Save(const std::string& path) const override { graph_->Save(path); }
  void Open(const std::string& path, const Rows& shape) override {
    if (shape.element() == Element::kFloat32) {
      graph_ = std::make_unique<FloatHnsw>(shape.dim(), path);
    } else {
      graph_ = std::make_unique<ByteHnsw>(shape.dim(), path);
    }
  }
  // With allow_replace_deleted, and room for what the threads hold at once: deleted, not replaced.
  void Begin(const Rows& shape, size_t window, const BuildOptions& options) override {
    Create(shape, window + 64, options, true);
  }
  void Insert(size_t id, const std::byte* row) override { graph_->Add(row, id); }
  void Replace(size_t leaving, size_t id, const std::byte* row) override {
    graph_->Replace(leaving, row, id);
  }
  void SetListSize(size_t list_size) override { graph_->SetEf(list_size); }
  void Accept(std::span<const uint8_t> accepted, size_t) override { graph_->Accept(accepted); }
  size_t Search(const std::byte* query, size_t k, uint32_t* ids) override {
    return graph_->Search(query, k, ids);
  }
  size_t SearchCounted(const std::byte* query, size_t k, uint32_t* ids,
                       uint64_t& distances) override {
    return graph_->SearchCounted(query, k, ids, distances);
  }

 private:
  void Create(const Rows& shape, size_t rows, const BuildOptions& options, bool replaces) {
    const bool l2 = options.metric == "l2";
    if (shape.element() == Element::kFloat32 && l2) {
      graph_ = std::make_unique<FloatHnsw>(shape.dim(), rows, options, replaces);
    } else if (shape.element() == Element::kFloat32 && options.metric == "inner_product") {
      graph_ = std::make_unique<ProductHnsw>(shape.dim(), rows, options, replaces);
    } else if (shape.element() == Element::kUint8 && l2) {
      graph_ = std::make_unique<ByteHnsw>(shape.dim(), rows, options, replaces);
    } else {
      throw std::runtime_error("hnswlib's integer space is for u8 and l2");
    }
  }

  std::unique_ptr<Hnsw> graph_;
};

}  // namespace
}  // namespace shoal::bench

int main() {
  shoal::bench::HnswlibEngine engine;
  return shoal::bench::Serve(engine);
}
