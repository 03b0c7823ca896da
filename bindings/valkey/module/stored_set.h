// What a key holds: a vector set, and its place in the server: the worker threads that link it, and
// the server's count of memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "bindings/valkey/core/vector_set.h"

namespace shoal::vset_module {

class StoredSet;
using SharedSet = std::shared_ptr<StoredSet>;

// Held by its key, by every search that its client waits for, and by steps of linking while they
// run: a key may go at any time. The last to let go frees the set.
class StoredSet : public std::enable_shared_from_this<StoredSet> {
 public:
  explicit StoredSet(std::unique_ptr<vset::VectorSet> set);
  ~StoredSet();
  StoredSet(const StoredSet&) = delete;
  StoredSet& operator=(const StoredSet&) = delete;

  vset::VectorSet& set() { return *set_; }
  const vset::VectorSet& set() const { return *set_; }
  // Number of the set in this process, from 1: VINFO.
  uint64_t uid() const { return uid_; }

  // After a change, by the main thread: worker threads link what waits, and repair the graph when
  // that is due.
  void Changed();

  // Links an element on a worker thread, and calls `then` there. Any thread.
  void LinkOneAndThen(std::function<void()> then);

 private:
  // Runs a step on a worker thread, unless the set is gone by then.
  void Post(void (StoredSet::*step)());
  void PostLinks();
  void LinkSome();
  void Maintain();

  std::unique_ptr<vset::VectorSet> set_;
  const uint64_t uid_;
  std::atomic<size_t> linkers_ = 0;  // Tasks that are queued or run.
  std::atomic<bool> maintaining_ = false;
  size_t changes_ = 0;  // Main thread.
};

}  // namespace shoal::vset_module
