/* The slot tag and the epochs: which thread may read a slot, and when it may be used again.
 *
 * Problem   A reader checks a slot's tag once and then reads its row without a lock. Meanwhile the
 *           slot may be deleted, retired and used by another point.
 * Claim     Between a reader's tag check and its unpin the row does not change, so no read is torn
 *           or changes under a guard; a slot that became unreadable under a guard stays so; no slot
 *           is acquired while a pinned reader that found it readable still holds it.
 *
 * Exhaustive for unbounded runs, not for a number of steps: every process loops for ever. Epochs
 * are counted from the current one back: a variable that holds an epoch holds its age, and every
 * advance makes all of them one older. The protocol compares epochs in two ways only, "is it the
 * current one" (age 0) and "is it at least GRACE old", so ages above 3 are one value and the state
 * space is finite. A row is two words that carry one bit of the generation of the slot's use.
 *
 * A live bit goes with the tag (live_set.h): set after it, cleared before it. Readers ask either.
 *
 * Every step is one atomic access to shared memory, under sequential consistency: that is all that
 * spin knows. Whether the C++ orderings are strong enough for the steps to behave so is the
 * business of the comments at each ordering and of ThreadSanitizer, not of this model.
 *
 * Mutants, each of which must fail:
 *   GRACE=1, GRACE=2     reuse one or two epochs after the retire instead of three
 *   NO_TAG_CHECK         readers read whatever is there
 *   PUBLISH_FIRST        the tag becomes live before the row is written
 *   BIT_OUTLIVES         the live bit is cleared after the tag has moved
 *   SKIP_RELOAD          a guard trusts the epoch that it read before it claimed its cell
 *   UNPIN_FIRST          the retirer stamps with an epoch that it no longer holds
 *   IGNORE_OLD_CELLS     the epoch advances past a reader that is pinned at the one before
 *   NO_ADVANCE_LOCK      two threads advance at a time (needs ADVANCERS=2)
 *   CLAIM_UNANNOUNCED    the cell is claimed before it shows an epoch, and the epoch not reloaded
 * Not vacuous: REACHES_REUSE and REACHES_RELOAD assert that the state is never reached, and fail.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef WRITERS
#define WRITERS 1
#endif
#ifndef RETIRERS
#define RETIRERS 1
#endif
#ifndef ADVANCERS
#define ADVANCERS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef GRACE
#define GRACE 3
#endif
/* One cell for each process that pins: further blocks of cells are linked on, so a claim never
 * waits. Any free cell may be the one that is claimed. */
#define CELLS (READERS + RETIRERS)
#define PROCESSES (READERS + RETIRERS + ADVANCERS)

#define AVAILABLE 0
#define OWNED 1
#define LIVE 2
#define DELETED 3
#define RETIRED 4
#define IsReadable(t) ((t) == LIVE || (t) == DELETED)

/* An epoch as its age: 0 none, 1 the current one, 2 the one before, ... 4 three or more before. */
#define NONE 0
#define CURRENT 1
#define OLDEST 4

byte tag[SLOTS];
bit live[SLOTS];      /* The live bits. */
byte stamp[SLOTS];    /* The epoch that the slot is queued for reclamation with; NONE: not queued. */
bit word0[SLOTS];     /* The row. */
bit word1[SLOTS];
byte cell[CELLS];     /* Epoch of the guard that has the cell; NONE: free. */
byte loaded[PROCESSES]; /* An epoch that a process has read and not yet stored anywhere. */
bit advancing;        /* The try-lock of advancers. */

bit generation[SLOTS];  /* Ghost: of the slot's use. */
byte holders[SLOTS];    /* Ghost: readers that found the slot readable and are still pinned. */

inline Older(e) {
  if
  :: e != NONE && e < OLDEST -> e++
  :: else
  fi
}

/* epoch.fetch_add(1). */
inline BumpEpoch() {
  d_step {
    for (i : 0 .. CELLS - 1) { Older(cell[i]) }
    for (i : 0 .. PROCESSES - 1) { Older(loaded[i]) }
    for (i : 0 .. SLOTS - 1) { Older(stamp[i]) }
    i = 0
  }
}

/* Claims a free cell with the epoch, then reloads the epoch until the cell shows the current. */
inline Pin() {
  loaded[me] = CURRENT;
  atomic {
    if
    :: cell[0] == NONE -> mine = 0
    #if CELLS > 1
    :: cell[1] == NONE -> mine = 1
    #endif
    #if CELLS > 2
    :: cell[2] == NONE -> mine = 2
    #endif
    fi;
    #ifdef CLAIM_UNANNOUNCED
    loaded[me] = NONE
    #else
    cell[mine] = loaded[me];
    loaded[me] = NONE
    #endif
  }
  #ifdef CLAIM_UNANNOUNCED
  loaded[me] = CURRENT;
  d_step { cell[mine] = loaded[me]; loaded[me] = NONE }
  #else
  #ifndef SKIP_RELOAD
  do
  :: atomic { cell[mine] == CURRENT -> break }
  :: atomic { cell[mine] != CURRENT ->
       #ifdef REACHES_RELOAD
       assert(false);
       #endif
       loaded[me] = CURRENT };
     d_step { cell[mine] = loaded[me]; loaded[me] = NONE }
  od
  #endif
  #endif
}

