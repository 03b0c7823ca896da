// The last block of a snapshot: where searches begin, beside the start point, and how points are
// reached that the lists alone do not lead to.
#pragma once

#include <vector>

#include "persist/snapshot_file.h"
#include "store/seed_rules.h"

namespace shoal {

// Most points that one entry anchors.
inline constexpr uint32_t kMaxAnchored = 64;

struct SeedSet {
  std::vector<uint32_t> points;
  float radius = 0;
};

// Points change while their lists are written, one after the other: a point may lose its list, or
// the last list that leads to it, before its turn. A reader of the file in place finds it at its
// anchor: an entry that is reached without it.
struct SnapshotAnchor {
  uint32_t anchor;  // An entry: a point, or the start point.
  uint32_t point;
  bool operator<(const SnapshotAnchor& other) const {
    return anchor != other.anchor ? anchor < other.anchor : point < other.point;
  }
};

struct SnapshotSeeds {
  std::vector<SeedSet> sets;            // The coarse seeds, then the fine seeds of each of them.
  std::vector<SnapshotAnchor> anchors;  // Ascending.
};

// Behind `block`.
void AppendSeeds(const SnapshotSeeds& seeds, std::vector<std::byte>& block);
// Reads and checks the block: points below the header's, each once in a set, no more than may be.
// None where there is no start point. Corrupt; Io; OutOfMemory.
Result<SnapshotSeeds> ReadSeeds(const SnapshotReader& reader);

// Whether data whose seeds these are have clusters. `slots`: of the index, the start point's
// included.
bool HaveClusters(const SnapshotSeeds& seeds, size_t slots);

}  // namespace shoal
