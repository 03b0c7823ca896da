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

void Graph::SelectNeighbors(SlotId p, size_t list_size, Guard& guard, Scratch& scratch) const {
  scratch.pool.clear();
  scratch.query_buffer.resize(codec_.buffer_bytes());
  const Scorer scorer = codec_.BindRow(features_.Row(p), scratch.query_buffer.data());
  list_size = CollectCandidates(p, scorer, list_size, guard, scratch);
  std::erase_if(scratch.pool, [&](const Candidate& candidate) {
    return candidate.slot == p || slots_.tag(candidate.slot) != Tag::kLive;
  });
  AddOwnRow(p, scorer, guard, scratch);
  if (scratch.search.best.size() >= list_size) AddFar(p, scorer, guard, scratch);
  Prune(p, neighbors_.max_degree(), guard, scratch);
}

// Where norms vary, two searches: for those that p's product with is largest, as a query finds
// them, and half as wide for those that p is near. The second is the last: what it leaves in the
// scratch is in the graph's geometry. Returns how wide that one was.
size_t Graph::CollectCandidates(SlotId p, const Scorer& scorer, size_t list_size, Guard& guard,
                                Scratch& scratch) const {
  constexpr uint64_t kProbe = 8;  // An insert in so many looks at fine seeds in any case.
  const bool probe = inserts_.load(std::memory_order_relaxed) % kProbe == 0;
  if (!codec_.NormsVary()) {
    BeamSearch(scorer, list_size, {.expanded = &scratch.pool, .probe_fine_seeds = probe}, guard,
               scratch);
    return list_size;
  }
  auto& found = scratch.by_product;
  found.clear();
  BeamSearch(codec_.BindRowAsQuery(features_.Row(p), scratch.query_buffer.data()), list_size,
             {.expanded = &found, .probe_fine_seeds = probe}, guard, scratch);
  list_size = (list_size + 1) / 2;
  BeamSearch(scorer, list_size, {.expanded = &scratch.pool, .probe_fine_seeds = probe}, guard,
             scratch);
  // Those that only the first has met, with their distances.
  const auto by_slot = [](const Candidate& a, const Candidate& b) { return a.slot < b.slot; };
  std::sort(scratch.pool.begin(), scratch.pool.end(), by_slot);
  const size_t near = scratch.pool.size();
  for (size_t i = 0; i < found.size();) {
    size_t n = 0;
    for (; i < found.size() && n < kMaxDegree; ++i)
      if (!std::binary_search(scratch.pool.begin(), scratch.pool.begin() + near, found[i], by_slot))
        scratch.search.ids[n++] = found[i].slot;
    n = ScoreReadable(scorer, n, guard, scratch);
    for (size_t j = 0; j < n; ++j)
      if (scratch.search.eligible[j])
        scratch.pool.push_back({scratch.search.distances[j], scratch.search.ids[j]});
  }
  return list_size;
}

size_t Graph::ScoreReadable(const Scorer& scorer, size_t n, Guard& guard, Scratch& scratch) const {
  n = slots_.KeepReadable(scratch.search.ids, n, slots_.Now(), scratch.search.eligible);
  features_.rows().Find(scratch.search.ids, n, scratch.search.rows);
  scorer.Score(scratch.search.rows, n, scratch.search.distances);
  guard.work.rows_fetched += n;
  guard.work.distances += n;
  return n;
}

void Graph::AddToPool(SlotId p, const Scorer& scorer, size_t n, float beyond, Guard& guard,
                      Scratch& scratch) const {
  n = ScoreReadable(scorer, n, guard, scratch);
  for (size_t i = 0; i < n; ++i) {
    // The copy of a row that is caught half-way may name a slot twice.
    const auto is_same = [&](const Candidate& candidate) {
      return candidate.slot == scratch.search.ids[i];
    };
    if (scratch.search.eligible[i] && scratch.search.distances[i] > beyond &&
        scratch.search.ids[i] != p &&
        std::none_of(scratch.pool.begin(), scratch.pool.end(), is_same))
      scratch.pool.push_back({scratch.search.distances[i], scratch.search.ids[i]});
  }
}

