#include "graph/entry_points.h"

#include <algorithm>
#include <limits>

#include "graph/operation.h"

namespace shoal {
namespace {

uint32_t HashOf(SlotId slot) {
  return static_cast<uint32_t>(slot * uint64_t{0x9e3779b97f4a7c15} >> 32);
}

}  // namespace

size_t EntryPoints::Set::Copy(SlotId* out) const {
  const size_t n = Size();
  for (size_t i = 0; i < n; ++i) out[i] = At(i);
  return n;
}

size_t EntryPoints::Set::Find(SlotId p) const {
  const size_t n = Size();
  for (size_t i = 0; i < n; ++i)
    if (At(i) == p) return i;
  return kPlaces;
}

void EntryPoints::Set::Add(SlotId p) {
  const size_t n = Size();
  slots[n].store(p, std::memory_order_relaxed);
  size.store(n + 1, std::memory_order_release);
}

void EntryPoints::Set::Remove(size_t i) {
  const size_t last = Size() - 1;
  slots[i].store(At(last), std::memory_order_relaxed);
  size.store(last, std::memory_order_release);
  if (last == 0) radius.store(0, std::memory_order_relaxed);
}

void EntryPoints::Set::Assign(std::span<const SlotId> points, float new_radius) {
  radius.store(new_radius, std::memory_order_relaxed);
  for (size_t i = 0; i < points.size(); ++i) slots[i].store(points[i], std::memory_order_relaxed);
  size.store(points.size(), std::memory_order_release);
}

void EntryPoints::Set::Assign(const Set& other) {
  SlotId points[kPlaces];
  const size_t n = other.Copy(points);
  Assign({points, n}, other.Radius());
}

size_t EntryPoints::CopyLeaves(size_t at, SlotId root, SlotId* out) const {
  return roots_.At(at) == root ? leaves_[at].Copy(out) : 0;
}

SlotId EntryPoints::Any(uint32_t seed) const {
  const size_t roots = roots_.Size();
  if (roots == 0) return kNoSlot;
  const uint32_t hash = HashOf(seed);
  const size_t root = hash % roots;
  const Set& leaves = leaves_[root];
  const size_t leaf = hash / kPlaces % (leaves.Size() + 1);
  return leaf < leaves.Size() ? leaves.At(leaf) : roots_.At(root);
}

bool EntryPoints::Contains(SlotId p) const {
  if (counts_[HashOf(p) % kFilter].load(std::memory_order_relaxed) == 0) return false;
  const size_t roots = roots_.Size();
  for (size_t i = 0; i < roots; ++i)
    if (roots_.At(i) == p || leaves_[i].Has(p)) return true;
  return false;
}

void EntryPoints::Count(SlotId p, int change) {
  auto& count = counts_[HashOf(p) % kFilter];
  const uint8_t now = count.load(std::memory_order_relaxed);
  // Where it is full it counts no more, and says for ever that there may be one.
  if (now < std::numeric_limits<uint8_t>::max())
    count.store(static_cast<uint8_t>(now + change), std::memory_order_relaxed);
}

void EntryPoints::Offer(SlotId p, const SeedsMet& met, Operation& op) {
  const auto is_root = [&] { return roots_.Size() == 0 || met.coarse_distance > roots_.Radius(); };
  if (!is_root()) {
    const size_t root = roots_.Find(met.coarse);
    if (!met.fine || root == kPlaces || met.distance <= leaves_[root].Radius()) return;
  }
  if (!choosing_.TryLock()) return;
  if (is_root()) {
    AddRoot(p, met.coarse_distance, op);
  } else if (const size_t root = roots_.Find(met.coarse); met.fine && root < kPlaces) {
    AddLeaf(root, p, met.distance, op);
  }
  LookForClusters();
  choosing_.Unlock();
}

void EntryPoints::AddRoot(SlotId p, float distance, Operation& op) {
  if (roots_.Size() == kMaxRoots) {
    ThinRoots(op);
    if (distance <= roots_.Radius()) return Rehome(p, op);
  }
  const size_t at = roots_.Size();
  leaves_[at].Assign({}, 0);
  roots_.Add(p);
  Count(p, 1);
  for (size_t i = 0; i < at; ++i) TakeLeaves(i, at, op);
}

void EntryPoints::TakeLeaves(size_t from, size_t to, Operation& op) {
  SlotId ids[kPlaces];
  bool eligible[kPlaces];
  const std::byte* rows[kPlaces];
  float before[kPlaces], now[kPlaces];
  const SlotId roots[] = {roots_.At(from), roots_.At(to)};
  for (const SlotId root : roots)
    if (!IsReadable(slots_.tag(root))) return;
  const size_t n = slots_.KeepReadable(ids, leaves_[from].Copy(ids), slots_.Now(), eligible);
  features_.rows().Find(ids, n, rows);
  const auto score = [&](SlotId root, float* out) {
    codec_.BindRow(features_.Row(root), op.scratch.row_buffer.data()).Score(rows, n, out);
    op.work.distances += n;
  };
  score(roots[0], before);
  score(roots[1], now);
  for (size_t i = 0; i < n; ++i) {
    const size_t leaf = leaves_[from].Find(ids[i]);
    if (now[i] >= before[i] || leaf == kPlaces) continue;
    leaves_[from].Remove(leaf);
    Count(ids[i], -1);
    const float nearest = Nearest(ids[i], leaves_[to], op).distance;
    AddLeaf(to, ids[i], std::min(now[i], nearest), op);
  }
}

void EntryPoints::AddLeaf(size_t root, SlotId p, float distance, Operation& op) {
  Set& leaves = leaves_[root];
  if (leaves.Size() == kMaxLeaves) ThinLeaves(leaves, op);
  if (distance <= leaves.Radius()) return;
  leaves.Add(p);
  Count(p, 1);
}

void EntryPoints::ThinRoots(Operation& op) {
  const Chosen stays = Thin(roots_, op);
  SlotId gone[kMaxRoots * (1 + kMaxLeaves)];
  size_t n = 0;
  for (size_t i = roots_.Size(); i-- > 0;) {
    if (stays[i]) continue;
    gone[n++] = roots_.At(i);
    n += leaves_[i].Copy(gone + n);
    leaves_[i].Assign({}, 0);
    RemoveRoot(i);
  }
  for (const SlotId p : std::span(gone, n)) {
    Count(p, -1);
    if (slots_.tag(p) == Tag::kLive) Rehome(p, op);
  }
}

void EntryPoints::ThinLeaves(Set& leaves, Operation& op) {
  const Chosen stays = Thin(leaves, op);
  for (size_t i = leaves.Size(); i-- > 0;) {
    if (stays[i]) continue;
    Count(leaves.At(i), -1);
    leaves.Remove(i);
  }
}

void EntryPoints::LookForClusters() {
  constexpr float kFine = 0.25f;  // Of the roots' radius.
  constexpr size_t kEnough = 4;   // Sets that were full once, of which a quarter is fine.
  size_t full = 0, fine = 0;
  for (size_t i = 0; i < roots_.Size(); ++i) {
    const float radius = leaves_[i].Radius();
    full += radius > 0 ? 1 : 0;
    fine += radius > 0 && radius < kFine * roots_.Radius() ? 1 : 0;
  }
  has_clusters_.store(MayHaveClusters() && full >= kEnough && 4 * fine >= full,
                      std::memory_order_relaxed);
}

EntryPoints::Chosen EntryPoints::Thin(Set& set, Operation& op) {
  SlotId all[kPlaces], readable[kPlaces];
  bool eligible[kPlaces];
  const std::byte* rows[kPlaces];
  float between[kPlaces][kPlaces];  // Row i: from i to those before it.
  const size_t n = set.Copy(all);
  std::copy_n(all, n, readable);
  const size_t there = slots_.KeepReadable(readable, n, slots_.Now(), eligible);
  features_.rows().Find(readable, there, rows);
  for (size_t i = 1; i < there; ++i)
    codec_.BindRow(rows[i], op.scratch.row_buffer.data()).Score(rows, i, between[i]);
  op.work.distances += there * (there - 1) / 2;
  // Of the two that are closest the later one goes, until there is room again.
  Chosen gone{};
  float radius = set.Radius();
  for (size_t left = there; left > n * 3 / 4; --left) {
    float closest = 0;
    size_t later = there;
    for (size_t i = 1; i < there; ++i) {
      for (size_t j = 0; j < i && !gone[i]; ++j) {
        if (gone[j] || (later < there && between[i][j] >= closest)) continue;
        closest = between[i][j];
        later = i;
      }
    }
    gone[later] = true;
    // Finite, for a snapshot takes no other.
    radius = std::max(radius, std::min(closest, std::numeric_limits<float>::max()));
  }
  set.radius.store(radius, std::memory_order_relaxed);
  Chosen stays{};
  for (size_t i = 0, at = 0; i < n; ++i)
    if (at < there && readable[at] == all[i]) stays[i] = !gone[at++];
  return stays;
}

Candidate EntryPoints::Nearest(SlotId p, const Set& set, Operation& op) {
  SlotId ids[kPlaces];
  bool eligible[kPlaces];
  const std::byte* rows[kPlaces];
  float distances[kPlaces];
  const size_t n = slots_.KeepReadable(ids, set.Copy(ids), slots_.Now(), eligible);
  features_.rows().Find(ids, n, rows);
  codec_.BindRow(features_.Row(p), op.scratch.row_buffer.data()).Score(rows, n, distances);
  op.work.distances += n;
  Candidate nearest{std::numeric_limits<float>::infinity(), kNoSlot};
  for (size_t i = 0; i < n; ++i)
    if (distances[i] < nearest.distance) nearest = {distances[i], ids[i]};
  return nearest;
}

void EntryPoints::Rehome(SlotId p, Operation& op) {
  const Candidate root = Nearest(p, roots_, op);
  const size_t at = roots_.Find(root.slot);
  if (at == kPlaces) return;
  const Candidate leaf = Nearest(p, leaves_[at], op);
  AddLeaf(at, p, std::min(root.distance, leaf.distance), op);
}

void EntryPoints::RemoveRoot(size_t at) {
  const size_t last = roots_.Size() - 1;
  if (at != last) leaves_[at].Assign(leaves_[last]);
  roots_.Remove(at);
}

void EntryPoints::Replace(Set& set, size_t i, SlotId by) {
  Count(set.At(i), -1);
  set.slots[i].store(by, std::memory_order_relaxed);
  Count(by, 1);
}

void EntryPoints::Forget(SlotId p, SlotId replacement) {
  if (!Contains(p)) return;
  const MutexLock lock(choosing_);
  const auto may_come = [&] { return replacement != kNoSlot && !Contains(replacement); };
  for (size_t i = roots_.Size(); i-- > 0;) {
    Set& leaves = leaves_[i];
    for (size_t j = leaves.Size(); j-- > 0;) {
      if (leaves.At(j) != p) continue;
      if (may_come()) {
        Replace(leaves, j, replacement);
      } else {
        Count(p, -1);
        leaves.Remove(j);
      }
    }
    if (roots_.At(i) != p) continue;
    if (may_come()) {
      Replace(roots_, i, replacement);
    } else if (leaves.Size() > 0) {
      Count(p, -1);
      roots_.slots[i].store(leaves.At(0), std::memory_order_relaxed);
      leaves.Remove(0);
    } else {
      Count(p, -1);
      RemoveRoot(i);
    }
  }
  LookForClusters();
}

std::vector<EntryPoints::Saved> EntryPoints::Save() {
  const MutexLock lock(choosing_);
  std::vector<Saved> sets;
  const auto add = [&](const Set& set) {
    SlotId slots[kPlaces];
    const size_t n = set.Copy(slots);
    sets.push_back({{slots, slots + n}, set.Radius()});
  };
  add(roots_);
  for (size_t i = 0; i < roots_.Size(); ++i) add(leaves_[i]);
  return sets;
}

void EntryPoints::Restore(std::span<const Saved> sets) {
  const MutexLock lock(choosing_);
  for (size_t i = 0; i < sets.size(); ++i) {
    (i == 0 ? roots_ : leaves_[i - 1]).Assign(sets[i].slots, sets[i].radius);
    for (const SlotId p : sets[i].slots) Count(p, 1);
  }
  LookForClusters();
}

}  // namespace shoal
