// From the tail to the graph, and the graph's repair.
#include <algorithm>
#include <string>
#include <utility>

#include "vector_set_impl.h"

namespace shoal::vset {
namespace {

// Removed elements that wait for their repair, beyond which Maintain is wanted: so many, and this
// share of all. (Guessed: they cost memory, and searches pass through them.)
constexpr size_t kRepairFrom = 64;
constexpr size_t kRepairShare = 8;
// Slots from which on a graph is compacted when less than one in so many has a point. (Guessed:
// fewer slots are less than two megabytes.)
constexpr uint64_t kCompactFrom = 4096;
constexpr uint64_t kCompactShare = 2;

ScalarType ScalarTypeOfEncoding(const EncodingOptions& options) {
  switch (options.quantization) {
    case Quantization::kFloat32: return ScalarType::kFloat32;
    case Quantization::kInt8: return ScalarType::kInt8;
    case Quantization::kBinary: break;
  }
  return ScalarType::kBit;
}

Metric MetricOf(const EncodingOptions& options) {
  if (options.quantization == Quantization::kBinary) return Metric::kHamming;
  switch (options.similarity) {
    case Similarity::kCosine: return Metric::kCosine;
    case Similarity::kL2: return Metric::kL2;
    case Similarity::kInnerProduct: break;
  }
  return Metric::kInnerProduct;
}

// EF counts candidates of HNSW. A list half as long makes a graph that finds no less at equal EF of
// searches, for a graph of one layer has all its edges there (sift-20k, float32, EF 200: recall@10
// .96 at EF 20 either way). But a list should hold as many candidates as a point has edges.
uint32_t BuildListSize(const VectorSetOptions& options, uint32_t max_degree) {
  const uint32_t half = options.build_ef / 2;
  return std::min({std::max(half, max_degree), options.build_ef, kMaxListSize});
}

// The whole vector is what searches traverse, so that the graph has the only copy, to the last bit.
// Deleted points are repaired by Maintain: an owner that removes does not wait.
IndexOptions GraphOptions(const VectorSetOptions& options) {
  const uint32_t max_degree = std::min(2 * options.links, kMaxDegree);
  return {.dim = options.encoding.dim,
          .scalar_type = ScalarTypeOfEncoding(options.encoding),
          .metric = MetricOf(options.encoding),
          .code = Code::kFull,
          .max_degree = max_degree,
          .build_list_size = BuildListSize(options, max_degree),
          .runtime = {.repair = RepairPolicy::kManual}};
}

// Most points were removed.
bool IsSparse(const IndexStats& stats) {
  return stats.slots_used > kCompactFrom && stats.points < stats.slots_used / kCompactShare;
}

}  // namespace

VectorView VectorSet::Impl::ViewOf(const std::byte* bytes) const {
  return {bytes, ScalarTypeOfEncoding(encoding_.options()), encoding_.options().dim};
}

bool VectorSet::Impl::VectorOf(const Element& element, std::span<std::byte> buffer,
                               EncodedView& vector) const {
  // MOVED, pairs with LINKED: the point in the graph, before its vector is null here.
  const std::byte* const bytes = element.vector.load(std::memory_order_acquire);
  vector = {.bytes = buffer, .norm = element.norm, .range = element.range};
  if (bytes != nullptr) {
    vector.bytes = {bytes, encoding_.bytes()};
    return true;
  }
  const MutableVectorView copy(buffer.data(), ScalarTypeOfEncoding(encoding_.options()),
                               encoding_.options().dim);
  return bool{index()->Get(element.id, copy)};
}

bool VectorSet::Impl::WantsGraph() const {
  return encoding_.options().dim <= shoal::kMaxDim && (index() != nullptr || size() >= kLinkFrom);
}

size_t VectorSet::Impl::Unlinked() const {
  if (!WantsGraph()) return 0;
  const std::lock_guard lock(mutex_);
  return tail_.linkable();
}

bool VectorSet::Impl::TailIsFull() const {
  if (!WantsGraph()) return false;
  const std::lock_guard lock(mutex_);
  return tail_.linkable() > kMaxTail && tail_.waiting() > 0;
}

// Under the mutex.
Status VectorSet::Impl::EnsureGraph() {
  if (owned_index_ != nullptr) return {};
  Result<Index> made = Index::Create(GraphOptions(options_));
  if (!made) return tl::unexpected(made.error());
  owned_index_ = std::make_unique<Index>(std::move(*made));
  index_.store(owned_index_.get(), std::memory_order_release);
  return {};
}

Result<bool> VectorSet::Impl::LinkOne() {
  if (!WantsGraph()) return false;
  const auto pass = EnterGate();
  const auto guard = reclaimer_.Pin();  // The vector stays while it is copied into the graph.
  VectorId id = 0;
  const std::byte* vector = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (Status graph = EnsureGraph(); !graph) return tl::unexpected(graph.error());
    const std::optional<VectorId> taken = tail_.TakeWaiting();
    if (!taken) return false;
    id = *taken;
    vector = table_.Find(id)->vector.load(std::memory_order_relaxed);
  }
  const Status inserted = index()->Insert(id, ViewOf(vector));
  {
    const std::lock_guard lock(mutex_);
    if (Element* const element = table_.Find(id)) {
      if (!inserted) {
        tail_.PutBack(*element);
        return tl::unexpected(inserted.error());
      }
      tail_.Remove(*element, Tail::Kind::kLinkable);
      // LINKED.
      std::byte* const block = element->vector.exchange(nullptr, std::memory_order_release);
      const size_t bytes = encoding_.bytes() + kBlockOverhead;
      CountBytes(-static_cast<std::ptrdiff_t>(bytes));
      reclaimer_.Retire(block, bytes);
      reclaimer_.Collect();
      return true;
    }
  }
  // It was removed meanwhile, or has another vector.
  if (inserted) (void)index()->Delete(id);
  return true;
}

bool VectorSet::Impl::NeedsMaintenance() const {
  const Index* const graph = index();
  if (graph == nullptr) return false;
  const IndexStats stats = graph->Stats();
  return stats.pending_repairs > kRepairFrom + stats.points / kRepairShare || IsSparse(stats);
}

Status VectorSet::Impl::Maintain() {
  Index* const graph = index();
  if (graph == nullptr) return {};
  const auto pass = EnterGate();
  BatchOptions batch{.threads = 1};
  if (options_.gate != nullptr) batch.stop = options_.gate->closing();
  Status repaired;
  if (IsSparse(graph->Stats())) {
    const Result<size_t> freed = graph->Compact(batch);
    if (!freed) repaired = tl::unexpected(freed.error());
  } else {
    repaired = graph->Consolidate(batch);
  }
  if (!repaired && repaired.error().code == ErrorCode::kCancelled) return {};
  return repaired;
}

size_t VectorSet::Unlinked() const { return impl_->Unlinked(); }
bool VectorSet::TailIsFull() const { return impl_->TailIsFull(); }

Result<size_t> VectorSet::Link(size_t most) {
  size_t linked = 0;
  while (linked < most) {
    const Result<bool> one = impl_->LinkOne();
    if (!one) return tl::unexpected(one.error());
    if (!*one) break;
    ++linked;
  }
  return linked;
}

bool VectorSet::NeedsMaintenance() const { return impl_->NeedsMaintenance(); }
Status VectorSet::Maintain() { return impl_->Maintain(); }

}  // namespace shoal::vset
