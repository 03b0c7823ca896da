// Which slots a database's writer may use again, and which it does. See docs/database.md, "Slot
// reuse".
#include <algorithm>

#include "database_impl.h"

namespace shoal {

bool SlotLedger::MayReuse(SlotId slot) {
  const std::lock_guard lock(mutex_);
  if (slot >= bits_.size() || bits_[slot] == 0) return true;
  bits_[slot] |= kKept;
  return false;
}

void SlotLedger::ReserveLocked(SlotId slots) {
  if (slots > bits_.size()) bits_.resize(size_t{slots} + slots / 4 + 64);
}

void SlotLedger::Set(SlotId slot, unsigned add, unsigned remove) {
  const std::lock_guard lock(mutex_);
  if (add != 0) ReserveLocked(slot + 1);
  if (slot >= bits_.size()) return;
  bits_[slot] = static_cast<uint8_t>((bits_[slot] & ~remove) | add);
}

size_t SlotLedger::KeepOnDisk(SlotId* words, size_t n) const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::remove_if(words, words + n,
                                            [this](SlotId word) {
                                              return word >= bits_.size() ||
                                                     (bits_[word] & kOnDisk) == 0;
                                            }) -
                             words);
}

std::vector<SlotId> SlotLedger::Releasable() const {
  const std::lock_guard lock(mutex_);
  std::vector<SlotId> slots;
  for (SlotId slot = 0; slot < bits_.size(); ++slot)
    if (bits_[slot] == (kOnDisk | kDead | kKept)) slots.push_back(slot);
  return slots;
}

std::vector<SlotId> SlotLedger::TakeFree(uint32_t slots_per_block, uint32_t least) {
  const std::lock_guard lock(mutex_);
  std::vector<SlotId> taken;
  for (size_t first = 0; first < bits_.size(); first += slots_per_block) {
    const size_t end = std::min(first + slots_per_block, bits_.size());
    const auto free = std::count(bits_.begin() + static_cast<ptrdiff_t>(first),
                                 bits_.begin() + static_cast<ptrdiff_t>(end), uint8_t{kKept});
    if (static_cast<size_t>(free) < least) continue;
    for (size_t slot = first; slot < end; ++slot)
      if (bits_[slot] == kKept) taken.push_back(static_cast<SlotId>(slot));
  }
  for (const SlotId slot : taken) bits_[slot] = 0;
  return taken;
}

void StoredIndexImpl::FreeSlots(Free which) {
  // An eighth of a block: more would keep more slots from use, fewer would write more blocks.
  const uint32_t least = which == Free::kAll ? 1 : std::max(1u, (geometry.rows_per_block + 4) / 8);
  const std::vector<SlotId> slots = ledger.TakeFree(geometry.rows_per_block, least);
  if (engine.slots().Release(slots)) return;
  for (const SlotId slot : slots) ledger.Set(slot, SlotLedger::kKept, 0);
}

Result<PendingPoint> StoredIndexImpl::InsertPending(ExternalId id, VectorView vector,
                                                    Replacing replacing) {
  Result<PendingPoint> point = engine.InsertPending(id, vector, replacing);
  if (point || point.error().code != ErrorCode::kOutOfMemory) return point;
  FreeSlots(Free::kAll);
  return engine.InsertPending(id, vector, replacing);
}

}  // namespace shoal
