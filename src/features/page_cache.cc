#include "features/page_cache.h"

#include <algorithm>
#include <cstring>

namespace shoal {

PageCache::PageCache(size_t bytes)
    : sets_(bytes / (kWays * kPageBytes)), bytes_(new std::byte[this->bytes()]) {}

size_t PageCache::Set::WayOf(uint64_t page) const {
  return static_cast<size_t>(std::find(pages.begin(), pages.end(), page) - pages.begin());
}

size_t PageCache::Set::WayToGive() {
  while (used[hand]) {
    used[hand] = false;
    hand = (hand + 1) % kWays;
  }
  const size_t way = hand;
  hand = (hand + 1) % kWays;
  return way;
}

bool PageCache::Copy(uint64_t page, std::byte* out, Version& version) {
  version = 0;
  if (sets_.empty()) return false;
  Set& set = SetOf(page);
  const MutexLock lock(set.mutex);
  const size_t way = set.WayOf(page);
  version = set.version;
  if (way == kWays) return false;
  set.used[way] = true;
  std::memcpy(out, BytesOf(set, way), kPageBytes);
  return true;
}

void PageCache::Enter(uint64_t page, const std::byte* bytes, Version version) {
  if (sets_.empty()) return;
  Set& set = SetOf(page);
  const MutexLock lock(set.mutex);
  if (set.version != version) return;  // FILL.2: what was read may be from before a write.
  if (set.WayOf(page) != kWays) return;
  const size_t way = set.WayToGive();
  set.pages[way] = page;
  set.used[way] = false;
  std::memcpy(BytesOf(set, way), bytes, kPageBytes);
}

void PageCache::Invalidate(uint64_t page) {
  if (sets_.empty()) return;
  Set& set = SetOf(page);
  const MutexLock lock(set.mutex);
  ++set.version;
  const size_t way = set.WayOf(page);
  if (way == kWays) return;
  set.pages[way] = kNoPage;
  set.used[way] = false;
}

}  // namespace shoal
