// The index's writers: deletes, and calls on many points. What follows a delete is in
// index_repair.cc.
#include <algorithm>
#include <limits>
#include <new>
#include <string>

#include "base/hooks.h"
#include "base/number.h"
#include "base/parallel.h"
#include "codec/full_codec.h"
#include "index_batch.h"
#include "index_impl.h"
#include "index_order.h"

namespace shoal {
namespace {

// Rows, ids or slots that one thread takes at a time from a batch.
constexpr size_t kGrain = 8;
// Of batches that are put in order. So many that threads are in different regions: points that are
// inserted at the same time do not find each other.
constexpr size_t kOrderedGrain = 512;

std::span<const uint32_t> LabelsOf(const LabelRows& labels, size_t row) {
  return labels.labels.subspan(labels.limits[row], labels.limits[row + 1] - labels.limits[row]);
}

size_t GrainOf(std::span<const uint32_t> order) { return order.empty() ? kGrain : kOrderedGrain; }

}  // namespace

tl::unexpected<Error> NotFound(ExternalId id) {
  return MakeError(ErrorCode::kNotFound, "id " + std::to_string(id) + ": not there");
}

Status IndexImpl::MarkForRepair(ExternalId id) {
  if (!repairs_.Reserve()) return OutOfMemory(options_, "repairs");
  if (MarkReserved(id)) return {};
  repairs_.Unreserve();
  return NotFound(id);
}

bool IndexImpl::MarkReserved(ExternalId id) {
  NoteThatAnIdLeaves();
  {
    auto entry = ids_.Lock(id);
    const auto slot = entry.slot();
    if (slot && neighbors_.MarkDeleted(slots_, *slot)) {
      entry.Remove();
      Tell(&ChangeObserver::OnDelete, id, *slot);
      SHOAL_SYNC_POINT("delete.marked");
      repairs_.Push(*slot);
      return true;
    }
  }
  return false;
}

Status IndexImpl::Delete(ExternalId id) {
  try {
    auto guard = epochs_.Pin();
    if (Status marked = MarkForRepair(id); !marked) return marked;
    AfterDelete(std::move(guard));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "delete");
  }
  AfterWrite();
  return {};
}

// Positions of ids in the order of their slots: points of one batch that are near each other have
// near slots (InsertOrder), and their repairs read the same rows and lists. Empty: as they are.
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

Result<BatchReport> IndexImpl::DeleteMany(std::span<const ExternalId> ids,
                                          const BatchOptions& batch) {
  try {
    const std::vector<uint32_t> order = DeleteOrder(ids);
    return RunBatch({"delete", ids.size(), order, GrainOf(order)}, batch,
                    [&](size_t i) { return Delete(ids[i]); });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "delete");
  }
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

// Which of many ids are there: their rows need no place in an order. Empty: too few for an order.
std::vector<uint8_t> IndexImpl::KnownIds(std::span<const ExternalId> ids) {
  std::vector<uint8_t> known;
  if (ids.size() < kOrderedFrom || size() == 0) return known;
  known.reserve(ids.size());
  for (const ExternalId id : ids) known.push_back(ids_.Lock(id).slot() ? 1 : 0);
  return known;
}

// As many ids as rows, labels of as many, and rows of the index's type and dimension.
Status IndexImpl::CheckRows(std::span<const ExternalId> ids, MatrixView rows,
                            const LabelRows* labels) const {
  if (ids.size() != rows.rows())
    return Invalid("ids", "one per row, " + Written(rows.rows()), Written(ids.size()));
  if (labels != nullptr) {
    const auto& [numbers, limits] = *labels;
    if (limits.size() != rows.rows() + 1)
      return Invalid("labels: limits", Written(rows.rows() + 1), Written(limits.size()));
    if (!std::is_sorted(limits.begin(), limits.end()) || limits.back() > numbers.size())
      return Invalid("labels: limits", "ascending to at most " + Written(numbers.size()),
                     "others, or " + Written(limits.back()) + " at the end");
  }
  return rows.rows() == 0 ? Status() : check_.Shape(rows, "rows");
}

Result<BatchReport> IndexImpl::InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                          const LabelRows* labels, const BatchOptions& batch) {
  if (Status valid = CheckRows(ids, rows, labels); !valid) return tl::unexpected(valid.error());
  try {
    NoteBatch(rows);
    const FullCodec full(options_.scalar_type, options_.metric, options_.dim);
    const std::vector<uint32_t> order = InsertOrder(full, rows, KnownIds(ids), size(), batch);
    return RunBatch({"insert", rows.rows(), order, GrainOf(order)}, batch, [&](size_t i) -> Status {
      Result<PreparedInsert> prepared = PrepareNew(ids[i], rows[i]);
      if (!prepared) return tl::unexpected(prepared.error());
      if (labels != nullptr)
        if (Status ok = Label(*prepared, LabelsOf(*labels, i)); !ok) return ok;
      return Commit(std::move(*prepared));
    });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "insert");
  }
}

Result<BatchReport> IndexImpl::UpsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                          const LabelRows* labels, const BatchOptions& batch) {
  if (Status valid = CheckRows(ids, rows, labels); !valid) return tl::unexpected(valid.error());
  try {
    const FullCodec full(options_.scalar_type, options_.metric, options_.dim);
    const std::vector<uint32_t> order = InsertOrder(full, rows, {}, size(), batch);
    return RunBatch({"upsert", rows.rows(), order, GrainOf(order)}, batch, [&](size_t i) {
      return labels == nullptr ? Upsert(ids[i], rows[i])
                               : Upsert(ids[i], rows[i], LabelsOf(*labels, i));
    });
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "upsert");
  }
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
        Operation op(guard, rows_.buffer_bytes());
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
