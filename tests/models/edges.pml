/* Edges and their reverse lists: Link, Unlink, Prune, Delete with repair, and reuse of the slot.
 *
 * Problem   The repair of a deleted point must find every row that names it, or edges are left that
 *           lead to the point which uses the slot next. No operation holds two list locks, so a row
 *           and a reverse list change at different moments.
 * Claim     At every instant each edge has a back-link at its target, and leads to a live slot or
 *           to a deleted one that is not repaired yet. At rest, reverse lists are the rows transposed.
 *           After repair no row names the deleted slot. After the grace period its reverse list is
 *           empty by itself.
 * Protocol  Link(u, v): under v's lock, if v is live, add the back-link u to v's reverse list, a
 *           multiset; then under u's lock, if u and v are live and v is absent, write the edge;
 *           else remove the back-link. Unlink: the row first, then the back-link. Delete(v) marks v.
 *           Repair copies its reverse list and unlinks v from every row of the copy; only the reuse
 *           waits for the operations that were under way.
 *
 * Slots 0 and 1 stay; slot 2 is deleted and reused again and again. The edges are 0>2, 1>2 and 2>0.
 * Every process loops for ever and picks any edge each time, so the search is exhaustive for runs
 * of any length. "Absent from the row" and the write are one section under
 * u's lock; v's tag is read in a step of its own, because v's lock is not held there.
 * Steps are sequentially consistent here; list locks make them so in the code for everything but
 * the tag, whose orderings are argued in the code and checked by ThreadSanitizer.
 *
 * Mutants, each of which must fail:
 *   ROW_FIRST            Link writes the row first and adds the back-link second
 *   NO_RECHECK           Link does not look at v's tag again before it writes the edge
 *   NO_UNDO              a back-link whose edge was not written stays
 *   COPY_BEFORE_MARK     Delete copies the reverse list, then marks, in two sections
 *   REMOVE_ALWAYS        repair removes the back-link u though u's row did not name v
 *   ADD_IF_READABLE      Link adds a back-link at a deleted slot, too, and trusts it
 *   REUSE_WITHOUT_GRACE  the slot is reused while an operation from before is under way
 *   REUSE_BEFORE_REPAIR  the slot is reused without its repair
 *   PRUNE_UNCHECKED      a prune writes its row though the row has changed since the copy
 *   IGNORE_OWN_TAG       Link does not look at u's own tag
 * FEW_EDGES: only 0>2 is added and removed, so that more processes fit.
 * Not vacuous: REACHES_UNDO, REACHES_REPAIRED_EDGE, REACHES_RESTART (with PRUNERS) assert that
 * the state is never reached, and fail.
 */
#ifndef ADDERS
#define ADDERS 2
#endif
#ifndef REMOVERS
#define REMOVERS 1
#endif
#ifndef DELETERS
#define DELETERS 1
#endif
#ifndef PRUNERS
#define PRUNERS 0
#endif

#define LIVE 0
#define DELETED 1
#define RETIRED 2

#define V 2 /* The slot that is deleted and reused. */
#define SLOTS 3
#define EDGES 3
#define Source(e) (e) /* 0>2, 1>2, 2>0 */
#define Target(e) ((e) == 2 -> 0 : 2)

byte tag[SLOTS];
bit locked[SLOTS];
bit row[EDGES];   /* Whether the source's row has the edge. */
byte rev[EDGES];  /* How often the source is on the target's reverse list. */
#if PRUNERS > 0
bit stale[PRUNERS]; /* Row 0 has been written since the pruner's copy: its version differs. */
#endif

/* Ghost: operations under way, that is guards held, by the era in which they began. A retire opens
 * the other era and reuse waits until the old one is empty: the least that a grace period gives. */
bit era;
byte under_way[2];
bit deleting;         /* Ghost: a delete or its repair is under way. */

inline Lock(s) { atomic { !locked[s] -> locked[s] = 1 } }
inline Unlock(s) { locked[s] = 0 }

#ifdef ROW_FIRST
#define CheckEdge(e) /* Broken for an instant by design; the transpose at rest is what counts. */
#else
#define CheckEdge(e) assert(!row[e] || (rev[e] > 0 && tag[Target(e)] != RETIRED))
#endif

inline WriteRow(e, bit_value) {
  d_step {
    row[e] = bit_value;
    CheckEdge(e);
    #if PRUNERS > 0
    if :: Source(e) == 0 -> stale[0] = 1 :: else fi;
    #if PRUNERS > 1
    if :: Source(e) == 0 -> stale[1] = 1 :: else fi;
    #endif
    #endif
  }
}

inline RemoveBackLink(e) {
  Lock(Target(e));
  d_step { assert(rev[e] > 0); rev[e]--; CheckEdge(e) }
  Unlock(Target(e))
}

inline AtRest() {
  if
  :: !deleting && under_way[0] + under_way[1] == 0 ->
     assert(rev[0] == row[0] && rev[1] == row[1] && rev[2] == row[2])
  :: else
  fi
}

inline Begin() { d_step { began = era; under_way[began]++ } }
inline End() { d_step { under_way[began]--; began = 0; ok = 0; e = 0; AtRest() } }

inline PickEdge() {
  #ifdef FEW_EDGES
  e = 0
  #else
  if
  :: e = 0
  :: e = 1
  :: e = 2
  fi
  #endif
}

