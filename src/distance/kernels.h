// Distance kernels: one query against many rows, for every scalar type, for every instruction set.
//
// Templates and ISA flags live in this folder only. A caller picks a function pointer once per
// query and calls it once per hop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "shoal/types.h"

namespace shoal::distance {

enum class Op : uint8_t {
  kL2,       // sum (q_i - r_i)^2
  kDot,      // sum q_i r_i
  kL1,       // sum |q_i - r_i|
  kHamming,  // How many q_i and r_i differ. For bits, which have no other.
};
inline constexpr size_t kOps = 4;
inline constexpr size_t kScalarTypes = 5;

// out[j] = op(query, rows[j]) for j < n; prefetches rows ahead of their use.
// query: `dim` elements, float for float32 AND float16 rows, else of the rows' own type.
// rows[j]: `dim` elements of the scalar type, any alignment; not one byte behind them is read.
// int8, uint8 and bits are summed exactly in int32 (dim <= kMaxDim) and rounded once, to float.
// Bits behind the last element are 0.
using BatchFn = void (*)(const void* query, const std::byte* const* rows, size_t n, size_t dim,
                         float* out);
// The same for one row of int8, uint8 or bits, exact.
using PairIntFn = int32_t (*)(const void* a, const void* b, size_t dim);
// The same for one row of any type; query as in BatchFn.
using PairFn = float (*)(const void* query, const void* row, size_t dim);
// To float, exact, n elements.
using HalfToFloatFn = void (*)(const Half* in, size_t n, float* out);

// All kernels compiled for one instruction set.
struct KernelSet {
  std::string_view isa;                    // "avx3_dl", "avx3", "avx2", "sse4", "ssse3", "scalar"
  BatchFn batch[kOps][kScalarTypes];       // [op][scalar type]; null where there is none
  PairFn pair[kOps][kScalarTypes];         // likewise
  PairIntFn pair_int[kOps][kScalarTypes];  // null also for floats
  HalfToFloatFn half_to_float;

  BatchFn Batch(Op op, ScalarType type) const {
    return batch[static_cast<size_t>(op)][static_cast<size_t>(type)];
  }
  PairFn Pair(Op op, ScalarType type) const {
    return pair[static_cast<size_t>(op)][static_cast<size_t>(type)];
  }
  PairIntFn PairInt(Op op, ScalarType type) const {
    return pair_int[static_cast<size_t>(op)][static_cast<size_t>(type)];
  }
};

// The set in use: the best that this CPU has, or what SHOAL_ISA names. Decided once, thread-safe.
const KernelSet& Active();
// Every set in this binary that this CPU runs, best first; never empty.
std::span<const KernelSet* const> Available();
// The available set of that name; when there is none, the best.
const KernelSet& KernelsFor(std::string_view isa);
// Empty, or why SHOAL_ISA was not followed.
std::string_view Note();
// "scalar": plain C++ for any CPU; the last of the available.
const KernelSet& PortableKernels();
// The set compiled for one target of Highway (HWY_AVX2, ...), or null. For dispatch.cc only.
const KernelSet* VectorKernels(int64_t target);

}  // namespace shoal::distance
