#include "store/id_map.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace shoal {

IdMap::~IdMap() {
  for (Shard& shard : shards_) delete[] shard.table;
}

// The finaliser of SplitMix64: every bit of the id changes every bit of the hash. The low bits
// choose the shard, the high ones the place in it.
uint64_t IdMap::Hash(ExternalId id) {
  uint64_t x = id + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::optional<size_t> IdMap::Find(const Shard& shard, ExternalId id, uint64_t hash) const {
  if (shard.capacity == 0) return std::nullopt;
  for (size_t i = hash >> 32;; ++i) {
    const size_t place = i & (shard.capacity - 1);
    const SlotId slot = shard.table[place];
    if (slot == kEmpty) return std::nullopt;
    if (slot != kErased && slots_.external_id(slot) == id) return place;
  }
}

// Makes the table at most half full with what is promised, and without erased entries. A table that
// many deletes have left empty shrinks.
bool IdMap::Rehash(Shard& shard) {
  size_t capacity = 16;
  while (capacity <= 2 * (shard.slots + shard.reserved)) capacity *= 2;
  const size_t bytes = capacity * sizeof(SlotId);
  if (!budget_.TryCharge(bytes)) return false;
  SlotId* table = new (std::nothrow) SlotId[capacity];
  if (table == nullptr) {
    budget_.Release(bytes);
    return false;
  }
  std::fill_n(table, capacity, kEmpty);
  for (size_t i = 0; i < shard.capacity; ++i) {
    const SlotId slot = shard.table[i];
    if (slot == kEmpty || slot == kErased) continue;
    size_t place = (Hash(slots_.external_id(slot)) >> 32) & (capacity - 1);
    while (table[place] != kEmpty) place = (place + 1) & (capacity - 1);
    table[place] = slot;
  }
  delete[] shard.table;
  budget_.Release(shard.capacity * sizeof(SlotId));
  bytes_.fetch_add(bytes - shard.capacity * sizeof(SlotId), std::memory_order_relaxed);
  shard.table = table;
  shard.capacity = capacity;
  shard.used = shard.slots;
  return true;
}

IdMap::Entry::Entry(IdMap& map, ExternalId id)
    : map_(map), shard_(map.shards_[Hash(id) % kShards]), id_(id), hash_(Hash(id)) {
  shard_.mutex.Lock();
  place_ = map_.Find(shard_, id_, hash_);
}

IdMap::Entry::~Entry() { shard_.mutex.Unlock(); }

std::optional<SlotId> IdMap::Entry::slot() const {
  shard_.mutex.AssertHeld();
  if (!place_) return std::nullopt;
  return shard_.table[*place_];
}

bool IdMap::Entry::Add(SlotId slot) {
  shard_.mutex.AssertHeld();
  SHOAL_CHECK(!place_);
  if ((shard_.used + shard_.reserved + 1) * 4 > shard_.capacity * 3 && !map_.Rehash(shard_))
    return false;
  size_t place = (hash_ >> 32) & (shard_.capacity - 1);
  while (shard_.table[place] != kEmpty) place = (place + 1) & (shard_.capacity - 1);
  shard_.table[place] = slot;
  ++shard_.used;
  ++shard_.slots;
  place_ = place;
  return true;
}

void IdMap::Entry::Remove() {
  shard_.mutex.AssertHeld();
  SHOAL_CHECK(place_.has_value());
  shard_.table[*place_] = kErased;
  --shard_.slots;
  place_.reset();
}

void IdMap::Entry::Replace(SlotId slot) {
  shard_.mutex.AssertHeld();
  SHOAL_CHECK(place_.has_value());
  shard_.table[*place_] = slot;
}

bool IdMap::Entry::Reserve() {
  shard_.mutex.AssertHeld();
  ++shard_.reserved;
  if ((shard_.used + shard_.reserved) * 4 <= shard_.capacity * 3) return true;
  const bool there = map_.Rehash(shard_);
  if (there) place_ = map_.Find(shard_, id_, hash_);
  if (!there) --shard_.reserved;
  return there;
}

void IdMap::Entry::Unreserve() {
  shard_.mutex.AssertHeld();
  --shard_.reserved;
}

void IdMap::Shrink() {
  for (Shard& shard : shards_) {
    const MutexLock lock(shard.mutex);
    if (shard.capacity > 4 * (shard.slots + shard.reserved)) Rehash(shard);
  }
}

}  // namespace shoal
