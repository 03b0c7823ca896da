// What an index is when it stands still: the bridge between the engine and the file formats.
#pragma once

#include <cstdint>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/types.h"

namespace shoal {

// Points 0..n-1, then `start_points` start points that are no data. Neighbour ids number both.
struct GraphImage {
  Matrix rows;                  // (n + start_points) x dim
  std::vector<ExternalId> ids;  // n
  std::vector<uint64_t>
      offsets;  // n + start_points + 1: list i is neighbors[offsets[i], offsets[i+1])
  std::vector<uint32_t> neighbors;
  uint32_t start = 0;  // Where a search begins: a start point, or, without any, a point.
  uint32_t start_points = 0;

  size_t points() const { return ids.size(); }
};

}  // namespace shoal
