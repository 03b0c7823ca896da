#include "store/slot_table.h"

#include <algorithm>
#include <array>
#include <functional>
#include <new>
#include <string>

#include "base/check.h"
#include "base/hooks.h"

namespace shoal {

OwnedSlot::~OwnedSlot() {
  if (table_ != nullptr) table_->ReturnSlot(slot_);
}

SlotId OwnedSlot::Publish() && {
  // PUB.1, pairs with READ.1: row, list and external id before the tag.
  table_->tags_[slot_].store(Tag::kLive, std::memory_order_release);
  SHOAL_SYNC_POINT("publish.tagged");
  table_->live_set_.Add(slot_);
  table_->owned_.fetch_sub(1, std::memory_order_relaxed);
  table_->live_.fetch_add(1, std::memory_order_relaxed);
  table_ = nullptr;
  return slot_;
}

SlotId OwnedSlot::PublishPending() && {
  table_->tags_[slot_].store(Tag::kPending, std::memory_order_release);  // PUB.1
  table_->owned_.fetch_sub(1, std::memory_order_relaxed);
  table_->pending_.fetch_add(1, std::memory_order_relaxed);
  table_ = nullptr;
  return slot_;
}

SlotId OwnedSlot::Freeze() && {
  table_->tags_[slot_].store(Tag::kFrozen, std::memory_order_release);  // PUB.1
  table_->owned_.fetch_sub(1, std::memory_order_relaxed);
  table_ = nullptr;
  return slot_;
}

SlotTable::SlotTable(MemoryBudget& budget, EpochRegistry& epochs, std::vector<Column*> columns)
    : budget_(budget), epochs_(epochs), columns_(std::move(columns)) {
  columns_.Add(tags_);
  columns_.Add(ids_);
}

bool SlotTable::Init(unsigned max_segment_shift) { return columns_.Init(max_segment_shift); }

std::optional<OwnedSlot> SlotTable::Acquire() {
  if (NeedsReclaim()) Reclaim();  // Before growing, see whether readers have moved on.
  const MutexLock lock(mutex_);
  SHOAL_SYNC_POINT("acquire.locked");
  if (!ReserveFree(1)) return std::nullopt;
  std::optional<SlotId> slot = TakeFree();
  if (!slot) slot = Grow();
  if (!slot) return std::nullopt;
  // Acquire, pairs with RECLAIM.1: a slot's last use comes before its next.
  Tag expected = Tag::kAvailable;
  SHOAL_CHECK(tags_[*slot].compare_exchange_strong(expected, Tag::kOwned, std::memory_order_acquire,
                                                   std::memory_order_relaxed));
  ids_[*slot].left_by.store(0, std::memory_order_relaxed);
  owned_.fetch_add(1, std::memory_order_relaxed);
  return OwnedSlot(this, *slot);
}

bool SlotTable::ReserveFree(size_t more) {
  const size_t needed = free_.size() + owned_.load(std::memory_order_relaxed) + more;
  if (needed <= free_.capacity()) return true;
  try {
    free_.reserve(std::max(needed, 2 * free_.capacity()));
    queues_charged_.Set(QueueBytesLocked());
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void SlotTable::PushFree(SlotId slot) {
  free_.push_back(slot);
  std::push_heap(free_.begin(), free_.end(), std::greater<>());
}

std::optional<SlotId> SlotTable::TakeLowest() {
  if (free_.empty()) return std::nullopt;
  std::pop_heap(free_.begin(), free_.end(), std::greater<>());
  const SlotId slot = free_.back();
  free_.pop_back();
  return slot;
}

std::optional<SlotId> SlotTable::TakeFree() {
  const std::optional<SlotId> lowest = TakeLowest();
  if (!lowest || columns_.Recommit(*lowest, budget_)) return lowest;
  // There is no memory for the lowest one. Perhaps another one is in no hole.
  PushFree(*lowest);
  auto other = free_.begin();
  while (other != free_.end() && !columns_.Recommit(*other, budget_)) ++other;
  if (other == free_.end()) return std::nullopt;
  const SlotId slot = *other;
  free_.erase(other);
  std::make_heap(free_.begin(), free_.end(), std::greater<>());
  return slot;
}

std::optional<SlotId> SlotTable::Grow() {
  const SlotId slot = high_water_.load(std::memory_order_relaxed);
  if (slot >= kMaxSlots) return std::nullopt;
  if (!columns_.Commit(slot + 1, budget_) || !live_set_.Commit(slot + 1, budget_))
    return std::nullopt;
  high_water_.store(slot + 1, std::memory_order_release);  // GROW.1: columns before the mark.
  return slot;
}

void SlotTable::ReturnSlot(SlotId slot) {
  if (observer_ != nullptr) observer_->OnReturn(slot);
  const MutexLock lock(mutex_);
  tags_[slot].store(Tag::kAvailable, std::memory_order_release);
  owned_.fetch_sub(1, std::memory_order_relaxed);
  PushFree(slot);
}

// A slot that a relocation left after the reader had pinned was live until then. So it is not
// reclaimed before the reader leaves, even if it is retired by now. Acquire, pairs with
// MarkRelocated: the row.
size_t SlotTable::KeepReadable(SlotId* ids, size_t n, const ReadStamp& since,
                               bool* eligible) const {
  if (live_set_.HasAll(ids, n, since.high_water)) {  // Most often.
    std::fill_n(eligible, n, true);
    return n;
  }
  size_t kept = 0;
  for (size_t i = 0; i < n; ++i) {
    const SlotId slot = ids[i];
    if (slot >= since.high_water && slot >= high_water()) continue;
    const Tag state = tag(slot);
    ids[kept] = slot;
    eligible[kept] = state == Tag::kLive || (since.to_link && state == Tag::kPending);
    bool readable = IsReadable(state);
    if (state < Tag::kLive &&
        ids_[slot].left_by.load(std::memory_order_acquire) > since.relocations) [[unlikely]]
      eligible[kept] = readable = true;
    kept += readable ? 1 : 0;
  }
  return kept;
}

// A clear bit may be that of a slot which a point left for one that the scan has passed.
// MarkRelocated counts the relocation before it clears the bit (MOVE.1). So slots with a clear bit
// are looked at only if one was counted.
size_t SlotTable::CopyEligible(SlotId& next, const ReadStamp& since, SlotId* out) const {
  size_t n = 0;
  while (next < since.high_water && n + LiveSet::kWordSlots <= kMaxCopied) {
    const SlotId end = std::min<SlotId>(next + LiveSet::kWordSlots, since.high_water);
    const uint64_t live = live_set_.WordAt(next);
    const bool any_relocated = relocations_.load(std::memory_order_acquire) != since.relocations;
    if (live == 0 && !any_relocated) {
      next = end;
      continue;
    }
    for (SlotId bits = 0; next < end; ++next, ++bits)
      if ((live >> bits & 1) != 0 ||
          (any_relocated && ids_[next].left_by.load(std::memory_order_acquire) > since.relocations))
        out[n++] = next;
  }
  return n;
}

// Counted before the tag changes: a reader that sees that the slot is not live sees the number,
// too, and a reader that pins after the call has returned counts it.
bool SlotTable::MarkRelocated(SlotId slot) {
  if (tag(slot) != Tag::kLive) return false;
  const uint64_t number = relocations_.fetch_add(1, std::memory_order_acq_rel) + 1;  // MOVE.1
  ids_[slot].left_by.store(number, std::memory_order_release);
  return MarkDeleted(slot);
}

void SlotTable::MakeLive(SlotId slot) {
  tags_[slot].store(Tag::kLive, std::memory_order_release);  // PUB.1
  live_set_.Add(slot);
  pending_.fetch_sub(1, std::memory_order_relaxed);
  live_.fetch_add(1, std::memory_order_relaxed);
}

bool SlotTable::MarkAborted(SlotId slot) {
  Tag expected = Tag::kPending;
  if (!tags_[slot].compare_exchange_strong(expected, Tag::kDeleted, std::memory_order_acq_rel))
    return false;
  pending_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

// Of several callers the one that takes the slot out of the live set deletes it.
bool SlotTable::MarkDeleted(SlotId slot) {
  if (!live_set_.Remove(slot)) return false;
  SHOAL_SYNC_POINT("delete.bit_cleared");
  Tag expected = Tag::kLive;
  SHOAL_CHECK(
      tags_[slot].compare_exchange_strong(expected, Tag::kDeleted, std::memory_order_acq_rel));
  live_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

bool SlotTable::Retire(SlotId slot, const EpochRegistry::Guard& guard) {
  {
    const MutexLock lock(mutex_);
    SHOAL_SYNC_POINT("retire.locked");
    if (!retired_.Reserve(1)) return false;
    queues_charged_.Set(QueueBytesLocked());
    Tag expected = Tag::kDeleted;
    if (!tags_[slot].compare_exchange_strong(expected, Tag::kRetired, std::memory_order_acq_rel)) {
      expected = Tag::kFrozen;
      if (!tags_[slot].compare_exchange_strong(expected, Tag::kRetired, std::memory_order_acq_rel))
        return false;
    }
    retired_.Push({slot, guard.epoch()});
    if (++retires_ % 64 != 0) return true;
  }
  Reclaim();
  return true;
}

bool SlotTable::NeedsReclaim() const {
  const MutexLock lock(mutex_);
  return free_.empty() && !retired_.empty();
}

size_t SlotTable::Reclaim() {
  epochs_.TryAdvance();
  const size_t reclaimed = observer_ == nullptr ? ReclaimUnobserved() : ReclaimObserved();
  reclaimed_.fetch_add(reclaimed, std::memory_order_relaxed);
  return reclaimed;
}

std::optional<SlotId> SlotTable::TakeReclaimable() {
  const uint64_t now = epochs_.Current();
  // Slots may queue out of order by one epoch. One behind such a slot waits longer than it must.
  while (!retired_.empty() && retired_.front().epoch + EpochRegistry::kGracePeriod <= now &&
         ReserveFree(1)) {
    const SlotId slot = retired_.front().slot;
    retired_.Pop();
    if (gate_ == nullptr || gate_->MayReuse(slot)) return slot;
    ++kept_;
  }
  return std::nullopt;
}

size_t SlotTable::ReclaimUnobserved() {
  const MutexLock lock(mutex_);
  size_t reclaimed = 0;
  for (; const std::optional<SlotId> slot = TakeReclaimable(); ++reclaimed) {
    // RECLAIM.1, pairs with Acquire: a slot's last use comes before its next.
    tags_[*slot].store(Tag::kAvailable, std::memory_order_release);
    PushFree(*slot);
  }
  return reclaimed;
}

// Each slot is owned while the observer is told of it, and comes back as an owned one does: the
// observer may be slow, and others acquire slots meanwhile.
size_t SlotTable::ReclaimObserved() {
  for (size_t reclaimed = 0;; ++reclaimed) {
    std::optional<OwnedSlot> owned;  // Dropped without the lock.
    const MutexLock lock(mutex_);
    const std::optional<SlotId> slot = TakeReclaimable();
    if (!slot) return reclaimed;
    tags_[*slot].store(Tag::kOwned, std::memory_order_relaxed);
    owned_.fetch_add(1, std::memory_order_relaxed);
    owned.emplace(OwnedSlot(this, *slot));
  }
}

bool SlotTable::Release(std::span<const SlotId> slots) {
  if (observer_ != nullptr)
    for (const SlotId slot : slots) observer_->OnReturn(slot);
  const MutexLock lock(mutex_);
  if (!ReserveFree(slots.size())) return false;
  for (const SlotId slot : slots) {
    tags_[slot].store(Tag::kAvailable, std::memory_order_release);  // RECLAIM.1
    PushFree(slot);
  }
  kept_ -= slots.size();
  return true;
}

size_t SlotTable::retired() const {
  const MutexLock lock(mutex_);
  return retired_.size();
}

uint64_t SlotTable::retires() const {
  const MutexLock lock(mutex_);
  return retires_;
}

uint64_t SlotTable::ResidentBytes() const {
  const MutexLock lock(mutex_);
  const SlotId slots = high_water_.load(std::memory_order_relaxed);
  return tags_.Resident(slots) + live_set_.bytes() + ids_.Resident(slots) + QueueBytesLocked();
}

size_t SlotTable::QueueBytes() const {
  const MutexLock lock(mutex_);
  return QueueBytesLocked();
}

size_t SlotTable::QueueBytesLocked() const {
  return free_.capacity() * sizeof(SlotId) + retired_.bytes();
}

uint64_t SlotTable::ResidentBytes(const Column& column) const {
  const MutexLock lock(mutex_);
  return column.Resident(high_water_.load(std::memory_order_relaxed));
}

Status SlotTable::CheckCounts(size_t deleted) const {
  const MutexLock lock(mutex_);
  std::array<size_t, 7> counted{};
  for (SlotId slot = 0; slot < high_water_.load(std::memory_order_relaxed); ++slot) {
    const Tag tag = tags_[slot].load(std::memory_order_relaxed);
    ++counted.at(static_cast<size_t>(tag));
    if (live_set_.Has(slot) != (tag == Tag::kLive))
      return MakeError(ErrorCode::kCorrupt, "structure: slot " + std::to_string(slot) +
                                                ": its live bit contradicts its tag");
  }
  struct State {
    const char* name;
    Tag tag;
    size_t kept;
  };
  for (const State& state :
       {State{"free", Tag::kAvailable, free_.size()}, State{"owned", Tag::kOwned, owned_.load()},
        State{"retired", Tag::kRetired, retired_.size() + kept_},
        State{"pending", Tag::kPending, pending_.load()}, State{"deleted", Tag::kDeleted, deleted},
        State{"live", Tag::kLive, live_.load()}}) {
    const size_t found = counted.at(static_cast<size_t>(state.tag));
    if (found != state.kept)
      return MakeError(ErrorCode::kCorrupt, std::string("structure: ") + state.name +
                                                " slots: counted " + std::to_string(found) +
                                                ", kept " + std::to_string(state.kept));
  }
  return {};
}

bool SlotTable::ManyWereFreed() {
  constexpr size_t kMax = 65536, kMin = 1024, kPart = 4;  // A look is at all slots.
  const size_t many =
      std::clamp<size_t>(high_water_.load(std::memory_order_relaxed) / kPart, kMin, kMax);
  size_t count = reclaimed_.load(std::memory_order_relaxed);
  return count >= many && reclaimed_.compare_exchange_strong(count, 0, std::memory_order_relaxed);
}

bool SlotTable::IsPunched(SlotId slot) const {
  if (tags_[slot].load(std::memory_order_relaxed) != Tag::kAvailable) return false;
  const MutexLock lock(mutex_);
  return IsFree(slot) && columns_.HoleBytes(slot) > 0;
}

// Long runs come in pieces: `next` stops in the middle of the run, and the next call finds it
// again.
std::optional<SlotTable::FreeRun> SlotTable::NextFreeRun(SlotId& next) const {
  constexpr uint64_t kPiece = ColumnGroup::kMaxPageSlots, kLook = 8 * kPiece;
  const SlotId all = high_water_.load(std::memory_order_relaxed);
  const auto look_end = static_cast<SlotId>(std::min<uint64_t>(next + kLook, all));
  while (next < look_end && !IsFree(next)) ++next;
  if (next >= all) return std::nullopt;
  if (next == look_end) return FreeRun{next, next};
  SlotId begin = next;
  while (begin > 0 && next - begin < kPiece && IsFree(begin - 1)) --begin;
  const auto piece_end = static_cast<SlotId>(std::min<uint64_t>(next + kPiece, all));
  const auto run_end = static_cast<SlotId>(std::min<uint64_t>(piece_end + kPiece, all));
  SlotId end = next;
  while (end < run_end && IsFree(end)) ++end;
  next = std::min(end, piece_end);
  return FreeRun{begin, end};
}

SlotId SlotTable::BeginTrim() {
  SHOAL_SYNC_POINT("trim.locked");
  retired_.Shrink(0);
  queues_charged_.Set(QueueBytesLocked());
  SlotId end = high_water_.load(std::memory_order_relaxed);
  while (end > 0 && IsFree(end - 1)) --end;
  return end;
}

// No thread reads an available slot. A thread that can name one was pinned when it was retired, and
// has left since. A stray load of its tag gives zero: available.
void SlotTable::CutOff(SlotId end) {
  std::erase_if(free_, [&](SlotId slot) { return slot >= end; });
  std::make_heap(free_.begin(), free_.end(), std::greater<>());
  const size_t needed = free_.size() + owned_.load(std::memory_order_relaxed);
  if (free_.capacity() > 2 * needed + 64) {
    try {
      std::vector<SlotId> smaller;
      smaller.reserve(needed + 64);
      smaller.assign(free_.begin(), free_.end());
      free_.swap(smaller);
    } catch (const std::bad_alloc&) {  // Then it stays as large as it is.
    }
  }
  queues_charged_.Set(QueueBytesLocked());
  high_water_.store(end, std::memory_order_release);
  columns_.Decommit(end, budget_);
}

}  // namespace shoal
