// The tile kernels of block_dot.h, for one instruction set. Nothing of std here: a template of
// std instantiated in this file could reach the linker as everyone's copy.
#include "distance/block_dot.h"
#include "hwy/highway.h"

#if defined(SHOAL_DISTANCE_BLOCK_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_BLOCK_TILE_INL_H_
#undef SHOAL_DISTANCE_BLOCK_TILE_INL_H_
#else
#define SHOAL_DISTANCE_BLOCK_TILE_INL_H_
#endif

// Highway's own scalar target is left out: block_portable.cc has plain C++ instead.
#undef SHOAL_BLOCK_VECTORS
#define SHOAL_BLOCK_VECTORS (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)

// Highway 1.0.3 selects AVX3_DL by the CPU's AVX512_VNNI bit but does not tell the compiler.
#undef SHOAL_BLOCK_BEFORE_NAMESPACE
#if HWY_TARGET == HWY_AVX3_DL
#define SHOAL_BLOCK_BEFORE_NAMESPACE() HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
#else
#define SHOAL_BLOCK_BEFORE_NAMESPACE() \
  HWY_BEFORE_NAMESPACE();              \
  static_assert(true, "")
#endif

#if SHOAL_BLOCK_VECTORS
SHOAL_BLOCK_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using WordTag = hn::ScalableTag<int32_t>;
using FloatVec = hn::Vec<FloatTag>;
using WordVec = hn::Vec<WordTag>;

constexpr size_t kBlockLanes = HWY_LANES(float);
// Two vectors of queries by as many rows as leave registers for the operands: 24 sums of 32
// registers with AVX-512, 12 of 16 before.
constexpr size_t kTileRows = HWY_LANES(float) == 16 ? 12 : 6;
static_assert(kBlockLanes <= kMaxLanes && kTileRows <= kMaxTileRows && kTileRows % 2 == 0);

// Makes the compiler take `v` for changed, and costs nothing.
template <class V>
HWY_INLINE void Opaque(V& v) {
#if HWY_CAP_GE512
  asm("" : "+v"(v.raw));
#else
  asm("" : "+x"(v.raw));
#endif
}

// Multiply-add of packed words, and the vectors it works on.
struct FloatMath {
  using Word = float;
  using Vec = FloatVec;
  static constexpr size_t kElements = 1;
  static HWY_INLINE Vec Load(const void* words) {
    return hn::Load(FloatTag(), static_cast<const float*>(words));
  }
  static HWY_INLINE Vec Broadcast(const void* word) {
    return hn::Set(FloatTag(), *static_cast<const float*>(word));
  }
  static HWY_INLINE Vec MulAdd(Vec query, Vec row, Vec sum) { return hn::MulAdd(query, row, sum); }
};
struct IntMath {
  using Word = int32_t;
  using Vec = WordVec;
  static constexpr size_t kElements = HWY_TARGET == HWY_AVX3_DL ? 4 : 2;
  static HWY_INLINE Vec Load(const void* words) {
    return hn::Load(WordTag(), static_cast<const int32_t*>(words));
  }
  static HWY_INLINE Vec Broadcast(const void* word) {
    return hn::Set(WordTag(), *static_cast<const int32_t*>(word));
  }
  // Words of four: unsigned bytes of the query, signed ones of the row. Words of two: int16.
  static HWY_INLINE Vec MulAdd(Vec query, Vec row, Vec sum) {
#if HWY_TARGET == HWY_AVX3_DL
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(query.raw), "v"(row.raw));
#else
    const hn::Repartition<int16_t, WordTag> d16;
    Vec unused = sum;
    sum = hn::ReorderWidenMulAccumulate(WordTag(), hn::BitCast(d16, query), hn::BitCast(d16, row),
                                        sum, unused);
#endif
    // Or g++ would add in another order, with more sums under way than there are registers.
    Opaque(sum);
    return sum;
  }
};
constexpr size_t kIntElements = IntMath::kElements;

