// Kernels for rows of int8 and uint8 on CPUs with AVX512_VNNI, exact: Highway 1.0.3 has no 8-bit
// quad dot, so this file is intrinsics. See int-inl.h for the arithmetic modulo 2^32.
//
// vpdpbusd adds to each int32 lane the sum of four products of an unsigned byte (first factor) with
// a signed byte (second). Sums of other signs are made by shifting a factor by 128, which is a flip
// of its top bit, and correcting:
//   u * s = u * (s' - 128)   where s' = s ^ 0x80 read as unsigned, and the reverse.

#include "distance/int-inl.h"

#if defined(SHOAL_DISTANCE_VNNI_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_VNNI_INL_H_
#undef SHOAL_DISTANCE_VNNI_INL_H_
#else
#define SHOAL_DISTANCE_VNNI_INL_H_
#endif

#if HWY_TARGET == HWY_AVX3_DL
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

// sums + unsigned_bytes * signed_bytes.
HWY_INLINE hn::Vec<Ints> MulAddQuads(hn::Vec<Bytes> unsigned_bytes, hn::Vec<Bytes> signed_bytes,
                                     hn::Vec<Ints> sums) {
  return hn::Vec<Ints>{_mm512_dpbusd_epi32(sums.raw, unsigned_bytes.raw, signed_bytes.raw)};
}
HWY_INLINE hn::Vec<Bytes> FlipTopBits(hn::Vec<Bytes> v) {
  return hn::Xor(v, hn::Set(Bytes(), 0x80));
}
HWY_INLINE hn::Vec<Bytes> Ones() { return hn::Set(Bytes(), 1); }

struct VnniKernel : IntKernel {
  using Query = hn::Vec<Bytes>;
  using Row = hn::Vec<Bytes>;
  static constexpr size_t kBlock = hn::MaxLanes(Bytes());

  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i) {
    return hn::LoadU(Bytes(), At<uint8_t>(v, i));
  }
  static HWY_INLINE Row LoadRow(const std::byte* v, size_t i, size_t count) {
    return LoadFirst(Bytes(), At<uint8_t>(v, i), count);
  }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i) { return LoadRow(v, i); }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t count) {
    return LoadRow(v, i, count);
  }
  // a + 128 b.
  static HWY_INLINE hn::Vec<Ints> Total(const Sums& sums) {
    return hn::Add(sums.a, hn::ShiftLeft<7>(sums.b));
  }
};

// d = |q - r|: sum d^2 = sum d (d - 128) + 128 sum d.
template <class T>
struct VnniL2Kernel : VnniKernel {
  using Element = T;
  static HWY_INLINE void Step(Query q, Row r, Sums& sums) {
    const hn::ScalableTag<T> d;
    const auto difference = IntL2Kernel<T>::Difference(hn::BitCast(d, q), hn::BitCast(d, r));
    sums.a = MulAddQuads(difference, FlipTopBits(difference), sums.a);
    sums.b = MulAddQuads(difference, Ones(), sums.b);
  }
};

template <class T>
struct VnniDotKernel;

// r (q - 128) + 128 r.
template <>
struct VnniDotKernel<uint8_t> : VnniKernel {
  using Element = uint8_t;
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i) {
    return FlipTopBits(LoadRow(v, i));
  }
  static HWY_INLINE Query LoadQuery(const std::byte* v, size_t i, size_t count) {
    return FlipTopBits(LoadRow(v, i, count));  // Behind `count`: -128 times a row of zeros.
  }
  static HWY_INLINE void Step(Query q, Row r, Sums& sums) {
    sums.a = MulAddQuads(r, q, sums.a);
    sums.b = MulAddQuads(r, Ones(), sums.b);
  }
};

// (r + 128) q - 128 sum q; the last term is the same for all rows.
template <>
struct VnniDotKernel<int8_t> : VnniKernel {
  using Element = int8_t;
  static HWY_INLINE void Step(Query q, Row r, Sums& sums) {
    sums.a = MulAddQuads(FlipTopBits(r), q, sums.a);
  }
  static HWY_INLINE hn::Vec<Ints> Total(const Sums& sums) { return sums.a; }

  static HWY_INLINE int32_t MakeCorrection(const std::byte* query, size_t dim) {
    hn::Vec<Ints> sum = hn::Zero(Ints());
    size_t i = 0;
    for (; i + kBlock <= dim; i += kBlock) sum = MulAddQuads(Ones(), LoadQuery(query, i), sum);
    if (i < dim) sum = MulAddQuads(Ones(), LoadQuery(query, i, dim - i), sum);
    return -128 * hn::GetLane(hn::SumOfLanes(Ints(), sum));
  }
  static HWY_INLINE int32_t Corrected(int32_t sum, int32_t correction) { return sum + correction; }
  template <class D4>
  static HWY_INLINE hn::Vec<D4> CorrectedFour(D4 d, hn::Vec<D4> sums, int32_t correction) {
    return hn::Add(sums, hn::Set(d, correction));
  }
};

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET == HWY_AVX3_DL

#endif  // per target
