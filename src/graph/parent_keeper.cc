#include "graph/parent_keeper.h"

#include <algorithm>

#include "graph/live_graph.h"

namespace shoal {

ParentKeeper::ParentKeeper(LiveGraph& graph, Linker& linker, const NeighborSelector& selector,
                           Replacements& replacements)
    : graph_(graph),
      forest_(graph.neighbors.forest()),
      linker_(linker),
      selector_(selector),
      replacements_(replacements),
      reattachment_(graph.neighbors, graph.slots) {}

bool ParentKeeper::Climb(const Child& child, Operation& op) {
  static constexpr struct {
    Step step;
    unsigned kinds;
  } kLadder[] = {
      {&ParentKeeper::Adopt, kNew},
      {&ParentKeeper::MoveToEnd, kNew | kNoMemory},
      {&ParentKeeper::Adopt, kNew | kMovedToEnd},
      {&ParentKeeper::LinkFromReplacement, kMovedToEnd},
      {&ParentKeeper::LinkFromNearest, kSuspended},
      {&ParentKeeper::LinkFromNearestOfAll, kNew},
      {&ParentKeeper::LinkFromAny, kSuspended | kNoMemory},
  };
  for (const auto& [step, kinds] : kLadder)
    if ((kinds & child.kind) != 0 && (this->*step)(child, op)) return true;
  return false;
}

bool ParentKeeper::IsServed(const Child& child) const {
  if (!IsPoint(graph_.slots.tag(child.point))) return true;
  const uint32_t parents = forest_.ParentCount(child.point);
  return parents > 1 || (parents == 1 && (child.leaving == kNoSlot ||
                                          !forest_.IsParent(child.leaving, child.point)));
}

// In-neighbours of lower rank become its parents.
bool ParentKeeper::Adopt(const Child& child, Operation& op) {
  forest_.AdoptParents(child.point, op.scratch.parents.adopting);
  return IsServed(child);
}

bool ParentKeeper::MoveToEnd(SlotId p, Operation& op) {
  op.scratch.parents.refused.clear();
  return forest_.MoveToEnd(p, op.scratch.parents.refused);
}

// Other inserts may fill every row of lower rank with last parent edges while a new point is on its
// way. So the point, which has no children as long as it has no parent, moves to the end: then all
// others can be its parents.
bool ParentKeeper::MoveToEnd(const Child& child, Operation& op) {
  MoveToEnd(child.point, op);
  return false;
}

bool ParentKeeper::LinkFromReplacement(const Child& child, Operation& op) {
  relinked_.fetch_add(1, std::memory_order_relaxed);
  return replacements_.LinkTo(child.point, op) && IsServed(child);
}

// A parent edge from the nearest point that has one to spare.
bool ParentKeeper::LinkFromNearest(const Child& child, Operation& op) {
  for (const size_t times : {1, 4}) {
    const size_t list_size = times * graph_.options.build_list_size;
    const size_t all = graph_.slots.high_water();
    const auto found = selector_.Select(child.point, std::min(list_size, all), op);
    for (const Candidate& near : found.candidates)
      if (linker_.ForceLink(near.slot, child.point, op)) return true;
  }
  return false;
}

// Likewise, in circles that widen until they have all points. Of many equal points a search of any
// width finds the same ones. So if the nearest few have no edge to spare, their descendants are
// asked.
bool ParentKeeper::LinkFromNearestOfAll(const Child& child, Operation& op) {
  constexpr size_t kAsked = 8;
  const SlotId p = child.point;
  const size_t all = graph_.slots.high_water();
  for (size_t list_size = graph_.options.build_list_size;; list_size *= 4) {
    const auto nearest = selector_.Select(p, std::min(list_size, all), op).candidates;
    for (size_t i = 0; i < nearest.size(); ++i) {
      linker_.ForceLink(nearest[i].slot, p, op);
      if (IsServed(child)) return true;
      for (size_t j = 0; i + 1 == kAsked && j < kAsked; ++j) {
        linker_.ForceLinkBelow(nearest[j].slot, p, op);
        if (IsServed(child)) return true;
      }
    }
    linker_.ForceLink(graph_.start(), p, op);
    if (IsServed(child)) return true;
    if (list_size >= all) return false;
  }
}

// From the start point or, one after another, all others.
bool ParentKeeper::LinkFromAny(const Child& child, Operation& op) {
  const SlotId p = child.point;
  const SlotId start = graph_.start();
  const SlotId slots = graph_.slots.high_water();
  for (SlotId i = start; i < slots + start; ++i) {
    const SlotId u = i % slots;
    if (!IsPoint(graph_.slots.tag(p))) return true;
    if (u != p && IsReadable(graph_.slots.tag(u)) && linker_.ForceLink(u, p, op)) return true;
  }
  return false;
}

bool ParentKeeper::EnsureParent(SlotId p, Operation& op) {
  const Child child = {p, kNew};
  return IsServed(child) || Climb(child, op);
}

void ParentKeeper::EnsureParentWithoutMemory(SlotId p, Operation& op) {
  const Child child = {p, kNoMemory};
  const FetchScratch::Closed closed(op.scratch.fetch);
  if (!IsServed(child)) Climb(child, op);
}

void ParentKeeper::RenewRank(SlotId w, SlotId p, Operation& op) {
  constexpr uint32_t kFewParents = 2;
  if (!IsPoint(graph_.slots.tag(w)) || forest_.ParentCount(w) > kFewParents) return;
  if (!forest_.IsParent(p, w) || !MoveToEnd(w, op)) return;
  reparented_.fetch_add(1, std::memory_order_relaxed);
  forest_.AdoptParents(w, op.scratch.parents.adopting);
}

bool ParentKeeper::MakeChildless(SlotId p, Operation& op) {
  if (MoveChildrenToEnd(p, op)) return true;
  return reattachment_.Run(p, [&](SlotId v) {
    relinked_.fetch_add(1, std::memory_order_relaxed);
    return Climb({v, kSuspended}, op);
  });
}

// Moves the points to the end that have no other parent than p, after those that have no other
// parent than these, and so on. Parent edges form no cycle, so this comes to an end. False: it took
// too many moves, or one of the points found no parent.
bool ParentKeeper::MoveChildrenToEnd(SlotId p, Operation& op) {
  constexpr size_t kMaxMoves = 16;
  auto& to_move = op.scratch.parents.to_move;
  const std::vector<SlotId>& refused = op.scratch.parents.refused;
  to_move.assign(1, {p, kNoSlot});
  for (size_t moves = 0; !to_move.empty(); ++moves) {
    if (moves >= kMaxMoves) return false;
    const auto [x, leaving] = to_move.back();
    if (MoveToEnd(x, op)) {
      to_move.pop_back();
      if (IsPoint(graph_.slots.tag(x))) {
        reparented_.fetch_add(1, std::memory_order_relaxed);
        if (!Climb({x, kMovedToEnd, leaving}, op)) return false;
      }
    } else if (refused.empty()) {  // Suspended, by another repair.
      return false;
    }
    for (const SlotId w : refused) to_move.emplace_back(w, x);
  }
  return true;
}

}  // namespace shoal
