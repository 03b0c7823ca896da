#include "graph/rerank.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal {
namespace {

// Errors are large if they, times the root of the dimension, are so many times the distance: in a
// cloud of that dimension they are then as large as the differences of distances.
constexpr float kLarge = 0.8f;
// In standard errors: how much farther than the k-th a candidate may seem to be and still be a hit;
// and how far behind it the end of a list must be. (Measured: docs/codes.md.)
struct Errors {
  float doubt, apart;
};
constexpr Errors kWhereSmall{2, 0.5f}, kWhereLarge{3, 3};

float StandardError(const Codec& codec, VectorView query, float distance) {
  return codec.RangeMargin(query, distance) / Codec::kMarginErrors;
}

Errors ErrorsOf(const EstimatedHits& hits, float error, VectorView query) {
  const float by_distance = error * std::sqrt(static_cast<float>(query.dim()));
  return by_distance > kLarge * (hits.kth + hits.offset) ? kWhereLarge : kWhereSmall;
}

}  // namespace

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

bool CodesTellApart(const Codec& codec, VectorView query, const EstimatedHits& hits) {
  const float error = StandardError(codec, query, hits.kth);
  return hits.last - hits.early >= ErrorsOf(hits, error, query).apart * error;
}

Verdict JudgeHits(const Codec& codec, VectorView query, size_t k, float offset,
                  const SearchScratch& scratch) {
  const CandidateList& best = scratch.best;
  const size_t n = best.eligible();
  if (k > scratch.ranked.size() || !best.full()) return {.candidates = scratch.ranked.size()};
  const size_t early = std::clamp<size_t>(n / 3, 1, k);
  const EstimatedHits hits{scratch.ranked[k - 1].distance, best.EligibleDistance(early),
                           best.EligibleDistance(n), offset};
  const float error = StandardError(codec, query, hits.kth);
  const Errors errors = ErrorsOf(hits, error, query);
  if (hits.last - hits.early < errors.apart * error) return {.told = false};
  const float limit = best.EligibleDistance(k) + errors.doubt * error;
  size_t candidates = 0;
  for (size_t i = 0; i < best.size() && best[i].distance <= limit; ++i)
    candidates += best.IsEligible(i) ? 1 : 0;
  return {.candidates = std::max(candidates, scratch.ranked.size())};
}

}  // namespace shoal
