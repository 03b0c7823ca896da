// Deleted slots whose repair is due: who deletes puts them in, whoever repairs takes them out.
//
// PROBLEM. Whoever consolidates owes what is due when the call begins. Who waited for the queue to
// be empty would never return where others delete faster than one thread repairs.
//
// IDEA. What is due carries the age in which it was pushed, also when it has to be tried again; an
// age ends when somebody begins to pay a debt. The debt is paid when as many of its age, or older,
// are repaired as there were at its beginning.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/memory.h"
#include "base/ring.h"
#include "store/tag.h"

namespace shoal {

// Thread-safe.
class RepairQueue {
 public:
  struct Due {
    SlotId slot = kNoSlot;
    uint32_t age = 0;
  };

  // The repairs that are due, or under way, when it is made. One owner; any thread takes for it.
  class Debt {
   public:
    explicit Debt(RepairQueue& queue) : queue_(queue) { queue_.Begin(*this); }
    ~Debt() { queue_.End(*this); }
    Debt(const Debt&) = delete;
    Debt& operator=(const Debt&) = delete;
    // As it was at the beginning.
    size_t size() const { return size_; }

   private:
    friend class RepairQueue;
    RepairQueue& queue_;
    // Guarded by queue_.mutex_, but size_, which is constant.
    size_t size_ = 0;
    size_t left_ = 0;
    uint32_t age_ = 0;  // Of the youngest that belong to it.
    Debt* next_ = nullptr;
  };

  // `budget`: charged with the queue's memory, whatever is left of it.
  explicit RepairQueue(MemoryBudget& budget) : charged_(budget) {}

  // Makes room for one more; the caller pushes it, or gives the room back. False: no memory.
  bool Reserve() {
    const std::lock_guard lock(mutex_);
    if (!slots_.Reserve(reserved_ + 1)) return false;
    charged_.Set(slots_.bytes());
    ++reserved_;
    return true;
  }
  void Unreserve() {
    const std::lock_guard lock(mutex_);
    --reserved_;
  }
  // Gives memory back that is not reserved.
  void Shrink() {
    const std::lock_guard lock(mutex_);
    slots_.Shrink(reserved_);
    charged_.Set(slots_.bytes());
  }
  // Into reserved room.
  void Push(SlotId slot) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    slots_.Push({slot, age_});
    changed_.notify_one();
  }

  // The oldest, which is then under repair; nullopt: there is none. Its room stays reserved.
  std::optional<Due> Take() {
    const std::lock_guard lock(mutex_);
    return TakeLocked();
  }
  // What Take gave is repaired.
  void Done(const Due& due) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    --under_repair_;
    for (Debt* debt = debts_; debt != nullptr; debt = debt->next_)
      if (IsOf(*debt, due)) --debt->left_;
    changed_.notify_all();
  }
  // What Take gave could not be repaired now, or not wholly: it goes to the end.
  void Again(const Due& due) {
    const std::lock_guard lock(mutex_);
    --reserved_;
    --under_repair_;
    slots_.Push(due);
    changed_.notify_all();
  }

  // Waits for one, or for Close; then as Take.
  std::optional<Due> WaitAndTake() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !slots_.empty(); });
    return closed_ ? std::nullopt : TakeLocked();
  }
  // As Take, but while all that is left of the debt is under repair elsewhere, waits for what they
  // put back. nullopt: the debt is paid.
  std::optional<Due> TakeFor(const Debt& debt) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return debt.left_ == 0 || !slots_.empty(); });
    return debt.left_ == 0 ? std::nullopt : TakeLocked();
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
  std::optional<Due> TakeLocked() {
    if (slots_.empty()) return std::nullopt;
    const Due due = slots_.front();
    slots_.Pop();
    ++reserved_;
    ++under_repair_;
    return due;
  }

  // Ages wrap round, but nothing is due for half of them.
  static bool IsOf(const Debt& debt, const Due& due) {
    return static_cast<int32_t>(due.age - debt.age_) <= 0;
  }
  void Begin(Debt& debt) {
    const std::lock_guard lock(mutex_);
    debt.size_ = debt.left_ = slots_.size() + under_repair_;
    debt.age_ = age_++;
    debt.next_ = debts_;
    debts_ = &debt;
  }
  void End(const Debt& debt) {
    const std::lock_guard lock(mutex_);
    Debt** at = &debts_;
    while (*at != &debt) at = &(*at)->next_;
    *at = debt.next_;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_, closing_;
  // All guarded by mutex_.
  Ring<Due> slots_;
  BudgetEntry charged_;
  uint32_t age_ = 0;
  Debt* debts_ = nullptr;  // Those that somebody is paying now, a few at most.
  size_t reserved_ = 0;
  size_t under_repair_ = 0;
  bool closed_ = false;
};

}  // namespace shoal
