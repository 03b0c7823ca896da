// The map from external ids to slots.
//
// It holds slot ids only: the key of an entry is the slot's external id, which the slot table has
// anyway. So an entry costs four bytes at a load of 3/8 to 3/4.
//
// An Entry holds the lock of its id's shard. What the map says of the id stays true while it lives.
// Lock order: an Entry first, then at most one list lock, never the other way round.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "store/slot_table.h"

namespace shoal {

class IdMap {
  struct Shard;

 public:
  IdMap(MemoryBudget& budget, const SlotTable& slots) : budget_(budget), slots_(slots) {}
  ~IdMap();
  IdMap(const IdMap&) = delete;

  class Entry {
   public:
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // The slot of this id; nullopt: the id is not in the map. The slot may still be owned: an
    // insert is under way.
    std::optional<SlotId> slot() const;
    // Maps the id, which must be absent, to a slot that has it for its external id. False: no
    // memory.
    bool Add(SlotId slot);
    // Removes the mapping, which must be there.
    void Remove();
    // Maps the id, which must be mapped, to another slot that has it for its external id.
    void Replace(SlotId slot);
    // Makes sure that a later Entry of this id finds memory for Add, right after its Unreserve.
    // False: there is none.
    bool Reserve();
    void Unreserve();

   private:
    friend class IdMap;
    Entry(IdMap& map, ExternalId id);
    IdMap& map_;
    Shard& shard_;
    const ExternalId id_;
    const uint64_t hash_;
    std::optional<size_t> place_;  // In the shard's table.
  };

  Entry Lock(ExternalId id) { return Entry(*this, id); }
  // Calls visit(slot) for every slot that is mapped, one shard at a time, under its lock.
  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (size_t i = 0; i < kShards; ++i) ForEachInShard(i, visit);
  }
  // Likewise for one of the kShards shards. An id stays in its shard.
  template <class Visit>
  void ForEachInShard(size_t i, const Visit& visit) const {
    const Shard& shard = shards_[i];
    const MutexLock lock(shard.mutex);
    for (size_t place = 0; place < shard.capacity; ++place)
      if (shard.table[place] < kErased) visit(shard.table[place]);
  }
  // The mapped slots of which keep(slot) is true, all at one instant: all shards are locked, for a
  // few nanoseconds per mapped slot, and nothing is allocated meanwhile. `keep` may be called for
  // slot 0 when it is not mapped. May throw bad_alloc.
  template <class Keep>
  std::vector<SlotId> CollectAtomically(const Keep& keep) const {
    std::vector<SlotId> slots;
    size_t room = 0;
    for (;;) {
      const size_t needed = TryCollect(keep, slots, room);
      if (needed <= room) return slots;
      room = needed + needed / 16 + 64;  // Inserts go on until the next try.
      slots.resize(room + 1);
    }
  }
  // Makes the tables as small as their entries allow, memory permitting.
  void Shrink();
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  static constexpr size_t kShards = 64;

 private:
  // Fills `slots`, which has `room` places and one to spare, if that is enough, and cuts it to
  // length. Returns how many slots are mapped. (Not analysed: the locks of all shards, in a loop.)
  template <class Keep>
  size_t TryCollect(const Keep& keep, std::vector<SlotId>& slots,
                    size_t room) const SHOAL_NO_THREAD_SAFETY_ANALYSIS {
    size_t mapped = 0;
    size_t kept = 0;
    for (const Shard& shard : shards_) shard.mutex.Lock();
    for (const Shard& shard : shards_) mapped += shard.slots;
    if (mapped <= room && mapped > 0) {
      for (const Shard& shard : shards_) {
        // A third of the places is empty, in no order: a branch would be mispredicted as often.
        for (size_t i = 0; i < shard.capacity; ++i) {
          const SlotId slot = shard.table[i];
          const bool there = slot < kErased;
          slots[kept] = slot;
          kept += static_cast<size_t>(there) & static_cast<size_t>(keep(there ? slot : 0));
        }
      }
    }
    for (const Shard& shard : shards_) shard.mutex.Unlock();
    if (mapped <= room) slots.resize(kept);
    return mapped;
  }
  // Table entries that are no slot; both are above all slots.
  static constexpr SlotId kEmpty = kNoSlot;
  static constexpr SlotId kErased = kNoSlot - 1;

  struct alignas(kCacheLine) Shard {
    mutable Mutex mutex;
    SlotId* table SHOAL_GUARDED_BY(mutex) = nullptr;  // Open addressing, linear probing.
    size_t capacity SHOAL_GUARDED_BY(mutex) = 0;      // A power of two, or 0.
    size_t used SHOAL_GUARDED_BY(mutex) = 0;          // Slots and erased.
    size_t slots SHOAL_GUARDED_BY(mutex) = 0;
    size_t reserved SHOAL_GUARDED_BY(mutex) = 0;  // Places promised to later Adds.
  };
  static uint64_t Hash(ExternalId id);
  std::optional<size_t> Find(const Shard& shard, ExternalId id, uint64_t hash) const
      SHOAL_REQUIRES(shard.mutex);
  bool Rehash(Shard& shard) SHOAL_REQUIRES(shard.mutex);

  MemoryBudget& budget_;
  const SlotTable& slots_;
  std::array<Shard, kShards> shards_;
  std::atomic<uint64_t> bytes_{0};
};

}  // namespace shoal
