// What must hold of every slot that a pinned reader looks at, again and again, under one guard:
//   torn         the lanes of a readable row differ, or belong to another tenant of the slot;
//   unstable     it is whole, but not the row that was there on an earlier look;
//   resurrected  it is readable after it was seen to be unreadable, having been readable before.
// (A slot that is unreadable at first may become readable once: a writer has published it.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace shoal::bench {

struct Violations {
  uint64_t torn = 0;
  uint64_t unstable = 0;
  uint64_t resurrected = 0;
  uint64_t total() const { return torn + unstable + resurrected; }
  Violations& operator+=(const Violations& other) {
    torn += other.torn;
    unstable += other.unstable;
    resurrected += other.resurrected;
    return *this;
  }
};

// One reader's, used by one thread.
class WindowChecker {
 public:
  // `slots`: how many a window has.
  explicit WindowChecker(size_t slots) : seen_(slots) {}

  // A new guard was pinned: nothing has been seen under it.
  void NewGuard();
  // Slot i of the window could not be read.
  void Unreadable(size_t i);
  // It could: its row, every lane of which is the tenant's stamp, and the stamp that the slot table
  // has for it. False: something is wrong.
  bool Readable(size_t i, std::span<const uint64_t> lanes, uint64_t tenant);

  const Violations& violations() const { return violations_; }
  // Slots that went from readable to unreadable under a guard.
  uint64_t transitions() const { return transitions_; }
  // Rows that were read and checked.
  uint64_t reads() const { return reads_; }

 private:
  enum class State : uint8_t { kUnseen, kReadable, kGone };
  struct Seen {
    State state = State::kUnseen;
    uint64_t stamp = 0;
  };
  std::vector<Seen> seen_;
  Violations violations_;
  uint64_t transitions_ = 0;
  uint64_t reads_ = 0;
};

}  // namespace shoal::bench
