// What the seeds of an index (graph/entry_points.h) and those of its snapshot
// (persist/snapshot_seeds.h) have in common.
#pragma once

#include <cstddef>
#include <span>

namespace shoal {

inline constexpr size_t kMaxCoarseSeeds = 20;
inline constexpr size_t kMaxFineSeeds = 96;  // Of a coarse seed.

// In fewer slots every point could be a fine seed.
constexpr bool MayHaveClusters(size_t slots) { return slots > kMaxCoarseSeeds * kMaxFineSeeds; }

// Whether data have clusters, so that a search should look at fine seeds: by the radius of the
// coarse seeds, and that of each coarse seed's fine seeds (0: they were never full).
constexpr bool HaveClusters(float coarse_radius, std::span<const float> fine_radii, size_t slots) {
  constexpr float kFine = 0.25f;  // Of the coarse seeds' radius.
  constexpr size_t kEnough = 4;   // Sets that were full once, of which a quarter is fine.
  size_t full = 0, fine = 0;
  for (const float radius : fine_radii) {
    full += radius > 0 ? 1 : 0;
    fine += radius > 0 && radius < kFine * coarse_radius ? 1 : 0;
  }
  return MayHaveClusters(slots) && full >= kEnough && 4 * fine >= full;
}

}  // namespace shoal
