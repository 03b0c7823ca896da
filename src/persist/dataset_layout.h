// Where the elements of a dataset's file are, for a reader that maps it.
#pragma once

#include "base/file.h"
#include "shoal/types.h"

namespace shoal {

struct DatasetLayout {
  uint64_t offset = 0;  // Of row 0. Rows follow each other without gaps.
  size_t rows = 0;
  size_t dim = 0;
};

// Of a .bin with elements of `type`. Errors as ReadBinShape.
Result<DatasetLayout> BinLayout(const InputFile& file, ScalarType type);
// Of a .npy with elements of `type`. Errors as ReadNpy; Unsupported: elements of another type, or
// in column-major order.
Result<DatasetLayout> NpyLayout(const InputFile& file, ScalarType type);

}  // namespace shoal
