// Points of a transaction (tag.h: pending): linked as they come, so that points of one transaction
// find each other, and live when the transaction has committed.
#include <new>
#include <utility>

#include "base/check.h"
#include "index_impl.h"

namespace shoal {

Result<PendingPoint> IndexImpl::InsertPending(ExternalId id, VectorView vector,
                                              Replacing replacing) {
  Result<PreparedInsert> prepared =
      replacing == Replacing::kYes ? PrepareUpsert(id, vector) : Prepare(id, vector);
  if (!prepared) return tl::unexpected(prepared.error());
  const bool fresh = prepared->kind_ == PreparedInsert::Kind::kNew;
  PendingPoint point{.id = id, .replaces = !fresh};
  Status linked;
  try {
    auto guard = epochs_.Pin();
    const Operation op(guard, rows_.buffer_bytes());  // So that LinkInAnywhere needs no memory.
    // Of the two slots one will be deleted, or a new one may be: its place in the queue.
    if (fresh && !repairs_.Reserve()) return OutOfMemory(options_, "repairs");
    prepared->index_ = nullptr;  // Nothing is undone from here on.
    commits_.fetch_add(1, std::memory_order_relaxed);
    point.slot = std::move(prepared->slot_).PublishPending();
    linked = LinkPublished(point.slot, prepared->met_, guard);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
  if (linked) return point;
  Abort(point);
  return tl::unexpected(linked.error());
}

SlotId IndexImpl::MakeLive(const PendingPoint& point) {
  SlotId old = kNoSlot;
  auto guard = epochs_.Pin();
  if (point.replaces) NoteThatAnIdLeaves();
  {
    auto entry = ids_.Lock(point.id);
    slots_.MakeLive(point.slot);
    if (point.replaces) {
      entry.Unreserve();
      if (const auto mapped = entry.slot()) {
        entry.Replace(point.slot);
        SHOAL_CHECK(neighbors_.MarkRelocated(slots_, *mapped));
        old = *mapped;
      } else {
        (void)entry.Add(point.slot);  // Finds memory: reserved.
      }
    }
    if (old == kNoSlot) {
      Tell(&ChangeObserver::OnInsert, point.id, point.slot);
    } else {
      Tell(&ChangeObserver::OnReplace, point.id, old, point.slot);
    }
  }
  if (old == kNoSlot) {
    repairs_.Unreserve();
    return old;
  }
  repairs_.Push(old);
  AfterDelete(std::move(guard));
  return old;
}

void IndexImpl::Abort(const PendingPoint& point) {
  auto guard = epochs_.Pin();
  {
    auto entry = ids_.Lock(point.id);
    SHOAL_CHECK(neighbors_.MarkAborted(slots_, point.slot));
    if (point.replaces) {
      entry.Unreserve();
    } else {
      entry.Remove();
    }
  }
  repairs_.Push(point.slot);
  AfterDelete(std::move(guard));
}

void IndexImpl::DeleteReserved(ExternalId id) {
  auto guard = epochs_.Pin();
  SHOAL_CHECK(MarkReserved(id));
  AfterDelete(std::move(guard));
}

}  // namespace shoal
