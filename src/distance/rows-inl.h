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

// Rows that share the loads of the query and one sum over lanes.
constexpr size_t kRowsAtOnce = 4;

// How many rows ahead of their use rows are prefetched: about 2 KB, at least two rows.
HWY_INLINE size_t RowsAhead(size_t row_bytes) {
  return row_bytes <= 128 ? 8 : row_bytes <= 1024 ? 4 : 2;
}

// Every cache line of the row. The fence keeps g++ 12 from dropping all but the first prefetch.
HWY_INLINE void PrefetchRow(const std::byte* row, size_t bytes) {
  constexpr uintptr_t kLine = 64;
  const std::byte* line = row - (reinterpret_cast<uintptr_t>(row) & (kLine - 1));
  for (; line < row + bytes; line += kLine) {
    __builtin_prefetch(line);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

// The sums of kRows rows over all elements.
template <class K, size_t kRows>
HWY_INLINE void SumRows(const std::byte* query, const std::byte* const* rows, size_t dim,
                        typename K::Sums (&sums)[kRows]) {
  const std::byte* row[kRows];
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
    row[r] = rows[r];
    sums[r] = K::Zero();
  }
  size_t i = 0;
  for (; i + K::kBlock <= dim; i += K::kBlock) {
    const typename K::Query q = K::LoadQuery(query, i);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) K::Step(q, K::LoadRow(row[r], i), sums[r]);
  }
  if (i == dim) return;
  const typename K::Query q = K::LoadQuery(query, i, dim - i);
#pragma GCC unroll 4
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

template <class K>
HWY_INLINE void FourRows(const std::byte* query, const std::byte* const* rows, size_t dim,
                         typename K::Correction correction, float* out) {
  typename K::Sums sums[4];
  SumRows<K, 4>(query, rows, dim, sums);
  const auto a = FourLanes<K>(sums[0]);
  const auto b = FourLanes<K>(sums[1]);
  const auto c = FourLanes<K>(sums[2]);
  const auto e = FourLanes<K>(sums[3]);
  const hn::DFromV<decltype(a)> d4;
  const hn::Rebind<float, decltype(d4)> df4;
  hn::StoreU(K::ToFloat(df4, K::CorrectedFour(d4, SumFourByFour(d4, a, b, c, e), correction)), df4,
             out);
}

// The entry points; see kernels.h.

template <class K>
static void Batch(const void* query_data, const std::byte* const* rows, size_t n, size_t dim,
                  float* out) {
  const auto* query = static_cast<const std::byte*>(query_data);
  const size_t bytes = dim * sizeof(typename K::Element);
  const size_t ahead = RowsAhead(bytes);
  for (size_t j = 0; j < ahead && j < n; ++j) PrefetchRow(rows[j], bytes);
  const typename K::Correction correction = K::MakeCorrection(query, dim);
  size_t j = 0;
  for (; j + kRowsAtOnce <= n; j += kRowsAtOnce) {
    for (size_t k = j + ahead; k < j + ahead + kRowsAtOnce && k < n; ++k)
      PrefetchRow(rows[k], bytes);
    FourRows<K>(query, rows + j, dim, correction, out + j);
  }
  for (; j < n; ++j) out[j] = static_cast<float>(OneRow<K>(query, rows[j], dim, correction));
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
