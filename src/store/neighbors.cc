#include "store/neighbors.h"

#include <algorithm>

#include "base/check.h"
#include "base/hooks.h"

namespace shoal {
namespace {

// Without a branch: a vector loop, for lists are short.
bool Contains(std::span<const SlotId> ids, SlotId id) {
  unsigned found = 0;
  for (const SlotId other : ids) found |= static_cast<unsigned>(other == id);
  return found != 0;
}

}  // namespace

size_t NeighborLists::Copy(SlotId u, SlotId* out) const {
  const size_t n = records_.CopyWords(u, out);
  for (size_t i = 0; i < n; ++i) out[i] = IdOf(out[i]);
  return n;
}

size_t NeighborLists::CopyAtomically(SlotId u, SlotId* out) const {
  const ListLock lock(records_.meta(u));
  return Copy(u, out);
}

void NeighborLists::Reset(SlotId u, uint64_t rank) {
  LockedReverseList reverse(records_, u);
  records_.WriteRow(u, {});
  reverse->Clear();
  forest_.Reset(u, rank);
}

bool NeighborLists::ReserveReverse(SlotId u) { return LockedReverseList(records_, u)->Reserve(); }

NeighborLists::LinkResult NeighborLists::AddBackLink(SlotId u, SlotId v) {
  LockedReverseList reverse(records_, v);
  if (!IsPoint(records_.slots().tag(v))) return LinkResult::kNotLive;
  return reverse->Add(u) ? LinkResult::kLinked : LinkResult::kNoMemory;
}

void NeighborLists::RemoveBackLink(SlotId u, SlotId v) {
  SHOAL_CHECK(LockedReverseList(records_, v)->Remove(u));
}

NeighborLists::LinkResult NeighborLists::Link(SlotId u, SlotId v) {
  const LinkResult noted = AddBackLink(u, v);
  if (noted != LinkResult::kLinked) return noted;
  SHOAL_SYNC_POINT("link.after_back_link");
  LinkResult result = LinkResult::kLinked;
  {
    LockedRow row(records_, u);
    if (row.size() == max_degree()) result = LinkResult::kFull;
    if (row.Find(v) < row.size()) result = LinkResult::kPresent;
    if (!CanGetEdge(u, v)) result = LinkResult::kNotLive;
    if (result == LinkResult::kLinked) {
      const SlotId word = forest_.WordFor(u, v);
      row.Append(word);
      forest_.AddParent(word);
    }
  }
  if (result == LinkResult::kLinked) return result;
  SHOAL_SYNC_POINT("link.before_undo");
  RemoveBackLink(u, v);
  return result;
}

bool NeighborLists::Unlink(SlotId u, SlotId v) {
  {
    LockedRow row(records_, u);
    const size_t at = row.Find(v);
    if (at == row.size()) return false;
    forest_.DropParent(row[at]);
    row.Remove(at);
  }
  SHOAL_SYNC_POINT("unlink.after_row");
  RemoveBackLink(u, v);
  return true;
}

bool NeighborLists::Swap(SlotId u, SlotId leaving, SlotId coming) {
  bool went = false, came = false;
  {
    LockedRow row(records_, u);
    if (const size_t at = row.Find(leaving); at < row.size()) {
      const bool there = row.Find(coming) < row.size();
      forest_.DropParent(row[at]);
      came = coming != kNoSlot && !there && CanGetEdge(u, coming);
      if (came) {
        const SlotId word = forest_.WordFor(u, coming);
        row.Replace(at, word);
        forest_.AddParent(word);
      } else {
        row.Remove(at);
      }
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
    LockedRow row(records_, u);
    n = row.size();
    std::copy_n(row.words().begin(), n, words);
    for (size_t i = 0; i < n; ++i) forest_.DropParent(words[i]);
    row.Assign({});
  }
  for (size_t i = 0; i < n; ++i) RemoveBackLink(u, IdOf(words[i]));
}

// Fills `next` with the words of the wanted ids that the row holds, and of the unwanted ones that
// must stay. The other unwanted ids are appended to update.dropped.
size_t NeighborLists::KeepOld(const LockedRow& row, RowUpdate& update, SlotId* next) {
  size_t kept = 0;
  for (const SlotId word : row.words()) {
    const SlotId id = IdOf(word);
    if (Contains(update.wanted, id) || (IsParentEdge(word) && !forest_.DropParentUnlessLast(id))) {
      next[kept++] = word;
    } else {
      update.dropped.push_back(id);
    }
  }
  return kept;
}

bool NeighborLists::UpdateRow(SlotId u, RowUpdate& update) {
  LockedRow row(records_, u);
  if (row.version() != update.version) return false;
  SlotId next[kMaxDegree];
  const size_t kept = KeepOld(row, update, next);
  size_t n = kept;
  // An owner writes its row before it is live. (The version tells whether it is the same owner.)
  const bool may_point = records_.CanHaveOutEdges(u) || records_.slots().tag(u) == Tag::kOwned;
  for (const SlotId v : update.wanted) {
    if (Contains({next, kept}, v) || Contains({next, kept}, v | kParentBit)) continue;
    if (n < max_degree() && may_point && IsPoint(records_.slots().tag(v))) {
      next[n++] = forest_.WordFor(u, v);
      update.added.push_back(v);
    } else {
      update.dropped.push_back(v);
    }
  }
  row.Assign({next, n});
  for (size_t i = kept; i < n; ++i) forest_.AddParent(next[i]);
  return true;
}

bool NeighborLists::MarkDeleted(SlotTable& slots, SlotId v) {
  const ListLock lock(records_.meta(v));
  return slots.MarkDeleted(v);
}

bool NeighborLists::MarkAborted(SlotTable& slots, SlotId v) {
  const ListLock lock(records_.meta(v));
  return slots.MarkAborted(v);
}

bool NeighborLists::MarkRelocated(SlotTable& slots, SlotId v) {
  const ListLock lock(records_.meta(v));
  return slots.MarkRelocated(v);
}

void NeighborLists::PrefetchReverse(std::span<const SlotId> slots) const {
  for (const SlotId v : slots) __builtin_prefetch(&records_.meta(v), 1);
  for (const SlotId v : slots) {
    const auto head = records_.meta(v).reverse.load(std::memory_order_relaxed);
    __builtin_prefetch(&records_.reverse()[head], 1);
  }
}

std::vector<SlotId> NeighborLists::Reverse(SlotId v) const {
  std::vector<SlotId> in;
  Reverse(v, in);
  return in;
}

bool NeighborLists::HasMoreIn(SlotId v, size_t n) const {
  return LockedReverseList(records_, v)->HasMoreThan(n);
}

void NeighborLists::Forget(SlotId slot) { LockedReverseList(records_, slot)->Clear(); }

void NeighborLists::CompactReverseLists() {
  const ReversePool::ChunkId bound = records_.reverse().BeginCompact();
  const SlotTable& slots = records_.slots();
  for (SlotId u = 0, end = slots.high_water(); u < end; ++u) {
    if (slots.IsPunched(u)) continue;  // It has no list, and its lock would bring a page back.
    LockedReverseList(records_, u)->MoveBelow(bound);
  }
  records_.reverse().EndCompact();
}

void NeighborLists::LoadRow(SlotId u, std::span<const SlotId> ids) {
  records_.WriteRow(u, ids);
  records_.CountEdges(static_cast<int64_t>(ids.size()));
}

bool NeighborLists::LoadEdges(SlotId u, uint64_t last_with_parent) {
  SlotId ids[kMaxDegree];
  const size_t n = Copy(u, ids);
  for (size_t i = 0; i < n; ++i) __builtin_prefetch(&records_.meta(ids[i]));
  for (size_t i = 0; i < n; ++i)
    if (AddBackLink(u, ids[i]) != LinkResult::kLinked) return false;
  forest_.LoadParents(u, last_with_parent);
  return true;
}

}  // namespace shoal
