// Where each replacement candidate of a deleted point stands among them.
//
// A repair asks it for every slot of a hundred rows, of which a third are candidates: a branch on
// the answer is mispredicted every third time. So the table is large, since then hardly a look-up
// needs a second place, and Split sorts a row into candidates and others without a branch.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "store/tag.h"

namespace shoal {

class PositionTable {
 public:
  // What a row consists of.
  struct Parts {
    size_t candidates, others;
  };

  // `candidates`: at most 65,535, each once, none of them kNoSlot.
  void Assign(std::span<const SlotId> candidates) {
    candidates_.assign(candidates.begin(), candidates.end());
    candidates_.push_back(kNoSlot);  // Where empty places point.
    places_.assign(std::bit_ceil(16 * candidates.size() + 1),
                   static_cast<uint16_t>(candidates.size()));
    mask_ = places_.size() - 1;
    for (size_t i = 0; i < candidates.size(); ++i) {
      size_t at = First(candidates[i]);
      while (candidates_[places_[at]] != kNoSlot) at = (at + 1) & mask_;
      places_[at] = static_cast<uint16_t>(i);
    }
  }

  // The number of candidates.
  uint32_t size() const { return static_cast<uint32_t>(candidates_.size() - 1); }

  // The position of `slot` among the candidates; size() if it is none.
  uint32_t Find(SlotId slot) const {
    size_t at = First(slot);
    while (!EndsAt(at, slot)) at = (at + 1) & mask_;
    return places_[at];
  }

  // Sorts a row into the positions of its candidates and into the others, in the order of the
  // row. Each output has room for all of the row.
  Parts Split(std::span<const SlotId> row, uint16_t* candidates, SlotId* others) const {
    Parts parts = {0, 0};
    for (const SlotId slot : row) {
      const uint32_t position = Find(slot);
      candidates[parts.candidates] = static_cast<uint16_t>(position);
      others[parts.others] = slot;
      const size_t is_candidate = (uint64_t{position} - size()) >> 63;  // position < size()
      parts.candidates += is_candidate;
      parts.others += 1 - is_candidate;
    }
    return parts;
  }

  size_t bytes() const {
    return candidates_.capacity() * sizeof(SlotId) + places_.capacity() * sizeof(uint16_t);
  }

 private:
  // Whether a look-up of `slot` ends at place `at`, found or not. One condition: a product, since
  // compilers make two branches of an "or".
  bool EndsAt(size_t at, SlotId slot) const {
    const SlotId there = candidates_[places_[at]];
    return uint64_t{there ^ slot} * (there ^ kNoSlot) == 0;
  }
  size_t First(SlotId slot) const { return (slot * uint64_t{0x9e3779b97f4a7c15} >> 32) & mask_; }

  std::vector<SlotId> candidates_ = {kNoSlot};
  std::vector<uint16_t> places_ = {0};  // Positions in candidates_.
  size_t mask_ = 0;
};

}  // namespace shoal
