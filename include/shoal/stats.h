// Figures that an index keeps of itself.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal {

// Exact work counts of one search or of many operations. All of them are always counted.
struct WorkCounters {
  uint64_t distances = 0;      // Distances computed.
  uint64_t hops = 0;           // Points expanded.
  uint64_t rows_fetched = 0;   // Vector rows asked of the feature store.
  uint64_t lists_read = 0;     // Neighbour lists copied.
  uint64_t lists_written = 0;  // Neighbour lists written.
  uint64_t prunes = 0;         // Neighbour selections (robust prune) run.

  WorkCounters& operator+=(const WorkCounters& other) {
    distances += other.distances;
    hops += other.hops;
    rows_fetched += other.rows_fetched;
    lists_read += other.lists_read;
    lists_written += other.lists_written;
    prunes += other.prunes;
    return *this;
  }
};

// Bytes of memory by what they are for. Resident or about to be: address space that is merely
// reserved is not counted.
struct MemoryBreakdown {
  uint64_t vectors = 0;        // Rows.
  uint64_t neighbors = 0;      // Neighbour lists.
  uint64_t reverse_lists = 0;  // Who points at whom: the writers' business.
  uint64_t slots = 0;          // Tags, list locks, external ids, free slots.
  uint64_t id_map = 0;         // External id to slot.
  uint64_t scratch = 0;        // Working memory of searches and inserts, one per concurrent one.
  uint64_t total() const { return vectors + neighbors + reverse_lists + slots + id_map + scratch; }
};

// A moment of an index. The fields are read one after another, not at one instant.
struct IndexStats {
  uint64_t points = 0;           // Live points.
  uint64_t slots_used = 0;       // Slots ever handed out: live, deleted, retired, start points.
  uint64_t edges = 0;            // Directed edges.
  double average_degree = 0;     // edges / (live and deleted points, and the start).
  uint64_t pending_repairs = 0;  // Deleted points that lists still lead through.
  uint64_t retired_slots = 0;    // Slots that wait for readers to leave.
  uint64_t retirements = 0;      // Slots that ever became unreadable.
  uint64_t restarts = 0;         // Lists computed again, since another writer was ahead.
  uint64_t moves_to_end = 0;     // Points that repairs kept reachable by what pointed at them.
  uint64_t relinked = 0;         // Points that they kept reachable by a new edge.
  uint64_t unreachable = 0;      // Live points that the last CheckStructure could not reach; it
                                 // alone counts them, for the protocol leaves none.
  uint64_t epoch = 0;            // Current epoch.
  uint64_t oldest_pin = 0;       // Epoch of the oldest reader; `epoch` when nobody reads.
  WorkCounters work;             // Sum over all finished operations.
  MemoryBreakdown memory;
};

}  // namespace shoal
