// Kernels for rows of int8 and uint8, exact, compiled once per instruction set.
//
// All sums are taken modulo 2^32. The true results fit an int32 (kMaxDim), so they come out right
// even where an intermediate value wraps.

#include "distance/rows-inl.h"

#if defined(SHOAL_DISTANCE_INT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_INT_INL_H_
#undef SHOAL_DISTANCE_INT_INL_H_
#else
#define SHOAL_DISTANCE_INT_INL_H_
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

using Ints = hn::ScalableTag<int32_t>;
using Shorts = hn::ScalableTag<int16_t>;
using Bytes = hn::ScalableTag<uint8_t>;

// sums += the sums of neighbouring products of int16.
HWY_INLINE hn::Vec<Ints> MulAddPairs(hn::Vec<Shorts> a, hn::Vec<Shorts> b, hn::Vec<Ints> sums) {
  hn::Vec<Ints> unused = hn::Zero(Ints());
  return hn::ReorderWidenMulAccumulate(Ints(), a, b, sums, unused);
}

// What the integer kernels have in common.
struct IntKernel {
  using Lanes = Ints;
  struct Sums {
    hn::Vec<Ints> a, b;
  };
  static HWY_INLINE Sums Zero() { return {hn::Zero(Ints()), hn::Zero(Ints())}; }
  static HWY_INLINE hn::Vec<Ints> Total(const Sums& sums) { return hn::Add(sums.a, sums.b); }

  using Correction = int32_t;
  static HWY_INLINE int32_t MakeCorrection(const std::byte*, size_t) { return 0; }
  static HWY_INLINE int32_t Corrected(int32_t sum, int32_t) { return sum; }
  template <class D4>
  static HWY_INLINE hn::Vec<D4> CorrectedFour(D4, hn::Vec<D4> sums, int32_t) {
    return sums;
  }
  template <class DF4, class V>
  static HWY_INLINE hn::Vec<DF4> ToFloat(DF4 d, V sums) {
    return hn::ConvertTo(d, sums);
  }
};

// sum (q - r)^2 over |q - r|, which fits a byte for both types.
template <class T>
struct IntL2Kernel : IntKernel {
  using Element = T;
  using D = hn::ScalableTag<T>;
  using Query = hn::Vec<D>;
  using Row = hn::Vec<D>;
  static constexpr size_t kBlock = hn::MaxLanes(D());

  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i) {
    return hn::LoadU(D(), At<T>(v, i));
  }
  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i, size_t count) {
    return LoadFirst(D(), At<T>(v, i), count);
  }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i) { return LoadRow(v, i); }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t count) {
    return LoadRow(v, i, count);
  }
  static HWY_INLINE hn::Vec<Bytes> Difference(Query q, Row r) {
    // The subtraction may wrap for int8; its low 8 bits are the unsigned difference all the same.
    return hn::BitCast(Bytes(), hn::Sub(hn::Max(q, r), hn::Min(q, r)));
  }
  static HWY_INLINE void Step(Query q, Row r, Sums& sums) {
    const hn::Vec<Bytes> difference = Difference(q, r);
    const hn::Vec<Bytes> zero = hn::Zero(Bytes());
    const auto low = hn::BitCast(Shorts(), hn::InterleaveLower(Bytes(), difference, zero));
    const auto high = hn::BitCast(Shorts(), hn::InterleaveUpper(Bytes(), difference, zero));
    sums.a = MulAddPairs(low, low, sums.a);
    sums.b = MulAddPairs(high, high, sums.b);
  }
};

// Sums of bytes, eight to a lane of 64 bits, which holds them as its lower int32.
struct ByteSumKernel : IntKernel {
  using Sums = hn::Vec<hn::ScalableTag<uint64_t>>;
  static HWY_INLINE Sums Zero() { return hn::Zero(hn::ScalableTag<uint64_t>()); }
  static HWY_INLINE void AddBytes(hn::Vec<Bytes> bytes, Sums& sums) {
    sums = hn::Add(sums, hn::SumsOf8(bytes));
  }
  static HWY_INLINE hn::Vec<Ints> Total(const Sums& sums) { return hn::BitCast(Ints(), sums); }
};

// sum |q - r|.
template <class T>
struct IntL1Kernel : ByteSumKernel {
  using L2 = IntL2Kernel<T>;
  using Element = T;
  using Query = typename L2::Query;
  using Row = typename L2::Row;
  static constexpr size_t kBlock = L2::kBlock;

  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i) { return L2::LoadRow(v, i); }
  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i, size_t count) {
    return L2::LoadRow(v, i, count);
  }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i) { return LoadRow(v, i); }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t count) {
    return LoadRow(v, i, count);
  }
  static HWY_INLINE void Step(Query q, Row r, Sums& sums) { AddBytes(L2::Difference(q, r), sums); }
};

// sum q r, widened to 16 bits.
template <class T>
struct IntDotKernel : IntKernel {
  using Element = T;
  struct Two {
    hn::Vec<Shorts> a, b;
  };
  using Query = Two;
  using Row = Two;
  using D = hn::Rebind<T, Shorts>;
  static constexpr size_t kLanes = hn::MaxLanes(D());
  static constexpr size_t kBlock = 2 * kLanes;

  static HWY_INLINE hn::Vec<Shorts> Full(const std::byte* v, size_t i) {
    return hn::PromoteTo(Shorts(), hn::LoadU(D(), At<T>(v, i)));
  }
  static HWY_INLINE hn::Vec<Shorts> First(const std::byte* v, size_t i, size_t count) {
    return hn::PromoteTo(Shorts(), LoadFirst(D(), At<T>(v, i), count));
  }
  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i) {
    return {Full(v, i), Full(v, i + kLanes)};
  }
  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i, size_t count) {
    if (count <= kLanes) return {First(v, i, count), hn::Zero(Shorts())};
    return {Full(v, i), First(v, i + kLanes, count - kLanes)};
  }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i) { return LoadRow(v, i); }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t count) {
    return LoadRow(v, i, count);
  }
  static HWY_INLINE void Step(const Query& q, const Row& r, Sums& sums) {
    sums.a = MulAddPairs(q.a, r.a, sums.a);
    sums.b = MulAddPairs(q.b, r.b, sums.b);
  }
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
