#include "graph/candidate_list.h"

#include <algorithm>
#include <cstring>

namespace shoal {

void CandidateList::Reset(size_t list_size) {
  list_size_ = list_size;
  guides_max_ = 4 * list_size + 64;  // Guess: the hop budget for a region that was deleted.
  // One more than may stay: an insert comes before the removal that it causes.
  if (entries_.size() < list_size_ + guides_max_ + 1) entries_.resize(list_size_ + guides_max_ + 1);
  size_ = 0;
  returnable_ = 0;
  cursor_ = 0;
}

void CandidateList::InsertSorted(float distance, SlotId slot, bool returnable) {
  if (!returnable && size_ - returnable_ == guides_max_) return;
  // Branchless lower bound: the first entry farther than `distance`.
  const Entry* base = entries_.data();
  size_t left = size_;
  while (left > 0) {
    const size_t half = (left + 1) / 2;
    base += base[half - 1].distance <= distance ? half : 0;
    left -= half;
  }
  const auto at = static_cast<size_t>(base - entries_.data());
  std::memmove(&entries_[at + 1], &entries_[at], (size_ - at) * sizeof(Entry));
  entries_[at] = {distance, slot | (returnable ? 0 : kGuideBit)};
  ++size_;
  cursor_ = std::min(cursor_, at);
  if (!returnable) return;
  if (++returnable_ <= list_size_) return;
  // The last entry is returnable: drop it, and what guides behind the new last one.
  --returnable_;
  do {
    --size_;
  } while (!IsReturnable(size_ - 1));
}

Candidate CandidateList::PopUnexpanded() {
  Entry& entry = entries_[cursor_];
  const Candidate nearest{entry.distance, entry.word & kSlotMask};
  entry.word |= kExpandedBit;
  do {
    ++cursor_;
  } while (cursor_ < size_ && (entries_[cursor_].word & kExpandedBit) != 0);
  return nearest;
}

}  // namespace shoal
