/* SubtreeReattachment: many points hang on a deleted one, which is to be released (src/store/reattachment.h).
 *
 * Problem   Two points that only the dead point leads to guard each other, or could: whoever is
 *           given up first finds the other for a guard, and both are an island when the dead point
 *           goes. Meanwhile others link, prune, adopt and rebear.
 * Claim     At every instant there is a way from the start to both points. When the reattachment is
 *           through, the dead point guards nobody, and guards lead from older to younger.
 * Protocol  Pin the dead point and whoever is guarded by pinned ones only: a pinned point loses no
 *           guard, and guards nobody anew. Then, as long as somebody is pinned: make such a point
 *           the youngest, and whoever points at it and is not pinned its guard; if there is one,
 *           take the pinned guards off it and unpin it. If there is none for anybody, link one from
 *           outside.
 *
 * P is dead and hangs from the start; A and B hang on it; U hangs from the start, is never dead and
 * may point at both. The edges are P>A, P>B, A>B, B>A, U>A, U>B; the last four come and go. Every
 * process but the reattachment loops for ever; that one runs once, from any state that the others
 * may have come to, and begins anew as often as it must. Births are kept as their order. The count
 * of guards and the pin are one word, as in the code; a list's lock covers its row.
 *
 * Mutants, each of which must fail:
 *   PINNED_LOSES       a guard of a pinned point may be taken
 *   PINNED_GUARDS      a pinned point may guard others anew
 *   BY_A_PINNED        a point is let go that a pinned one guards
 *   ON_A_STRING        a point is let go that keeps a pinned guard
 *   PIN_NO_FURTHER     those that hang on the dead point's dependents are not pinned
 * Not vacuous: REACHES_OUTSIDE (an edge from outside was needed), REACHES_FREE (none was) and
 * REACHES_REFUSAL (a guard was kept since its point is pinned) assert the opposite, and fail.
 */
#ifndef LINKERS
#define LINKERS 1
#endif
#ifndef PRUNERS
#define PRUNERS 1
#endif
#ifndef REBIRTHS
#define REBIRTHS 0
#endif

#define A 0
#define B 1
#define P 2
#define U 3
#define EDGES 6
#define Source(e) (e < 2 -> P : (e == 2 -> A : (e == 3 -> B : U)))
#define Target(e) (e < 2 -> e : (e == 2 -> B : (e == 3 -> A : e - 4)))
#define PIN 8
#define Count(v) (guards[v] % PIN)

bit row[EDGES];
bit guard_bit[EDGES];
byte guards[2];  /* Of A and B: the count, and PIN. */
bit locked[4];
bit pinned_flag[2]; /* The same as PIN. */
bit gone;        /* P is released and its row empty. */
/* The order of ranks; P is older than all. */
bit a_before_b, u_before_a, u_before_b;

#define Older(s, t)                                                                       \
  (s == P || (s == U && t == A && u_before_a) || (s == U && t == B && u_before_b) ||       \
   (s == A && t == B && a_before_b) || (s == B && t == A && !a_before_b))

#define FromOutsideA (row[0] || row[4])
#define FromOutsideB (row[1] || row[5])
#define Holds()                                                                           \
  assert((FromOutsideA || (row[3] && FromOutsideB)) && (FromOutsideB || (row[2] && FromOutsideA)))

inline Lock(s) { atomic { !locked[s] -> locked[s] = 1 } }
inline Unlock(s) { locked[s] = 0 }

inline MakeYoungest(v) {
  d_step {
    if
    :: v == A -> a_before_b = 0; u_before_a = 1
    :: v == B -> a_before_b = 1; u_before_b = 1
    :: v == U -> u_before_a = 0; u_before_b = 0
    fi
  }
}

/* Under the source's lock. U hangs from the start, and is never pinned. */
inline AskMayGuard(e) {
  may = Older(Source(e), Target(e));
  if
  :: may && Source(e) < 2 ->
     #ifdef PINNED_GUARDS
     may = Count(Source(e)) > 0
     #else
     may = guards[Source(e)] > 0 && !pinned_flag[Source(e)]
     #endif
  :: else
  fi
}

/* Under the source's lock: the edge has the guard bit, which may go if lowered says so. */
inline TryLower(e) {
  lowered = 0;
  do
  ::
     word = guards[Target(e)];
     if
     #ifdef PINNED_LOSES
     :: word % PIN <= 1 -> break
     #else
     :: word % PIN <= 1 || word >= PIN ->
        #ifdef REACHES_REFUSAL
        assert(word < PIN || word % PIN == 1);
        #endif
        break
     #endif
     :: else ->
        if
        :: d_step { guards[Target(e)] == word -> guards[Target(e)]-- }; lowered = 1; break
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
     AskMayGuard(e);
     if
     :: !row[e] -> row[e] = 1; guard_bit[e] = may
     :: row[e] && !guard_bit[e] && may -> guard_bit[e] = 1
     :: else -> may = 0
     fi;
     if :: may -> guards[Target(e)]++ :: else fi;
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
     :: row[e] && guard_bit[e] ->
        TryLower(e);
        if :: lowered -> d_step { row[e] = 0; guard_bit[e] = 0; Holds() } :: else fi
     :: row[e] && !guard_bit[e] -> d_step { row[e] = 0; Holds() }
     :: else
     fi;
     Unlock(Source(e));
     Forget()
  od
}

