#include "filter/id_set.h"

#include <algorithm>
#include <bit>

namespace shoal {

IdSet::IdSet(std::span<const ExternalId> ids) {
  if (ids.empty()) return;
  const auto [first, last] = std::minmax_element(ids.begin(), ids.end());
  first_ = *first;
  range_ = *last - *first;
  if (range_ / kMaxBitsPerId < ids.size()) {
    FillBits(ids);
  } else {
    FillTable(ids);
  }
}

void IdSet::FillBits(std::span<const ExternalId> ids) {
  bits_.resize(range_ / 64 + 1);
  for (const ExternalId id : ids) bits_[(id - first_) / 64] |= uint64_t{1} << (id - first_) % 64;
  for (const uint64_t word : bits_) size_ += static_cast<size_t>(std::popcount(word));
}

void IdSet::FillTable(std::span<const ExternalId> ids) {
  table_.resize(std::bit_ceil(2 * ids.size()), kEmpty);
  mask_ = table_.size() - 1;
  for (const ExternalId id : ids) {
    if (id == kEmpty) {
      size_ += has_empty_ ? 0 : 1;
      has_empty_ = true;
      continue;
    }
    size_t at = PlaceOf(id);
    while (table_[at] != kEmpty && table_[at] != id) at = (at + 1) & mask_;
    size_ += table_[at] == kEmpty ? 1 : 0;
    table_[at] = id;
  }
}

}  // namespace shoal
