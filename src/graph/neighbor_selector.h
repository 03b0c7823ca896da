// Searches for a point, and chooses its neighbours from what the search finds.
#pragma once

#include <span>
#include <vector>

#include "graph/candidate_list.h"
#include "graph/pruner.h"
#include "graph/search_scratch.h"

namespace shoal {

struct LiveGraph;
struct ScoredSlots;

struct SelectScratch {
  std::vector<Candidate> pool;
  std::vector<Candidate> by_product;  // Expanded by the search by product.

  size_t bytes() const { return HeapBytes(pool, by_product); }
};

// Any thread.
class NeighborSelector {
 public:
  NeighborSelector(const LiveGraph& graph, const Pruner& pruner) : graph_(graph), pruner_(pruner) {}

  // What is found for p, valid until the operation's next Select and Prune.
  struct Selection {
    // Live points that a search for p expands, p's neighbours, and some points that are far;
    // nearest first.
    std::span<const Candidate> candidates;
    std::span<const SlotId> neighbors;  // What Prune leaves of them.
    SeedsMet met;                       // By the search.
  };
  Selection Select(SlotId p, size_t list_size, Operation& op) const;

 private:
  size_t Search(SlotId p, const Representation& rows, size_t list_size, Operation& op) const;
  bool CodesTellApart(SlotId p, const Operation& op) const;
  void Rescore(const Scorer& scorer, Operation& op) const;
  void AddFoundByProduct(const Scorer& scorer, Operation& op) const;
  void AddOwnRow(SlotId p, const Scorer& scorer, Operation& op) const;
  void AddFar(SlotId p, const Scorer& scorer, Operation& op) const;
  void AddToPool(SlotId p, const Scorer& scorer, ScoredSlots& slots, float beyond,
                 Operation& op) const;

  const LiveGraph& graph_;
  const Pruner& pruner_;
};

}  // namespace shoal
