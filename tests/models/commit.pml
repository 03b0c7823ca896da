/* A database's commits and passes: what is on disk, and when a slot is used again.
 *
 * Problem   Lists in memory change all the time; those on disk are as old as the last pass, or as the
 *           commit that inserted their point. A slot that is used again too early is named by a list
 *           on disk, and a point that only lists of different moments lead to cannot be found.
 * Claim     In every committed state, so after a crash anywhere:
 *           D1 every live point is reached from the start over lists and anchors on disk;
 *           D2 every word and every anchor names a point that is on disk;
 *           D3 an id has at most one live point; and what is live is what was committed;
 *           D4 each point of a sorted run is in the log.
 * Protocol  docs/database.md: commit, pass, slot reuse, opening.
 *
 * Three slots, two ids (slots 0 and 1 are used for one of them, slot 2 for the other), two blocks: slots 0
 * and 1 with the start's list, slot 2. One process takes any
 * step that is possible, for ever; a step is what happens under the commit lock or under the lock of a
 * list. A list that is copied is any set of points that memory may name then: more than the edge
 * protocol allows, so the lists in memory need not be modelled. Deletes reach memory before
 * the disk (sync level `interval`) or after it. Sets of slots are bit masks.
 *
 * Mutants, each of which must fail:
 *   BEGIN_UNLOCKED   a pass copies the bits and, later, notes the last commit
 *   STATES_BY_TAGS   a pass takes the states of slots from memory
 *   CUT_AT_FLIP      a flip drops the log up to its own commit
 *   PENDING_WORD     a commit writes words of points that are not on disk
 *   COPY_ANY_WORD    a pass does
 *   RELEASE_LATE     a flip releases what was retired since the pass began
 *   ABSENT_RETIRED   a pass leaves out what was retired since it began
 *   REUSE_UNRELEASED a slot is free when it is retired and dead on disk
 *   REUSE_QUEUED     a retired slot is free while the commit that inserts it is under way
 *   NO_WALK          a pass anchors nothing
 *   LOAD_NO_WALK     a commit that writes a generation anchors nothing
 *   ANCHOR_CIRCLE    points of one commit anchor each other
 *   ANCHOR_DEAD      a point is anchored at one that is dead on disk
 *   RUN_ACROSS       a pass begins without a run of what is in none, so that one may have both sides of B
 *   BITS_FIRST       the bits are set before LMDB has committed, which it may refuse
 *   OPEN_BY_READ     the writer that comes after a killed one begins with what readers are shown
 * Not vacuous: REACHES_LOAD (a commit writes a generation), REACHES_REUSE, REACHES_KEPT_LOG (a flip keeps a
 * part of the log), REACHES_ANCHOR (a walk anchors a point) assert that this is never reached, and fail.
 */
#ifndef UNUSED
#define UNUSED 9 /* A slot that is never used, so that the search is small. */
#endif
#define SLOTS 3
#define START 3 /* In masks of what is reached, too. */
#define NOWHERE 4

#define FREE 0
#define PENDING 1
#define LIVE 2
#define DELETED 3
#define RETIRED 4

#define Has(set, s) (((set) >> (s)) & 1)
#define Only(s) (1 << (s))

/* Memory. */
byte tag[SLOTS];
byte on_disk, dead; /* The writer's bits. */
byte adding;        /* Under the commit lock: inserted by the commit under way, */
byte removing;      /* and killed. */
bit locked;         /* The commit lock, from LMDB's commit until the bits are set. Meanwhile readers
                     * may be shown the state before: LMDB tells them of a commit after it. */

/* Disk: the generation; the log's entries up to the pass's beginning (old) and since. */
byte g_live, g_dead, g_list[SLOTS + 1], g_anchor[SLOTS];
byte log_new, log_old, log_list[SLOTS], log_anchor[SLOTS];
byte dead_new, dead_old;
byte run_new, run_old; /* Points in runs; the flip drops those of the old. */
byte committed; /* Ghost: live points, by the commits. */

