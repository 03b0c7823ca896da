#include "store/label_column.h"

#include <algorithm>
#include <bit>
#include <new>

namespace shoal {

bool LabelColumn::Charge(uint64_t bytes) {
  if (!budget_.TryCharge(bytes)) return false;
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

LabelColumn::Directory* LabelColumn::Grow(size_t chunks) {
  Directory* const now = directory_.load(std::memory_order_relaxed);
  if (now != nullptr && chunks <= now->size()) return now;
  auto grown = std::make_unique<Directory>(std::bit_ceil(chunks));
  if (now != nullptr)
    for (size_t i = 0; i < now->size(); ++i)
      (*grown)[i].store((*now)[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  directories_.push_back(std::move(grown));
  directory_.store(directories_.back().get(), std::memory_order_release);  // LABEL.1
  return directories_.back().get();
}

LabelColumn::Chunk* LabelColumn::ChunkOf(SlotId slot) {
  const size_t at = slot / kChunkSlots;
  Directory& directory = *Grow(at + 1);
  if (Chunk* const chunk = directory[at].load(std::memory_order_relaxed)) return chunk;
  if (!Charge(sizeof(Chunk))) return nullptr;
  try {
    chunks_.push_back(std::make_unique<Chunk>());
  } catch (...) {
    budget_.Release(sizeof(Chunk));
    bytes_.fetch_sub(sizeof(Chunk), std::memory_order_relaxed);
    throw;
  }
  directory[at].store(chunks_.back().get(), std::memory_order_release);  // LABEL.1
  return chunks_.back().get();
}

std::atomic<LabelColumn::LabelSet*>* LabelColumn::PlaceOf(SlotId slot) const {
  const Directory* const directory = directory_.load(std::memory_order_acquire);
  if (directory == nullptr || slot / kChunkSlots >= directory->size()) return nullptr;
  Chunk* const chunk = (*directory)[slot / kChunkSlots].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : &(*chunk)[slot % kChunkSlots];
}

LabelColumn::LabelSet* LabelColumn::SetOf(std::span<const uint32_t> labels) {
  std::vector<uint32_t> sorted(labels.begin(), labels.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  const uint64_t bytes = BytesOf(sorted.size());
  if (const auto found = sets_.find(sorted); found != sets_.end()) return &*found;
  const auto made = sets_.emplace(std::move(sorted), Use{.slots = 0, .left_at = epochs_.Current()});
  if (!Charge(bytes)) {
    sets_.erase(made.first);
    return nullptr;
  }
  ++unused_;
  return &*made.first;
}

void LabelColumn::Point(std::atomic<LabelSet*>& place, LabelSet* set) {
  LabelSet* const before = place.load(std::memory_order_relaxed);
  if (before == set) return;
  if (set != nullptr && set->second.slots++ == 0) --unused_;
  place.store(set, std::memory_order_release);  // LABEL.1
  if (before == nullptr || --before->second.slots > 0) return;
  before->second.left_at = epochs_.Current();
  ++unused_;
}

// As a retired slot (epoch.h): a reader that has found the set was pinned when the pointer changed.
void LabelColumn::FreeUnused() {
  if (unused_ <= 64 + sets_.size() / 2) return;
  epochs_.TryAdvance();
  const uint64_t now = epochs_.Current();
  uint64_t freed = 0;
  for (auto at = sets_.begin(); at != sets_.end();) {
    const bool is_free =
        at->second.slots == 0 && now >= at->second.left_at + EpochRegistry::kGracePeriod;
    if (!is_free) {
      ++at;
      continue;
    }
    freed += BytesOf(at->first.size());
    --unused_;
    at = sets_.erase(at);
  }
  budget_.Release(freed);
  bytes_.fetch_sub(freed, std::memory_order_relaxed);
}

bool LabelColumn::Set(SlotId slot, std::span<const uint32_t> labels) {
  if (labels.empty()) {
    Clear(slot);
    return true;
  }
  const MutexLock lock(mutex_);
  try {
    Chunk* const chunk = ChunkOf(slot);
    LabelSet* const set = chunk == nullptr ? nullptr : SetOf(labels);
    if (set == nullptr) return false;
    Point((*chunk)[slot % kChunkSlots], set);
  } catch (const std::bad_alloc&) {
    return false;
  }
  FreeUnused();
  return true;
}

void LabelColumn::Clear(SlotId slot) {
  std::atomic<LabelSet*>* const place = PlaceOf(slot);
  if (place == nullptr || place->load(std::memory_order_relaxed) == nullptr) return;
  const MutexLock lock(mutex_);
  Point(*place, nullptr);
}

bool LabelColumn::Copy(SlotId from, SlotId to) {
  std::atomic<LabelSet*>* const source = PlaceOf(from);
  if (source == nullptr || source->load(std::memory_order_acquire) == nullptr) {
    Clear(to);
    return true;
  }
  const MutexLock lock(mutex_);
  try {
    Chunk* const chunk = ChunkOf(to);
    if (chunk == nullptr) return false;
    Point((*chunk)[to % kChunkSlots], source->load(std::memory_order_relaxed));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace shoal
