// The view of an index in a database (graph/searcher.h): what a search reads where it lies in the
// map, as one commit left it. A word of the file is looked up in the states wherever it is used, so
// a damaged file gives wrong answers, never a wild read.
#pragma once

#include <algorithm>
#include <span>

#include "db/disk_graph.h"
#include "graph/entry_points.h"
#include "graph/search_scratch.h"

namespace shoal {

class StoredView {
 public:
  struct Stamp {
    SlotId high_water;
  };

  StoredView(const DiskGraph& graph, bool has_clusters)
      : graph_(graph), has_clusters_(has_clusters) {}

  SlotId start() const { return graph_.record().start; }
  Stamp stamp() const { return {graph_.slots()}; }
  size_t live() const { return graph_.record().live; }
  DiskRows rows() const { return DiskRows(graph_); }
  ExternalId external_id(SlotId slot) const { return graph_.IdOf(slot); }
  std::span<const uint32_t> labels(SlotId) const { return {}; }
  static constexpr bool kIsFiltered = false;

  size_t CopyList(SlotId slot, SlotId* out) const {
    return graph_.Expand(slot, out, SearchScratch::kMaxIds);
  }
  void PrefetchList(SlotId slot) const { graph_.PrefetchList(slot); }
  size_t KeepReadable(SlotId* ids, size_t n, const Stamp&, bool* eligible) const {
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const SlotId id = ids[i];
      ids[kept] = id;
      eligible[kept] = graph_.IsLive(id);
      kept += graph_.IsPresent(id) ? 1 : 0;
    }
    return kept;
  }
  size_t CopyEligible(SlotId& next, const Stamp& since, SlotId* out) const {
    constexpr SlotId kWord = 64, kMaxCopied = 512;
    size_t n = 0;
    for (; next < since.high_water && n + kWord <= kMaxCopied; next += kWord)
      for (uint64_t bits = graph_.LiveWord(next / kWord); bits != 0; bits &= bits - 1)
        out[n++] = next + static_cast<SlotId>(__builtin_ctzll(bits));
    return n;
  }

  size_t CopyCoarseSeeds(SlotId* out) const { return CopySet(0, EntryPoints::kMaxCoarse, out); }
  size_t CopyFineSeeds(size_t at, SlotId, SlotId* out) const {
    return CopySet(at + 1, EntryPoints::kMaxFine, out);
  }
  bool HasClusters() const { return has_clusters_; }
  bool MayHaveClusters() const { return false; }  // Searches of an insert ask.

 private:
  size_t CopySet(size_t at, size_t most, SlotId* out) const {
    if (at >= graph_.seeds().size()) return 0;
    const std::vector<SlotId>& slots = graph_.seeds()[at].slots;
    const size_t n = std::min(slots.size(), most);
    std::copy_n(slots.begin(), n, out);
    return n;
  }

  const DiskGraph& graph_;
  const bool has_clusters_;
};

}  // namespace shoal
