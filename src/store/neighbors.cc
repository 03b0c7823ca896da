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

size_t NeighborLists::CopyAtomically(SlotId u, SlotId* out) const {
  const ListLock lock(meta_[u]);
  return Copy(u, out);
}

void NeighborLists::ResetRow(SlotId u) { ResetWithRank(u, NextRank()); }

void NeighborLists::ResetStart(SlotId u) { ResetWithRank(u, 0); }

void NeighborLists::ResetWithRank(SlotId u, uint64_t rank) {
  Meta& meta = meta_[u];
  const ListLock lock(meta);
  for (size_t i = 0; i < max_degree_; ++i) SetRow(u, i, kNoSlot);
  BumpVersion(u);
  ReverseList(reverse_, meta.reverse).Clear();
  meta.rank.store(rank, std::memory_order_relaxed);
  meta.parents.store(0, std::memory_order_release);
}

bool NeighborLists::ReserveReverse(SlotId u) {
  Meta& meta = meta_[u];
  const ListLock lock(meta);
  if (meta.reverse.load(std::memory_order_relaxed) == ReversePool::kNone)
    meta.reverse.store(reverse_.Allocate(), std::memory_order_relaxed);
  return meta.reverse.load(std::memory_order_relaxed) != ReversePool::kNone;
}

bool NeighborLists::CanHaveOutEdges(SlotId u) const {
  const Tag tag = slots_.tag(u);
  return tag == Tag::kLive || tag == Tag::kFrozen;
}

