// Deleted slots whose repair is due: who deletes puts them in, whoever repairs takes them out.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/ring.h"
#include "store/tag.h"

namespace shoal {

// Thread-safe.
class RepairQueue {
 public:
  // Makes room for one more; the caller pushes it, or gives the room back. False: no memory.
  bool Reserve() {
    const std::lock_guard lock(mutex_);
    if (!slots_.Reserve(reserved_ + 1)) return false;
    ++reserved_;
    return true;
  }
  void Unreserve() {
    const std::lock_guard lock(mutex_);
    --reserved_;
  }
  // Into reserved room.
  void Push(SlotId slot) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    slots_.Push(slot);
    changed_.notify_one();
  }

  // The oldest, which is then under repair; nullopt: there is none. Its room stays reserved.
  std::optional<SlotId> Take() {
    const std::lock_guard lock(mutex_);
    return TakeLocked();
  }
  // What Take gave is repaired.
  void Done() {
    const std::lock_guard lock(mutex_);
    --reserved_;
    --under_repair_;
    changed_.notify_all();
  }
  // What Take gave could not be repaired now: it goes to the end.
  void Again(SlotId slot) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    --under_repair_;
    slots_.Push(slot);
    changed_.notify_all();
  }

  // Waits for one, or for Close; then as Take.
  std::optional<SlotId> WaitAndTake() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !slots_.empty(); });
    return closed_ ? std::nullopt : TakeLocked();
  }
  // As Take, but while others' repairs are under way, waits for what they put back. nullopt: there
  // is none, and nobody repairs.
  std::optional<SlotId> TakeOrWaitForAll() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !slots_.empty() || under_repair_ == 0; });
    return TakeLocked();
  }
  // Waits for some time, or for Close.
  void Rest(std::chrono::nanoseconds time) {
    std::unique_lock lock(mutex_);
    closing_.wait_for(lock, time, [&] { return closed_; });
  }
  // Ends WaitAndTake and Rest, now and in future.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
    closing_.notify_all();
  }

  // Slots that wait or are under repair.
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return slots_.size() + under_repair_;
  }
  size_t bytes() const {
    const std::lock_guard lock(mutex_);
    return slots_.bytes();
  }

 private:
  std::optional<SlotId> TakeLocked() {
    if (slots_.empty()) return std::nullopt;
    const SlotId slot = slots_.front();
    slots_.Pop();
    ++reserved_;
    ++under_repair_;
    return slot;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_, closing_;
  // All guarded by mutex_.
  Ring<SlotId> slots_;
  size_t reserved_ = 0;
  size_t under_repair_ = 0;
  bool closed_ = false;
};

}  // namespace shoal
