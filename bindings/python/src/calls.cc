#include "calls.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace shoal::python {
namespace {

// Fewer rows than this take no longer than starting a thread is worth.
constexpr size_t kFewRows = 64;
constexpr auto kWatchEvery = std::chrono::milliseconds(50);

// What the thread that works tells the one that watches.
class Watched {
 public:
  void Progress(size_t done, size_t total) {
    const std::lock_guard lock(mutex_);
    done_ = done;
    total_ = total;
  }
  void End() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_one();
  }
  // Whether the work has ended; waits a little for it.
  bool AwaitEnd() {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, std::chrono::steady_clock::now() + kWatchEvery,
                               [this] { return ended_; });
  }
  std::pair<size_t, size_t> progress() {
    const std::lock_guard lock(mutex_);
    return {done_, total_};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  size_t done_ = 0;
  size_t total_ = 0;
};

// Whether the work may go on. Raises what a signal handler or `progress` raises. With the GIL.
bool MayGoOn(const nb::object& progress, Watched& watched) {
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
  if (progress.is_none()) return true;
  const auto [done, total] = watched.progress();
  if (total == 0) return true;
  return !progress(done, total).is(nb::handle(Py_False));
}

// Signals are that thread's alone to handle.
bool IsMainThread() {
  const nb::object main = nb::module_::import_("threading").attr("main_thread")().attr("ident");
  return nb::cast<unsigned long>(main) == PyThread_get_thread_ident();
}

std::atomic<size_t> fork_depth{0};

[[maybe_unused]] const int at_fork =
    pthread_atfork(nullptr, nullptr, [] { fork_depth.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

size_t ForkDepth() { return fork_depth.load(std::memory_order_relaxed); }

nb::object ExceptionOf(const Error& error) {
  const std::string code(ErrorCodeName(error.code));
  return nb::module_::import_("shoal._errors")
      .attr("exception_of")(code.c_str(), error.message.c_str());
}

void Raise(const Error& error) {
  const nb::object exception = ExceptionOf(error);
  PyErr_SetObject(exception.type().ptr(), exception.ptr());
  throw nb::python_error();
}

void RunLong(const BatchCall& call, const std::function<void(const BatchOptions&)>& work) {
  if (call.progress.is_none() && (call.rows <= kFewRows || !IsMainThread())) {
    WithoutGil([&] { work({.threads = call.threads}); });
    return;
  }
  Watched watched;
  std::stop_source stop;
  const BatchOptions batch{
      .threads = call.threads,
      .progress = [&](size_t done, size_t total) { watched.Progress(done, total); },
      .stop = stop.get_token()};
  std::optional<nb::python_error> raised;
  {
    const nb::gil_scoped_release released;
    std::thread worker([&] {
      work(batch);
      watched.End();
    });
    while (!watched.AwaitEnd()) {
      if (stop.stop_requested()) continue;
      const nb::gil_scoped_acquire acquired;
      try {
        if (!MayGoOn(call.progress, watched)) stop.request_stop();
      } catch (nb::python_error& error) {
        raised.emplace(std::move(error));
        stop.request_stop();
      }
    }
    worker.join();
  }
  if (raised) throw std::move(*raised);
  if (!stop.stop_requested()) MayGoOn(call.progress, watched);  // Says that all is done.
}

}  // namespace shoal::python