/* Takes the bits off the edges of A, B or U; if all are off, makes it the youngest. */
inline TakeOff(x) {
  e = x;
  if
  :: guard_bit[e] -> TryLower(e); if :: lowered -> guard_bit[e] = 0 :: else -> may = 1 fi
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
     :: v < 2 && pinned_flag[v] -> may = 1
     :: v == A && !pinned_flag[A] -> TakeOff(2)
     :: v == B && !pinned_flag[B] -> TakeOff(3)
     :: v == U -> TakeOff(4); TakeOff(5)
     fi;
     if :: !may -> MakeYoungest(v) :: else fi;
     Unlock(v);
     v = 0; Forget()
  od
}

inline PinOne(v) {
  d_step { guards[v] = PIN + Count(v); pinned_flag[v] = 1 }
}

/* Under the source's lock. */
inline PinDependent(x) {
  e = x;
  if
  :: guard_bit[e] ->
     TryLower(e);
     if
     :: lowered -> guard_bit[e] = 0
     :: else ->
        t = Target(e);
        PinOne(t);
        if
        :: met[t] -> d_step { guard_bit[e] = 0; guards[t]-- }
        :: else -> met[t] = 1
        fi;
        t = 0
     fi
  :: else
  fi;
  Forget()
}

/* An edge into v: its source, if it is not pinned, is a guard from outside. */
inline LookAt(x) {
  e = x;
  Lock(Source(e));
  if
  :: !row[e] || Source(e) == P
  #ifndef BY_A_PINNED
  :: row[e] && Source(e) < 2 && pinned_flag[Source(e)]
  #endif
  :: else ->
     if
     :: guard_bit[e] -> guarded = 1
     :: else ->
        AskMayGuard(e);
        #ifdef BY_A_PINNED
        if :: Source(e) < 2 -> may = Older(Source(e), Target(e)) :: else fi;
        #endif
        if :: may -> guard_bit[e] = 1; guards[Target(e)]++; guarded = 1 :: else fi
     fi
  fi;
  Unlock(Source(e));
  Forget()
}
inline CutString(x) {
  e = x;
  #ifndef ON_A_STRING
  if
  :: Source(e) == P || (Source(e) < 2 && pinned_flag[Source(e)]) ->
     Lock(Source(e));
     if
     :: guard_bit[e] -> d_step { guard_bit[e] = 0; guards[Target(e)]-- }
     :: else
     fi;
     Unlock(Source(e))
  :: else
  fi;
  #endif
  Forget()
}

inline UnpinOne(v, from_p, from_other, from_u) {
  if
  :: pinned_flag[v] ->
     Lock(v); MakeYoungest(v); Unlock(v);
     LookAt(from_other);
     LookAt(from_u);
     if
     :: guarded ->
        CutString(from_p);
        CutString(from_other);
        Lock(v);
        d_step { guards[v] = Count(v); pinned_flag[v] = 0 };
        Unlock(v);
        guarded = 0
     :: else
     fi
  :: else
  fi
}

proctype SubtreeReattachment() {
  byte e, t, word;
  bit may, lowered, guarded, linked;
  bit met[2];
  do
  :: Lock(P); PinDependent(0); PinDependent(1); Unlock(P);
     #ifndef PIN_NO_FURTHER
     /* Whoever was met, in the order in which they were: A first, or B. */
     if
     :: met[A] -> Lock(A); PinDependent(2); Unlock(A);
        if :: met[B] -> Lock(B); PinDependent(3); Unlock(B) :: else fi
     :: !met[A] && met[B] -> Lock(B); PinDependent(3); Unlock(B);
        if :: met[A] -> Lock(A); PinDependent(2); Unlock(A) :: else fi
     :: else
     fi;
     #endif
     met[A] = 0; met[B] = 0;
     UnpinOne(A, 0, 3, 4);
     UnpinOne(B, 1, 2, 5);
     UnpinOne(A, 0, 3, 4);
     if
     :: pinned_flag[A] || pinned_flag[B] ->
        linked = 1;
        e = (pinned_flag[A] -> 4 : 5);
        Lock(U);
        AskMayGuard(e);
        if
        :: may && !guard_bit[e] -> row[e] = 1; guard_bit[e] = 1; guards[Target(e)]++
        :: else
        fi;
        Unlock(U);
        Forget()
     :: else
     fi;
     if
     :: !guard_bit[0] && !guard_bit[1] && !pinned_flag[A] && !pinned_flag[B] -> break
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
    assert(!guard_bit[2] || a_before_b);
    assert(!guard_bit[3] || !a_before_b)
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
    row[0] = 1; guard_bit[0] = 1; guards[A] = 1;
    row[1] = 1; guard_bit[1] = 1; guards[B] = 1;
    for (n : 1 .. 9) { if :: n <= LINKERS -> run Linker() :: else fi }
    for (n : 1 .. 9) { if :: n <= PRUNERS -> run Pruner() :: else fi }
    for (n : 1 .. 9) { if :: n <= REBIRTHS -> run MoveToEnd() :: else fi }
    run SubtreeReattachment();
    n = 0
  }
}
