// The best so far of each query of a group, while the rows go by.
//
// A candidate has a score (larger is nearer) that is known between two bounds. Candidates gather in
// a buffer a few times k; when it is full, the k-th best lower bound becomes the query's bar: k
// rows are that good, so a row whose upper bound is below it is out. With exact scores the bounds
// are equal and k remain; else those that might still be among the k remain too, and where these
// are nearly all (identical rows, for one), their true distances decide.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "exact/problem.h"

namespace shoal::exact {

// Score is float or int32_t.
template <class Score>
struct Candidate {
  Score low;
  Score high;
  uint32_t row;
};

template <class Score>
class Candidates {
 public:
  using Entry = Candidate<Score>;

  // Of `queries` queries, k neighbours each.
  Candidates(size_t queries, size_t k)
      : k_(k), capacity_(Capacity(k)), entries_(queries * capacity_), counts_(queries) {}

  static size_t Capacity(size_t k) { return 4 * k + 32; }
  static size_t BytesPerQuery(size_t k) { return Capacity(k) * sizeof(Entry); }

  void Clear() { std::fill(counts_.begin(), counts_.end(), 0); }
  size_t k() const { return k_; }

  // True if the query's buffer is full now, which it must not stay: call Shrink.
  bool Add(size_t query, const Entry& entry) {
    entries_[query * capacity_ + counts_[query]] = entry;
    return ++counts_[query] == capacity_;
  }

  std::span<Entry> Of(size_t query) {
    return std::span(entries_).subspan(query * capacity_, counts_[query]);
  }

  // The k-th best lower bound. Needs k candidates. Leaves the k best by lower bound in front.
  Score Bar(size_t query) {
    const auto all = Of(query);
    std::nth_element(all.begin(), all.begin() + (k_ - 1), all.end(), Better);
    return all[k_ - 1].low;
  }
  // After Bar: drops all but the k in front and those whose upper bound is at least `limit`.
  void DropBelow(size_t query, Score limit) {
    const auto all = Of(query);
    const auto end = std::partition(all.begin() + k_, all.end(),
                                    [limit](const Entry& e) { return e.high >= limit; });
    counts_[query] = end - all.begin();
  }
  // Drops all but the first `count`.
  void Truncate(size_t query, size_t count) { counts_[query] = count; }

  // True if a Shrink freed too little for the next to be worth its while.
  bool Crowded(size_t query) const { return counts_[query] > k_ + (capacity_ - k_) / 2; }

 private:
  static bool Better(const Entry& a, const Entry& b) {
    return a.low != b.low ? a.low > b.low : a.row < b.row;
  }

  size_t k_;
  size_t capacity_;
  std::vector<Entry> entries_;  // queries x capacity
  std::vector<size_t> counts_;  // queries
};

}  // namespace shoal::exact
