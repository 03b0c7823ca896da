// Kernels for small codes, and what prepares vectors for them: for every instruction set, apart
// from kernels.h as few programs need them. What the codes mean is in src/codec.
//
// A code has B = 1, 2, 3, 4 or 8 bits an element. Its elements stand in `kCodeRuns[B]` runs of
// equal length, `run` bytes of each section of a row:
//   B        runs  sections  element j of run r
//   1, 2, 4  8/B   1         bits B r and up of byte j
//   3        8     3         r < 6: bits 3 (r % 2) and up of byte j of section r / 2;
//                            r = 6, 7: bits 6 and 7 of byte j of section r - 6, with bit r of byte
//                            j of section 2 above them
//   8        1     1         byte j
// Element i of a vector is element i % run of run i / run. So a register of a section holds as many
// neighbouring elements of each run, and the query is read in its own order. Elements behind the
// last one are 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "distance/kernels.h"

namespace shoal::distance {

inline constexpr size_t kMaxCodeBits = 8;
inline constexpr size_t CodeRuns(size_t bits) { return bits == 3 ? 8 : 8 / bits; }
inline constexpr size_t CodeSections(size_t bits) { return bits == 3 ? 3 : 1; }
// Bytes of a section of `dim` elements, and of their code.
inline constexpr size_t CodeRun(size_t bits, size_t dim) {
  return (dim + CodeRuns(bits) - 1) / CodeRuns(bits);
}
inline constexpr size_t CodeBytes(size_t bits, size_t dim) {
  return CodeSections(bits) * CodeRun(bits, dim);
}

// A query of codes.
struct CodeQuery {
  // runs x run elements, and any kCodePadding bytes behind them that may be read. int8_t; for 8
  // bits int16_t, of magnitudes that keep the result in an int32.
  const void* elements = nullptr;
  size_t run = 0;
  size_t offset = 0;  // Of the code in its row.
};
inline constexpr size_t kCodePadding = 128;

// out[j] = sum of v_i u_i over the elements u of rows[j], exact in int32 and rounded once, to
// float. As BatchFn, but the query is a CodeQuery, which says what `dim` says elsewhere.
using CodeFn = BatchFn;
// The Walsh-Hadamard transform, not scaled, of n elements, in place: n is a power of two, at least
// 16. The same to the last bit in every instruction set.
using HadamardFn = void (*)(float* x, size_t n);

struct CodeKernels {
  std::string_view isa;           // As in KernelSet.
  CodeFn code[kMaxCodeBits + 1];  // [bits], null where there is no such code.
  BatchFn bfloat16[kOps];         // As KernelSet::batch: a float query, rows of bfloat16.
  HadamardFn hadamard;
};

// The set of the instruction set in use (Active()). Thread-safe.
const CodeKernels& ActiveCodes();
// Every set in this binary that this CPU runs, best first; never empty.
std::span<const CodeKernels* const> AvailableCodes();
// "scalar": plain C++ for any CPU; the last of the available.
const CodeKernels& PortableCodeKernels();
// The set compiled for one target of Highway (HWY_AVX2, ...), or null. For code_dispatch.cc only.
const CodeKernels* VectorCodeKernels(int64_t target);

}  // namespace shoal::distance
