#include "jobs/window_checker.h"

#include <algorithm>

namespace shoal::bench {

void WindowChecker::NewGuard() { std::fill(seen_.begin(), seen_.end(), Seen{}); }

void WindowChecker::Unreadable(size_t i) {
  if (seen_[i].state != State::kReadable) return;
  seen_[i].state = State::kGone;
  ++transitions_;
}

bool WindowChecker::Readable(size_t i, std::span<const uint64_t> lanes, uint64_t tenant) {
  ++reads_;
  Seen& seen = seen_[i];
  const uint64_t stamp = lanes[0];
  uint64_t different = stamp ^ tenant;
  for (const uint64_t lane : lanes) different |= lane ^ stamp;
  const uint64_t before = violations_.total();
  if (different != 0) {
    ++violations_.torn;
  } else if (seen.state != State::kUnseen && seen.stamp != stamp) {
    ++violations_.unstable;
  }
  if (seen.state == State::kGone) ++violations_.resurrected;
  seen = {State::kReadable, stamp};
  return violations_.total() == before;
}

}  // namespace shoal::bench
