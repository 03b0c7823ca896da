// Inserts and upserts, in two steps.
//
// Prepare takes a slot, writes row and list, and reserves the id, or for an id that is there what
// replacing it takes. No search can see the slot yet. Commit publishes it and links it in. In
// between no guard is held, and the neighbours may be deleted: docs/concurrency.md says why that is
// safe.
#include <algorithm>
#include <chrono>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/hooks.h"
#include "index_impl.h"

namespace shoal {
namespace {

// A commit searches again if so many other points were committed since the preparation, or a share
// of all points: it would not know them. (Guessed.)
constexpr size_t kMaxMissed = 64;
constexpr size_t kMissedShare = 8;

tl::unexpected<Error> AlreadyExists(ExternalId id) {
  return MakeError(ErrorCode::kAlreadyExists, "id " + std::to_string(id) + ": already there");
}

}  // namespace

PreparedInsert::PreparedInsert(IndexImpl& index, Kind kind, ExternalId id, OwnedSlot slot)
    : index_(&index), kind_(kind), id_(id), slot_(std::move(slot)) {}

PreparedInsert::PreparedInsert(PreparedInsert&& other) noexcept
    : index_(std::exchange(other.index_, nullptr)),
      kind_(other.kind_),
      id_(other.id_),
      slot_(std::move(other.slot_)),
      version_(other.version_),
      commits_(other.commits_),
      met_(other.met_),
      renewals_(other.renewals_),
      has_own_labels_(other.has_own_labels_) {}

PreparedInsert::~PreparedInsert() {
  if (index_ != nullptr) index_->Undo(*this);
}

// Where there is no memory for one more slot, it reclaims those that readers have left, and does
// pending repairs. If the only other slots are those that searches may still read, it gives these a
// tenth of a second to leave, once per epoch. The caller holds no guard: that would keep the epoch.
std::optional<OwnedSlot> IndexImpl::AcquireSlot() {
  using Clock = std::chrono::steady_clock;
  constexpr auto kPatience = std::chrono::milliseconds(100);
  std::optional<Clock::time_point> until;
  for (;;) {
    if (std::optional<OwnedSlot> slot = slots_.Acquire()) return slot;
    size_t reclaimed = 0;
    for (uint64_t i = 0; i < EpochRegistry::kGracePeriod; ++i) reclaimed += slots_.Reclaim();
    if (reclaimed > 0) continue;
    const auto repair = repairs_.Take();
    if (!repair) {
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
    if (RepairTaken(*repair, guard) == Graph::Repaired::kRetry) return std::nullopt;
  }
}

Status IndexImpl::WritePoint(SlotId slot, ExternalId id, VectorView vector) {
  {
    const auto guard = epochs_.Pin();  // The centre stays while a row is encoded with it.
    rows_.Encode(vector, slot);
  }
  slots_.labels().Clear(slot);
  slots_.set_external_id(slot, id);
  return rows_.stored() == nullptr ? Status() : rows_.stored()->Put({slot, id}, vector);
}

Result<OwnedSlot> IndexImpl::Reserve(ExternalId id, VectorView vector) {
  // Looked up first, so that the common duplicate costs no slot.
  if (ids_.Lock(id).slot()) return AlreadyExists(id);
  SHOAL_SYNC_POINT("insert.after_lookup");
  std::optional<OwnedSlot> slot = AcquireSlot();
  if (!slot) return OutOfMemory(options_, "slots");
  if (Status written = WritePoint(slot->id(), id, vector); !written)
    return tl::unexpected(written.error());
  auto entry = ids_.Lock(id);
  if (entry.slot()) return AlreadyExists(id);
  if (!entry.Add(slot->id())) return OutOfMemory(options_, "id map");
  return std::move(*slot);
}

Status IndexImpl::EnsureStart() {
  if (graph_.start() != kNoSlot) return {};
  const MutexLock lock(starting_);
  if (graph_.start() != kNoSlot) return {};
  std::optional<OwnedSlot> slot = slots_.Acquire();
  if (!slot) return OutOfMemory(options_, "slots");
  rows_.EncodeOrigin(slot->id());
  neighbors_.ResetStart(slot->id());
  graph_.set_start(std::move(*slot).Freeze());
  return {};
}

// Writes the list of a slot that has its row.
Result<PreparedInsert> IndexImpl::LinkOut(PreparedInsert prepared) {
  const SlotId p = prepared.slot_.id();
  auto guard = epochs_.Pin();
  Operation op(guard, rows_.buffer_bytes());
  if (Status fresh = RefreshRow(prepared, op); !fresh) return tl::unexpected(fresh.error());
  const std::optional<SeedsMet> met = graph_.LinkOut(p, op);
  if (Status fetched = op.fetched(); !fetched) return tl::unexpected(fetched.error());
  if (!met) return OutOfMemory(options_, "reverse lists");
  prepared.version_ = neighbors_.Version(p);
  prepared.commits_ = commits_.load(std::memory_order_relaxed);
  prepared.met_ = *met;
  return prepared;
}

Result<PreparedInsert> IndexImpl::Prepare(ExternalId id, VectorView vector) {
  Result<PreparedInsert> prepared = PrepareNew(id, vector);
  if (prepared) NoteVector(vector);
  return prepared;
}

Result<PreparedInsert> IndexImpl::PrepareNew(ExternalId id, VectorView vector) {
  const uint64_t renewals = renewal_.Count();
  if (Status valid = check_.Vector(vector, "vector"); !valid) return tl::unexpected(valid.error());
  try {
    if (Status started = EnsureStart(); !started) return tl::unexpected(started.error());
    Result<OwnedSlot> slot = Reserve(id, vector);
    if (!slot) return tl::unexpected(slot.error());
    SHOAL_SYNC_POINT("insert.reserved");
    neighbors_.ResetRow(slot->id());  // Before anything can fail: what is undone is its list.
    PreparedInsert prepared(*this, PreparedInsert::Kind::kNew, id, std::move(*slot));
    prepared.renewals_ = renewals;
    return LinkOut(std::move(prepared));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
}

Result<PreparedInsert> IndexImpl::PrepareReplacement(ExternalId id, VectorView vector) {
  const uint64_t renewals = renewal_.Count();
  try {
    std::optional<OwnedSlot> slot = AcquireSlot();
    if (!slot) return OutOfMemory(options_, "slots");
    if (Status written = WritePoint(slot->id(), id, vector); !written)
      return tl::unexpected(written.error());
    neighbors_.ResetRow(slot->id());
    // What the commit takes, so that it cannot fail: a place in the map, should a Delete come
    // between, and one in the queue of repairs.
    if (!ids_.Lock(id).Reserve()) return OutOfMemory(options_, "id map");
    if (!repairs_.Reserve()) {
      ids_.Lock(id).Unreserve();
      return OutOfMemory(options_, "repairs");
    }
    PreparedInsert prepared(*this, PreparedInsert::Kind::kReplacement, id, std::move(*slot));
    prepared.renewals_ = renewals;
    return LinkOut(std::move(prepared));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "upsert");
  }
}

Result<PreparedInsert> IndexImpl::PrepareUpsert(ExternalId id, VectorView vector) {
  Result<PreparedInsert> fresh = Prepare(id, vector);
  if (fresh || fresh.error().code != ErrorCode::kAlreadyExists) return fresh;
  Result<PreparedInsert> replacement = PrepareReplacement(id, vector);
  if (replacement) NoteVector(vector);
  return replacement;
}

void IndexImpl::Undo(PreparedInsert& prepared) {
  const auto guard = epochs_.Pin();  // The slots that it points at are not reused meanwhile.
  const SlotId p = prepared.slot_.id();
  graph_.UndoLinkOut(p);
  auto entry = ids_.Lock(prepared.id_);
  if (prepared.kind_ == PreparedInsert::Kind::kReplacement) {
    entry.Unreserve();
    repairs_.Unreserve();
  } else if (entry.slot() == p) {  // Else an Upsert has taken the id.
    entry.Remove();
  }
}

// Repairs may have taken edges from the list, and points have come that it should have edges to.
// For want of memory, or of rows, it stays as it is.
void IndexImpl::RenewList(PreparedInsert& prepared, Operation& op) {
  const SlotId p = prepared.slot_.id();
  const uint64_t missed = commits_.load(std::memory_order_relaxed) - prepared.commits_;
  if (neighbors_.Version(p) == prepared.version_ &&
      missed <= std::min(kMaxMissed, size() / kMissedShare))
    return;
  try {
    if (const auto met = graph_.LinkOut(p, op)) prepared.met_ = *met;
  } catch (const std::bad_alloc&) {
  }
}

Status IndexImpl::Commit(PreparedInsert prepared) {
  Status committed = CommitAtOnce(std::move(prepared));
  AfterWrite();
  return committed;
}

Status IndexImpl::CommitAtOnce(PreparedInsert prepared) {
  try {
    auto guard = epochs_.Pin();
    {
      Operation op(guard, rows_.buffer_bytes());  // So that LinkInAnywhere needs no memory.
      if (Status fresh = RefreshRow(prepared, op); !fresh) return fresh;
      RenewList(prepared, op);
      if (!op.fetched()) return op.fetched();
    }
    if (prepared.kind_ == PreparedInsert::Kind::kReplacement)
      return CommitReplacement(prepared, std::move(guard));
    return CommitNew(prepared, guard);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
}

SlotId IndexImpl::Publish(PreparedInsert& prepared) {
  prepared.index_ = nullptr;  // Nothing is undone from here on.
  commits_.fetch_add(1, std::memory_order_relaxed);
  return std::move(prepared.slot_).Publish();
}

Status IndexImpl::CommitNew(PreparedInsert& prepared, EpochRegistry::Guard& guard) {
  const SlotId p = prepared.slot_.id();
  const ExternalId id = prepared.id_;
  // What it takes to withdraw the point, should it not be linked.
  const bool may_fail = graph_.fetches();
  if (may_fail && !repairs_.Reserve()) return OutOfMemory(options_, "repairs");
  {
    const auto entry = ids_.Lock(id);
    if (entry.slot() != p) {
      if (may_fail) repairs_.Unreserve();
      return AlreadyExists(id);  // An Upsert has come meanwhile.
    }
    Publish(prepared);
    Tell(&ChangeObserver::OnInsert, id, p);
  }
  Status linked = LinkPublished(p, prepared.met_, guard);
  if (!linked) {
    Withdraw(p, id);
  } else if (may_fail) {
    repairs_.Unreserve();
  }
  return linked;
}

// A point whose place in the queue of repairs is reserved; if it is still the id's.
void IndexImpl::Withdraw(SlotId p, ExternalId id) {
  NoteThatAnIdLeaves();
  {
    auto entry = ids_.Lock(id);
    if (entry.slot() == p && neighbors_.MarkDeleted(slots_, p)) {
      entry.Remove();
      Tell(&ChangeObserver::OnDelete, id, p);
      repairs_.Push(p);
      return;
    }
  }
  repairs_.Unreserve();
}

// A new slot takes the id over from the old one. Both are live for a moment, so that no search
// misses the id; a search that meets both returns the nearer.
Status IndexImpl::CommitReplacement(PreparedInsert& prepared, EpochRegistry::Guard guard) {
  NoteThatAnIdLeaves();
  // The labels that the id has now; what is made of them until the map names the new slot comes
  // below. (For want of memory, where the id had none when this was prepared, they are lost.)
  const auto take_labels = [&](SlotId from) {
    if (!prepared.has_own_labels_) (void)slots_.labels().Copy(from, prepared.slot());
  };
  if (const std::optional<SlotId> now = LiveSlotOf(prepared.id_)) take_labels(*now);
  const SlotId p = Publish(prepared);
  SHOAL_SYNC_POINT("upsert.published");
  if (Status linked = LinkPublished(p, prepared.met_, guard); !linked) {
    // No id names it.
    ids_.Lock(prepared.id_).Unreserve();
    SHOAL_CHECK(neighbors_.MarkRelocated(slots_, p));
    repairs_.Push(p);
    return linked;
  }
  SHOAL_SYNC_POINT("upsert.linked");
  SlotId old = kNoSlot;
  {
    auto entry = ids_.Lock(prepared.id_);
    entry.Unreserve();
    if (const auto mapped = entry.slot()) {
      take_labels(*mapped);
      entry.Replace(p);
      // Not live: an insert under way, which will find that it comes too late.
      if (neighbors_.MarkRelocated(slots_, *mapped)) old = *mapped;
    } else {
      (void)entry.Add(p);                                       // Finds memory: reserved.
      if (!prepared.has_own_labels_) slots_.labels().Clear(p);  // Those of a point that is gone.
    }
    if (old == kNoSlot) {
      Tell(&ChangeObserver::OnInsert, prepared.id_, p);
    } else {
      Tell(&ChangeObserver::OnReplace, prepared.id_, old, p);
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

Status IndexImpl::LinkPublished(SlotId p, const SeedsMet& met, EpochRegistry::Guard& guard) {
  SHOAL_SYNC_POINT("insert.published");
  Operation op(guard, rows_.buffer_bytes());
  try {
    bool has_parent = graph_.LinkIn(p, met, op);
    // If not, the rows of all possible parents are full of the last parent edges of other points. p
    // moves to the end at each try, and there are fewer live points than places. So deleted points
    // whose repair is pending hold some, or other inserts were faster.
    for (size_t failed = 0; !has_parent && op.fetched() && failed < MaxFailures(repairs_.size());) {
      if (const auto repair = repairs_.Take()) {
        failed = RepairTaken(*repair, guard) == Graph::Repaired::kRetry ? failed + 1 : 0;
      } else {
        std::this_thread::yield();
      }
      has_parent = graph_.EnsureParent(p, op);
    }
    // The caller takes the point back: any parent will do.
    if (!op.fetched()) graph_.LinkInAnywhere(p, op);
    return op.fetched();
  } catch (const std::bad_alloc&) {
    // The point is in. It needs one parent edge, which takes no memory.
    graph_.LinkInAnywhere(p, op);
  }
  return {};
}

Status IndexImpl::Insert(ExternalId id, VectorView vector) {
  Result<PreparedInsert> prepared = Prepare(id, vector);
  if (!prepared) return tl::unexpected(prepared.error());
  return Commit(std::move(*prepared));
}

Status IndexImpl::Upsert(ExternalId id, VectorView vector) {
  Result<PreparedInsert> prepared = PrepareUpsert(id, vector);
  if (!prepared) return tl::unexpected(prepared.error());
  Status committed = Commit(std::move(*prepared));
  // Another Upsert of the id has overtaken this one, which so came before it.
  if (!committed && committed.error().code == ErrorCode::kAlreadyExists) return {};
  return committed;
}

}  // namespace shoal
