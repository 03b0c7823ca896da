#include <unistd.h>

#include <cstring>

#include "persist/dataset_checks.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

// Linux grants more than the machine has, and kills the process that uses it; so ask first.
uint64_t PhysicalBytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

Result<Matrix> Matrix::Create(ScalarType type, size_t rows, size_t dim) {
  constexpr size_t kAlignment = 64;
  size_t bytes = 0;
  const bool too_large = __builtin_mul_overflow(rows, dim, &bytes) ||
                         __builtin_mul_overflow(bytes, ScalarSize(type), &bytes) ||
                         __builtin_add_overflow(bytes, kAlignment - 1, &bytes) ||
                         bytes > PhysicalBytes();
  bytes = bytes / kAlignment * kAlignment;
  void* memory = nullptr;
  if (!too_large && bytes > 0) memory = std::aligned_alloc(kAlignment, bytes);
  if (too_large || (bytes > 0 && memory == nullptr)) {
    return MakeError(ErrorCode::kOutOfMemory,
                     "a matrix of " + DescribeShape(rows, dim, type) + " does not fit into memory");
  }
  if (memory != nullptr) std::memset(memory, 0, bytes);
  Matrix matrix;
  matrix.data_.reset(static_cast<std::byte*>(memory));
  matrix.rows_ = rows;
  matrix.dim_ = dim;
  matrix.type_ = type;
  return matrix;
}

}  // namespace shoal
