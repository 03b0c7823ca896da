/* Subtree re-attachment: many points hang on a deleted one, which is to become childless
 * (src/store/reattachment.h).
 *
 * Problem   Two points that only the deleted point leads to are each other's parents, or could be.
 *           The one that is moved to the end first finds the other for a parent, and both are an
 *           island when the deleted point goes. Meanwhile threads link, prune, adopt and move.
 * Claim     At every instant a path leads from the start to both points. When the re-attachment is
 *           through, the deleted point is childless, and parent edges lead to higher ranks.
 * Protocol  Suspend the deleted point and every point that has suspended parents only. A suspended
 *           point loses no parent, and becomes no point's parent. Then, while one is suspended:
 *           give it the highest rank, and make its in-neighbours that are not suspended its
 *           parents. If there is one, take the suspended parents off it and resume it. If there is
 *           none for any point, link one from outside.
 *
 * P is deleted and a child of the start; A and B hang on it; U is a child of the start, is never
 * deleted and may point at both. The edges are P>A, P>B, A>B, B>A, U>A, U>B; the last four come and
 * go. Every process but the re-attachment loops for ever. That one runs once, from any state that
 * the others may have come to, and begins anew as often as it must. Ranks are kept as their order. The
 * count of parents and the suspension are one word, as in the code; a list's lock covers its row.
 *
 * Mutants, each of which must fail:
 *   SUSPENDED_LOSES      a parent of a suspended point may be taken
 *   SUSPENDED_AS_PARENT  a suspended point may become a parent
 *   BY_A_SUSPENDED       a point is resumed by a parent that is suspended
 *   KEEPS_A_SUSPENDED    a point is resumed that keeps a suspended parent
 *   SUSPEND_NO_FURTHER   the children of the deleted point's children are not suspended
 * Not vacuous: REACHES_OUTSIDE (an edge from outside was needed), REACHES_FREE (none was) and
 * REACHES_REFUSAL (a parent was kept since its child is suspended) assert the opposite, and fail.
 */
#ifndef LINKERS
#define LINKERS 1
#endif
#ifndef PRUNERS
#define PRUNERS 1
#endif
#ifndef MOVES
#define MOVES 0
#endif

#define A 0
#define B 1
#define P 2
#define U 3
#define EDGES 6
#define Source(e) (e < 2 -> P : (e == 2 -> A : (e == 3 -> B : U)))
#define Target(e) (e < 2 -> e : (e == 2 -> B : (e == 3 -> A : e - 4)))
#define SUSPENDED 8
#define Count(v) (parents[v] % SUSPENDED)

bit row[EDGES];
bit parent_bit[EDGES];
byte parents[2];  /* Of A and B: the count, and SUSPENDED. */
bit locked[4];
bit suspended[2]; /* The same as SUSPENDED. */
bit gone;        /* P is childless and its row empty. */
/* The order of ranks; P precedes all. */
bit a_before_b, u_before_a, u_before_b;

#define Precedes(s, t)                                                                       \
  (s == P || (s == U && t == A && u_before_a) || (s == U && t == B && u_before_b) ||       \
   (s == A && t == B && a_before_b) || (s == B && t == A && !a_before_b))

#define FromOutsideA (row[0] || row[4])
#define FromOutsideB (row[1] || row[5])
#define Holds()                                                                           \
  assert((FromOutsideA || (row[3] && FromOutsideB)) && (FromOutsideB || (row[2] && FromOutsideA)))

inline Lock(s) { atomic { !locked[s] -> locked[s] = 1 } }
inline Unlock(s) { locked[s] = 0 }

inline GiveHighestRank(v) {
  d_step {
    if
    :: v == A -> a_before_b = 0; u_before_a = 1
    :: v == B -> a_before_b = 1; u_before_b = 1
    :: v == U -> u_before_a = 0; u_before_b = 0
    fi
  }
}

/* Under the source's lock. U is a child of the start, and is never suspended. */
inline AskMayBeParent(e) {
  may = Precedes(Source(e), Target(e));
  if
  :: may && Source(e) < 2 ->
     #ifdef SUSPENDED_AS_PARENT
     may = Count(Source(e)) > 0
     #else
     may = parents[Source(e)] > 0 && !suspended[Source(e)]
     #endif
  :: else
  fi
}

