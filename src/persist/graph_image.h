// What an index is when it stands still, as files of other engines have it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// Points 0..n-1, then `start_points` start points that are no data. Neighbour ids number both.
struct GraphImage {
  Matrix rows;                  // (n + start_points) x dim
  std::vector<ExternalId> ids;  // n, each once
  std::vector<uint64_t>
      offsets;  // n + start_points + 1: list i is neighbors[offsets[i], offsets[i+1])
  std::vector<uint32_t> neighbors;  // Within a list each once, and not i itself.
  uint32_t start = 0;  // Where a search begins: a start point, or, without any, a point.
  uint32_t start_points = 0;

  size_t points() const { return ids.size(); }
  size_t nodes() const { return ids.size() + start_points; }
  std::span<const uint32_t> List(size_t node) const {
    return std::span(neighbors).subspan(offsets[node], offsets[node + 1] - offsets[node]);
  }
  // The longest list.
  size_t MaxDegree() const;
};

// Corrupt names the first promise of GraphImage that `image` breaks. Linear in its size.
Status CheckImage(const GraphImage& image);

}  // namespace shoal
