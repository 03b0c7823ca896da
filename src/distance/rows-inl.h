// The loops over rows and blocks of elements, written once for all kernels and compiled once per
// instruction set. A kernel K says what happens to one block:
//   Element            what a row consists of
//   kBlock             elements per step
//   Query, Row         a block in registers
//   Sums               what is summed up for one row
//   LoadQuery, LoadRow (vector, i)  the block at element i, and with a third argument
//                      `count` < kBlock: only `count` elements, the rest neutral
//   Step(query, row, sums)
//   Total(sums)        one vector, whose lanes sum to the result (but for Correction)
//   Correction(query, dim)  what is added to every row's sum; NoCorrection if nothing
//   RowBytes(query, dim)    where dim elements are not all that a row has
//   SumsOfFour(query, rows, dim)  the sums of four rows, where one after another is slower

#include "distance/vector-inl.h"

#if defined(SHOAL_DISTANCE_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SHOAL_DISTANCE_ROWS_INL_H_
#undef SHOAL_DISTANCE_ROWS_INL_H_
#else
#define SHOAL_DISTANCE_ROWS_INL_H_
#endif

#if SHOAL_DISTANCE_VECTORS
SHOAL_DISTANCE_BEFORE_NAMESPACE();
namespace shoal::distance {
namespace HWY_NAMESPACE {

// Rows of at least this many bytes are left to the hardware's stream prefetchers but for their
// first lines, which start the streams; and more of them are read side by side, for more streams.
constexpr size_t kLongRow = 1024;
#if HWY_CAP_GE512
constexpr size_t kLongRowsAtOnce = 8;
#else
constexpr size_t kLongRowsAtOnce = 4;  // Registers for no more.
#endif
// Rows that share the loads of the query and one sum over lanes.
constexpr size_t kRowsAtOnce = 4;

// How many bytes of a row are fetched before its turn.
struct Lookahead {
  size_t far_bytes;   // kFarRows ahead, into the second-level cache;
  size_t near_bytes;  // kNearRows ahead, into the first.
};
constexpr size_t kFarRows = 32;
constexpr size_t kNearRows = 8;

// Measured by distance_bench on one Intel server (2 MB second level, 16 line fill buffers): random
// rows on 2 MB pages, batches of 12 to 32. Elsewhere a guess. The first level's few fill buffers
// bound what it can wait for at once, so most of a batch is called into the second level at its
// start. To ask for every line of a long row is slower (by a third) than to ask for none.
HWY_INLINE Lookahead LookaheadFor(size_t row_bytes) {
  if (row_bytes >= kLongRow) return {128, 512};
  if (row_bytes > 128) return {row_bytes < 512 ? row_bytes : 512, row_bytes};
  return {row_bytes, 0};  // So few lines that the second level is near enough.
}

// Every cache line of the row's first `bytes`, into cache level kLevel. The fence keeps g++ 12 from
// dropping all but the first prefetch of the loop.
template <int kLevel>
HWY_INLINE void PrefetchRow(const std::byte* row, size_t bytes) {
  constexpr uintptr_t kLine = 64;
  const std::byte* line = row - (reinterpret_cast<uintptr_t>(row) & (kLine - 1));
  for (; line < row + bytes; line += kLine) {
    __builtin_prefetch(line, 0, kLevel == 1 ? 3 : 2);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

// Rows [begin, end) of n.
template <int kLevel>
HWY_INLINE void PrefetchRows(const std::byte* const* rows, size_t begin, size_t end, size_t n,
                             size_t bytes) {
  for (size_t j = begin; j < end && j < n; ++j) PrefetchRow<kLevel>(rows[j], bytes);
}

// The sums of kRows rows over all elements.
template <class K, size_t kRows>
HWY_INLINE void SumRows(const std::byte* query, const std::byte* const* rows, size_t dim,
                        typename K::Sums (&sums)[kRows]) {
  const std::byte* row[kRows];
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) {
    row[r] = rows[r];
    sums[r] = K::Zero();
  }
  size_t i = 0;
  for (; i + K::kBlock <= dim; i += K::kBlock) {
    const typename K::Query q = K::LoadQuery(query, i);
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) K::Step(q, K::LoadRow(row[r], i), sums[r]);
  }
  if (i == dim) return;
  const typename K::Query q = K::LoadQuery(query, i, dim - i);
#pragma GCC unroll 8
  for (size_t r = 0; r < kRows; ++r) K::Step(q, K::LoadRow(row[r], i, dim - i), sums[r]);
}

// A row's sums, folded to four lanes.
template <class K>
HWY_INLINE auto FourLanes(const typename K::Sums& sums) {
  return FoldToFour(typename K::Lanes(), K::Total(sums));
}

// One row; the result in the kernel's own type of sum, float or int32_t.
template <class K>
HWY_INLINE auto OneRow(const std::byte* query, const std::byte* row, size_t dim,
                       typename K::Correction correction) {
  typename K::Sums sums[1];
  SumRows<K, 1>(query, &row, dim, sums);
  const auto folded = FourLanes<K>(sums[0]);
  const hn::DFromV<decltype(folded)> d4;
  return K::Corrected(SumFour(d4, folded), correction);
}

template <class K, class V4>
HWY_INLINE void StoreFour(V4 sums, typename K::Correction correction, float* out) {
  const hn::DFromV<V4> d4;
  const hn::Rebind<float, decltype(d4)> df4;
  hn::StoreU(K::ToFloat(df4, K::CorrectedFour(d4, sums, correction)), df4, out);
}

// kRows rows, a multiple of four.
template <class K, size_t kRows>
HWY_INLINE void ManyRows(const std::byte* query, const std::byte* const* rows, size_t dim,
                         typename K::Correction correction, float* out) {
  if constexpr (requires { K::SumsOfFour(query, rows, dim); }) {
    static_assert(kRows == 4);
    StoreFour<K>(K::SumsOfFour(query, rows, dim), correction, out);
  } else {
    typename K::Sums sums[kRows];
    SumRows<K, kRows>(query, rows, dim, sums);
#pragma GCC unroll 2
    for (size_t r = 0; r < kRows; r += 4) {
      const auto a = FourLanes<K>(sums[r]);
      const auto b = FourLanes<K>(sums[r + 1]);
      const auto c = FourLanes<K>(sums[r + 2]);
      const auto e = FourLanes<K>(sums[r + 3]);
      const hn::DFromV<decltype(a)> d4;
      StoreFour<K>(SumFourByFour(d4, a, b, c, e), correction, out + r);
    }
  }
}

// The n < kRows rows that are left: the last one stands in for those that are missing, which costs
// next to nothing, as it is in the cache by then.
template <class K, size_t kRows>
HWY_INLINE void RestOfRows(const std::byte* query, const std::byte* const* rows, size_t n,
                           size_t dim, typename K::Correction correction, float* out) {
  if (n == 0) return;
  if (n == 1) {
    *out = static_cast<float>(OneRow<K>(query, *rows, dim, correction));
    return;
  }
  const std::byte* padded[kRows];
  float results[kRows];
  for (size_t r = 0; r < kRows; ++r) padded[r] = rows[r < n ? r : n - 1];
  ManyRows<K, kRows>(query, padded, dim, correction, results);
  for (size_t r = 0; r < n; ++r) out[r] = results[r];
}

template <class K>
HWY_INLINE size_t BytesOfRow(const std::byte* query, size_t dim) {
  if constexpr (requires { K::RowBytes(query, dim); }) {
    return K::RowBytes(query, dim);
  } else {
    return dim * sizeof(typename K::Element);
  }
}

template <class K, size_t kRows>
HWY_INLINE void AllRows(const std::byte* query, const std::byte* const* rows, size_t n, size_t dim,
                        float* out) {
  const Lookahead ahead = LookaheadFor(BytesOfRow<K>(query, dim));
  PrefetchRows<2>(rows, 0, kFarRows, n, ahead.far_bytes);
  PrefetchRows<1>(rows, 0, kNearRows, n, ahead.near_bytes);
  const typename K::Correction correction = K::MakeCorrection(query, dim);
  size_t j = 0;
  for (; j + kRows <= n; j += kRows) {
    PrefetchRows<2>(rows, j + kFarRows, j + kFarRows + kRows, n, ahead.far_bytes);
    PrefetchRows<1>(rows, j + kNearRows, j + kNearRows + kRows, n, ahead.near_bytes);
    ManyRows<K, kRows>(query, rows + j, dim, correction, out + j);
  }
  RestOfRows<K, kRows>(query, rows + j, n - j, dim, correction, out + j);
}

// The entry points; see kernels.h.

template <class K>
static void Batch(const void* query_data, const std::byte* const* rows, size_t n, size_t dim,
                  float* out) {
  const auto* query = static_cast<const std::byte*>(query_data);
  if (BytesOfRow<K>(query, dim) < kLongRow) {
    AllRows<K, kRowsAtOnce>(query, rows, n, dim, out);
  } else {
    AllRows<K, kLongRowsAtOnce>(query, rows, n, dim, out);
  }
}

template <class K>
static auto PairExact(const void* query_data, const void* row, size_t dim) {
  const auto* query = static_cast<const std::byte*>(query_data);
  return OneRow<K>(query, static_cast<const std::byte*>(row), dim, K::MakeCorrection(query, dim));
}

template <class K>
static float Pair(const void* query, const void* row, size_t dim) {
  return static_cast<float>(PairExact<K>(query, row, dim));
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace shoal::distance
HWY_AFTER_NAMESPACE();
#endif  // SHOAL_DISTANCE_VECTORS

#endif  // per target
