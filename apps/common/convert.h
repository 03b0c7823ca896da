// From .fvecs or .bvecs to .bin, block by block.
#pragma once

#include <filesystem>

#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

// Says on stdout what it found, as DiskANN's fvecs_to_bin does. Memory: some tens of MB.
Status ConvertVecsToBin(const std::filesystem::path& in, ScalarType type,
                        const std::filesystem::path& out);

}  // namespace shoal::apps
