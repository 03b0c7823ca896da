// Subtree re-attachment: gives all points that hang on one deleted point other parents, together,
// so that it can be made childless (parent_forest.h, G4 and G5; docs/concurrency.md has the proof).
//
// Suspend all of them: the points whose last parent is the deleted point, then those whose last
// parent is one of these, and so on. They hang on the deleted point in a tree of parent edges that
// no other thread can take away. Then resume them from outside in: a suspended point with an
// in-neighbour that is not suspended is moved to the end and gets that one as its parent; its
// out-neighbours come next. Where no edge from outside leads to any that are left, one is made.
//
// INVARIANT. A point that is not suspended has a parent that is not, of lower rank. A suspended
// point can be reached through the deleted point, which keeps its own parents and its edges until
// all are resumed.
#pragma once

#include <atomic>
#include <vector>

#include "base/mutex.h"
#include "store/neighbors.h"
#include "store/slot_table.h"
#include "store/visited_set.h"

namespace shoal {

// Thread-safe: one call at a time works, the others wait.
class SubtreeReattachment {
 public:
  SubtreeReattachment(NeighborLists& neighbors, const SlotTable& slots)
      : neighbors_(neighbors), forest_(neighbors.forest()), slots_(slots) {}

  // Makes p, which is deleted, childless. `link(v)` gives v, to which no edge leads from outside,
  // an edge from a point that can be its parent; true also if v was deleted meanwhile. False: that
  // failed for some point, or one was deleted in between. What was done then stays done, and
  // another call goes on; likewise after an exception (bad_alloc, or what `link` throws).
  template <class Link>
  bool Run(SlotId p, const Link& link) {
    const MutexLock lock(mutex_);
    Subtree tree;
    Suspend(p, tree);
    ResumeFromOutside(tree);
    for (const SlotId v : tree.points) {
      if (!ResumeFrom(v, tree)) {
        if (!link(v)) return false;
        (void)ResumeFrom(v, tree);
      }
    }
    return MakeChildless(tree);
  }

  // How many points have got other parents.
  uint64_t reparented() const { return reparented_.load(std::memory_order_relaxed); }

 private:
  // Its own memory: as large as what hangs on one point, and rarely needed.
  struct Subtree {
    std::vector<SlotId> points;  // The deleted point first, then outwards.
    VisitedSet is_in;            // The same.
    std::vector<SlotId> ready;   // Points to which an edge leads from outside,
    VisitedSet was_ready;        // and all that ever were in that.
  };
  void Suspend(SlotId p, Subtree& tree) SHOAL_REQUIRES(mutex_);
  void ResumeFromOutside(Subtree& tree) SHOAL_REQUIRES(mutex_);
  // Resumes v, if it waits and has a parent outside, and what can be resumed after it. False: v
  // waits still.
  bool ResumeFrom(SlotId v, Subtree& tree) SHOAL_REQUIRES(mutex_);
  void Resume(SlotId v, Subtree& tree) SHOAL_REQUIRES(mutex_);
  void ResumeReady(Subtree& tree) SHOAL_REQUIRES(mutex_);
  bool MakeChildless(const Subtree& tree) SHOAL_REQUIRES(mutex_);
  bool Waits(SlotId v) const { return forest_.IsSuspended(v) && IsPoint(slots_.tag(v)); }

  NeighborLists& neighbors_;
  ParentForest& forest_;
  const SlotTable& slots_;
  Mutex mutex_;  // Before any list's lock.
  std::vector<SlotId> in_ SHOAL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> reparented_{0};
};

}  // namespace shoal
