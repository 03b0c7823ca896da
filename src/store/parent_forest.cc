#include "store/parent_forest.h"

#include "base/hooks.h"

namespace shoal {

bool ParentForest::IsParent(SlotId u, SlotId v) const {
  SlotId words[kMaxDegree];
  const size_t n = lists_.CopyWords(u, words);
  return std::find(words, words + n, v | kParentBit) != words + n;
}

bool ParentForest::DropParentUnlessLast(SlotId v) {
  auto& parents = lists_.meta(v).parents;
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

bool ParentForest::MoveToEnd(SlotId u, std::vector<SlotId>& refused) {
  LockedRow row(lists_, u);
  if (IsSuspended(u)) return false;
  const size_t before = refused.size();
  // First without a change, so that a refusal costs no child a parent.
  for (const SlotId word : row.words()) {
    const SlotId v = IdOf(word);
    if (IsParentEdge(word) && !IsChildless(v) &&
        !CanDropParent(lists_.meta(v).parents.load(std::memory_order_acquire), 1))
      refused.push_back(v);
  }
  if (refused.size() > before) return false;
  for (size_t i = 0; i < row.size(); ++i) {
    if (!IsParentEdge(row[i])) continue;
    if (DropParentUnlessLast(IdOf(row[i]))) {
      row.ClearParentBit(i);
    } else {
      refused.push_back(IdOf(row[i]));
    }
  }
  if (refused.size() > before) return false;
  SetRank(u, lists_.slots().tag(u) == Tag::kDeleted ? kChildless : NextRank());
  return true;
}

uint32_t ParentForest::AdoptParents(SlotId v, std::vector<SlotId>& in) {
  lists_.CopyReverse(v, in);
  for (const SlotId u : in) lists_.PrefetchForWriting(u);
  for (const SlotId u : in) {
    LockedRow row(lists_, u);
    if (!lists_.CanHaveOutEdges(u) || !CanBeParent(u, v)) continue;
    if (const size_t at = row.FindWord(v); at < row.size()) AddParentBit(row, at);
  }
  return ParentCount(v);
}

void ParentForest::SuspendChildren(SlotId u, std::vector<SlotId>& dependents) {
  const size_t max_degree = lists_.max_degree();
  if (dependents.capacity() < dependents.size() + max_degree)
    dependents.reserve(2 * (dependents.size() + max_degree));
  LockedRow row(lists_, u);
  for (size_t i = 0; i < row.size(); ++i) {
    if (!IsParentEdge(row[i])) continue;
    const SlotId v = IdOf(row[i]);
    if (DropParentUnlessLast(v)) {
      row.ClearParentBit(i);
      continue;
    }
    SHOAL_SYNC_POINT("suspend_children.before_suspending");
    Suspend(v);  // Under u's lock: the edge with the bit is there, and stays.
    dependents.push_back(v);
  }
}

void ParentForest::DropSuspendedParent(SlotId u, SlotId v) {
  LockedRow row(lists_, u);
  const size_t at = row.FindWord(v | kParentBit);
  if (at == row.size()) return;
  DropParent(row[at]);
  row.ClearParentBit(at);
}

bool ParentForest::Resume(SlotId v, std::vector<SlotId>& in) {
  {
    const ListLock lock(lists_.meta(v));
    SetRank(v, NextRank());
  }
  SHOAL_SYNC_POINT("resume.moved");
  lists_.CopyReverse(v, in);
  for (const SlotId u : in) lists_.PrefetchForWriting(u);
  bool has_parent = false;
  for (const SlotId u : in) {
    LockedRow row(lists_, u);
    if (!lists_.CanHaveOutEdges(u) || IsSuspended(u)) continue;
    has_parent |= row.FindWord(v | kParentBit) < row.size();
    const size_t at = row.FindWord(v);
    if (at == row.size() || !CanBeParent(u, v)) continue;
    AddParentBit(row, at);
    has_parent = true;
  }
  if (!has_parent) return false;
  for (const SlotId u : in)
    if (IsSuspended(u)) DropSuspendedParent(u, v);
  SHOAL_SYNC_POINT("resume.before_resuming");
  const ListLock lock(lists_.meta(v));
  EndSuspension(v);
  return true;
}

bool ParentForest::MakeSuspendedChildless(SlotId u) {
  LockedRow row(lists_, u);
  if (lists_.slots().tag(u) != Tag::kDeleted) return false;
  for (size_t i = 0; i < row.size(); ++i) {
    if (!IsParentEdge(row[i])) continue;
    if (!DropParentUnlessLast(IdOf(row[i]))) return false;
    row.ClearParentBit(i);
  }
  SetRank(u, kChildless);
  EndSuspension(u);
  return true;
}

void ParentForest::LoadParents(SlotId u, uint64_t last) {
  const uint64_t rank = lists_.meta(u).rank.load(std::memory_order_relaxed);
  if (rank > last) return;
  SlotId words[kMaxDegree];
  const size_t n = lists_.CopyWords(u, words);
  for (size_t i = 0; i < n; ++i) {
    if (rank >= lists_.meta(words[i]).rank.load(std::memory_order_relaxed)) continue;
    lists_.SetWord(u, i, words[i] | kParentBit);
    AddParent(words[i] | kParentBit);
  }
}

}  // namespace shoal
