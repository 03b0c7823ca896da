// Packing of vectors into the words of block_dot.h, for one instruction set.
#include "distance/block_tile-inl.h"

#if defined(SHOAL_DISTANCE_BLOCK_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_BLOCK_PACK_INL_H_
#undef SHOAL_DISTANCE_BLOCK_PACK_INL_H_
#else
#define SHOAL_DISTANCE_BLOCK_PACK_INL_H_
#endif

#if SHOAL_BLOCK_VECTORS
SHOAL_BLOCK_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

enum class Side { kQuery, kRow };

HWY_INLINE FloatVec LoadFloats16(const float* in) { return hn::LoadU(FloatTag(), in); }
HWY_INLINE FloatVec LoadFloats16(const hwy::float16_t* in) {
  const hn::Rebind<hwy::float16_t, FloatTag> d16;
  return hn::PromoteTo(FloatTag(), hn::LoadU(d16, in));
}

using DoubleTag = hn::ScalableTag<double>;
HWY_INLINE hn::Vec<DoubleTag> ToDouble(const float* in) {
  const hn::Rebind<float, DoubleTag> half;
  return hn::PromoteTo(DoubleTag(), hn::Load(half, in));
}

// Packs one whole chunk; the sum of squares goes on in `sum`.
template <class T>
HWY_INLINE void PackChunk(const T* in, const float* centre, FloatVec scale, float* out,
                          hn::Vec<DoubleTag>& sum) {
  constexpr size_t kDoubles = hn::MaxLanes(DoubleTag());
  for (size_t j = 0; j < kChunkWords; j += kBlockLanes) {
    const auto shifted = hn::Sub(LoadFloats16(in + j), hn::LoadU(FloatTag(), centre + j));
    hn::Store(hn::Mul(shifted, scale), FloatTag(), out + j);
  }
  for (size_t j = 0; j < kChunkWords; j += kDoubles) {
    const auto v = ToDouble(out + j);
    sum = hn::MulAdd(v, v, sum);
  }
}

template <class T>
double PackFloats(const void* in, const float* centre, float scale, size_t dim, float* out,
                  size_t stride) {
  const auto* elements = static_cast<const T*>(in);
  const auto factor = hn::Set(FloatTag(), scale);
  auto sum = hn::Zero(DoubleTag());
  size_t i = 0;
  for (; i + kChunkWords <= dim; i += kChunkWords, out += stride)
    PackChunk(elements + i, centre + i, factor, out, sum);
  if (i < dim) {
    alignas(64) T last[kChunkWords] = {};
    alignas(64) float last_centre[kChunkWords] = {};
    __builtin_memcpy(last, elements + i, (dim - i) * sizeof(T));
    __builtin_memcpy(last_centre, centre + i, (dim - i) * sizeof(float));
    PackChunk<T>(last, last_centre, factor, out, sum);
  }
  return hn::GetLane(hn::SumOfLanes(DoubleTag(), sum));
}

using ShortTag = hn::Repartition<int16_t, WordTag>;
constexpr size_t kShorts = hn::MaxLanes(ShortTag());
constexpr size_t kChunkElements = kChunkWords * kIntElements;

// What is added to an element before it is stored, a multiple of 256 aside: with words of four
// bytes, queries are stored unsigned and rows signed.
template <class T, Side kSide>
constexpr int kShift = kIntElements == 2                        ? 0
                       : kSide == Side::kQuery && T(-1) < T(0)  ? 128
                       : kSide == Side::kRow && !(T(-1) < T(0)) ? -128
                                                                : 0;

// Packs one whole chunk; sums of elements and of squares go on in `sum` and `norm`.
template <class T, Side kSide>
HWY_INLINE void PackChunk(const T* in, std::byte* out, WordVec& sum, WordVec& norm) {
  const hn::Rebind<T, ShortTag> d8;
  const auto ones = hn::Set(ShortTag(), int16_t{1});
  for (size_t j = 0; j < kChunkElements; j += kShorts) {
    const auto wide = hn::PromoteTo(ShortTag(), hn::LoadU(d8, in + j));
    WordVec unused = sum;
    sum = hn::ReorderWidenMulAccumulate(WordTag(), wide, ones, sum, unused);
    norm = hn::ReorderWidenMulAccumulate(WordTag(), wide, wide, norm, unused);
    if constexpr (kIntElements == 2) {
      hn::Store(wide, ShortTag(), reinterpret_cast<int16_t*>(out) + j);
    }
  }
  if constexpr (kIntElements == 4) {
    const hn::Repartition<uint8_t, WordTag> du8;
    const auto* bytes = reinterpret_cast<const uint8_t*>(in);
    const auto flip = hn::Set(du8, static_cast<uint8_t>(kShift<T, kSide> & 0xff));
    for (size_t j = 0; j < kChunkElements; j += hn::MaxLanes(du8))
      hn::Store(hn::Xor(hn::LoadU(du8, bytes + j), flip), du8, reinterpret_cast<uint8_t*>(out) + j);
  }
}

// A padded element is `kShift` in place of 0 on its own side, and must be 0 on one: the query's
// padding is cleared.
template <class T, Side kSide>
PackedInt PackInts(const void* in, size_t dim, std::byte* out, size_t stride) {
  const auto* elements = static_cast<const T*>(in);
  WordVec sum = hn::Zero(WordTag());
  WordVec norm = hn::Zero(WordTag());
  size_t i = 0;
  for (; i + kChunkElements <= dim; i += kChunkElements, out += stride)
    PackChunk<T, kSide>(elements + i, out, sum, norm);
  if (i < dim) {
    alignas(64) T last[kChunkElements] = {};
    __builtin_memcpy(last, elements + i, dim - i);
    PackChunk<T, kSide>(last, out, sum, norm);
    if (kSide == Side::kQuery && kIntElements == 4)
      __builtin_memset(out + (dim - i), 0, kChunkElements - (dim - i));
  }
  PackedInt result;
  result.norm = hn::GetLane(hn::SumOfLanes(WordTag(), norm));
  // Query stored as q, row as r - 128: dot = product + 128 sum q. Query as q + 128: - 128 sum r.
  const int32_t total = hn::GetLane(hn::SumOfLanes(WordTag(), sum));
  constexpr bool kSigned = T(-1) < T(0);
  result.offset = 0;
  if (kIntElements == 4 && kSide == Side::kQuery && !kSigned) result.offset = 128 * total;
  if (kIntElements == 4 && kSide == Side::kRow && kSigned) result.offset = -128 * total;
  return result;
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_BLOCK_VECTORS

#endif  // per target
