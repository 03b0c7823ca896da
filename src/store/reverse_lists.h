// Reverse lists: for every slot, who points at it. The writers' business: no search reads them.
//
// A list is a chain of 64-byte chunks from one pool. All chunks but the first are full, so adding
// and removing touch the first only (and, for removing, the one that holds the entry). A list is a
// multiset: the same id may stand in it more than once for a while (neighbors.h).
#pragma once

#include <array>
#include <atomic>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "store/column.h"
#include "store/tag.h"

namespace shoal {

// Pool of chunks. Thread-safe; chunks never move.
class ReversePool {
 public:
  using ChunkId = uint32_t;
  static constexpr ChunkId kNone = 0;  // Chunk 0 is nobody's.
  static constexpr size_t kChunkIds = 15;

  struct Chunk {
    ChunkId next;
    SlotId ids[kChunkIds];  // From the front; kNoSlot behind the last.
  };
  static_assert(sizeof(Chunk) == kCacheLine);

  explicit ReversePool(MemoryBudget& budget) : budget_(budget) {}
  bool Init(unsigned max_segment_shift = 30) { return InitColumns({&chunks_}, max_segment_shift); }

  // An empty chunk with no next; kNone: no memory.
  ChunkId Allocate();
  void Free(ChunkId chunk);
  Chunk& operator[](ChunkId chunk) const { return chunks_[chunk]; }
  uint64_t ResidentBytes() const;

  // Giving memory back, beside all other calls but one caller at a time. BeginCompact takes the
  // free chunks above what the chunks in use would fill out of circulation and returns that bound;
  // the caller moves the chunks in use that are at or above it (ReverseList::MoveBelow);
  // EndCompact gives back whatever is free at the end, and the rest to circulation.
  ChunkId BeginCompact();
  void EndCompact();

 private:
  static constexpr size_t kShards = 16;
  static constexpr ChunkId kRun = 256;  // Fresh chunks that a shard takes at once.
  struct alignas(kCacheLine) Shard {
    Mutex mutex;
    ChunkId free SHOAL_GUARDED_BY(mutex) = kNone;  // Chained by `next`.
    ChunkId fresh SHOAL_GUARDED_BY(mutex) = 0;
    ChunkId fresh_end SHOAL_GUARDED_BY(mutex) = 0;
  };
  Shard& MyShard();
  bool TakeRun(Shard& shard);
  // Others' free chunks, before fresh ones: threads that only delete free what threads that only
  // insert need.
  bool TakeOthers(Shard& shard);

  MemoryBudget& budget_;
  TypedColumn<Chunk> chunks_;
  std::array<Shard, kShards> shards_;
  // Moves free chunks of all shards, as far as there is memory for that, to withheld_; sorts it.
  void GatherFree();
  void Scatter(std::span<const ChunkId> chunks);

  mutable Mutex growing_;
  ChunkId high_water_ SHOAL_GUARDED_BY(growing_) = 1;
  // Between BeginCompact and EndCompact, and then the bound. What is freed from there on goes to a
  // chain of its own: else it would be the first to be taken again.
  std::vector<ChunkId> withheld_;
  std::atomic<ChunkId> bound_{kNoSlot};
  ChunkId freed_above_ SHOAL_GUARDED_BY(growing_) = kNone;
};

// One list, named by its first chunk. The caller holds the list's lock; who only wants to call for
// that chunk's memory may read `head` without.
class ReverseList {
 public:
  ReverseList(ReversePool& pool, std::atomic<ReversePool::ChunkId>& head)
      : pool_(pool), head_(head) {}

  // False: no memory.
  bool Add(SlotId id);
  // Takes one `id` off. False: there is none.
  bool Remove(SlotId id);
  bool Contains(SlotId id) const;
  void AppendTo(std::vector<SlotId>& out) const;
  // Whether it has more than n ids, by the fewest chunks that tell. Calls for the memory of the
  // second chunk.
  bool HasMoreThan(size_t n) const;
  void Clear();
  // Moves chunks at or above `bound` below it, as far as there are free ones.
  void MoveBelow(ReversePool::ChunkId bound);

 private:
  ReversePool::ChunkId head() const { return head_.load(std::memory_order_relaxed); }
  void set_head(ReversePool::ChunkId chunk) { head_.store(chunk, std::memory_order_relaxed); }

  ReversePool& pool_;
  std::atomic<ReversePool::ChunkId>& head_;
};

}  // namespace shoal
