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
#include "exact/select.h"

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

  static size_t Capacity(size_t k) { return 2 * k + 64; }
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

  // The k-th best lower bound. Needs k candidates.
  Score Bar(size_t query) {
    const auto all = Of(query);
    lows_.resize(all.size());
    for (size_t i = 0; i < all.size(); ++i) lows_[i] = Ordered(all[i].low);
    return Unordered<Score>(KthLargest(lows_, k_));
  }
  // Drops those whose upper bound is below `limit`.
  void DropBelow(size_t query, Score limit) {
    Keep(query, [limit](const Entry& e) { return e.high >= limit; });
  }
  // For exact scores: keeps the k best, of those at the bar the first to come. Without a branch,
  // since half of them go, no telling which.
  void KeepFirst(size_t query, Score bar) {
    size_t ties = k_;
    for (const Entry& e : Of(query)) ties -= e.low > bar;
    Keep(query, [&ties, bar](const Entry& e) {
      const bool tie = (e.low == bar) & (ties > 0);
      ties -= tie;
      return (e.low > bar) | tie;
    });
  }
  // Drops all but the first `count`.
  void Truncate(size_t query, size_t count) { counts_[query] = count; }

  // True if a Shrink freed too little for the next to be worth its while.
  bool Crowded(size_t query) const { return counts_[query] > k_ + (capacity_ - k_) / 2; }

 private:
  // Keeps the order, which is that of rows.
  template <class Wanted>
  void Keep(size_t query, Wanted wanted) {
    const auto all = Of(query);
    size_t kept = 0;
    for (const Entry& entry : all) {
      const Entry copy = entry;
      all[kept] = copy;
      kept += wanted(copy);
    }
    counts_[query] = kept;
  }

  size_t k_;
  size_t capacity_;
  std::vector<Entry> entries_;  // queries x capacity
  std::vector<size_t> counts_;  // queries
  std::vector<int32_t> lows_;   // of one query
};

}  // namespace shoal::exact
