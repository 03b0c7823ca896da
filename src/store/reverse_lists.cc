#include "store/reverse_lists.h"

#include <algorithm>

namespace shoal {
namespace {

size_t Count(const ReversePool::Chunk& chunk) {
  return static_cast<size_t>(std::find(std::begin(chunk.ids), std::end(chunk.ids), kNoSlot) -
                             std::begin(chunk.ids));
}

}  // namespace

ReversePool::Shard& ReversePool::MyShard() {
  static std::atomic<size_t> threads{0};
  thread_local const size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return shards_[mine % kShards];
}

bool ReversePool::TakeRun(Shard& shard) SHOAL_NO_THREAD_SAFETY_ANALYSIS {
  const MutexLock lock(growing_);
  if (high_water_ > kNoSlot - kRun || !chunks_.Commit(high_water_ + kRun, budget_)) return false;
  shard.fresh = high_water_;
  high_water_ += kRun;
  shard.fresh_end = high_water_;
  return true;
}

ReversePool::ChunkId ReversePool::Allocate() {
  Shard& shard = MyShard();
  const MutexLock lock(shard.mutex);
  ChunkId chunk = shard.free;
  if (chunk != kNone) {
    shard.free = chunks_[chunk].next;
  } else {
    if (shard.fresh == shard.fresh_end && !TakeRun(shard)) return kNone;
    chunk = shard.fresh++;
  }
  chunks_[chunk].next = kNone;
  std::fill_n(chunks_[chunk].ids, kChunkIds, kNoSlot);
  return chunk;
}

void ReversePool::Free(ChunkId chunk) {
  Shard& shard = MyShard();
  const MutexLock lock(shard.mutex);
  chunks_[chunk].next = shard.free;
  shard.free = chunk;
}

uint64_t ReversePool::ResidentBytes() const {
  const MutexLock lock(growing_);
  return chunks_.Resident(high_water_);
}

bool ReverseList::Add(SlotId id) {
  size_t count = head_ == ReversePool::kNone ? ReversePool::kChunkIds : Count(pool_[head_]);
  if (count == ReversePool::kChunkIds) {
    const ReversePool::ChunkId fresh = pool_.Allocate();
    if (fresh == ReversePool::kNone) return false;
    pool_[fresh].next = head_;
    head_ = fresh;
    count = 0;
  }
  pool_[head_].ids[count] = id;
  return true;
}

bool ReverseList::Remove(SlotId id) {
  for (ReversePool::ChunkId c = head_; c != ReversePool::kNone; c = pool_[c].next) {
    auto& ids = pool_[c].ids;
    auto* const at = std::find(std::begin(ids), std::end(ids), id);
    if (at == std::end(ids)) continue;
    ReversePool::Chunk& head = pool_[head_];
    const size_t last = Count(head) - 1;
    *at = head.ids[last];
    head.ids[last] = kNoSlot;
    // The first chunk is empty: the next one, which is full, takes its place. The only chunk stays:
    // a point's first in-edges must find memory (NeighborLists::ReserveReverse).
    if (last == 0 && head.next != ReversePool::kNone) {
      const ReversePool::ChunkId empty = head_;
      head_ = head.next;
      pool_.Free(empty);
    }
    return true;
  }
  return false;
}

bool ReverseList::Contains(SlotId id) const {
  for (ReversePool::ChunkId c = head_; c != ReversePool::kNone; c = pool_[c].next) {
    const auto& ids = pool_[c].ids;
    if (std::find(std::begin(ids), std::end(ids), id) != std::end(ids)) return true;
  }
  return false;
}

void ReverseList::AppendTo(std::vector<SlotId>& out) const {
  for (ReversePool::ChunkId c = head_; c != ReversePool::kNone; c = pool_[c].next) {
    const ReversePool::Chunk& chunk = pool_[c];
    out.insert(out.end(), chunk.ids, chunk.ids + Count(chunk));
  }
}

void ReverseList::Clear() {
  while (head_ != ReversePool::kNone) {
    const ReversePool::ChunkId next = pool_[head_].next;
    pool_.Free(head_);
    head_ = next;
  }
}

}  // namespace shoal
