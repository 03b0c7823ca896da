// The slot tag: what may be done with a slot, in one byte. A reader looks at it before it reads the
// slot's row, and needs no lock. docs/concurrency.md, "Slots", has the whole and the proof.
//
// STATES
//   available  Free. It is on the free list, or about to be.
//   owned      One inserter writes its row; no other thread reads it.
//   pending    A point of a transaction that has not committed: it is linked, read and passed
//              through like a deleted one, and not returned. Writers treat it as a live one.
//   live       A point. Searches read and return it.
//   deleted    Searches read it, because lists still lead through it, and do not return it.
//   retired    No list names it. Readers that are still inside may read it.
//   frozen     A start point. Searches read it and do not return it; its row never changes.
//
// TRANSITIONS
//   available -> owned      Acquire      CAS, acquire; pairs with RECLAIM.1
//   owned     -> live       Publish      store, release: PUB.1
//   owned     -> pending    PublishPending  store, release: PUB.1
//   pending   -> live       MakeLive     store, release: PUB.1; by the transaction
//   pending   -> deleted    MarkAborted  CAS, acq_rel, holding the list lock; by the transaction
//   owned     -> frozen     Freeze       store, release: PUB.1
//   owned     -> available  ~OwnedSlot   store, release
//   live      -> deleted    MarkDeleted  CAS, acq_rel, holding the id entry and the list lock
//   deleted   -> retired    Retire       CAS, acq_rel, when no list names the slot
//   frozen    -> retired    Retire       likewise; in tests only, an index keeps its start point
//   retired   -> available  Reclaim      store, release: RECLAIM.1, after the grace period
//   retired   -> owned      Reclaim      likewise, where an observer is told before it is available
//
// READ.1: a reader loads the tag with acquire, which pairs with PUB.1: it sees the whole row. The
// row stays as it is until the reader unpins (epoch.h). A live bit says *live* faster (live_set.h).
#pragma once

#include <cstdint>

namespace shoal {

// The dense number of a slot; also what neighbour lists hold.
using SlotId = uint32_t;
inline constexpr SlotId kNoSlot = 0xffffffffu;
// Two bits of a candidate's id are flags, so a slot id has 30.
inline constexpr SlotId kMaxSlots = 1u << 30;

enum class Tag : uint8_t {
  kAvailable = 0,
  kOwned = 1,
  kRetired = 2,
  kDeleted = 3,
  kPending = 4,
  kLive = 5,
  kFrozen = 6,
};

constexpr bool IsReadable(Tag tag) { return tag >= Tag::kDeleted; }
// Whether lists may get edges to it, and it edges of its own: it is no start point, and not
// deleted.
constexpr bool IsPoint(Tag tag) { return tag == Tag::kPending || tag == Tag::kLive; }

}  // namespace shoal
