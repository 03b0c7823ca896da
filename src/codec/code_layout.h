// Elements of small codes, one a byte, and packed as the kernels read them (code_kernels.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal {

// `elements`: CodeRuns(bits) x `run`, those behind the last one of the vector 0; each below 2^bits.
// `code`: CodeSections(bits) x `run` bytes. `bits`: 1 to 4.
void PackCode(size_t bits, size_t run, const uint8_t* elements, std::byte* code);
void UnpackCode(size_t bits, size_t run, const std::byte* code, uint8_t* elements);

}  // namespace shoal
