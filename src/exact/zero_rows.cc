#include <algorithm>

#include "shoal/exact.h"

namespace shoal {
namespace {

bool IsZero(ScalarType type, const std::byte* row, size_t bytes) {
  if (type != ScalarType::kFloat32 && type != ScalarType::kFloat16)
    return std::all_of(row, row + bytes, [](std::byte b) { return b == std::byte{0}; });
  // Negative zeroes have the sign bit alone, the highest of an element's last byte.
  const size_t size = BytesOf(type, 1);
  for (size_t i = 0; i < bytes; ++i) {
    const bool last = i % size == size - 1;
    if ((row[i] & (last ? std::byte{0x7f} : std::byte{0xff})) != std::byte{0}) return false;
  }
  return true;
}

}  // namespace

std::vector<uint32_t> ZeroRows(MatrixView rows) {
  std::vector<uint32_t> zero;
  for (size_t i = 0; i < rows.rows(); ++i) {
    if (IsZero(rows.type(), rows.data() + i * rows.row_bytes(), rows.row_bytes()))
      zero.push_back(static_cast<uint32_t>(i));
  }
  return zero;
}

}  // namespace shoal
