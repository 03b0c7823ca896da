// Neighbour lists: who a slot points at, read by everybody without a lock; and the edge protocol,
// which keeps the reverse lists exact while many writers work.
//
// PROBLEM. A slot may be used again only when no list names it. So whoever deletes it must know all
// who do; and an edge must not appear behind the deleter's back.
//
// WRONG ATTEMPTS. (1) Retire at once and let old edges dangle: they lead to the slot's next tenant.
// (2) Write the edge first and the reverse entry second: a remover erases the entry that an adder
// has just renewed (three threads suffice; tests/models has the trace).
//
// PROTOCOL (no operation ever holds two list locks)
//   Link(u, v)    1. under v's lock: if v is live, PUSH u on v's reverse list (a multiset)
//                 2. under u's lock: if v is still live and absent from u's row, write the edge;
//                    otherwise 3. take the push back under v's lock
//   Unlink(u, v)  1. under u's lock: the row   2. under v's lock: one u off v's reverse list
//   Delete(v)     under v's lock: live -> deleted, and copy v's reverse list, in one section
//
// INVARIANT. A reverse list contains the edges that rows hold at every instant, and equals them at
// rest. So the copy that Delete takes names every row with an edge to v, and every row that is
// still to get one: that writer's step 2 comes either before the repairer takes u's lock, which
// then sees the edge, or after, when it sees v deleted.
//
// WRITES AFTER A COMPUTATION. Prune: Copy() gives the row's version; Replace() takes the lock,
// refuses if the version moved, keeps only what the row holds, adds only what was pushed before and
// is live now. A version is 32 bits and moves once per write. Repair: Swap() puts one edge, pushed
// before, in the place of another, whatever else the row holds by now; it needs no version.
//
// REACHABILITY. Every slot has a rank number; the start point's is 0, the least. An edge may carry
// the *guard* bit, under four rules:
//   G1  an edge u -> v gets the bit under u's lock, when rank(u) < rank(v), u is live or frozen,
//       and u is the start or has a guard itself;
//   G2  rank(u) grows only under u's lock, to a number never used before, when no edge of u's row
//       has the bit: so parents lead from older to younger, and have no cycle;
//   G3  the number of v's parents is raised after the bit is written, lowered before it goes, and
//       lowered only by a CAS that refuses 1 -> 0: it never exceeds the bits in rows, and no two
//       writers take a point's last two. A refused edge stays in its row;
//   G4  the last guard of v goes only when v is deleted and no edge of its own has the bit: v is
//       then *released*, which its rank number says. None of its edges ever gets the bit again,
//       since v is not live; and who parents it from then on parents nobody else through it;
//   G5  while v is *pinned*, it loses no guard, and no edge of its row gets the bit. One thread at
//       a time pins, and may do what G2 and G3 forbid: raise the rank of a pinned v while its
//       edges with the bit lead to pinned ones only; take off the bit of an edge from a pinned to
//       a pinned one that has another guard. It unpins v when v has a guard that is not suspended
//       and none that is.
// LEMMA. Whoever has a guard can be reached from the start: its guard has a guard, or is the start,
// and ranks fall along the way. (Who is not suspended has a guard that is not; who is pinned hangs
// on a deleted point in a tree of parents: reattachment.h.) (A plain in-degree does not do: two
// points may be each other's only in-edge, and a whole island may live on its own edges.) REBIRTH.
// Neighbours die in the order of their age in the commonest of streams, and a point's parents with
// them. Then the point takes its bits back where others guard its neighbours, too, is born anew,
// and all who still point at it become its parents: no edge moves.
//
// READERS copy a row with relaxed loads. A row that is caught half-way is a mixture of old and new
// edges, each of which was in the row during the search; every id in a row is a slot below the
// high-water mark, or kNoSlot, which ends the row.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "base/memory.h"
#include "shoal/options.h"
#include "store/column.h"
#include "store/reverse_lists.h"
#include "store/slot_table.h"

