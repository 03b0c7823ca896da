// Which blocks of a file this process has compared with their checksums. To compare one reads all
// of it: a search of a new snapshot, which needs a row of each of a thousand blocks, would wait for
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <unordered_map>

namespace shoal {

// By address in the map, with the checksum that the block has in its header: a page that is used
// again has another block, and so another checksum. Any thread may call any function.
class CheckedBlocks {
 public:
  bool Has(const std::byte* at, uint32_t crc) const {
    const std::lock_guard lock(mutex_);
    const auto found = crcs_.find(at);
    return found != crcs_.end() && found->second == crc;
  }
  // Where there is no memory, it is compared again.
  void Add(const std::byte* at, uint32_t crc) {
    const std::lock_guard lock(mutex_);
    try {
      crcs_[at] = crc;
    } catch (const std::bad_alloc&) {
    }
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const std::byte*, uint32_t> crcs_;
};

}  // namespace shoal
