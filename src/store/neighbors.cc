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

namespace {

// Without a branch: a vector loop, for lists are short.
bool Contains(std::span<const SlotId> ids, SlotId id) {
  unsigned found = 0;
  for (const SlotId other : ids) found |= static_cast<unsigned>(other == id);
  return found != 0;
}

}  // namespace

NeighborLists::NeighborLists(MemoryBudget& budget, const SlotTable& slots, uint32_t max_degree)
    : slots_(slots),
      max_degree_(max_degree),
      rows_(max_degree * sizeof(SlotId)),
      reverse_(budget) {}

size_t NeighborLists::CopyWords(SlotId u, SlotId* words) const {
  const Id* row = Row(u);
  size_t n = 0;
  for (; n < max_degree_; ++n) {
    words[n] = row[n].load(std::memory_order_relaxed);
    if (words[n] == kNoSlot) break;
  }
  return n;
}

size_t NeighborLists::Copy(SlotId u, SlotId* out) const {
  const size_t n = CopyWords(u, out);
  for (size_t i = 0; i < n; ++i) out[i] = IdOf(out[i]);
  return n;
}

size_t NeighborLists::CopyAtOnce(SlotId u, SlotId* out) const {
  const ListLock lock(meta_[u]);
  return Copy(u, out);
}

void NeighborLists::Reset(SlotId u) { ResetWithBirth(u, NextBirth()); }

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
  if (meta.reverse.load(std::memory_order_relaxed) == ReversePool::kNone)
    meta.reverse.store(reverse_.Allocate(), std::memory_order_relaxed);
  return meta.reverse.load(std::memory_order_relaxed) != ReversePool::kNone;
}

bool NeighborLists::MayPointOut(SlotId u) const {
  const Tag tag = slots_.tag(u);
  return tag == Tag::kLive || tag == Tag::kFrozen;
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
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    if (n == max_degree_) result = LinkResult::kFull;
    for (size_t i = 0; i < n; ++i)
      if (IdOf(words[i]) == v) result = LinkResult::kPresent;
    if (!MayPointOut(u) || slots_.tag(v) != Tag::kLive) result = LinkResult::kNotLive;
    if (result == LinkResult::kLinked) {
      const SlotId word = WordFor(u, v);
      SetRow(u, n, word);
      BumpVersion(u);
      RaiseGuards(word);
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
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    SlotId* const at = std::find_if(words, words + n, [&](SlotId word) { return IdOf(word) == v; });
    if (at == words + n) return false;
    DropGuard(*at);
    SetRow(u, static_cast<size_t>(at - words), words[n - 1]);
    SetRow(u, n - 1, kNoSlot);
    BumpVersion(u);
    edges_.fetch_sub(1, std::memory_order_relaxed);
  }
  SHOAL_RACE_POINT("unlink.after_row");
  TakeBack(u, v);
  return true;
}

bool NeighborLists::Swap(SlotId u, SlotId leaving, SlotId coming) {
  bool went = false, came = false;
  {
    const ListLock lock(meta_[u]);
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    size_t at = n;
    bool there = false;
    for (size_t i = 0; i < n; ++i) {
      if (IdOf(words[i]) == leaving) at = i;
      there |= IdOf(words[i]) == coming;
    }
    if (at < n) {
      DropGuard(words[at]);
      came = coming != kNoSlot && !there && MayPointOut(u) && slots_.tag(coming) == Tag::kLive;
      if (came) {
        const SlotId word = WordFor(u, coming);
        SetRow(u, at, word);
        RaiseGuards(word);
      } else {
        SetRow(u, at, words[n - 1]);
        SetRow(u, n - 1, kNoSlot);
        edges_.fetch_sub(1, std::memory_order_relaxed);
      }
      BumpVersion(u);
      went = true;
    }
  }
  SHOAL_RACE_POINT("swap.after_row");
  if (went) TakeBack(u, leaving);
  if (coming != kNoSlot && !came) TakeBack(u, coming);
  return went;
}

