// The store without an index: slots, epochs and neighbour lists, and a delete with its repair as
// docs/concurrency.md prescribes it, in the fewest lines.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/hooks.h"
#include "store/epoch.h"
#include "store/feature_store.h"
#include "store/neighbors.h"
#include "store/slot_table.h"

namespace shoal::testing {

class StoreFixture {
 public:
  // segment_shift: slots in a segment, as a power of two; small, so that tests cross segments.
  explicit StoreFixture(uint32_t max_degree = 4, size_t row_bytes = 64, unsigned segment_shift = 10)
      : features(row_bytes),
        neighbors(budget, slots, max_degree),
        slots(budget, epochs, {&features.column(), &neighbors.rows(), &neighbors.meta()}) {
    SHOAL_CHECK(slots.Init(segment_shift) && neighbors.Init(segment_shift + 4));
  }

  // A live slot without edges.
  SlotId Make() {
    std::optional<OwnedSlot> slot = slots.Acquire();
    SHOAL_CHECK(slot.has_value());
    neighbors.ResetRow(slot->id());
    return std::move(*slot).Publish();
  }

  // A start point without edges.
  SlotId MakeStart() {
    std::optional<OwnedSlot> slot = slots.Acquire();
    SHOAL_CHECK(slot.has_value());
    neighbors.ResetStart(slot->id());
    return std::move(*slot).Freeze();
  }

  // Delete: the mark. False: not live.
  bool Mark(SlotId v) { return neighbors.MarkDeleted(slots, v); }

  // Repair: every row that names v, then v's own. Its children may be left without a parent.
  void Repair(SlotId v, const std::vector<SlotId>& in) {
    for (const SlotId u : in) neighbors.Unlink(u, v);
    neighbors.ClearRow(v);
  }
  void Repair(SlotId v) { Repair(v, neighbors.Reverse(v)); }

  // Likewise, with the in-neighbours as replacements: an edge to v becomes one to the next of them.
  void RepairWithReplacements(SlotId v) {
    const std::vector<SlotId> in = neighbors.Reverse(v);
    for (size_t i = 0; i < in.size(); ++i) {
      const SlotId u = in[i], replacement = in[(i + 1) % in.size()];
      const bool noted = replacement != u && neighbors.AddBackLink(u, replacement) ==
                                                 NeighborLists::LinkResult::kLinked;
      SHOAL_SYNC_POINT("fixture.replacement_linked");
      neighbors.Swap(u, v, noted ? replacement : kNoSlot);
    }
    neighbors.ClearRow(v);
  }

  // Delete, repair and retire under one guard. False: v was not live.
  bool Remove(SlotId v) {
    const EpochRegistry::Guard guard = epochs.Pin();
    if (!Mark(v)) return false;
    SHOAL_SYNC_POINT("fixture.marked");
    Repair(v, neighbors.Reverse(v));
    return slots.Retire(v, guard);
  }

  std::vector<SlotId> Row(SlotId u) const {
    std::vector<SlotId> row(neighbors.max_degree());
    row.resize(neighbors.Copy(u, row.data()));
    return row;
  }

  MemoryBudget budget{0};
  EpochRegistry epochs;
  RamFeatureStore features;
  NeighborLists neighbors;
  SlotTable slots;
};

}  // namespace shoal::testing
