// Releases a deleted point on which many others hang (neighbors.h, G4 and G5).
//
// PROBLEM. A deleted point can be released when nobody needs it for a guard. Mostly a few
// reparented do that. But a thousand points may hang on it, in trees, or each guarded by others
// of them.
//
// WRONG ATTEMPT. Rebirths one after the other, each after those whom the point alone guards have
// found other guards: these find each other, by turns. A thousand points took 340,000 reparented,
// and then a walk through the whole index for each: 25 seconds of one Delete.
//
// IDEA. Pin all of them: those whose last guard is the dead point, those whose last guard is one of
// these, and so on. They hang on the dead point in a tree of guards that nobody can take away, and
// whoever is not pinned can be reached without it. Then let them go, from outside in: a pinned
// point at which one points that is not pinned is born anew, has that one for a guard, and is
// pinned no more; next come those at whom it points. Only where nobody outside points into an
// island, one edge is made that does. Each point costs its row and its in-edges once or twice,
// however they guarded each other.
//
// INVARIANT. Whoever is not pinned has a guard that is not, and is younger than that one: so it can
// be reached without any of the pinned. Whoever is pinned can be reached through the dead point,
// which keeps its own guards, and its edges, until all are gone.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "base/mutex.h"
#include "store/neighbors.h"
#include "store/slot_table.h"
#include "store/visited_set.h"

namespace shoal {

// Thread-safe: one call at a time is at work, the others wait.
class SubtreeReattachment {
 public:
  SubtreeReattachment(NeighborLists& neighbors, const SlotTable& slots)
      : neighbors_(neighbors), slots_(slots) {}

  // Releases p, which is deleted. `link(v)` gives v, to which no edge leads from outside, an edge
  // that guards it; true also if v was deleted meanwhile. False: somebody could not be given one,
  // or was deleted in between. What was done stays done then, and after an exception (bad_alloc, or
  // what `link` throws), and another call goes on.
  bool Run(SlotId p, const std::function<bool(SlotId)>& link);

  // How often a point was born anew.
  uint64_t reparented() const { return reparented_.load(std::memory_order_relaxed); }

 private:
  // Its own memory: as large as what hangs on one point, and rarely needed.
  struct Pinned {
    std::vector<SlotId> all;  // The point that leaves first, then outwards.
    VisitedSet them;          // The same.
    std::vector<SlotId> due;  // Who has a guard outside, unless somebody takes it away,
    VisitedSet met;           // and ever was in that.
  };
  void SuspendSubtree(SlotId p, Pinned& pinned) SHOAL_REQUIRES(mutex_);
  void Reattach(SlotId v, Pinned& pinned) SHOAL_REQUIRES(mutex_);
  void ReattachChildren(Pinned& pinned) SHOAL_REQUIRES(mutex_);
  // Neither gone nor deleted.
  bool Waits(SlotId v) const { return neighbors_.IsSuspended(v) && slots_.tag(v) == Tag::kLive; }

  NeighborLists& neighbors_;
  const SlotTable& slots_;
  Mutex mutex_;  // Before any list's lock.
  std::vector<SlotId> in_ SHOAL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> reparented_{0};
};

}  // namespace shoal
