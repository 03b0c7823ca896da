#include "base/crc32c.h"

#include <cstring>

namespace shoal {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Reflected.
constexpr size_t kSlices = 8;

// tables[s][b]: what byte b does to the checksum when s more bytes follow. ("Slicing by eight".)
struct Tables {
  uint32_t of[kSlices][256];
};

constexpr Tables MakeTables() {
  Tables tables = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables.of[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice)
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables.of[slice - 1][byte];
      tables.of[slice][byte] = (crc >> 8) ^ tables.of[0][crc & 255];
    }
  return tables;
}

constexpr Tables kTables = MakeTables();

// The instruction takes three cycles, and a new one begins in each: so three streams are computed
// side by side. A register is a linear function of the register before: that after two streams is
// the first one's, with the second's length of zeros behind it, xor that of the second alone.
constexpr size_t kStream = 1024;

// kStreamOfZeros.of[i][b]: what byte i of a register becomes.
struct ZerosTable {
  uint32_t of[4][256];
};

constexpr ZerosTable MakeZerosTable() {
  ZerosTable table = {};
  for (size_t i = 0; i < 4; ++i) {
    for (size_t bit = 0; bit < 8; ++bit) {
      uint32_t crc = uint32_t{1} << (8 * i + bit);
      for (size_t zeros = 0; zeros < kStream; ++zeros) crc = (crc >> 8) ^ kTables.of[0][crc & 255];
      for (size_t byte = 0; byte < 256; ++byte)
        if ((byte >> bit & 1) != 0) table.of[i][byte] ^= crc;
    }
  }
  return table;
}

constexpr ZerosTable kStreamOfZeros = MakeZerosTable();

uint32_t BehindZeros(uint64_t crc) {
  uint32_t result = 0;
  for (size_t i = 0; i < 4; ++i) result ^= kStreamOfZeros.of[i][(crc >> (8 * i)) & 255];
  return result;
}

}  // namespace

uint32_t Crc32cByTable(const void* data, size_t bytes, uint32_t before) {
  const auto* in = static_cast<const unsigned char*>(data);
  uint32_t crc = ~before;
  for (; bytes >= 8; bytes -= 8, in += 8) {
    uint64_t word;
    std::memcpy(&word, in, sizeof(word));
    word ^= crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kTables.of[7 - i][(word >> (8 * i)) & 255];
  }
  for (; bytes > 0; --bytes, ++in) crc = (crc >> 8) ^ kTables.of[0][(crc ^ *in) & 255];
  return ~crc;
}

// Code for one instruction set stands in a namespace of its name (tests/symbols_test.py).
namespace N_SSE4 {

__attribute__((target("sse4.2"))) uint32_t Extend(const unsigned char* in, size_t bytes,
                                                  uint32_t before) {
  uint64_t crc = ~before;
  const auto extend =
      [](uint64_t & of, const unsigned char* at) __attribute__((target("sse4.2"), always_inline)) {
    uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    of = __builtin_ia32_crc32di(of, word);
  };
  for (; bytes >= 3 * kStream; bytes -= 3 * kStream, in += 3 * kStream) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < kStream; i += 8) {
      extend(crc, in + i);
      extend(second, in + kStream + i);
      extend(third, in + 2 * kStream + i);
    }
    crc = BehindZeros(BehindZeros(crc) ^ second) ^ third;
  }
  for (; bytes >= 8; bytes -= 8, in += 8) extend(crc, in);
  auto narrow = static_cast<uint32_t>(crc);
  for (; bytes > 0; --bytes, ++in) narrow = __builtin_ia32_crc32qi(narrow, *in);
  return ~narrow;
}

}  // namespace N_SSE4

bool HasCrc32cInstruction() { return __builtin_cpu_supports("sse4.2") != 0; }

uint32_t Crc32cByInstruction(const void* data, size_t bytes, uint32_t before) {
  return N_SSE4::Extend(static_cast<const unsigned char*>(data), bytes, before);
}

uint32_t Crc32c(const void* data, size_t bytes, uint32_t before) {
  return HasCrc32cInstruction() ? Crc32cByInstruction(data, bytes, before)
                                : Crc32cByTable(data, bytes, before);
}

}  // namespace shoal
