// What an index does for itself: repairs, by whatever policy, and giving memory back.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <new>

#include "base/parallel.h"
#include "index_impl.h"

namespace shoal {
namespace {

// Rebirths (store/neighbors.h) that one repair may take outside of a Delete: a bound only against
// writers who undo each step.
constexpr size_t kManySteps = 100000;

}  // namespace

bool IndexImpl::RepairTaken(SlotId slot, size_t most_steps, EpochRegistry::Guard& guard) {
  bool repaired = false;
  try {
    repaired =
        graph_.Repair(slot, most_steps, guard, ScratchOf(guard)) && slots_.Retire(slot, guard);
  } catch (const std::bad_alloc&) {  // Later, then. A repair may begin again at any time.
  }
  if (repaired) {
    repairs_.Done();
  } else {
    repairs_.Again(slot);
  }
  return repaired;
}

void IndexImpl::StartRepairers() {
  if (options_.repair != RepairPolicy::kBackground) return;
  for (uint32_t i = 0; i < options_.repair_threads; ++i)
    repairers_.emplace_back([this] { RepairInBackground(); });
}

void IndexImpl::RepairInBackground() {
  using Clock = std::chrono::steady_clock;
  while (const std::optional<SlotId> slot = repairs_.WaitAndTake()) {
    const auto begin = Clock::now();
    bool repaired = false;
    {
      auto guard = epochs_.Pin();
      repaired = RepairTaken(*slot, kManySteps, guard);
    }
    // The rest of the share is slept away; and what cannot be repaired now is not tried in a loop.
    const auto worked = Clock::now() - begin;
    if (options_.repair_share < 100)
      std::this_thread::sleep_for(worked * (100 - options_.repair_share) / options_.repair_share);
    if (!repaired) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Status IndexImpl::Consolidate(const BatchOptions& batch) {
  const size_t total = repairs_.size();
  std::atomic<size_t> failed_in_a_row{0};
  std::atomic<size_t> done{0};
  Mutex reporting;
  const auto work = [&] {
    while (const std::optional<SlotId> slot = repairs_.TakeOrWaitForAll()) {
      auto guard = epochs_.Pin();
      if (RepairTaken(*slot, kManySteps, guard)) {
        failed_in_a_row.store(0, std::memory_order_relaxed);
        const size_t now = done.fetch_add(1, std::memory_order_relaxed) + 1;
        if (!batch.progress || now % 256 != 0 || now >= total) continue;
        const MutexLock lock(reporting);
        batch.progress(std::min(done.load(std::memory_order_relaxed), total), total);
      } else if (failed_in_a_row.fetch_add(1, std::memory_order_relaxed) > 64 + 4 * total) {
        return;  // Every one of them several times: there is no memory.
      }
    }
  };
  try {
    ParallelFor(batch.threads, batch.threads == 0 ? AvailableCpus() : batch.threads, 1, {},
                [&](size_t, size_t) { work(); });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "consolidate");
  }
  if (failed_in_a_row.load() > 64 + 4 * total) return OutOfMemory(options_, "consolidate");
  if (batch.progress) batch.progress(total, total);
  for (int i = 0; i < 4; ++i) slots_.Reclaim();
  slots_.Trim();
  return {};
}

// The point in slot `from` moves to a lower slot. The id's entry is held from the moment when the
// new slot can be found to the moment when the old one cannot: a Delete comes before or after.
// False: there is no lower slot.
bool IndexImpl::MoveDown(SlotId from) {
  auto guard = epochs_.Pin();
  if (slots_.tag(from) != Tag::kLive) return true;
  std::optional<OwnedSlot> slot = slots_.Acquire();
  if (!slot || slot->id() >= from || !repairs_.Reserve()) return false;
  const SlotId to = slot->id();
  const ExternalId id = slots_.external_id(from);
  std::memcpy(features_.Own(to), features_.Own(from), codec_.row_bytes());
  slots_.set_external_id(to, id);
  neighbors_.Reset(to);
  bool moved = false;
  if (graph_.CopyOut(from, to, guard, ScratchOf(guard))) {
    auto entry = ids_.Lock(id);
    if (entry.slot() == from && slots_.tag(from) == Tag::kLive) {
      replaced_.store(true, std::memory_order_relaxed);  // Before PUB.1.
      std::move(*slot).Publish();
      graph_.TakeOver(from, to, guard, ScratchOf(guard));
      entry.Replace(to);
      moved = neighbors_.MarkDeleted(slots_, from);
    }
  }
  if (!moved) {
    graph_.UndoLinkOut(to);
    repairs_.Unreserve();
    return true;
  }
  repairs_.Push(from);
  if (const std::optional<SlotId> taken = repairs_.Take()) RepairTaken(*taken, kManySteps, guard);
  return true;
}

Result<size_t> IndexImpl::Compact(const BatchOptions& batch) {
  if (Status consolidated = Consolidate({.threads = batch.threads}); !consolidated)
    return tl::unexpected(consolidated.error());
  try {
    const uint64_t before = Stats().memory.total();
    const SlotId slots = slots_.high_water();
    std::atomic<bool> done{false};
    ParallelFor(batch.threads, slots, 64, batch.progress, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end && !done.load(std::memory_order_relaxed); ++i)
        if (!MoveDown(static_cast<SlotId>(slots - 1 - i)))
          done.store(true, std::memory_order_relaxed);
    });
    if (Status consolidated = Consolidate({.threads = batch.threads}); !consolidated)
      return tl::unexpected(consolidated.error());
    neighbors_.CompactReverseLists(slots_.high_water());
    ids_.Shrink();
    const uint64_t after = Stats().memory.total();
    return before > after ? before - after : 0;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "compact");
  }
}

}  // namespace shoal