void NeighborLists::BumpVersion(SlotId u) {
  auto& version = meta_[u].version;
  version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

NeighborLists::LinkResult NeighborLists::AddBackLink(SlotId u, SlotId v) {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  if (slots_.tag(v) != Tag::kLive) return LinkResult::kNotLive;
  return ReverseList(reverse_, meta.reverse).Add(u) ? LinkResult::kLinked : LinkResult::kNoMemory;
}

void NeighborLists::RemoveBackLink(SlotId u, SlotId v) {
  Meta& meta = meta_[v];
  const ListLock lock(meta);
  SHOAL_CHECK(ReverseList(reverse_, meta.reverse).Remove(u));
}

NeighborLists::LinkResult NeighborLists::Link(SlotId u, SlotId v) {
  const LinkResult pushed = AddBackLink(u, v);
  if (pushed != LinkResult::kLinked) return pushed;
  SHOAL_SYNC_POINT("link.after_back_link");
  LinkResult result = LinkResult::kLinked;
  {
    const ListLock lock(meta_[u]);
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    if (n == max_degree_) result = LinkResult::kFull;
    for (size_t i = 0; i < n; ++i)
      if (IdOf(words[i]) == v) result = LinkResult::kPresent;
    if (!CanHaveOutEdges(u) || slots_.tag(v) != Tag::kLive) result = LinkResult::kNotLive;
    if (result == LinkResult::kLinked) {
      const SlotId word = WordFor(u, v);
      SetRow(u, n, word);
      BumpVersion(u);
      AddParent(word);
      edges_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  if (result == LinkResult::kLinked) return result;
  SHOAL_SYNC_POINT("link.before_undo");
  RemoveBackLink(u, v);
  return result;
}

bool NeighborLists::Unlink(SlotId u, SlotId v) {
  {
    const ListLock lock(meta_[u]);
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    SlotId* const at = std::find_if(words, words + n, [&](SlotId word) { return IdOf(word) == v; });
    if (at == words + n) return false;
    DropParent(*at);
    SetRow(u, static_cast<size_t>(at - words), words[n - 1]);
    SetRow(u, n - 1, kNoSlot);
    BumpVersion(u);
    edges_.fetch_sub(1, std::memory_order_relaxed);
  }
  SHOAL_SYNC_POINT("unlink.after_row");
  RemoveBackLink(u, v);
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
      DropParent(words[at]);
      came = coming != kNoSlot && !there && CanHaveOutEdges(u) && slots_.tag(coming) == Tag::kLive;
      if (came) {
        const SlotId word = WordFor(u, coming);
        SetRow(u, at, word);
        AddParent(word);
      } else {
        SetRow(u, at, words[n - 1]);
        SetRow(u, n - 1, kNoSlot);
        edges_.fetch_sub(1, std::memory_order_relaxed);
      }
      BumpVersion(u);
      went = true;
    }
  }
  SHOAL_SYNC_POINT("swap.after_row");
  if (went) RemoveBackLink(u, leaving);
  if (coming != kNoSlot && !came) RemoveBackLink(u, coming);
  return went;
}

void NeighborLists::ClearRow(SlotId u) {
  SlotId words[kMaxDegree];
  size_t n = 0;
  {
    const ListLock lock(meta_[u]);
    n = CopyWords(u, words);
    for (size_t i = 0; i < n; ++i) {
      DropParent(words[i]);
      SetRow(u, i, kNoSlot);
    }
    BumpVersion(u);
    edges_.fetch_sub(n, std::memory_order_relaxed);
  }
  for (size_t i = 0; i < n; ++i) RemoveBackLink(u, IdOf(words[i]));
}

bool NeighborLists::DropParentUnlessLast(SlotId v) {
  auto& parents = meta_[v].parents;
  if (IsChildless(v)) {
    parents.fetch_sub(1, std::memory_order_acq_rel);
    return true;
  }
  uint32_t now = parents.load(std::memory_order_acquire);
  while (CanDropParent(now, 1)) {
    SHOAL_SYNC_POINT("parents.before_drop");
    if (parents.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

bool NeighborLists::MoveToEnd(SlotId u, std::vector<SlotId>& refused) {
  const ListLock lock(meta_[u]);
  if (IsSuspended(u)) return false;
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  const size_t before = refused.size();
  // First a look, so that a refusal costs nobody a guard.
  for (size_t i = 0; i < n; ++i) {
    const SlotId v = IdOf(words[i]);
    if (IsParentEdge(words[i]) && !IsChildless(v) &&
        !CanDropParent(meta_[v].parents.load(std::memory_order_acquire), 1))
      refused.push_back(v);
  }
  if (refused.size() > before) return false;
  for (size_t i = 0; i < n; ++i) {
    if (!IsParentEdge(words[i])) continue;
    if (DropParentUnlessLast(IdOf(words[i]))) {
      SetRow(u, i, IdOf(words[i]));
    } else {
      refused.push_back(IdOf(words[i]));
    }
  }
  if (refused.size() > before) return false;
  const uint64_t rank = slots_.tag(u) == Tag::kDeleted ? kChildless : NextRank();
  meta_[u].rank.store(rank, std::memory_order_release);
  return true;
}

uint32_t NeighborLists::AdoptParents(SlotId v, std::vector<SlotId>& in) {
  Reverse(v, in);
  for (const SlotId u : in) PrefetchForWriting(u);
  for (const SlotId u : in) {
    const ListLock lock(meta_[u]);
    if (!CanHaveOutEdges(u) || !CanBeParent(u, v)) continue;
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    SlotId* const at = std::find(words, words + n, v);  // Without the bit.
    if (at == words + n) continue;
    SetRow(u, static_cast<size_t>(at - words), v | kParentBit);
    AddParent(v | kParentBit);
  }
  return ParentCount(v);
}

void NeighborLists::SuspendChildren(SlotId u, std::vector<SlotId>& dependents) {
  if (dependents.capacity() < dependents.size() + max_degree_)
    dependents.reserve(2 * (dependents.size() + max_degree_));
  const ListLock lock(meta_[u]);
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  for (size_t i = 0; i < n; ++i) {
    if (!IsParentEdge(words[i])) continue;
    const SlotId v = IdOf(words[i]);
    if (DropParentUnlessLast(v)) {
      SetRow(u, i, v);
      continue;
    }
    SHOAL_SYNC_POINT("suspend_children.before_suspending");
    Suspend(v);  // Under u's lock: the edge with the bit is there, and stays.
    dependents.push_back(v);
  }
}

void NeighborLists::DropSuspendedParent(SlotId u, SlotId v) {
  const ListLock lock(meta_[u]);
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  SlotId* const at = std::find(words, words + n, v | kParentBit);
  if (at == words + n) return;
  SetRow(u, static_cast<size_t>(at - words), v);
  DropParent(v | kParentBit);
}

bool NeighborLists::Resume(SlotId v, std::vector<SlotId>& in) {
  {
    const ListLock lock(meta_[v]);
    meta_[v].rank.store(NextRank(), std::memory_order_release);
  }
  SHOAL_SYNC_POINT("resume.moved");
  Reverse(v, in);
  for (const SlotId u : in) PrefetchForWriting(u);
  bool guarded = false;
  for (const SlotId u : in) {
    const ListLock lock(meta_[u]);
    if (!CanHaveOutEdges(u) || IsSuspended(u)) continue;
    SlotId words[kMaxDegree];
    const size_t n = CopyWords(u, words);
    guarded |= Contains({words, n}, v | kParentBit);
    SlotId* const at = std::find(words, words + n, v);  // Without the bit.
    if (at == words + n || !CanBeParent(u, v)) continue;
    SetRow(u, static_cast<size_t>(at - words), v | kParentBit);
    AddParent(v | kParentBit);
    guarded = true;
  }
  if (!guarded) return false;
  for (const SlotId u : in)
    if (IsSuspended(u)) DropSuspendedParent(u, v);
  SHOAL_SYNC_POINT("resume.before_resuming");
  const ListLock lock(meta_[v]);
  meta_[v].parents.fetch_and(~kSuspended, std::memory_order_acq_rel);
  return true;
}

bool NeighborLists::MakeSuspendedChildless(SlotId u) {
  const ListLock lock(meta_[u]);
  if (slots_.tag(u) != Tag::kDeleted) return false;
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  for (size_t i = 0; i < n; ++i) {
    if (!IsParentEdge(words[i])) continue;
    if (!DropParentUnlessLast(IdOf(words[i]))) return false;
    SetRow(u, i, IdOf(words[i]));
  }
  meta_[u].rank.store(kChildless, std::memory_order_release);
  meta_[u].parents.fetch_and(~kSuspended, std::memory_order_acq_rel);
  return true;
}

bool NeighborLists::IsParent(SlotId u, SlotId v) const {
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  return std::find(words, words + n, v | kParentBit) != words + n;
}

// Fills `next` with the words of the wanted ids that the row holds and of the unwanted ones that
// must stay; the other unwanted ones go to dropped. Under u's lock.
size_t NeighborLists::KeepOld(SlotId u, RowUpdate& update, SlotId* next) {
  SlotId words[kMaxDegree];
  const size_t n = CopyWords(u, words);
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    const SlotId id = IdOf(words[i]);
    if (Contains(update.wanted, id) || (IsParentEdge(words[i]) && !DropParentUnlessLast(id))) {
      next[kept++] = words[i];
    } else {
      update.dropped.push_back(id);
    }
  }
  return kept;
}

bool NeighborLists::UpdateRow(SlotId u, RowUpdate& update) {
  const ListLock lock(meta_[u]);
  if (meta_[u].version.load(std::memory_order_relaxed) != update.version) return false;
  SlotId next[kMaxDegree];
  const size_t kept = KeepOld(u, update, next);
  const size_t dropped = update.dropped.size();
  size_t n = kept;
  // An owner writes its row before it is live. (The version tells if it is still the same owner.)
  const bool may_point = CanHaveOutEdges(u) || slots_.tag(u) == Tag::kOwned;
  for (const SlotId v : update.wanted) {
    if (Contains({next, kept}, v) || Contains({next, kept}, v | kParentBit)) continue;
    if (n < max_degree_ && may_point && slots_.tag(v) == Tag::kLive) {
      next[n++] = WordFor(u, v);
      update.added.push_back(v);
    } else {
      update.dropped.push_back(v);
    }
  }
  for (size_t i = 0; i < n; ++i) SetRow(u, i, next[i]);
  for (size_t i = n; i < max_degree_; ++i) SetRow(u, i, kNoSlot);
  BumpVersion(u);
  for (size_t i = kept; i < n; ++i) AddParent(next[i]);
  edges_.fetch_add(update.added.size() - dropped, std::memory_order_relaxed);
  return true;
}

bool NeighborLists::MarkDeleted(SlotTable& slots, SlotId v) {
  const ListLock lock(meta_[v]);
  return slots.MarkDeleted(v);
}

bool NeighborLists::MarkRelocated(SlotTable& slots, SlotId v) {
  const ListLock lock(meta_[v]);
  return slots.MarkRelocated(v);
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