namespace shoal {

class NeighborLists {
 public:
  // max_degree: R, ids in a row. `slots` says who is live.
  NeighborLists(MemoryBudget& budget, const SlotTable& slots, uint32_t max_degree);

  // The columns that grow with the slot table.
  Column& rows() const { return rows_; }
  Column& meta() const { return meta_; }
  bool Init(unsigned max_segment_shift = 30) { return reverse_.Init(max_segment_shift); }
  uint32_t max_degree() const { return max_degree_; }

  // --- Readers: no lock, under a guard. `out` holds max_degree ids.

  size_t Copy(SlotId u, SlotId* out) const;
  // The row at one instant, without duplicates: waits for a writer of the row.
  size_t CopyAtomically(SlotId u, SlotId* out) const;
  void PrefetchForWriting(SlotId u) const {
    __builtin_prefetch(&meta_[u], 1);
    Prefetch(u);
  }
  void Prefetch(SlotId u) const {
    const std::byte* row = rows_.At(u);
    for (size_t i = 0; i < rows_.stride(); i += kCacheLine) {
      __builtin_prefetch(row + i);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // g++ 12 keeps the loop then.
    }
  }

  // --- Writers, under a guard.

  // Makes a slot's list and reverse list empty; its in-edges must be gone. The owner, before use.
  // Gives it a rank number: u is younger than all that were reset before.
  void ResetRow(SlotId u);
  // Likewise, for a start point: older than every point.
  void ResetStart(SlotId u);
  // Makes sure that the next in-edges of u, which the caller owns, find memory. False: none.
  bool ReserveReverse(SlotId u);

  enum class LinkResult : uint8_t {
    kLinked,   // The edge is there now, and was not before.
    kPresent,  // It was there.
    kFull,     // The row has max_degree edges.
    kNotLive,  // One of the two is not live (v), or neither live nor frozen (u).
    kNoMemory,
  };
  LinkResult Link(SlotId u, SlotId v);
  // True if there was such an edge. Even if it was v's last guard: for a v of which G4 allows it.
  bool Unlink(SlotId u, SlotId v);
  // Puts an edge to `coming`, which was pushed, in the place of the one to `leaving`, which is
  // deleted, even if that is its last guard (G4). False: there was no edge to `leaving`, and
  // nothing changes. The push is taken back if the row has `coming` or may not get it; kNoSlot:
  // nobody comes.
  bool Swap(SlotId u, SlotId leaving, SlotId coming);
  // Unlinks u, which is deleted or the caller's own, from all its neighbours.
  void ClearRow(SlotId u);

  // Calls for what Push or TakeBack of an edge to each of these will touch.
  void PrefetchReverse(std::span<const SlotId> slots) const {
    for (const SlotId v : slots) __builtin_prefetch(&meta_[v], 1);
    for (const SlotId v : slots)
      __builtin_prefetch(&reverse_[meta_[v].reverse.load(std::memory_order_relaxed)], 1);
  }

  // Step 1 and 3 of Link on their own, for writes after a computation.
  LinkResult AddBackLink(SlotId u, SlotId v);
  void RemoveBackLink(SlotId u, SlotId v);

  // A row to be replaced, and what came of it.
  struct RowUpdate {
    // In: the version from Version() before the computation's Copy; the row wanted, without
    // duplicates, not u, at most max_degree; each id is in the row already or pushed.
    uint32_t version = 0;
    std::span<const SlotId> wanted;
    // Out. Of the pushed, those that did not make it: the caller takes the pushes back. Of the old
    // row, those that were dropped: likewise.
    std::vector<SlotId> dropped;
    // Out: wanted ids that are in the row now and were not before.
    std::vector<SlotId> added;
  };
  // False: the version moved, and nothing was done. An old edge that is some point's last guard
  // stays, at the cost of the last of the new ones.
  bool UpdateRow(SlotId u, RowUpdate& update);
  uint32_t Version(SlotId u) const { return meta_[u].version.load(std::memory_order_acquire); }

