// Neighbour lists and the edge protocol. Searches read the lists without a lock; the protocol keeps
// the reverse lists exact while many threads write. Why it holds: docs/concurrency.md, "Edges".
//
// PROTOCOL. No operation holds two list locks.
//   Link(u, v)    1. under v's lock: if v is live, add the back-link u to v's reverse list
//                 2. under u's lock: if v is still live and not in u's row, write the edge
//                 3. if no edge was written: remove the back-link, under v's lock
//   Unlink(u, v)  1. under u's lock: remove the edge
//                 2. under v's lock: remove one back-link u
//   Delete(v)     under v's lock: live -> deleted. The reverse list only shrinks from here on
//   Repair(v)     copy v's reverse list, then change every row that the copy names
//
// INVARIANT. At every instant a reverse list holds a back-link for each edge that a row holds; at
// rest it holds no others. So the copy of a repair names every row that has or may still get an
// edge to v.
//
// A prune reads a row's version, copies the row, computes, and calls UpdateRow, which refuses if
// the version is another by then. A version has 32 bits and is raised by every change of edges.
// Which edges carry the parent bit, and which must stay: parent_forest.h.
#pragma once

#include <span>
#include <vector>

#include "base/memory.h"
#include "store/list_records.h"
#include "store/parent_forest.h"

namespace shoal {

class NeighborLists {
 public:
  // max_degree: R, ids in a row.
  NeighborLists(MemoryBudget& budget, const SlotTable& slots, uint32_t max_degree)
      : records_(budget, slots, max_degree) {}

  // The columns that grow with the slot table.
  Column& rows() const { return records_.rows(); }
  Column& meta() const { return records_.metas(); }
  bool Init(unsigned max_segment_shift = 30) { return records_.reverse().Init(max_segment_shift); }
  uint32_t max_degree() const { return records_.max_degree(); }
  // The parents of the points in these lists.
  ParentForest& forest() { return forest_; }
  const ParentForest& forest() const { return forest_; }

  // --- Readers: no lock, under a guard. `out` holds max_degree ids.

  size_t Copy(SlotId u, SlotId* out) const;
  // The row at one instant, without duplicates: waits for a writer of the row.
  size_t CopyAtomically(SlotId u, SlotId* out) const;
  void Prefetch(SlotId u) const { records_.PrefetchRow(u); }
  void PrefetchForWriting(SlotId u) const { records_.PrefetchForWriting(u); }

  // --- Writers, under a guard.

  // Makes a slot's row and reverse list empty, for the owner before use; its in-edges must be gone.
  // The slot gets the highest rank.
  void ResetRow(SlotId u) { Reset(u, forest_.NextRank()); }
  // Likewise, for a start point, which gets the lowest rank.
  void ResetStart(SlotId u) { Reset(u, 0); }
  // Makes sure that the next in-edges of u, which the caller owns, find memory. False: none.
  bool ReserveReverse(SlotId u);

  enum class LinkResult : uint8_t {
    kLinked,   // The edge is there now, and was not before.
    kPresent,  // It was there.
    kFull,     // The row has max_degree edges.
    kNotLive,  // v is not live, or u is neither live nor frozen.
    kNoMemory,
  };
  LinkResult Link(SlotId u, SlotId v);
  // True if there was such an edge. Removes a last parent edge, too: for a v of which G4 allows it.
  bool Unlink(SlotId u, SlotId v);
  // Puts an edge to `coming`, whose back-link was added, in the place of the one to `leaving`,
  // which is deleted; also if that is its last parent edge (G4). False: there was no edge to
  // `leaving`, and nothing changes. The back-link of `coming` is removed if no edge to it was
  // written. `coming` may be kNoSlot: the edge to `leaving` goes.
  bool Swap(SlotId u, SlotId leaving, SlotId coming);
  // Unlinks u, which is deleted or the caller's own, from all its neighbours.
  void ClearRow(SlotId u);

  // Prefetches what AddBackLink or RemoveBackLink of an edge to each of these will touch.
  void PrefetchReverse(std::span<const SlotId> slots) const;
  // Step 1 and 3 of Link on their own, for writes after a computation.
  LinkResult AddBackLink(SlotId u, SlotId v);
  void RemoveBackLink(SlotId u, SlotId v);

  // A computed row, and what came of it.
  struct RowUpdate {
    // In: the version from before the computation's Copy; the row wanted, without duplicates, not
    // u, at most max_degree; each id is in the row already or its back-link was added.
    uint32_t version = 0;
    std::span<const SlotId> wanted;
    // Out: old ids that were dropped, and new ones that were not added. The caller removes their
    // back-links.
    std::vector<SlotId> dropped;
    // Out: wanted ids that are in the row now and were not before.
    std::vector<SlotId> added;
  };
  // False: the row has another version, and nothing was done. An old edge stays if it is a point's
  // last parent edge; then the last of the new ones may find no place.
  bool UpdateRow(SlotId u, RowUpdate& update);
  // Acquire, pairs with ListRecords::RaiseVersion: a copy that follows is of this version or later.
  uint32_t Version(SlotId u) const {
    return records_.meta(u).version.load(std::memory_order_acquire);
  }

  // live -> deleted. False: it was not live. From here on v's reverse list only shrinks, and names
  // every row that has or may still get an edge to v.
  bool MarkDeleted(SlotTable& slots, SlotId v);
  // Likewise, pending -> deleted.
  bool MarkAborted(SlotTable& slots, SlotId v);
  // Likewise; see SlotTable::MarkRelocated.
  bool MarkRelocated(SlotTable& slots, SlotId v);

  // Replaces `in` by a copy of v's reverse list: of all, or of at least min_ids of it.
  void Reverse(SlotId v, std::vector<SlotId>& in, size_t min_ids = SIZE_MAX) const {
    records_.CopyReverse(v, in, min_ids);
  }
  std::vector<SlotId> Reverse(SlotId v) const;
  // Whether v has more than n in-edges. Prefetches what removing one will touch.
  bool HasMoreIn(SlotId v, size_t n) const;

  // Frees what an available slot still holds.
  void Forget(SlotId slot);
  // Moves the chunks of all reverse lists together and gives back what is left over. One caller at
  // a time; beside anything but SlotTable::Trim and PunchHoles.
  void CompactReverseLists();

  // --- Loading: the caller alone has the lists, and all slots are fresh, live or frozen. Three
  // rounds, each over all slots and finished before the next: LoadRow, ParentForest::LoadRank in
  // the order of ranks, LoadEdges. LoadRow and LoadEdges may be called by any threads.

  // ids: of fresh slots, without duplicates, not u, at most max_degree; in this order.
  void LoadRow(SlotId u, std::span<const SlotId> ids);
  // Adds the back-links of u's edges and, if rank(u) <= last_with_parent, parent bits on those to
  // slots of higher rank. Every point up to that rank must get a parent so. False: no memory.
  bool LoadEdges(SlotId u, uint64_t last_with_parent);

  // Edges in all rows.
  uint64_t edges() const { return records_.edges(); }
  // Resident bytes.
  uint64_t ReverseBytes() const { return records_.reverse().ResidentBytes(); }

 private:
  void Reset(SlotId u, uint64_t rank);
  // Under u's lock.
  bool CanGetEdge(SlotId u, SlotId v) const {
    return records_.CanHaveOutEdges(u) && IsPoint(records_.slots().tag(v));
  }
  size_t KeepOld(const LockedRow& row, RowUpdate& update, SlotId* next);

  ListRecords records_;
  ParentForest forest_{records_};
};

}  // namespace shoal
