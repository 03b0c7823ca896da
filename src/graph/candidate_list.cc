#include "graph/candidate_list.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>

namespace shoal {
#if defined(__SSE2__)
namespace {

// Eight entries, of four bytes each.
struct Eight {
  __m128i low, high;
};
Eight Load(const void* from) {
  const auto* half = static_cast<const __m128i*>(from);
  return {_mm_loadu_si128(half), _mm_loadu_si128(half + 1)};
}
void Store(void* to, const Eight& e) {
  auto* half = static_cast<__m128i*>(to);
  _mm_storeu_si128(half, e.low);
  _mm_storeu_si128(half + 1, e.high);
}
Eight Fill(int32_t value) { return {_mm_set1_epi32(value), _mm_set1_epi32(value)}; }
// Each in the place behind its own; in the first, 0.
Eight Behind(const Eight& e) {
  const __m128i carried = _mm_srli_si128(e.low, 12);
  return {_mm_slli_si128(e.low, 4), _mm_or_si128(_mm_slli_si128(e.high, 4), carried)};
}
__m128i Choose(__m128i mask, __m128i yes, __m128i no) {
  return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}
Eight Choose(const Eight& mask, const Eight& yes, const Eight& no) {
  return {Choose(mask.low, yes.low, no.low), Choose(mask.high, yes.high, no.high)};
}
int32_t Last(const Eight& e) { return _mm_cvtsi128_si32(_mm_shuffle_epi32(e.high, 0xff)); }
// A mask of those that are greater, as floats.
Eight Greater(const Eight& a, const Eight& b) {
  const auto floats = [](__m128i e) { return _mm_castsi128_ps(e); };
  return {_mm_castps_si128(_mm_cmpgt_ps(floats(a.low), floats(b.low))),
          _mm_castps_si128(_mm_cmpgt_ps(floats(a.high), floats(b.high)))};
}
uint32_t Bits(const Eight& mask) {
  return static_cast<uint32_t>(_mm_movemask_ps(_mm_castsi128_ps(mask.low)) |
                               _mm_movemask_ps(_mm_castsi128_ps(mask.high)) << 4);
}

}  // namespace
#endif

void CandidateList::Reset(size_t list_size) {
  list_size_ = list_size;
  max_pass_through_ = 4 * list_size + 64;  // docs/experiments/pass-through-budget.md has others.
  MakeRoom();
  aside_.clear();
  std::fill_n(distances_.begin(), kFront, -std::numeric_limits<float>::infinity());
  size_ = 0;
  eligible_ = 0;
  cursor_ = 0;
}

void CandidateList::MakeRoom() {
  // One more than may stay: an insert comes before the removal that it causes.
  const size_t max = kFront + list_size_ + max_pass_through_ + 1;
  if (distances_.size() >= max) return;
  words_.resize(max);  // First: if there is no memory for the second, both are asked again.
  distances_.resize(max);
}

void CandidateList::KeepAside(float distance, SlotId slot) { aside_.push_back({distance, slot}); }

void CandidateList::AdmitPassThrough() {
  max_pass_through_ *= 4;
  MakeRoom();
  std::sort(aside_.begin(), aside_.end(),
            [](const Candidate& a, const Candidate& b) { return a.distance < b.distance; });
  const size_t places = max_pass_through_ - (size_ - eligible_);
  const auto end = aside_.begin() + static_cast<ptrdiff_t>(std::min(places, aside_.size()));
  for (auto at = aside_.begin(); at != end; ++at) InsertSorted(at->distance, at->slot, false);
  aside_.erase(aside_.begin(), end);
}

// Moves entries farther than `distance` back by one place, from the end on, and writes the entry in
// front of them. Eight at a time, and its place is found on the way: the only branch is for the
// eight with that place, which are written without one. Returns the place.
size_t CandidateList::ShiftIn(float distance, uint32_t word) {
  float* const d = distances();
  uint32_t* const w = words();
  size_t at = size_;
#if defined(__SSE2__)
  static_assert(kFront == 8);
  const Eight fresh = Fill(std::bit_cast<int32_t>(distance));
  const Eight fresh_word = Fill(std::bit_cast<int32_t>(word));
  for (;; at -= 8) {
    const Eight old = Load(d + at - 8), old_words = Load(w + at - 8);
    const Eight moves = Greater(old, fresh);
    const uint32_t bits = Bits(moves);
    if ((bits & 1) != 0) {  // They are sorted: all eight.
      Store(d + at - 7, old);
      Store(w + at - 7, old_words);
      continue;
    }
    // Into the place of one that moves comes the one before it, if that moves, too; else the new
    // one.
    const Eight follows = Behind(moves);
    const auto write = [&](auto* to, const Eight& from, const Eight& one) {
      const int32_t last = Last(Choose(moves, from, one));
      std::memcpy(to + at, &last, sizeof(last));
      Store(to + at - 8, Choose(moves, Choose(follows, Behind(from), one), from));
    };
    write(d, old, fresh);
    write(w, old_words, fresh_word);
    return at - 8 + static_cast<size_t>(std::countr_zero(bits | 1u << 8));
  }
#else
  for (; d[at - 1] > distance; --at) {  // Ends before the first, at the latest.
    d[at] = d[at - 1];
    w[at] = w[at - 1];
  }
  d[at] = distance;
  w[at] = word;
  return at;
#endif
}

void CandidateList::InsertSorted(float distance, SlotId slot, bool eligible) {
  if (!eligible && size_ - eligible_ == max_pass_through_) [[unlikely]] {
    if (!full()) KeepAside(distance, slot);
    return;
  }
  const size_t at = ShiftIn(distance, slot | (eligible ? 0 : kPassThroughBit));
  ++size_;
  cursor_ = std::min(cursor_, at);
  if (!eligible) return;
  if (++eligible_ < list_size_) return;
  if (eligible_ > list_size_) {  // The list was full, so its last entry is eligible: drop it.
    --eligible_;
    --size_;
  }
  while (!IsEligible(size_ - 1)) --size_;  // Pass-through points behind the L-th.
}

void CandidateList::InsertMany(const float* distances, const SlotId* slots, const bool* eligible,
                               size_t n) {
  size_t i = 0;
  while (i < n && !full()) {
    InsertSorted(distances[i], slots[i], eligible[i]);
    ++i;
  }
  if (i == n) return;
  // Most of the others have no place. Which ones do is found without branches.
  uint32_t near[kMaxPerCall];
  size_t found = 0;
  const float last = LastDistance();
  for (; i < n; ++i) {
    near[found] = static_cast<uint32_t>(i);
    found += distances[i] < last ? 1 : 0;
  }
  for (size_t j = 0; j < found; ++j) Insert(distances[near[j]], slots[near[j]], eligible[near[j]]);
}

float CandidateList::EligibleDistance(size_t k) const {
  size_t i = 0;
  for (size_t left = k;; ++i)
    if (IsEligible(i) && --left == 0) return distances()[i];
}

Candidate CandidateList::PopUnexpanded() {
  const Candidate nearest = (*this)[cursor_];
  words()[cursor_] |= kExpandedBit;
  do {
    ++cursor_;
  } while (cursor_ < size_ && (words()[cursor_] & kExpandedBit) != 0);
  return nearest;
}

}  // namespace shoal
