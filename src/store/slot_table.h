// The slot table: which slots there are, what state each is in, and when it can be used again.
//
// A slot is all that one internal id owns: row, neighbour list, reverse list, tag, external id.
// This class keeps tags, live bits and external ids, and does the transitions (tag.h). The other
// columns only grow with it.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/ring.h"
#include "shoal/result.h"
#include "shoal/types.h"
#include "store/column.h"
#include "store/epoch.h"
#include "store/label_column.h"
#include "store/live_set.h"
#include "store/tag.h"

namespace shoal {

class SlotTable;

// A slot that was acquired and not yet published. If it is dropped, the slot becomes available.
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
  // owned -> pending: likewise, but no search returns it yet.
  SlotId PublishPending() &&;
  // owned -> frozen: a start point.
  SlotId Freeze() &&;

 private:
  friend class SlotTable;
  OwnedSlot(SlotTable* table, SlotId slot) : table_(table), slot_(slot) {}
  SlotTable* table_;
  SlotId slot_;
};

// Whether slots that all readers have left may be used again: a database keeps those that its file
// names. Called under the slot table's mutex.
class ReuseGate {
 public:
  virtual ~ReuseGate() = default;
  // False: the slot stays retired until SlotTable::Release.
  virtual bool MayReuse(SlotId slot) = 0;
};

// Told of every slot before it becomes available: what others keep in its name can go.
class ReturnObserver {
 public:
  virtual ~ReturnObserver() = default;
  // No reader can ask for the slot any more, and no other thread owns it. Its external id is the
  // last one. It may be a slot in whose name nothing is kept. The caller holds no lock of the
  // table's.
  virtual void OnReturn(SlotId slot) = 0;
};

class SlotTable {
 public:
  // `columns`: those of others that grow with the table. Init initialises them, too.
  SlotTable(MemoryBudget& budget, EpochRegistry& epochs, std::vector<Column*> columns);

  // False: no address space. max_segment_shift: tests make segments small.
  bool Init(unsigned max_segment_shift = 30);

  // Makes the caller the owner of a slot: of the lowest free one, or else of a fresh one. nullopt:
  // no memory, or kMaxSlots are in use.
  std::optional<OwnedSlot> Acquire();

  // Asked for every slot that is retired from now on. Before the first insert.
  void SetReuseGate(ReuseGate* gate) { gate_ = gate; }
  bool HasReuseGate() const { return gate_ != nullptr; }
  // Before the first Acquire.
  void SetReturnObserver(ReturnObserver* observer) { observer_ = observer; }
  // Slots that the gate kept are free. False: no memory, and they stay kept.
  bool Release(std::span<const SlotId> slots);

  // --- Readers, under a guard.

  // No slot at or above it is in use. GROW.1: acquire, pairs with Grow, so that all columns have
  // memory up to it.
  SlotId high_water() const { return high_water_.load(std::memory_order_acquire); }
  // READ.1, pairs with PUB.1 (tag.h).
  Tag tag(SlotId slot) const { return tags_[slot].load(std::memory_order_acquire); }
  void PrefetchTag(SlotId slot) const { __builtin_prefetch(&tags_[slot]); }
  // What a search takes when it has pinned.
  struct ReadStamp {
    SlotId high_water;
    uint64_t relocations;  // That were counted.
    bool to_link = false;  // By a writer: pending points are eligible, too.
  };
  // MOVE.1, acquire, pairs with the count in MarkRelocated: a point whose relocation is counted can
  // be found in its new slot.
  ReadStamp Now() const { return {high_water(), relocations_.load(std::memory_order_acquire)}; }
  // Keeps of ids[0, n) those that may be read, in order. Sets eligible[i] for those that are live,
  // and for those that were left by a relocation after `since`: the search may have passed before
  // the new slot could be met. (For an id at or above since.high_water the mark is loaded again.)
  size_t KeepReadable(SlotId* ids, size_t n, const ReadStamp& since, bool* eligible) const;
  // Copies slots from `next` on, below since.high_water, that KeepReadable would call eligible, at
  // most kMaxCopied, to `out`. Sets `next` behind the last slot that it looked at. A scan from 0 to
  // the mark meets every point that is live all the while, in one of its slots.
  static constexpr size_t kMaxCopied = 512;
  size_t CopyEligible(SlotId& next, const ReadStamp& since, SlotId* out) const;
  // Set by the owner, and constant until the slot is reclaimed.
  ExternalId external_id(SlotId slot) const {
    return ids_[slot].external.load(std::memory_order_relaxed);
  }
  void set_external_id(SlotId slot, ExternalId id) {
    ids_[slot].external.store(id, std::memory_order_relaxed);
  }

