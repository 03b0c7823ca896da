#include "base/memory.h"

#include <linux/mman.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <utility>
#include <vector>

#include "base/round.h"
#include "shoal/stats.h"

namespace shoal {
namespace {

std::atomic<uint64_t> g_reserved{0};
// Bytes of the committed parts of all reservations, without holes.
std::atomic<uint64_t> g_mapped{0};
// Changes while there are no such bytes.
MemoryHooks g_hooks;

bool TakeMapped(uint64_t bytes) {
  if (g_hooks.take != nullptr && !g_hooks.take(g_hooks.user, bytes)) return false;
  g_mapped.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void GiveBackMapped(uint64_t bytes) {
  if (bytes == 0) return;
  g_mapped.fetch_sub(bytes, std::memory_order_relaxed);
  if (g_hooks.give_back != nullptr) g_hooks.give_back(g_hooks.user, bytes);
}

// How much is committed for so many bytes: at most a quarter more than they are, and whole huge
// pages from 8 MB on.
size_t Committed(size_t bytes) {
  constexpr size_t kMin = size_t{64} << 10;
  return RoundUp(bytes, std::clamp(std::bit_floor(bytes) / 4, kMin, kHugePage));
}

// Asks for huge pages where [begin, end) completes them. If the system refuses, all works, slower.
// A page whose front was committed before consists of small pages; newer kernels collapse it at
// once.
void AdviseHugePages(std::byte* base, size_t begin, size_t end) {
  const size_t first = begin / kHugePage * kHugePage, last = end / kHugePage * kHugePage;
  if (first == last) return;
  madvise(base + first, last - first, MADV_HUGEPAGE);
#ifdef MADV_COLLAPSE
  if (first < begin) madvise(base + first, kHugePage, MADV_COLLAPSE);
#endif
}

}  // namespace

bool MemoryBudget::TryCharge(uint64_t bytes) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (limit_ != 0 && (bytes > limit_ || used > limit_ - bytes)) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

bool MemoryBudget::TryChargeMapped(uint64_t bytes) {
  if (!TryCharge(bytes)) return false;
  if (TakeMapped(bytes)) return true;
  Release(bytes);
  return false;
}

void MemoryBudget::ReleaseMapped(uint64_t bytes) {
  Release(bytes);
  GiveBackMapped(bytes);
}

Reservation::~Reservation() {
  if (base_ == nullptr) return;
  munmap(base_, size_);
  g_reserved.fetch_sub(size_, std::memory_order_relaxed);
  GiveBackMapped(committed_ - holes_ * kHugePage);
}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  std::swap(committed_, other.committed_);
  std::swap(is_hole_, other.is_hole_);
  std::swap(holes_, other.holes_);
  return *this;
}

Reservation Reservation::Reserve(size_t bytes) {
  Reservation r;
  const bool huge = bytes >= kHugePage;
  const size_t size = RoundUp(bytes, huge ? kHugePage : static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  const size_t spare = huge ? kHugePage : 0;  // So that an aligned address is in it.
  void* mapping =
      mmap(nullptr, size + spare, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return r;
  r.base_ = static_cast<std::byte*>(mapping);
  r.size_ = size;
  if (huge) {
    const auto address = reinterpret_cast<uintptr_t>(mapping);
    const size_t before = (kHugePage - address % kHugePage) % kHugePage;
    if (before > 0) munmap(r.base_, before);
    r.base_ += before;
    munmap(r.base_ + size, spare - before);
  }
  g_reserved.fetch_add(size, std::memory_order_relaxed);
  return r;
}

bool Reservation::Commit(size_t bytes, MemoryBudget& budget) {
  if (bytes <= committed_) return true;
  if (bytes > size_) return false;
  const size_t target = std::min(size_, Committed(bytes));
  const size_t more = target - committed_;
  if (!budget.TryChargeMapped(more)) return false;
  if (mprotect(base_ + committed_, more, PROT_READ | PROT_WRITE) != 0) {
    budget.ReleaseMapped(more);
    return false;
  }
  AdviseHugePages(base_, committed_, target);
  committed_ = target;
  return true;
}

void Reservation::Decommit(size_t bytes, MemoryBudget& budget) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t kept = RoundUp(bytes, page);
  if (kept >= committed_) return;
  // After a failure the pages must not be uncommitted: they would not be zero in their next use.
  if (madvise(base_ + kept, committed_ - kept, MADV_DONTNEED) != 0) return;
  const size_t target = std::min(committed_, Committed(bytes));
  // Until Commit completes it again.
  if (const size_t first = target / kHugePage * kHugePage; first < committed_)
    madvise(base_ + first, committed_ - first, MADV_NOHUGEPAGE);
  const auto behind =
      is_hole_.begin() + static_cast<ptrdiff_t>(std::min(target / kHugePage, is_hole_.size()));
  const auto holes = static_cast<size_t>(std::count(behind, is_hole_.end(), true));
  std::fill(behind, is_hole_.end(), false);
  holes_ -= holes;
  budget.ReleaseMapped(committed_ - target - holes * kHugePage);
  committed_ = target;
}

size_t Reservation::Punch(size_t begin, size_t end, size_t begin_below, MemoryBudget& budget) {
  const size_t first = DivideUp(begin, kHugePage);
  const size_t below = DivideUp(std::min(begin_below, end), kHugePage);
  const size_t last = std::min({end / kHugePage, committed_ / kHugePage, below});
  if (first >= last) return 0;
  try {
    if (is_hole_.size() < last) is_hole_.resize(committed_ / kHugePage);
  } catch (const std::bad_alloc&) {  // Then the memory stays, which is no error.
    return 0;
  }
  size_t bytes = 0;
  for (size_t page = first; page < last; ++page) {
    if (is_hole_[page]) continue;
    if (madvise(base_ + page * kHugePage, kHugePage, MADV_DONTNEED) != 0) continue;
    is_hole_[page] = true;
    ++holes_;
    bytes += kHugePage;
  }
  budget.ReleaseMapped(bytes);
  return bytes;
}

size_t Reservation::HoleBytes(size_t begin, size_t end) const {
  if (holes_ == 0) return 0;
  const size_t last = std::min(DivideUp(end, kHugePage), is_hole_.size());
  size_t bytes = 0;
  for (size_t page = begin / kHugePage; page < last; ++page)
    bytes += is_hole_[page] ? kHugePage : 0;
  return bytes;
}

void Reservation::Recommit(size_t begin, size_t end) {
  const size_t last = std::min(DivideUp(end, kHugePage), is_hole_.size());
  for (size_t page = begin / kHugePage; page < last; ++page) {
    if (!is_hole_[page]) continue;
    is_hole_[page] = false;
    --holes_;
  }
}

size_t Reservation::Resident(size_t used) const {
  if (used == 0) return 0;
  const size_t tail = std::min(used, committed_) / kHugePage * kHugePage;
  const auto holes_end =
      is_hole_.begin() + static_cast<ptrdiff_t>(std::min(tail / kHugePage, is_hole_.size()));
  const size_t holes =
      static_cast<size_t>(std::count(is_hole_.begin(), holes_end, true)) * kHugePage;
  if (tail == committed_) return committed_ - holes;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t length = std::min(committed_ - tail, kHugePage);
  std::array<unsigned char, kHugePage / 4096> in_core{};
  if (mincore(base_ + tail, length, in_core.data()) != 0) return used - holes;
  const auto pages = std::count_if(in_core.begin(), in_core.end(), [](auto c) { return c & 1; });
  return tail - holes + static_cast<size_t>(pages) * page;
}

uint64_t AddressSpace() {
  constexpr uint64_t kAll = uint64_t{1} << 47;
  rlimit limit = {};
  return getrlimit(RLIMIT_AS, &limit) == 0 ? std::min<uint64_t>(kAll, limit.rlim_cur) : kAll;
}

uint64_t MappedBytes() { return g_mapped.load(std::memory_order_relaxed); }

Status SetMemoryHooks(const MemoryHooks& hooks) {
  if ((hooks.take == nullptr) != (hooks.give_back == nullptr))
    return MakeError(ErrorCode::kInvalidArgument,
                     "hooks: expected both functions or none, found one");
  if (MappedBytes() != 0)
    return MakeError(ErrorCode::kInvalidArgument,
                     "hooks: expected no index that is there already, found " +
                         std::to_string(MappedBytes()) + " bytes of such");
  g_hooks = hooks;
  return {};
}

uint64_t ReservedAddressSpace() { return g_reserved.load(std::memory_order_relaxed); }

uint64_t PhysicalMemory() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

bool HasManyLineBuffers() {
#if defined(__x86_64__)
  return __builtin_cpu_is("amd") != 0;
#else
  return false;
#endif
}

size_t AvailableCpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return static_cast<size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace shoal
