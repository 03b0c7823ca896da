// The replacement candidates of a deleted point: which points they are, how far apart, and which of
// them a row takes in the deleted point's place. (docs/algorithms.md, D23 and D24.)
#pragma once

#include <span>
#include <vector>

#include "graph/position_table.h"
#include "graph/search_scratch.h"
#include "store/visited_set.h"

namespace shoal {

class Linker;
struct LiveGraph;
struct Operation;

struct ReplacementScratch {
  std::vector<SlotId> slots;           // The candidates,
  PositionTable positions;             // where they stand,
  std::vector<const std::byte*> rows;  // their rows,
  std::vector<float> from_deleted;     // how far they are from the deleted point,
  float far = 0;                       // which of these distances are long,
  std::vector<float> between;          // (slots x slots: between two of them)
  std::vector<float> distances;        // and how far they are from the slot last scored.
  std::vector<float> usable;           // A copy of `distances` while some are struck out.
  std::vector<SlotId> deleted;         // Neighbours of the deleted point that are deleted, too.
  VisitedSet visited;

  std::vector<uint16_t> in_row;   // Positions of the candidates that the row at hand has,
  std::vector<float> from_owner;  // and how far they are from its owner.

  // The first few others of a row; and once one asks for them (measured), their rows and how far
  // they are from the row's owner and from the candidate asked for last.
  struct Others {
    SlotId owner = kNoSlot;
    bool measured = false;
    std::vector<SlotId> slots;
    std::vector<const std::byte*> rows;
    std::vector<float> from_owner, from_candidate;
  };
  Others others;

  size_t bytes() const {
    return HeapBytes(slots, rows, from_deleted, between, distances, usable, deleted, in_row,
                     from_owner, others.slots, others.rows, others.from_owner,
                     others.from_candidate) +
           positions.bytes() + visited.bytes();
  }
};

// Any thread. The candidates are those of the operation's last Collect.
class Replacements {
 public:
  Replacements(const LiveGraph& graph, Linker& linker) : graph_(graph), linker_(linker) {}

  // Of p, which has these neighbours: the live ones; where few live, also points to which deleted
  // ones lead.
  void Collect(SlotId p, std::span<const SlotId> out, std::span<const SlotId> in,
               Operation& op) const;
  // The candidate nearest to p; kNoSlot if there is none.
  static SlotId NearestToDeleted(const Operation& op);

  // An edge to w from the nearest candidate that has none. False: none of the nearest few got one.
  bool LinkTo(SlotId w, Operation& op);

  // Adds the back-link of an edge from z, which has this row, to the candidate that takes p's place
  // there, and returns that one; kNoSlot: there is none.
  SlotId AddBackLinkFor(SlotId z, std::span<const SlotId> row, Operation& op);
  // Prefetches what that will read of z's row.
  void PrefetchFor(SlotId z) const;

 private:
  SlotId TakeFor(SlotId z, std::span<const SlotId> row, Operation& op) const;
  static SlotId TakeNearest(Operation& op);
  void ScoreFrom(SlotId slot, Operation& op) const;
  void MeasureBetween(Operation& op) const;
  void MeasureFromDeleted(SlotId p, Operation& op) const;
  void ScoreByProductFrom(SlotId slot, Operation& op) const;
  void SplitRow(SlotId z, std::span<const SlotId> row, ReplacementScratch& scratch) const;
  size_t ChooseUnoccluded(size_t& nearest, Operation& op) const;
  bool IsOccludedByCandidates(size_t candidate, const ReplacementScratch& scratch) const;
  bool IsOccludedByOthers(size_t candidate, Operation& op) const;
  // How many of a row that are no candidates are asked whether they occlude one.
  size_t MaxOthers() const;

  const LiveGraph& graph_;
  Linker& linker_;
};

}  // namespace shoal
