// Memory that grows under readers: address space is reserved once and committed from the front, so
// nothing that a reader holds a pointer to ever moves.
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

  // Takes `bytes` from what is left; false, and nothing taken, when that is less.
  bool TryCharge(uint64_t bytes);
  // Takes them whatever is left: for working memory that a search must have. Later TryCharge calls
  // see it.
  void Charge(uint64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void Release(uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// What something takes of a budget whatever is left of that: because without it, nothing would come
// back. Not thread-safe.
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

// A range of address space, its front part usable. Not thread-safe but for reads of `base`.
class Reservation {
 public:
  Reservation() = default;
  ~Reservation();
  Reservation(Reservation&& other) noexcept { *this = std::move(other); }
  Reservation& operator=(Reservation&& other) noexcept;

  // `bytes` of address space, no memory yet; base() is null if there is not so much. From 2 MB on
  // they are 2 MB aligned.
  static Reservation Reserve(size_t bytes);

  // Makes [0, bytes) usable, zero where it is new. Rounds up by a quarter at most (and to 64 KB),
  // from 8 MB on to whole huge pages: a small index is not to pay for one in each column. False
  // when the budget or the system refuses; what was usable before stays so.
  bool Commit(size_t bytes, MemoryBudget& budget);

  // Gives the pages behind [0, bytes) back to the system. They stay readable, as zero. What is
  // behind what Commit would make usable is not charged any more, and made usable again by it; and
  // the system is asked not to make a huge page of what is left of one.
  void Decommit(size_t bytes, MemoryBudget& budget);

  // Gaps: whole 2 MB pages in the middle that are given back for a while; they read as zero and are
  // not charged. Gives back those within the committed part of [begin, end) that begin below
  // `begin_below`; returns their bytes: none, too, where there is no memory to note the holes.
  size_t Punch(size_t begin, size_t end, size_t begin_below, MemoryBudget& budget);
  // Bytes of the pages of [begin, end) that are gaps: what the caller charges before Recommit.
  size_t HoleBytes(size_t begin, size_t end) const;
  // No page of [begin, end) is a gap any more.
  void Recommit(size_t begin, size_t end);

  std::byte* base() const { return base_; }
  size_t size() const { return size_; }
  size_t committed() const { return committed_; }
  // Bytes of the committed part that memory stands behind. `used`: the front part ever touched, but
  // for the holes; only the page of its end is in doubt, and looked up.
  size_t Resident(size_t used) const;

 private:
  std::byte* base_ = nullptr;
  size_t size_ = 0;
  size_t committed_ = 0;
  std::vector<bool> is_hole_;  // By 2 MB page; empty as long as there never was one.
  size_t holes_ = 0;
};

// Bytes of address space that this process may have: 128 TB, or less (RLIMIT_AS).
uint64_t AddressSpace();
// Bytes of address space that all reservations of this process take. Any thread.
uint64_t ReservedAddressSpace();
// Bytes of physical memory.
uint64_t PhysicalMemory();
// CPUs that this process may run on, at least 1.
size_t AvailableCpus();
// Whether a core waits for so many cache lines at once that whole rows may be called for early: so
// far AMD's, of which Zen 5 was measured.
bool HasManyLineBuffers();

}  // namespace shoal
