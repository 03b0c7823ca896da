#include "graph/entry_points.h"

#include <algorithm>
#include <limits>

namespace shoal {

size_t EntryPoints::Copy(SlotId* out) const {
  const size_t n = size_.load(std::memory_order_acquire);
  for (size_t i = 0; i < n; ++i) out[i] = entries_[i].load(std::memory_order_relaxed);
  return n;
}

SlotId EntryPoints::Any(uint32_t seed) const {
  const size_t n = size_.load(std::memory_order_acquire);
  if (n == 0) return kNoSlot;
  return entries_[(seed * uint64_t{0x9e3779b97f4a7c15} >> 32) % n].load(std::memory_order_relaxed);
}

void EntryPoints::Offer(SlotId p, float distance, EpochRegistry::Guard& guard, Scratch& scratch) {
  if (distance <= radius_.load(std::memory_order_relaxed) || !choosing_.TryLock()) return;
  if (size_.load(std::memory_order_relaxed) == kMax) Thin(guard, scratch);
  const size_t n = size_.load(std::memory_order_relaxed);
  if (distance > radius_.load(std::memory_order_relaxed)) {
    entries_[n].store(p, std::memory_order_relaxed);
    size_.store(n + 1, std::memory_order_release);
  }
  choosing_.Unlock();
}

void EntryPoints::Restore(std::span<const SlotId> entries, float radius) {
  const MutexLock lock(choosing_);
  for (size_t i = 0; i < entries.size(); ++i)
    entries_[i].store(entries[i], std::memory_order_relaxed);
  radius_.store(radius, std::memory_order_relaxed);
  size_.store(entries.size(), std::memory_order_release);
}

bool EntryPoints::Contains(SlotId p) const {
  const size_t n = size_.load(std::memory_order_acquire);
  for (size_t i = 0; i < n; ++i)
    if (entries_[i].load(std::memory_order_relaxed) == p) return true;
  return false;
}

void EntryPoints::Forget(SlotId p, SlotId heir) {
  if (!Contains(p)) return;
  const MutexLock lock(choosing_);
  size_t n = size_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < n;) {
    if (entries_[i].load(std::memory_order_relaxed) != p) {
      ++i;
    } else if (heir != kNoSlot && !Contains(heir)) {
      entries_[i].store(heir, std::memory_order_relaxed);
    } else {
      entries_[i].store(entries_[--n].load(std::memory_order_relaxed), std::memory_order_relaxed);
      size_.store(n, std::memory_order_release);
    }
  }
}

void EntryPoints::Thin(EpochRegistry::Guard& guard, Scratch& scratch) {
  SlotId all[kMax];
  bool returnable[kMax];
  const std::byte* rows[kMax];
  float between[kMax];
  // Three quarters stay at most, so that the next ones come in without thinning again.
  for (size_t n = kMax; n > kMax * 3 / 4;) {
    n = slots_.KeepReadable(all, Copy(all), slots_.Now(), returnable);
    RamFeatureStore::Reader(features_).Fetch(all, n, rows);
    // Of distances that are squares, a factor of two is a radius one and a half times as large.
    float radius = 2 * radius_.load(std::memory_order_relaxed);
    float closest = std::numeric_limits<float>::max();
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const Scorer scorer = codec_.BindRow(rows[i], scratch.pair_buffer.data());
      scorer.Score(rows, kept, between);
      guard.work.distances += kept;
      const float nearest = kept == 0 ? std::numeric_limits<float>::max()
                                      : *std::min_element(between, between + kept);
      closest = std::min(closest, nearest);
      if (nearest <= radius) continue;
      all[kept] = all[i];
      rows[kept++] = rows[i];
    }
    // The first time there is no radius to double: the closest two set it.
    radius_.store(std::max(radius, closest), std::memory_order_relaxed);
    for (size_t i = 0; i < kept; ++i) entries_[i].store(all[i], std::memory_order_relaxed);
    size_.store(kept, std::memory_order_release);
    n = kept;
  }
}

}  // namespace shoal