  // live -> deleted. False: it was not live. From here on v's reverse list only shrinks, and names
  // every row that has or is about to get an edge to v.
  bool MarkDeleted(SlotTable& slots, SlotId v);
  // Likewise; see SlotTable::MarkRelocated.
  bool MarkRelocated(SlotTable& slots, SlotId v);

  // Whether u's row holds v, as v's guard.
  bool IsParent(SlotId u, SlotId v) const;
  bool Precedes(SlotId u, SlotId v) const {
    return meta_[u].rank.load(std::memory_order_relaxed) <
           meta_[v].rank.load(std::memory_order_relaxed);
  }
  // Whether an edge from u to v, if it were written now, could guard v (G1).
  bool CanBeParent(SlotId u, SlotId v) const {
    if (!Precedes(u, v)) return false;
    if (meta_[u].rank.load(std::memory_order_relaxed) == 0) return true;
    return CanDropParent(meta_[u].parents.load(std::memory_order_acquire), 0);
  }
  // Committed parents of v (G3).
  uint32_t ParentCount(SlotId v) const {
    return meta_[v].parents.load(std::memory_order_acquire) & ~kSuspended;
  }
  // Takes the guard bits off u's edges and, if none is left, makes u younger than all (G2), or
  // releases it, if it is deleted (G4). False: u is pinned, or the last guard of those, or the
  // guard of those pinned ones, that are appended to `refused`, at most max_degree.
  bool MoveToEnd(SlotId u, std::vector<SlotId>& refused);
  // Gives the guard bit to every edge to v that may have it. `in`: working memory. Returns v's
  // parents.
  uint32_t AdoptParents(SlotId v, std::vector<SlotId>& in);

  // --- Pinning (G5), one caller at a time: reattachment.h.

  void Suspend(SlotId v) { meta_[v].parents.fetch_or(kSuspended, std::memory_order_acq_rel); }
  bool IsSuspended(SlotId v) const {
    return meta_[v].parents.load(std::memory_order_acquire) >= kSuspended;
  }
  // Takes the guard bits off u's edges, u being pinned, but those to whom u is the last guard, or
  // who are pinned: those are pinned now and appended to `dependents`. bad_alloc: nothing is done.
  void SuspendChildren(SlotId u, std::vector<SlotId>& dependents);
  // Takes the guard bit off the edge from u to v, if there is one: both are pinned, and v has
  // another guard.
  void DropSuspendedParent(SlotId u, SlotId v);
  // Makes v, of whose edges those with the guard bit lead to pinned ones, younger than all, and
  // those that point at it and are not suspended its parents. True: there are some; v is pinned no
  // more and has no pinned guard. `in`: working memory.
  bool Resume(SlotId v, std::vector<SlotId>& in);
  // Releases u, which is pinned and deleted. False: it is not deleted, or parents one that is
  // pinned.
  bool MakeSuspendedChildless(SlotId u);

  // Replaces `in` by a copy of v's reverse list, or of a part of it, of at least so many ids.
  void Reverse(SlotId v, std::vector<SlotId>& in, size_t least = SIZE_MAX) const;
  std::vector<SlotId> Reverse(SlotId v) const {
    std::vector<SlotId> in;
    Reverse(v, in);
    return in;
  }
  // Whether v has more than n in-edges; calls for the memory that taking one back will touch.
  bool HasMoreIn(SlotId v, size_t n) const;

  // Frees what an available slot still holds.
  void Forget(SlotId slot);
  // Moves the reverse lists of slots [0, slots), but those that `holds_nothing`, together and gives
  // what is left over back to the system. Beside anything but SlotTable::Trim and PunchHoles, one
  // caller at a time.
  void CompactReverseLists(SlotId slots, const std::function<bool(SlotId)>& holds_nothing);

  // --- Loading: the caller alone has the lists, and fresh slots, all of them live or frozen. Three
  // rounds, each over all slots and finished before the next; LoadRow and LoadEdges by any threads.

