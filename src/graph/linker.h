// Edges: rows are written, with their back-links, by the protocol of store/neighbors.h.
#pragma once

#include <atomic>
#include <span>
#include <vector>

#include "graph/neighbor_selector.h"
#include "graph/pruner.h"
#include "store/neighbors.h"

namespace shoal {

struct LinkScratch {
  // What a row takes: then nothing throws once back-links have been added.
  LinkScratch() {
    pool.reserve(SearchScratch::kMaxIds);
    for (auto* ids : {&wanted, &back_links, &update.added}) ids->reserve(SearchScratch::kMaxIds);
    update.dropped.reserve(2 * SearchScratch::kMaxIds);  // All of the old row and all of the new.
  }

  std::vector<Candidate> pool;     // Of a row.
  std::vector<SlotId> wanted;      // The row to be.
  std::vector<SlotId> back_links;  // Of these, new ones: their back-links are there.
  NeighborLists::RowUpdate update;

  size_t bytes() const { return HeapBytes(pool, wanted, back_links, update.dropped, update.added); }
};

// Any thread.
class Linker {
 public:
  Linker(LiveGraph& graph, const Pruner& pruner, const NeighborSelector& selector);

  // Replaces p's row by `wanted`, adding the back-links of neighbours that are new to it. False: no
  // memory.
  bool WriteOut(SlotId p, std::span<const SlotId> wanted, Operation& op);
  // NeighborLists::UpdateRow, and removes the back-links that are not needed then. False: the row
  // has changed since `version`.
  bool CommitRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, Operation& op);
  // An edge from u to p, if need be in place of others; p may lose against them. True: the edge is
  // there now, and was not before. False also where the operation cannot fetch what it takes to
  // choose: then nothing is changed.
  bool LinkOrPrune(SlotId u, SlotId p, Operation& op);
  // LinkOrPrune to p from each of its neighbours; their number.
  size_t LinkBack(SlotId p, Operation& op);
  // A parent edge from u to p, in place of u's farthest neighbour that can do without its edge.
  // False: there is none, u cannot be p's parent, or u or p is not live. Takes no memory. Where the
  // operation cannot fetch, it is any such neighbour.
  bool ForceLink(SlotId u, SlotId p, Operation& op);
  // ForceLink from a descendant of u.
  bool ForceLinkBelow(SlotId u, SlotId p, Operation& op);
  // An edge from z to `to` in the place of the one to `from`, if there is one.
  void Redirect(SlotId z, SlotId from, SlotId to, Operation& op);
  // Searches for a live point again, and renews its row and its in-edges.
  void Relink(SlotId p, Operation& op);

  // How often a row had changed before what was computed for it could be written.
  uint64_t restarts() const { return restarts_.load(std::memory_order_relaxed); }

 private:
  uint32_t PoolFromRow(SlotId u, SlotId extra, Operation& op) const;
  uint32_t PoolWithoutDistances(SlotId u, Operation& op) const;
  void FetchTogether(SlotId p, std::span<const SlotId> others, Operation& op) const;
  bool ReplaceRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, SlotId fresh,
                  Operation& op);

  LiveGraph& graph_;
  NeighborLists& neighbors_;
  ParentForest& forest_;
  const Pruner& pruner_;
  const NeighborSelector& selector_;
  // A full row that is offered one more edge is pruned to this: so a prune pays for a few inserts.
  // Measured at 100k, R = 32: 28 costs a third of the distances of 32 at the same recall per
  // distance searched; 24 and less lose recall (docs/algorithms.md, D9).
  const size_t overflow_degree_;
  std::atomic<uint64_t> restarts_{0};
};

}  // namespace shoal