void Graph::AddOwnRow(SlotId p, const Scorer& scorer, Guard& guard, Scratch& scratch) const {
  const size_t n = neighbors_.Copy(p, scratch.search.ids);
  if (n == 0) return;
  ++guard.work.lists_read;
  AddToPool(p, scorer, n, -std::numeric_limits<float>::infinity(), guard, scratch);
}

// Where clusters are larger than a list, a search from within meets nobody outside, and every point
// that goes takes its edges to other clusters with it: in the end none are left. So p takes over
// from its nearest neighbour, and from an entry point.
void Graph::AddFar(SlotId p, const Scorer& scorer, Guard& guard, Scratch& scratch) const {
  const CandidateList& best = scratch.search.best;
  size_t n = 0;
  for (size_t i = 0; i < best.size() && n == 0; ++i)
    if (best[i].slot != p && best.IsEligible(i))
      n = neighbors_.Copy(best[i].slot, scratch.search.ids);
  ++guard.work.lists_read;
  if (const SlotId entry = entries_.Any(p); entry != kNoSlot) scratch.search.ids[n++] = entry;
  AddToPool(p, scorer, n, kFar * best[best.size() / 2].distance, guard, scratch);
}

bool Graph::WriteOut(SlotId p, Guard& guard, Scratch& scratch) {
  SlotId old[kMaxDegree];
  for (;;) {
    const uint32_t version = neighbors_.Version(p);
    const size_t n = neighbors_.Copy(p, old);
    bool no_memory = false;
    scratch.wanted.clear();
    scratch.pushed.clear();
    neighbors_.PrefetchReverse(scratch.selected);
    for (const SlotId v : scratch.selected) {
      if (std::find(old, old + n, v) == old + n) {
        const auto result = neighbors_.AddBackLink(p, v);
        no_memory |= result == NeighborLists::LinkResult::kNoMemory;
        if (result != NeighborLists::LinkResult::kLinked) continue;
        scratch.pushed.push_back(v);
      }
      scratch.wanted.push_back(v);
    }
    if (no_memory && scratch.wanted.empty()) return false;
    SHOAL_SYNC_POINT("write_out.before_commit");
    if (CommitRow(p, version, scratch.wanted, guard, scratch)) return true;
    for (const SlotId v : scratch.pushed) neighbors_.RemoveBackLink(p, v);
  }
}

