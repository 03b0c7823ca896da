// The graph: one hop, written once, and its callers.
//
// A Graph owns no memory: it is the algorithms over the store. Every function takes the operation
// that it is part of.
#pragma once

#include <algorithm>
#include <atomic>
#include <span>
#include <vector>

#include "codec/full_codec.h"
#include "graph/entry_points.h"
#include "graph/live_view.h"
#include "graph/operation.h"
#include "graph/searcher.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "store/epoch.h"
#include "store/feature_store.h"
#include "store/neighbors.h"
#include "store/reattachment.h"
#include "store/slot_table.h"

namespace shoal {

class Graph {
 public:
  Graph(const IndexOptions& options, const FullCodec& codec, SlotTable& slots,
        NeighborLists& neighbors, RamFeatureStore& features)
      : options_(options),
        overflow_degree_(options.max_degree - options.max_degree / 8),
        codec_(codec),
        slots_(slots),
        neighbors_(neighbors),
        features_(features),
        reattachment_(neighbors, slots),
        entries_(codec, slots, features) {}

  // Searcher::FindNearest and FindWithin (searcher.h) over the live index.
  void BeamSearch(const Scorer& scorer, size_t list_size, const Recorder& recorder,
                  Operation& op) const;
  void RangeSearch(const Scorer& scorer, size_t list_size, float radius, Operation& op) const;

  // --- Inserting: the caller owns `slot`, whose row is written.

  // Finds p's neighbours and writes its own list, which is empty: nobody can see that yet.
  // False: no memory, and nothing stays.
  bool LinkOut(SlotId p, Operation& op);
  // Takes LinkOut back.
  void UndoLinkOut(SlotId p);
  // After Publish: edges from p's neighbours to p. True: one of them guards p, or p was deleted
  // meanwhile. False: as EnsureParent.
  bool LinkIn(SlotId p, Operation& op);

  // LinkIn for want of memory: one guard (neighbors.h), from whichever row has a place to spare.
  void LinkInAnywhere(SlotId p, Operation& op);
  // Gives a live point a guard if it has none. False: all who may guard it are full of last guards.
  bool EnsureParent(SlotId p, Operation& op);

  // --- Deleting: p is deleted, and nobody else repairs it.

  // Leads all lists around p and empties p's own: afterwards no list names p, and p names nobody.
  // What was done stays done, and another call goes on; so may one after bad_alloc.
  enum class Repaired : uint8_t {
    kDone,
    kPartial,  // p is a hub: some of its in-neighbours are led around it, others are left.
    kRetry,    // Those whom p guards found nobody else.
  };
  Repaired Repair(SlotId p, Operation& op);

  // --- Moving a point from slot `from` to slot `to`, which the caller owns and has written.

  // Gives `to` the list of `from`. False: no memory.
  bool CopyOut(SlotId from, SlotId to, Operation& op);
  // After Publish: leads the lists that name `from` to `to`, as far as possible, and gives `to` a
  // guard, if somebody has a place for it.
  void TakeOver(SlotId from, SlotId to, Operation& op);

  // How often a repair gave a point a new guard by rebirth, and how often only by a new edge.
  uint64_t reparented() const {
    return reparented_.load(std::memory_order_relaxed) + reattachment_.reparented();
  }
  uint64_t relinked() const { return relinked_.load(std::memory_order_relaxed); }
  // How often a row had moved on before what was computed for it could be written.
  uint64_t restarts() const { return restarts_.load(std::memory_order_relaxed); }

  // Searches for a live point again and renews its list and its in-edges.
  void Relink(SlotId p, Operation& op);

  // The frozen slot that every search starts from; kNoSlot before the first insert.
  SlotId start() const { return start_.load(std::memory_order_acquire); }
  // An edge, pruning u's row where it is full: for loading. u is live or the start.
  void AddEdge(SlotId u, SlotId v, Operation& op) { LinkOrPrune(u, v, op); }
  // What Index::CheckStructure promises, except the id map. At rest.
  // `unreachable`: how many live points cannot be reached from the start.
  Status CheckStructure(size_t& unreachable) const;
  EntryPoints& entries() { return entries_; }
  void set_start(SlotId slot) { start_.store(slot, std::memory_order_release); }

 private:
  Status CheckReachable(SlotId slots, size_t& unreachable) const;

  LiveView View() const { return {start(), slots_, neighbors_, features_.rows(), entries_}; }

  // RobustPrune (DiskANN paper, algorithm 2), with the rounds of DiskANN's code: scratch.pool,
  // which are p's candidates, sorted here, to scratch.selected, at most `degree`; the last places
  // are for what is far. Where norms vary, half of them are first chosen by p's product with them.
  // Unless alpha is 1, fewer than a third of `degree`, and than 8, are filled up to 7/10 of it, or
  // 24, with the nearest of the others.
  void Prune(SlotId p, size_t degree, Operation& op) const;
  void ChooseByProduct(SlotId p, size_t degree, Operation& op) const;
  void ChooseByDistance(size_t degree, Operation& op) const;
  static void FillUp(size_t degree, Operation& op);
  void OpenAll(std::span<const Candidate> candidates, Operation& op) const;
  enum class By : uint8_t { kDistance, kProduct };
  void Choose(By by, float alpha, size_t degree, size_t reserved, float far, Operation& op) const;
  bool IsInGroup(const float* distances, const float* between, const float* ratios, size_t n) const;
  void TakeRatiosInGroup(const float* distances, const float* between, float* ratios,
                         size_t n) const;
  size_t MostClosedInGroup() const { return std::max<size_t>(neighbors_.max_degree() / 8, 1); }
  void Occlude(By by, const std::byte* row, size_t first, Operation& op) const;
  // To scratch.pool: what searches for p expand.
  size_t CollectCandidates(SlotId p, const Scorer& scorer, size_t list_size, Operation& op) const;
  // To scratch.selected: of what a search for p expands, and of p's row, what prune leaves.
  void SelectNeighbors(SlotId p, size_t list_size, Operation& op) const;