void NeighborLists::ClearRow(SlotId u) {
  SlotId words[kMaxDegree];
  size_t n = 0;
  {
    const ListLock lock(meta_[u]);
    n = CopyWords(u, words);
    for (size_t i = 0; i < n; ++i) {
      DropGuard(words[i]);
      SetRow(u, i, kNoSlot);
    }
    BumpVersion(u);
    edges_.fetch_sub(n, std::memory_order_relaxed);
  }
  for (size_t i = 0; i < n; ++i) TakeBack(u, IdOf(words[i]));
}

bool NeighborLists::LowerGuards(SlotId v) {
  auto& guards = meta_[v].guards;
  if (IsReleased(v)) {
    guards.fetch_sub(1, std::memory_order_acq_rel);
    return true;
  }
  uint32_t now = guards.load(std::memory_order_acquire);
  while (CanLower(now, 1)) {
    SHOAL_RACE_POINT("guards.before_lowering");
    if (guards.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

bool NeighborLists::Rebirth(SlotId u, std::vector<SlotId>& refused) {
  const ListLock lock(meta_[u]);
  if (IsPinned(u)) return false;
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  const size_t before = refused.size();
  // First a look, so that a refusal costs nobody a guard.
  for (size_t i = 0; i < n; ++i) {
    const SlotId v = IdOf(words[i]);
    if (IsGuard(words[i]) && !IsReleased(v) &&
        !CanLower(meta_[v].guards.load(std::memory_order_acquire), 1))
      refused.push_back(v);
  }
  if (refused.size() > before) return false;
  for (size_t i = 0; i < n; ++i) {
    if (!IsGuard(words[i])) continue;
    if (LowerGuards(IdOf(words[i]))) {
      SetRow(u, i, IdOf(words[i]));
    } else {
      refused.push_back(IdOf(words[i]));
    }
  }
  if (refused.size() > before) return false;
  const uint64_t birth = slots_.tag(u) == Tag::kDeleted ? kReleased : NextBirth();
  meta_[u].birth.store(birth, std::memory_order_release);
  return true;
}

uint32_t NeighborLists::AdoptGuards(SlotId v, std::vector<SlotId>& in) {
  Reverse(v, in);
  for (const SlotId u : in) PrefetchForWriting(u);
  for (const SlotId u : in) {
    const ListLock lock(meta_[u]);
    if (!MayPointOut(u) || !MayGuard(u, v)) continue;
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    SlotId* const at = std::find(words, words + n, v);  // Without the bit.
    if (at == words + n) continue;
    SetRow(u, static_cast<size_t>(at - words), v | kGuardBit);
    RaiseGuards(v | kGuardBit);
  }
  return GuardCount(v);
}

void NeighborLists::PinDependents(SlotId u, std::vector<SlotId>& dependents) {
  if (dependents.capacity() < dependents.size() + max_degree_)
    dependents.reserve(2 * (dependents.size() + max_degree_));
  const ListLock lock(meta_[u]);
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  for (size_t i = 0; i < n; ++i) {
    if (!IsGuard(words[i])) continue;
    const SlotId v = IdOf(words[i]);
    if (LowerGuards(v)) {
      SetRow(u, i, v);
      continue;
    }
    SHOAL_RACE_POINT("pin_dependents.before_pinning");
    Pin(v);  // Under u's lock: the edge with the bit is there, and stays.
    dependents.push_back(v);
  }
}

void NeighborLists::DropPinnedGuard(SlotId u, SlotId v) {
  const ListLock lock(meta_[u]);
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  SlotId* const at = std::find(words, words + n, v | kGuardBit);
  if (at == words + n) return;
  SetRow(u, static_cast<size_t>(at - words), v);
  DropGuard(v | kGuardBit);
}

bool NeighborLists::Unpin(SlotId v, std::vector<SlotId>& in) {
  {
    const ListLock lock(meta_[v]);
    meta_[v].birth.store(NextBirth(), std::memory_order_release);
  }
  SHOAL_RACE_POINT("unpin.born");
  Reverse(v, in);
  for (const SlotId u : in) PrefetchForWriting(u);
  bool guarded = false;
  for (const SlotId u : in) {
    const ListLock lock(meta_[u]);
    if (!MayPointOut(u) || IsPinned(u)) continue;
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    guarded |= Contains({words, n}, v | kGuardBit);
    SlotId* const at = std::find(words, words + n, v);  // Without the bit.
    if (at == words + n || !MayGuard(u, v)) continue;
    SetRow(u, static_cast<size_t>(at - words), v | kGuardBit);
    RaiseGuards(v | kGuardBit);
    guarded = true;
  }
  if (!guarded) return false;
  for (const SlotId u : in)
    if (IsPinned(u)) DropPinnedGuard(u, v);
  SHOAL_RACE_POINT("unpin.before_unpinning");
  const ListLock lock(meta_[v]);
  meta_[v].guards.fetch_and(~kPinned, std::memory_order_acq_rel);
  return true;
}

bool NeighborLists::ReleasePinned(SlotId u) {
  const ListLock lock(meta_[u]);
  if (slots_.tag(u) != Tag::kDeleted) return false;
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  for (size_t i = 0; i < n; ++i) {
    if (!IsGuard(words[i])) continue;
    if (!LowerGuards(IdOf(words[i]))) return false;
    SetRow(u, i, IdOf(words[i]));
  }
  meta_[u].birth.store(kReleased, std::memory_order_release);
  meta_[u].guards.fetch_and(~kPinned, std::memory_order_acq_rel);
  return true;
}

bool NeighborLists::Guards(SlotId u, SlotId v) const {
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  return std::find(words, words + n, v | kGuardBit) != words + n;
}

// Fills `next` with the words of the wanted ids that the row holds and of the unwanted ones that
// must stay; the other unwanted ones go to take_back. Under u's lock.
size_t NeighborLists::KeepOld(SlotId u, Replacement& replacement, SlotId* next) {
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    const SlotId id = IdOf(words[i]);
    if (Contains(replacement.wanted, id) || (IsGuard(words[i]) && !LowerGuards(id))) {
      next[kept++] = words[i];
    } else {
      replacement.take_back.push_back(id);
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
  // An owner writes its row before it is live. (The version tells if it is still the same owner.)
  const bool may_point = MayPointOut(u) || slots_.tag(u) == Tag::kOwned;
  for (const SlotId v : replacement.wanted) {
    if (Contains({next, kept}, v) || Contains({next, kept}, v | kGuardBit)) continue;
    if (n < max_degree_ && may_point && slots_.tag(v) == Tag::kLive) {
      next[n++] = WordFor(u, v);
      replacement.added.push_back(v);
    } else {
      replacement.take_back.push_back(v);
    }
  }
  for (size_t i = 0; i < n; ++i) SetRow(u, i, next[i]);
  for (size_t i = n; i < max_degree_; ++i) SetRow(u, i, kNoSlot);
  BumpVersion(u);
  for (size_t i = kept; i < n; ++i) RaiseGuards(next[i]);
  edges_.fetch_add(replacement.added.size() - dropped, std::memory_order_relaxed);
  return true;
}

bool NeighborLists::MarkDeleted(SlotTable& slots, SlotId v) {
  const ListLock lock(meta_[v]);
  return slots.MarkDeleted(v);
}

bool NeighborLists::MarkMoved(SlotTable& slots, SlotId v) {
  const ListLock lock(meta_[v]);
  return slots.MarkMoved(v);
}

void NeighborLists::Reverse(SlotId v, std::vector<SlotId>& in, size_t least) const {
  in.clear();
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  ReverseList(reverse_, meta.reverse).AppendTo(in, least);
}

bool NeighborLists::HasMoreIn(SlotId v, size_t n) const {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  return ReverseList(reverse_, meta.reverse).HasMoreThan(n);
}

void NeighborLists::Forget(SlotId slot) {
  Meta& meta = meta_[slot];
  const ListLock lock(meta);
  ReverseList(reverse_, meta.reverse).Clear();
}

void NeighborLists::CompactReverseLists(SlotId slots,
                                        const std::function<bool(SlotId)>& holds_nothing) {
  const ReversePool::ChunkId bound = reverse_.BeginCompact();
  for (SlotId u = 0; u < slots; ++u) {
    if (holds_nothing(u)) continue;  // To lock it would bring its memory back.
    Meta& meta = meta_[u];
    const ListLock list(meta);
    ReverseList(reverse_, meta.reverse).MoveBelow(bound);
  }
  reverse_.EndCompact();
}

}  // namespace shoal