bool Graph::CommitRow(SlotId u, uint32_t version, std::span<const SlotId> wanted, Guard& guard,
                      Scratch& scratch) {
  NeighborLists::RowUpdate& update = scratch.update;
  update.version = version;
  update.wanted = wanted;
  update.dropped.clear();
  update.added.clear();
  if (!neighbors_.UpdateRow(u, update)) {
    restarts_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  ++guard.work.lists_written;
  neighbors_.PrefetchReverse(update.dropped);
  for (const SlotId v : update.dropped) neighbors_.RemoveBackLink(u, v);
  return true;
}

bool Graph::LinkOut(SlotId p, Guard& guard, Scratch& scratch) {
  if (!neighbors_.ReserveReverse(p)) return false;
  SelectNeighbors(p, options_.build_list_size, guard, scratch);
  return WriteOut(p, guard, scratch);
}

void Graph::UndoLinkOut(SlotId p) { neighbors_.ClearRow(p); }

uint32_t Graph::PoolFromRow(SlotId u, SlotId extra, Guard& guard, Scratch& scratch) const {
  const uint32_t version = neighbors_.Version(u);
  size_t n = neighbors_.Copy(u, scratch.search.ids);
  ++guard.work.lists_read;
  if (extra != kNoSlot &&
      std::find(scratch.search.ids, scratch.search.ids + n, extra) == scratch.search.ids + n)
    scratch.search.ids[n++] = extra;
  scratch.query_buffer.resize(codec_.buffer_bytes());
  const Scorer scorer = codec_.BindRow(features_.Row(u), scratch.query_buffer.data());
  n = ScoreReadable(scorer, n, guard, scratch);
  scratch.pool.clear();
  for (size_t i = 0; i < n; ++i)
    if (scratch.search.eligible[i])
      scratch.pool.push_back({scratch.search.distances[i], scratch.search.ids[i]});
  return version;
}

bool Graph::ReplaceRow(SlotId u, uint32_t version, SlotId fresh, Guard& guard, Scratch& scratch) {
  const auto at = std::find(scratch.selected.begin(), scratch.selected.end(), fresh);
  // The row may have got `fresh` since the caller looked. A push would then be one too many: nobody
  // takes it back. (This copy is of `version`, or CommitRow refuses.)
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.Copy(u, row);
  bool pushed = at != scratch.selected.end() && std::find(row, row + n, fresh) == row + n;
  if (pushed && neighbors_.AddBackLink(u, fresh) != NeighborLists::LinkResult::kLinked) {
    scratch.selected.erase(at);
    pushed = false;
  }
  SHOAL_SYNC_POINT("replace_row.before_commit");
  if (CommitRow(u, version, scratch.selected, guard, scratch)) return true;
  if (pushed) neighbors_.RemoveBackLink(u, fresh);
  return false;
}

bool Graph::LinkOrPrune(SlotId u, SlotId p, Guard& guard, Scratch& scratch) {
  const auto result = neighbors_.Link(u, p);
  if (result == NeighborLists::LinkResult::kLinked) ++guard.work.lists_written;
  if (result != NeighborLists::LinkResult::kFull)
    return result == NeighborLists::LinkResult::kLinked;
  SHOAL_SYNC_POINT("link_or_prune.full");
  for (;;) {
    const uint32_t version = PoolFromRow(u, p, guard, scratch);
    Prune(u, overflow_degree_, guard, scratch);
    if (!ReplaceRow(u, version, p, guard, scratch)) continue;
    const auto& added = scratch.update.added;
    return std::find(added.begin(), added.end(), p) != added.end();
  }
}

bool Graph::ForceLink(SlotId u, SlotId p, Guard& guard, Scratch& scratch) {
  if (!neighbors_.forest().CanBeParent(u, p)) return false;
  const auto result = neighbors_.Link(u, p);
  if (result == NeighborLists::LinkResult::kLinked) ++guard.work.lists_written;
  if (result != NeighborLists::LinkResult::kFull) return neighbors_.forest().IsParent(u, p);
  SHOAL_SYNC_POINT("force_link.full");
  const uint32_t version = PoolFromRow(u, kNoSlot, guard, scratch);
  auto& pool = scratch.pool;
  std::sort(pool.begin(), pool.end(),
            [](const Candidate& a, const Candidate& b) { return a.distance > b.distance; });
  const auto spare = std::find_if(pool.begin(), pool.end(), [&](const Candidate& candidate) {
    if (!neighbors_.forest().IsParent(u, candidate.slot)) return true;
    return neighbors_.forest().ParentCount(candidate.slot) > 1 &&
           !neighbors_.forest().IsSuspended(candidate.slot);
  });
  if (spare == pool.end()) return false;
  scratch.selected.assign(1, p);
  for (const Candidate& candidate : pool)
    if (candidate.slot != spare->slot) scratch.selected.push_back(candidate.slot);
  ReplaceRow(u, version, p, guard, scratch);
  return neighbors_.forest().IsParent(u, p);
}

// Guards make a tree of which u's row, if it is full of them, names R branches: a few steps lead to
// where there is room.
bool Graph::ForceLinkBelow(SlotId u, SlotId p, Guard& guard, Scratch& scratch) {
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
    if (ForceLink(u, p, guard, scratch)) return true;
  }
  return false;
}

