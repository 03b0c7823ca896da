// The working memory of one search.
#pragma once

#include <memory>
#include <stop_token>
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
  SeedsMet met;          // By the last search.
  bool stopped = false;  // Whether the last search was ended by its stop rule.
  // The caller's, while a search runs that may be ended (StopRequests); null: none.
  const std::stop_token* stop_requests = nullptr;
  std::vector<Candidate> within;  // Range searches: eligible points within the radius.
  std::vector<Candidate> ranked;  // Of `best`, in their final order (rerank.h).

  std::unique_ptr<FilterScratch> filter;  // Made by the first search with a filter.

  // Whether the caller wants the search to end with what it has found.
  bool IsToEnd() const { return stop_requests != nullptr && stop_requests->stop_requested(); }

  // Heap memory.
  size_t bytes() const;
};

// Until Ignore, or its end, searches with `scratch` end soon after a request to stop. At most one
// at a time for a scratch. `requests` and `scratch` outlive it.
class StopRequests {
 public:
  StopRequests(const std::stop_token& requests, SearchScratch& scratch)
      : requests_(requests), scratch_(scratch) {
    if (requests.stop_possible()) scratch_.stop_requests = &requests;
  }
  StopRequests(const std::stop_token&&, SearchScratch&) = delete;
  ~StopRequests() { Ignore(); }
  StopRequests(const StopRequests&) = delete;
  StopRequests& operator=(const StopRequests&) = delete;

  // For a search that is made once more: it drops what the first has found, so it runs to its end.
  void Ignore() { scratch_.stop_requests = nullptr; }
  bool IsStopped() const { return requests_.stop_requested(); }

 private:
  const std::stop_token& requests_;
  SearchScratch& scratch_;
};

}  // namespace shoal
