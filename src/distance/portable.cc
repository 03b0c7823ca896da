// Kernels in plain C++, for CPUs below Highway's lowest target and as the one set whose results are
// the same to the last bit on every machine.
#include <atomic>
#include <bit>
#include <cstring>

#include "distance/kernels.h"

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
  if (kOp == Op::kL1) return q < r ? r - q : q - r;
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

int32_t HammingExact(const void* query, const void* row, size_t dim) {
  const size_t bytes = (dim + 7) / 8;
  int32_t sum = 0;
  size_t i = 0;
  for (; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
    uint64_t q, r;
    std::memcpy(&q, static_cast<const std::byte*>(query) + i, sizeof(q));
    std::memcpy(&r, static_cast<const std::byte*>(row) + i, sizeof(r));
    sum += std::popcount(q ^ r);
  }
  for (; i < bytes; ++i)
    sum += std::popcount(
        static_cast<uint8_t>(LoadElement<uint8_t>(query, i) ^ LoadElement<uint8_t>(row, i)));
  return sum;
}

float Hamming(const void* query, const void* row, size_t dim) {
  return static_cast<float>(HammingExact(query, row, dim));
}

// Every cache line of a row; the fence keeps g++ 12 from dropping all but the first.
void PrefetchRow(const std::byte* row, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(row + i);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
}

template <PairFn kPair, ScalarType kType>
void Batch(const void* query, const std::byte* const* rows, size_t n, size_t dim, float* out) {
  constexpr size_t kRowsAhead = 4;
  const size_t bytes = BytesOf(kType, dim);
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
                                         PairIntAsFloat<kOp, int8_t>, PairIntAsFloat<kOp, uint8_t>,
                                         nullptr};
template <Op kOp, ScalarType kType>
constexpr BatchFn kBatch = Batch<kPairs<kOp>[static_cast<size_t>(kType)], kType>;

constexpr KernelSet kKernels = {
    "scalar",
    {{kBatch<Op::kL2, ScalarType::kFloat32>, kBatch<Op::kL2, ScalarType::kFloat16>,
      kBatch<Op::kL2, ScalarType::kInt8>, kBatch<Op::kL2, ScalarType::kUint8>, nullptr},
     {kBatch<Op::kDot, ScalarType::kFloat32>, kBatch<Op::kDot, ScalarType::kFloat16>,
      kBatch<Op::kDot, ScalarType::kInt8>, kBatch<Op::kDot, ScalarType::kUint8>, nullptr},
     {kBatch<Op::kL1, ScalarType::kFloat32>, kBatch<Op::kL1, ScalarType::kFloat16>,
      kBatch<Op::kL1, ScalarType::kInt8>, kBatch<Op::kL1, ScalarType::kUint8>, nullptr},
     {nullptr, nullptr, nullptr, nullptr, Batch<Hamming, ScalarType::kBit>}},
    {{kPairs<Op::kL2>[0], kPairs<Op::kL2>[1], kPairs<Op::kL2>[2], kPairs<Op::kL2>[3], nullptr},
     {kPairs<Op::kDot>[0], kPairs<Op::kDot>[1], kPairs<Op::kDot>[2], kPairs<Op::kDot>[3], nullptr},
     {kPairs<Op::kL1>[0], kPairs<Op::kL1>[1], kPairs<Op::kL1>[2], kPairs<Op::kL1>[3], nullptr},
     {nullptr, nullptr, nullptr, nullptr, Hamming}},
    {{nullptr, nullptr, PairInt<Op::kL2, int8_t>, PairInt<Op::kL2, uint8_t>, nullptr},
     {nullptr, nullptr, PairInt<Op::kDot, int8_t>, PairInt<Op::kDot, uint8_t>, nullptr},
     {nullptr, nullptr, PairInt<Op::kL1, int8_t>, PairInt<Op::kL1, uint8_t>, nullptr},
     {nullptr, nullptr, nullptr, nullptr, HammingExact}},
    HalvesToFloats,
};

}  // namespace

const KernelSet& PortableKernels() { return kKernels; }

}  // namespace shoal::distance
