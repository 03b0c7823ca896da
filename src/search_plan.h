// How one search runs, after its options were looked at.
#pragma once

#include <cstddef>
#include <limits>
#include <stop_token>

#include "codec/codec.h"
#include "graph/searcher.h"
#include "shoal/options.h"
#include "store/tag.h"

namespace shoal {

struct SearchPlan {
  static constexpr float kNoStop = std::numeric_limits<float>::infinity();

  size_t k = 0;
  size_t list_size = 0;  // Less than k means k.
  size_t rerank = 0;     // 0: a few times k.
  float stop_margin = kNoStop;
  SlotId left_out = kNoSlot;       // A point that the search does not meet.
  const Filter* filter = nullptr;  // Of a view's search; null: none.
  std::stop_token stop = {};
};

// What makes a distance of at least 0 of a score of `codec`.
float OffsetOf(const IndexOptions& options, const Codec& codec, VectorView query);

// When a search of this plan ends early. `codec`: that of the rows that it traverses. Where inner
// products of norms that vary are no function of a distance, it does not.
StopRule StopRuleOf(const SearchPlan& plan, size_t k, const IndexOptions& options,
                    const Codec& codec, VectorView query);

}  // namespace shoal
