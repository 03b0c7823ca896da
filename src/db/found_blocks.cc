#include "db/found_blocks.h"

#include <new>
#include <utility>

namespace shoal {

FoundBlocks::FoundBlocks(const Commit& of)
    : of_(of),
      rows_(new std::atomic<const std::byte*>[of.row_blocks]()),
      lists_(new std::atomic<const std::byte*>[of.list_blocks]()) {}

uint64_t FoundBlocks::TakeOver(const FoundBlocks& earlier) {
  const Commit& from = earlier.of_;
  if (from.generation != of_.generation || from.start != of_.start || from.number > of_.number ||
      from.row_blocks > of_.row_blocks || from.list_blocks > of_.list_blocks)
    return UINT64_MAX;
  const auto take = [](const Places& places, const Places& to, size_t n) {
    for (size_t i = 0; i < n; ++i)
      to[i].store(places[i].load(std::memory_order_acquire), std::memory_order_release);
  };
  take(earlier.rows_, rows_, from.row_blocks);
  take(earlier.lists_, lists_, from.list_blocks);
  return from.number;
}

void LastFoundBlocks::Keep(uint32_t index, std::shared_ptr<FoundBlocks> found) {
  const std::lock_guard lock(mutex_);
  try {
    std::shared_ptr<FoundBlocks>& last = last_[index];
    if (last == nullptr || found->IsLaterThan(*last)) last.swap(found);
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace shoal
