// The slot table: which slots there are, whose they are, and when they come back.
//
// A slot is everything that one internal id owns: its row, its neighbour list, its reverse list,
// its tag, its external id. This class keeps tags and external ids and the life cycle (tag.h); the
// other columns only grow with it.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "shoal/result.h"
#include "shoal/types.h"
#include "store/column.h"
#include "store/epoch.h"
#include "store/live_set.h"
#include "store/tag.h"

namespace shoal {

class SlotTable;

// A slot that was acquired and not yet published. Dropped, it goes back.
class OwnedSlot {
 public:
  OwnedSlot(OwnedSlot&& other) noexcept : table_(other.table_), slot_(other.slot_) {
    other.table_ = nullptr;
  }
  OwnedSlot& operator=(OwnedSlot&&) = delete;
  ~OwnedSlot();

  SlotId id() const { return slot_; }
  // owned -> live: from here on searches may return it. The row must be written.
  SlotId Publish() &&;
  // owned -> frozen: a start point.
  SlotId Freeze() &&;

 private:
  friend class SlotTable;
  OwnedSlot(SlotTable* table, SlotId slot) : table_(table), slot_(slot) {}
  SlotTable* table_;
  SlotId slot_;
};

class SlotTable {
 public:
  // `columns`: those that grow with the table; they, and the table's own, are initialised by Init.
  SlotTable(MemoryBudget& budget, EpochRegistry& epochs, std::vector<Column*> columns);

  // False: no address space. max_segment_shift: tests make segments small.
  bool Init(unsigned max_segment_shift = 30);

  // A slot of the caller's own: the lowest free one, else a fresh one. nullopt: no memory, or
  // kMaxSlots are in use.
  std::optional<OwnedSlot> Acquire();

  // --- Readers, under a guard.

  // Slots at or above it have never been handed out. GROW.1: acquire, pairs with the release in
  // Acquire, so every column below it is there.
  SlotId high_water() const { return high_water_.load(std::memory_order_acquire); }
  // READ.1, pairs with PUB.1 (tag.h).
  Tag tag(SlotId slot) const { return tags_[slot].load(std::memory_order_acquire); }
  void PrefetchTag(SlotId slot) const { __builtin_prefetch(&tags_[slot]); }
  // What a reader notes when it has pinned.
  struct ReadStamp {
    SlotId high_water;
    uint64_t relocations;  // MarkRelocated that were complete.
  };
  // MOVE.1, acquire, pairs with the count in MarkRelocated: what was moved up to then can be found
  // where it is now.
  ReadStamp Now() const { return {high_water(), relocations_.load(std::memory_order_acquire)}; }
  // Keeps of ids[0, n) those that may be read, in order, and sets eligible[i] for those that are
  // live, or were moved after `since`: the reader may have come by too early to meet the new slot.
  // (Which may be above the mark: so that is read again for such an id.)
  size_t KeepReadable(SlotId* ids, size_t n, const ReadStamp& since, bool* eligible) const;
  // Copies slots from `next` on, below since.high_water, that KeepReadable would call eligible,
  // at most kMaxCopied, to `out`, and sets `next` behind the last that it looked at. A scan from 0
  // to the mark meets every point that is live all the while, at one of its slots.
  static constexpr size_t kMaxCopied = 512;
  size_t CopyEligible(SlotId& next, const ReadStamp& since, SlotId* out) const;
  // Stands from Acquire's caller setting it until reclamation.
  ExternalId external_id(SlotId slot) const {
    return tenants_[slot].id.load(std::memory_order_relaxed);
  }
  void set_external_id(SlotId slot, ExternalId id) {
    tenants_[slot].id.store(id, std::memory_order_relaxed);
  }

  // --- The later life. False: the slot was not in the state that the transition leaves.

  // live -> deleted. The caller holds the id entry and the slot's list lock.
  bool MarkDeleted(SlotId slot);
  // Likewise, where the id has another slot from now on, which searches can find already. Those
  // that have begun before may still return this one.
  bool MarkRelocated(SlotId slot);
  // deleted -> retired, or frozen -> retired; no list names the slot any more. `guard`: the
  // caller's, held since before it unlinked the last of them. The slot comes back after the grace
  // period. Also false, and nothing done, when there is no memory.
  bool Retire(SlotId slot, const EpochRegistry::Guard& guard);
  // retired -> available for those whose grace period is over. Returns how many.
  size_t Reclaim();

