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
  const bool too_large =
      dim > SIZE_MAX / sizeof(float) || __builtin_mul_overflow(rows, BytesOf(type, dim), &bytes) ||
      __builtin_add_overflow(bytes, kAlignment - 1, &bytes) || bytes > PhysicalBytes();
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

Result<Matrix> Matrix::OfPackedBits(Matrix bytes, size_t dim) {
  if (bytes.type_ != ScalarType::kUint8)
    return Mismatch(ErrorCode::kInvalidArgument, "packed bits", "a matrix of uint8",
                    DescribeShape(bytes.rows_, bytes.dim_, bytes.type_));
  if (dim == 0) dim = bytes.dim_ * 8;
  if (dim > kMaxDim || BytesOf(ScalarType::kBit, dim) != bytes.dim_)
    return Mismatch(ErrorCode::kInvalidArgument, "packed bits",
                    "a dimension of at most " + std::to_string(kMaxDim) + " whose bits fill " +
                        std::to_string(bytes.dim_) + " bytes",
                    std::to_string(dim));
  bytes.type_ = ScalarType::kBit;
  bytes.dim_ = dim;
  return bytes;
}

}  // namespace shoal
