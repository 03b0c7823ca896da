/* The count of parents (src/store/parent_forest.h, G3), which keeps a point's last parent edge. All
 * in-edges are parent edges here.
 *
 * Problem   Two prunes each see that a point has another in-edge, and each drops its own.
 * Claim     Once a point has had a counted in-edge it has one at every instant, and the count never
 *           exceeds the edges that rows hold.
 * Protocol  The count is raised after the row is written, and lowered before the edge goes, by a
 *           compare-and-swap that refuses 1 -> 0. A prune that is refused keeps the edge. A delete
 *           of the edge's source that is refused first gives the point another in-edge.
 *
 * One point, SOURCES rows that may name it. The point starts without an edge: it is being inserted.
 * Every process loops for ever, so the search is exhaustive for runs of any length.
 * Every step is one atomic access or one section under a list lock, under sequential consistency:
 * the C++ orderings are argued where they stand and checked by ThreadSanitizer.
 *
 * Mutants, each of which must fail:
 *   PLAIN_DECREMENT      a prune lowers the count without looking
 *   CHECK_THEN_DECREMENT a prune looks, then subtracts: two may look at the same 2
 *   LOWER_AFTER          the edge goes first, the count afterwards
 *   RAISE_FIRST          the count is raised before the row is written
 *   DELETE_UNCHECKED     a deleted source takes its edges along
 * Not vacuous: REACHES_REFUSAL and REACHES_RELINK assert that the state is never reached, and fail.
 */
#ifndef SOURCES
#define SOURCES 3
#endif
#ifndef ADDERS
#define ADDERS 1
#endif
#ifndef PRUNERS
#define PRUNERS 2
#endif
#ifndef DELETERS
#define DELETERS 1
#endif

bit row[SOURCES];      /* Whether row u names the point. */
bit locked[SOURCES];   /* List locks. */
bit deleted[SOURCES];  /* Source u is being deleted: nothing is added to its row. */
byte in_degree;        /* The count. */

byte edges;      /* Ghost: the sum of row[]. */
bit committed;   /* Ghost: the count has been above 0. */

#define Holds() assert(in_degree <= edges && (!committed || edges > 0))

inline PickSource() {
  if
  :: u = 0
  #if SOURCES > 1
  :: u = 1
  #endif
  #if SOURCES > 2
  :: u = 2
  #endif
  #if SOURCES > 3
  :: u = 3
  #endif
  fi
}
inline Lock() { atomic { !locked[u] -> locked[u] = 1 } }
inline Unlock() { locked[u] = 0 }

inline Raise() { d_step { in_degree++; committed = 1; Holds() } }

/* Writes the edge if it may, then raises the count. */
inline Link() {
  #ifdef RAISE_FIRST
  Raise();
  #endif
  Lock();
  if
  :: d_step { !row[u] && !deleted[u] -> row[u] = 1; edges++; Holds() }; added = 1
  :: else
  fi;
  Unlock();
  #ifdef RAISE_FIRST
  if :: !added -> in_degree-- :: else fi;
  #else
  if :: added -> Raise() :: else fi;
  #endif
  added = 0
}

/* Under the lock of u, which names the point: lowered says whether the edge may go. */
inline TryLower() {
  #ifdef PLAIN_DECREMENT
  in_degree--;
  lowered = 1
  #else
  #ifdef CHECK_THEN_DECREMENT
  if
  :: in_degree > 1 -> in_degree--; lowered = 1
  :: else
  fi
  #else
  do
  :: degree = in_degree;
     if
     :: degree <= 1 -> break
     :: else ->
        if
        :: d_step { in_degree == degree -> in_degree-- }; lowered = 1; break
        :: else
        fi
     fi
  od;
  degree = 0
  #endif
  #endif
}

inline DropEdge() { d_step { row[u] = 0; edges--; Holds() } }

proctype Adder() {
  byte u;
  bit added;
  do
  :: PickSource(); Link(); u = 0
  od
}

proctype Pruner() {
  byte u, degree;
  bit lowered;
  do
  :: PickSource();
     Lock();
     if
     :: row[u] ->
        #ifdef LOWER_AFTER
        if :: in_degree > 1 -> DropEdge(); in_degree-- :: else fi;
        #else
        TryLower();
        if
        :: lowered -> DropEdge()
        :: else ->
          #ifdef REACHES_REFUSAL
          assert(!committed || edges > 1)
          #endif
        fi;
        #endif
     :: else
     fi;
     Unlock();
     d_step { lowered = 0; u = 0 }
  od
}

/* Deletes source 0, links the point elsewhere if that edge is its last, and uses the slot again. */
proctype Deleter() {
  byte u, degree;
  bit lowered, added;
  do
  :: Lock(); deleted[0] = 1; Unlock();
     do
     :: u = 0;
        Lock();
        if
        :: row[u] ->
           #ifdef DELETE_UNCHECKED
           in_degree--; lowered = 1;
           #else
           TryLower();
           #endif
           if :: lowered -> DropEdge() :: else fi;
        :: else -> lowered = 1
        fi;
        Unlock();
        if
        :: lowered -> break
        :: else ->
           #ifdef REACHES_RELINK
           assert(false);
           #endif
           if :: u = 1 :: u = SOURCES - 1 fi;
           Link()
        fi
     od;
     u = 0; lowered = 0;
     deleted[0] = 0
  od
}

init {
  byte n;
  atomic {
    for (n : 1 .. 9) { if :: n <= ADDERS -> run Adder() :: else fi }
    for (n : 1 .. 9) { if :: n <= PRUNERS -> run Pruner() :: else fi }
    for (n : 1 .. 9) { if :: n <= DELETERS -> run Deleter() :: else fi }
    n = 0
  }
}