/* Under the source's lock: the edge has the parent bit, which may go if lowered says so. */
inline TryLower(e) {
  lowered = 0;
  do
  ::
     word = parents[Target(e)];
     if
     #ifdef SUSPENDED_LOSES
     :: word % SUSPENDED <= 1 -> break
     #else
     :: word % SUSPENDED <= 1 || word >= SUSPENDED ->
        #ifdef REACHES_REFUSAL
        assert(word < SUSPENDED || word % SUSPENDED == 1);
        #endif
        break
     #endif
     :: else ->
        if
        :: d_step { parents[Target(e)] == word -> parents[Target(e)]-- }; lowered = 1; break
        :: else
        fi
     fi
  od;
  word = 0
}

inline PickEdge() { if :: e = 2 :: e = 3 :: e = 4 :: e = 5 fi }
inline Forget() { d_step { e = 0; may = 0; lowered = 0; word = 0 } }

/* Link; or, where the edge is there without the bit, AdoptParents. */
proctype Linker() {
  byte e, word;
  bit may, lowered;
  do
  :: PickEdge();
     Lock(Source(e));
     AskMayBeParent(e);
     if
     :: !row[e] -> row[e] = 1; parent_bit[e] = may
     :: row[e] && !parent_bit[e] && may -> parent_bit[e] = 1
     :: else -> may = 0
     fi;
     if :: may -> parents[Target(e)]++ :: else fi;
     Unlock(Source(e));
     Forget()
  od
}

proctype Pruner() {
  byte e, word;
  bit may, lowered;
  do
  :: PickEdge();
     Lock(Source(e));
     if
     :: row[e] && parent_bit[e] ->
        TryLower(e);
        if :: lowered -> d_step { row[e] = 0; parent_bit[e] = 0; Holds() } :: else fi
     :: row[e] && !parent_bit[e] -> d_step { row[e] = 0; Holds() }
     :: else
     fi;
     Unlock(Source(e));
     Forget()
  od
}

/* Takes the bits off the edges of A, B or U; if all are off, gives it the highest rank. */
inline TakeOff(x) {
  e = x;
  if
  :: parent_bit[e] -> TryLower(e); if :: lowered -> parent_bit[e] = 0 :: else -> may = 1 fi
  :: else
  fi
}
proctype MoveToEnd() {
  byte e, word, v;
  bit may, lowered;
  do
  :: if :: v = A :: v = B :: v = U fi;
     Lock(v);
     if
     :: v < 2 && suspended[v] -> may = 1
     :: v == A && !suspended[A] -> TakeOff(2)
     :: v == B && !suspended[B] -> TakeOff(3)
     :: v == U -> TakeOff(4); TakeOff(5)
     fi;
     if :: !may -> GiveHighestRank(v) :: else fi;
     Unlock(v);
     v = 0; Forget()
  od
}

inline Suspend(v) {
  d_step { parents[v] = SUSPENDED + Count(v); suspended[v] = 1 }
}

/* Under the source's lock. */
inline SuspendChild(x) {
  e = x;
  if
  :: parent_bit[e] ->
     TryLower(e);
     if
     :: lowered -> parent_bit[e] = 0
     :: else ->
        t = Target(e);
        Suspend(t);
        if
        :: met[t] -> d_step { parent_bit[e] = 0; parents[t]-- }
        :: else -> met[t] = 1
        fi;
        t = 0
     fi
  :: else
  fi;
  Forget()
}

