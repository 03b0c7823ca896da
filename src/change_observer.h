// What a journal or a cache beside the index needs to know: each change of an id's slot.
#pragma once

#include <cstdint>

#include "shoal/types.h"
#include "store/tag.h"

namespace shoal {

// Given to IndexImpl::Create, and outlives the index. Each function is called once the change has
// taken effect, by the thread that made it and under the id's entry: no other change of the id
// comes in between. It must not call the index, nor wait for a thread that does.
//
// Sequence numbers begin at 1, and no two changes have the same. Those of one id ascend in the
// order of its changes. Changes of different ids may be told in another order than that of their
// numbers.
class ChangeObserver {
 public:
  virtual ~ChangeObserver() = default;
  // The id was not there. (An Upsert of such an id is an insert, too.)
  virtual void OnInsert(uint64_t sequence, ExternalId id, SlotId slot) noexcept = 0;
  // An Upsert gave the id another vector, in another slot.
  virtual void OnReplace(uint64_t sequence, ExternalId id, SlotId from, SlotId to) noexcept = 0;
  virtual void OnDelete(uint64_t sequence, ExternalId id, SlotId slot) noexcept = 0;
  // Compact moved the point, with its vector, to another slot.
  virtual void OnMove(uint64_t sequence, ExternalId id, SlotId from, SlotId to) noexcept = 0;
};

}  // namespace shoal
