#include "store/reverse_lists.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/hooks.h"
#include "base/thread_number.h"

namespace shoal {
namespace {

// Chunks that a search for an entry may see before their chain is cut up. A point with fewer
// in-edges than these hold costs nothing but a walk now and then.
constexpr size_t kLongWalk = 32;

// Its digits, to the base of a chunk's ids, say where an id is. Consecutive slots have no order.
uint64_t HashOf(SlotId id) { return (id + uint64_t{1}) * 0x9e3779b97f4a7c15; }

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

// The way to the chain that has, or would have, the id. Returns the number of branches on it.
size_t ReverseList::PathTo(SlotId id, Path& path) const {
  uint64_t hash = HashOf(id);
  size_t branches = 0;
  path[0] = {kNone, 0};
  for (ChunkId c = head(); IsBranch(c); c = At(path[branches])) {
    path[++branches] = {c, static_cast<uint32_t>(hash % ReversePool::kChunkIds)};
    hash /= ReversePool::kChunkIds;
  }
  return branches;
}

bool ReverseList::Add(SlotId id) {
  Path path;
  const Place place = path[PathTo(id, path)];
  ChunkId first = At(place);
  size_t count = first == kNone ? ReversePool::kChunkIds : Count(pool_[first]);
  if (count == ReversePool::kChunkIds) {
    const ChunkId fresh = pool_.Allocate();
    if (fresh == kNone) return false;
    pool_[fresh].next = first;
    Set(place, first = fresh);
    count = 0;
  }
  pool_[first].ids[count] = id;
  return true;
}

bool ReverseList::Remove(SlotId id) {
  Path path;
  const size_t branches = PathTo(id, path);
  const Place place = path[branches];
  const ChunkId head = At(place);
  size_t walked = 0;
  for (ChunkId c = head; c != kNone; c = pool_[c].next) {
    ++walked;
    auto& ids = pool_[c].ids;
    auto* const at = std::find(std::begin(ids), std::end(ids), id);
    if (at == std::end(ids)) continue;
    ReversePool::Chunk& first = pool_[head];
    const size_t last = Count(first) - 1;
    *at = first.ids[last];
    first.ids[last] = kNoSlot;
    // The first chunk is empty: the next one, which is full, takes its place. A list's only chunk
    // stays: a point's first in-edges must find memory (Reserve).
    if (last == 0 && (first.next != kNone || branches > 0)) {
      Set(place, first.next);
      pool_.Free(head);
      if (At(place) == kNone) DropEmptyBranches(path, branches);
    }
    if (walked > kLongWalk && branches < kMaxBranches) CutUp(place, branches);
    return true;
  }
  return false;
}

// A branch takes the place of a chain that has `branches` above it. Without memory the chain stays.
void ReverseList::CutUp(Place place, size_t branches) {
  constexpr size_t kChains = ReversePool::kChunkIds;
  // Free chunks: one for the branch, and one of each chain, which need not be full. What more it
  // takes comes of the old chain.
  ChunkId spare = kNone;
  const auto put = [&](ChunkId chunk) { pool_[chunk].next = std::exchange(spare, chunk); };
  const auto take = [&] { return std::exchange(spare, pool_[spare].next); };
  for (size_t i = 0; i < 1 + kChains; ++i) {
    const ChunkId fresh = pool_.Allocate();
    if (fresh == kNone) {
      while (spare != kNone) pool_.Free(take());
      return;
    }
    put(fresh);
  }
  uint64_t divisor = 1;
  for (size_t i = 0; i < branches; ++i) divisor *= kChains;
  const ChunkId branch = take();
  auto& chains = pool_[branch].ids;
  std::fill_n(chains, kChains, kNone);
  for (ChunkId c = At(place); c != kNone;) {
    const ReversePool::Chunk old = pool_[c];
    put(std::exchange(c, old.next));
    for (size_t i = 0, n = Count(old); i < n; ++i) {
      ChunkId& first = chains[HashOf(old.ids[i]) / divisor % kChains];
      size_t count = first == kNone ? ReversePool::kChunkIds : Count(pool_[first]);
      if (count == ReversePool::kChunkIds) {
        const ChunkId next = std::exchange(first, take());
        pool_[first].next = next;
        std::fill_n(pool_[first].ids, ReversePool::kChunkIds, kNoSlot);
        count = 0;
      }
      pool_[first].ids[count] = old.ids[i];
    }
  }
  SHOAL_SYNC_POINT("reverse.split");
  pool_[branch].next = ReversePool::kBranch;
  Set(place, branch);
  while (spare != kNone) pool_.Free(take());
}

// The last of so many branches on the way has lost a chain: those that have none left go. The one
// at the head becomes an empty chunk.
void ReverseList::DropEmptyBranches(const Path& path, size_t branches) {
  for (; branches > 0; --branches) {
    const ChunkId branch = path[branches].branch;
    auto& chains = pool_[branch].ids;
    if (std::any_of(std::begin(chains), std::end(chains), [](ChunkId c) { return c != kNone; }))
      return;
    if (branches == 1) {
      pool_[branch].next = kNone;
      std::fill(std::begin(chains), std::end(chains), kNoSlot);
      return;
    }
    pool_.Free(branch);
    Set(path[branches - 1], kNone);
  }
}

// Enters every place where something hangs, before what hangs below it, until `enter` says false;
// leaves every branch after what hangs below it.
template <class Enter, class Leave>
void ReverseList::Walk(Enter enter, Leave leave) const {
  Path path;  // Of each branch on the way: what comes next in it.
  size_t branches = 0;
  path[0] = {kNone, 0};
  for (bool root = true;; root = false) {
    while (!root && branches > 0 && path[branches].digit == ReversePool::kChunkIds)
      leave(path[branches--].branch);
    if (!root && branches == 0) return;
    const Place place = path[branches];
    if (branches > 0) ++path[branches].digit;
    if (At(place) == kNone) continue;
    if (!enter(place)) return;
    if (IsBranch(At(place))) path[++branches] = {At(place), 0};
  }
}

bool ReverseList::Contains(SlotId id) const {
  Path path;
  for (ChunkId c = At(path[PathTo(id, path)]); c != kNone; c = pool_[c].next) {
    const auto& ids = pool_[c].ids;
    if (std::find(std::begin(ids), std::end(ids), id) != std::end(ids)) return true;
  }
  return false;
}

void ReverseList::AppendTo(std::vector<SlotId>& out, size_t least) const {
  const size_t enough = least > SIZE_MAX - out.size() ? SIZE_MAX : out.size() + least;
  const auto append = [&](Place place) {
    if (IsBranch(At(place))) return true;
    for (ChunkId c = At(place); c != kNone && out.size() < enough; c = pool_[c].next)
      out.insert(out.end(), pool_[c].ids, pool_[c].ids + Count(pool_[c]));
    return out.size() < enough;
  };
  Walk(append, [](ChunkId) {});
}

bool ReverseList::HasMoreThan(size_t n) const {
  size_t known = 0;
  const auto count = [&](Place place) {
    if (IsBranch(At(place))) return true;
    const ReversePool::Chunk& first = pool_[At(place)];
    known += Count(first);  // All others are full.
    __builtin_prefetch(&pool_[first.next], 1);
    for (ChunkId c = first.next; known <= n && c != kNone;) {
      known += ReversePool::kChunkIds;
      if (known <= n) c = pool_[c].next;
    }
    return known <= n;
  };
  Walk(count, [](ChunkId) {});
  return known > n;
}

void ReverseList::Clear() {
  const auto free = [&](Place place) {
    while (At(place) != kNone && !IsBranch(At(place))) {
      const ChunkId first = At(place);
      Set(place, pool_[first].next);
      pool_.Free(first);
    }
    return true;
  };
  Walk(free, [&](ChunkId branch) { pool_.Free(branch); });
  Set({kNone, 0}, kNone);
}

void ReverseList::MoveBelow(ChunkId bound) {
  const auto move = [&](Place place) {
    ChunkId before = kNone;
    for (ChunkId c = At(place); c != kNone; c = IsBranch(c) ? kNone : pool_[c].next) {
      if (c >= bound) {
        const ChunkId lower = pool_.Allocate();
        if (lower == kNone) return false;
        if (lower >= bound) {
          pool_.Free(lower);
          return false;
        }
        pool_[lower] = pool_[c];
        if (before == kNone) {
          Set(place, lower);
        } else {
          pool_[before].next = lower;
        }
        pool_.Free(std::exchange(c, lower));
      }
      before = c;
    }
    return true;
  };
  Walk(move, [](ChunkId) {});
}

}  // namespace shoal
