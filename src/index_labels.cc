// The labels of an index's points.
#include <new>

#include "base/hooks.h"
#include "base/number.h"
#include "index_impl.h"

namespace shoal {

Status IndexImpl::CheckLabelCount(std::span<const uint32_t> labels) {
  if (labels.size() <= kMaxLabels) return {};
  return Invalid("labels", "at most " + Written(kMaxLabels), Written(labels.size()));
}

Status IndexImpl::Label(PreparedInsert& prepared, std::span<const uint32_t> labels) {
  if (Status ok = CheckLabelCount(labels); !ok) return ok;
  if (!slots_.labels().Set(prepared.slot(), labels)) return OutOfMemory(options_, "labels");
  prepared.has_own_labels_ = true;
  return {};
}

Status IndexImpl::Insert(ExternalId id, VectorView vector, std::span<const uint32_t> labels) {
  Result<PreparedInsert> prepared = Prepare(id, vector);
  if (!prepared) return tl::unexpected(prepared.error());
  if (Status labelled = Label(*prepared, labels); !labelled) return labelled;
  return Commit(std::move(*prepared));
}

Status IndexImpl::Upsert(ExternalId id, VectorView vector, std::span<const uint32_t> labels) {
  Result<PreparedInsert> prepared = PrepareUpsert(id, vector);
  if (!prepared) return tl::unexpected(prepared.error());
  if (Status labelled = Label(*prepared, labels); !labelled) return labelled;
  Status committed = Commit(std::move(*prepared));
  // Another Upsert of the id has overtaken this one, which so came before it.
  if (!committed && committed.error().code == ErrorCode::kAlreadyExists) return {};
  return committed;
}

// Under the id's entry the slot stays the id's.
Status IndexImpl::SetLabels(ExternalId id, std::span<const uint32_t> labels) {
  if (Status ok = CheckLabelCount(labels); !ok) return ok;
  const auto entry = ids_.Lock(id);
  const auto slot = entry.slot();
  if (!slot || slots_.tag(*slot) != Tag::kLive) return NotFound(id);
  SHOAL_SYNC_POINT("labels.looked_up");
  if (!slots_.labels().Set(*slot, labels)) return OutOfMemory(options_, "labels");
  return {};
}

Result<std::vector<uint32_t>> IndexImpl::Labels(ExternalId id) const {
  const auto guard = epochs_.Pin();
  const auto entry = ids_.Lock(id);
  const auto slot = entry.slot();
  if (!slot || slots_.tag(*slot) != Tag::kLive) return NotFound(id);
  try {
    const std::span<const uint32_t> labels = slots_.labels().Of(*slot);
    return std::vector<uint32_t>(labels.begin(), labels.end());
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "labels");
  }
}

}  // namespace shoal
