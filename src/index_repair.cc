// What follows a delete: the repair, now or later, and memory that comes back.
#include <algorithm>
#include <chrono>
#include <new>
#include <optional>
#include <system_error>

#include "base/check.h"
#include "base/hooks.h"
#include "base/parallel.h"
#include "index_impl.h"

namespace shoal {
namespace {

constexpr int kCompactPasses = 3;
// A repair that could not fetch so often is done without distances: one row that cannot be read is
// not to keep a slot for ever.
constexpr uint32_t kMaxFailedFetches = 4;

}  // namespace

// Where writers repair, a delete ends two repairs: its own, and one more if others had no memory
// for theirs. The repair of a hub takes many steps, each under a guard of its own. The next step
// may be of another repair.
void IndexImpl::AfterDelete(EpochRegistry::Guard first) {
  if (!WritersRepair()) return;
  std::optional<EpochRegistry::Guard> guard(std::move(first));
  for (int ended = 0; ended < 2;) {
    const auto repair = repairs_.Take();
    if (!repair) return;
    if (!guard) guard.emplace(epochs_.Pin());
    if (RepairTaken(*repair, *guard) == Graph::Repaired::kPartial) {
      guard.reset();
    } else {
      ++ended;
    }
  }
}

Graph::Repaired IndexImpl::RepairTaken(const PendingRepair& repair, EpochRegistry::Guard& guard) {
  auto repaired = Graph::Repaired::kRetry;
  PendingRepair next = repair;
  try {
    Operation op(guard, rows_.buffer_bytes());
    std::optional<FetchScratch::Closed> closed;
    if (repair.failed_fetches >= kMaxFailedFetches) closed.emplace(op.scratch.fetch);
    repaired = graph_.Repair(repair.slot, op);
    if (!op.fetched()) ++next.failed_fetches;
    if (repaired == Graph::Repaired::kDone && !slots_.Retire(repair.slot, guard))
      repaired = Graph::Repaired::kRetry;
  } catch (const std::bad_alloc&) {  // Later: a repair may begin again at any time.
  }
  if (repaired == Graph::Repaired::kDone) {
    repairs_.Done(repair);
    PunchHoles();
  } else {
    repairs_.Again(next);
  }
  return repaired;
}

bool IndexImpl::StartRepairers() {
  if (options_.runtime.repair != RepairPolicy::kBackground) return true;
  try {
    for (uint32_t i = 0; i < options_.runtime.repair_threads; ++i)
      repairers_.emplace_back([this] { RepairInBackground(); });
  } catch (const std::system_error&) {  // Fewer of them: slower, not wrong.
  }
  return !repairers_.empty();
}

void IndexImpl::RepairInBackground() {
  using Clock = std::chrono::steady_clock;
  while (!repairs_.closed()) {
    const auto repair = renewal_.active() ? repairs_.Take() : repairs_.WaitAndTake();
    const auto begin = Clock::now();
    bool done = false;
    if (repair) {
      auto guard = epochs_.Pin();
      done = RepairTaken(*repair, guard) != Graph::Repaired::kRetry;
    }
    if (RenewSome() && !repair) done = true;
    // It rests for the remainder of its time, and where nothing was done: that is not to become a
    // loop.
    const auto worked = Clock::now() - begin;
    if (options_.runtime.repair_share < 100)
      repairs_.Rest(worked * (100 - options_.runtime.repair_share) / options_.runtime.repair_share);
    if (!done) repairs_.Rest(std::chrono::milliseconds(1));
  }
}

Status IndexImpl::Consolidate(const BatchOptions& batch) {
  try {
    MoveAllToNewCentre(batch);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "consolidate");
  }
  const RepairQueue::Barrier barrier(repairs_);
  const size_t total = barrier.size();
  std::atomic<size_t> failed_in_a_row{0};
  std::atomic<size_t> done{0};
  std::atomic<bool> stopped{false};
  Mutex reporting;
  const auto work = [&] {
    while (const auto repair = repairs_.TakeFor(barrier)) {
      if (batch.stop.stop_requested()) {
        stopped.store(true, std::memory_order_relaxed);
        return repairs_.Again(*repair);
      }
      auto guard = epochs_.Pin();
      const auto repaired = RepairTaken(*repair, guard);
      if (repaired != Graph::Repaired::kRetry) {
        failed_in_a_row.store(0, std::memory_order_relaxed);
        if (repaired == Graph::Repaired::kPartial) continue;
        const size_t now = done.fetch_add(1, std::memory_order_relaxed) + 1;
        if (!batch.progress || now % 256 != 0 || now >= total) continue;
        const MutexLock lock(reporting);
        batch.progress(std::min(done.load(std::memory_order_relaxed), total), total);
      } else if (failed_in_a_row.fetch_add(1, std::memory_order_relaxed) > MaxFailures(total)) {
        return;  // Each of them several times: there is no memory.
      }
    }
  };
  try {
    ParallelFor(batch.threads, batch.threads == 0 ? AvailableCpus() : batch.threads, 1, {},
                [&](size_t, size_t) { work(); });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "consolidate");
  }
  if (failed_in_a_row.load() > MaxFailures(total)) return OutOfMemory(options_, "consolidate");
  if (stopped.load()) return Cancelled("consolidate", done.load(), total);
  if (batch.progress) batch.progress(total, total);
  for (int i = 0; i < 4; ++i) slots_.Reclaim();
  FinishRenewal();
  Trim();
  return {};
}

