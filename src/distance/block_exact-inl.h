// Distances of single pairs in double, the same to the last bit in every instruction set.
#include "distance/block_pack-inl.h"

#if defined(SHOAL_DISTANCE_BLOCK_EXACT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_BLOCK_EXACT_INL_H_
#undef SHOAL_DISTANCE_BLOCK_EXACT_INL_H_
#else
#define SHOAL_DISTANCE_BLOCK_EXACT_INL_H_
#endif

#if SHOAL_BLOCK_VECTORS
SHOAL_BLOCK_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

// Element i is added to sum i % 8 whatever the width of a vector; then the eight are added in a
// fixed order. Multiply and add stay two operations: fused, they would round differently.
struct EightSums {
  static constexpr size_t kSums = 8;
  static constexpr size_t kDoubles = hn::MaxLanes(DoubleTag());
  static constexpr size_t kVectors = kSums / kDoubles;
  hn::Vec<DoubleTag> sum[kVectors];

  HWY_INLINE EightSums() {
    for (auto& s : sum) s = hn::Zero(DoubleTag());
  }
  static HWY_INLINE hn::Vec<DoubleTag> LoadDoubles(const float* in) {
    const hn::Rebind<float, DoubleTag> half;
    return hn::PromoteTo(DoubleTag(), hn::LoadU(half, in));
  }
  HWY_INLINE void AddL2(const float* a, const float* b) {
    for (size_t v = 0; v < kVectors; ++v) {
      const auto diff = hn::Sub(LoadDoubles(a + v * kDoubles), LoadDoubles(b + v * kDoubles));
      sum[v] = hn::Add(hn::Mul(diff, diff), sum[v]);
    }
  }
  HWY_INLINE void AddDot(const float* a, const float* b) {
    for (size_t v = 0; v < kVectors; ++v) {
      const auto product = hn::Mul(LoadDoubles(a + v * kDoubles), LoadDoubles(b + v * kDoubles));
      sum[v] = hn::Add(product, sum[v]);
    }
  }
  HWY_INLINE void AddL1(const float* a, const float* b) {
    for (size_t v = 0; v < kVectors; ++v) {
      const auto diff = hn::Sub(LoadDoubles(a + v * kDoubles), LoadDoubles(b + v * kDoubles));
      sum[v] = hn::Add(hn::Abs(diff), sum[v]);
    }
  }
  HWY_INLINE double Total() const {
    alignas(64) double s[kSums];
    for (size_t v = 0; v < kVectors; ++v) hn::Store(sum[v], DoubleTag(), s + v * kDoubles);
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
};

// The elements behind the last whole eight, and zeros.
struct LastEight {
  float values[EightSums::kSums] = {};
  HWY_INLINE LastEight(const float* in, size_t count) {
    __builtin_memcpy(values, in, count * sizeof(float));
  }
};

inline double ExactL2(const float* a, const float* b, size_t dim) {
  EightSums sums;
  size_t i = 0;
  for (; i + EightSums::kSums <= dim; i += EightSums::kSums) sums.AddL2(a + i, b + i);
  if (i < dim) sums.AddL2(LastEight(a + i, dim - i).values, LastEight(b + i, dim - i).values);
  return sums.Total();
}

inline double ExactDot(const float* a, const float* b, size_t dim) {
  EightSums sums;
  size_t i = 0;
  for (; i + EightSums::kSums <= dim; i += EightSums::kSums) sums.AddDot(a + i, b + i);
  if (i < dim) sums.AddDot(LastEight(a + i, dim - i).values, LastEight(b + i, dim - i).values);
  return sums.Total();
}

inline double ExactL1(const float* a, const float* b, size_t dim) {
  EightSums sums;
  size_t i = 0;
  for (; i + EightSums::kSums <= dim; i += EightSums::kSums) sums.AddL1(a + i, b + i);
  if (i < dim) sums.AddL1(LastEight(a + i, dim - i).values, LastEight(b + i, dim - i).values);
  return sums.Total();
}

inline void BlockHalfToFloat(const Half* in, size_t n, float* out) {
  const auto* halves = reinterpret_cast<const hwy::float16_t*>(in);
  size_t i = 0;
  for (; i + kBlockLanes <= n; i += kBlockLanes)
    hn::StoreU(LoadFloats16(halves + i), FloatTag(), out + i);
  if (i == n) return;
  alignas(64) hwy::float16_t last[kBlockLanes] = {};
  alignas(64) float floats[kBlockLanes];
  __builtin_memcpy(last, halves + i, (n - i) * sizeof(Half));
  hn::Store(LoadFloats16(last), FloatTag(), floats);
  __builtin_memcpy(out + i, floats, (n - i) * sizeof(float));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_BLOCK_VECTORS

#endif  // per target
