// The index's writers: insert, upsert, delete. What comes after a delete is in index_repair.cc.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <thread>

#include "base/hooks.h"
#include "base/parallel.h"
#include "index_impl.h"
#include "index_order.h"

namespace shoal {
namespace {

// Rows, ids or slots that one thread takes at a time from a batch.
constexpr size_t kGrain = 8;
// Of batches in an order of their own: so many that threads are in different regions, for points
// that are inserted at the same time do not find each other.
constexpr size_t kOrderedGrain = 512;

tl::unexpected<Error> Invalid(const std::string& message) {
  return MakeError(ErrorCode::kInvalidArgument, message);
}

tl::unexpected<Error> AlreadyExists(ExternalId id) {
  return MakeError(ErrorCode::kAlreadyExists, "id " + std::to_string(id) + ": already there");
}

}  // namespace

tl::unexpected<Error> NotFound(ExternalId id) {
  return MakeError(ErrorCode::kNotFound, "id " + std::to_string(id) + ": not there");
}

// Where there is no memory for one more: what its readers have left by now comes back, and a repair
// that is due is done. If there is nothing else to be had but what readers are still at, they get
// some searches' time to leave; who outstays that is not waited for again. The caller holds no
// guard, which would keep the epoch.
std::optional<OwnedSlot> IndexImpl::AcquireSlot() {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPatience = std::chrono::milliseconds(100);
  std::optional<Clock::time_point> until;
  for (;;) {
    if (std::optional<OwnedSlot> slot = slots_.Acquire()) return slot;
    size_t reclaimed = 0;
    for (uint64_t i = 0; i < EpochRegistry::kGracePeriod; ++i) reclaimed += slots_.Reclaim();
    if (reclaimed > 0) continue;
    const auto due = repairs_.Take();
    if (!due) {
      const uint64_t epoch = epochs_.Current();
      if (slots_.retired() == 0 || epoch == outstayed_.load(std::memory_order_relaxed))
        return std::nullopt;
      if (!until) until = Clock::now() + kPatience;
      if (Clock::now() > *until) {
        outstayed_.store(epoch, std::memory_order_relaxed);
        return std::nullopt;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      continue;
    }
    auto guard = epochs_.Pin();
    if (RepairTaken(*due, guard) == Graph::Repaired::kRetry) return std::nullopt;
  }
}

Result<OwnedSlot> IndexImpl::Reserve(ExternalId id, VectorView vector) {
  // Looked up first, so that the common duplicate costs no slot.
  if (ids_.Lock(id).slot()) return AlreadyExists(id);
  SHOAL_SYNC_POINT("insert.after_lookup");
  std::optional<OwnedSlot> slot = AcquireSlot();
  if (!slot) return OutOfMemory(options_, "slots");
  codec_.Encode(vector, features_.Row(slot->id()));
  slots_.set_external_id(slot->id(), id);
  auto entry = ids_.Lock(id);
  if (entry.slot()) return AlreadyExists(id);
  if (!entry.Add(slot->id())) return OutOfMemory(options_, "id map");
  return std::move(*slot);
}

void IndexImpl::Unreserve(ExternalId id, SlotId slot) {
  auto entry = ids_.Lock(id);
  if (entry.slot() == slot) entry.Remove();
}

Status IndexImpl::EnsureStart() {
  if (graph_.start() != kNoSlot) return {};
  const MutexLock lock(starting_);
  if (graph_.start() != kNoSlot) return {};
  std::optional<OwnedSlot> slot = slots_.Acquire();
  if (!slot) return OutOfMemory(options_, "slots");
  codec_.EncodeOrigin(features_.Row(slot->id()));
  neighbors_.ResetStart(slot->id());
  graph_.set_start(std::move(*slot).Freeze());
  return {};
}

Status IndexImpl::InsertReserved(ExternalId id, OwnedSlot slot) {
  const SlotId p = slot.id();
  SHOAL_SYNC_POINT("insert.reserved");
  neighbors_.ResetRow(p);  // Before anything can fail: what is undone is p's list.
  auto guard = epochs_.Pin();
  Status linked;
  std::optional<SeedsMet> met;
  try {
    Operation op(guard, codec_);
    met = graph_.LinkOut(p, op);
    if (!met) linked = OutOfMemory(options_, "reverse lists");
  } catch (const std::bad_alloc&) {
    linked = OutOfMemory(options_, "insert");
  }
  if (!linked) {
    graph_.UndoLinkOut(p);
    Unreserve(id, p);
    return linked;
  }
  bool mine = false;
  {
    const auto entry = ids_.Lock(id);
    mine = entry.slot() == p;  // Else an Upsert has come and gone.
    if (mine) std::move(slot).Publish();
  }
  if (!mine) {
    graph_.UndoLinkOut(p);
    return AlreadyExists(id);
  }
  LinkPublished(p, *met, guard);
  return {};
}

void IndexImpl::LinkPublished(SlotId p, const SeedsMet& met, EpochRegistry::Guard& guard) {
  SHOAL_SYNC_POINT("insert.published");
  Operation op(guard, codec_);  // LinkOut made the scratch.
  try {
    bool guarded = graph_.LinkIn(p, met, op);
    // Else all rows that may guard p are full of others' last guards. p is made the youngest at
    // each try, and there are fewer live points than places: some of these are deleted points',
    // whose repair is due, or other inserts have been faster.
    for (size_t failed = 0; !guarded && failed < MostFailures(repairs_.size());) {
      if (const auto due = repairs_.Take()) {
        failed = RepairTaken(*due, guard) == Graph::Repaired::kRetry ? failed + 1 : 0;
      } else {
        std::this_thread::yield();
      }
      guarded = graph_.EnsureParent(p, op);
    }
  } catch (const std::bad_alloc&) {
    // The point is in; it needs one guard, which takes no memory.
    graph_.LinkInAnywhere(p, op);
  }
}

Status IndexImpl::Insert(ExternalId id, VectorView vector) {
  if (Status valid = codec_.Validate(vector, "vector"); !valid) return valid;
  try {
    if (Status started = EnsureStart(); !started) return started;
    Result<OwnedSlot> slot = Reserve(id, vector);
    if (!slot) return tl::unexpected(slot.error());
    return InsertReserved(id, std::move(*slot));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
}

// A new slot takes the id over from the old one. Both are live for a moment, so that no search
// misses the id; a search that meets both returns the nearer.
Status IndexImpl::ReplaceExisting(ExternalId id, VectorView vector) {
  std::optional<OwnedSlot> slot = AcquireSlot();
  if (!slot) return OutOfMemory(options_, "slots");
  const SlotId p = slot->id();
  codec_.Encode(vector, features_.Row(p));
  slots_.set_external_id(p, id);
  neighbors_.ResetRow(p);
  // What a later step takes, so that it cannot fail: a place in the map, should a Delete come
  // between, and two in the queue of repairs.
  if (!ids_.Lock(id).Reserve()) return OutOfMemory(options_, "id map");
  if (!repairs_.Reserve()) {
    ids_.Lock(id).Unreserve();
    return OutOfMemory(options_, "repairs");
  }
  auto guard = epochs_.Pin();
  Status linked;
  std::optional<SeedsMet> met;
  try {
    Operation op(guard, codec_);
    met = graph_.LinkOut(p, op);
    if (!met) linked = OutOfMemory(options_, "reverse lists");
  } catch (const std::bad_alloc&) {
    linked = OutOfMemory(options_, "upsert");
  }
  if (!linked) {
    graph_.UndoLinkOut(p);
    ids_.Lock(id).Unreserve();
    repairs_.Unreserve();
    return linked;
  }
  NoteThatAnIdLeaves();
  std::move(*slot).Publish();
  SHOAL_SYNC_POINT("upsert.published");
  LinkPublished(p, *met, guard);
  SHOAL_SYNC_POINT("upsert.linked");
  SlotId old = kNoSlot;
  {
    auto entry = ids_.Lock(id);
    entry.Unreserve();
    if (const auto mapped = entry.slot()) {
      entry.Replace(p);
      // Not live: an insert under way, which will find that it comes too late.
      if (neighbors_.MarkRelocated(slots_, *mapped)) old = *mapped;
    } else {
      (void)entry.Add(p);  // Finds memory: reserved.
    }
  }
  if (old == kNoSlot) {
    repairs_.Unreserve();
  } else {
    repairs_.Push(old);
    AfterDelete(std::move(guard));
  }
  return {};
}

Status IndexImpl::Upsert(ExternalId id, VectorView vector) {
  if (Status valid = codec_.Validate(vector, "vector"); !valid) return valid;
  try {
    if (Status started = EnsureStart(); !started) return started;
    if (Result<OwnedSlot> slot = Reserve(id, vector)) {
      Status inserted = InsertReserved(id, std::move(*slot));
      // Another Upsert of the id has overtaken this one, which so came before it.
      if (!inserted && inserted.error().code == ErrorCode::kAlreadyExists) return {};
      return inserted;
    } else if (slot.error().code != ErrorCode::kAlreadyExists) {
      return tl::unexpected(slot.error());
    }
    return ReplaceExisting(id, vector);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "upsert");
  }
}

Status IndexImpl::MarkForRepair(ExternalId id) {
  if (!repairs_.Reserve()) return OutOfMemory(options_, "repairs");
  NoteThatAnIdLeaves();
  {
    auto entry = ids_.Lock(id);
    const auto slot = entry.slot();
    if (slot && neighbors_.MarkDeleted(slots_, *slot)) {
      entry.Remove();
      SHOAL_SYNC_POINT("delete.marked");
      repairs_.Push(*slot);
      return {};
    }
  }
  repairs_.Unreserve();
  return NotFound(id);
}

Status IndexImpl::Delete(ExternalId id) {
  try {
    auto guard = epochs_.Pin();
    if (Status marked = MarkForRepair(id); !marked) return marked;
    AfterDelete(std::move(guard));
    return {};
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "delete");
  }
}

// Positions of ids by the slots of their points: what came in one batch is near each other there
// (InsertOrder), and so are the rows and lists that its repairs want. Empty: as they are.
std::vector<uint32_t> IndexImpl::DeleteOrder(std::span<const ExternalId> ids) {
  if (ids.size() < kOrderedFrom || ids.size() > std::numeric_limits<uint32_t>::max()) return {};
  std::vector<std::pair<SlotId, uint32_t>> by_slot;
  by_slot.reserve(ids.size());
  for (const ExternalId id : ids)
    by_slot.emplace_back(ids_.Lock(id).slot().value_or(kNoSlot),
                         static_cast<uint32_t>(by_slot.size()));
  std::sort(by_slot.begin(), by_slot.end());
  std::vector<uint32_t> order;
  order.reserve(ids.size());
  for (const auto& [slot, position] : by_slot) order.push_back(position);
  return order;
}

Result<DeleteReport> IndexImpl::DeleteMany(std::span<const ExternalId> ids,
                                           const BatchOptions& batch) {
  DeleteReport report;
  Mutex reporting;
  try {
    const std::vector<uint32_t> order = DeleteOrder(ids);
    const size_t grain = order.empty() ? kGrain : kOrderedGrain;
    const auto remove = [&](size_t begin, size_t end) {
      for (size_t at = begin; at < end; ++at) {
        const size_t i = order.empty() ? at : order[at];
        Status deleted = Delete(ids[i]);
        if (deleted) continue;
        const MutexLock lock(reporting);
        report.failures.push_back({i, std::move(deleted.error())});
      }
    };
    const size_t done =
        ParallelFor(batch.threads, ids.size(), grain, batch.progress, remove, batch.stop);
    if (done < ids.size()) return Cancelled("delete", done, ids.size());
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "delete");
  }
  std::sort(report.failures.begin(), report.failures.end(),
            [](const auto& a, const auto& b) { return a.row < b.row; });
  report.deleted = ids.size() - report.failures.size();
  return report;
}

