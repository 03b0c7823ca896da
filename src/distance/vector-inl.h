// What every vector kernel needs, compiled once per instruction set: safe partial loads and sums
// over lanes.
//
// Rule of these -inl.h files: nothing from the standard library but constants and the fence below,
// and every function static or always inlined. An inline function that is compiled here for AVX-512
// and shared with the rest of the program would crash on an older CPU; tests/symbols_test.py looks.

#include <atomic>
#include <cstddef>
#include <cstdint>

// Highway leaves its "Ice Lake" target out unless it is asked for.
#ifndef HWY_WANT_AVX3_DL
#define HWY_WANT_AVX3_DL
#endif
#include "distance/kernels.h"
#include "hwy/highway.h"

#if defined(SHOAL_DISTANCE_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_VECTOR_INL_H_
#undef SHOAL_DISTANCE_VECTOR_INL_H_
#else
#define SHOAL_DISTANCE_VECTOR_INL_H_
#endif

// Highway 1.0.3 selects AVX3_DL by the CPU's AVX512_VNNI bit but does not tell the compiler.
// (It names AVX-VNNI, the 256-bit twin, which CPUs with AVX3_DL may lack: use 512-bit VNNI only.)
#undef SHOAL_DISTANCE_BEFORE_NAMESPACE
#if HWY_TARGET == HWY_AVX3_DL
#define SHOAL_DISTANCE_BEFORE_NAMESPACE() HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#else
#define SHOAL_DISTANCE_BEFORE_NAMESPACE() \
  HWY_BEFORE_NAMESPACE();                 \
  static_assert(true, "")
#endif

// The portable kernels (portable.cc) serve CPUs below Highway's SSSE3.
#undef SHOAL_DISTANCE_VECTORS
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
#define SHOAL_DISTANCE_VECTORS 0
#else
#define SHOAL_DISTANCE_VECTORS 1
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Element `i` of a vector of `T` of any alignment. Only for Highway's unaligned loads.
template <class T>
HWY_INLINE const T* At(const std::byte* vector, size_t i) {
  return reinterpret_cast<const T*>(vector + i * sizeof(T));
}

// The first `count` <= Lanes(d) elements at `p`, then zeros. Reads not one byte behind them.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadFirst(D d, const T* p, size_t count) {
#if HWY_CAP_GE512
  return hn::MaskedLoad(hn::FirstN(d, count), d, p);  // AVX-512 masks suppress faults.
#else
  HWY_ALIGN T copy[hn::MaxLanes(d)] = {};
  __builtin_memcpy(copy, p, count * sizeof(T));
  return hn::Load(d, copy);
#endif
}

// Halves a vector by adding its upper half to its lower until four lanes are left.
template <class D>
HWY_INLINE auto FoldToFour(D d, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(d) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return FoldToFour(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

// {sum of a, sum of b, sum of c, sum of e}, each as (v0 + v2) + (v1 + v3).
template <class D4, class V4 = hn::Vec<D4>>
HWY_INLINE V4 SumFourByFour(D4 d, V4 a, V4 b, V4 c, V4 e) {
  const V4 ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
  const V4 ce = hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e));
  return hn::Add(hn::ConcatLowerLower(d, ce, ab), hn::ConcatUpperUpper(d, ce, ab));
}

// The sum of four lanes, in the order of SumFourByFour: a distance is the same to the last bit
// wherever in a batch its row stands.
template <class D4, class T = hn::TFromD<D4>>
HWY_INLINE T SumFour(D4 d, hn::Vec<D4> v) {
  return hn::GetLane(SumFourByFour(d, v, v, v, v));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
