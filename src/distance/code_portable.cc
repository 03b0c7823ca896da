// Kernels for codes in plain C++, as portable.cc.
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "distance/code_kernels.h"

namespace shoal::distance {
namespace {

// Element j of run r of a code.
template <size_t kBits>
uint32_t ElementAt(const std::byte* code, size_t run, size_t r, size_t j) {
  const auto byte = [&](size_t section) {
    return std::to_integer<uint32_t>(code[section * run + j]);
  };
  if constexpr (kBits != 3) {
    return (byte(0) >> (kBits * r)) & ((1u << kBits) - 1);
  } else {
    if (r < 6) return (byte(r / 2) >> (3 * (r % 2))) & 7u;
    return (byte(r - 6) >> 6) | (((byte(2) >> r) & 1u) << 2);
  }
}

template <size_t kBits, class QueryElement>
int32_t SumOf(const CodeQuery& query, const std::byte* row) {
  const auto* v = static_cast<const QueryElement*>(query.elements);
  const std::byte* code = row + query.offset;
  uint32_t sum = 0;
  for (size_t r = 0; r < CodeRuns(kBits); ++r)
    for (size_t j = 0; j < query.run; ++j)
      sum += ElementAt<kBits>(code, query.run, r, j) * static_cast<uint32_t>(v[r * query.run + j]);
  return static_cast<int32_t>(sum);
}

// Every cache line of a row; the fence keeps g++ 12 from dropping all but the first.
void PrefetchRow(const std::byte* row, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(row + i);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

template <size_t kBits, class QueryElement>
void Batch(const void* query_data, const std::byte* const* rows, size_t n, size_t, float* out) {
  constexpr size_t kRowsAhead = 4;
  const auto& query = *static_cast<const CodeQuery*>(query_data);
  const size_t bytes = query.offset + CodeSections(kBits) * query.run;
  for (size_t j = 0; j < kRowsAhead && j < n; ++j) PrefetchRow(rows[j], bytes);
  for (size_t j = 0; j < n; ++j) {
    if (j + kRowsAhead < n) PrefetchRow(rows[j + kRowsAhead], bytes);
    out[j] = static_cast<float>(SumOf<kBits, QueryElement>(query, rows[j]));
  }
}

float BfloatAt(const std::byte* row, size_t i) {
  uint16_t bits;
  std::memcpy(&bits, row + i * sizeof(bits), sizeof(bits));
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

template <Op kOp>
void BfloatBatch(const void* query, const std::byte* const* rows, size_t n, size_t dim,
                 float* out) {
  constexpr size_t kLanes = 8;  // Accumulators.
  for (size_t j = 0; j < n; ++j) {
    if (j + 1 < n) PrefetchRow(rows[j + 1], dim * sizeof(uint16_t));
    float sums[kLanes] = {};
    for (size_t i = 0; i < dim; ++i) {
      float q;
      std::memcpy(&q, static_cast<const std::byte*>(query) + i * sizeof(q), sizeof(q));
      const float r = BfloatAt(rows[j], i);
      sums[i % kLanes] += kOp == Op::kL2   ? (q - r) * (q - r)
                          : kOp == Op::kL1 ? std::abs(q - r)
                                           : q * r;
    }
    out[j] =
        ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
  }
}

void Hadamard(float* x, size_t n) {
  for (size_t half = 1; half < n; half *= 2) {
    for (size_t block = 0; block < n; block += 2 * half) {
      for (size_t i = block; i < block + half; ++i) {
        const float a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }
}

constexpr CodeKernels kKernels = {
    "scalar",
    {nullptr, Batch<1, int8_t>, Batch<2, int8_t>, Batch<3, int8_t>, Batch<4, int8_t>, nullptr,
     nullptr, nullptr, Batch<8, int16_t>},
    {BfloatBatch<Op::kL2>, BfloatBatch<Op::kDot>, BfloatBatch<Op::kL1>, nullptr},
    Hadamard,
};

}  // namespace

const CodeKernels& PortableCodeKernels() { return kKernels; }

}  // namespace shoal::distance
