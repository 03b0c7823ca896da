// A bounded cache of pages of one file, shared by all readers of a store.
//
// Problem: a reader misses a page and reads it from the file. Meanwhile a writer writes to that
// page and takes it out of the cache. Then the reader enters what it has read, from before the
// write: from now on every reader gets the former row. (F3)
// Idea: a page has a version. A fill notes it with the miss, before it reads the file (FILL.1). The
// writer writes the file; then, at one instant, it raises the version and takes the page out
// (PUT.1). A fill enters its page only if the version stood still (FILL.2). All three are under the
// lock of the page's set. So:
//   FILL.1 after PUT.1: the write had ended when the fill began to read, which reads the new bytes.
//   FILL.1 before PUT.1, FILL.2 after it: the version differs, and the fill does not enter.
//   FILL.2 before PUT.1: what the fill entered is taken out.
// The version is that of the page's set: a write elsewhere in the set refuses a fill for nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace shoal {

inline constexpr size_t kPageBytes = 4096;

// Any thread.
class PageCache {
 public:
  // Room for `bytes`, rounded down to whole sets of kWays pages; none: nothing is ever kept.
  explicit PageCache(size_t bytes);

  // What a miss gives a fill.
  using Version = uint64_t;
  // Copies a page to `out`. False: it is not here; `version` is set (FILL.1).
  bool Copy(uint64_t page, std::byte* out, Version& version);
  // Enters a page that was read from the file after the miss that gave `version` (FILL.2).
  void Enter(uint64_t page, const std::byte* bytes, Version version);
  // The page was written to the file (PUT.1).
  void Invalidate(uint64_t page);

  size_t bytes() const { return sets_.size() * kWays * kPageBytes; }

 private:
  static constexpr size_t kWays = 8;
  static constexpr uint64_t kNoPage = ~uint64_t{0};
  // The pages whose number has the same remainder. The one to give way is found by the CLOCK rule:
  // a page that was used since the hand passed it stays for one more round.
  struct Set {
    Set() { pages.fill(kNoPage); }
    Mutex mutex;
    Version version SHOAL_GUARDED_BY(mutex) = 0;
    std::array<uint64_t, kWays> pages SHOAL_GUARDED_BY(mutex);
    std::array<bool, kWays> used SHOAL_GUARDED_BY(mutex) = {};
    size_t hand SHOAL_GUARDED_BY(mutex) = 0;
    // The way of a page; kWays: it is not here.
    size_t WayOf(uint64_t page) const SHOAL_REQUIRES(mutex);
    size_t WayToGive() SHOAL_REQUIRES(mutex);
  };
  Set& SetOf(uint64_t page) { return sets_[page % sets_.size()]; }
  // Guarded by the set's mutex.
  std::byte* BytesOf(const Set& set, size_t way) {
    return bytes_.get() + ((&set - sets_.data()) * kWays + way) * kPageBytes;
  }

  std::vector<Set> sets_;  // Constant length.
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace shoal
