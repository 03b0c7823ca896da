// The parts of the working memory that a codec binds a query with, each at a cache line.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/round.h"

namespace shoal {

class BufferParts {
 public:
  // `buffer`: of any alignment, kSlack more bytes than the parts' BytesOf together.
  explicit BufferParts(std::byte* buffer)
      : at_(buffer + RoundUp(reinterpret_cast<uintptr_t>(buffer), kLine) -
            reinterpret_cast<uintptr_t>(buffer)) {}
  // The next part: n objects, not constructed.
  template <class T>
  T* Take(size_t n) {
    auto* const part = reinterpret_cast<T*>(at_);
    at_ += BytesOf<T>(n);
    return part;
  }

  static constexpr size_t kLine = 64;
  static constexpr size_t kSlack = kLine;
  template <class T>
  static constexpr size_t BytesOf(size_t n) {
    return RoundUp(n * sizeof(T), kLine);
  }

 private:
  std::byte* at_;
};

}  // namespace shoal
