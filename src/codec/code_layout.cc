#include "codec/code_layout.h"

#include "distance/code_kernels.h"

namespace shoal {
namespace {

uint8_t* AsBytes(std::byte* code) { return reinterpret_cast<uint8_t*>(code); }
const uint8_t* AsBytes(const std::byte* code) { return reinterpret_cast<const uint8_t*>(code); }

void PackThreeBits(size_t run, const uint8_t* elements, uint8_t* code) {
  const auto at = [&](size_t r, size_t j) -> uint32_t { return elements[r * run + j]; };
  for (size_t j = 0; j < run; ++j) {
    const uint32_t e6 = at(6, j), e7 = at(7, j);
    code[j] = static_cast<uint8_t>(at(0, j) | at(1, j) << 3 | e6 << 6);
    code[run + j] = static_cast<uint8_t>(at(2, j) | at(3, j) << 3 | e7 << 6);
    code[2 * run + j] =
        static_cast<uint8_t>(at(4, j) | at(5, j) << 3 | (e6 >> 2) << 6 | (e7 >> 2) << 7);
  }
}

void UnpackThreeBits(size_t run, const uint8_t* code, uint8_t* elements) {
  for (size_t r = 0; r < 6; ++r)
    for (size_t j = 0; j < run; ++j)
      elements[r * run + j] = (code[r / 2 * run + j] >> (3 * (r % 2))) & 7u;
  for (size_t r = 6; r < 8; ++r)
    for (size_t j = 0; j < run; ++j)
      elements[r * run + j] = static_cast<uint8_t>((code[(r - 6) * run + j] >> 6) |
                                                   (((code[2 * run + j] >> r) & 1u) << 2));
}

}  // namespace

void PackCode(size_t bits, size_t run, const uint8_t* elements, std::byte* code) {
  if (bits == 3) return PackThreeBits(run, elements, AsBytes(code));
  uint8_t* const bytes = AsBytes(code);
  for (size_t j = 0; j < run; ++j) bytes[j] = elements[j];
  for (size_t r = 1; r < distance::CodeRuns(bits); ++r)
    for (size_t j = 0; j < run; ++j)
      bytes[j] = static_cast<uint8_t>(bytes[j] | elements[r * run + j] << (bits * r));
}

void UnpackCode(size_t bits, size_t run, const std::byte* code, uint8_t* elements) {
  if (bits == 3) return UnpackThreeBits(run, AsBytes(code), elements);
  const uint32_t mask = (1u << bits) - 1;
  for (size_t r = 0; r < distance::CodeRuns(bits); ++r)
    for (size_t j = 0; j < run; ++j)
      elements[r * run + j] = static_cast<uint8_t>((AsBytes(code)[j] >> (bits * r)) & mask);
}

}  // namespace shoal