// All sums of a tile. Every loop over rows and vectors is unrolled, so that they are registers.
template <class Math, size_t kVectors>
struct TileSums {
  typename Math::Vec sum[kTileRows][kVectors];

  // One word of every row with one of every query. row: the word of row 0, 64 bytes before row 1's.
  HWY_INLINE void Step(const std::byte* panel, const std::byte* row) {
    typename Math::Vec query[kVectors];
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) query[v] = Math::Load(panel + v * 4 * kBlockLanes);
#pragma GCC unroll 12
    for (size_t r = 0; r < kTileRows; ++r) {
      const auto value = Math::Broadcast(row + r * 4 * kChunkWords);
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = Math::MulAdd(query[v], value, sum[r][v]);
    }
  }

  HWY_INLINE void Multiply(const TileJob<typename Math::Word>& job) {
#pragma GCC unroll 12
    for (size_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = Math::Broadcast(job.bias + r);
    }
    constexpr size_t kStep = kVectors * 4 * kBlockLanes;
    const auto* panel = static_cast<const std::byte*>(job.panel);
    const auto* tile = static_cast<const std::byte*>(job.tile);
    size_t left = job.words;
    for (; left >= kChunkWords; left -= kChunkWords) {
      for (size_t w = 0; w < kChunkWords; w += 2) {
#pragma GCC unroll 2
        for (size_t i = w; i < w + 2; ++i) Step(panel + i * kStep, tile + i * 4);
      }
      panel += kChunkWords * kStep;
      tile += kTileRows * kChunkWords * 4;
    }
    for (size_t w = 0; w < left; ++w) {
      Step(panel + w * kStep, tile + w * 4);
    }
  }
};

// A bit for each lane whose score is not below its limit, lane 0 lowest.
template <class D, class V>
HWY_INLINE uint32_t HitBits(D d, V score, V limit) {
  constexpr uint32_t kAll = (1u << kBlockLanes) - 1;
  const auto below = hn::Lt(score, limit);
#if HWY_CAP_GE512
  (void)d;
  return below.raw ^ kAll;
#else
  uint8_t bytes[8] = {};
  hn::StoreMaskBits(d, below, bytes);
  return bytes[0] ^ kAll;
#endif
}

// Compares all scores with the thresholds; stores scores and masks if there is a hit. Most tiles
// have none, which the largest score of each query tells.
template <size_t kVectors, class D, class V>
HWY_INLINE uint32_t StoreHits(D d, const V (&score)[kTileRows][kVectors],
                              const hn::TFromD<D>* threshold, hn::TFromD<D>* scores,
                              uint32_t* hits) {
  V limit[kVectors];
  uint32_t any = 0;
#pragma GCC unroll 2
  for (size_t v = 0; v < kVectors; ++v) {
    limit[v] = hn::Load(d, threshold + v * kBlockLanes);
    V even = score[0][v];
    V odd = score[1][v];
#pragma GCC unroll 12
    for (size_t r = 2; r < kTileRows; r += 2) {
      even = hn::Max(even, score[r][v]);
      odd = hn::Max(odd, score[r + 1][v]);
    }
    any |= HitBits(d, hn::Max(even, odd), limit[v]);
  }
  if (any == 0) return 0;
  uint32_t rows = 0;
#pragma GCC unroll 12
  for (size_t r = 0; r < kTileRows; ++r) {
    uint32_t bits = 0;
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      bits |= HitBits(d, score[r][v], limit[v]) << v * kBlockLanes;
      hn::Store(score[r][v], d, scores + (r * kVectors + v) * kBlockLanes);
    }
    hits[r] = bits;
    rows |= uint32_t{bits != 0} << r;
  }
  return rows;
}

// The largest scores of each three rows.
template <size_t kVectors, class D, class V>
HWY_INLINE void StoreTops(D d, const V (&score)[kTileRows][kVectors], hn::TFromD<D>* tops) {
  static_assert(kTopRows == 3 && kTileRows % kTopRows == 0);
#pragma GCC unroll 12
  for (size_t r = 0; r < kTileRows; r += kTopRows) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) {
      const auto top = hn::Max(hn::Max(score[r][v], score[r + 1][v]), score[r + 2][v]);
      hn::Store(top, d, tops + (r / kTopRows * kVectors + v) * kBlockLanes);
    }
  }
}