/* The pass. */
byte phase;
byte b_on, b_dead, w;
byte n_live, n_dead, n_list[SLOTS + 1], n_anchor[SLOTS];

/* Working memory, 0 between steps. */
byte s, t, round, reached, may, some, from;

#define InGeneration (g_live | g_dead)
#define InLog (log_new | log_old)
#define OnDisk (InGeneration | InLog)
#define LiveOnDisk ((g_live | InLog) & ~(dead_new | dead_old))

/* Slots that lists in memory may name. */
#define Named(x) (tag[x] == PENDING || tag[x] == LIVE || tag[x] == DELETED)
#define Nameable ((Named(0) -> 1 : 0) | (Named(1) -> 2 : 0) | (Named(2) -> 4 : 0))
#define IsPending(x) (tag[x] == PENDING -> Only(x) : 0)
#define Pending (IsPending(0) | IsPending(1) | IsPending(2))
#define Id(x) ((x) == 2 -> 1 : 0)
#define PendingOf(i) ((i) == 0 -> IsPending(0) | IsPending(1) : IsPending(2))

/* Makes `out` any part of `from`. */
inline ChooseFrom(out) {
  out = 0;
  if :: Has(from, 0) -> out = out | 1 :: true fi;
  if :: Has(from, 1) -> out = out | 2 :: true fi;
  if :: Has(from, 2) -> out = out | 4 :: true fi;
  from = 0
}

/* Makes `out` any list of points in `from`. */
inline ChooseList(out) {
  #ifdef WHOLE_LISTS
  ChooseFrom(out)
  #else
  if
  :: out = 0
  :: Has(from, 0) -> out = 1
  :: Has(from, 1) -> out = 2
  :: Has(from, 2) -> out = 4
  fi;
  from = 0
  #endif
}

inline Reach() {
  reached = 1 << START;
  for (round : 1 .. SLOTS) {
    if :: Has(reached, START) -> reached = reached | g_list[START] :: else fi;
    for (s : 0 .. SLOTS - 1) {
      if :: Has(reached, s) && Has(InGeneration, s) -> reached = reached | g_list[s] :: else fi;
      if :: Has(reached, s) && Has(InLog, s) -> reached = reached | log_list[s] :: else fi;
      if :: g_anchor[s] != NOWHERE && Has(reached, g_anchor[s]) -> reached = reached | Only(s) :: else fi;
      if :: log_anchor[s] != NOWHERE && Has(reached, log_anchor[s]) -> reached = reached | Only(s) :: else fi
    }
  }
  s = 0; round = 0
}

inline CheckDisk() {
  d_step {
    Reach();
    assert((LiveOnDisk & ~reached) == 0);                         /* D1 */
    assert((g_list[START] & ~OnDisk) == 0);                       /* D2 */
    for (s : 0 .. SLOTS - 1) {
      assert((g_list[s] & ~OnDisk) == 0 && (log_list[s] & ~OnDisk) == 0);
      assert(g_anchor[s] >= START || Has(OnDisk, g_anchor[s]));
      assert(log_anchor[s] >= START || Has(OnDisk, log_anchor[s]));
      for (t : 0 .. SLOTS - 1) {                                  /* D3 */
        assert(s == t || Id(s) != Id(t) || !Has(LiveOnDisk, s) || !Has(LiveOnDisk, t))
      }
    }
    assert(LiveOnDisk == committed);
    assert(((run_new | run_old) & ~InLog) == 0);                  /* D4 */
    s = 0; t = 0; reached = 0
  }
}

inline Insert(x) {
  if
  :: (x) != UNUSED && tag[x] == FREE && PendingOf(Id(x)) == 0 ->
     #ifdef REACHES_REUSE
     assert(!some_released);
     #endif
     assert(!Has(OnDisk, x));
     tag[x] = PENDING
  fi
}

