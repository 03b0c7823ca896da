// CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and LevelDB: polynomial 0x1edc6f41, bits
// reflected, starting value and result inverted. It finds every error of up to 32 bits in a row.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal {

// The checksum of `bytes` bytes. `before`: the checksum of what stands in front of them, so that
// Crc32c(b, m, Crc32c(a, n)) is that of a and b together.
uint32_t Crc32c(const void* data, size_t bytes, uint32_t before = 0);

// The two ways to compute it, for tests: with tables, on every CPU; with the CPU's own instruction,
// where HasCrc32cInstruction().
uint32_t Crc32cByTable(const void* data, size_t bytes, uint32_t before = 0);
bool HasCrc32cInstruction();
uint32_t Crc32cByInstruction(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace shoal