  // Scores those of scratch.search.ids[0, n) that are readable: they come to the front. Returns how
  // many.
  size_t ScoreReadable(const Scorer& scorer, size_t n, Operation& op) const;
  // Likewise, and adds those to scratch.pool that are live, farther than `beyond`, not p and not in
  // it.
  void AddToPool(SlotId p, const Scorer& scorer, size_t n, float beyond, Operation& op) const;

  // Adds p's live neighbours that are not in scratch.pool to it: without them a second pass loses
  // the long edges, which no search for p meets again.
  void AddOwnRow(SlotId p, const Scorer& scorer, Operation& op) const;

  // Adds points that are far from p to scratch.pool: what the search did not come to because its
  // list was full of nearer ones.
  void AddFar(SlotId p, const Scorer& scorer, Operation& op) const;

  // Replaces p's row by scratch.selected, pushing those that are new to it. False: no memory.
  bool WriteOut(SlotId p, Operation& op);
  // Replaces u's row by scratch.selected, where only `fresh` may be new to it. False: the row has
  // moved on since `version`.
  bool ReplaceRow(SlotId u, uint32_t version, SlotId fresh, Operation& op);
  // NeighborLists::UpdateRow, with the pushes taken back that did not make it.
  bool CommitRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, Operation& op);
  // An edge from u to p, if need be in place of others; p may lose against them. True: the edge is
  // there now, and was not before.
  bool LinkOrPrune(SlotId u, SlotId p, Operation& op);
  // LinkOrPrune to p from each of its neighbours; their number.
  size_t LinkBack(SlotId p, Operation& op);
  // An edge from u that guards p, in place of u's farthest neighbour that can do without. False:
  // there is none, u may not guard p, or u or p is not live.
  bool ForceLink(SlotId u, SlotId p, Operation& op);
  // ForceLink from one that u guards, or that such a one guards, and so on.
  bool ForceLinkBelow(SlotId u, SlotId p, Operation& op);
  // ForceLink from the start or, one after the other, whoever there is. True: there is an edge, or
  // p is not live. Takes no memory.
  bool ForceLinkFromAny(SlotId p, Operation& op);
  // scratch.pool: u's live neighbours (and `extra`) with their distances from u. Returns the row's
  // version before the copy.
  uint32_t PoolFromRow(SlotId u, SlotId extra, Operation& op) const;

  // Repair, step by step; see repair.cc.
  void CollectReplacements(SlotId p, Operation& op) const;
  void MeasureBetweenReplacements(Operation& op) const;
  void MeasureFromDeleted(SlotId p, Operation& op) const;
  void ScoreReplacements(SlotId slot, Operation& op) const;
  void ScoreReplacementsByProduct(SlotId slot, Operation& op) const;
  static size_t NearestUsable(const Operation& op);
  static SlotId NearestReplacement(const Operation& op);
  void Support(SlotId w, Operation& op);
  void RenewRank(SlotId w, SlotId p, Operation& op);
  bool LinkFromReplacement(SlotId w, Operation& op);
  SlotId LinkReplacement(SlotId z, std::span<const SlotId> row, Operation& op);
  size_t ChooseReplacement(Operation& op, size_t& nearest) const;
  bool OccludedByReplacements(size_t candidate, const Operation& op) const;
  bool OccludedByOthers(size_t candidate, Operation& op) const;
  void PrefetchOthers(SlotId z) const;
  // How many of a row that are no replacements have a say in the choice: see docs/algorithms.md,
  // D15.
  size_t MostOthers() const { return neighbors_.max_degree() / 4; }
  void SplitRow(SlotId z, std::span<const SlotId> row, Operation& op) const;
  void ReplaceIn(SlotId z, SlotId p, Operation& op);
  bool MakeChildless(SlotId p, Operation& op);
  bool FindParent(SlotId x, SlotId leaving, Operation& op);
  bool ParentFromOutside(SlotId v, Operation& op);
  bool HasParentBesides(SlotId x, SlotId leaving) const;
  // MoveToEnd of p, which guards nobody. False: by now it does. Takes no memory.
  bool MoveToEnd(SlotId p, Operation& op);

  // What is far: so many times as far as the middle of those that are looked at. Distances are
  // squared for L2.
  static constexpr float kFar = 3;
  // A ratio (see Occlude) beyond which a neighbour is much nearer to a candidate.
  static constexpr float kNear = 3.5f;
  // A list keeps one place in so many, at least one, for what is far.
  static constexpr uint32_t kFarShare = 16;
  static constexpr uint32_t kFarShareOfEqual = 4;  // Where half of all candidates equal the point.

  // Constant after construction.
  const IndexOptions options_;
  // A full row that is offered one more edge is pruned to this: so a prune pays for a few inserts.
  // Measured at 100k, R = 32: 28 costs a third of the distances of 32 at the same recall per
  // distance searched; 24 and less lose recall (docs/algorithms.md).
  const size_t overflow_degree_;
  const FullCodec& codec_;
  SlotTable& slots_;
  NeighborLists& neighbors_;
  RamFeatureStore& features_;

  // Own synchronisation.
  std::atomic<SlotId> start_{kNoSlot};
  SubtreeReattachment reattachment_;
  EntryPoints entries_;
  std::atomic<uint64_t> inserts_{0};
  std::atomic<uint64_t> reparented_{0};
  std::atomic<uint64_t> relinked_{0};
  std::atomic<uint64_t> restarts_{0};
};

}  // namespace shoal
