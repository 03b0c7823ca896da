// Takes a deleted point out of the graph by the local rule (docs/algorithms.md, D23 to D28): each
// row that names it gets an edge to a replacement candidate in its place. After IP-DiskANN's update
// edges, "In-Place Updates of a Graph Index", 2025, and Greator's single update, 2025, on exact
// reverse lists. Rules that lost: docs/experiments/repair-rules.md.
//
// Order: new edges first; then children get other parents; then the edges to the point go; its own
// row last. So a search that is at it finds its way on, and one that starts later is rerouted.
#pragma once

#include <vector>

#include "graph/linker.h"
#include "graph/parent_keeper.h"
#include "graph/replacements.h"

namespace shoal {

struct RepairScratch {
  std::vector<SlotId> in, out;  // Neighbours of the deleted point.

  size_t bytes() const { return HeapBytes(in, out); }
};

enum class Repaired : uint8_t {
  kDone,
  kPartial,  // Some in-neighbours of a hub are rerouted, others are left.
  kRetry,    // Some child found no other parent, or the operation could not fetch.
};

// Any thread, but one at a time for a point.
class Repairer {
 public:
  Repairer(LiveGraph& graph, Linker& linker, ParentKeeper& parents, Replacements& replacements)
      : graph_(graph), linker_(linker), parents_(parents), replacements_(replacements) {}

  // Reroutes all rows that name p, which is deleted, and empties p's own: afterwards no row names
  // p, and p names no point. What was done stays done, and another call goes on; so may one after
  // bad_alloc.
  Repaired Repair(SlotId p, Operation& op);

 private:
  void Support(SlotId w, Operation& op);
  void ReplaceIn(SlotId z, SlotId p, Operation& op);

  LiveGraph& graph_;
  Linker& linker_;
  ParentKeeper& parents_;
  Replacements& replacements_;
};

}  // namespace shoal