/* An abort; a delete before it is on disk, unless the id is being written. */
inline Delete(x) {
  if
  :: tag[x] == PENDING || (tag[x] == LIVE && PendingOf(Id(x)) == 0) -> tag[x] = DELETED
  fi
}

#ifdef REUSE_UNRELEASED
#define Held(x) (Has(on_disk, x) && !Has(dead, x))
#else
#define Held(x) Has(on_disk, x)
#endif
#ifdef REUSE_QUEUED
#define Queued(x) false
#else
#define Queued(x) Has(adding, x)
#endif

/* At once: the sooner a slot is used again, the worse. */
inline Reclaim() {
  for (t : 0 .. SLOTS - 1) {
    if
    :: tag[t] == RETIRED && !Held(t) && !Queued(t) -> tag[t] = FREE
    :: else
    fi
  }
  t = 0
}

inline Retire(x) {
  if
  :: tag[x] == DELETED -> tag[x] = RETIRED; Reclaim()
  fi
}

/* The anchor of x: on disk and not dead, or of this commit and anchored before. */
inline Anchor(x) {
  #ifdef ANCHOR_CIRCLE
  may = (on_disk & ~dead) | adding;
  #else
  #ifdef ANCHOR_DEAD
  may = on_disk | some;
  #else
  may = (on_disk & ~dead) | some;
  #endif
  #endif
  may = may & ~Only(x);
  if
  :: Has(may, 0) -> log_anchor[x] = 0
  :: Has(may, 1) -> log_anchor[x] = 1
  :: Has(may, 2) -> log_anchor[x] = 2
  :: log_anchor[x] = START
  fi;
  some = some | Only(x);
  may = 0
}

/* Over the new generation's lists: each live point that is not reached is anchored at one that is. */
inline Walk() {
  reached = 1 << START;
  do
  :: d_step {
       for (round : 1 .. SLOTS) {
         if :: Has(reached, START) -> reached = reached | n_list[START] :: else fi;
         for (t : 0 .. SLOTS - 1) {
           if :: Has(reached, t) -> reached = reached | n_list[t] :: else fi
         }
       }
       round = 0; t = 0;
       may = n_live & ~reached
     }
     if
     :: may == 0 -> break
     :: Has(may, 0) -> s = 0
     :: Has(may, 1) -> s = 1
     :: Has(may, 2) -> s = 2
     fi;
     #ifdef REACHES_ANCHOR
     assert(false);
     #endif
     if
     :: Has(reached, 0) && Has(n_live | n_dead, 0) -> n_anchor[s] = 0
     :: Has(reached, 1) && Has(n_live | n_dead, 1) -> n_anchor[s] = 1
     :: Has(reached, 2) && Has(n_live | n_dead, 2) -> n_anchor[s] = 2
     :: n_anchor[s] = START
     fi;
     reached = reached | Only(s)
  od;
  s = 0; may = 0; reached = 0
}

inline EndPass() {
  for (s : 0 .. SLOTS - 1) { n_list[s] = 0; n_anchor[s] = NOWHERE }
  s = 0;
  n_list[START] = 0; n_live = 0; n_dead = 0; b_on = 0; b_dead = 0; w = 0; phase = 0
}

/* The new generation is the current one. */
inline TakeGeneration() {
  g_live = n_live; g_dead = n_dead; g_list[START] = n_list[START];
  for (s : 0 .. SLOTS - 1) { g_list[s] = n_list[s]; g_anchor[s] = n_anchor[s] }
  s = 0
}

inline WriteLog() {
  for (s : 0 .. SLOTS - 1) {
    if
    :: Has(adding, s) ->
       #ifdef PENDING_WORD
       from = Nameable; ChooseList(log_list[s]);
       #else
       from = (Nameable & (on_disk | adding)); ChooseList(log_list[s]);
       #endif
       log_list[s] = log_list[s] & ~Only(s);
       Anchor(s)
    :: else
    fi
  }
  s = 0;
  some = 0;
  log_new = log_new | adding;
  dead_new = dead_new | removing
}

