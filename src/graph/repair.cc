// Taking a deleted point out of the graph: the local rule.
//
// Every in-neighbour z of a deleted p gets, in p's place, the nearest to z of p's out- and
// in-neighbours (its replacements: replacements.cc) to which z's row has no way yet, where z is far
// from p the nearest of those that are near p; an out-neighbour of p that is left with few in-edges
// gets one from the nearest of them. Degrees stay as they are, no list is pruned but one that
// overflows, and no list is read for it that did not name p. (After IP-DiskANN's update edges,
// "In-Place Updates of a Graph Index", 2025, and Greator's single update, 2025, on exact reverse
// lists; docs/algorithms.md has the rules that lost.)
//
// Order: new edges first; then p's neighbours get other guards than p; then the edges to p go; p's
// own list last. So a search that is at p finds its way on, and one that starts later is led around
// it.
#include <algorithm>
#include <utility>

#include "base/hooks.h"
#include "graph/graph.h"

namespace shoal {
namespace {

// Rebirths, one after the other, until it is time to look at all that hangs on the point at once.
constexpr size_t kMaxSteps = 16;

// In-neighbours that one call leads around a point, a millisecond's work. Most points have a tenth
// of that; a hub, at which half of all others point, would take a second.
constexpr size_t kMaxPerCall = 512;

}  // namespace

Graph::Repaired Graph::Repair(SlotId p, Operation& op) {
  Scratch::Repair& r = op.scratch.repair;
  neighbors_.Reverse(p, r.in, kMaxPerCall + 1);
  const bool are_all = r.in.size() <= kMaxPerCall;
  std::sort(r.in.begin(), r.in.end());
  r.in.erase(std::unique(r.in.begin(), r.in.end()), r.in.end());
  r.out.resize(kMaxDegree);
  r.out.resize(neighbors_.Copy(p, r.out.data()));
  op.work.lists_read += 2;
  SHOAL_SYNC_POINT("repair.copied");
  CollectReplacements(p, op);
  neighbors_.PrefetchReverse(r.replacements);
  MeasureBetweenReplacements(op);
  MeasureFromDeleted(p, op);
  for (const SlotId w : r.out) Support(w, op);
  for (const SlotId w : r.out) RenewRank(w, p, op);
  if (!MakeChildless(p, op)) {
    const auto link = [&](SlotId v) { return ParentFromOutside(v, op); };
    if (!reattachment_.Run(p, link)) return Repaired::kRetry;
  }
  SHOAL_SYNC_POINT("repair.before_replacing");
  constexpr size_t kAhead = 4;
  for (size_t i = 0; i < r.in.size(); ++i) {
    if (i + kAhead < r.in.size()) neighbors_.PrefetchForWriting(r.in[i + kAhead]);
    if (i + 1 < r.in.size()) PrefetchOthers(r.in[i + 1]);
    ReplaceIn(r.in[i], p, op);
  }
  if (!are_all) {
    SHOAL_SYNC_POINT("repair.partial");
    return Repaired::kPartial;
  }
  SHOAL_SYNC_POINT("repair.before_clearing");
  neighbors_.ClearRow(p);
  ++op.work.lists_written;
  entries_.Forget(p, r.replacements.empty() ? kNoSlot : NearestReplacement(op));
  return Repaired::kDone;
}

// An edge from the nearest replacement that has none to w, if w is left with few in-edges; with
// very few, one from each of w's own neighbours that will have it, as when w came: of p's
// replacements, none need be near w.
void Graph::Support(SlotId w, Operation& op) {
  if (slots_.tag(w) != Tag::kLive) return;
  if (neighbors_.HasMoreIn(w, neighbors_.max_degree() / 2)) return;
  LinkFromReplacement(w, op);
  if (!neighbors_.HasMoreIn(w, neighbors_.max_degree() / 4)) LinkBack(w, op);
}

bool Graph::LinkFromReplacement(SlotId w, Operation& op) {
  constexpr int kTries = 4;
  Scratch::Repair& r = op.scratch.repair;
  ScoreReplacements(w, op);
  for (int i = 0; i < kTries; ++i) {
    const size_t nearest = NearestUsable(op);
    if (nearest == r.replacements.size()) return false;
    r.distances[nearest] = Scratch::kUnusable;
    if (LinkOrPrune(r.replacements[nearest], w, op)) return true;
  }
  return false;
}

// MoveToEnd of w if p is one of its few guards, while that need not drag others along: without it,
// old points come to guard each other in long chains.
void Graph::RenewRank(SlotId w, SlotId p, Operation& op) {
  constexpr uint32_t kFewParents = 2;
  if (slots_.tag(w) != Tag::kLive || neighbors_.forest().ParentCount(w) > kFewParents) return;
  if (!neighbors_.forest().IsParent(p, w)) return;
  std::vector<SlotId>& refused = op.scratch.repair.refused;
  refused.clear();
  if (!neighbors_.forest().MoveToEnd(w, refused)) return;
  reparented_.fetch_add(1, std::memory_order_relaxed);
  neighbors_.forest().AdoptParents(w, op.scratch.repair.adopting);
}

// Pushes z's future edge to an replacement: where the edge to p is long, one that a search for p's
// neighbours gets nearer to them by; else any that is usable. Where norms vary, the one with the
// largest product: the edges to such are the ones that are hard to come by (docs/algorithms.md,
// D26). kNoSlot: there is none.
SlotId Graph::LinkReplacement(SlotId z, std::span<const SlotId> row, Operation& op) {
  Scratch::Repair& r = op.scratch.repair;
  const size_t replacements = r.replacements.size();
  const bool by_product = codec_.NormsVary();
  if (by_product) {
    ScoreReplacementsByProduct(z, op);
  } else {
    ScoreReplacements(z, op);
  }
  SplitRow(z, row, op);
  size_t chosen = replacements, nearest = replacements;
  if (by_product) {
    nearest = NearestUsable(op);
  } else {
    if (const uint32_t i = r.positions.Find(z); i < replacements && r.from_deleted[i] > r.far) {
      r.usable = r.distances;
      for (size_t j = 0; j < replacements; ++j)
        if (options_.alpha * r.from_deleted[j] > r.from_deleted[i])
          r.distances[j] = Scratch::kUnusable;
      chosen = ChooseReplacement(op, nearest);
      r.distances.swap(r.usable);
    }
    if (chosen == replacements) chosen = ChooseReplacement(op, nearest);
  }
  for (size_t i = chosen < replacements ? chosen : nearest; i < replacements;
       i = NearestUsable(op)) {
    r.distances[i] = Scratch::kUnusable;
    if (neighbors_.AddBackLink(z, r.replacements[i]) == NeighborLists::LinkResult::kLinked)
      return r.replacements[i];
  }
  return kNoSlot;
}

void Graph::ReplaceIn(SlotId z, SlotId p, Operation& op) {
  if (const Tag tag = slots_.tag(z); tag != Tag::kLive && tag != Tag::kFrozen) {
    neighbors_.Unlink(z, p);
    return;
  }
  // Perhaps torn, perhaps moved on when the edge is written: so good is good enough for a choice.
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(z, row);
  ++op.work.lists_read;
  const SlotId replacement = LinkReplacement(z, std::span(row, n), op);
  SHOAL_SYNC_POINT("repair.before_commit");
  if (!neighbors_.Swap(z, p, replacement)) return;
  ++op.work.lists_written;
  // Nobody to take p's place, and hardly a neighbour left: a search finds better ones.
  if (replacement == kNoSlot && n <= neighbors_.max_degree() / 4 && slots_.tag(z) == Tag::kLive)
    Relink(z, op);
}

// Releases p, which is deleted (neighbors.h, G4): whom p alone guards is reborn, after those whom
// that one alone guards, and so on; guards have no cycle, so this comes to an end. False: not yet.
bool Graph::MakeChildless(SlotId p, Operation& op) {
  auto& stack = op.scratch.repair.releasing;
  stack.assign(1, {p, kNoSlot});
  for (size_t steps = 0; !stack.empty(); ++steps) {
    if (steps >= kMaxSteps) return false;
    const auto [x, leaving] = stack.back();
    std::vector<SlotId>& refused = op.scratch.repair.refused;
    refused.clear();
    if (neighbors_.forest().MoveToEnd(x, refused)) {
      stack.pop_back();
      if (slots_.tag(x) == Tag::kLive && !FindParent(x, leaving, op)) return false;
    } else if (refused.empty()) {  // Pinned, by another repair.
      return false;
    }
    for (const SlotId w : refused) stack.push_back({w, x});
  }
  return true;
}

// An edge to v from the nearest point that may guard it and has a place; or v was deleted
// meanwhile.
bool Graph::ParentFromOutside(SlotId v, Operation& op) {
  relinked_.fetch_add(1, std::memory_order_relaxed);
  for (const size_t times : {1, 4}) {
    const size_t list_size = times * options_.build_list_size;
    SelectNeighbors(v, std::min<size_t>(list_size, slots_.high_water()), op);
    const std::vector<Candidate> nearest = op.scratch.pool;
    for (const Candidate& candidate : nearest)
      if (ForceLink(candidate.slot, v, op)) return true;
  }
  return ForceLinkFromAny(v, op);
}

bool Graph::HasParentBesides(SlotId x, SlotId leaving) const {
  const uint32_t guards = neighbors_.forest().ParentCount(x);
  return guards > 1 ||
         (guards == 1 && (leaving == kNoSlot || !neighbors_.forest().IsParent(leaving, x)));
}

// Gives x, which is live and was just reborn, a guard besides `leaving`: of those who point at it,
// or else by an edge from an replacement.
bool Graph::FindParent(SlotId x, SlotId leaving, Operation& op) {
  reparented_.fetch_add(1, std::memory_order_relaxed);
  neighbors_.forest().AdoptParents(x, op.scratch.repair.adopting);
  if (HasParentBesides(x, leaving)) return true;
  relinked_.fetch_add(1, std::memory_order_relaxed);
  return LinkFromReplacement(x, op) && HasParentBesides(x, leaving);
}

bool Graph::CopyOut(SlotId from, SlotId to, Operation& op) {
  if (!neighbors_.ReserveReverse(to)) return false;
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.CopyAtomically(from, row);  // A torn copy may name a slot twice.
  op.scratch.selected.assign(row, row + n);
  return WriteOut(to, op);
}

void Graph::TakeOver(SlotId from, SlotId to, Operation& op) {
  std::vector<SlotId>& in = op.scratch.repair.in;
  neighbors_.Reverse(from, in);
  SlotId row[kMaxDegree];
  for (const SlotId z : in) {
    if (z == to) continue;  // A pass of Refine may have met it by now.
    for (;;) {
      const uint32_t version = neighbors_.Version(z);
      const size_t n = neighbors_.Copy(z, row);
      SlotId* const place = std::find(row, row + n, from);
      if (place == row + n || std::find(row, row + n, to) != row + n) break;
      if (neighbors_.AddBackLink(z, to) != NeighborLists::LinkResult::kLinked) break;
      *place = to;
      if (CommitRow(z, version, std::span(row, n), op)) break;
      neighbors_.RemoveBackLink(z, to);
    }
  }
  if (entries_.Contains(from)) entries_.Forget(from, to);
  EnsureParent(to, op);
}

}  // namespace shoal
