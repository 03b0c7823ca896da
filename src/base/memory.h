// Memory that grows while others read it: address space is reserved once and committed from the
// front. So nothing that a reader holds a pointer to ever moves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace shoal {

inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kHugePage = size_t{2} << 20;

// How many bytes an index may take, and takes. Thread-safe.
class MemoryBudget {
 public:
  // limit: bytes; 0 means no limit.
  explicit MemoryBudget(uint64_t limit) : limit_(limit) {}

  // Charges `bytes` if they are left. False, and nothing charged: they are not.
  bool TryCharge(uint64_t bytes);
  // The same of bytes that the system maps, which count in MappedBytes; the program may refuse them
  // too (SetMemoryHooks).
  bool TryChargeMapped(uint64_t bytes);
  // They went back to the system.
  void ReleaseMapped(uint64_t bytes);
  // Charges them even beyond the limit: for working memory that a search must have. Later TryCharge
  // calls see it.
  void Charge(uint64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void Release(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// What one owner charges even beyond the limit, because it is needed to free memory. Not
// thread-safe.
class BudgetEntry {
 public:
  explicit BudgetEntry(MemoryBudget& budget) : budget_(budget) {}
  ~BudgetEntry() { Set(0); }
  BudgetEntry(const BudgetEntry&) = delete;
  BudgetEntry& operator=(const BudgetEntry&) = delete;

  void Set(uint64_t bytes) {
    if (bytes == bytes_) return;
    budget_.Charge(bytes);
    budget_.Release(bytes_);
    bytes_ = bytes;
  }

 private:
  MemoryBudget& budget_;
  uint64_t bytes_ = 0;
};

// A range of address space, of which a front part is committed: usable. Not thread-safe, but for
// reads of base().
class Reservation {
 public:
  Reservation() = default;
  ~Reservation();
  Reservation(Reservation&& other) noexcept { *this = std::move(other); }
  Reservation& operator=(Reservation&& other) noexcept;

  // `bytes` of address space without memory, aligned to 2 MB from 2 MB on. base() is null if the
  // system refuses.
  static Reservation Reserve(size_t bytes);

  // Makes [0, bytes) usable, zero where it is new. Rounds up to 64 KB and by a quarter at most,
  // from 8 MB on to whole huge pages: a small index need not pay for one in each column. False: the
  // budget or the system refuses; what was usable before stays so.
  bool Commit(size_t bytes, MemoryBudget& budget);

  // Gives the pages behind [0, bytes) back to the system. They read as zero. What Commit(bytes)
  // would not make usable is not charged any more. The system is asked to make no huge page of the
  // rest of one.
  void Decommit(size_t bytes, MemoryBudget& budget);

  // Holes are whole 2 MB pages of the committed part that went back to the system. They read as
  // zero and are not charged. Punch makes holes of the pages within [begin, end) that begin below
  // `begin_below`. It returns their bytes: 0 also if there is no memory to note them.
  size_t Punch(size_t begin, size_t end, size_t begin_below, MemoryBudget& budget);
  // Bytes of the pages of [begin, end) that are holes. TryChargeMapped of them comes before
  // Recommit.
  size_t HoleBytes(size_t begin, size_t end) const;
  // No page of [begin, end) is a hole any more.
  void Recommit(size_t begin, size_t end);

  std::byte* base() const { return base_; }
  size_t size() const { return size_; }
  size_t committed() const { return committed_; }
  // Bytes of the committed part that the system has memory for. `used`: the front part that was
  // ever touched, except for holes. The system is asked only about the page of its end.
  size_t Resident(size_t used) const;

 private:
  std::byte* base_ = nullptr;
  size_t size_ = 0;
  size_t committed_ = 0;
  std::vector<bool> is_hole_;  // By 2 MB page; empty as long as there was no hole.
  size_t holes_ = 0;           // How many there are.
};

// Bytes of address space that this process may have: 128 TB, or less (RLIMIT_AS).
uint64_t AddressSpace();
// Bytes of address space that all reservations of this process take. Any thread.
uint64_t ReservedAddressSpace();
// Bytes of physical memory.
uint64_t PhysicalMemory();
// CPUs that this process may run on, at least 1.
size_t AvailableCpus();
// Whether a core can wait for so many cache lines at once that whole rows may be prefetched early.
// So far: AMD's, of which Zen 5 was measured.
bool HasManyLineBuffers();

}  // namespace shoal
