// What a store counts, from all threads: FeatureStats while it changes. Added to once a call; the
// fields do not order anything.
#pragma once

#include <atomic>
#include <cstdint>

#include "shoal/feature_store.h"

namespace shoal {

struct FeatureCounters {
  std::atomic<uint64_t> rows{0}, missing{0}, hits{0}, reads{0}, bytes_read{0}, bytes_written{0},
      max_queue_depth{0}, memory{0}, readers{0};

  static void Add(std::atomic<uint64_t>& counter, uint64_t n) {
    counter.fetch_add(n, std::memory_order_relaxed);
  }
  static void Subtract(std::atomic<uint64_t>& counter, uint64_t n) {
    counter.fetch_sub(n, std::memory_order_relaxed);
  }
  void Fetched(uint64_t asked, uint64_t found) {
    Add(rows, found);
    if (asked != found) Add(missing, asked - found);
  }
  void NoteQueueDepth(uint64_t depth) {
    uint64_t most = max_queue_depth.load(std::memory_order_relaxed);
    while (most < depth &&
           !max_queue_depth.compare_exchange_weak(most, depth, std::memory_order_relaxed)) {
    }
  }
  FeatureStats Read() const {
    const auto now = [](const std::atomic<uint64_t>& c) {
      return c.load(std::memory_order_relaxed);
    };
    return {.rows = now(rows),
            .missing = now(missing),
            .hits = now(hits),
            .reads = now(reads),
            .bytes_read = now(bytes_read),
            .bytes_written = now(bytes_written),
            .max_queue_depth = now(max_queue_depth),
            .memory = now(memory),
            .readers = now(readers)};
  }
};

}  // namespace shoal
