// The oracle of the moment: what an answer is worth that was found while points came and went.
//
// Problem: with updates under way there is no one set of live points to compare an answer with.
// What is known are the times of call and return of every operation. From them follows, for a
// search that was called at s and returned at e,
//   the lower set   points that were there at every moment of [s, e], for certain:
//                   their insert had returned before s, no delete was called until e;
//   the upper set   points that were there at some moment, possibly: their insert was called before
//                   e, and no delete had returned before s.
// A replaced point is there all the time, at one of its vectors: each one between the call of the
// write that brought it and the return of the write that ended it is possible.
// The recall of an answer is judged against every set S of at least k points between the two, each
// at one of its vectors, and the least and the largest recall are reported. Both are exact. Let D
// be the distance of the k-th of S; a hit is a point that the answer names and that is within D in
// S, ties included, as the track counts.
//   the least    at D: all other points that are possible within D are there, n of them; of the
//                named ones those that must be within D are there, f, and so many more that they
//                are k together. So max(f, k - n) hits, and the least over all D.
//   the largest  at D: less than k points are nearer than D. Of the others those that must be, b;
//                of the named ones all that can be at D itself, a, and of the rest that can be
//                nearer as many as there is room for. So a + min(rest, k - 1 - b) hits, at most k,
//                and the largest over all D for which b and the named ones that must be nearer are
//                less than k.
// (Without ties one D decides. With them a named point put in may push several named ones out, so
// it is not right to put in all that is possible.) And no hit may lie outside of the upper set, or
// have a distance of no possible vector.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shoal/exact.h"
#include "shoal/types.h"

namespace shoal::bench {

// One operation on one point. Times are of one clock; what has the same time may have overlapped.
struct PointEvent {
  static constexpr uint32_t kDeleted = 0xffffffffu;
  uint32_t id = 0;
  uint32_t row = kDeleted;  // That the point has afterwards.
  uint64_t start = 0, end = 0;
};

struct TimedAnswer {
  uint64_t start = 0, end = 0;
  std::span<const uint32_t> ids;  // The first k that were returned.
};

struct RecallBounds {
  double low = 0, high = 0;
};

enum class Verdict : uint8_t {
  kJudged,
  kNeedsMore,  // `nearest` is too short.
  kTooFew,     // No S has k points.
};

// Immutable; any thread.
class History {
 public:
  // Successful operations, in any order; those on one id did not overlap each other.
  explicit History(std::vector<PointEvent> events);

  // Whether the id was there at every moment of [start, end].
  bool Certain(uint32_t id, uint64_t start, uint64_t end) const;
  // Calls visit(row) for each vector that the id may have had at a moment of [start, end].
  template <class Visit>
  void Possible(uint32_t id, uint64_t start, uint64_t end, const Visit& visit) const {
    for (const PointEvent& event : Of(id))
      if (MayBeThere(event, start, end)) visit(event.row);
  }

  // The rows that some point had at some time: one flag for each of `rows`.
  std::vector<uint8_t> RowsUsed(size_t rows) const;

  // rows, distances: the rows nearest to the query, ascending by distance. all: they are all rows
  // that were ever used. Fills `bounds` when judged.
  struct Nearest {
    std::span<const uint32_t> rows;
    std::span<const float> distances;
    bool all = false;
  };
  Verdict Judge(const TimedAnswer& answer, const Nearest& nearest, size_t k,
                RecallBounds& bounds) const;

 private:
  class Sweep;

  std::span<const PointEvent> Of(uint32_t id) const;
  bool MayBeThere(const PointEvent& event, uint64_t start, uint64_t end) const;
  size_t VersionsOf(uint32_t id, uint64_t start, uint64_t end) const;

  std::vector<PointEvent> events_;  // By id, then time.
  std::vector<size_t> first_of_;    // Of each id and one more: where its events begin.
  std::vector<uint32_t> by_row_;    // Numbers of the writes, by row.
  std::vector<uint32_t> first_in_;  // Of each row and one more: where its writes begin.
};

}  // namespace shoal::bench
