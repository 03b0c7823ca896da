// Where a search begins, besides the start point: a few live points that cover the data.
//
// PROBLEM. A single-layer graph keeps the edges that lead to what is near. In data of tight,
// distant clusters, above all when they arrive one after another, few edges lead from one cluster
// to another, and a search whose list is smaller than a cluster cannot get out of the wrong one.
//
// IDEA. Keep at most so many points such that every point ever offered was within some radius of
// one of them: the doubling algorithm for incremental k-centre clustering (Charikar, Chekuri,
// Feder, Motwani, "Incremental clustering and dynamic information retrieval", STOC 1997). Do it
// twice: the roots cover the data, and each root has leaves that cover what is nearest to that
// root. A search scores all roots first, then the leaves of the nearest; roots are read by every
// search, so they stay in the near caches.
//
// They are ordinary live points. Who repairs a deleted entry puts a neighbour in its place, so the
// entries follow data that drifts. A search takes an entry for a hint: one whose slot is not
// readable any more, or has another tenant, costs it nothing but a worse beginning.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "codec/full_codec.h"
#include "graph/search_scratch.h"
#include "store/feature_store.h"
#include "store/slot_table.h"

namespace shoal {

struct Operation;

class EntryPoints {
 public:
  static constexpr size_t kMaxRoots = 20;
  static constexpr size_t kMaxLeaves = 96;  // Of a root.

  EntryPoints(const FullCodec& codec, const SlotTable& slots, RamFeatureStore& features)
      : codec_(codec), slots_(slots), features_(features) {}

  // --- Readers, under a guard.

  // The roots, into `out`, which holds kMaxRoots.
  size_t CopyRoots(SlotId* out) const { return roots_.Copy(out); }
  // The leaves of `root`, which was the `at`-th of the roots: none if it is that no more. `out`
  // holds kMaxLeaves.
  size_t CopyLeaves(size_t at, SlotId root, SlotId* out) const;
  // Whether the data have clusters, so that a search should look at leaves.
  bool HasClusters() const { return has_clusters_.load(std::memory_order_relaxed); }
  // In fewer points every one could be a leaf.
  bool MayHaveClusters() const { return slots_.high_water() > kMaxRoots * kMaxLeaves; }
  // One of all, chosen by `seed`; kNoSlot if there is none.
  SlotId Any(uint32_t seed) const;
  // Whether p is an entry.
  bool Contains(SlotId p) const;

  // --- Writers, under a guard.

  // A live point, and what a search for it met. Returns at once where an entry is near enough, or
  // while another thread is choosing.
  void Offer(SlotId p, const SeedsMet& met, Operation& op);
  // p is deleted: `replacement`, which is near it, is an entry in its place; kNoSlot: nobody is.
  void Forget(SlotId p, SlotId replacement);

  // For saving, and back, before the first search: the roots, then the leaves of each root. Slots
  // of live points, each once, at most as many in a set as it may have.
  struct Saved {
    std::vector<SlotId> slots;
    float radius = 0;
  };
  std::vector<Saved> Save();
  void Restore(std::span<const Saved> sets);

 private:
  static constexpr size_t kPlaces = std::max(kMaxRoots, kMaxLeaves);  // Of a set.

  // Points of which each was farther than `radius` from all others when it came.
  struct Set {
    std::array<std::atomic<SlotId>, kPlaces> slots{};
    std::atomic<size_t> size{0};
    std::atomic<float> radius{0};

    size_t Copy(SlotId* out) const;
    bool Has(SlotId p) const { return Find(p) < kPlaces; }
    size_t Find(SlotId p) const;  // kPlaces: it is not there.
    SlotId At(size_t i) const { return slots[i].load(std::memory_order_relaxed); }
    size_t Size() const { return size.load(std::memory_order_acquire); }
    float Radius() const { return radius.load(std::memory_order_relaxed); }
    // By one writer at a time.
    void Add(SlotId p);
    void Remove(size_t i);  // The last takes its place.
    void Assign(std::span<const SlotId> points, float new_radius);
    void Assign(const Set& other);
  };

  void AddRoot(SlotId p, float distance, Operation& op) SHOAL_REQUIRES(choosing_);
  void AddLeaf(size_t root, SlotId p, float distance, Operation& op) SHOAL_REQUIRES(choosing_);
  // A new root, `to`, takes over what is nearer to it than to `from`.
  void TakeLeaves(size_t from, size_t to, Operation& op) SHOAL_REQUIRES(choosing_);
  // Enlarges a full set's radius until three quarters of it are left, so that the next ones come in
  // without thinning again: which stay.
  using Chosen = std::array<bool, kPlaces>;  // By place.
  Chosen Thin(Set& set, Operation& op) SHOAL_REQUIRES(choosing_);
  void ThinRoots(Operation& op) SHOAL_REQUIRES(choosing_);
  void ThinLeaves(Set& leaves, Operation& op) SHOAL_REQUIRES(choosing_);
  // A point that was an entry of a root that is none any more becomes a leaf where it is needed.
  void Rehome(SlotId p, Operation& op) SHOAL_REQUIRES(choosing_);
  // The nearest of the set to p; kNoSlot if there is none.
  Candidate Nearest(SlotId p, const Set& set, Operation& op);
  // From the sets as they are, so that a loaded index thinks as the saved one did.
  void LookForClusters() SHOAL_REQUIRES(choosing_);
  void RemoveRoot(size_t at) SHOAL_REQUIRES(choosing_);
  void Replace(Set& set, size_t i, SlotId by) SHOAL_REQUIRES(choosing_);
  // One more entry, or one less, is p.
  void Count(SlotId p, int change) SHOAL_REQUIRES(choosing_);

  // Constant after construction.
  const FullCodec& codec_;
  const SlotTable& slots_;
  RamFeatureStore& features_;

  // Written under choosing_, read by all. leaves_[i] are those of the i-th root.
  Set roots_;
  std::array<Set, kMaxRoots> leaves_;
  std::atomic<bool> has_clusters_{false};
  // How many entries have this hash: most points that are deleted are none, and learn that here.
  static constexpr size_t kFilter = 1 << 14;
  std::array<std::atomic<uint8_t>, kFilter> counts_{};

  Mutex choosing_;
};

}  // namespace shoal
