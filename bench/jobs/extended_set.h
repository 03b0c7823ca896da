// A set of unit vectors made larger: for embeddings of which there are fewer than a measurement
// needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "jobs/generated_set.h"
#include "shoal/result.h"

namespace shoal::bench {

struct ExtendedSetOptions {
  std::string from;          // Unit vectors: a .f16bin or .fbin.
  std::string queries_from;  // Likewise; they are taken as they are.
  size_t rows = 250000;
  uint64_t seed = 1;
};

// The rows of the file, in order. Each further row is the normalised sum of one of them and of .8
// times another, at random: about as far from the nearest as text embeddings are from theirs. All
// are float32 and normalised. Errors of the files. InvalidArgument: more rows in the file than are
// wanted, or other dimensions in the two files.
Result<GeneratedSet> ExtendSet(const ExtendedSetOptions& options);

}  // namespace shoal::bench