size_t Graph::LinkBack(SlotId p, Guard& guard, Scratch& scratch) {
  SlotId out[kMaxDegree];
  const size_t n = neighbors_.Copy(p, out);
  for (size_t i = 0; i < n; ++i) LinkOrPrune(out[i], p, guard, scratch);
  return n;
}

bool Graph::LinkIn(SlotId p, Guard& guard, Scratch& scratch) {
  const SeedsMet met = scratch.search.met;  // By LinkOut's search.
  const size_t n = LinkBack(p, guard, scratch);
  if (n == 0 || inserts_.fetch_add(1, std::memory_order_relaxed) % kStartRefresh == 0)
    LinkOrPrune(start(), p, guard, scratch);
  entries_.Offer(p, met, guard, scratch);
  return EnsureParent(p, guard, scratch);
}

// First, whoever points at p already. Then whoever came since p was born: others may have filled
// every row that is older than p with last guards while p was on its way, so p, which guards nobody
// as long as it has no guard itself, becomes the youngest. Then, in widening circles, the nearest
// point that may guard p and has an edge to spare gives it up; where the nearest of all have none
// (of many that are equal a search finds always the same), perhaps one of those whom these guard.
bool Graph::EnsureParent(SlotId p, Guard& guard, Scratch& scratch) {
  constexpr size_t kAsked = 8;
  const auto done = [&] {
    return slots_.tag(p) != Tag::kLive || neighbors_.forest().ParentCount(p) > 0;
  };
  if (done()) return true;
  neighbors_.forest().AdoptParents(p, scratch.repair.adopting);
  if (done()) return true;
  if (MoveToEnd(p, scratch)) {
    neighbors_.forest().AdoptParents(p, scratch.repair.adopting);
    if (done()) return true;
  }
  const size_t all = slots_.high_water();
  std::vector<Candidate> nearest;
  for (size_t list_size = options_.build_list_size;; list_size *= 4) {
    SelectNeighbors(p, std::min(list_size, all), guard, scratch);
    nearest = scratch.pool;
    for (size_t i = 0; i < nearest.size(); ++i) {
      ForceLink(nearest[i].slot, p, guard, scratch);
      if (done()) return true;
      if (i + 1 != kAsked) continue;
      for (size_t j = 0; j < kAsked; ++j) {
        ForceLinkBelow(nearest[j].slot, p, guard, scratch);
        if (done()) return true;
      }
    }
    ForceLink(start(), p, guard, scratch);
    if (done()) return true;
    if (list_size >= all) return false;
  }
}

bool Graph::MoveToEnd(SlotId p, Scratch& scratch) {
  scratch.repair.refused.clear();
  return neighbors_.forest().MoveToEnd(p, scratch.repair.refused);
}

void Graph::LinkInAnywhere(SlotId p, Guard& guard, Scratch& scratch) {
  if (neighbors_.forest().ParentCount(p) > 0) return;
  MoveToEnd(p, scratch);
  ForceLinkFromAny(p, guard, scratch);
}

bool Graph::ForceLinkFromAny(SlotId p, Guard& guard, Scratch& scratch) {
  const SlotId slots = slots_.high_water();
  for (SlotId i = start(); i < slots + start(); ++i) {
    const SlotId u = i % slots;
    if (slots_.tag(p) != Tag::kLive) return true;
    if (u != p && IsReadable(slots_.tag(u)) && ForceLink(u, p, guard, scratch)) return true;
  }
  return false;
}

void Graph::Relink(SlotId p, Guard& guard, Scratch& scratch) {
  if (slots_.tag(p) != Tag::kLive) return;
  SelectNeighbors(p, options_.build_list_size, guard, scratch);
  // Out of memory here leaves the old list, which is no worse than before.
  if (WriteOut(p, guard, scratch)) LinkBack(p, guard, scratch);
}

}  // namespace shoal
