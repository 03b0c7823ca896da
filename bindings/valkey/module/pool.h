// Worker threads: searches of clients, and steps of linking. The main thread never waits for them
// but at shutdown, and then only for what runs, not for what is queued. (fork(): at_rest.h.)
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace shoal::vset_module {

class Pool {
 public:
  using Task = std::function<void()>;

  // The process's pool. It is never destroyed: a server may exit while its threads wait.
  static Pool& Instance();

  // Searches go before linking: a client waits for them. But where both wait, linking has every
  // ninth turn: clients that add wait, too, and would for ever if searches never ceased.
  enum class Urgency : uint8_t { kSearch, kLink };
  // Any thread. Starts as many threads as SetThreads said when the first task comes.
  void Post(Urgency urgency, Task task);

  // Whether searches wait for a thread: a step of linking should end soon.
  bool SearchesWait() const;

  // Number of threads, at least 1. Fewer: surplus threads leave when their task ends.
  void SetThreads(size_t threads);
  size_t threads() const;

  // Ends the pool for good: returns when no task runs. Tasks that are queued, or come later, never
  // run. Main thread.
  void Stop();

  struct Counts {
    size_t queued_searches = 0;
    size_t queued_links = 0;
    size_t running = 0;
  };
  Counts counts() const;

 private:
  Pool() = default;
  void Run();
  // These three hold mutex_.
  void StartThreads();
  bool HasTask() const { return !stopped_ && (!searches_.empty() || !links_.empty()); }
  Task Take();
  bool Surplus() const { return started_ > wanted_; }

  mutable std::mutex mutex_;
  std::condition_variable work_;  // A task, or a surplus.
  std::condition_variable idle_;  // running_ is 0.
  std::deque<Task> searches_;
  std::deque<Task> links_;
  size_t searches_in_a_row_ = 0;  // While links waited.
  size_t wanted_ = 2;
  size_t started_ = 0;
  size_t running_ = 0;
  bool stopped_ = false;
};

}  // namespace shoal::vset_module
