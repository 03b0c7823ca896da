// A set of external ids that does not change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shoal/types.h"

namespace shoal {

// Where the ids are dense, a bitmap of their range, of at most kMaxBitsPerId bits an id; else a
// hash table, at most half full. Either takes 8 to 32 bytes an id at most.
class IdSet {
 public:
  // May throw bad_alloc.
  explicit IdSet(std::span<const ExternalId> ids);

  bool Contains(ExternalId id) const {
    if (!bits_.empty()) {
      const uint64_t at = id - first_;  // An id below the first wraps round, behind the last.
      return at <= range_ && (bits_[at / 64] >> at % 64 & 1) != 0;
    }
    if (table_.empty()) return false;
    if (id == kEmpty) return has_empty_;
    for (size_t at = PlaceOf(id);; at = (at + 1) & mask_) {
      if (table_[at] == id) return true;
      if (table_[at] == kEmpty) return false;
    }
  }
  // Different ids.
  size_t size() const { return size_; }
  // Calls visit(id) for each, in no order.
  template <class Visit>
  void ForEach(const Visit& visit) const {
    for (size_t word = 0; word < bits_.size(); ++word)
      for (uint64_t bits = bits_[word]; bits != 0; bits &= bits - 1)
        visit(first_ + word * 64 + static_cast<uint64_t>(__builtin_ctzll(bits)));
    for (const ExternalId id : table_)
      if (id != kEmpty) visit(id);
    if (has_empty_) visit(kEmpty);
  }

 private:
  static constexpr uint64_t kMaxBitsPerId = 64;
  static constexpr ExternalId kEmpty = 0;  // In the table; as an id it is has_empty_.

  size_t PlaceOf(ExternalId id) const { return (id * 0x9e3779b97f4a7c15u >> 32) & mask_; }
  void FillBits(std::span<const ExternalId> ids);
  void FillTable(std::span<const ExternalId> ids);

  size_t size_ = 0;
  ExternalId first_ = 0;
  uint64_t range_ = 0;          // The last id - first_.
  std::vector<uint64_t> bits_;  // Empty: there is a table.
  std::vector<ExternalId> table_;
  size_t mask_ = 0;
  bool has_empty_ = false;
};

}  // namespace shoal