  // Of points: written by a slot's owner, or under its id's entry.
  LabelColumn& labels() { return labels_; }
  const LabelColumn& labels() const { return labels_; }

  // --- Later transitions. False: the slot was not in the state that the transition begins with.

  // pending -> live. By the one thread that ends the transaction.
  void MakeLive(SlotId slot);
  // pending -> deleted. The caller holds the slot's list lock.
  bool MarkAborted(SlotId slot);
  // live -> deleted. The caller holds the id entry and the slot's list lock.
  bool MarkDeleted(SlotId slot);
  // Likewise, where the id has another slot from now on, which searches can find already. Searches
  // that began before may still return this one.
  bool MarkRelocated(SlotId slot);
  // deleted -> retired, or frozen -> retired, when no list names the slot. `guard`: the caller's,
  // which it has held since before it removed the last edge to the slot. The slot is reclaimed
  // after the grace period. False also where there is no memory.
  bool Retire(SlotId slot, const EpochRegistry::Guard& guard);
  // retired -> available, for slots whose grace period is over. Returns how many. With an observer
  // they are owned in between.
  size_t Reclaim();

  // At rest: kCorrupt names the state of which not as many slots are counted by their tags as are
  // kept (free, owned, live, deleted, retired).
  Status CheckCounts(size_t deleted) const;

  size_t live() const { return live_.load(std::memory_order_relaxed); }
  size_t retired() const;    // Slots that wait for the end of their grace period.
  uint64_t retires() const;  // Retirements so far.
  // Resident bytes of tags, live bits, external ids and the free list.
  uint64_t ResidentBytes() const;
  // Those of a column that grows with the table.
  uint64_t ResidentBytes(const Column& column) const;
  // Bytes of the queues of free and of retired slots. They are charged even beyond the budget.
  size_t QueueBytes() const;

  // --- Giving memory back. forget(slot) must free what is kept elsewhere in the slot's name: the
  // slot's records become zero. It is called under the table's mutex, for available slots.

  // Makes holes of the 2 MB pages that hold records of free slots only. Acquire recommits those of
  // the slot that it takes. Returns their bytes. Other writers wait for one piece of the work.
  template <class Forget>
  size_t PunchHoles(const Forget& forget) {
    size_t bytes = 0;
    for (SlotId next = 0;;) {
      const MutexLock lock(mutex_);
      const std::optional<FreeRun> run = NextFreeRun(next);
      if (!run) return bytes;
      if (!columns_.MayFillPage(run->end - run->begin)) continue;
      ForgetUnpunched(run->begin, run->end, forget);
      bytes += columns_.Punch(run->begin, run->end, next, budget_);
    }
  }
  // Whether the slot is free and some of its memory is a hole: then nothing is kept in its name.
  bool IsPunched(SlotId slot) const;
  // Whether, since this was last true, so many slots were reclaimed that PunchHoles may be worth
  // it.
  bool ManyWereFreed();
  // Gives the memory behind the highest slot in use back, and lowers the high-water mark to it.
  // Returns how many slots that were.
  template <class Forget>
  size_t Trim(const Forget& forget) {
    const MutexLock lock(mutex_);
    const SlotId before = high_water_.load(std::memory_order_relaxed);
    const SlotId end = BeginTrim();
    if (end == before) return 0;
    ForgetUnpunched(end, before, forget);
    CutOff(end);
    return before - end;
  }

