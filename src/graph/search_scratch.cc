#include "graph/search_scratch.h"

#include "graph/filtered_view.h"

namespace shoal {

SearchScratch::SearchScratch() = default;
SearchScratch::~SearchScratch() = default;

size_t SearchScratch::bytes() const {
  return best.bytes() + visited.bytes() + HeapBytes(within, ranked) +
         (filter == nullptr ? 0 : filter->bytes());
}

}  // namespace shoal
