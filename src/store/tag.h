// The slot tag: who may touch a slot, in one byte.
//
// PROBLEM. Readers walk a graph whose nodes come and go. A reader that holds a slot number must
// know, without a lock, whether the bytes behind it are a whole vector of a point that exists.
//
// STATES
//   available  nobody's. On the free list, or about to be.
//   owned      one inserter's. It writes the row; nobody else reads it.
//   live       a point. Searches read and return it.
//   deleted    read, because lists still lead through it, but never returned.
//   retired    no list names it. Readers that are still inside may read it.
//   frozen     a start point: read, never returned, its row never changes.
//
// TRANSITIONS (docs/concurrency.md has the proof)
//   available -> owned      Acquire          CAS, acquire: after RECLAIM.1 of the slot's last life
//   owned     -> live       Publish          store, release (PUB.1)
//   owned     -> frozen     Freeze           store, release (PUB.1)
//   owned     -> available  dropped          store, release
//   live      -> deleted    Delete           CAS, acq_rel, holding the id entry and the list lock
//   deleted   -> retired    Retire           CAS, acq_rel, once no row names the slot
//   frozen    -> retired    Retire           likewise, after the start array names it no more
//   retired   -> available  Reclaim          store, release (RECLAIM.1), after the grace period
//
// READ.1: a reader loads the tag with acquire, which pairs with PUB.1: it sees the whole row. What
// it read stays whole until it unpins, because a slot that was readable while it was pinned is
// reclaimed only after it has unpinned (epoch.h). A live bit beside it says *live* faster
// (live_set.h).
#pragma once

#include <cstdint>

namespace shoal {

// The dense number of a slot; also what neighbour lists hold.
using SlotId = uint32_t;
inline constexpr SlotId kNoSlot = 0xffffffffu;
// Two bits of a candidate's id are flags, so a slot number has 30.
inline constexpr SlotId kMaxSlots = 1u << 30;

enum class Tag : uint8_t {
  kAvailable = 0,
  kOwned = 1,
  kRetired = 2,
  kDeleted = 3,
  kLive = 4,
  kFrozen = 5,
};

constexpr bool IsReadable(Tag tag) { return tag >= Tag::kDeleted; }

}  // namespace shoal
