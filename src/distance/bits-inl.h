// Kernels for rows of bits, compiled once per instruction set: bytes are compared, and those of the
// last one that are behind the last element are 0 on both sides.

#include "distance/int-inl.h"

#if defined(SHOAL_DISTANCE_BITS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_BITS_INL_H_
#undef SHOAL_DISTANCE_BITS_INL_H_
#else
#define SHOAL_DISTANCE_BITS_INL_H_
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

// How many bits differ. Its elements are bytes.
struct HammingKernel : ByteSumKernel {
  using Element = uint8_t;
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
  static HWY_INLINE void Step(Query q, Row r, Sums& sums) {
    const hn::Vec<Bytes> different = hn::Xor(q, r);
#if HWY_TARGET == HWY_AVX3_DL  // Counts in lanes of 64 bits.
    const hn::ScalableTag<uint64_t> d;
    sums = hn::Add(sums, hn::PopulationCount(hn::BitCast(d, different)));
#else
    AddBytes(hn::PopulationCount(different), sums);
#endif
  }
};

// The entry points; `dim` is in bits.

static void HammingBatch(const void* query, const std::byte* const* rows, size_t n, size_t dim,
                         float* out) {
  Batch<HammingKernel>(query, rows, n, (dim + 7) / 8, out);
}

static float HammingPair(const void* query, const void* row, size_t dim) {
  return Pair<HammingKernel>(query, row, (dim + 7) / 8);
}

static int32_t HammingPairExact(const void* query, const void* row, size_t dim) {
  return PairExact<HammingKernel>(query, row, (dim + 7) / 8);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
