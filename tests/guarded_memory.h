// Memory that shows a read behind its end.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <vector>

namespace shoal::test {

// Readable memory that ends at a page which may not be touched.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    readable_ = (bytes + page - 1) / page * page;
    mapped_ = readable_ + page;
    void* base = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) std::abort();
    base_ = static_cast<std::byte*>(base);
    if (mprotect(base_ + readable_, page, PROT_NONE) != 0) std::abort();
  }
  ~GuardedMemory() { munmap(base_, mapped_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  // A copy whose last byte is the last readable one.
  std::byte* Place(const std::vector<std::byte>& bytes) {
    std::byte* place = base_ + readable_ - bytes.size();
    std::copy(bytes.begin(), bytes.end(), place);
    return place;
  }

 private:
  std::byte* base_;
  size_t readable_;
  size_t mapped_;
};

}  // namespace shoal::test
