// Every live point keeps a parent (docs/concurrency.md, "Parents"; docs/algorithms.md, D21, D22 and
// D28): new points get one, and children of a deleted point get another.
#pragma once

#include <atomic>
#include <span>
#include <utility>
#include <vector>

#include "graph/linker.h"
#include "graph/neighbor_selector.h"
#include "graph/replacements.h"
#include "store/reattachment.h"

namespace shoal {

struct ParentScratch {
  // What MoveToEnd refuses: so that it needs no memory.
  ParentScratch() { refused.reserve(SearchScratch::kMaxIds); }

  std::vector<SlotId> adopting;  // Working memory of ParentForest::AdoptParents.
  std::vector<SlotId> refused;   // Children that keep a point from being moved to the end.
  std::vector<std::pair<SlotId, SlotId>> to_move;  // Slots, each with a parent that it will lose.

  size_t bytes() const { return HeapBytes(adopting, refused, to_move); }
};

// Any thread.
class ParentKeeper {
 public:
  ParentKeeper(LiveGraph& graph, Linker& linker, const NeighborSelector& selector,
               Replacements& replacements);

  // Gives a live point a parent if it has none. False: all points that can be its parent are full
  // of last parent edges.
  bool EnsureParent(SlotId p, Operation& op);
  // Likewise, without memory, from any row that has a place to spare.
  void EnsureParentWithoutMemory(SlotId p, Operation& op);

  // Moves w to the end if p is one of its few parents and no other point need be moved for it.
  // Otherwise old points become parents of each other in long chains.
  void RenewRank(SlotId w, SlotId p, Operation& op);
  // Makes p, which is deleted, childless (G4): its children get other parents, perhaps of the
  // operation's replacement candidates. False: not yet. What was done stays done.
  bool MakeChildless(SlotId p, Operation& op);

  // How often a repair gave a point a new parent by moving it to the end, and how often only by a
  // new edge.
  uint64_t reparented() const {
    return reparented_.load(std::memory_order_relaxed) + reattachment_.reparented();
  }
  uint64_t relinked() const { return relinked_.load(std::memory_order_relaxed); }

 private:
  // Children that need a parent; bits, since several may take the same step.
  enum Kind : uint8_t { kNew = 1, kNoMemory = 2, kMovedToEnd = 4, kSuspended = 8 };
  struct Child {
    SlotId point;
    Kind kind;
    SlotId leaving = kNoSlot;  // A parent that does not count.
  };
  // A way to a parent. True: the child is served.
  using Step = bool (ParentKeeper::*)(const Child&, Operation&);
  bool Adopt(const Child& child, Operation& op);
  bool MoveToEnd(const Child& child, Operation& op);
  bool LinkFromReplacement(const Child& child, Operation& op);
  bool LinkFromNearest(const Child& child, Operation& op);
  bool LinkFromNearestOfAll(const Child& child, Operation& op);
  bool LinkFromAny(const Child& child, Operation& op);
  // Takes the steps of the ladder that are for such a child, until it is served.
  bool Climb(const Child& child, Operation& op);
  // It has such a parent, or is not live any more.
  bool IsServed(const Child& child) const;
  bool MoveToEnd(SlotId p, Operation& op);
  bool MoveChildrenToEnd(SlotId p, Operation& op);

  LiveGraph& graph_;
  ParentForest& forest_;
  Linker& linker_;
  const NeighborSelector& selector_;
  Replacements& replacements_;

  // Own synchronisation.
  SubtreeReattachment reattachment_;
  std::atomic<uint64_t> reparented_{0};
  std::atomic<uint64_t> relinked_{0};
};

}  // namespace shoal
