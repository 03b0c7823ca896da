// The graph that an index searches and changes: one class for each job, wired together.
//
// A Graph owns no rows and no lists: it is the algorithms over the store. Every function is a part
// of one operation, under its epoch guard. Any thread.
#pragma once

#include <optional>

#include "graph/linker.h"
#include "graph/live_graph.h"
#include "graph/neighbor_selector.h"
#include "graph/parent_keeper.h"
#include "graph/pruner.h"
#include "graph/repairer.h"
#include "graph/replacements.h"
#include "shoal/result.h"

namespace shoal {

class Graph {
 public:
  using Repaired = shoal::Repaired;

  Graph(const IndexOptions& options, const GraphRows& rows, SlotTable& slots,
        NeighborLists& neighbors)
      : live_(options, rows, slots, neighbors) {}

  // The frozen slot that every search starts from; kNoSlot before the first insert.
  SlotId start() const { return live_.start(); }
  void set_start(SlotId slot) { live_.start_slot.store(slot, std::memory_order_release); }
  EntryPoints& entries() { return live_.seeds; }
  // See GraphRows.
  const std::optional<Representation>& vectors() const { return live_.vectors; }
  // Whether a change of the graph may fetch rows, and so fail.
  bool fetches() const {
    return live_.traversal.fetched != nullptr ||
           (live_.vectors && live_.vectors->fetched != nullptr);
  }

  // Leave their results in op.scratch.search: `best`, and `within` (searcher.h). They read `rows`,
  // of which the scorer is.
  void BeamSearch(const Representation& rows, const Scorer& scorer, size_t list_size, Operation& op,
                  const SearchTerms& terms = {}) const {
    live_.BeamSearch(rows, scorer, list_size, {}, op, terms);
  }
  void RangeSearch(const Representation& rows, const Scorer& scorer, size_t list_size, float radius,
                   Operation& op) const {
    live_.RangeSearch(rows, scorer, list_size, radius, op);
  }

  // For searches of the caller's own (filtered_search.h): visit(view).
  template <class Visit>
  decltype(auto) WithView(const Representation& rows, FetchScratch& fetch,
                          const Visit& visit) const {
    return live_.WithView(rows, SearchFor::kReader, fetch, visit);
  }

  // --- Inserting: the caller owns `slot`, whose row is written.

  // Finds p's neighbours and writes its own list, which is empty: no other thread can see it yet.
  // Returns the seeds that the search met; nullopt: no memory, or the operation could not fetch.
  // Then nothing stays.
  std::optional<SeedsMet> LinkOut(SlotId p, Operation& op);
  void UndoLinkOut(SlotId p) { live_.neighbors.ClearRow(p); }
  // After Publish: edges from p's neighbours to p, and perhaps p becomes a seed. True: p has a
  // parent, or was deleted meanwhile. False: as EnsureParent.
  bool LinkIn(SlotId p, const SeedsMet& met, Operation& op);
  // See ParentKeeper.
  bool EnsureParent(SlotId p, Operation& op) { return parents_.EnsureParent(p, op); }
  // For LinkIn where there is no memory.
  void LinkInAnywhere(SlotId p, Operation& op) { parents_.EnsureParentWithoutMemory(p, op); }

  // --- Moving a point from slot `from` to slot `to`, which the caller owns and has written.

  // Gives `to` the row of `from`. False: no memory.
  bool CopyOut(SlotId from, SlotId to, Operation& op);
  // After Publish: reroutes the rows that name `from` to `to`, as far as possible, and gives `to` a
  // parent, if some point has a place for it.
  void TakeOver(SlotId from, SlotId to, Operation& op);

  // --- See Repairer and Linker.

  Repaired Repair(SlotId p, Operation& op) { return repairer_.Repair(p, op); }
  void Relink(SlotId p, Operation& op) { linker_.Relink(p, op); }
  // An edge, pruning u's row where it is full: for loading. u is live or the start point.
  void AddEdge(SlotId u, SlotId v, Operation& op) { linker_.LinkOrPrune(u, v, op); }

  Status CheckStructure(size_t& unreachable) const { return CheckGraph(live_, unreachable); }

  uint64_t reparented() const { return parents_.reparented(); }
  uint64_t relinked() const { return parents_.relinked(); }
  uint64_t restarts() const { return linker_.restarts(); }

 private:
  LiveGraph live_;
  const Pruner pruner_{live_.options, live_.pruning, live_.vectors ? &*live_.vectors : nullptr};
  const NeighborSelector selector_{live_, pruner_};
  Linker linker_{live_, pruner_, selector_};
  Replacements replacements_{live_, linker_};
  ParentKeeper parents_{live_, linker_, selector_, replacements_};
  Repairer repairer_{live_, linker_, parents_, replacements_};
};

}  // namespace shoal