/* An edge into v: its source, if it is not suspended, is a parent from outside. */
inline LookAt(x) {
  e = x;
  Lock(Source(e));
  if
  :: !row[e] || Source(e) == P
  #ifndef BY_A_SUSPENDED
  :: row[e] && Source(e) < 2 && suspended[Source(e)]
  #endif
  :: else ->
     if
     :: parent_bit[e] -> has_parent = 1
     :: else ->
        AskMayBeParent(e);
        #ifdef BY_A_SUSPENDED
        if :: Source(e) < 2 -> may = Precedes(Source(e), Target(e)) :: else fi;
        #endif
        if :: may -> parent_bit[e] = 1; parents[Target(e)]++; has_parent = 1 :: else fi
     fi
  fi;
  Unlock(Source(e));
  Forget()
}
inline DropSuspendedParent(x) {
  e = x;
  #ifndef KEEPS_A_SUSPENDED
  if
  :: Source(e) == P || (Source(e) < 2 && suspended[Source(e)]) ->
     Lock(Source(e));
     if
     :: parent_bit[e] -> d_step { parent_bit[e] = 0; parents[Target(e)]-- }
     :: else
     fi;
     Unlock(Source(e))
  :: else
  fi;
  #endif
  Forget()
}

inline Resume(v, from_p, from_other, from_u) {
  if
  :: suspended[v] ->
     Lock(v); GiveHighestRank(v); Unlock(v);
     LookAt(from_other);
     LookAt(from_u);
     if
     :: has_parent ->
        DropSuspendedParent(from_p);
        DropSuspendedParent(from_other);
        Lock(v);
        d_step { parents[v] = Count(v); suspended[v] = 0 };
        Unlock(v);
        has_parent = 0
     :: else
     fi
  :: else
  fi
}

proctype SubtreeReattachment() {
  byte e, t, word;
  bit may, lowered, has_parent, linked;
  bit met[2];
  do
  :: Lock(P); SuspendChild(0); SuspendChild(1); Unlock(P);
     #ifndef SUSPEND_NO_FURTHER
     /* Those that were met, in that order: A first, or B. */
     if
     :: met[A] -> Lock(A); SuspendChild(2); Unlock(A);
        if :: met[B] -> Lock(B); SuspendChild(3); Unlock(B) :: else fi
     :: !met[A] && met[B] -> Lock(B); SuspendChild(3); Unlock(B);
        if :: met[A] -> Lock(A); SuspendChild(2); Unlock(A) :: else fi
     :: else
     fi;
     #endif
     met[A] = 0; met[B] = 0;
     Resume(A, 0, 3, 4);
     Resume(B, 1, 2, 5);
     Resume(A, 0, 3, 4);
     if
     :: suspended[A] || suspended[B] ->
        linked = 1;
        e = (suspended[A] -> 4 : 5);
        Lock(U);
        AskMayBeParent(e);
        if
        :: may && !parent_bit[e] -> row[e] = 1; parent_bit[e] = 1; parents[Target(e)]++
        :: else
        fi;
        Unlock(U);
        Forget()
     :: else
     fi;
     if
     :: !parent_bit[0] && !parent_bit[1] && !suspended[A] && !suspended[B] -> break
     :: else
     fi
  od;
  skip;
  #ifdef REACHES_OUTSIDE
  assert(!linked);
  #endif
  #ifdef REACHES_FREE
  assert(linked);
  #endif
  d_step { row[0] = 0; Holds() };
  d_step { row[1] = 0; Holds() };
  d_step {
    gone = 1;
    assert(!parent_bit[2] || a_before_b);
    assert(!parent_bit[3] || !a_before_b)
  }
}

init {
  byte n;
  atomic {
    if :: u_before_a = 1 :: skip fi;
    if :: u_before_b = 1 :: skip fi;
    if :: a_before_b = 1 :: skip fi;
    /* An order: not a cycle. */
    if
    :: (a_before_b && u_before_a && !u_before_b) || (!a_before_b && u_before_b && !u_before_a) ->
       u_before_a = 1; u_before_b = 1
    :: else
    fi;
    row[0] = 1; parent_bit[0] = 1; parents[A] = 1;
    row[1] = 1; parent_bit[1] = 1; parents[B] = 1;
    for (n : 1 .. 9) { if :: n <= LINKERS -> run Linker() :: else fi }
    for (n : 1 .. 9) { if :: n <= PRUNERS -> run Pruner() :: else fi }
    for (n : 1 .. 9) { if :: n <= MOVES -> run MoveToEnd() :: else fi }
    run SubtreeReattachment();
    n = 0
  }
}
