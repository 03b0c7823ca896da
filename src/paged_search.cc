#include "paged_search.h"

#include <cstring>

#include "search_calls.h"

namespace shoal {
namespace {

bool IsFarther(float a, float b) { return a > b; }

}  // namespace

PagedSearch::PagedSearch(VectorView query, const SearchOptions& options)
    : options_(options),
      filter_(options.filter == nullptr ? std::nullopt : std::optional(*options.filter)),
      query_bytes_(static_cast<const std::byte*>(query.data()),
                   static_cast<const std::byte*>(query.data()) + query.bytes()),
      query_(query_bytes_.data(), query.type(), query.dim()) {}

// A pass-through point that was expanded is of no more use.
void PagedSearch::Push(const PooledPoint& point) {
  if (!point.eligible && point.expanded) return;
  pool_.push_back(point);
  std::push_heap(pool_.begin(), pool_.end(), [](const PooledPoint& a, const PooledPoint& b) {
    return IsFarther(a.distance, b.distance);
  });
}

PagedSearch::PooledPoint PagedSearch::Pop() {
  std::pop_heap(pool_.begin(), pool_.end(), [](const PooledPoint& a, const PooledPoint& b) {
    return IsFarther(a.distance, b.distance);
  });
  const PooledPoint point = pool_.back();
  pool_.pop_back();
  return point;
}

void PagedSearch::PutBackChosen() {
  for (; !chosen_.empty(); chosen_.pop_back()) Push(chosen_.back());
  for (; !skipped_.empty(); skipped_.pop_back()) Push(skipped_.back());
}

void PagedSearch::Restart() {
  pool_.clear();
  met_.clear();
  has_begun_ = has_all_ = false;
}

bool PagedSearch::TakePlaces(std::span<const uint32_t> labels) {
  for (const uint32_t label : labels) {
    const auto at = label_hits_.find(label);
    if (at != label_hits_.end() && at->second >= options_.max_per_label) return false;
  }
  for (const uint32_t label : labels) ++label_hits_[label];
  return true;
}

size_t PagedSearch::bytes() const {
  constexpr size_t kNode = 32;  // Of a hash table, with its share of the buckets.
  return sizeof(*this) + search_.bytes() +
         HeapBytes(query_bytes_, pool_, met_, expanded_, within_, passed_, taken_, chosen_,
                   skipped_, ranked_, hits_) +
         kNode * (handed_out_.size() + label_hits_.size());
}

Pages::Pages(std::unique_ptr<PagesImpl> impl) : impl_(std::move(impl)) {}
Pages::~Pages() = default;
Pages::Pages(Pages&&) noexcept = default;
Pages& Pages::operator=(Pages&&) noexcept = default;

Result<size_t> Pages::Next(std::span<ExternalId> ids, std::span<float> distances,
                           WorkCounters* work) {
  if (Status ok = CheckPage(ids, distances); !ok) return tl::unexpected(ok.error());
  return impl_->Next(ids, distances, work);
}

Result<std::vector<Hit>> Pages::Next() {
  try {
    std::vector<ExternalId> ids(impl_->page_size());
    std::vector<float> distances(ids.size());
    const Result<size_t> n = impl_->Next(ids, distances, nullptr);
    if (!n) return tl::unexpected(n.error());
    std::vector<Hit> hits(*n);
    for (size_t i = 0; i < *n; ++i) hits[i] = {ids[i], distances[i]};
    return hits;
  } catch (const std::bad_alloc&) {
    return NoMemory("search");
  }
}

size_t Pages::MemoryBytes() const { return impl_->bytes(); }

}  // namespace shoal