  // At rest: Corrupt names the state whose slots, by their tags, are not as many as are kept of it
  // (free, owned, live, deleted, retired).
  Status CheckCounts(size_t deleted) const;

  size_t live() const { return live_.load(std::memory_order_relaxed); }
  size_t retired() const;    // That wait.
  uint64_t retires() const;  // Ever.
  // Resident bytes of tags, live bits, external ids and the free list.
  uint64_t ResidentBytes() const;
  // Those of another column that grows with the table.
  uint64_t ResidentBytes(const Column& column) const;
  // Bytes of the queues of free and of retired slots, charged whatever is left of the budget.
  size_t QueueBytes() const;
  // Gives 2 MB pages that hold records of free slots only back to the system, wherever they are;
  // who acquires such a slot gets them again. Returns how many bytes. `forget`: as in Trim. Writers
  // wait for a piece of the work at most.
  size_t PunchHoles(const std::function<void(SlotId)>& forget);
  // Whether the slot is free and memory of it was given back: then nothing is kept in its name.
  bool IsPunched(SlotId slot) const;
  // Whether, since this was last true, so many slots came back that PunchHoles may be worth it.
  bool ManyWereFreed();
  // Gives memory behind the highest slot in use back to the system:
  // such slots count as never handed out. Returns how many there were. `forget` is called for each
  // first: what other columns hold elsewhere in its name must go, since their records become zero.
  size_t Trim(const std::function<void(SlotId)>& forget);

 private:
  friend class OwnedSlot;
  struct Retired {
    SlotId slot;
    uint64_t epoch;
  };
  std::optional<SlotId> TakeFree() SHOAL_REQUIRES(mutex_);
  std::optional<SlotId> TakeLowest() SHOAL_REQUIRES(mutex_);
  bool Recommit(SlotId slot) SHOAL_REQUIRES(mutex_);
  // Of pages with some of a free slot's records.
  size_t PunchedBytes(SlotId slot) const SHOAL_REQUIRES(mutex_);
  bool IsFree(SlotId slot) const SHOAL_REQUIRES(mutex_) {
    return tags_[slot].load(std::memory_order_relaxed) == Tag::kAvailable;
  }
  std::optional<SlotId> Grow() SHOAL_REQUIRES(mutex_);
  void ReturnSlot(SlotId slot);
  // Makes sure that free_ can take `more` slots beside all that are owned: giving back needs no
  // memory. False: there is none.
  bool ReserveFree(size_t more) SHOAL_REQUIRES(mutex_);
  void PushFree(SlotId slot) SHOAL_REQUIRES(mutex_);
  size_t ReclaimLocked() SHOAL_REQUIRES(mutex_);
  size_t QueueBytesLocked() const SHOAL_REQUIRES(mutex_);

  // Constant after construction.
  MemoryBudget& budget_;
  EpochRegistry& epochs_;
  std::vector<Column*> columns_;

  // Own synchronisation: see the transitions in tag.h, and live_set.h.
  TypedColumn<std::atomic<Tag>> tags_;
  LiveSet live_set_;
  struct Tenant {
    std::atomic<ExternalId> id;
    std::atomic<uint64_t> moved;  // Which move it was that left the slot; 0: none.
  };
  TypedColumn<Tenant> tenants_;
  std::atomic<SlotId> high_water_{0};
  std::atomic<size_t> live_{0};
  std::atomic<size_t> owned_{0};
  std::atomic<uint64_t> relocations_{0};

  mutable Mutex mutex_;
  std::vector<SlotId> free_ SHOAL_GUARDED_BY(mutex_);  // A heap, lowest slot on top.
  Ring<Retired> retired_ SHOAL_GUARDED_BY(mutex_);
  BudgetEntry queues_charged_ SHOAL_GUARDED_BY(mutex_){budget_};  // free_ and retired_.
  uint64_t retires_ SHOAL_GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> freed_{0};
};

}  // namespace shoal
