#include "store/reverse_lists.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/thread_number.h"

namespace shoal {
namespace {

size_t Count(const ReversePool::Chunk& chunk) {
  return static_cast<size_t>(std::find(std::begin(chunk.ids), std::end(chunk.ids), kNoSlot) -
                             std::begin(chunk.ids));
}

}  // namespace

ReversePool::Shard& ReversePool::MyShard() { return shards_[ThreadNumber() % kShards]; }

bool ReversePool::TakeRun(Shard& shard) SHOAL_NO_THREAD_SAFETY_ANALYSIS {
  const MutexLock lock(growing_);
  if (high_water_ > kNoSlot - kRun || !chunks_.Commit(high_water_ + kRun, budget_)) return false;
  shard.fresh = high_water_;
  high_water_ += kRun;
  shard.fresh_end = high_water_;
  return true;
}

bool ReversePool::TakeOthers(Shard& shard) SHOAL_NO_THREAD_SAFETY_ANALYSIS {
  for (Shard& other : shards_) {
    if (&other == &shard || !other.mutex.TryLock()) continue;
    shard.free = std::exchange(other.free, kNone);
    if (shard.free == kNone) {
      shard.fresh = std::exchange(other.fresh, 0);
      shard.fresh_end = std::exchange(other.fresh_end, 0);
    }
    other.mutex.Unlock();
    if (shard.free != kNone || shard.fresh < shard.fresh_end) return true;
  }
  return false;
}

ReversePool::ChunkId ReversePool::Allocate() {
  Shard& shard = MyShard();
  const MutexLock lock(shard.mutex);
  if (shard.free == kNone && shard.fresh == shard.fresh_end && !TakeOthers(shard) &&
      !TakeRun(shard))
    return kNone;
  ChunkId chunk = shard.free;
  if (chunk != kNone) {
    shard.free = chunks_[chunk].next;
  } else {
    chunk = shard.fresh++;
  }
  chunks_[chunk].next = kNone;
  std::fill_n(chunks_[chunk].ids, kChunkIds, kNoSlot);
  return chunk;
}

void ReversePool::Free(ChunkId chunk) {
  // Relaxed: whoever sees it late frees into circulation.
  if (chunk >= bound_.load(std::memory_order_relaxed)) [[unlikely]] {
    const MutexLock lock(growing_);
    chunks_[chunk].next = std::exchange(freed_above_, chunk);
    return;
  }
  Shard& shard = MyShard();
  const MutexLock lock(shard.mutex);
  chunks_[chunk].next = shard.free;
  shard.free = chunk;
}

// Shard by shard: chunks that others free meanwhile may be missed, which does no harm.
void ReversePool::GatherFree() {
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    size_t more = shard.fresh_end - shard.fresh;
    for (ChunkId c = shard.free; c != kNone; c = chunks_[c].next) ++more;
    try {
      withheld_.reserve(withheld_.size() + more);
    } catch (const std::bad_alloc&) {
      break;  // What is left where it is does no harm.
    }
    for (ChunkId c = shard.free; c != kNone; c = chunks_[c].next) withheld_.push_back(c);
    for (; shard.fresh < shard.fresh_end; ++shard.fresh) withheld_.push_back(shard.fresh);
    shard.free = kNone;
  }
  std::sort(withheld_.begin(), withheld_.end());
}

void ReversePool::Scatter(std::span<const ChunkId> chunks) {
  size_t at = 0;
  // The highest first, so that the lowest come to lie on top.
  for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {
    Shard& shard = shards_[at++ % kShards];
    const MutexLock lock(shard.mutex);
    chunks_[*chunk].next = shard.free;
    shard.free = *chunk;
  }
}

ReversePool::ChunkId ReversePool::BeginCompact() {
  GatherFree();
  ChunkId bound = 0;
  {
    const MutexLock lock(growing_);
    // Room for what is in use and, since every shard takes its own, for some more in each.
    const size_t used = high_water_ - withheld_.size();
    bound = static_cast<ChunkId>(std::min<size_t>(high_water_, used + kShards * kRun));
  }
  const auto above = std::lower_bound(withheld_.begin(), withheld_.end(), bound);
  Scatter({withheld_.begin(), above});
  withheld_.erase(withheld_.begin(), above);
  bound_.store(bound, std::memory_order_relaxed);
  return bound;
}

