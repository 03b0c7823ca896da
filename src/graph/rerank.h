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

// Whether the codes of a search that was reranked tell the points about its k-th hit apart. They do
// not where points lie nearer to each other than the code is fine, as copies with a little noise
// do: then a list that is full of them is in no order, and nearer ones may have no place in it.
// `offset`: makes a score a distance of at least 0 (search_plan.h). True where the error of a code
// is not known.
bool CodesTellHitsApart(const Codec& codec, VectorView query, size_t k, float offset,
                        const SearchScratch& scratch);

}  // namespace shoal
