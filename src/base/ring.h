// A queue in one block of memory, whose pushes cannot fail once there is room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace shoal {

// Not thread-safe.
template <class T>
class Ring {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t bytes() const { return capacity_ * sizeof(T); }

  // Room for `more` beside what is there. False: no memory.
  bool Reserve(size_t more) {
    if (size_ + more <= capacity_) return true;
    return MoveTo(std::max<size_t>({size_ + more, 2 * capacity_, kMin}));
  }
  // Keeps room for what is there and `more`, if it has twice that. Without memory it stays as it
  // is.
  void Shrink(size_t more) {
    if (capacity_ > 2 * std::max(size_ + more, kMin)) (void)MoveTo(std::max(size_ + more, kMin));
  }
  // There is room.
  void Push(const T& item) {
    items_[(first_ + size_) % capacity_] = item;
    ++size_;
  }
  // The oldest; it is not empty.
  const T& front() const { return items_[first_]; }
  void Pop() {
    first_ = (first_ + 1) % capacity_;
    --size_;
  }

 private:
  static constexpr size_t kMin = 64;

  bool MoveTo(size_t capacity) {
    std::unique_ptr<T[]> items(new (std::nothrow) T[capacity]);
    if (items == nullptr) return false;
    for (size_t i = 0; i < size_; ++i) items[i] = items_[(first_ + i) % capacity_];
    items_ = std::move(items);
    capacity_ = capacity;
    first_ = 0;
    return true;
  }

  std::unique_ptr<T[]> items_;
  size_t capacity_ = 0;
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace shoal
