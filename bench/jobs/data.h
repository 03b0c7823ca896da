// Rows from files for jobs: the format follows from the name, the type may be another than the
// file's where no value is lost.
#pragma once

#include <filesystem>
#include <string_view>

#include "runner/json.h"
#include "shoal/dataset.h"
#include "shoal/types.h"

namespace shoal::bench {

// Reads the first `rows` rows (0: all) of a .fbin, .f16bin, .u8bin, .i8bin, .fvecs, .bvecs or .npy.
// Refused: a file of fewer.
Expected<Matrix> ReadRows(const std::filesystem::path& path, size_t rows = 0);

// The first `rows` rows (0: all). Refused, naming `name`: fewer than that.
Expected<Matrix> FirstRows(Matrix from, size_t rows, std::string_view name);

// The same numbers as another type. Refused, naming `name`, row and column: a number that the type
// cannot hold exactly.
Expected<Matrix> ConvertRows(Matrix rows, ScalarType type, std::string_view name);

// Why distances between these rows and others like them may not be exact as floats, in any order of
// the sums; names `name`, row and column. Elements of floats have to be integers, and a row's
// squared length at most 2^22: then dot products and squared distances, and all their partial sums,
// are integers of at most 2^24. Rows of bytes are always exact.
Expected<void> CheckExact(const Matrix& rows, std::string_view name);

// "f32", "f16", "i8", "u8": as engines are called.
std::string_view ShortName(ScalarType type);

}  // namespace shoal::bench
