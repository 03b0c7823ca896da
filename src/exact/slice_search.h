// The inner part of exact search: a group of queries against a slice of the base, on one thread.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <span>
#include <vector>

#include "exact/problem.h"

namespace shoal::exact {

// How the queries are cut into groups and the base into slices.
struct Shape {
  size_t group_queries;  // at most
  size_t groups;
  size_t block_rows;  // packed at a time
  size_t slices;
};

// Chooses sizes so that a thread needs a few MB and all `threads` have something to do.
Shape ChooseShape(const Problem& problem, size_t threads);

// A bar for each query that the threads share: k rows are at least that good. Any thread may read
// and raise them; a bar seen late costs time only, so all accesses are relaxed.
class SharedBars {
 public:
  explicit SharedBars(size_t queries) : bars_(queries) {
    for (auto& bar : bars_) bar.store(kNone, std::memory_order_relaxed);
  }
  template <class Score>
  Score Get(size_t query, Score lowest) const {
    const uint64_t bits = bars_[query].load(std::memory_order_relaxed);
    return bits == kNone ? lowest : static_cast<Score>(std::bit_cast<double>(bits));
  }
  template <class Score>
  void Raise(size_t query, Score bar) {
    uint64_t seen = bars_[query].load(std::memory_order_relaxed);
    const uint64_t bits = std::bit_cast<uint64_t>(static_cast<double>(bar));
    while (seen == kNone || std::bit_cast<double>(seen) < static_cast<double>(bar)) {
      if (bars_[query].compare_exchange_weak(seen, bits, std::memory_order_relaxed)) return;
    }
  }

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};  // A NaN, which no bar is.
  std::vector<std::atomic<uint64_t>> bars_;
};

// Told of rows done, and asked whether to go on.
class Observer {
 public:
  // `pairs` more have been looked at. Any thread.
  virtual void Done(size_t pairs) = 0;
  // True once some thread met a row that is refused. Any thread.
  virtual bool Cancelled() const = 0;
  // A row is not finite, or its norm is not legal (base/norm.h). Any thread.
  virtual void Refuse() = 0;

 protected:
  ~Observer() = default;
};

// One thread's working memory and work: Begin, Run for slices in ascending order, End. Not
// thread-safe.
class SliceSearch {
 public:
  virtual ~SliceSearch() = default;
  // Packs queries [first, first + count), count <= group_queries. bars: of all queries.
  virtual void Begin(size_t first, size_t count, SharedBars* bars) = 0;
  // Looks at rows [begin, end), all behind those of earlier calls. False: cancelled, or a row was
  // refused, and the observer told.
  virtual bool Run(size_t begin, size_t end, Observer& observer) = 0;
  // The best k of the rows seen, but for those that some other thread knows to be out. out: count x
  // k, nearest first; counts: count.
  virtual void End(std::span<Ranked> out, std::span<uint32_t> counts) = 0;
};

// Throws bad_alloc.
std::unique_ptr<SliceSearch> MakeSliceSearch(const Problem& problem, const Shape& shape);

}  // namespace shoal::exact