/* Under v's lock: ok says whether the back-link was added. */
inline AddBackLink() {
  Lock(Target(e));
  if
  #ifdef ADD_IF_READABLE
  :: d_step { tag[Target(e)] != RETIRED -> rev[e]++; ok = 1 }
  #else
  :: d_step { tag[Target(e)] == LIVE -> rev[e]++; ok = 1 }
  #endif
  :: else
  fi;
  Unlock(Target(e))
}

/* Under u's lock: writes the edge if u and v are live and it is absent; else ok becomes 0. */
inline WriteEdge() {
  Lock(Source(e));
  #ifdef IGNORE_OWN_TAG
  ok = (!row[e]);
  #else
  ok = (!row[e] && tag[Source(e)] == LIVE);
  #endif
  if
  #if defined(NO_RECHECK) || defined(ADD_IF_READABLE)
  :: ok -> WriteRow(e, 1)
  #else
  :: ok ->
     if
     :: tag[Target(e)] == LIVE -> WriteRow(e, 1)
     :: else -> ok = 0
     fi
  #endif
  :: else
  fi;
  Unlock(Source(e))
}

proctype Adder() {
  byte e;
  bit ok, began;
  do
  :: Begin();
     PickEdge();
     #ifdef ROW_FIRST
     WriteEdge();
     if
     :: ok ->
        Lock(Target(e));
        if
        :: d_step { tag[Target(e)] == LIVE -> rev[e]++ }; ok = 0
        :: else
        fi;
        Unlock(Target(e));
        if
        :: ok -> Lock(Source(e)); WriteRow(e, 0); Unlock(Source(e))
        :: else
        fi
     :: else
     fi;
     #else
     AddBackLink();
     if
     :: ok ->
        WriteEdge();
        if
        #ifndef NO_UNDO
        :: !ok ->
           #ifdef REACHES_UNDO
           assert(row[e] || tag[Target(e)] == LIVE);
           #endif
           RemoveBackLink(e)
        #endif
        :: else
        fi
     :: else
     fi;
     #endif
     End()
  od
}

inline Unlink() {
  Lock(Source(e));
  if
  :: row[e] -> WriteRow(e, 0); ok = 1
  :: else
  fi;
  Unlock(Source(e));
  if
  :: ok -> RemoveBackLink(e)
  :: else
  fi
}

proctype Remover() {
  byte e;
  bit ok, began;
  do
  :: Begin(); PickEdge(); Unlink(); End()
  od
}

#if PRUNERS > 0
/* Computes row 0 anew from a copy: keeps the edge that it found there, or not. */
proctype Pruner(byte p) {
  byte e;
  bit ok, began, had, keep;
  do
  :: Begin();
     restart:
     Lock(0);
     d_step { had = row[0]; stale[p] = 0 }
     Unlock(0);
     if
     :: keep = had
     :: skip
     fi;
     Lock(0);
     #ifdef PRUNE_UNCHECKED
     WriteRow(0, keep);
     #else
     if
     :: stale[p] ->
        #ifdef REACHES_RESTART
        assert(false);
        #endif
        d_step { keep = 0; had = 0; locked[0] = 0 }
        goto restart
     :: else
     fi;
     if
     :: had && !keep -> WriteRow(0, 0)
     :: else
     fi;
     #endif
     Unlock(0);
     if
     :: had && !keep -> RemoveBackLink(0)
     :: else
     fi;
     d_step { keep = 0; had = 0 }
     End()
  od
}
#endif

inline Repair(held) {
  if
  :: held ->
     Unlink();
     #ifdef REMOVE_ALWAYS
     if :: !ok && e != 2 -> RemoveBackLink(e) :: else fi;
     #endif
     #ifdef REACHES_REPAIRED_EDGE
     assert(!ok);
     #endif
     ok = 0
  :: else
  fi
}

proctype Deleter() {
  byte e;
  bit ok, held0, held1;
  do
  :: deleting = 1;
     Lock(V);
     #ifdef COPY_BEFORE_MARK
     d_step { held0 = rev[0] > 0; held1 = rev[1] > 0 }
     Unlock(V);
     Lock(V);
     tag[V] = DELETED;
     #else
     tag[V] = DELETED;
     Unlock(V);
     Lock(V);
     d_step { held0 = rev[0] > 0; held1 = rev[1] > 0 }
     #endif
     Unlock(V);
     #ifndef REUSE_BEFORE_REPAIR
     e = 0; Repair(held0);
     e = 1; Repair(held1);
     e = 2; Repair(true);
     assert(!row[0] && !row[1] && !row[2]); /* No row names it, and its own is empty. */
     #endif
     d_step {
       held0 = 0; held1 = 0; e = 0;
       tag[V] = RETIRED;
       era = 1 - era
     }
     #ifdef REUSE_WITHOUT_GRACE
     rev[0] = 0; rev[1] = 0;
     #else
     atomic {
       under_way[1 - era] == 0 ->
       assert(!row[0] && !row[1] && !row[2] && rev[0] == 0 && rev[1] == 0)
     };
     #endif
     d_step { tag[V] = LIVE; deleting = 0; AtRest() } /* It is used again. */
  od
}

init {
  byte n;
  atomic {
    for (n : 1 .. 9) { if :: n <= ADDERS -> run Adder() :: else fi }
    for (n : 1 .. 9) { if :: n <= REMOVERS -> run Remover() :: else fi }
    #if PRUNERS > 0
    for (n : 1 .. 9) { if :: n <= PRUNERS -> run Pruner(n - 1) :: else fi }
    #endif
    for (n : 1 .. 9) { if :: n <= DELETERS -> run Deleter() :: else fi }
    n = 0
  }
}
