// The end of a search: its hits, in their final order.
#pragma once

#include "codec/codec.h"
#include "graph/search_scratch.h"
#include "shoal/stats.h"
#include "store/rows.h"

namespace shoal {

// Copies the nearest eligible candidates of the last search, at most `most`, to scratch.ranked,
// nearest first.
void RankByList(size_t most, SearchScratch& scratch);

// Sorts scratch.ranked by distance; equal ones by slot.
void SortRanked(SearchScratch& scratch);

// Scores what scratch.ranked has by other rows of the same points, and sorts it anew. All rows are
// asked for before the first is read.
void Rerank(const Rows& rows, const Scorer& scorer, WorkCounters& work, SearchScratch& scratch);

// What the estimates of a search are worth, of which the first were reranked. They have an error;
// it is nearly the same for points that lie together, so estimates are compared with estimates.
struct EstimatedHits {
  float kth;     // Distance of the k-th hit, by the vectors.
  float early;   // Estimate of the k-th candidate, or of one before it,
  float last;    // and of the last of those among which the hits are sought.
  float offset;  // Makes a score a distance of at least 0 (search_plan.h).
};
// Whether the codes tell the points about the k-th hit from those at the end of the list. If not,
// the list is in no order, and nearer points may have no place in it. True where the error of a
// code is not known. (docs/codes.md)
bool CodesTellApart(const Codec& codec, VectorView query, const EstimatedHits& hits);

struct Verdict {
  bool told = true;  // Else the hits are to be sought by the vectors.
  size_t candidates =
      0;  // Told: of the list so many may be hits; more than were reranked, perhaps.
};
// Of the last search, for k hits, which was reranked.
Verdict JudgeHits(const Codec& codec, VectorView query, size_t k, float offset,
                  const SearchScratch& scratch);

}  // namespace shoal
