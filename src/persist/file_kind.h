// What kind of file this is, by its content: for the error of a reader that expected another.
#pragma once

#include <optional>
#include <string>

#include "base/file.h"

namespace shoal {

// "NumPy's .npy (npy_to_bin makes a .bin of it)": the kind and what to do with it, or none.
// Knows .npy, HDF5, gzip, a snapshot of shoal's, DiskANN's graph file, and .fvecs, .bvecs and
// .ivecs of at least two rows.
std::optional<std::string> RecognizeFile(const InputFile& file);

// Instead of a Corrupt `error`, what the file is and what the reader expects, where the content
// says so. Any other error as it is.
tl::unexpected<Error> ExplainError(const InputFile& file, std::string_view expected, Error error);

}  // namespace shoal
