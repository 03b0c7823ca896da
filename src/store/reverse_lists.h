// Reverse lists: for every slot, who points at it. The writers' business: no search reads them.
//
// A list is a chain of 64-byte chunks from one pool. All chunks but the first are full, so adding
// and removing touch the first only (and, for removing, the one that holds the entry). A list is a
// multiset: the same id may stand in it more than once for a while (neighbors.h).
//
// PROBLEM. Most points have some thirty in-edges, but a hub may have as many as there are points:
// the zero among unit vectors, the longest row under the inner product. To take one entry off its
// chain took a walk through thousands of chunks, at every prune and every delete of anybody who
// points at it, and its own delete a walk for each of its in-edges.
//
// WRONG ATTEMPT. No point gets more in-edges than 4 R. But searches need their hubs: under the
// inner product they found a third less (docs/algorithms.md, "Hubs").
//
// IDEA. A chain in which an entry was found late is cut up: a *branch* takes its place, a chunk
// that names fifteen shorter chains, an entry's by a digit of its hash; and so on within those. Who
// pays for cutting up is who walked; lists that are short, or from which nothing is taken, stay
// chains.
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

  static constexpr ChunkId kBranch = kNoSlot;  // For `next`: no chunk has this number.

  struct Chunk {
    ChunkId next;
    SlotId ids[kChunkIds];  // From the front; kNoSlot behind the last. Of a branch: chunks, kNone.
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

  // Makes sure that the first ids find memory. False: there is none.
  bool Reserve() {
    if (head() == kNone) head_.store(pool_.Allocate(), std::memory_order_relaxed);
    return head() != kNone;
  }
  // False: no memory.
  bool Add(SlotId id);
  // Takes one `id` off. False: there is none.
  bool Remove(SlotId id);
  bool Contains(SlotId id) const;
  // At least `least` ids, if there are so many; some more than that at most.
  void AppendTo(std::vector<SlotId>& out, size_t least = SIZE_MAX) const;
  // Whether it has more than n ids, by the fewest chunks that tell. Calls for the memory of the
  // second chunk.
  bool HasMoreThan(size_t n) const;
  void Clear();
  // Moves chunks at or above `bound` below it, as far as there are free ones.
  void MoveBelow(ReversePool::ChunkId bound);

 private:
  using ChunkId = ReversePool::ChunkId;
  static constexpr ChunkId kNone = ReversePool::kNone;
  // Branches on the way to a chain, at most: the digits of a hash.
  static constexpr size_t kMaxBranches = 12;

  // Where a chain or a branch hangs: at the head, or at a branch.
  struct Place {
    ChunkId branch;  // kNone: the head.
    uint32_t digit;
  };
  // From the head to a chain. Not initialised: most paths end at the head.
  using Path = std::array<Place, kMaxBranches + 1>;

  ChunkId head() const { return head_.load(std::memory_order_relaxed); }
  ChunkId At(Place place) const {
    return place.branch == kNone ? head() : pool_[place.branch].ids[place.digit];
  }
  void Set(Place place, ChunkId chunk) {
    if (place.branch != kNone)
      pool_[place.branch].ids[place.digit] = chunk;
    else
      head_.store(chunk, std::memory_order_relaxed);
  }
  bool IsBranch(ChunkId chunk) const {
    return chunk != kNone && pool_[chunk].next == ReversePool::kBranch;
  }
  size_t PathTo(SlotId id, Path& path) const;
  template <class Enter, class Leave>
  void Walk(Enter enter, Leave leave) const;
  void CutUp(Place place, size_t branches);
  void DropEmptyBranches(const Path& path, size_t branches);

  ReversePool& pool_;
  std::atomic<ReversePool::ChunkId>& head_;
};

}  // namespace shoal
