// How a Python call reaches the library: without the GIL, with its errors as exceptions, and, where
// it is long, with Ctrl-C and progress.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "shoal/options.h"
#include "shoal/result.h"

namespace shoal::python {

namespace nb = nanobind;

// The exception of an error (shoal/_errors.py), not raised.
nb::object ExceptionOf(const Error& error);
[[noreturn]] void Raise(const Error& error);

// The value of a result; raises its error. With the GIL.
template <class T>
T ValueOf(Result<T> result) {
  if (!result) Raise(result.error());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

template <class Work>
auto WithoutGil(const Work& work) {
  const nb::gil_scoped_release released;
  return work();
}

// How a call on many rows runs, as Python gave it.
struct BatchCall {
  size_t threads = 0;
  nb::object progress;  // None, or progress(done, total), which stops the call by returning False.
  // Rows, where they are the measure: few of them are not worth a thread that watches.
  size_t rows = SIZE_MAX;
};

// Runs work(options) without the GIL. Where there are signals to handle or a `progress` to call: in
// a thread of its own, while this one does that, twenty times a second. An exception of either
// (KeyboardInterrupt, say) stops the work, and is raised when the work has ended.
void RunLong(const BatchCall& call, const std::function<void(const BatchOptions&)>& work);

// The same for work with a result.
template <class Work>
auto ResultOfLong(const BatchCall& call, const Work& work) {
  std::optional<decltype(work(BatchOptions{}))> result;
  RunLong(call, [&](const BatchOptions& batch) { result.emplace(work(batch)); });
  return *std::move(result);
}

// How many times this process is a fork of the one that loaded the module.
size_t ForkDepth();

// An engine (Index, IndexView, Database, ...) that Python owns. Close takes effect for calls that
// start later; the engine goes when the last call that uses it has ended.
template <class Engine>
class Handle {
 public:
  // `closed`: what a use after Close says; static.
  explicit Handle(Engine engine, const char* closed = "the index is closed")
      : engine_(std::make_shared<Engine>(std::move(engine))), closed_(closed) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { Close(); }

  // For one call. ValueError after Close, RuntimeError in a fork.
  std::shared_ptr<Engine> Use() const {
    if (engine_ == nullptr) throw nb::value_error(closed_);
    if (fork_depth_ != ForkDepth())
      throw std::runtime_error(
          "it belongs to the parent process; start processes by spawn or forkserver");
    return engine_;
  }

  bool closed() const { return engine_ == nullptr; }

  void Close() {
    std::shared_ptr<Engine> last = std::move(engine_);
    engine_ = nullptr;
    // A fork has none of the index's threads, and must not destroy it.
    if (last != nullptr && fork_depth_ != ForkDepth())
      new std::shared_ptr<Engine>(std::move(last));
    else
      WithoutGil([&] { last.reset(); });
  }

 private:
  std::shared_ptr<Engine> engine_;
  const char* closed_;
  size_t fork_depth_ = ForkDepth();
};

}  // namespace shoal::python
