// Every allocation of the module and of the library within it is the server's: used_memory counts
// it, and maxmemory limits it. The operators are hidden: the server and other modules keep theirs.
// What constructors of static objects allocate before the server is known comes from a small buffer
// and is never given back.
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#include "bindings/valkey/abi/redis_module.h"

namespace {

alignas(64) constinit std::array<std::byte, 16384> early = {};
constinit size_t early_used = 0;

bool IsEarly(const void* pointer) {
  const auto* bytes = static_cast<const std::byte*>(pointer);
  return bytes >= early.data() && bytes < early.data() + early.size();
}

void* TryAllocate(size_t size) {
  if (redis::TryAlloc != nullptr) return redis::TryAlloc(size == 0 ? 1 : size);
  const size_t rounded = (size + 15) / 16 * 16;
  if (rounded > early.size() - early_used) return nullptr;
  void* pointer = early.data() + early_used;
  early_used += rounded;
  return pointer;
}

void Release(void* pointer) {
  if (pointer != nullptr && !IsEarly(pointer)) redis::Free(pointer);
}

// The address that the server gave stands in front of the aligned one. The server's are multiples
// of 8 at least, so there is room.
void* TryAllocateAligned(size_t size, std::align_val_t alignment) {
  const auto align = static_cast<size_t>(alignment);
  if (size + align < size) return nullptr;
  void* whole = TryAllocate(size + align);
  if (whole == nullptr) return nullptr;
  const size_t shift = align - reinterpret_cast<uintptr_t>(whole) % align;
  void* aligned = static_cast<std::byte*>(whole) + shift;
  static_cast<void**>(aligned)[-1] = whole;
  return aligned;
}

void ReleaseAligned(void* pointer) {
  if (pointer != nullptr) Release(static_cast<void**>(pointer)[-1]);
}

void* Checked(void* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads): all of them are here.
void* operator new(size_t size) { return Checked(TryAllocate(size)); }
void* operator new[](size_t size) { return Checked(TryAllocate(size)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return TryAllocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return TryAllocate(size); }
void* operator new(size_t size, std::align_val_t align) {
  return Checked(TryAllocateAligned(size, align));
}
void* operator new[](size_t size, std::align_val_t align) {
  return Checked(TryAllocateAligned(size, align));
}
void* operator new(size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
  return TryAllocateAligned(size, align);
}
void* operator new[](size_t size, std::align_val_t align, const std::nothrow_t&) noexcept {
  return TryAllocateAligned(size, align);
}
void operator delete(void* pointer) noexcept { Release(pointer); }
void operator delete[](void* pointer) noexcept { Release(pointer); }
void operator delete(void* pointer, size_t) noexcept { Release(pointer); }
void operator delete[](void* pointer, size_t) noexcept { Release(pointer); }
void operator delete(void* pointer, const std::nothrow_t&) noexcept { Release(pointer); }
void operator delete[](void* pointer, const std::nothrow_t&) noexcept { Release(pointer); }
void operator delete(void* pointer, std::align_val_t) noexcept { ReleaseAligned(pointer); }
void operator delete[](void* pointer, std::align_val_t) noexcept { ReleaseAligned(pointer); }
void operator delete(void* pointer, size_t, std::align_val_t) noexcept { ReleaseAligned(pointer); }
void operator delete[](void* pointer, size_t, std::align_val_t) noexcept {
  ReleaseAligned(pointer);
}
void operator delete(void* pointer, std::align_val_t, const std::nothrow_t&) noexcept {
  ReleaseAligned(pointer);
}
void operator delete[](void* pointer, std::align_val_t, const std::nothrow_t&) noexcept {
  ReleaseAligned(pointer);
}
// NOLINTEND(misc-new-delete-overloads)
