// Zero vectors under cosine, which published sets have: they have no direction. Programs refuse
// them by name, or leave them out with --skip_zero_vectors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal::apps {

// The numbers of the rows that have no distance under `metric`, ascending; that of rows[0] is
// `first`. None but under cosine.
std::vector<uint32_t> RowsWithoutDirection(Metric metric, MatrixView rows, size_t first = 0);

struct ZeroVectorCheck {
  std::filesystem::path file;  // Where the vectors are from.
  const char* what = "row";    // What one of them is called: row or query.
  size_t vectors = 0;          // How many are used, with those that have no direction.
  bool skip = false;           // --skip_zero_vectors.
  std::string advice = "--skip_zero_vectors leaves them out";  // What the user can do.
};

// `zero`: as RowsWithoutDirection gives them. InvalidArgument, naming the first: there are some and
// `skip` is false, or no others are left. Says on stdout how many are left out.
Status CheckZeroVectors(const ZeroVectorCheck& check, std::span<const uint32_t> zero);

}  // namespace shoal::apps
