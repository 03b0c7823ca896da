#include "store/neighbors.h"

#include <algorithm>

#include "base/check.h"
#include "base/hooks.h"

namespace shoal {

// The lock of one list. A short spin, then the thread is parked: with more threads than CPUs the
// holder may not be running.
class NeighborLists::ListLock {
 public:
  explicit ListLock(Meta& meta) : lock_(meta.lock) {
    uint32_t free = 0;
    if (lock_.compare_exchange_strong(free, 1, std::memory_order_acquire)) return;
    for (int i = 0; i < 64; ++i) {
      __builtin_ia32_pause();
      free = 0;
      if (lock_.load(std::memory_order_relaxed) == 0 &&
          lock_.compare_exchange_strong(free, 1, std::memory_order_acquire))
        return;
    }
    while (lock_.exchange(2, std::memory_order_acquire) != 0) lock_.wait(2);
  }
  ~ListLock() {
    if (lock_.exchange(0, std::memory_order_release) == 2) lock_.notify_one();
  }
  ListLock(const ListLock&) = delete;
  ListLock& operator=(const ListLock&) = delete;

 private:
  std::atomic<uint32_t>& lock_;
};

NeighborLists::NeighborLists(MemoryBudget& budget, const SlotTable& slots, uint32_t max_degree)
    : slots_(slots),
      max_degree_(max_degree),
      rows_(max_degree * sizeof(SlotId)),
      reverse_(budget) {}

size_t NeighborLists::Copy(SlotId u, SlotId* out) const {
  const Id* row = Row(u);
  size_t n = 0;
  for (; n < max_degree_; ++n) {
    out[n] = row[n].load(std::memory_order_relaxed);
    if (out[n] == kNoSlot) break;
  }
  return n;
}

void NeighborLists::Reset(SlotId u) {
  ResetWithBirth(u, births_.fetch_add(1, std::memory_order_relaxed) + 1);
}

void NeighborLists::ResetStart(SlotId u) { ResetWithBirth(u, 0); }

void NeighborLists::ResetWithBirth(SlotId u, uint64_t birth) {
  Meta& meta = meta_[u];
  const ListLock lock(meta);
  for (size_t i = 0; i < max_degree_; ++i) SetRow(u, i, kNoSlot);
  BumpVersion(u);
  ReverseList(reverse_, meta.reverse).Clear();
  meta.birth.store(birth, std::memory_order_relaxed);
  meta.guards.store(0, std::memory_order_release);
}

bool NeighborLists::ReserveReverse(SlotId u) {
  Meta& meta = meta_[u];
  const ListLock lock(meta);
  if (meta.reverse == ReversePool::kNone) meta.reverse = reverse_.Allocate();
  return meta.reverse != ReversePool::kNone;
}

// Whether u's row may get an edge: an owner links its slot before it is live. The owner of a slot
// is its only linker, so `owned` here is the caller's own.
bool NeighborLists::MayPointOut(SlotId u) const {
  const Tag tag = slots_.tag(u);
  return tag == Tag::kLive || tag == Tag::kFrozen || tag == Tag::kOwned;
}

void NeighborLists::BumpVersion(SlotId u) {
  auto& version = meta_[u].version;
  version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

NeighborLists::LinkResult NeighborLists::Push(SlotId u, SlotId v) {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  if (slots_.tag(v) != Tag::kLive) return LinkResult::kNotLive;
  return ReverseList(reverse_, meta.reverse).Add(u) ? LinkResult::kLinked : LinkResult::kNoMemory;
}

void NeighborLists::TakeBack(SlotId u, SlotId v) {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  SHOAL_CHECK(ReverseList(reverse_, meta.reverse).Remove(u));
}

NeighborLists::LinkResult NeighborLists::Link(SlotId u, SlotId v) {
  const LinkResult pushed = Push(u, v);
  if (pushed != LinkResult::kLinked) return pushed;
  SHOAL_RACE_POINT("link.after_push");
  LinkResult result = LinkResult::kLinked;
  {
    const ListLock lock(meta_[u]);
    const Id* row = Row(u);
    size_t n = 0;
    for (; n < max_degree_; ++n) {
      const SlotId id = row[n].load(std::memory_order_relaxed);
      if (id == v) result = LinkResult::kPresent;
      if (id == v || id == kNoSlot) break;
    }
    if (result == LinkResult::kLinked && n == max_degree_) result = LinkResult::kFull;
    if (!MayPointOut(u) || slots_.tag(v) != Tag::kLive) result = LinkResult::kNotLive;
    if (result == LinkResult::kLinked) {
      SetRow(u, n, v);
      BumpVersion(u);
      if (Guards(u, v)) meta_[v].guards.fetch_add(1, std::memory_order_release);
      edges_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (result == LinkResult::kLinked) return result;
  SHOAL_RACE_POINT("link.before_take_back");
  TakeBack(u, v);
  return result;
}

bool NeighborLists::Unlink(SlotId u, SlotId v) {
  {
    const ListLock lock(meta_[u]);
    SlotId ids[kMaxDegree];
    const size_t n = Copy(u, ids);
    SlotId* const at = std::find(ids, ids + n, v);
    if (at == ids + n) return false;
    if (Guards(u, v)) meta_[v].guards.fetch_sub(1, std::memory_order_release);
    SetRow(u, static_cast<size_t>(at - ids), ids[n - 1]);
    SetRow(u, n - 1, kNoSlot);
    BumpVersion(u);
    edges_.fetch_sub(1, std::memory_order_relaxed);
  }
  SHOAL_RACE_POINT("unlink.after_row");
  TakeBack(u, v);
  return true;
}

bool NeighborLists::LowerGuards(SlotId v) {
  auto& guards = meta_[v].guards;
  uint32_t now = guards.load(std::memory_order_acquire);
  while (now > 1) {
    SHOAL_RACE_POINT("guards.before_lowering");
    if (guards.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel)) return true;
  }
  // A point that is not live needs no guard: its repairer unlinks what is left.
  return false;
}

// Fills `next` with the wanted ids that the row holds and with the unwanted ones that must stay;
// the other unwanted ones go to take_back. Under u's lock.
size_t NeighborLists::KeepOld(SlotId u, Replacement& replacement, SlotId* next) {
  SlotId old[kMaxDegree];
  const size_t n = Copy(u, old);
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    const bool wanted = std::find(replacement.wanted.begin(), replacement.wanted.end(), old[i]) !=
                        replacement.wanted.end();
    if (wanted || (Guards(u, old[i]) && !LowerGuards(old[i]))) {
      next[kept++] = old[i];
    } else {
      replacement.take_back.push_back(old[i]);
    }
  }
  return kept;
}

bool NeighborLists::Replace(SlotId u, Replacement& replacement) {
  const ListLock lock(meta_[u]);
  if (meta_[u].version.load(std::memory_order_relaxed) != replacement.version) return false;
  SlotId next[kMaxDegree];
  const size_t kept = KeepOld(u, replacement, next);
  const size_t dropped = replacement.take_back.size();
  size_t n = kept;
  const bool may_point = MayPointOut(u);
  for (const SlotId v : replacement.wanted) {
    if (std::find(next, next + kept, v) != next + kept) continue;
    if (n < max_degree_ && may_point && slots_.tag(v) == Tag::kLive) {
      next[n++] = v;
      replacement.added.push_back(v);
    } else {
      replacement.take_back.push_back(v);
    }
  }
  for (size_t i = 0; i < n; ++i) SetRow(u, i, next[i]);
  for (size_t i = n; i < max_degree_; ++i) SetRow(u, i, kNoSlot);
  BumpVersion(u);
  for (const SlotId v : replacement.added)
    if (Guards(u, v)) meta_[v].guards.fetch_add(1, std::memory_order_release);
  edges_.fetch_add(replacement.added.size() - dropped, std::memory_order_relaxed);
  return true;
}

bool NeighborLists::MarkDeleted(SlotTable& slots, SlotId v, std::vector<SlotId>& in) {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  if (!slots.MarkDeleted(v)) return false;
  ReverseList(reverse_, meta.reverse).AppendTo(in);
  return true;
}

std::vector<SlotId> NeighborLists::Reverse(SlotId v) const {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  std::vector<SlotId> ids;
  ReverseList(reverse_, meta.reverse).AppendTo(ids);
  return ids;
}

}  // namespace shoal
