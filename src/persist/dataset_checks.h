// Checks that every dataset format shares. Each failure is one line that names the file, the field,
// what was expected and what was found.
#pragma once

#include <bit>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/mismatch.h"
#include "shoal/dataset.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// All formats here are little-endian, and are read and written as they lie in memory.
static_assert(std::endian::native == std::endian::little);

// The part of [0, rows) that ReadOptions asks for.
struct RowRange {
  size_t first = 0;
  size_t count = 0;
};
// The rows that `options` ask for, which read(range, matrix) fills; NaN and infinities are refused
// if they say so. InvalidArgument: first_row is behind the last row. Errors of `read`.
Result<Matrix> ReadSelected(const InputFile& file, ScalarType type, BinShape shape,
                            const ReadOptions& options,
                            const std::function<Status(RowRange, Matrix&)>& read);

// Corrupt unless low <= value <= high.
template <class Number>
Status CheckRange(const std::filesystem::path& path, std::string_view field, Number value,
                  std::type_identity_t<Number> low, std::type_identity_t<Number> high) {
  Status ok = CheckRange(ErrorCode::kCorrupt, field, value, low, high);
  if (!ok) ok.error().message.insert(0, path.string() + ": ");
  return ok;
}

// Corrupt unless the file has exactly `bytes` bytes; `formula` says where the number comes from.
Status CheckSize(const InputFile& file, uint64_t bytes, std::string_view formula);

// Corrupt at the first NaN or infinity; `first_row` is the number of the first row of `rows` within
// the file. Integers are always finite.
Status CheckFinite(const std::filesystem::path& path, MatrixView rows, size_t first_row);

// InvalidArgument if `rows` cannot be written: no rows, too many for an int32, or a dimension
// outside [1, kMaxDim].
Status CheckWritable(const std::filesystem::path& path, size_t rows, size_t dim);
// The same if `ids` ids are no whole rows of `columns`, at least one.
Status CheckWritableIds(const std::filesystem::path& path, size_t ids, size_t columns);

// vector.resize(n), or OutOfMemory.
template <class T>
Status TryResize(const std::filesystem::path& path, std::vector<T>& vector, size_t n) {
  try {
    vector.resize(n);
  } catch (const std::exception&) {  // bad_alloc, length_error
    return MakeError(ErrorCode::kOutOfMemory, path.string() + ": " + std::to_string(n) + " x " +
                                                  std::to_string(sizeof(T)) +
                                                  " bytes do not fit into memory");
  }
  return {};
}

// The header of a .bin of vectors.
Status AppendBinHeader(OutputFile& file, ScalarType type, size_t rows, size_t dim);

// "4096 x 128 float32".
std::string DescribeShape(size_t rows, size_t dim, ScalarType type);

}  // namespace shoal
