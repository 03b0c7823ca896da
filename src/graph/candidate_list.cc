#include "graph/candidate_list.h"

#include <algorithm>
#include <cstring>

namespace shoal {

void CandidateList::Reset(size_t list_size) {
  list_size_ = list_size;
  guides_max_ = 4 * list_size + 64;  // Guess: the hop budget for a region that was deleted.
  // One more than may stay: an insert comes before the removal that it causes.
  const size_t most = list_size_ + guides_max_ + 1;
  if (distances_.size() < most) {
    distances_.resize(most);
    words_.resize(most);
  }
  size_ = 0;
  returnable_ = 0;
  cursor_ = 0;
}

// How many are as near as `distance` or nearer. Halving until few are left, then counting without a
// branch, which the compiler turns into vector code.
size_t CandidateList::LowerBound(float distance) const {
  constexpr size_t kFew = 256;
  const float* base = distances_.data();
  size_t left = size_;
  while (left > kFew) {
    const size_t half = left / 2;
    if (base[half - 1] <= distance) base += half;
    left -= half;
  }
  uint32_t nearer = 0;
#pragma GCC unroll 4
  for (size_t i = 0; i < left; ++i) nearer += base[i] <= distance ? 1 : 0;
  return static_cast<size_t>(base - distances_.data()) + nearer;
}

void CandidateList::InsertSorted(float distance, SlotId slot, bool returnable) {
  if (!returnable && size_ - returnable_ == guides_max_) return;
  const size_t at = LowerBound(distance);
  std::memmove(&distances_[at + 1], &distances_[at], (size_ - at) * sizeof(float));
  std::memmove(&words_[at + 1], &words_[at], (size_ - at) * sizeof(uint32_t));
  distances_[at] = distance;
  words_[at] = slot | (returnable ? 0 : kGuideBit);
  ++size_;
  cursor_ = std::min(cursor_, at);
  if (!returnable) return;
  if (++returnable_ < list_size_) return;
  if (returnable_ > list_size_) {  // The list was full, so its last entry is returnable: drop it.
    --returnable_;
    --size_;
  }
  while (!IsReturnable(size_ - 1)) --size_;  // What guides behind the L-th returnable one.
}

Candidate CandidateList::PopUnexpanded() {
  const Candidate nearest{distances_[cursor_], words_[cursor_] & kSlotMask};
  words_[cursor_] |= kExpandedBit;
  do {
    ++cursor_;
  } while (cursor_ < size_ && (words_[cursor_] & kExpandedBit) != 0);
  return nearest;
}

}  // namespace shoal
