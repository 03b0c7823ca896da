// Deleted slots whose repair is pending: deletes push them, threads that repair take them.
//
// PROBLEM. Consolidate waits for the repairs that are pending when it is called. If it waited until
// the queue is empty, it would never return where others delete faster than one thread repairs.
//
// IDEA. A pending repair carries the generation in which it was pushed, and keeps it when it is put
// back. A barrier ends the generation. It is passed when as many repairs of its generation or an
// earlier one are done as there were when it was made.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/memory.h"
#include "base/ring.h"
#include "store/tag.h"

namespace shoal {

struct PendingRepair {
  SlotId slot = kNoSlot;
  uint32_t generation = 0;
  uint32_t failed_fetches = 0;  // How often it was tried and rows could not be fetched.
};

// Thread-safe.
class RepairQueue {
 public:
  // The repairs that are pending when it is made. One owner; any thread takes for it.
  class Barrier {
   public:
    explicit Barrier(RepairQueue& queue) : queue_(queue) { queue_.Begin(*this); }
    ~Barrier() { queue_.End(*this); }
    Barrier(const Barrier&) = delete;
    Barrier& operator=(const Barrier&) = delete;
    // Their number when it was made.
    size_t size() const { return size_; }

   private:
    friend class RepairQueue;
    RepairQueue& queue_;
    // Constant after construction.
    size_t size_ = 0;
    uint32_t generation_ = 0;  // The latest that it waits for.
    // Guarded by queue_.mutex_.
    size_t left_ = 0;
    Barrier* next_ = nullptr;
  };

  // `budget`: charged with the queue's memory, whatever is left of it.
  explicit RepairQueue(MemoryBudget& budget) : charged_(budget) {}

  // Makes room for one more. The caller calls Push or Unreserve later. False: no memory.
  bool Reserve() {
    const std::lock_guard lock(mutex_);
    if (!repairs_.Reserve(reserved_ + 1)) return false;
    charged_.Set(repairs_.bytes());
    ++reserved_;
    return true;
  }
  void Unreserve() {
    const std::lock_guard lock(mutex_);
    --reserved_;
  }
  // Frees memory that is not reserved.
  void Shrink() {
    const std::lock_guard lock(mutex_);
    repairs_.Shrink(reserved_);
    charged_.Set(repairs_.bytes());
  }
  // Into reserved room.
  void Push(SlotId slot) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    repairs_.Push({slot, generation_});
    changed_.notify_one();
  }

  // The first in the queue, which is then under repair. Its room stays reserved. nullopt: there is
  // none.
  std::optional<PendingRepair> Take() {
    const std::lock_guard lock(mutex_);
    return TakeLocked();
  }
  // Of what was taken: it is done.
  void Done(const PendingRepair& repair) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    --under_repair_;
    for (Barrier* barrier = barriers_; barrier != nullptr; barrier = barrier->next_)
      if (Awaits(*barrier, repair)) --barrier->left_;
    changed_.notify_all();
  }
  // Of what was taken: it is partial, or to be tried again. It goes to the end.
  void Again(const PendingRepair& repair) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    --under_repair_;
    repairs_.Push(repair);
    changed_.notify_all();
  }

  // Waits for one, for Wake or for Close; then as Take.
  std::optional<PendingRepair> WaitAndTake() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || woken_ || !repairs_.empty(); });
    woken_ = false;
    return closed_ ? std::nullopt : TakeLocked();
  }
  // Ends one WaitAndTake: there is other work.
  void Wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }
  // As Take, but waits while the queue is empty and some that the barrier awaits are under repair.
  // nullopt: the barrier is passed.
  std::optional<PendingRepair> TakeFor(const Barrier& barrier) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return barrier.left_ == 0 || !repairs_.empty(); });
    return barrier.left_ == 0 ? std::nullopt : TakeLocked();
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

  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  // Those in the queue and under repair.
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return repairs_.size() + under_repair_;
  }
  size_t bytes() const {
    const std::lock_guard lock(mutex_);
    return repairs_.bytes();
  }

 private:
  std::optional<PendingRepair> TakeLocked() {
    if (repairs_.empty()) return std::nullopt;
    const PendingRepair repair = repairs_.front();
    repairs_.Pop();
    ++reserved_;
    ++under_repair_;
    return repair;
  }

  // Generations wrap round, but nothing is pending for half of them.
  static bool Awaits(const Barrier& barrier, const PendingRepair& repair) {
    return static_cast<int32_t>(repair.generation - barrier.generation_) <= 0;
  }
  void Begin(Barrier& barrier) {
    const std::lock_guard lock(mutex_);
    barrier.size_ = barrier.left_ = repairs_.size() + under_repair_;
    barrier.generation_ = generation_++;
    barrier.next_ = barriers_;
    barriers_ = &barrier;
  }
  void End(const Barrier& barrier) {
    const std::lock_guard lock(mutex_);
    Barrier** at = &barriers_;
    while (*at != &barrier) at = &(*at)->next_;
    *at = barrier.next_;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_, closing_;
  // All guarded by mutex_.
  Ring<PendingRepair> repairs_;
  BudgetEntry charged_;
  uint32_t generation_ = 0;
  Barrier* barriers_ = nullptr;  // Those that exist now, a few at most.
  size_t reserved_ = 0;
  size_t under_repair_ = 0;
  bool closed_ = false;
  bool woken_ = false;
};

}  // namespace shoal
