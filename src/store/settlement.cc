#include "store/settlement.h"

#include "base/hooks.h"

namespace shoal {

bool Settlement::Release(SlotId p, const std::function<bool(SlotId)>& link) {
  const MutexLock lock(mutex_);
  Pinned pinned;
  PinAllBehind(p, pinned);
  SHOAL_RACE_POINT("settlement.pinned");
  pinned.due = pinned.all;
  LetGo(pinned);
  for (const SlotId v : pinned.all) {
    if (!Waits(v)) continue;
    if (!link(v)) return false;
    pinned.due.assign(1, v);
    LetGo(pinned);
  }
  // What is left is deleted. Backwards: what hangs on others of these first.
  bool released = true;
  for (size_t i = pinned.all.size(); i-- > 0;)
    if (neighbors_.IsPinned(pinned.all[i])) released &= neighbors_.ReleasePinned(pinned.all[i]);
  return released;
}

// What a call that was interrupted has pinned is met again, since guards lead to it.
void Settlement::PinAllBehind(SlotId p, Pinned& pinned) {
  std::vector<SlotId>& all = pinned.all;
  all.assign(1, p);
  pinned.them.insert(p);
  neighbors_.Pin(p);
  for (size_t i = 0; i < all.size(); ++i) {
    const SlotId u = all[i];
    const size_t first = all.size();
    neighbors_.PinDependents(u, all);
    size_t kept = first;
    for (size_t j = first; j < all.size(); ++j) {
      if (pinned.them.insert(all[j]).second) {
        all[kept++] = all[j];
      } else {  // It hangs on another of them, on which u does perhaps hang, too.
        neighbors_.DropPinnedGuard(u, all[j]);
      }
    }
    all.resize(kept);
  }
}

// Of those that are due, and those at whom they point, and so on: who has a guard outside.
void Settlement::LetGo(Pinned& pinned) {
  std::vector<SlotId>& due = pinned.due;
  SlotId row[kMaxDegree];
  for (size_t next = 0; next < due.size(); ++next) {
    const SlotId v = due[next];
    if (!Waits(v) || !neighbors_.Unpin(v, in_)) continue;
    rebirths_.fetch_add(1, std::memory_order_relaxed);
    const size_t n = neighbors_.Copy(v, row);
    // Others are of a call that was interrupted: they may still guard some that are not pinned.
    for (size_t i = 0; i < n; ++i)
      if (neighbors_.IsPinned(row[i]) && pinned.them.count(row[i]) > 0) due.push_back(row[i]);
  }
}

}  // namespace shoal
