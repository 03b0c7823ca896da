// Where a search begins, besides the start point: at seeds, a few live points that cover the data.
//
// PROBLEM. A single-layer graph keeps the edges that lead to what is near. In data of tight,
// distant clusters, above all when they arrive one after another, few edges lead from one cluster
// to another. A search whose list is smaller than a cluster cannot leave the wrong one.
//
// IDEA. Keep at most so many points such that every point ever offered was within some radius of
// one of them: the doubling algorithm for incremental k-centre clustering (Charikar, Chekuri,
// Feder, Motwani, "Incremental clustering and dynamic information retrieval", STOC 1997). Do it
// twice: coarse seeds cover the data, and each has fine seeds, which cover the points nearest to
// it. A search scores all coarse seeds first, then the fine seeds of the nearest. Every search
// reads the coarse seeds, so they stay in the near caches.
//
// Seeds are ordinary live points. The repair of a deleted seed puts a neighbour in its place, so
// seeds follow data that drifts. A search takes a seed for a hint: one whose slot is not readable
// any more, or is used by another point, costs it no more than a worse beginning.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "graph/representation.h"
#include "graph/search_scratch.h"
#include "store/seed_rules.h"
#include "store/slot_table.h"

namespace shoal {

struct Operation;

class EntryPoints {
 public:
  static constexpr size_t kMaxCoarse = kMaxCoarseSeeds;
  static constexpr size_t kMaxFine = kMaxFineSeeds;  // Of a coarse seed.

  // `rows`: what searches traverse.
  EntryPoints(const Representation& rows, const SlotTable& slots) : rows_(rows), slots_(slots) {}

  // --- Readers, under a guard.

  // The coarse seeds, into `out`, which holds kMaxCoarse.
  size_t CopyCoarse(SlotId* out) const { return coarse_.Copy(out); }
  // The fine seeds of `coarse`, which was the `at`-th coarse seed; none if it is not any more.
  // `out` holds kMaxFine.
  size_t CopyFine(size_t at, SlotId coarse, SlotId* out) const;
  // Whether the data have clusters, so that a search should look at fine seeds.
  bool HasClusters() const { return has_clusters_.load(std::memory_order_relaxed); }
  // False: every point could be a fine seed.
  bool MayHaveClusters() const { return shoal::MayHaveClusters(slots_.high_water()); }
  // One of all, chosen by `seed`; kNoSlot if there is none.
  SlotId Any(uint32_t seed) const;
  // Whether p is a seed.
  bool Contains(SlotId p) const;

  // --- Writers, under a guard.

  // p is live, and a search for it met these seeds: it may become one. Returns at once where a seed
  // is near enough, or while another thread is choosing.
  void Offer(SlotId p, const SeedsMet& met, Operation& op);
  // p is deleted: `replacement`, which is near it, is a seed in its place; kNoSlot: no point is.
  void Forget(SlotId p, SlotId replacement);

  // For saving, and back, before the first search: the coarse seeds, then the fine seeds of each.
  // Slots of live points, each once, at most as many in a set as it may have.
  struct Saved {
    std::vector<SlotId> slots;
    float radius = 0;
  };
  std::vector<Saved> Save();
  void Restore(std::span<const Saved> sets);

 private:
  static constexpr size_t kPlaces = std::max(kMaxCoarse, kMaxFine);  // Of a set.

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

  // The members of a set that are readable, and whose rows are to be had.
  struct Members {
    size_t size = 0;
    SlotId ids[kPlaces];
    const std::byte* rows[kPlaces];
  };
  Members ReadableOf(const Set& set, Operation& op) const;
  // Their distances from a slot.
  void Score(SlotId from, const Members& members, float* out, Operation& op) const;
  // The nearest readable member to p; kNoSlot if there is none.
  Candidate Nearest(SlotId p, const Set& set, Operation& op) const;

  // Fetches the rows that Offer may compare, so that nothing is fetched under choosing_. `fine`:
  // the place of the one coarse seed that it is about, or kPlaces for all.
  void FetchSeeds(SlotId p, size_t fine, Operation& op) const;

  void AddCoarse(SlotId p, float distance, Operation& op) SHOAL_REQUIRES(choosing_);
  // To the fine seeds of the `at`-th coarse seed, if none is within their radius.
  void AddFine(size_t at, SlotId p, float distance, Operation& op) SHOAL_REQUIRES(choosing_);
  // A new coarse seed, the `to`-th, gets the fine seeds that are nearer to it than to the
  // `from`-th.
  void TakeFine(size_t from, size_t to, Operation& op) SHOAL_REQUIRES(choosing_);
  // Enlarges a full set's radius until three quarters of it are left, so that the next ones come in
  // without thinning again. Returns which stay, by place.
  using Chosen = std::array<bool, kPlaces>;
  Chosen Thin(Set& set, Operation& op) SHOAL_REQUIRES(choosing_);
  void ThinCoarse(Operation& op) SHOAL_REQUIRES(choosing_);
  void ThinFine(Set& fine, Operation& op) SHOAL_REQUIRES(choosing_);
  // A point whose coarse seed is none any more becomes a fine seed of another, where one is needed.
  void OfferAsFine(SlotId p, Operation& op) SHOAL_REQUIRES(choosing_);
  // From the sets as they are, so that a loaded index decides as the saved one did.
  void LookForClusters() SHOAL_REQUIRES(choosing_);
  void RemoveCoarse(size_t at) SHOAL_REQUIRES(choosing_);
  void Replace(Set& set, size_t i, SlotId by) SHOAL_REQUIRES(choosing_);
  // One more seed, or one less, is p.
  void Count(SlotId p, int change) SHOAL_REQUIRES(choosing_);

  // Constant after construction.
  const Representation rows_;
  const SlotTable& slots_;

  // Written under choosing_, read by all. fine_[i]: of the i-th coarse seed.
  Set coarse_;
  std::array<Set, kMaxCoarse> fine_;
  std::atomic<bool> has_clusters_{false};
  // How many seeds have this hash: tells most deleted points that they are none.
  static constexpr size_t kFilter = 1 << 14;
  std::array<std::atomic<uint8_t>, kFilter> counts_{};

  Mutex choosing_;
};

}  // namespace shoal
