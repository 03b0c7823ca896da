#include "stored_vectors.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace shoal {
namespace {

// The store grows by a quarter, at least by so many slots.
constexpr uint32_t kLeastGrowth = 1024;

}  // namespace

Status StoredVectors::Grow(uint32_t slots) {
  const MutexLock lock(growing_);
  if (slots <= grown_.load(std::memory_order_relaxed)) return {};
  if (Status grown = store_->Grow(slots); !grown) return grown;
  grown_.store(slots, std::memory_order_release);
  return {};
}

Status StoredVectors::Put(FeatureKey key, VectorView vector) {
  const uint32_t slots = grown_.load(std::memory_order_acquire);
  if (key.slot >= slots)
    if (Status grown = Grow(key.slot + 1 + std::max(kLeastGrowth, slots / 4)); !grown) return grown;
  return store_->Put(key, static_cast<const std::byte*>(vector.data()));
}

Status StoredVectors::ScoreFetched(size_t begin, const Scorer& scorer, const FetchWork& scratch,
                                   size_t& kept) const {
  FetchScratch& fetch = scratch.fetch;
  std::vector<Candidate>& ranked = scratch.search.ranked;
  const std::byte** const rows = scratch.search.rows;
  if (has_suffix_) fetch.rows.resize(SearchScratch::kMaxIds * codec_.row_bytes());
  if (Status fetched = FetchRows(*store_, fetch, rows); !fetched) return fetched;
  const size_t first = kept;
  size_t found = 0;
  for (size_t i = 0; i < fetch.keys.size(); ++i) {
    if (rows[i] == nullptr) continue;
    ranked[kept++] = ranked[begin + i];
    rows[found] = rows[i];
    if (has_suffix_) {
      std::byte* const row = fetch.rows.data() + found * codec_.row_bytes();
      std::memcpy(row, rows[i], vector_bytes());
      codec_.Complete(row);
      rows[found] = row;
    }
    ++found;
  }
  scorer.Score(rows, found, scratch.search.distances);
  for (size_t i = 0; i < found; ++i) ranked[first + i].distance = scratch.search.distances[i];
  return {};
}

Status StoredVectors::Copy(FeatureKey key, MutableVectorView out, const FetchWork& scratch) const {
  FetchScratch& fetch = scratch.fetch;
  const RestAtEnd rest(fetch);
  fetch.keys.assign(1, key);
  if (Status fetched = FetchRows(*store_, fetch, scratch.search.rows); !fetched) return fetched;
  const std::byte* const row = scratch.search.rows[0];
  if (row == nullptr)
    return MakeError(ErrorCode::kNotFound,
                     "id " + std::to_string(key.id) + ": its vector is not in the feature store");
  std::memcpy(out.data(), row, out.bytes());
  return {};
}

Status StoredVectors::AppendRow(FeatureKey key, const FetchWork& scratch,
                                std::vector<std::byte>& out) const {
  const size_t begin = out.size();
  out.resize(begin + codec_.row_bytes());
  std::byte* const row = out.data() + begin;
  if (Status copied = Copy(key, {row, type_, dim_}, scratch); !copied) return copied;
  codec_.Complete(row);
  return {};
}

}  // namespace shoal