 private:
  friend class OwnedSlot;
  struct Retired {
    SlotId slot;
    uint64_t epoch;
  };
  std::optional<SlotId> TakeFree() SHOAL_REQUIRES(mutex_);
  std::optional<SlotId> TakeLowest() SHOAL_REQUIRES(mutex_);
  bool IsFree(SlotId slot) const SHOAL_REQUIRES(mutex_) {
    return tags_[slot].load(std::memory_order_relaxed) == Tag::kAvailable;
  }
  std::optional<SlotId> Grow() SHOAL_REQUIRES(mutex_);
  // A run of free slots at `next`, and of those before and behind it that may share a page; `next`
  // is set behind what was looked at. It may be empty. nullopt: `next` was at the end.
  struct FreeRun {
    SlotId begin;
    SlotId end;
  };
  std::optional<FreeRun> NextFreeRun(SlotId& next) const SHOAL_REQUIRES(mutex_);
  // Of a slot in a hole nothing is kept. To call `forget` for it would bring a page back.
  template <class Forget>
  void ForgetUnpunched(SlotId begin, SlotId end, const Forget& forget) SHOAL_REQUIRES(mutex_) {
    for (SlotId slot = begin; slot < end; ++slot)
      if (columns_.HoleBytes(slot) == 0) forget(slot);
  }
  // Makes the queue of retired slots smaller. Returns the end of the slots that are not free.
  SlotId BeginTrim() SHOAL_REQUIRES(mutex_);
  void CutOff(SlotId end) SHOAL_REQUIRES(mutex_);
  void ReturnSlot(SlotId slot);
  // Makes sure that free_ can take `more` slots beside all that are owned, so that ReturnSlot needs
  // no memory. False: there is none.
  bool ReserveFree(size_t more) SHOAL_REQUIRES(mutex_);
  void PushFree(SlotId slot) SHOAL_REQUIRES(mutex_);
  // Whether there is no free slot, and some are retired.
  bool NeedsReclaim() const;
  // The next slot whose grace period is over and that the gate lets go; nullopt: there is none, or
  // no memory for it in free_.
  std::optional<SlotId> TakeReclaimable() SHOAL_REQUIRES(mutex_);
  size_t ReclaimUnobserved();
  size_t ReclaimObserved();
  size_t QueueBytesLocked() const SHOAL_REQUIRES(mutex_);

  // Constant after construction.
  MemoryBudget& budget_;
  EpochRegistry& epochs_;
  ColumnGroup columns_;
  ReuseGate* gate_ = nullptr;
  ReturnObserver* observer_ = nullptr;

  // Own synchronisation: see the transitions in tag.h, and live_set.h.
  TypedColumn<std::atomic<Tag>> tags_;
  LiveSet live_set_;
  // One column: its pages are punched, those of two columns of 8 bytes would not be.
  struct Ids {
    std::atomic<ExternalId> external;
    std::atomic<uint64_t> left_by;  // The number of the relocation that left the slot; 0: none.
  };
  TypedColumn<Ids> ids_;
  LabelColumn labels_{budget_, epochs_};
  std::atomic<SlotId> high_water_{0};
  std::atomic<size_t> live_{0};
  std::atomic<size_t> owned_{0};
  std::atomic<size_t> pending_{0};
  std::atomic<uint64_t> relocations_{0};

  mutable Mutex mutex_;
  std::vector<SlotId> free_ SHOAL_GUARDED_BY(mutex_);  // A heap, lowest slot on top.
  Ring<Retired> retired_ SHOAL_GUARDED_BY(mutex_);
  BudgetEntry queues_charged_ SHOAL_GUARDED_BY(mutex_){budget_};  // free_ and retired_.
  uint64_t retires_ SHOAL_GUARDED_BY(mutex_) = 0;
  size_t kept_ SHOAL_GUARDED_BY(mutex_) = 0;  // Slots that the gate kept.
  std::atomic<size_t> reclaimed_{0};          // Since ManyWereFreed was last true.
};

}  // namespace shoal
