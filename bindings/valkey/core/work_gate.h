// A gate between worker threads and fork(). A child of fork() has only the thread that called it.
// A lock that another thread held stays locked there for good. So no worker may be inside a set's
// work when the process forks.
//
//   pthread_atfork([] { gate.Close(); }, [] { gate.Open(); }, nullptr);
//
// In the child the gate stays closed. The child must not enter it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>

namespace shoal::vset {

// Thread-safe. Close and Open are called by one thread, in turns.
class WorkGate {
 public:
  // Held while a thread works; the gate does not close meanwhile. Movable, not copyable.
  class Pass {
   public:
    explicit Pass(WorkGate* gate) : gate_(gate) {}
    Pass(Pass&& other) noexcept : gate_(other.gate_) { other.gate_ = nullptr; }
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_ != nullptr) gate_->Leave();
    }

   private:
    WorkGate* gate_;
  };

  // Waits while the gate is closed. A thread that holds a pass must not enter again.
  [[nodiscard]] Pass Enter();
  // Asks those inside to stop soon, lets nobody in, and returns when all have left: some
  // milliseconds, as passes are held for one insert, or until the token below is heeded.
  void Close();
  void Open();
  // Stop is requested when the gate closes. Read it while holding a pass.
  std::stop_token closing() const;

 private:
  void Leave();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  size_t inside_ = 0;
  bool closed_ = false;
  std::stop_source closing_;
};

}  // namespace shoal::vset
