// The vectors that a job works on, from whatever file they are in.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "shoal/dataset.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::bench {

struct InputRequest {
  std::filesystem::path data;     // .fbin, .u8bin, .i8bin, .f16bin, .fvecs, .bvecs, .npy, .hdf5
  std::filesystem::path queries;  // Likewise; not needed with .hdf5, which has its own.
  size_t max_rows = SIZE_MAX;     // Only the first rows of the data.
  size_t max_queries = SIZE_MAX;
  std::optional<Metric> metric;   // None: the file's, if it names one, or l2.
  std::optional<ScalarType> type; // None: the file's. Else rows are converted, exactly or not at all.
};

struct Input {
  Matrix rows;
  Matrix queries;
  Metric metric = Metric::kL2;
};

// The vectors of one file, by the ending of its name. InvalidArgument: an ending that says nothing.
Result<Matrix> ReadVectors(const std::filesystem::path& file, const ReadOptions& options = {});

// Rows and queries of one type and dimension. InvalidArgument: they do not fit together, or a value
// cannot be what `type` asks for.
Result<Input> ReadInput(const InputRequest& request);

}  // namespace shoal::bench
