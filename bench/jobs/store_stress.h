// Stress of the store layer (src/store: tags, epochs, slot table, rows) by threads that work
// against each other; the reference engine's job of the same name, over our store.
//
// Writers acquire a slot, fill every 8-byte lane of its row with a stamp that no other tenancy has,
// and publish it. Retirers delete and retire random slots while more than `low_watermark` points
// live; now and then they leave a deleted slot for the next one to retire. Readers pin, and look at
// a window of 64 slots four times under that guard; window_checker.h says what must hold. The first
// violation stops everybody.
//
// The store has no fixed size, so the job keeps the limits that the reference's has: a slot at or
// above `capacity` is given back unused and counts as a failed acquisition (the lowest free slot is
// handed out first, so there was none below).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "jobs/window_checker.h"

namespace shoal::bench {

struct StoreStressOptions {
  uint64_t capacity = 4096;       // Slots that may be in use, beside one start point.
  uint64_t entry_bytes = 128;     // Of a row; a multiple of 8.
  uint64_t low_watermark = 1024;  // Retire only while more points live.
  uint64_t readers = 8, writers = 4, retirers = 2;
  uint64_t duration_secs = 5;  // 0: no limit.
  // Acquisitions, retirements and windows read, together; 0: no limit. Not both 0.
  uint64_t max_ops = 0;
  uint64_t seed = 0;

  // For tests of this very job: every 64th row is written as a broken protocol would show it.
  enum class Sabotage { kNone, kTearRows, kChangeTenants };
  Sabotage sabotage = Sabotage::kNone;
};

struct StoreStressCounts {
  double elapsed_secs = 0;
  uint64_t reads = 0;  // Rows read and checked.
  uint64_t acquires_ok = 0, acquires_fail = 0;
  uint64_t retires_ok = 0, retires_fail = 0;
  uint64_t reclaims = 0;     // Slots that calls of Reclaim brought back, not those inside others.
  uint64_t transitions = 0;  // Readable to unreadable, seen under a guard.
  uint64_t peak_live = 0;
  uint64_t epochs = 0;  // Advances.
  Violations violations;
  // In the end, at rest: slots in some state that the counts do not explain. 0.
  uint64_t unaccounted = 0;
};

// Empty, or what must not be and is.
std::string Verdict(const StoreStressCounts& counts);

// `progress` is called about every ten seconds, from the caller's thread.
StoreStressCounts RunStoreStress(const StoreStressOptions& options,
                                 const std::function<void(const StoreStressCounts&)>& progress);

}  // namespace shoal::bench
