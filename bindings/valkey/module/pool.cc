#include "bindings/valkey/module/pool.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace shoal::vset_module {

Pool& Pool::Instance() {
  static Pool* const pool = new Pool;
  return *pool;
}

void Pool::Post(Urgency urgency, Task task) {
  {
    const std::lock_guard lock(mutex_);
    (urgency == Urgency::kSearch ? searches_ : links_).push_back(std::move(task));
    StartThreads();
  }
  work_.notify_one();
}

void Pool::StartThreads() {
  // Signals are for the server's main thread: a new thread inherits an empty set.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (; started_ < wanted_; ++started_) std::thread([this] { Run(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Pool::Run() {
  pthread_setname_np(pthread_self(), "shoal_vset");
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] {
      return Surplus() || (!stopped_ && (!searches_.empty() || !links_.empty()));
    });
    if (Surplus()) break;
    std::deque<Task>& queue = searches_.empty() ? links_ : searches_;
    Task task = std::move(queue.front());
    queue.pop_front();
    ++running_;
    lock.unlock();
    task();
    task = nullptr;  // What it holds is freed outside the lock.
    lock.lock();
    if (--running_ == 0) idle_.notify_all();
  }
  --started_;
}

void Pool::SetThreads(size_t threads) {
  {
    const std::lock_guard lock(mutex_);
    wanted_ = threads;
  }
  work_.notify_all();
}

size_t Pool::threads() const {
  const std::lock_guard lock(mutex_);
  return wanted_;
}

void Pool::Stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  idle_.wait(lock, [this] { return running_ == 0; });
}

Pool::Counts Pool::counts() const {
  const std::lock_guard lock(mutex_);
  return {.queued_searches = searches_.size(), .queued_links = links_.size(), .running = running_};
}

}  // namespace shoal::vset_module
