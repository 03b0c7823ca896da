// The view of an index that writers change meanwhile (searcher.h). Read under an epoch guard.
#pragma once

#include <span>

#include "graph/entry_points.h"
#include "store/neighbors.h"
#include "store/rows.h"
#include "store/slot_table.h"

namespace shoal {

// What a search is for: writers also take pending points for results.
enum class SearchFor : uint8_t { kReader, kWriter };

// `RowsType`: Rows, or FetchingRows.
template <class RowsType>
class LiveViewOf {
 public:
  using Stamp = SlotTable::ReadStamp;

  LiveViewOf(SlotId start, const SlotTable& slots, const NeighborLists& neighbors,
             const RowsType& rows, const EntryPoints& seeds, SearchFor purpose)
      : start_(start),
        slots_(slots),
        neighbors_(neighbors),
        rows_(rows),
        seeds_(seeds),
        purpose_(purpose) {}

  SlotId start() const { return start_; }
  Stamp stamp() const {
    Stamp now = slots_.Now();
    now.to_link = purpose_ == SearchFor::kWriter;
    return now;
  }
  const RowsType& rows() const { return rows_; }
  size_t live() const { return slots_.live(); }
  ExternalId external_id(SlotId slot) const { return slots_.external_id(slot); }
  std::span<const uint32_t> labels(SlotId slot) const { return slots_.labels().Of(slot); }
  static constexpr bool kIsFiltered = false;

  size_t CopyList(SlotId slot, SlotId* out) const { return neighbors_.Copy(slot, out); }
  void PrefetchList(SlotId slot) const { neighbors_.Prefetch(slot); }
  size_t KeepReadable(SlotId* ids, size_t n, const Stamp& since, bool* eligible) const {
    return slots_.KeepReadable(ids, n, since, eligible);
  }
  size_t CopyEligible(SlotId& next, const Stamp& since, SlotId* out) const {
    return slots_.CopyEligible(next, since, out);
  }

  size_t CopyCoarseSeeds(SlotId* out) const { return seeds_.CopyCoarse(out); }
  size_t CopyFineSeeds(size_t at, SlotId seed, SlotId* out) const {
    return seeds_.CopyFine(at, seed, out);
  }
  bool HasClusters() const { return seeds_.HasClusters(); }
  bool MayHaveClusters() const { return seeds_.MayHaveClusters(); }

 private:
  const SlotId start_;
  const SlotTable& slots_;
  const NeighborLists& neighbors_;
  const RowsType rows_;
  const EntryPoints& seeds_;
  const SearchFor purpose_;
};

using LiveView = LiveViewOf<Rows>;

}  // namespace shoal
