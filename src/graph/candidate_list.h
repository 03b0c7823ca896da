// The best-L list of a beam search: sorted by distance, nearest first.
//
// At most L eligible candidates have a place. Pass-through points (start points, deleted points)
// take none of the L places: they stand among the others, up to a budget of their own, and none
// stands behind the L-th eligible one. Those beyond the budget are kept aside: a search that has
// not found L when its list is expanded may admit them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "store/tag.h"

namespace shoal {

struct Candidate {
  float distance = 0;
  SlotId slot = 0;
};

class CandidateList {
 public:
  static constexpr size_t kMaxPerCall = 1024;

  // Empties the list and sets L, at least 1.
  void Reset(size_t list_size);

  // Offers a scored slot; `eligible`: whether it was live when it was scored.
  void Insert(float distance, SlotId slot, bool eligible) {
    // Once L are there, what is farther than the last of them has no place.
    if (full() && !(distance < LastDistance())) return;
    InsertSorted(distance, slot, eligible);
  }
  // Likewise for n of them, at most kMaxPerCall, in order.
  void InsertMany(const float* distances, const SlotId* slots, const bool* eligible, size_t n);

  // Whether fewer than L eligible candidates are there and pass-through points were kept aside.
  bool IsStarved() const { return !full() && !aside_.empty(); }
  // Four times the budget of pass-through points, and those kept aside are offered again.
  void AdmitPassThrough();
  // Whether L eligible candidates are there.
  bool full() const { return eligible_ == list_size_; }
  // Eligible candidates in the list.
  size_t eligible() const { return eligible_; }

  bool HasUnexpanded() const { return cursor_ < size_; }
  // The nearest that was not expanded, and marks it as expanded. HasUnexpanded().
  Candidate PopUnexpanded();
  // The nearest that was not expanded; kNoSlot when there is none.
  SlotId PeekUnexpanded() const { return cursor_ < size_ ? words()[cursor_] & kSlotMask : kNoSlot; }
  // Its distance; infinite when there is none.
  float PeekDistance() const {
    return cursor_ < size_ ? distances()[cursor_] : std::numeric_limits<float>::infinity();
  }

  // Of the last entry; there is one. From when the list is full on it never rises, and what is not
  // nearer has no place.
  float LastDistance() const { return distances()[size_ - 1]; }

  size_t size() const { return size_; }
  Candidate operator[](size_t i) const { return {distances()[i], words()[i] & kSlotMask}; }
  bool IsEligible(size_t i) const { return (words()[i] & kPassThroughBit) == 0; }
  // The distance of the k-th eligible candidate, 1 <= k <= eligible().
  float EligibleDistance(size_t k) const;
  size_t bytes() const {
    return distances_.capacity() * sizeof(float) + words_.capacity() * sizeof(uint32_t) +
           aside_.capacity() * sizeof(Candidate);
  }

 private:
  static constexpr uint32_t kExpandedBit = 1u << 31;
  static constexpr uint32_t kPassThroughBit = 1u << 30;
  static constexpr uint32_t kSlotMask = kPassThroughBit - 1;

  void InsertSorted(float distance, SlotId slot, bool eligible);
  size_t ShiftIn(float distance, uint32_t word);
  void MakeRoom();
  // Out of line: rare, and what it needs would burden every insert (u8 searches: 3 %).
  [[gnu::cold, gnu::noinline]] void KeepAside(float distance, SlotId slot);

  // Before the first entry: places for a vector that begins there, with distances below all.
  static constexpr size_t kFront = 8;
  float* distances() { return distances_.data() + kFront; }
  const float* distances() const { return distances_.data() + kFront; }
  uint32_t* words() { return words_.data() + kFront; }
  const uint32_t* words() const { return words_.data() + kFront; }

  // Two arrays, because what compares reads distances only.
  std::vector<float> distances_;
  std::vector<uint32_t> words_;   // Slot and two flags.
  std::vector<Candidate> aside_;  // Pass-through points beyond the budget.
  size_t list_size_ = 1;
  size_t max_pass_through_ = 0;
  size_t size_ = 0;
  size_t eligible_ = 0;
  size_t cursor_ = 0;  // No entry before it is unexpanded.
};

}  // namespace shoal
