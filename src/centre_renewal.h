// How far an index is with giving its code another centre. index_centre.cc has the protocol.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "codec/centre_watch.h"
#include "store/tag.h"

namespace shoal {

struct CentreRenewal {
  enum class Phase : uint8_t {
    kIdle,       // One set of parameters is alive.
    kAnnounced,  // Two. Searches learn of the next one.
    kMoving,     // Rows are encoded with the next one, and points with old rows are moved.
    kClearing,   // It is looked whether old rows are left that a search may come to read.
    kLeaving,    // There are none. Searches that may read one are waited for.
    kDropped,    // The old set is dropped. Threads that may read its centre are waited for.
  };
  CentreRenewal(Metric metric, size_t dim) : watch(metric, dim) {}

  // Relaxed: what a phase promises it promises by guards that were pinned after the grace period.
  Phase Now() const { return phase.load(std::memory_order_relaxed); }
  bool active() const { return Now() != Phase::kIdle; }
  // How often rows began to be encoded with another set.
  uint64_t Count() const { return count.load(std::memory_order_acquire); }

  CentreWatch watch;
  std::atomic<Phase> phase{Phase::kIdle};
  std::atomic<uint64_t> count{0};
  std::atomic<SlotId> next{0};  // The slot that is looked at next, to be moved.

  Mutex stepping;  // Taken for a step of the protocol; a thread that does not get it goes on.
  uint64_t since SHOAL_GUARDED_BY(stepping) = 0;  // The epoch in which the phase began.
  uint32_t old SHOAL_GUARDED_BY(stepping) = 0;    // The set that leaves.
  SlotId cleared SHOAL_GUARDED_BY(stepping) = 0;  // No slot below it has an old row.
};

}  // namespace shoal