template <size_t kVectors>
HWY_NOINLINE uint32_t FloatTile(const TileJob<float>& job) {
  TileSums<FloatMath, kVectors> sums;
  sums.Multiply(job);
  return StoreHits<kVectors>(FloatTag(), sums.sum, job.threshold, job.scores, job.hits);
}

template <size_t kVectors>
HWY_NOINLINE uint32_t IntTile(const TileJob<int32_t>& job) {
  TileSums<IntMath, kVectors> sums;
  sums.Multiply(job);
  return StoreHits<kVectors>(WordTag(), sums.sum, job.threshold, job.scores, job.hits);
}

template <size_t kVectors>
HWY_NOINLINE void FloatTops(const TileJob<float>& job) {
  TileSums<FloatMath, kVectors> sums;
  sums.Multiply(job);
  StoreTops<kVectors>(FloatTag(), sums.sum, job.scores);
}

template <size_t kVectors>
HWY_NOINLINE void IntTops(const TileJob<int32_t>& job) {
  TileSums<IntMath, kVectors> sums;
  sums.Multiply(job);
  StoreTops<kVectors>(WordTag(), sums.sum, job.scores);
}

template <size_t kVectors>
struct ScaledScores {
  FloatVec score[kTileRows][kVectors];
  HWY_INLINE explicit ScaledScores(const ScaledTileJob& job) {
    TileSums<IntMath, kVectors> sums;
    sums.Multiply(job.product);
#pragma GCC unroll 12
    for (size_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 2
      for (size_t v = 0; v < kVectors; ++v) {
        const auto offset = hn::Load(WordTag(), job.offset + v * kBlockLanes);
        score[r][v] = hn::Mul(hn::ConvertTo(FloatTag(), hn::Add(sums.sum[r][v], offset)),
                              hn::Set(FloatTag(), job.scale[r]));
      }
    }
  }
};

template <size_t kVectors>
HWY_NOINLINE uint32_t ScaledTile(const ScaledTileJob& job) {
  const ScaledScores<kVectors> scores(job);
  return StoreHits<kVectors>(FloatTag(), scores.score, job.threshold, job.scores, job.product.hits);
}

template <size_t kVectors>
HWY_NOINLINE void ScaledTops(const ScaledTileJob& job) {
  const ScaledScores<kVectors> scores(job);
  StoreTops<kVectors>(FloatTag(), scores.score, job.scores);
}

// Twelve sums hide the latency of multiply-add on every CPU so far.
template <class Math>
HWY_NOINLINE double Peak(size_t steps) {
  constexpr size_t kSums = 12;
  alignas(64) typename Math::Word words[kBlockLanes] = {};
  words[0] = steps & 1;  // Not a constant to the compiler.
  auto factor = Math::Load(words);
  typename Math::Vec sum[kSums];
#pragma GCC unroll 12
  for (size_t i = 0; i < kSums; ++i) sum[i] = factor;
  for (size_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (size_t i = 0; i < kSums; ++i) {
      Opaque(factor);  // Or the product would be made only once.
      sum[i] = Math::MulAdd(factor, factor, sum[i]);
      Opaque(sum[i]);  // Or the sums would be one.
    }
  }
#pragma GCC unroll 12
  for (size_t i = 1; i < kSums; ++i) sum[0] = Math::MulAdd(factor, sum[i], sum[0]);
  asm volatile("" : : "x"(sum[0].raw));  // Or nothing of it would be done.
  return static_cast<double>(steps) * kSums * kBlockLanes * Math::kElements;
}

HWY_INLINE double FloatPeak(size_t steps) { return Peak<FloatMath>(steps); }
HWY_INLINE double IntPeak(size_t steps) { return Peak<IntMath>(steps); }

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_BLOCK_VECTORS

#endif  // per target
