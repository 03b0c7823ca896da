#include "bindings/valkey/module/mapped_memory.h"

#include <cstddef>
#include <mutex>
#include <vector>

#include "bindings/valkey/abi/redis_module.h"
#include "shoal/stats.h"

namespace shoal::vset_module {

namespace {

// Large enough for an allocator to map it apart, and to leave it alone.
constexpr size_t kChunk = size_t{1} << 20;

struct Chunks {
  std::mutex mutex;
  std::vector<void*> held;
};

}  // namespace

void CountMappedMemory() {
  static auto* const chunks = new Chunks;
  const std::lock_guard lock(chunks->mutex);
  const size_t wanted = MappedBytes() / kChunk;
  while (chunks->held.size() > wanted) {
    redis::Free(chunks->held.back());
    chunks->held.pop_back();
  }
  while (chunks->held.size() < wanted) {
    void* chunk = redis::TryAlloc(kChunk);
    if (chunk == nullptr) return;
    chunks->held.push_back(chunk);
  }
}

}  // namespace shoal::vset_module
