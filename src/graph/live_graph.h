// What the live graph consists of: the parts of the store that hold it, its start point and its
// seeds. The classes that search and change it share one; each call names its operation.
#pragma once

#include <atomic>

#include "codec/codec.h"
#include "graph/entry_points.h"
#include "graph/live_view.h"
#include "graph/operation.h"
#include "graph/searcher.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "store/feature_store.h"
#include "store/neighbors.h"
#include "store/slot_table.h"

namespace shoal {

// Slots that are scored together.
struct ScoredSlots {
  size_t size = 0;
  SlotId ids[SearchScratch::kMaxIds];
  bool eligible[SearchScratch::kMaxIds];
  float distances[SearchScratch::kMaxIds];
};

struct LiveGraph {
  LiveGraph(const IndexOptions& o, const Codec& c, SlotTable& s, NeighborLists& n,
            const RamFeatureStore& f)
      : options(o), codec(c), slots(s), neighbors(n), features(f), seeds(c, s, f) {}

  // The frozen slot that every search starts from; kNoSlot before the first insert.
  SlotId start() const { return start_slot.load(std::memory_order_acquire); }
  const std::byte* Row(SlotId slot) const { return features.rows().At(slot); }
  // To distances from `slot`, until the operation binds another row.
  Scorer BindRow(SlotId slot, Operation& op) const {
    return codec.BindRow(Row(slot), op.scratch.row_buffer.data());
  }
  // Keeps those of the slots that are readable, and scores them.
  void Score(const Scorer& scorer, ScoredSlots& scored, Operation& op) const;
  // Searcher::FindNearest and FindWithin, in op.scratch.search.
  void BeamSearch(const Scorer& scorer, size_t list_size, const Recorder& recorder,
                  Operation& op) const;
  void RangeSearch(const Scorer& scorer, size_t list_size, float radius, Operation& op) const;
  LiveView View(SearchFor purpose) const {
    return {start(), slots, neighbors, features.rows(), seeds, purpose};
  }

  // Constant after construction.
  const IndexOptions options;
  const Codec& codec;
  SlotTable& slots;
  NeighborLists& neighbors;
  const RamFeatureStore& features;

  // Own synchronisation.
  EntryPoints seeds;
  std::atomic<SlotId> start_slot{kNoSlot};
  std::atomic<uint64_t> inserts{0};
};

// What must hold of a graph at rest: what Index::CheckStructure promises, except the id map.
// `unreachable`: how many live points cannot be reached from the start point.
Status CheckGraph(const LiveGraph& graph, size_t& unreachable);

}  // namespace shoal
