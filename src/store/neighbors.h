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
// WRITES AFTER A COMPUTATION (prune, repair). Copy() gives the row's version; Replace() takes the
// lock, refuses if the version moved, keeps only what the row holds, adds only what was pushed
// before and is live now. A version is 32 bits and moves once per write.
//
// REACHABILITY. Every slot has a birth number; a start point is older than every point. An edge
// from an older slot to a younger one *guards* the younger: as long as each point has one guard,
// each can be reached from the start, by induction over births. A plain in-degree does not do: two
// points may be each other's only in-edge, and a whole island may live on its own edges.
//
// COMMITTED GUARDS. The number of a point's guards is raised after the row is written, lowered
// before the edge goes, and lowered only by a CAS that refuses 1 -> 0: so it never exceeds the
// guards in rows, and no two prunes take a point's last two. A refused edge stays in its row.
//
// READERS copy a row with relaxed loads. A row that is caught half-way is a mixture of old and new
// edges, each of which was in the row during the search; every id in a row is a slot below the
// high-water mark, or kNoSlot, which ends the row.
#pragma once

#include <atomic>
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
  Column& rows() { return rows_; }
  Column& meta() { return meta_; }
  bool Init(unsigned max_segment_shift = 30) { return reverse_.Init(max_segment_shift); }
  uint32_t max_degree() const { return max_degree_; }

  // --- Readers: no lock, under a guard. `out` holds max_degree ids.

  size_t Copy(SlotId u, SlotId* out) const;
  void Prefetch(SlotId u) const {
    const std::byte* row = rows_.At(u);
    for (size_t i = 0; i < rows_.stride(); i += kCacheLine) {
      __builtin_prefetch(row + i);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // g++ 12 keeps the loop then.
    }
  }

  // --- Writers, under a guard.

  // Makes a slot's list and reverse list empty; its in-edges must be gone. The owner, before use.
  // Gives it a birth number: u is younger than all that were reset before.
  void Reset(SlotId u);
  // Likewise, for a start point: older than every point.
  void ResetStart(SlotId u);
  // Makes sure that the next in-edges of u, which the caller owns, find memory. False: none.
  bool ReserveReverse(SlotId u);

  enum class LinkResult : uint8_t {
    kLinked,   // The edge is there now, and was not before.
    kPresent,  // It was there.
    kFull,     // The row has max_degree edges.
    kNotLive,  // One of the two is not live (v), or not live, owned or frozen (u).
    kNoMemory,
  };
  LinkResult Link(SlotId u, SlotId v);
  // True if there was such an edge, even if it was v's last guard: for repair, which has given v
  // another one or does not need it any more.
  bool Unlink(SlotId u, SlotId v);

  // Step 1 and 3 of Link on their own, for writes after a computation.
  LinkResult Push(SlotId u, SlotId v);
  void TakeBack(SlotId u, SlotId v);

  // A row to be replaced, and what came of it.
  struct Replacement {
    // In: the version from Version() before the computation's Copy; the row wanted, without
    // duplicates, not u, at most max_degree; each id is in the row already or pushed.
    uint32_t version = 0;
    std::span<const SlotId> wanted;
    // Out. Of the pushed, those that did not make it: the caller takes the pushes back. Of the old
    // row, those that were dropped: likewise.
    std::vector<SlotId> take_back;
    // Out: wanted ids that are in the row now and were not before.
    std::vector<SlotId> added;
  };
  // False: the version moved, and nothing was done. An old edge that is some point's last guard
  // stays, at the cost of the last of the new ones.
  bool Replace(SlotId u, Replacement& replacement);
  uint32_t Version(SlotId u) const { return meta_[u].version.load(std::memory_order_acquire); }

  // live -> deleted; appends v's reverse list to `in`. False: it was not live.
  bool MarkDeleted(SlotTable& slots, SlotId v, std::vector<SlotId>& in);

  // Whether an edge from u to v, if there is one, guards v: u is older. Fixed while both are owned.
  bool Guards(SlotId u, SlotId v) const {
    return meta_[u].birth.load(std::memory_order_relaxed) <
           meta_[v].birth.load(std::memory_order_relaxed);
  }
  // Committed guards of v: never more than the edges from older slots to v that rows hold.
  uint32_t GuardCount(SlotId v) const { return meta_[v].guards.load(std::memory_order_acquire); }
  // A copy of v's reverse list.
  std::vector<SlotId> Reverse(SlotId v) const;

  // Edges in all rows.
  uint64_t edges() const { return edges_.load(std::memory_order_relaxed); }
  // Resident bytes, with slots [0, slots) in use.
  uint64_t RowBytes(SlotId slots) const { return rows_.Resident(slots); }
  uint64_t MetaBytes(SlotId slots) const { return meta_.Resident(slots); }
  uint64_t ReverseBytes() const { return reverse_.ResidentBytes(); }

 private:
  using Id = std::atomic<SlotId>;
  struct Meta {
    std::atomic<uint32_t> lock;     // 0 free, 1 held, 2 held and somebody waits.
    std::atomic<uint32_t> version;  // Of the row; written under the lock.
    std::atomic<uint32_t> guards;   // Committed; see above.
    ReversePool::ChunkId reverse;   // Guarded by the lock.
    std::atomic<uint64_t> birth;    // Set by the owner; 0: a start point.
  };
  static_assert(sizeof(Meta) == 24);

  class ListLock;
  Id* Row(SlotId u) const { return reinterpret_cast<Id*>(rows_.At(u)); }
  bool MayPointOut(SlotId u) const;
  void SetRow(SlotId u, size_t i, SlotId v) { Row(u)[i].store(v, std::memory_order_relaxed); }
  bool LowerGuards(SlotId v);
  void ResetWithBirth(SlotId u, uint64_t birth);
  void BumpVersion(SlotId u);
  size_t KeepOld(SlotId u, Replacement& replacement, SlotId* next);

  // Constant after construction.
  const SlotTable& slots_;
  const uint32_t max_degree_;

  // Rows: written under the list lock, read by all. Meta: see its members.
  mutable Column rows_;
  mutable TypedColumn<Meta> meta_;
  mutable ReversePool reverse_;
  std::atomic<uint64_t> edges_{0};
  std::atomic<uint64_t> births_{0};
};

}  // namespace shoal
