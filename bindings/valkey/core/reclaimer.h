// Frees memory when no reader can have it any more: epoch-based reclamation (Fraser, "Practical
// lock-freedom", 2004), with counters instead of a list of readers.
//
// A reader counts itself in the current epoch. A block that was retired in epoch e was unlinked
// before, so readers that begin in e + 1 cannot find it. The epoch goes from e to e + 1 when no
// reader of e - 1 is left. So in e + 2 nobody has the block.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace shoal::vset {

class Reclaimer {
 public:
  Reclaimer() = default;
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;
  ~Reclaimer() {
    for (auto& blocks : retired_) Free(blocks);
  }

  // What is found while it lives stays. Any thread; never waits.
  class Guard {
   public:
    explicit Guard(std::atomic<uint64_t>& readers) : readers_(&readers) {}
    Guard(Guard&& other) noexcept : readers_(other.readers_) { other.readers_ = nullptr; }
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      // LEAVE, pairs with COLLECT: what was read, before the block is freed.
      if (readers_ != nullptr) readers_->fetch_sub(1, std::memory_order_release);
    }

   private:
    std::atomic<uint64_t>* readers_;
  };
  [[nodiscard]] Guard Pin() const {
    for (;;) {
      const uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
      std::atomic<uint64_t>& readers = readers_[epoch % 3].count;
      // ENTER, pairs with COLLECT: either Collect sees the count, or this sees the new epoch.
      readers.fetch_add(1, std::memory_order_seq_cst);
      if (epoch_.load(std::memory_order_seq_cst) == epoch) return Guard(readers);
      readers.fetch_sub(1, std::memory_order_release);
    }
  }

  // Takes over a block of operator new, that readers no longer find. One thread at a time, as
  // Collect.
  void Retire(void* block, size_t bytes) {
    retired_[epoch_.load(std::memory_order_relaxed) % 3].push_back({block, bytes});
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }
  // Frees what no reader has any more.
  void Collect() {
    for (int i = 0; i < 2; ++i) {
      const uint64_t epoch = epoch_.load(std::memory_order_relaxed);  // Only this changes it.
      if (readers_[(epoch + 2) % 3].count.load(std::memory_order_seq_cst) != 0) return;
      epoch_.store(epoch + 1, std::memory_order_seq_cst);
      Free(retired_[(epoch + 2) % 3]);
    }
  }
  // Bytes that are retired and not freed. Any thread.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Block {
    void* memory;
    size_t bytes;
  };
  struct alignas(64) Readers {
    std::atomic<uint64_t> count = 0;
  };

  void Free(std::vector<Block>& blocks) {
    for (const Block& block : blocks) {
      ::operator delete(block.memory);
      bytes_.fetch_sub(block.bytes, std::memory_order_relaxed);
    }
    blocks.clear();
  }

  std::atomic<uint64_t> epoch_ = 1;
  mutable std::array<Readers, 3> readers_;     // By epoch % 3.
  std::array<std::vector<Block>, 3> retired_;  // Likewise, by the epoch they were retired in.
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace shoal::vset