inline Unpin() { d_step { cell[mine] = NONE; mine = 0 } }

inline PickSlot() {
  if
  :: s = 0
  #if SLOTS > 1
  :: s = 1
  #endif
  fi
}

/* Reads one slot twice under one guard. */
proctype Reader(byte me) {
  byte mine, s;
  bit pass, seen, gone, first, w0;
  do
  :: Pin();
     PickSlot();
     pass = 0;
     again:
     #ifdef NO_TAG_CHECK
     w0 = word0[s];
     assert(w0 == word1[s]);
     #else
     if
     :: atomic { IsReadable(tag[s]) || live[s] ->
          assert(!gone);                 /* No resurrection. */
          if :: !seen -> holders[s]++ :: else fi };
        w0 = word0[s];
        atomic {
          assert(w0 == word1[s]);        /* Not torn. */
          assert(w0 == generation[s]);   /* The use that the tag was of. */
          assert(!seen || w0 == first);  /* Stable while guarded. */
          seen = 1; first = w0; w0 = 0 }
     :: atomic { !IsReadable(tag[s]) -> gone = seen }
     fi;
     #endif
     if
     :: pass == 0 -> pass = 1; goto again
     :: else
     fi;
     atomic {
       if :: seen -> holders[s]-- :: else fi;
       pass = 0; seen = 0; gone = 0; first = 0; s = 0;
       Unpin()
     }
  od
}

inline WriteRow() {
  d_step { generation[s] = 1 - generation[s]; word0[s] = generation[s] }
  word1[s] = generation[s]
}

proctype Writer() {
  byte s;
  do
  :: atomic { PickSlot(); tag[s] == AVAILABLE -> tag[s] = OWNED;
       #ifdef REACHES_REUSE
       assert(generation[s] == 0);
       #endif
       assert(holders[s] == 0) };        /* No reuse under a pinned reader. */
     #ifdef PUBLISH_FIRST
     tag[s] = LIVE;
     WriteRow();
     atomic { live[s] = 1; s = 0 }
     #else
     WriteRow();
     if
     :: tag[s] = LIVE; atomic { live[s] = 1; s = 0 }   /* Published. */
     :: atomic { tag[s] = AVAILABLE; s = 0 }   /* Dropped: no reader has seen it readable. */
     fi
     #endif
  od
}

/* Deletes or retires one slot under a guard; the two need not share one. */
proctype Retirer(byte me) {
  byte mine, s;
  do
  :: Pin();
     PickSlot();
     #ifdef UNPIN_FIRST
     loaded[me] = cell[mine];
     Unpin();
     #endif
     if
     #ifdef BIT_OUTLIVES
     :: atomic { tag[s] == LIVE -> tag[s] = DELETED };
        live[s] = 0
     #else
     :: atomic { live[s] -> live[s] = 0 };
        atomic { assert(tag[s] == LIVE); tag[s] = DELETED }
     #endif
     :: atomic { tag[s] == DELETED -> tag[s] = RETIRED };
        #ifdef UNPIN_FIRST
        stamp[s] = loaded[me]
        #else
        stamp[s] = cell[mine]
        #endif
     :: else
     fi;
     atomic {
       s = 0;
       #ifdef UNPIN_FIRST
       loaded[me] = NONE
       #else
       Unpin()
       #endif
     }
  od
}

/* Advances when every pinned cell shows the current epoch, then reclaims what is old enough. */
proctype Advancer(byte me) {
  byte i;
  do
  ::
     #ifndef NO_ADVANCE_LOCK
     atomic { !advancing -> advancing = 1 };
     #endif
     loaded[me] = CURRENT;
     i = 0;
     do
     :: i == CELLS -> break
     #ifdef IGNORE_OLD_CELLS
     :: atomic { i < CELLS && (cell[i] <= loaded[me] + 1) -> i++ }
     :: atomic { i < CELLS && (cell[i] > loaded[me] + 1) -> goto unlock }
     #else
     :: atomic { i < CELLS && (cell[i] == NONE || cell[i] == loaded[me]) -> i++ }
     :: atomic { i < CELLS && (cell[i] != NONE && cell[i] != loaded[me]) -> goto unlock }
     #endif
     od;
     BumpEpoch();
     do
     :: i == SLOTS -> break
     :: atomic { i < SLOTS && stamp[i] > GRACE -> stamp[i] = NONE };
        atomic { tag[i] = AVAILABLE; i++ }
     :: atomic { i < SLOTS && stamp[i] <= GRACE -> i++ }
     od;
     unlock: atomic { i = 0; loaded[me] = NONE; advancing = 0 }
  od
}

init {
  byte p, n;
  atomic {
    for (n : 1 .. 9) { if :: n <= READERS -> run Reader(p); p++ :: else fi }
    for (n : 1 .. 9) { if :: n <= RETIRERS -> run Retirer(p); p++ :: else fi }
    for (n : 1 .. 9) { if :: n <= ADVANCERS -> run Advancer(p); p++ :: else fi }
    for (n : 1 .. 9) { if :: n <= WRITERS -> run Writer() :: else fi }
    n = 0; p = 0
  }
}
