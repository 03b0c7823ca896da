// Kernels in plain C++, for CPUs below Highway's lowest target and as the one set whose results are
// the same to the last bit on every machine.
#include <atomic>
#include <cstring>

#include "distance/targets.h"

namespace shoal::distance {
namespace {

// Float sums are split over this many accumulators, which the compiler may turn into vectors.
constexpr size_t kLanes = 8;

template <class T>
T LoadElement(const void* vector, size_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(vector) + i * sizeof(T), sizeof(T));
  return value;
}

template <Op kOp, class T>
T Term(T q, T r) {
  return kOp == Op::kL2 ? (q - r) * (q - r) : q * r;
}

float ToFloat(float value) { return value; }
float ToFloat(Half value) { return HalfToFloat(value); }

template <Op kOp, class Element>
float PairFloat(const void* query, const void* row, size_t dim) {
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) {
      sums[k] +=
          Term<kOp>(LoadElement<float>(query, i + k), ToFloat(LoadElement<Element>(row, i + k)));
    }
  }
  for (size_t k = 0; i < dim; ++i, ++k)
    sums[k] += Term<kOp>(LoadElement<float>(query, i), ToFloat(LoadElement<Element>(row, i)));
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

template <Op kOp, class Element>
int32_t PairInt(const void* query, const void* row, size_t dim) {
  const auto* q = static_cast<const Element*>(query);
  const auto* r = static_cast<const Element*>(row);
  int32_t sum = 0;
  for (size_t i = 0; i < dim; ++i) sum += Term<kOp>(static_cast<int>(q[i]), static_cast<int>(r[i]));
  return sum;
}

template <Op kOp, class Element>
float PairIntAsFloat(const void* query, const void* row, size_t dim) {
  return static_cast<float>(PairInt<kOp, Element>(query, row, dim));
}

// Every cache line of a row; the fence keeps g++ 12 from dropping all but the first.
void PrefetchRow(const std::byte* row, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(row + i);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

template <PairFn kPair, class Element>
void Batch(const void* query, const std::byte* const* rows, size_t n, size_t dim, float* out) {
  constexpr size_t kRowsAhead = 4;
  const size_t bytes = dim * sizeof(Element);
  for (size_t j = 0; j < kRowsAhead && j < n; ++j) PrefetchRow(rows[j], bytes);
  for (size_t j = 0; j < n; ++j) {
    if (j + kRowsAhead < n) PrefetchRow(rows[j + kRowsAhead], bytes);
    out[j] = kPair(query, rows[j], dim);
  }
}

void HalvesToFloats(const Half* in, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = HalfToFloat(in[i]);
}

template <Op kOp>
constexpr PairFn kPairs[kScalarTypes] = {PairFloat<kOp, float>, PairFloat<kOp, Half>,
                                         PairIntAsFloat<kOp, int8_t>, PairIntAsFloat<kOp, uint8_t>};

constexpr KernelSet kKernels = {
    "scalar",
    {{Batch<kPairs<Op::kL2>[0], float>, Batch<kPairs<Op::kL2>[1], Half>,
      Batch<kPairs<Op::kL2>[2], int8_t>, Batch<kPairs<Op::kL2>[3], uint8_t>},
     {Batch<kPairs<Op::kDot>[0], float>, Batch<kPairs<Op::kDot>[1], Half>,
      Batch<kPairs<Op::kDot>[2], int8_t>, Batch<kPairs<Op::kDot>[3], uint8_t>}},
    {{kPairs<Op::kL2>[0], kPairs<Op::kL2>[1], kPairs<Op::kL2>[2], kPairs<Op::kL2>[3]},
     {kPairs<Op::kDot>[0], kPairs<Op::kDot>[1], kPairs<Op::kDot>[2], kPairs<Op::kDot>[3]}},
    {{nullptr, nullptr, PairInt<Op::kL2, int8_t>, PairInt<Op::kL2, uint8_t>},
     {nullptr, nullptr, PairInt<Op::kDot, int8_t>, PairInt<Op::kDot, uint8_t>}},
    HalvesToFloats,
};

}  // namespace

const KernelSet& PortableKernels() { return kKernels; }

}  // namespace shoal::distance
