#include "graph/rerank.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal {

void RankByList(size_t most, SearchScratch& scratch) {
  const CandidateList& best = scratch.best;
  scratch.ranked.clear();
  for (size_t i = 0; i < best.size() && scratch.ranked.size() < most; ++i)
    if (best.IsEligible(i)) scratch.ranked.push_back(best[i]);
}

void SortRanked(SearchScratch& scratch) {
  std::sort(scratch.ranked.begin(), scratch.ranked.end(),
            [](const Candidate& a, const Candidate& b) {
              return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
            });
}

void Rerank(const Rows& rows, const Scorer& scorer, WorkCounters& work, SearchScratch& scratch) {
  std::vector<Candidate>& ranked = scratch.ranked;
  for (size_t begin = 0; begin < ranked.size();) {
    const size_t n = std::min(ranked.size() - begin, SearchScratch::kMaxIds);
    for (size_t i = 0; i < n; ++i) {
      scratch.rows[i] = rows.At(ranked[begin + i].slot);
      rows.Prefetch(ranked[begin + i].slot);
    }
    scorer.Score(scratch.rows, n, scratch.distances);
    for (size_t i = 0; i < n; ++i)  // Rows of a damaged file may give NaN, which has no order.
      ranked[begin + i].distance = std::isnan(scratch.distances[i])
                                       ? std::numeric_limits<float>::infinity()
                                       : scratch.distances[i];
    begin += n;
  }
  work.reranked += ranked.size();
  SortRanked(scratch);
}

bool CodesTellHitsApart(const Codec& codec, VectorView query, size_t k, float offset,
                        const SearchScratch& scratch) {
  const CandidateList& best = scratch.best;
  if (k > scratch.ranked.size() || !best.full()) return true;
  const float kth = scratch.ranked[k - 1].distance;
  // Of what was not reranked the nearest, else the last of what was: as near as the k-th hit?
  const float next = best[std::min(scratch.ranked.size(), best.size() - 1)].distance;
  const float margin = codec.RangeMargin(query, kth);
  return margin < kth + offset || next > kth + margin;
}

}  // namespace shoal
