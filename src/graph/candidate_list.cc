#include "graph/candidate_list.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>

namespace shoal {

void CandidateList::Reset(size_t list_size) {
  list_size_ = list_size;
  guides_max_ = 4 * list_size + 64;  // Guess: the hop budget for a region that was deleted.
  // One more than may stay: an insert comes before the removal that it causes.
  const size_t most = list_size_ + guides_max_ + 1;
  if (distances_.size() < most) {
    words_.resize(most);  // First: if there is no memory for the second, both are asked again.
    distances_.resize(most);
  }
  size_ = 0;
  returnable_ = 0;
  cursor_ = 0;
}

// Moves what is farther than `distance` back by one place, from the end on, and puts the entry into
// the gap. Four at a time, and found on the way: there is one branch that is hard to predict, the
// last. Returns the place.
size_t CandidateList::ShiftIn(float distance, uint32_t word) {
  float* const d = distances_.data();
  uint32_t* const w = words_.data();
  size_t at = size_;
#if defined(__SSE2__)
  const __m128 fresh = _mm_set1_ps(distance);
  while (at >= 4) {
    const __m128 four = _mm_loadu_ps(d + at - 4);
    const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + at - 4));
    const auto farther = static_cast<unsigned>(_mm_movemask_ps(_mm_cmpgt_ps(four, fresh)));
    if (farther != 0xf) break;
    _mm_storeu_ps(d + at - 3, four);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(w + at - 3), words);
    at -= 4;
  }
#endif
  while (at > 0 && d[at - 1] > distance) {
    d[at] = d[at - 1];
    w[at] = w[at - 1];
    --at;
  }
  d[at] = distance;
  w[at] = word;
  return at;
}

void CandidateList::InsertSorted(float distance, SlotId slot, bool returnable) {
  if (!returnable && size_ - returnable_ == guides_max_) return;
  const size_t at = ShiftIn(distance, slot | (returnable ? 0 : kGuideBit));
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

void CandidateList::InsertMany(const float* distances, const SlotId* slots, const bool* returnable,
                               size_t n) {
  size_t i = 0;
  while (i < n && !full()) {
    InsertSorted(distances[i], slots[i], returnable[i]);
    ++i;
  }
  if (i == n) return;
  // Most of what comes now has no place. Which, is found without branches.
  uint32_t near[kMostAtOnce];
  size_t found = 0;
  const float last = distances_[size_ - 1];
  for (; i < n; ++i) {
    near[found] = static_cast<uint32_t>(i);
    found += distances[i] < last ? 1 : 0;
  }
  for (size_t j = 0; j < found; ++j)
    Insert(distances[near[j]], slots[near[j]], returnable[near[j]]);
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
