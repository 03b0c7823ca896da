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

}  // namespace shoal
