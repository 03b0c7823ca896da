// What an index's codes mean for it.
#pragma once

#include <cstddef>

#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal {

// `options` with the codes that an index of these options has: none is kAuto.
IndexOptions ResolveCodes(IndexOptions options);
// Of resolved codes. InvalidArgument: rerank_code is none that goes with code.
Status CheckCodes(const IndexOptions& options);
// Whether hits are ordered by other rows than those that searches traverse.
inline bool HasRerankRows(const IndexOptions& options) {
  return options.rerank_code != options.code;
}
// Whether distances by the code are too coarse to choose edges by.
bool PrunesOnRerankRows(Code code);
// Whether rerank rows in memory also decide what this code does not tell (docs/codes.md). Not where
// that would be most searches.
bool YieldsToRerankRows(Code code);
// How long a list by `code` is that finds no less than one of `list_size` by distances, where the
// hits are reranked.
size_t ListOfEstimates(Code code, size_t list_size);
// How many candidates of a list of `list_size` by `code` are reranked: at least k, at most the
// list. `wanted` as SearchOptions::rerank.
size_t CandidatesToRerank(Code code, size_t wanted, size_t k, size_t list_size);

}  // namespace shoal
