// A search in pages: the next k nearest points, again and again, without starting over.
//
//   auto pages = index->SearchPages(query, {.k = 10, .filter = &wanted});
//   for (auto hits = pages->Next(); hits && !hits->empty(); hits = pages->Next()) Show(*hits);
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "shoal/export.h"
#include "shoal/result.h"
#include "shoal/stats.h"
#include "shoal/types.h"

namespace shoal {

struct Hit;
class PagesImpl;

// Where a search stands. It holds no lock and no epoch guard between two pages, so any time may
// pass: writers go on, and memory of deleted points comes back.
//
// No id is handed out twice. What a page has was live and accepted while the page was made, with
// the distances that it has then. Points that are there all the while, also if they get another
// vector or are moved by Compact, are all handed out before an empty page. A point that was
// inserted or relabelled since the first page may be left out.
//
// A page is sorted, nearest first. It has what a search with list size L finds among the points
// that were not handed out. So a point comes in a later page than it should only if such a search
// misses it, or its vector has changed.
//
// It takes some 60 bytes for each point that it has met, so at most for each slot of the index, and
// some 50 for each hit.
//
// Thread safety: one thread at a time. The index must outlive it, and may be moved meanwhile.
class SHOAL_API Pages {
 public:
  ~Pages();
  Pages(Pages&&) noexcept;
  Pages& operator=(Pages&&) noexcept;

  // The next SearchOptions::k hits; fewer, or none, only where there are no others, or after a
  // request to stop. Errors as in Index::Search; after one the same call may be made again.
  Result<std::vector<Hit>> Next();
  // The next ids.size() hits into the caller's memory: returns their number. `distances` has as
  // many places, or none. `work`, if not null, receives the counters of this page.
  // InvalidArgument: no place in `ids`, or too few in `distances`.
  Result<size_t> Next(std::span<ExternalId> ids, std::span<float> distances,
                      WorkCounters* work = nullptr);
  // Bytes that it takes now.
  size_t MemoryBytes() const;

 private:
  friend class PagesImpl;
  explicit Pages(std::unique_ptr<PagesImpl> impl);
  std::unique_ptr<PagesImpl> impl_;
};

}  // namespace shoal
