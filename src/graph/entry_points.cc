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

size_t EntryPoints::CopyFine(size_t at, SlotId coarse, SlotId* out) const {
  return coarse_.At(at) == coarse ? fine_[at].Copy(out) : 0;
}

SlotId EntryPoints::Any(uint32_t seed) const {
  const size_t coarse = coarse_.Size();
  if (coarse == 0) return kNoSlot;
  const uint32_t hash = HashOf(seed);
  const size_t at = hash % coarse;
  const Set& fine = fine_[at];
  const size_t at_fine = hash / kPlaces % (fine.Size() + 1);
  return at_fine < fine.Size() ? fine.At(at_fine) : coarse_.At(at);
}

bool EntryPoints::Contains(SlotId p) const {
  if (counts_[HashOf(p) % kFilter].load(std::memory_order_relaxed) == 0) return false;
  const size_t coarse = coarse_.Size();
  for (size_t i = 0; i < coarse; ++i)
    if (coarse_.At(i) == p || fine_[i].Has(p)) return true;
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
  const auto is_coarse = [&] {
    return coarse_.Size() == 0 || met.coarse_distance > coarse_.Radius();
  };
  if (!is_coarse()) {
    const size_t at = coarse_.Find(met.coarse);
    if (!met.fine || at == kPlaces || met.distance <= fine_[at].Radius()) return;
    FetchSeeds(p, at, op);
  } else {
    FetchSeeds(p, kPlaces, op);
  }
  const FetchScratch::Closed closed(op.scratch.fetch);
  if (!choosing_.TryLock()) return;
  if (is_coarse()) {
    AddCoarse(p, met.coarse_distance, op);
  } else if (const size_t at = coarse_.Find(met.coarse); met.fine && at < kPlaces) {
    AddFine(at, p, met.distance, op);
  }
  LookForClusters();
  choosing_.Unlock();
}

void EntryPoints::FetchSeeds(SlotId p, size_t fine, Operation& op) const {
  if (rows_.fetched == nullptr) return;
  (void)rows_.Row(p, op.scratch.fetch);
  (void)ReadableOf(coarse_, op);
  const size_t coarse = coarse_.Size();
  for (size_t i = 0; i < coarse; ++i)
    if (fine == kPlaces || fine == i) (void)ReadableOf(fine_[i], op);
}

void EntryPoints::AddCoarse(SlotId p, float distance, Operation& op) {
  if (coarse_.Size() == kMaxCoarse) {
    ThinCoarse(op);
    if (distance <= coarse_.Radius()) return OfferAsFine(p, op);
  }
  const size_t at = coarse_.Size();
  fine_[at].Assign({}, 0);
  coarse_.Add(p);
  Count(p, 1);
  for (size_t i = 0; i < at; ++i) TakeFine(i, at, op);
}

EntryPoints::Members EntryPoints::ReadableOf(const Set& set, Operation& op) const {
  Members members;
  bool eligible[kPlaces];
  members.size = slots_.KeepReadable(members.ids, set.Copy(members.ids), slots_.Now(), eligible);
  rows_.Find(members.ids, members.size, members.rows, op.scratch.fetch);
  if (rows_.fetched == nullptr) return members;
  size_t kept = 0;
  for (size_t i = 0; i < members.size; ++i) {
    if (members.rows[i] == nullptr) continue;
    members.ids[kept] = members.ids[i];
    members.rows[kept++] = members.rows[i];
  }
  members.size = kept;
  return members;
}

void EntryPoints::Score(SlotId from, const Members& members, float* out, Operation& op) const {
  rows_.codec.BindRow(rows_.Row(from, op.scratch.fetch), op.scratch.row_buffer.data())
      .Score(members.rows, members.size, out);
  op.work.distances += members.size;
}

void EntryPoints::TakeFine(size_t from, size_t to, Operation& op) {
  const SlotId coarse[] = {coarse_.At(from), coarse_.At(to)};
  for (const SlotId seed : coarse)
    if (!IsReadable(slots_.tag(seed))) return;
  const Members members = ReadableOf(fine_[from], op);
  float before[kPlaces], now[kPlaces];
  Score(coarse[0], members, before, op);
  Score(coarse[1], members, now, op);
  for (size_t i = 0; i < members.size; ++i) {
    const SlotId p = members.ids[i];
    const size_t at = fine_[from].Find(p);
    if (now[i] >= before[i] || at == kPlaces) continue;
    fine_[from].Remove(at);
    Count(p, -1);
    AddFine(to, p, std::min(now[i], Nearest(p, fine_[to], op).distance), op);
  }
}

