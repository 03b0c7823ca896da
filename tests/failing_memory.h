// Memory that fails at any allocation that a test names: operator new of the whole program. For one
// source of a program.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

// operator new takes memory with aligned_alloc, which free gives back.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace {

// Allocations until the first that fails; negative: none fails.
std::atomic<long> g_until_failure{-1};
std::atomic<bool> g_failed{false};

bool MayAllocate() {
  if (g_until_failure.load(std::memory_order_relaxed) < 0) return true;
  long left = g_until_failure.load();
  while (left > 0 && !g_until_failure.compare_exchange_weak(left, left - 1)) {
  }
  if (left > 0) return true;
  g_failed.store(true);  // From here on all fail.
  return false;
}

void* Allocate(size_t bytes, size_t alignment) {
  if (!MayAllocate()) return nullptr;
  bytes = (std::max<size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, bytes);
}

void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* memory = Allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

constexpr size_t kDefault = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(size_t bytes) { return AllocateOrThrow(bytes, kDefault); }
void* operator new[](size_t bytes) { return AllocateOrThrow(bytes, kDefault); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return AllocateOrThrow(bytes, static_cast<size_t>(alignment));
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  return AllocateOrThrow(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return Allocate(bytes, kDefault);
}
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept {
  return Allocate(bytes, kDefault);
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace shoal::test {

// While it lives, all but the first `allocations` of the program fail.
struct NoMemoryAfter {
  explicit NoMemoryAfter(long allocations) {
    g_failed.store(false);
    g_until_failure.store(allocations);
  }
  ~NoMemoryAfter() { g_until_failure.store(-1); }
};
// Whether one has failed since the last NoMemoryAfter was made.
inline bool MemoryFailed() { return g_failed.load(); }

}  // namespace shoal::test