/* The first points of an index: a generation, as a pass writes it. */
inline WriteLoad() {
  #ifdef REACHES_LOAD
  assert(false);
  #endif
  n_live = adding;
  from = (Nameable & adding); ChooseList(n_list[START]);
  for (s : 0 .. SLOTS - 1) {
    if
    :: Has(adding, s) ->
       from = (Nameable & adding); ChooseList(n_list[s]);
       n_list[s] = n_list[s] & ~Only(s)
    :: else
    fi
  }
  s = 0;
  #ifndef LOAD_NO_WALK
  Walk();
  #endif
  TakeGeneration();
  EndPass()
}

/* Points of any transactions, and deletes: an id that gets another point loses the one it has. */
inline Commit() {
  from = Pending; ChooseFrom(adding);
  from = committed; ChooseFrom(removing);
  for (s : 0 .. SLOTS - 1) {
    if
    :: Has(committed, s) && (PendingOf(Id(s)) & adding) != 0 -> removing = removing | Only(s)
    :: Has(committed, s) && (PendingOf(Id(s)) & adding) == 0 && PendingOf(Id(s)) != 0 ->
       removing = removing & ~Only(s)
    :: else
    fi
  }
  if
  :: adding | removing ->
     locked = 1;
     #ifdef BITS_FIRST
     on_disk = on_disk | adding;
     #endif
     if
     :: true -> /* LMDB commits. */
        if
        :: OnDisk == 0 -> WriteLoad() /* And phase is 0. */
        :: true -> WriteLog()
        fi;
        committed = (committed | adding) & ~removing;
        CheckDisk()
     #ifdef BITS_FIRST /* Else it is an abort. */
     :: true -> /* It refuses. */
        for (s : 0 .. SLOTS - 1) {
          if :: Has(adding, s) -> tag[s] = DELETED :: else fi
        }
        s = 0; adding = 0; removing = 0; locked = 0
     #endif
     fi
  :: else -> s = 0; removing = 0
  fi
}

inline SetBits() {
  on_disk = on_disk | adding;
  dead = dead | removing;
  for (s : 0 .. SLOTS - 1) {
    if
    :: Has(adding, s) && tag[s] == PENDING -> tag[s] = LIVE
    :: Has(removing, s) && tag[s] == LIVE -> tag[s] = DELETED
    :: else
    fi
  }
  s = 0; adding = 0; removing = 0; locked = 0;
  Reclaim()
}

#define IsRetiredAndDead(x) (tag[x] == RETIRED && Has(dead, x) -> Only(x) : 0)
#define RetiredAndDead (IsRetiredAndDead(0) | IsRetiredAndDead(1) | IsRetiredAndDead(2))

inline CutLog() {
  log_old = log_old | log_new; log_new = 0;
  dead_old = dead_old | dead_new; dead_new = 0
}

/* The commit that makes the changes in no run many. */
inline Fold() { run_new = run_new | (InLog & ~(run_new | run_old)) }

#ifdef BEGIN_UNLOCKED
#define BEGUN 1
#else
#define BEGUN 2
#endif
inline Begin() {
  b_on = on_disk;
  b_dead = dead;
  w = RetiredAndDead;
  #ifndef RUN_ACROSS
  Fold();
  #endif
  run_old = run_old | run_new; run_new = 0;
  #ifndef BEGIN_UNLOCKED
  CutLog();
  #endif
  phase = BEGUN
}

#ifdef ABSENT_RETIRED
#define LeftOut (w | RetiredAndDead)
#else
#define LeftOut w
#endif
#ifdef COPY_ANY_WORD
#define Words Nameable
#else
#define Words (Nameable & on_disk)
#endif

