// Where a search begins, besides the start point: a few live points that cover the data.
//
// PROBLEM. A single-layer graph keeps the edges that lead to what is near. In data of tight,
// distant clusters, above all when they arrive one after another, few edges lead from one cluster
// to another, and a search whose list is smaller than a cluster cannot get out of the wrong one.
//
// IDEA. Keep at most kMax points such that every point ever offered was within some radius of one
// of them: the doubling algorithm for incremental k-centre clustering (Charikar, Chekuri, Feder,
// Motwani, "Incremental clustering and dynamic information retrieval", STOC 1997). A search scores
// them all first; they are read by every search, so they stay in the near caches.
//
// They are ordinary live points. Who repairs a deleted entry puts a neighbour in its place, so the
// entries follow data that drifts. A search takes an entry for a hint: one whose slot is not
// readable any more, or has another tenant, costs it nothing but a worse beginning.
#pragma once

#include <array>
#include <atomic>
#include <span>

#include "base/mutex.h"
#include "codec/full_codec.h"
#include "graph/scratch.h"
#include "store/feature_store.h"
#include "store/slot_table.h"

namespace shoal {

class EntryPoints {
 public:
  static constexpr size_t kMax = 64;

  EntryPoints(const FullCodec& codec, const SlotTable& slots, RamFeatureStore& features)
      : codec_(codec), slots_(slots), features_(features) {}

  // Readers, under a guard: the entries, at most kMax, into `out`.
  size_t Copy(SlotId* out) const;

  // One of them, chosen by `seed`, which is spread; kNoSlot if there is none.
  SlotId Any(uint32_t seed) const;

  // A live point whose nearest entry, or start point, is at `distance` in the graph's geometry.
  // Returns at once where that is near enough, or while another thread is choosing.
  void Offer(SlotId p, float distance, EpochRegistry::Guard& guard, Scratch& scratch);

  // As Offer left it, for saving; and back, before the first search. `entries`: live points, at
  // most kMax, each once.
  float radius() const { return radius_.load(std::memory_order_relaxed); }
  void Restore(std::span<const SlotId> entries, float radius);

  // Whether p is an entry.
  bool Contains(SlotId p) const;
  // p is deleted: `heir`, which is near it, is an entry in its place; kNoSlot: nobody is.
  void Forget(SlotId p, SlotId heir);

 private:
  // Keeps those that are farther than radius_ from every one kept before.
  void Thin(EpochRegistry::Guard& guard, Scratch& scratch) SHOAL_REQUIRES(choosing_);

  // Constant after construction.
  const FullCodec& codec_;
  const SlotTable& slots_;
  RamFeatureStore& features_;

  // Written under choosing_, read by all.
  std::array<std::atomic<SlotId>, kMax> entries_{};
  std::atomic<size_t> size_{0};
  std::atomic<float> radius_{0};

  Mutex choosing_;
};

}  // namespace shoal
