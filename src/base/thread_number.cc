#include "base/thread_number.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <new>
#include <vector>

#include "base/mutex.h"

namespace shoal {
namespace {

struct Numbers {
  Mutex mutex;
  size_t next SHOAL_GUARDED_BY(mutex) = 0;
  std::vector<size_t> free SHOAL_GUARDED_BY(mutex);  // A heap, lowest on top; room for all.
};

// Never destroyed: threads may end after the statics are gone. Not on the heap: a thread that pins
// an epoch to undo what failed for want of memory needs its number.
Numbers& AllNumbers() {
  alignas(Numbers) static std::byte memory[sizeof(Numbers)];
  static Numbers& numbers = *new (memory) Numbers;
  return numbers;
}

class Number {
 public:
  Number() {
    Numbers& all = AllNumbers();
    const MutexLock lock(all.mutex);
    if (all.free.empty()) {
      try {
        all.free.reserve(all.next + 1);
        value_ = all.next++;
        mine_ = true;
      } catch (const std::bad_alloc&) {  // Then it shares number 0.
      }
    } else {
      std::pop_heap(all.free.begin(), all.free.end(), std::greater<>());
      value_ = all.free.back();
      all.free.pop_back();
      mine_ = true;
    }
  }
  ~Number() {
    if (!mine_) return;
    Numbers& all = AllNumbers();
    const MutexLock lock(all.mutex);
    all.free.push_back(value_);
    std::push_heap(all.free.begin(), all.free.end(), std::greater<>());
  }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  size_t value() const { return value_; }

 private:
  size_t value_ = 0;
  bool mine_ = false;
};

}  // namespace

size_t ThreadNumber() {
  thread_local const Number number;
  return number.value();
}

}  // namespace shoal
