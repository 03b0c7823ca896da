// What the live graph consists of: the parts of the store that hold it, its start point and its
// seeds. The classes that search and change it share one; each call names its operation.
#pragma once

#include <atomic>
#include <optional>

#include "codec/codec.h"
#include "graph/entry_points.h"
#include "graph/live_view.h"
#include "graph/operation.h"
#include "graph/representation.h"
#include "graph/searcher.h"
#include "shoal/options.h"
#include "shoal/result.h"
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

// What a graph reads of its points. The first two may be the same.
struct GraphRows {
  Representation traversal;
  Representation pruning;
  // Read where these do not tell points apart (Codec::TellsApart). None: they do, or there is
  // nothing better.
  std::optional<Representation> vectors = {};
};

struct LiveGraph {
  LiveGraph(const IndexOptions& o, const GraphRows& rows, SlotTable& s, NeighborLists& n)
      : options(o),
        traversal(rows.traversal),
        pruning(rows.pruning),
        vectors(rows.vectors),
        slots(s),
        neighbors(n),
        seeds(rows.traversal, s) {}

  // The frozen slot that every search starts from; kNoSlot before the first insert.
  SlotId start() const { return start_slot.load(std::memory_order_acquire); }
  // Whether pruning has rows of its own: distances that a search has found are not its distances.
  bool PrunesOnOtherRows() const { return &pruning.codec != &traversal.codec; }
  // To distances from `slot` by the rows that pruning compares, until the operation binds another
  // row.
  Scorer BindRow(SlotId slot, Operation& op) const {
    return pruning.codec.BindRow(pruning.Row(slot, op.scratch.fetch), op.scratch.row_buffer.data());
  }
  // Keeps those of the slots that are readable, and whose rows are to be had, and scores them by
  // the rows that pruning compares.
  void Score(const Scorer& scorer, ScoredSlots& scored, Operation& op) const;
  // Searcher::FindNearest and FindWithin over `rows`, in op.scratch.search.
  void BeamSearch(const Representation& rows, const Scorer& scorer, size_t list_size,
                  const Recorder& recorder, Operation& op, const SearchTerms& terms = {}) const;
  void RangeSearch(const Representation& rows, const Scorer& scorer, size_t list_size, float radius,
                   Operation& op) const;
  // visit(view), with a view over these rows.
  template <class Visit>
  decltype(auto) WithView(const Representation& rows, SearchFor purpose, FetchScratch& fetch,
                          const Visit& visit) const {
    if (rows.fetched == nullptr) return visit(View<Rows>(rows.rows(), purpose));
    return visit(View<FetchingRows>({*rows.fetched, fetch}, purpose));
  }
  template <class RowsType>
  LiveViewOf<RowsType> View(const RowsType& rows, SearchFor purpose) const {
    return {start(), slots, neighbors, rows, seeds, purpose};
  }

  // Constant after construction.
  const IndexOptions options;
  const Representation traversal;  // Of searches and seeds.
  const Representation pruning;    // Of everything that compares points to choose edges.
  const std::optional<Representation> vectors;
  SlotTable& slots;
  NeighborLists& neighbors;

  // Own synchronisation.
  EntryPoints seeds;
  std::atomic<SlotId> start_slot{kNoSlot};
  std::atomic<uint64_t> inserts{0};
};

// What must hold of a graph at rest: what Index::CheckStructure promises, except the id map.
// `unreachable`: how many live points cannot be reached from the start point.
Status CheckGraph(const LiveGraph& graph, size_t& unreachable);

}  // namespace shoal