Status IndexImpl::Clear(const BatchOptions& batch) {
  const Result<std::vector<ExternalId>> ids = Ids();
  if (!ids) return tl::unexpected(ids.error());
  for (size_t i = 0; i < ids->size(); ++i) {
    if (batch.stop.stop_requested()) return Cancelled("clear", i, ids->size());
    Status marked = MarkForRepair((*ids)[i]);
    if (!marked && marked.error().code != ErrorCode::kNotFound) return marked;
  }
  return Consolidate(batch);
}

// Which of many ids are there: their rows need no order. Empty: too few to be put in one.
std::vector<uint8_t> IndexImpl::KnownIds(std::span<const ExternalId> ids) {
  std::vector<uint8_t> known;
  if (ids.size() < kOrderedFrom || size() == 0) return known;
  known.reserve(ids.size());
  for (const ExternalId id : ids) known.push_back(ids_.Lock(id).slot() ? 1 : 0);
  return known;
}

Result<InsertReport> IndexImpl::InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                           const BatchOptions& batch) {
  if (ids.size() != rows.rows())
    return Invalid("ids: expected one per row, " + std::to_string(rows.rows()) + ", found " +
                   std::to_string(ids.size()));
  if (rows.rows() == 0) return InsertReport{};
  if (Status shape = ValidateShape(rows, "rows"); !shape) return tl::unexpected(shape.error());
  InsertReport report;
  Mutex reporting;
  try {
    const std::vector<uint32_t> order =
        InsertOrder(codec_, rows, KnownIds(ids), size(), batch.threads);
    const size_t grain = order.empty() ? kGrain : kOrderedGrain;
    const auto insert = [&](size_t begin, size_t end) {
      for (size_t at = begin; at < end; ++at) {
        const size_t i = order.empty() ? at : order[at];
        Status inserted = Insert(ids[i], rows[i]);
        if (inserted) continue;
        const MutexLock lock(reporting);
        report.failures.push_back({i, std::move(inserted.error())});
      }
    };
    const size_t done =
        ParallelFor(batch.threads, rows.rows(), grain, batch.progress, insert, batch.stop);
    if (done < rows.rows()) return Cancelled("insert", done, rows.rows());
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
  std::sort(report.failures.begin(), report.failures.end(),
            [](const auto& a, const auto& b) { return a.row < b.row; });
  report.inserted = rows.rows() - report.failures.size();
  return report;
}

std::vector<SlotId> IndexImpl::LiveSlots() const {
  std::vector<SlotId> live;
  const SlotId slots = slots_.high_water();
  for (SlotId slot = 0; slot < slots; ++slot)
    if (slots_.tag(slot) == Tag::kLive) live.push_back(slot);
  return live;
}

Status IndexImpl::Refine(const BatchOptions& batch) {
  try {
    const std::vector<SlotId> live = LiveSlots();
    const auto relink = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        auto guard = epochs_.Pin();
        Operation op(guard, codec_);
        graph_.Relink(live[i], op);
      }
    };
    const size_t done =
        ParallelFor(batch.threads, live.size(), kGrain, batch.progress, relink, batch.stop);
    if (done < live.size()) return Cancelled("refine", done, live.size());
    return {};
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "refine");
  }
}

}  // namespace shoal
