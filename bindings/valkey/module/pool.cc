#include "bindings/valkey/module/pool.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

namespace shoal::vset_module {

namespace {

// Searches that go before a step of linking that waits. (Guessed: a step that gives way links one
// element, which takes as long as one or two searches.)
constexpr size_t kSearchesInARow = 8;

}  // namespace

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
  if (started_ >= wanted_) return;
  // Signals are for the server's main thread: a new thread inherits an empty set.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    for (; started_ < wanted_; ++started_) std::thread([this] { Run(); }).detach();
  } catch (const std::system_error&) {
    // The system has no more threads. Those that there are do the work; the next task tries again.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Pool::Run() {
  pthread_setname_np(pthread_self(), "shoal_vset");
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return Surplus() || HasTask(); });
    if (Surplus()) break;
    Task task = Take();
    ++running_;
    lock.unlock();
    task();
    task = nullptr;  // What it holds is freed outside the lock.
    lock.lock();
    if (--running_ == 0) idle_.notify_all();
  }
  --started_;
}

Pool::Task Pool::Take() {
  const bool links_next =
      searches_.empty() || (!links_.empty() && searches_in_a_row_ == kSearchesInARow);
  searches_in_a_row_ = links_next || links_.empty() ? 0 : searches_in_a_row_ + 1;
  std::deque<Task>& queue = links_next ? links_ : searches_;
  Task task = std::move(queue.front());
  queue.pop_front();
  return task;
}

bool Pool::SearchesWait() const {
  const std::lock_guard lock(mutex_);
  return !searches_.empty();
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
