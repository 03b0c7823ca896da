// The kernels of block_dot.h in plain C++, for CPUs below Highway's lowest target.
#include <cmath>
#include <cstring>

#include "distance/block_dot.h"

namespace shoal::distance {
namespace {

constexpr size_t kLanes = 4;
constexpr size_t kRows = 3;
static_assert(kRows == kTopRows);

struct FloatMath {
  using Word = float;
  static constexpr size_t kElements = 1;
  static float MulAdd(float query, float row, float sum) { return query * row + sum; }
};
struct IntMath {
  using Word = int32_t;
  static constexpr size_t kElements = 2;
  // Two int16 in each word.
  static int32_t MulAdd(int32_t query, int32_t row, int32_t sum) {
    return static_cast<int16_t>(query) * static_cast<int16_t>(row) + (query >> 16) * (row >> 16) +
           sum;
  }
};

template <class Math, size_t kWidth>
struct Sums {
  using Word = typename Math::Word;
  Word sum[kRows][kWidth];

  explicit Sums(const TileJob<Word>& job) {
    for (size_t r = 0; r < kRows; ++r)
      for (size_t i = 0; i < kWidth; ++i) sum[r][i] = job.bias[r];
    const auto* panel = static_cast<const Word*>(job.panel);
    const auto* tile = static_cast<const Word*>(job.tile);
    for (size_t w = 0; w < job.words; ++w, panel += kWidth) {
      const Word* word = tile + w / kChunkWords * kRows * kChunkWords + w % kChunkWords;
      for (size_t r = 0; r < kRows; ++r)
        for (size_t i = 0; i < kWidth; ++i)
          sum[r][i] = Math::MulAdd(panel[i], word[r * kChunkWords], sum[r][i]);
    }
  }
};

template <size_t kWidth, class Word>
uint32_t StoreHits(const Word (&score)[kRows][kWidth], const Word* threshold, Word* scores,
                   uint32_t* hits) {
  uint32_t rows = 0;
  for (size_t r = 0; r < kRows; ++r) {
    hits[r] = 0;
    for (size_t i = 0; i < kWidth; ++i) hits[r] |= uint32_t{score[r][i] >= threshold[i]} << i;
    rows |= uint32_t{hits[r] != 0} << r;
  }
  if (rows != 0) std::memcpy(scores, score, sizeof(score));
  return rows;
}

template <class Math, size_t kVectors>
uint32_t Tile(const TileJob<typename Math::Word>& job) {
  const Sums<Math, kVectors * kLanes> sums(job);
  return StoreHits(sums.sum, job.threshold, job.scores, job.hits);
}

template <size_t kWidth, class Word>
void StoreTops(const Word (&score)[kRows][kWidth], Word* tops) {
  for (size_t i = 0; i < kWidth; ++i) {
    tops[i] = score[0][i];
    for (size_t r = 1; r < kRows; ++r) tops[i] = tops[i] < score[r][i] ? score[r][i] : tops[i];
  }
}

template <class Math, size_t kVectors>
void Tops(const TileJob<typename Math::Word>& job) {
  const Sums<Math, kVectors * kLanes> sums(job);
  StoreTops(sums.sum, job.scores);
}

template <size_t kVectors>
struct ScaledScores {
  float score[kRows][kVectors * kLanes];
  explicit ScaledScores(const ScaledTileJob& job) {
    const Sums<IntMath, kVectors * kLanes> sums(job.product);
    for (size_t r = 0; r < kRows; ++r)
      for (size_t i = 0; i < kVectors * kLanes; ++i)
        score[r][i] = static_cast<float>(sums.sum[r][i] + job.offset[i]) * job.scale[r];
  }
};

template <size_t kVectors>
uint32_t ScaledTile(const ScaledTileJob& job) {
  const ScaledScores<kVectors> scores(job);
  return StoreHits(scores.score, job.threshold, job.scores, job.product.hits);
}

template <size_t kVectors>
void ScaledTops(const ScaledTileJob& job) {
  const ScaledScores<kVectors> scores(job);
  StoreTops(scores.score, job.scores);
}

float ToFloat(float value) { return value; }
float ToFloat(Half value) { return HalfToFloat(value); }

template <class T>
double PackFloats(const void* in, const float* centre, float scale, size_t dim, float* out,
                  size_t stride) {
  double norm = 0;
  for (size_t i = 0; i < dim; i += kChunkWords, out += stride) {
    for (size_t j = 0; j < kChunkWords; ++j) {
      T element = {};
      float shifted = 0;
      if (i + j < dim) {
        std::memcpy(&element, static_cast<const T*>(in) + i + j, sizeof(T));
        shifted = (ToFloat(element) - centre[i + j]) * scale;
      }
      out[j] = shifted;
      norm += static_cast<double>(shifted) * shifted;
    }
  }
  return norm;
}

template <class T>
PackedInt PackInts(const void* in, size_t dim, std::byte* out, size_t stride) {
  constexpr size_t kChunk = kChunkWords * IntMath::kElements;
  const auto* elements = static_cast<const T*>(in);
  PackedInt packed{0, 0};
  for (size_t i = 0; i < dim; i += kChunk, out += stride) {
    int16_t chunk[kChunk] = {};
    for (size_t j = 0; j < kChunk && i + j < dim; ++j) {
      chunk[j] = elements[i + j];
      packed.norm += chunk[j] * chunk[j];
    }
    std::memcpy(out, chunk, sizeof(chunk));
  }
  return packed;
}

struct L2 {
  static double Term(double a, double b) { return (a - b) * (a - b); }
};
struct Dot {
  static double Term(double a, double b) { return a * b; }
};

struct L1 {
  static double Term(double a, double b) { return std::abs(a - b); }
};

// The order of summation is that of block_exact-inl.h.
template <class Op>
double Exact(const float* a, const float* b, size_t dim) {
  double s[8] = {};
  for (size_t i = 0; i < dim; ++i) {
    float x;
    float y;
    std::memcpy(&x, a + i, sizeof(x));
    std::memcpy(&y, b + i, sizeof(y));
    s[i % 8] += Op::Term(x, y);
  }
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

void ToFloats(const Half* in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) {
    Half half;
    std::memcpy(&half, in + i, sizeof(half));
    out[i] = HalfToFloat(half);
  }
}

template <class Math>
double Peak(size_t steps) {
  typename Math::Word sum[kLanes] = {};
  const auto factor = static_cast<typename Math::Word>(steps & 1);
  for (size_t step = 0; step < steps; ++step) {
    for (size_t i = 0; i < kLanes; ++i) sum[i] = Math::MulAdd(factor, factor, sum[i]);
    asm volatile("" : : "r"(sum) : "memory");
  }
  return static_cast<double>(steps) * kLanes * Math::kElements;
}

constexpr BlockKernels kPortable = {
    "scalar",
    kLanes,
    kRows,
    IntMath::kElements,
    {Tile<FloatMath, 1>, Tile<FloatMath, 2>},
    {Tile<IntMath, 1>, Tile<IntMath, 2>},
    {ScaledTile<1>, ScaledTile<2>},
    {Tops<FloatMath, 1>, Tops<FloatMath, 2>},
    {Tops<IntMath, 1>, Tops<IntMath, 2>},
    {ScaledTops<1>, ScaledTops<2>},
    PackFloats<float>,
    PackFloats<Half>,
    PackInts<int8_t>,
    PackInts<int8_t>,
    PackInts<uint8_t>,
    PackInts<uint8_t>,
    Exact<L2>,
    Exact<Dot>,
    Exact<L1>,
    ToFloats,
    Peak<FloatMath>,
    Peak<IntMath>,
};

}  // namespace

const BlockKernels& PortableBlockKernels() { return kPortable; }

}  // namespace shoal::distance
