// The parent forest: rules under which every live point can be reached from the start point. Why
// they suffice: docs/concurrency.md, "Parents".
//
// Every slot has a *rank*; the start point's is the lowest. An edge u -> v from a lower to a higher
// rank may carry the parent bit: u is then a *parent* of v, and v a *child* of u.
//
//   G1  An edge u -> v gets the bit under u's lock, if rank(u) < rank(v), u is live or frozen, and
//       u is the start point or has a parent itself.
//   G2  rank(u) grows only under u's lock, to a rank never used before, while no edge in u's row
//       has the bit.
//   G3  The count of v's parents is raised after the bit is written and lowered before it goes. It
//       is lowered only by a CAS that refuses to go from 1 to 0. A refused edge stays in its row.
//   G4  The last parent edge of v goes only if v is deleted and *childless*: no edge in v's row has
//       the bit, and v's rank says that none ever gets it again.
//   G5  While v is *suspended*, it loses no parent, and no edge in its row gets the bit. Only a
//       subtree re-attachment suspends points (reattachment.h), one at a time. It alone may raise
//       the rank of a suspended point whose children are all suspended, and take the bit off an
//       edge between two suspended points if the target has another parent.
//
// The count of parents and the suspension are one word. So a CAS that lowers the count fails if the
// point was suspended after the count was read.
#pragma once

#include <vector>

#include "store/list_records.h"

namespace shoal {

// Over the rows of NeighborLists, which writes edges and asks this class for their bits. All
// functions may be called by any thread, under an epoch guard, except where they say otherwise.
class ParentForest {
 public:
  explicit ParentForest(ListRecords& lists) : lists_(lists) {}

  bool Precedes(SlotId u, SlotId v) const {
    return lists_.meta(u).rank.load(std::memory_order_relaxed) <
           lists_.meta(v).rank.load(std::memory_order_relaxed);
  }
  // Whether an edge from u to v would get the parent bit now (G1).
  bool CanBeParent(SlotId u, SlotId v) const {
    if (!Precedes(u, v)) return false;
    if (lists_.meta(u).rank.load(std::memory_order_relaxed) == 0) return true;
    return CanDropParent(lists_.meta(u).parents.load(std::memory_order_acquire), 0);
  }
  // Whether u's row has an edge to v with the parent bit.
  bool IsParent(SlotId u, SlotId v) const;
  // v's parents (G3).
  uint32_t ParentCount(SlotId v) const {
    return lists_.meta(v).parents.load(std::memory_order_acquire) & ~kSuspended;
  }

  // Takes the parent bits off u's edges, and then gives u the highest rank (G2) or, if it is
  // deleted, makes it childless (G4). False: u is suspended, or some child has no other parent or
  // is suspended. Such children are appended to `refused`, at most max_degree.
  bool MoveToEnd(SlotId u, std::vector<SlotId>& refused);
  // Gives the parent bit to every edge to v that may have it. `in`: working memory. Returns v's
  // parents.
  uint32_t AdoptParents(SlotId v, std::vector<SlotId>& in);

  // --- Suspension (G5), for one caller at a time: SubtreeReattachment.

  void Suspend(SlotId v) { lists_.meta(v).parents.fetch_or(kSuspended, std::memory_order_acq_rel); }
  bool IsSuspended(SlotId v) const {
    return lists_.meta(v).parents.load(std::memory_order_acquire) >= kSuspended;
  }
  // Takes the parent bits off the edges of u, which is suspended. Children that have no other
  // parent or are suspended keep theirs; they are suspended now and appended to `dependents`. May
  // throw bad_alloc, before it has done anything.
  void SuspendChildren(SlotId u, std::vector<SlotId>& dependents);
  // Takes the parent bit off the edge from u to v, if there is one. Both are suspended, and v has
  // another parent.
  void DropSuspendedParent(SlotId u, SlotId v);
  // Gives v, which is suspended and whose children all are, the highest rank, and makes those of
  // its in-neighbours its parents that are not suspended. True: there are such parents; v is not
  // suspended any more and has no suspended parent. `in`: working memory.
  bool Resume(SlotId v, std::vector<SlotId>& in);
  // Makes u, which is suspended, childless and ends its suspension. False: u is not deleted, or has
  // a child that is suspended or has no other parent.
  bool MakeSuspendedChildless(SlotId u);

  // --- Loading: one caller has the lists, and all slots are fresh.

  // Gives u the highest rank. (A start point has the lowest without this.)
  void LoadRank(SlotId u) { lists_.meta(u).rank.store(NextRank(), std::memory_order_relaxed); }

 private:
  friend class NeighborLists;  // For what goes with a change of edges.

  static constexpr uint64_t kChildless = ~uint64_t{0};  // A rank: see G4.
  static constexpr uint32_t kSuspended = 1u << 31;      // In Meta::parents: see G5.

  // Under the lock of u, which its owner is about to use: u has no parent.
  void Reset(SlotId u, uint64_t rank) {
    lists_.meta(u).rank.store(rank, std::memory_order_relaxed);
    lists_.meta(u).parents.store(0, std::memory_order_release);
  }
  // Loading: gives the parent bit to all edges of u to slots of higher rank, if rank(u) <= last.
  void LoadParents(SlotId u, uint64_t last);

  // Under u's lock, before the edge is in the row: v, with the parent bit if it may have it.
  SlotId WordFor(SlotId u, SlotId v) const { return CanBeParent(u, v) ? v | kParentBit : v; }
  // After a word was written to a row, and before it goes: the count, if it is a parent edge (G3).
  void AddParent(SlotId word) {
    if (IsParentEdge(word)) lists_.meta(IdOf(word)).parents.fetch_add(1, std::memory_order_release);
  }
  void DropParent(SlotId word) {
    if (IsParentEdge(word)) lists_.meta(IdOf(word)).parents.fetch_sub(1, std::memory_order_release);
  }
  // Likewise, for a parent edge to v. False, and nothing done: it is v's last (G3) and v is not
  // childless (G4), or v is suspended (G5).
  bool DropParentUnlessLast(SlotId v);
  // Whether a point with this word has more than `min` parents and is not suspended.
  static bool CanDropParent(uint32_t parents, uint32_t min) {
    return parents > min && parents < kSuspended;
  }
  // Under u's lock. Sets the parent bit of the edge at `i` of u's row, which is to v.
  void AddParentBit(LockedRow& row, size_t i) {
    row.SetParentBit(i);
    AddParent(row[i]);
  }
  // Release, pairs with IsChildless: the bits in u's row went before.
  void SetRank(SlotId u, uint64_t rank) {
    lists_.meta(u).rank.store(rank, std::memory_order_release);
  }
  bool IsChildless(SlotId v) const {
    return lists_.meta(v).rank.load(std::memory_order_acquire) == kChildless;
  }
  void EndSuspension(SlotId v) {
    lists_.meta(v).parents.fetch_and(~kSuspended, std::memory_order_acq_rel);
  }
  uint64_t NextRank() { return last_rank_.fetch_add(1, std::memory_order_relaxed) + 1; }

  ListRecords& lists_;
  std::atomic<uint64_t> last_rank_{0};
};

}  // namespace shoal