inline Copy(x) {
  if
  :: Has(b_on & ~LeftOut, x) ->
     #ifdef STATES_BY_TAGS
     if
     :: tag[x] == LIVE -> n_live = n_live | Only(x)
     :: else -> n_dead = n_dead | Only(x)
     fi;
     #else
     if
     :: Has(b_dead, x) -> n_dead = n_dead | Only(x)
     :: else -> n_live = n_live | Only(x)
     fi;
     #endif
     if
     :: Named(x) -> from = Words; ChooseList(n_list[x]); n_list[x] = n_list[x] & ~Only(x)
     :: else
     fi
  :: else
  fi
}

inline Flip() {
  #ifdef REACHES_KEPT_LOG
  assert(log_new == 0 || dead_new == 0);
  #endif
  #ifdef RELEASE_LATE
  w = w | RetiredAndDead;
  #endif
  #ifdef CUT_AT_FLIP
  CutLog();
  #endif
  TakeGeneration();
  for (s : 0 .. SLOTS - 1) {
    if :: Has(log_old, s) -> log_list[s] = 0; log_anchor[s] = NOWHERE :: else fi
  }
  log_old = 0; dead_old = 0; run_old = 0;
  CheckDisk();
  on_disk = on_disk & ~w;
  dead = dead & ~w;
  #ifdef REACHES_REUSE
  some_released = some_released || w != 0;
  #endif
  EndPass();
  Reclaim()
}
#ifdef REACHES_REUSE
bit some_released;
#endif

/* All of memory is gone; the next writer has what is on disk, by a write transaction. A generation that is
 * not current goes. */
inline Crash() {
  EndPass();
  on_disk = OnDisk;
  dead = OnDisk & ~LiveOnDisk;
  #ifdef OPEN_BY_READ
  on_disk = on_disk & ~adding; /* Which is 0 but while a commit is under way. */
  dead = dead & on_disk & ~removing;
  #endif
  locked = 0; adding = 0; removing = 0;
  CutLog();
  log_new = log_old; log_old = 0; dead_new = dead_old; dead_old = 0;
  run_new = run_new | run_old; run_old = 0;
  for (s : 0 .. SLOTS - 1) {
    if
    :: Has(dead, s) -> tag[s] = DELETED
    :: Has(on_disk & ~dead, s) -> tag[s] = LIVE
    :: else -> tag[s] = FREE
    fi
  }
  s = 0
}

init {
  atomic {
    for (s : 0 .. SLOTS - 1) { g_anchor[s] = NOWHERE; log_anchor[s] = NOWHERE; n_anchor[s] = NOWHERE }
    s = 0
  }
  do
  :: atomic { Insert(0) }
  :: atomic { Insert(1) }
  :: atomic { Insert(2) }
  :: atomic { Delete(0) }
  :: atomic { Delete(1) }
  :: atomic { Delete(2) }
  :: atomic { Retire(0) }
  :: atomic { Retire(1) }
  :: atomic { Retire(2) }
  :: atomic { !locked -> Commit() }
  :: atomic { locked -> SetBits() }
  :: atomic { !locked && (InLog & ~(run_new | run_old)) -> Fold() }
  :: atomic { phase == 0 && !locked && on_disk != 0 -> Begin() }
  #ifdef BEGIN_UNLOCKED
  :: atomic { phase == 1 && !locked -> CutLog(); phase = 2 }
  #endif
  :: atomic { phase == 2 -> from = Words; ChooseList(n_list[START]); Copy(0); Copy(1); phase = 3 }
  #ifdef NO_WALK
  :: atomic { phase == 3 -> Copy(2); phase = 4 }
  #else
  :: atomic { phase == 3 -> Copy(2); Walk(); phase = 4 } /* What it reads does not change. */
  #endif
  :: atomic { phase == 4 && !locked -> Flip() }
  :: atomic { Crash() }
  od
}
