// The Walsh-Hadamard transform, compiled once per instruction set. Every stage adds and subtracts
// pairs of elements, so the order of operations, and with it each bit of the result, is the same
// whatever the width of a register.

#include "distance/vector-inl.h"

#if defined(SHOAL_DISTANCE_HADAMARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_HADAMARD_INL_H_
#undef SHOAL_DISTANCE_HADAMARD_INL_H_
#else
#define SHOAL_DISTANCE_HADAMARD_INL_H_
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

using HadamardLanes = hn::ScalableTag<float>;
using HadamardBits = hn::RebindToUnsigned<HadamardLanes>;

// The lanes whose numbers have bit kBit are exchanged with those that have not.
template <int kBit>
HWY_INLINE hn::Vec<HadamardLanes> SwapLanes(hn::Vec<HadamardLanes> v) {
  const HadamardLanes d;
  if constexpr (kBit == 0) {
    return hn::Shuffle2301(v);
  } else if constexpr (kBit == 1) {
    return hn::Shuffle1032(v);
  } else if constexpr (hn::MaxLanes(d) == (size_t{2} << kBit)) {
    return hn::ConcatLowerUpper(d, v, v);
  } else {
    return hn::SwapAdjacentBlocks(v);
  }
}

// The stage of pairs of lanes: sums in the lower, differences in the upper.
template <int kBit>
HWY_INLINE hn::Vec<HadamardLanes> StageOfLanes(hn::Vec<HadamardLanes> v) {
  const HadamardLanes d;
  const HadamardBits du;
  const auto sign = hn::ShiftLeft<31>(hn::ShiftRight<kBit>(hn::Iota(du, 0)));
  return hn::Add(SwapLanes<kBit>(v), hn::Xor(v, hn::BitCast(d, sign)));
}

HWY_INLINE hn::Vec<HadamardLanes> StagesOfLanes(hn::Vec<HadamardLanes> v) {
  constexpr size_t kLanes = hn::MaxLanes(HadamardLanes());
  v = StageOfLanes<1>(StageOfLanes<0>(v));
  if constexpr (kLanes >= 8) v = StageOfLanes<2>(v);
  if constexpr (kLanes >= 16) v = StageOfLanes<3>(v);
  return v;
}

static void Hadamard(float* x, size_t n) {
  const HadamardLanes d;
  constexpr size_t kLanes = hn::MaxLanes(HadamardLanes());
  for (size_t i = 0; i < n; i += kLanes) hn::StoreU(StagesOfLanes(hn::LoadU(d, x + i)), d, x + i);
  for (size_t half = kLanes; half < n; half *= 2) {
    for (size_t block = 0; block < n; block += 2 * half) {
      for (size_t i = block; i < block + half; i += kLanes) {
        const auto a = hn::LoadU(d, x + i);
        const auto b = hn::LoadU(d, x + i + half);
        hn::StoreU(hn::Add(a, b), d, x + i);
        hn::StoreU(hn::Sub(a, b), d, x + i + half);
      }
    }
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
