// Reverse lists: for every slot, which slots have an edge to it. Writers read them, searches never.
//
// A list is a chain of 64-byte chunks from one pool. All chunks but the first are full. So adding
// an id touches the first chunk only, and removing one the first and the one that holds it. A list
// is a multiset: an id may be in it more than once for a while (neighbors.h).
//
// PROBLEM. Most points have some thirty in-edges, but a hub may have as many as there are points:
// the zero vector among unit vectors, the longest row under the inner product. To remove one id
// from its chain took a walk through thousands of chunks, at every prune and delete of an
// in-neighbour, and one walk for each in-edge at its own delete.
//
// WRONG ATTEMPT. No point gets more in-edges than 4 R. But searches need their hubs: under the
// inner product they found a third less (docs/algorithms.md, "Hubs").
//
// IDEA. A chain in which an id was found late is split. A *trie node* takes its place: a chunk that
// names fifteen shorter chains, for the next digit of the hash of an id; and so on within those.
// The operation that walked pays for the split. Lists that are short, or from which no id is
// removed, stay chains.
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
  static constexpr ChunkId kNone = 0;  // There is no chunk 0.
  static constexpr size_t kChunkIds = 15;

  static constexpr ChunkId kTrieNode = kNoSlot;  // For `next`: no chunk has this number.

  struct Chunk {
    ChunkId next;
    SlotId ids[kChunkIds];  // Then kNoSlot. Of a trie node: chunks, or kNone.
  };
  static_assert(sizeof(Chunk) == kCacheLine);

  explicit ReversePool(MemoryBudget& budget) : budget_(budget) {}
  bool Init(unsigned max_segment_shift = 30) {
    return ColumnGroup({&chunks_}).Init(max_segment_shift);
  }

  // An empty chunk with no next; kNone: no memory.
  ChunkId Allocate();
  void Free(ChunkId chunk);
  Chunk& operator[](ChunkId chunk) const { return chunks_[chunk]; }
  uint64_t ResidentBytes() const;

  // Giving memory back, for one caller at a time, beside all other calls. BeginCompact returns a
  // bound below which there is room for all chunks in use, and withholds the free chunks above it.
  // The caller moves the chunks in use that are at or above it (ReverseList::MoveBelow). EndCompact
  // gives back what is free at the end, and makes the rest available again.
  ChunkId BeginCompact();
  void EndCompact();

 private:
  static constexpr size_t kShards = 16;
  static constexpr ChunkId kRun = 256;  // Fresh chunks that a shard takes together.
  struct alignas(kCacheLine) Shard {
    Mutex mutex;
    ChunkId free SHOAL_GUARDED_BY(mutex) = kNone;  // Chained by `next`.
    ChunkId fresh SHOAL_GUARDED_BY(mutex) = 0;
    ChunkId fresh_end SHOAL_GUARDED_BY(mutex) = 0;
  };
  Shard& MyShard();
  bool TakeRun(Shard& shard) SHOAL_REQUIRES(shard.mutex);
  // Another shard's free chunks, before fresh ones: threads that only delete free what threads that
  // only insert need.
  bool TakeOthers(Shard& shard) SHOAL_REQUIRES(shard.mutex);

  MemoryBudget& budget_;
  TypedColumn<Chunk> chunks_;
  std::array<Shard, kShards> shards_;
  // Moves free chunks of all shards, as far as there is memory for that, to withheld_; sorts it.
  void GatherFree();
  void Scatter(std::span<const ChunkId> chunks);

  mutable Mutex growing_;
  ChunkId high_water_ SHOAL_GUARDED_BY(growing_) = 1;
  // The withheld chunks and the bound, between BeginCompact and EndCompact. What is freed at or
  // above the bound goes to a chain of its own, or it would be the first to be allocated again.
  std::vector<ChunkId> withheld_;
  std::atomic<ChunkId> bound_{kNoSlot};
  ChunkId freed_above_ SHOAL_GUARDED_BY(growing_) = kNone;
};

// One list, named by its first chunk. The caller holds the list's lock.
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
  // Removes one `id`. False: there is none.
  bool Remove(SlotId id);
  bool Contains(SlotId id) const;
  // Appends all ids; or at least min_ids of them, and not many more.
  void AppendTo(std::vector<SlotId>& out, size_t min_ids = SIZE_MAX) const;
  // Whether it has more than n ids; reads no more chunks than that takes. Prefetches the second.
  bool HasMoreThan(size_t n) const;
  void Clear();
  // Moves chunks at or above `bound` below it, as far as there are free ones.
  void MoveBelow(ReversePool::ChunkId bound);

 private:
  using ChunkId = ReversePool::ChunkId;
  static constexpr ChunkId kNone = ReversePool::kNone;
  // Trie nodes on the way to a chain, at most: the digits of a hash.
  static constexpr size_t kMaxDepth = 12;

  // What names a chain or a trie node: the head, or an entry of a trie node.
  struct Place {
    ChunkId node;  // kNone: the head.
    uint32_t digit;
  };
  // From the head to a chain. Not initialised: most paths end at the head.
  using Path = std::array<Place, kMaxDepth + 1>;

  ChunkId head() const { return head_.load(std::memory_order_relaxed); }
  ChunkId At(Place place) const {
    return place.node == kNone ? head() : pool_[place.node].ids[place.digit];
  }
  void Set(Place place, ChunkId chunk) {
    if (place.node != kNone)
      pool_[place.node].ids[place.digit] = chunk;
    else
      head_.store(chunk, std::memory_order_relaxed);
  }
  bool IsNode(ChunkId chunk) const {
    return chunk != kNone && pool_[chunk].next == ReversePool::kTrieNode;
  }
  size_t PathTo(SlotId id, Path& path) const;
  template <class Enter, class Leave>
  void Walk(Enter enter, Leave leave) const;
  void Split(Place place, size_t depth);
  void DropEmptyNodes(const Path& path, size_t depth);

  ReversePool& pool_;
  std::atomic<ReversePool::ChunkId>& head_;
};

}  // namespace shoal