void IndexImpl::Trim() {
  const auto forget = [this](SlotId slot) { neighbors_.Forget(slot); };
  const MutexLock lock(trimming_);
  slots_.PunchHoles(forget);
  slots_.Trim(forget);
  epochs_.FreeIdleScratch();
}

// After a repair, when many slots have come back.
void IndexImpl::PunchHoles() {
  if (!slots_.ManyWereFreed() || !trimming_.TryLock()) return;
  slots_.PunchHoles([this](SlotId slot) { neighbors_.Forget(slot); });
  trimming_.Unlock();
}

// Copies rows and id to a slot that the caller owns; encodes the traversal row anew if the code has
// another centre now. False: the feature store refuses.
bool IndexImpl::CopyPoint(SlotId from, SlotId to, Operation& op) {
  const ExternalId id = slots_.external_id(from);
  rows_.Copy(from, to);
  slots_.set_external_id(to, id);
  if (StoredVectors* const stored = rows_.stored()) {
    std::vector<std::byte> buffer(VectorView(nullptr, options_.scalar_type, options_.dim).bytes());
    const MutableVectorView vector(buffer.data(), options_.scalar_type, options_.dim);
    if (!stored->Copy({from, id}, vector, op) || !stored->Put({to, id}, vector)) return false;
  }
  return !rows_.has_rerank() || !rows_.IsStale(to) || Recode(to, op);
}

// Relocates the point in slot `from` to a lower slot. False: there is none, or no memory.
bool IndexImpl::MoveDown(SlotId from) {
  auto guard = epochs_.Pin();
  if (slots_.tag(from) != Tag::kLive) return true;
  std::optional<OwnedSlot> slot = slots_.Acquire();
  return slot && slot->id() < from && Relocate(from, std::move(*slot), guard);
}

// Relocates the point in slot `from`, which was live under the guard; if it still is. False: there
// is no memory, or the feature store refuses.
bool IndexImpl::Relocate(SlotId from, OwnedSlot slot, EpochRegistry::Guard& guard) {
  Operation op(guard, rows_.buffer_bytes());
  const SlotId to = slot.id();
  if (!CopyPoint(from, to, op) || !repairs_.Reserve()) return false;
  neighbors_.ResetRow(to);
  SlotId left = kNoSlot;
  bool copied = false;
  try {
    copied = graph_.CopyOut(from, to, op);
  } catch (const std::bad_alloc&) {  // The row is empty then.
  }
  if (copied) left = MoveTo(slot, from, op);
  if (left == kNoSlot) {
    graph_.UndoLinkOut(to);
    repairs_.Unreserve();
    return true;
  }
  repairs_.Push(left);
  if (const auto repair = repairs_.Take()) RepairTaken(*repair, guard);
  return true;
}