void EntryPoints::AddFine(size_t at, SlotId p, float distance, Operation& op) {
  Set& fine = fine_[at];
  if (fine.Size() == kMaxFine) ThinFine(fine, op);
  if (distance <= fine.Radius()) return;
  fine.Add(p);
  Count(p, 1);
}

void EntryPoints::ThinCoarse(Operation& op) {
  const Chosen stays = Thin(coarse_, op);
  SlotId gone[kMaxCoarse * (1 + kMaxFine)];
  size_t n = 0;
  for (size_t i = coarse_.Size(); i-- > 0;) {
    if (stays[i]) continue;
    gone[n++] = coarse_.At(i);
    n += fine_[i].Copy(gone + n);
    fine_[i].Assign({}, 0);
    RemoveCoarse(i);
  }
  for (const SlotId p : std::span(gone, n)) {
    Count(p, -1);
    if (IsPoint(slots_.tag(p))) OfferAsFine(p, op);
  }
}

void EntryPoints::ThinFine(Set& fine, Operation& op) {
  const Chosen stays = Thin(fine, op);
  for (size_t i = fine.Size(); i-- > 0;) {
    if (stays[i]) continue;
    Count(fine.At(i), -1);
    fine.Remove(i);
  }
}

void EntryPoints::LookForClusters() {
  std::array<float, kMaxCoarse> fine = {};
  const size_t n = coarse_.Size();
  for (size_t i = 0; i < n; ++i) fine[i] = fine_[i].Radius();
  has_clusters_.store(HaveClusters(coarse_.Radius(), std::span(fine).first(n), slots_.high_water()),
                      std::memory_order_relaxed);
}

EntryPoints::Chosen EntryPoints::Thin(Set& set, Operation& op) {
  const size_t n = set.Size();
  const Members members = ReadableOf(set, op);
  const size_t there = members.size;
  float between[kPlaces][kPlaces];  // Row i: from i to those before it.
  for (size_t i = 1; i < there; ++i)
    rows_.codec.BindRow(members.rows[i], op.scratch.row_buffer.data())
        .Score(members.rows, i, between[i]);
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
    if (at < there && members.ids[at] == set.At(i)) stays[i] = !gone[at++];
  return stays;
}

Candidate EntryPoints::Nearest(SlotId p, const Set& set, Operation& op) const {
  const Members members = ReadableOf(set, op);
  float distances[kPlaces];
  Score(p, members, distances, op);
  Candidate nearest{std::numeric_limits<float>::infinity(), kNoSlot};
  for (size_t i = 0; i < members.size; ++i)
    if (distances[i] < nearest.distance) nearest = {distances[i], members.ids[i]};
  return nearest;
}

void EntryPoints::OfferAsFine(SlotId p, Operation& op) {
  const Candidate coarse = Nearest(p, coarse_, op);
  const size_t at = coarse_.Find(coarse.slot);
  if (at == kPlaces) return;
  const Candidate fine = Nearest(p, fine_[at], op);
  AddFine(at, p, std::min(coarse.distance, fine.distance), op);
}

void EntryPoints::RemoveCoarse(size_t at) {
  const size_t last = coarse_.Size() - 1;
  if (at != last) fine_[at].Assign(fine_[last]);
  coarse_.Remove(at);
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
  for (size_t i = coarse_.Size(); i-- > 0;) {
    Set& fine = fine_[i];
    for (size_t j = fine.Size(); j-- > 0;) {
      if (fine.At(j) != p) continue;
      if (may_come()) {
        Replace(fine, j, replacement);
      } else {
        Count(p, -1);
        fine.Remove(j);
      }
    }
    if (coarse_.At(i) != p) continue;
    if (may_come()) {
      Replace(coarse_, i, replacement);
    } else if (fine.Size() > 0) {
      Count(p, -1);
      coarse_.slots[i].store(fine.At(0), std::memory_order_relaxed);
      fine.Remove(0);
    } else {
      Count(p, -1);
      RemoveCoarse(i);
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
  add(coarse_);
  for (size_t i = 0; i < coarse_.Size(); ++i) add(fine_[i]);
  return sets;
}

void EntryPoints::Restore(std::span<const Saved> sets) {
  const MutexLock lock(choosing_);
  for (size_t i = 0; i < sets.size(); ++i) {
    (i == 0 ? coarse_ : fine_[i - 1]).Assign(sets[i].slots, sets[i].radius);
    for (const SlotId p : sets[i].slots) Count(p, 1);
  }
  LookForClusters();
}

}  // namespace shoal