  // 1. The row: ids of fresh slots, without duplicates, not u, at most max_degree; in this order.
  void LoadRow(SlotId u, std::span<const SlotId> ids);
  // 2. Births, the oldest first (the start point's is the least without this).
  void LoadRank(SlotId u);
  // 3. What belongs to the edges of u's row: reverse entries and, on edges to younger slots, guard
  // bits. Those only if rank(u) <= last_with_parent: all points born up to then have, but for this
  // round, a guard: an edge from an older one of them or from the start. False: no memory.
  bool LoadEdges(SlotId u, uint64_t last_with_parent);

  // Edges in all rows.
  uint64_t edges() const { return edges_.load(std::memory_order_relaxed); }
  // Resident bytes.
  uint64_t ReverseBytes() const { return reverse_.ResidentBytes(); }

 private:
  // What a row holds: ids, with the guard bit; kNoSlot behind the last.
  static constexpr SlotId kParentBit = 1u << 31;
  static_assert((kMaxSlots & kParentBit) == 0);
  static SlotId IdOf(SlotId word) { return word & ~kParentBit; }
  static bool IsParentEdge(SlotId word) { return (word & kParentBit) != 0; }

  static constexpr uint64_t kChildless = ~uint64_t{0};  // A rank number: see G4.
  static constexpr uint32_t kSuspended = 1u << 31;      // In Meta::parents: see G5.

  using Id = std::atomic<SlotId>;
  struct Meta {
    std::atomic<uint32_t> lock;     // 0 free, 1 held, 2 held and somebody waits.
    std::atomic<uint32_t> version;  // Of the row; written under the lock.
    std::atomic<uint32_t> parents;  // Committed; see above. The top bit: see kSuspended.
    // The reverse list: written under the lock, read under it or to call for memory.
    std::atomic<ReversePool::ChunkId> reverse;
    std::atomic<uint64_t> rank;  // 0: a start point; see G2 and G4.
  };
  static_assert(sizeof(Meta) == 24);

  class ListLock;
  Id* Row(SlotId u) const { return reinterpret_cast<Id*>(rows_.At(u)); }
  bool CanHaveOutEdges(SlotId u) const;
  size_t CopyWords(SlotId u, SlotId* words) const;
  void SetRow(SlotId u, size_t i, SlotId v) { Row(u)[i].store(v, std::memory_order_relaxed); }
  // Under u's lock, before the edge is in the row: v with the guard bit, if it may have it.
  SlotId WordFor(SlotId u, SlotId v) const { return CanBeParent(u, v) ? v | kParentBit : v; }
  void AddParent(SlotId word) {
    if (IsParentEdge(word)) meta_[IdOf(word)].parents.fetch_add(1, std::memory_order_release);
  }
  void DropParent(SlotId word) {
    if (IsParentEdge(word)) meta_[IdOf(word)].parents.fetch_sub(1, std::memory_order_release);
  }
  bool DropParentUnlessLast(SlotId v);
  // Whether a point with these parents has more than `least` of them and is not suspended.
  static bool CanDropParent(uint32_t parents, uint32_t least) {
    return parents > least && parents < kSuspended;
  }
  uint64_t NextRank() { return last_rank_.fetch_add(1, std::memory_order_relaxed) + 1; }
  // Acquire, pairs with MoveToEnd: the bits of v's row went before.
  bool IsChildless(SlotId v) const {
    return meta_[v].rank.load(std::memory_order_acquire) == kChildless;
  }
  void ResetWithRank(SlotId u, uint64_t rank);
  void BumpVersion(SlotId u);
  size_t KeepOld(SlotId u, RowUpdate& update, SlotId* next);

  // Constant after construction.
  const SlotTable& slots_;
  const uint32_t max_degree_;

  // Rows: written under the list lock, read by all. Meta: see its members.
  mutable Column rows_;
  mutable TypedColumn<Meta> meta_;
  mutable ReversePool reverse_;
  std::atomic<uint64_t> edges_{0};
  std::atomic<uint64_t> last_rank_{0};
};

}  // namespace shoal
