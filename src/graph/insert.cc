#include <algorithm>
#include <limits>

#include "base/check.h"
#include "base/hooks.h"
#include "graph/graph.h"

namespace shoal {
namespace {

// The start's list is refreshed with every so many inserts.
constexpr uint64_t kStartRefresh = 64;

}  // namespace

void Graph::SelectNeighbors(SlotId p, size_t list_size, Operation& op) const {
  op.scratch.pool.clear();
  const Scorer scorer = codec_.BindRow(features_.Row(p), op.scratch.query_buffer.data());
  list_size = CollectCandidates(p, scorer, list_size, op);
  std::erase_if(op.scratch.pool, [&](const Candidate& candidate) {
    return candidate.slot == p || slots_.tag(candidate.slot) != Tag::kLive;
  });
  AddOwnRow(p, scorer, op);
  if (op.scratch.search.best.size() >= list_size) AddFar(p, scorer, op);
  Prune(p, neighbors_.max_degree(), op);
}

// Where norms vary, two searches: for those that p's product with is largest, as a query finds
// them, and half as wide for those that p is near. The second is the last: what it leaves in the
// scratch is in the graph's geometry. Returns how wide that one was.
size_t Graph::CollectCandidates(SlotId p, const Scorer& scorer, size_t list_size,
                                Operation& op) const {
  constexpr uint64_t kProbe = 8;  // An insert in so many looks at fine seeds in any case.
  const bool probe = inserts_.load(std::memory_order_relaxed) % kProbe == 0;
  if (!codec_.NormsVary()) {
    BeamSearch(scorer, list_size, {.expanded = &op.scratch.pool, .probe_fine_seeds = probe}, op);
    return list_size;
  }
  auto& found = op.scratch.by_product;
  found.clear();
  BeamSearch(codec_.BindRowAsQuery(features_.Row(p), op.scratch.query_buffer.data()), list_size,
             {.expanded = &found, .probe_fine_seeds = probe}, op);
  list_size = (list_size + 1) / 2;
  BeamSearch(scorer, list_size, {.expanded = &op.scratch.pool, .probe_fine_seeds = probe}, op);
  // Those that only the first has met, with their distances.
  const auto by_slot = [](const Candidate& a, const Candidate& b) { return a.slot < b.slot; };
  std::sort(op.scratch.pool.begin(), op.scratch.pool.end(), by_slot);
  const size_t near = op.scratch.pool.size();
  for (size_t i = 0; i < found.size();) {
    size_t n = 0;
    for (; i < found.size() && n < kMaxDegree; ++i)
      if (!std::binary_search(op.scratch.pool.begin(), op.scratch.pool.begin() + near, found[i],
                              by_slot))
        op.scratch.search.ids[n++] = found[i].slot;
    n = ScoreReadable(scorer, n, op);
    for (size_t j = 0; j < n; ++j)
      if (op.scratch.search.eligible[j])
        op.scratch.pool.push_back({op.scratch.search.distances[j], op.scratch.search.ids[j]});
  }
  return list_size;
}

size_t Graph::ScoreReadable(const Scorer& scorer, size_t n, Operation& op) const {
  n = slots_.KeepReadable(op.scratch.search.ids, n, slots_.Now(), op.scratch.search.eligible);
  features_.rows().Find(op.scratch.search.ids, n, op.scratch.search.rows);
  scorer.Score(op.scratch.search.rows, n, op.scratch.search.distances);
  op.work.rows_fetched += n;
  op.work.distances += n;
  return n;
}

void Graph::AddToPool(SlotId p, const Scorer& scorer, size_t n, float beyond, Operation& op) const {
  n = ScoreReadable(scorer, n, op);
  for (size_t i = 0; i < n; ++i) {
    // The copy of a row that is caught half-way may name a slot twice.
    const auto is_same = [&](const Candidate& candidate) {
      return candidate.slot == op.scratch.search.ids[i];
    };
    if (op.scratch.search.eligible[i] && op.scratch.search.distances[i] > beyond &&
        op.scratch.search.ids[i] != p &&
        std::none_of(op.scratch.pool.begin(), op.scratch.pool.end(), is_same))
      op.scratch.pool.push_back({op.scratch.search.distances[i], op.scratch.search.ids[i]});
  }
}

void Graph::AddOwnRow(SlotId p, const Scorer& scorer, Operation& op) const {
  const size_t n = neighbors_.Copy(p, op.scratch.search.ids);
  if (n == 0) return;
  ++op.work.lists_read;
  AddToPool(p, scorer, n, -std::numeric_limits<float>::infinity(), op);
}

// Where clusters are larger than a list, a search from within meets nobody outside, and every point
// that goes takes its edges to other clusters with it: in the end none are left. So p takes over
// from its nearest neighbour, and from an entry point.
void Graph::AddFar(SlotId p, const Scorer& scorer, Operation& op) const {
  const CandidateList& best = op.scratch.search.best;
  size_t n = 0;
  for (size_t i = 0; i < best.size() && n == 0; ++i)
    if (best[i].slot != p && best.IsEligible(i))
      n = neighbors_.Copy(best[i].slot, op.scratch.search.ids);
  ++op.work.lists_read;
  if (const SlotId entry = entries_.Any(p); entry != kNoSlot) op.scratch.search.ids[n++] = entry;
  AddToPool(p, scorer, n, kFar * best[best.size() / 2].distance, op);
}

bool Graph::WriteOut(SlotId p, Operation& op) {
  SlotId old[kMaxDegree];
  for (;;) {
    const uint32_t version = neighbors_.Version(p);
    const size_t n = neighbors_.Copy(p, old);
    bool no_memory = false;
    op.scratch.wanted.clear();
    op.scratch.pushed.clear();
    neighbors_.PrefetchReverse(op.scratch.selected);
    for (const SlotId v : op.scratch.selected) {
      if (std::find(old, old + n, v) == old + n) {
        const auto result = neighbors_.AddBackLink(p, v);
        no_memory |= result == NeighborLists::LinkResult::kNoMemory;
        if (result != NeighborLists::LinkResult::kLinked) continue;
        op.scratch.pushed.push_back(v);
      }
      op.scratch.wanted.push_back(v);
    }
    if (no_memory && op.scratch.wanted.empty()) return false;
    SHOAL_SYNC_POINT("write_out.before_commit");
    if (CommitRow(p, version, op.scratch.wanted, op)) return true;
    for (const SlotId v : op.scratch.pushed) neighbors_.RemoveBackLink(p, v);
  }
}

bool Graph::CommitRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, Operation& op) {
  NeighborLists::RowUpdate& update = op.scratch.update;
  update.version = version;
  update.wanted = wanted;
  update.dropped.clear();
  update.added.clear();
  if (!neighbors_.UpdateRow(u, update)) {
    restarts_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  ++op.work.lists_written;
  neighbors_.PrefetchReverse(update.dropped);
  for (const SlotId v : update.dropped) neighbors_.RemoveBackLink(u, v);
  return true;
}

bool Graph::LinkOut(SlotId p, Operation& op) {
  if (!neighbors_.ReserveReverse(p)) return false;
  SelectNeighbors(p, options_.build_list_size, op);
  return WriteOut(p, op);
}

void Graph::UndoLinkOut(SlotId p) { neighbors_.ClearRow(p); }

uint32_t Graph::PoolFromRow(SlotId u, SlotId extra, Operation& op) const {
  const uint32_t version = neighbors_.Version(u);
  size_t n = neighbors_.Copy(u, op.scratch.search.ids);
  ++op.work.lists_read;
  if (extra != kNoSlot && std::find(op.scratch.search.ids, op.scratch.search.ids + n, extra) ==
                              op.scratch.search.ids + n)
    op.scratch.search.ids[n++] = extra;
  const Scorer scorer = codec_.BindRow(features_.Row(u), op.scratch.query_buffer.data());
  n = ScoreReadable(scorer, n, op);
  op.scratch.pool.clear();
  for (size_t i = 0; i < n; ++i)
    if (op.scratch.search.eligible[i])
      op.scratch.pool.push_back({op.scratch.search.distances[i], op.scratch.search.ids[i]});
  return version;
}

bool Graph::ReplaceRow(SlotId u, uint32_t version, SlotId fresh, Operation& op) {
  const auto at = std::find(op.scratch.selected.begin(), op.scratch.selected.end(), fresh);
  // The row may have got `fresh` since the caller looked. A push would then be one too many: nobody
  // takes it back. (This copy is of `version`, or CommitRow refuses.)
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(u, row);
  bool pushed = at != op.scratch.selected.end() && std::find(row, row + n, fresh) == row + n;
  if (pushed && neighbors_.AddBackLink(u, fresh) != NeighborLists::LinkResult::kLinked) {
    op.scratch.selected.erase(at);
    pushed = false;
  }
  SHOAL_SYNC_POINT("replace_row.before_commit");
  if (CommitRow(u, version, op.scratch.selected, op)) return true;
  if (pushed) neighbors_.RemoveBackLink(u, fresh);
  return false;
}

bool Graph::LinkOrPrune(SlotId u, SlotId p, Operation& op) {
  const auto result = neighbors_.Link(u, p);
  if (result == NeighborLists::LinkResult::kLinked) ++op.work.lists_written;
  if (result != NeighborLists::LinkResult::kFull)
    return result == NeighborLists::LinkResult::kLinked;
  SHOAL_SYNC_POINT("link_or_prune.full");
  for (;;) {
    const uint32_t version = PoolFromRow(u, p, op);
    Prune(u, overflow_degree_, op);
    if (!ReplaceRow(u, version, p, op)) continue;
    const auto& added = op.scratch.update.added;
    return std::find(added.begin(), added.end(), p) != added.end();
  }
}

bool Graph::ForceLink(SlotId u, SlotId p, Operation& op) {
  if (!neighbors_.forest().CanBeParent(u, p)) return false;
  const auto result = neighbors_.Link(u, p);
  if (result == NeighborLists::LinkResult::kLinked) ++op.work.lists_written;
  if (result != NeighborLists::LinkResult::kFull) return neighbors_.forest().IsParent(u, p);
  SHOAL_SYNC_POINT("force_link.full");
  const uint32_t version = PoolFromRow(u, kNoSlot, op);
  auto& pool = op.scratch.pool;
  std::sort(pool.begin(), pool.end(),
            [](const Candidate& a, const Candidate& b) { return a.distance > b.distance; });
  const auto spare = std::find_if(pool.begin(), pool.end(), [&](const Candidate& candidate) {
    if (!neighbors_.forest().IsParent(u, candidate.slot)) return true;
    return neighbors_.forest().ParentCount(candidate.slot) > 1 &&
           !neighbors_.forest().IsSuspended(candidate.slot);
  });
  if (spare == pool.end()) return false;
  op.scratch.selected.assign(1, p);
  for (const Candidate& candidate : pool)
    if (candidate.slot != spare->slot) op.scratch.selected.push_back(candidate.slot);
  ReplaceRow(u, version, p, op);
  return neighbors_.forest().IsParent(u, p);
}

// Guards make a tree of which u's row, if it is full of them, names R branches: a few steps lead to
// where there is room.
bool Graph::ForceLinkBelow(SlotId u, SlotId p, Operation& op) {
  constexpr uint64_t kMaxSteps = 64;
  SlotId guarded[kMaxDegree];
  uint64_t random = p;
  for (uint64_t step = 0; step < kMaxSteps; ++step) {
    const size_t n = neighbors_.Copy(u, guarded);
    const SlotId* const end = std::remove_if(
        guarded, guarded + n, [&](SlotId v) { return !neighbors_.forest().IsParent(u, v); });
    if (end == guarded) return false;
    random = random * 6364136223846793005u + 1442695040888963407u;  // Knuth's, of MMIX.
    u = guarded[(random >> 32) % static_cast<size_t>(end - guarded)];
    if (ForceLink(u, p, op)) return true;
  }
  return false;
}

size_t Graph::LinkBack(SlotId p, Operation& op) {
  SlotId out[kMaxDegree];
  const size_t n = neighbors_.Copy(p, out);
  for (size_t i = 0; i < n; ++i) LinkOrPrune(out[i], p, op);
  return n;
}

bool Graph::LinkIn(SlotId p, Operation& op) {
  const SeedsMet met = op.scratch.search.met;  // By LinkOut's search.
  const size_t n = LinkBack(p, op);
  if (n == 0 || inserts_.fetch_add(1, std::memory_order_relaxed) % kStartRefresh == 0)
    LinkOrPrune(start(), p, op);
  entries_.Offer(p, met, op);
  return EnsureParent(p, op);
}

// First, whoever points at p already. Then whoever came since p was born: others may have filled
// every row that is older than p with last guards while p was on its way, so p, which guards nobody
// as long as it has no guard itself, becomes the youngest. Then, in widening circles, the nearest
// point that may guard p and has an edge to spare gives it up; where the nearest of all have none
// (of many that are equal a search finds always the same), perhaps one of those whom these guard.
bool Graph::EnsureParent(SlotId p, Operation& op) {
  constexpr size_t kAsked = 8;
  const auto done = [&] {
    return slots_.tag(p) != Tag::kLive || neighbors_.forest().ParentCount(p) > 0;
  };
  if (done()) return true;
  neighbors_.forest().AdoptParents(p, op.scratch.repair.adopting);
  if (done()) return true;
  if (MoveToEnd(p, op)) {
    neighbors_.forest().AdoptParents(p, op.scratch.repair.adopting);
    if (done()) return true;
  }
  const size_t all = slots_.high_water();
  std::vector<Candidate> nearest;
  for (size_t list_size = options_.build_list_size;; list_size *= 4) {
    SelectNeighbors(p, std::min(list_size, all), op);
    nearest = op.scratch.pool;
    for (size_t i = 0; i < nearest.size(); ++i) {
      ForceLink(nearest[i].slot, p, op);
      if (done()) return true;
      if (i + 1 != kAsked) continue;
      for (size_t j = 0; j < kAsked; ++j) {
        ForceLinkBelow(nearest[j].slot, p, op);
        if (done()) return true;
      }
    }
    ForceLink(start(), p, op);
    if (done()) return true;
    if (list_size >= all) return false;
  }
}

bool Graph::MoveToEnd(SlotId p, Operation& op) {
  op.scratch.repair.refused.clear();
  return neighbors_.forest().MoveToEnd(p, op.scratch.repair.refused);
}

void Graph::LinkInAnywhere(SlotId p, Operation& op) {
  if (neighbors_.forest().ParentCount(p) > 0) return;
  MoveToEnd(p, op);
  ForceLinkFromAny(p, op);
}

bool Graph::ForceLinkFromAny(SlotId p, Operation& op) {
  const SlotId slots = slots_.high_water();
  for (SlotId i = start(); i < slots + start(); ++i) {
    const SlotId u = i % slots;
    if (slots_.tag(p) != Tag::kLive) return true;
    if (u != p && IsReadable(slots_.tag(u)) && ForceLink(u, p, op)) return true;
  }
  return false;
}

void Graph::Relink(SlotId p, Operation& op) {
  if (slots_.tag(p) != Tag::kLive) return;
  SelectNeighbors(p, options_.build_list_size, op);
  // Out of memory here leaves the old list, which is no worse than before.
  if (WriteOut(p, op)) LinkBack(p, op);
}

}  // namespace shoal
