// The working memory of one search.
#pragma once

#include <memory>
#include <vector>

#include "graph/candidate_list.h"
#include "shoal/options.h"
#include "store/visited_set.h"

namespace shoal {

// The seeds that a search began from (entry_points.h).
struct SeedsMet {
  SlotId coarse = kNoSlot;    // The nearest coarse seed.
  float coarse_distance = 0;  // The nearest of the start point and the coarse seeds,
  float distance = 0;         // and of all points where the search began.
  bool fine = false;          // Whether fine seeds were among these.
};

// What vectors keep on the heap.
template <class... Vectors>
size_t HeapBytes(const Vectors&... vectors) {
  return (size_t{0} + ... + (vectors.capacity() * sizeof(typename Vectors::value_type)));
}

// What a search with a filter works with (filtered_view.h).
struct FilterScratch;

struct SearchScratch {
  SearchScratch();
  ~SearchScratch();

  // One hop: the ids of a list and a few more, which of them are eligible, their rows and
  // distances. An odd number of places: with 64 more, so that each array begins at a cache line,
  // searches are 4 % slower (SIFT, f32 and u8).
  static constexpr size_t kMaxIds = kMaxDegree + 65;
  static_assert(kMaxIds <= CandidateList::kMaxPerCall);
  SlotId ids[kMaxIds];
  bool eligible[kMaxIds];
  const std::byte* rows[kMaxIds];
  float distances[kMaxIds];

  CandidateList best;
  VisitedSet visited;
  SeedsMet met;                   // By the last search.
  bool stopped = false;           // Whether the last search was ended by its stop rule.
  std::vector<Candidate> within;  // Range searches: eligible points within the radius.
  std::vector<Candidate> ranked;  // Of `best`, in their final order (rerank.h).

  std::unique_ptr<FilterScratch> filter;  // Made by the first search with a filter.

  // Heap memory.
  size_t bytes() const;
};

}  // namespace shoal
