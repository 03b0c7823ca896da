// Which rows of a data set are points of an index, and which come and go next: the patterns of the
// job "churn". Row i is the point of id i.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "jobs/random.h"
#include "runbook/clusters.h"
#include "shoal/types.h"

namespace shoal::bench {

// One thread. The same calls with the same seed give the same points.
class ChurnPoints {
 public:
  using Ids = std::vector<ExternalId>;

  // Of `rows` rows. `regions`: all of them in the order of their regions; empty: no region is asked
  // for.
  ChurnPoints(size_t rows, uint64_t seed, ClusterOrder regions = {});

  const Ids& live() const { return live_; }  // Oldest first.

  void Add(std::span<const ExternalId> ids);
  void Remove(std::span<const ExternalId> ids);

  // The n points that came first.
  Ids Oldest(size_t n) const;
  // n points at random; at most all.
  Ids Any(size_t n);
  // The n points with the highest value; `values`: in the order of live().
  Ids Highest(size_t n, std::span<const uint32_t> values) const;
  // n rows that are no points, by rising number and from the front again at the end. Fewer where
  // there are fewer.
  Ids Next(size_t n);
  // n rows at random that are no points. Fewer where there are fewer.
  Ids Absent(size_t n);
  // The first rows, at most `most`, of the next region that is not here; all points of the region
  // that came first.
  Ids NextRegion(size_t most);
  Ids OldestRegion();

 private:
  Random random_;
  Ids live_;
  std::vector<bool> is_live_;
  size_t next_ = 0;  // Row, of Next.
  ClusterOrder regions_;
  std::deque<size_t> here_;  // Regions, the oldest first.
  size_t next_region_ = 0;
};

}  // namespace shoal::bench
