// Kernels for rows of float32 and float16 against a float query, compiled once per instruction set.

#include "distance/rows-inl.h"

#if defined(SHOAL_DISTANCE_FLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_FLOAT_INL_H_
#undef SHOAL_DISTANCE_FLOAT_INL_H_
#else
#define SHOAL_DISTANCE_FLOAT_INL_H_
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

using FloatLanes = hn::ScalableTag<float>;
using Floats = hn::Vec<FloatLanes>;
using HalfBits = hn::Rebind<uint16_t, FloatLanes>;

// Exact, including infinities and NaN, which Highway's emulation below F16C takes for numbers.
HWY_INLINE Floats HalvesToFloats(hn::Vec<HalfBits> bits) {
  const FloatLanes d;
  const hn::Rebind<hwy::float16_t, FloatLanes> half;
  const Floats value = hn::PromoteTo(d, hn::BitCast(half, bits));
#if HWY_TARGET <= HWY_AVX2
  return value;
#else
  const hn::RebindToUnsigned<FloatLanes> du;
  const auto infinite = hn::Set(du, 0x7c00);
  const auto is_infinite = hn::Eq(hn::And(hn::PromoteTo(du, bits), infinite), infinite);
  const auto all_ones = hn::IfThenElseZero(is_infinite, hn::Set(du, 0x7f800000));
  return hn::Or(value, hn::BitCast(d, all_ones));
#endif
}

struct LoadFloats {
  using Element = float;
  static HWY_INLINE Floats Full(const std::byte* v, size_t i) {
    return hn::LoadU(FloatLanes(), At<float>(v, i));
  }
  static HWY_INLINE Floats First(const std::byte* v, size_t i, size_t count) {
    return LoadFirst(FloatLanes(), At<float>(v, i), count);
  }
};

struct LoadHalves {
  using Element = Half;
  static HWY_INLINE Floats Full(const std::byte* v, size_t i) {
    return HalvesToFloats(hn::LoadU(HalfBits(), At<uint16_t>(v, i)));
  }
  static HWY_INLINE Floats First(const std::byte* v, size_t i, size_t count) {
    return HalvesToFloats(LoadFirst(HalfBits(), At<uint16_t>(v, i), count));
  }
};

template <Op kOp, class Loader>
struct FloatKernel {
  using Element = typename Loader::Element;
  using Lanes = FloatLanes;
  struct Two {
    Floats a, b;
  };
  using Query = Two;
  using Row = Two;
  using Sums = Two;
  struct Correction {};

  static constexpr size_t kLanes = hn::MaxLanes(FloatLanes());
  static constexpr size_t kBlock = 2 * kLanes;

  static HWY_INLINE Two Zero() { return {hn::Zero(FloatLanes()), hn::Zero(FloatLanes())}; }

  template <class L>
  static HWY_INLINE Two Load(const std::byte* v, size_t i) {
    return {L::Full(v, i), L::Full(v, i + kLanes)};
  }
  template <class L>
  static HWY_INLINE Two Load(const std::byte* v, size_t i, size_t count) {
    if (count <= kLanes) return {L::First(v, i, count), hn::Zero(FloatLanes())};
    return {L::Full(v, i), L::First(v, i + kLanes, count - kLanes)};
  }
  static HWY_INLINE Two LoadQuery(const std::byte* v, size_t i) { return Load<LoadFloats>(v, i); }
  static HWY_INLINE Two LoadQuery(const std::byte* v, size_t i, size_t count) {
    return Load<LoadFloats>(v, i, count);
  }
  static HWY_INLINE Two LoadRow(const std::byte* v, size_t i) { return Load<Loader>(v, i); }
  static HWY_INLINE Two LoadRow(const std::byte* v, size_t i, size_t count) {
    return Load<Loader>(v, i, count);
  }

  static HWY_INLINE Floats StepOne(Floats q, Floats r, Floats sum) {
    if constexpr (kOp == Op::kL2) {
      const Floats difference = hn::Sub(q, r);
      return hn::MulAdd(difference, difference, sum);
    } else if constexpr (kOp == Op::kL1) {
      return hn::Add(hn::Abs(hn::Sub(q, r)), sum);
    } else {
      return hn::MulAdd(q, r, sum);
    }
  }
  static HWY_INLINE void Step(const Two& q, const Two& r, Two& sums) {
    sums.a = StepOne(q.a, r.a, sums.a);
    sums.b = StepOne(q.b, r.b, sums.b);
  }
  static HWY_INLINE Floats Total(const Two& sums) { return hn::Add(sums.a, sums.b); }

  static HWY_INLINE Correction MakeCorrection(const std::byte*, size_t) { return {}; }
  static HWY_INLINE float Corrected(float sum, Correction) { return sum; }
  template <class D4>
  static HWY_INLINE hn::Vec<D4> CorrectedFour(D4, hn::Vec<D4> sums, Correction) {
    return sums;
  }
  template <class D4>
  static HWY_INLINE hn::Vec<D4> ToFloat(D4, hn::Vec<D4> sums) {
    return sums;
  }
};

static void HalfToFloat(const Half* in, size_t n, float* out) {
  const auto* bytes = reinterpret_cast<const std::byte*>(in);
  const FloatLanes d;
  constexpr size_t kLanes = hn::MaxLanes(FloatLanes());
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(LoadHalves::Full(bytes, i), d, out + i);
  if (i == n) return;
  HWY_ALIGN float rest[kLanes];
  hn::Store(LoadHalves::First(bytes, i, n - i), d, rest);
  __builtin_memcpy(out + i, rest, (n - i) * sizeof(float));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