void ReversePool::EndCompact() {
  bound_.store(kNoSlot, std::memory_order_relaxed);
  ChunkId freed = kNone;
  {
    const MutexLock lock(growing_);
    freed = std::exchange(freed_above_, kNone);
  }
  while (freed != kNone) Free(std::exchange(freed, chunks_[freed].next));
  GatherFree();
  {
    const MutexLock lock(growing_);
    while (!withheld_.empty() && withheld_.back() + 1 == high_water_) {
      withheld_.pop_back();
      --high_water_;
    }
    chunks_.Decommit(high_water_, budget_);
  }
  Scatter(withheld_);
  withheld_ = {};
}

uint64_t ReversePool::ResidentBytes() const {
  const MutexLock lock(growing_);
  return chunks_.Resident(high_water_);
}

bool ReverseList::Add(SlotId id) {
  ReversePool::ChunkId first = head();
  size_t count = first == ReversePool::kNone ? ReversePool::kChunkIds : Count(pool_[first]);
  if (count == ReversePool::kChunkIds) {
    const ReversePool::ChunkId fresh = pool_.Allocate();
    if (fresh == ReversePool::kNone) return false;
    pool_[fresh].next = first;
    set_head(first = fresh);
    count = 0;
  }
  pool_[first].ids[count] = id;
  return true;
}

bool ReverseList::Remove(SlotId id) {
  for (ReversePool::ChunkId c = head(); c != ReversePool::kNone; c = pool_[c].next) {
    auto& ids = pool_[c].ids;
    auto* const at = std::find(std::begin(ids), std::end(ids), id);
    if (at == std::end(ids)) continue;
    ReversePool::Chunk& first = pool_[head()];
    const size_t last = Count(first) - 1;
    *at = first.ids[last];
    first.ids[last] = kNoSlot;
    // The first chunk is empty: the next one, which is full, takes its place. The only chunk stays:
    // a point's first in-edges must find memory (NeighborLists::ReserveReverse).
    if (last == 0 && first.next != ReversePool::kNone) {
      const ReversePool::ChunkId empty = head();
      set_head(first.next);
      pool_.Free(empty);
    }
    return true;
  }
  return false;
}

bool ReverseList::Contains(SlotId id) const {
  for (ReversePool::ChunkId c = head(); c != ReversePool::kNone; c = pool_[c].next) {
    const auto& ids = pool_[c].ids;
    if (std::find(std::begin(ids), std::end(ids), id) != std::end(ids)) return true;
  }
  return false;
}

void ReverseList::AppendTo(std::vector<SlotId>& out) const {
  for (ReversePool::ChunkId c = head(); c != ReversePool::kNone; c = pool_[c].next) {
    const ReversePool::Chunk& chunk = pool_[c];
    out.insert(out.end(), chunk.ids, chunk.ids + Count(chunk));
  }
}

bool ReverseList::HasMoreThan(size_t n) const {
  if (head() == ReversePool::kNone) return false;
  size_t known = Count(pool_[head()]);  // All chunks but the first are full.
  ReversePool::ChunkId next = pool_[head()].next;
  __builtin_prefetch(&pool_[next], 1);
  while (known <= n && next != ReversePool::kNone) {
    known += ReversePool::kChunkIds;
    if (known <= n) next = pool_[next].next;
  }
  return known > n;
}

void ReverseList::Clear() {
  while (head() != ReversePool::kNone) {
    const ReversePool::ChunkId first = head();
    set_head(pool_[first].next);
    pool_.Free(first);
  }
}

void ReverseList::MoveBelow(ReversePool::ChunkId bound) {
  ReversePool::ChunkId before = ReversePool::kNone;
  for (ReversePool::ChunkId c = head(); c != ReversePool::kNone; c = pool_[c].next) {
    if (c >= bound) {
      const ReversePool::ChunkId lower = pool_.Allocate();
      if (lower == ReversePool::kNone) return;
      if (lower >= bound) return pool_.Free(lower);
      pool_[lower] = pool_[c];
      if (before == ReversePool::kNone) {
        set_head(lower);
      } else {
        pool_[before].next = lower;
      }
      pool_.Free(std::exchange(c, lower));
    }
    before = c;
  }
}

}  // namespace shoal