// The id's entry is held from the publication of the new slot until the old one is marked: a Delete
// comes before or after. Returns the slot that is left and marked. That is the new one if it found
// no parent. kNoSlot: `from` is not an id's slot any more, and the new slot is not published.
SlotId IndexImpl::MoveTo(OwnedSlot& slot, SlotId from, Operation& op) {
  auto entry = ids_.Lock(slots_.external_id(from));
  if (entry.slot() != from || slots_.tag(from) != Tag::kLive) return kNoSlot;
  if (!slots_.labels().Copy(from, slot.id())) return kNoSlot;
  NoteThatAnIdLeaves();
  const SlotId to = std::move(slot).Publish();
  SHOAL_SYNC_POINT("move.published");
  const FetchScratch::Closed closed(op.scratch.fetch);  // Under the entry.
  try {
    graph_.TakeOver(from, to, op);
  } catch (const std::bad_alloc&) {
    graph_.LinkInAnywhere(to, op);
  }
  SHOAL_SYNC_POINT("move.linked");
  const bool moved = neighbors_.forest().ParentCount(to) > 0;
  if (moved) {
    entry.Replace(to);
    Tell(&ChangeObserver::OnMove, slots_.external_id(from), from, to);
  }
  const SlotId left = moved ? from : to;
  SHOAL_CHECK(neighbors_.MarkRelocated(slots_, left));
  return left;
}

// Relocates points from the highest slot on, as long as there are lower ones. False: there was none
// to relocate.
Result<bool> IndexImpl::MoveAllDown(const BatchOptions& batch, int pass) {
  const size_t slots = slots_.high_water();
  // Of the slots, counted from the highest, that find a lower one.
  std::atomic<size_t> end{slots};
  const auto move = [&](size_t begin, size_t piece_end) {
    for (size_t i = begin; i < piece_end; ++i) {
      size_t least = end.load(std::memory_order_relaxed);
      if (i >= least) return;
      if (MoveDown(static_cast<SlotId>(slots - 1 - i))) continue;
      while (i < least && !end.compare_exchange_weak(least, i)) {
      }
      return;
    }
  };
  const size_t done =
      ParallelFor(batch.threads, slots, 64, pass == 0 ? batch.progress : nullptr, move, batch.stop);
  if (done < slots) return Cancelled("compact", done, slots);
  return end.load() > 0;
}

Result<size_t> IndexImpl::Compact(const BatchOptions& batch) {
  const BatchOptions silent = {.threads = batch.threads, .stop = batch.stop};
  if (Status consolidated = Consolidate(silent); !consolidated)
    return tl::unexpected(consolidated.error());
  try {
    const uint64_t before = Stats().memory.total();
    // The slots that one pass leaves can be used by the next.
    for (int pass = 0; pass < kCompactPasses; ++pass) {
      const Result<bool> moved = MoveAllDown(batch, pass);
      if (!moved) return tl::unexpected(moved.error());
      if (!*moved) break;
      if (Status consolidated = Consolidate(silent); !consolidated)
        return tl::unexpected(consolidated.error());
    }
    {
      const MutexLock lock(trimming_);
      neighbors_.CompactReverseLists();
    }
    ids_.Shrink();
    repairs_.Shrink();
    epochs_.FreeIdleScratch();
    const uint64_t after = Stats().memory.total();
    return before > after ? before - after : 0;
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "compact");
  }
}

}  // namespace shoal
