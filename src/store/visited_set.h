// The visited set of a search or a subtree re-attachment: a hash set that fits the near caches,
// whatever the size of the index.
//
// Half of all look-ups hit and half miss, so a branch on the outcome would be mispredicted all the
// time. So buckets of eight are compared as a whole, and a slot is stored either way. The only
// branch is for a full bucket, which is rare.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/tag.h"

namespace shoal {

class VisitedSet {
 public:
  // Empties it. `expected`: how many slots are likely to be inserted. More make it grow.
  void Reset(size_t expected) {
    size_t buckets = 64;
    while (buckets * kExpectedPerBucket < expected) buckets *= 2;
    Resize(buckets);
  }

  // Inserts ids[0, n), and keeps of them those that were not there, in order. Returns how many.
  size_t KeepNew(SlotId* ids, size_t n) {
    if (size_ + n > buckets_used_ * kExpectedPerBucket * 2) Grow(size_ + n);
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const SlotId slot = ids[i];
      ids[kept] = slot;
      kept += InsertOne(slot);
    }
    size_ += kept;
    return kept;
  }

  // Likewise, and of distances[0, n) those of the ids that are kept.
  size_t KeepNew(SlotId* ids, float* distances, size_t n) {
    if (size_ + n > buckets_used_ * kExpectedPerBucket * 2) Grow(size_ + n);
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const SlotId slot = ids[i];
      ids[kept] = slot;
      distances[kept] = distances[i];
      kept += InsertOne(slot);
    }
    size_ += kept;
    return kept;
  }

  // False if it was there.
  bool Insert(SlotId slot) { return KeepNew(&slot, 1) == 1; }

  bool Contains(SlotId slot) const {
    size_t at = BucketOf(slot);
    while (buckets_[at].Lacks(slot) != 0) {
      if (counts_[at] < kBucketSlots) return false;
      at = (at + 1) & mask_;
    }
    return true;
  }

  size_t bytes() const { return buckets_.capacity() * sizeof(Bucket) + counts_.capacity(); }

 private:
  static constexpr size_t kBucketSlots = 8;
  static constexpr size_t kExpectedPerBucket = 2;
  struct alignas(32) Bucket {
    SlotId slots[kBucketSlots];
    // 1 if it does not hold the slot, else 0. In arithmetic: g++ 12 compiles a comparison to a
    // branch in the caller, and a plain loop to eight scalar compares.
    uint32_t Lacks(SlotId slot) const {
#if defined(__SSE2__)
      const __m128i wanted = _mm_set1_epi32(static_cast<int>(slot));
      const auto* half = reinterpret_cast<const __m128i*>(slots);
      const __m128i low = _mm_cmpeq_epi32(_mm_load_si128(half), wanted);
      const __m128i high = _mm_cmpeq_epi32(_mm_load_si128(half + 1), wanted);
      const auto mask = static_cast<uint32_t>(_mm_movemask_epi8(_mm_or_si128(low, high)));
      return (mask - 1) >> 31;
#else
      return std::find(slots, slots + kBucketSlots, slot) == slots + kBucketSlots ? 1 : 0;
#endif
    }
  };

  size_t BucketOf(SlotId slot) const { return (slot * 0x9e3779b1u >> 8) & mask_; }

  // 1 if it was not there.
  uint32_t InsertOne(SlotId slot) {
    const size_t at = BucketOf(slot);
    const uint32_t count = counts_[at];
    if (count == kBucketSlots) [[unlikely]]
      return InsertBehind(at, slot);
    const uint32_t fresh = buckets_[at].Lacks(slot);
    buckets_[at].slots[count] = slot;  // If it was there, it is stored again and not counted.
    counts_[at] = static_cast<uint8_t>(count + fresh);
    return fresh;
  }

  // A slot whose bucket is full goes to the first bucket behind it that is not.
  uint32_t InsertBehind(size_t at, SlotId slot) {
    while (counts_[at] == kBucketSlots) {
      if (buckets_[at].Lacks(slot) == 0) return 0;
      at = (at + 1) & mask_;
    }
    const uint32_t fresh = buckets_[at].Lacks(slot);
    buckets_[at].slots[counts_[at]] = slot;
    counts_[at] = static_cast<uint8_t>(counts_[at] + fresh);
    return fresh;
  }

  void Resize(size_t buckets) {
    if (buckets_.size() < buckets) {
      counts_.resize(buckets);  // First: after bad_alloc from the second, both are tried again.
      buckets_.resize(buckets);
    }
    std::fill_n(&buckets_[0].slots[0], buckets * kBucketSlots, kNoSlot);
    std::fill_n(counts_.begin(), buckets, uint8_t{0});
    mask_ = buckets - 1;
    buckets_used_ = buckets;
    size_ = 0;
  }

  void Grow(size_t expected) {
    std::vector<SlotId> old;
    for (size_t b = 0; b < buckets_used_; ++b)
      old.insert(old.end(), buckets_[b].slots, buckets_[b].slots + counts_[b]);
    Reset(2 * std::max(expected, old.size()));
    for (const SlotId slot : old) InsertOne(slot);
    size_ = old.size();
  }

  std::vector<Bucket> buckets_;
  std::vector<uint8_t> counts_;  // Slots in each bucket.
  size_t buckets_used_ = 0;      // Buckets in use, a power of two.
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace shoal
