// From .fvecs, .bvecs or .npy to .bin, all rows or some.
#pragma once

#include <cstdint>
#include <filesystem>

#include "apps/common/command_line.h"
#include "shoal/dataset.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

// The rows of a file to convert: as ReadOptions has them, with 0 for all that are left.
struct Crop {
  uint32_t first_row = 0;
  uint32_t max_rows = 0;

  void Declare(CommandLine& line);
  ReadOptions Options() const;
};

// Says on stdout what the file holds, as DiskANN's fvecs_to_bin does, and what was written. Block
// by block. Memory: some tens of MB.
Status ConvertVecsToBin(const std::filesystem::path& in, ScalarType type,
                        const std::filesystem::path& out, const Crop& crop);
// Of the file's element type; float64 becomes float32. Memory: the rows that are converted.
Status ConvertNpyToBin(const std::filesystem::path& in, const std::filesystem::path& out,
                       const Crop& crop);

}  // namespace shoal::apps
