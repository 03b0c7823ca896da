// Counters of an index.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shoal/export.h"
#include "shoal/result.h"

namespace shoal {

// Exact counts of the work of one search or of many operations. Always on.
struct WorkCounters {
  uint64_t distances = 0;      // Distances computed, those of `reranked` not included.
  uint64_t hops = 0;           // Points expanded.
  uint64_t rows_fetched = 0;   // Rows read, likewise.
  uint64_t lists_read = 0;     // Neighbour lists copied.
  uint64_t lists_written = 0;  // Neighbour lists written.
  uint64_t prunes = 0;         // Robust prunes run.
  uint64_t reranked = 0;       // Rows read and scored again by the rerank code.

  // Of searches with a filter: points that it judged, and how many searches did what. The first
  // three are chosen at the start; a traversal that finds too few scans in the end, too.
  uint64_t filter_checks = 0;
  uint64_t filter_scans = 0;       // All accepted points were scored.
  uint64_t filter_traversals = 0;  // Points that are refused were scored and passed through.
  uint64_t filter_two_hops = 0;    // They were passed through without being scored.
  uint64_t filter_fallbacks = 0;   // Traversals that scanned in the end.

  WorkCounters& operator+=(const WorkCounters& other) {
    distances += other.distances;
    hops += other.hops;
    rows_fetched += other.rows_fetched;
    lists_read += other.lists_read;
    lists_written += other.lists_written;
    prunes += other.prunes;
    reranked += other.reranked;
    filter_checks += other.filter_checks;
    filter_scans += other.filter_scans;
    filter_traversals += other.filter_traversals;
    filter_two_hops += other.filter_two_hops;
    filter_fallbacks += other.filter_fallbacks;
    return *this;
  }
};

// Bytes of memory by purpose: resident, or committed. Address space that is only reserved is not
// counted.
struct MemoryBreakdown {
  uint64_t vectors = 0;        // Rows, of both codes where there are two.
  uint64_t neighbors = 0;      // Neighbour lists.
  uint64_t reverse_lists = 0;  // The in-edges of every point, for writers.
  uint64_t slots = 0;          // Tags, list locks, external ids, free slots.
  uint64_t id_map = 0;         // External id to slot.
  uint64_t labels = 0;         // 0 as long as no point has any.
  uint64_t scratch = 0;        // Working memory, one for each concurrent operation.
  uint64_t total() const {
    return vectors + neighbors + reverse_lists + slots + id_map + labels + scratch;
  }
};

// Counts of an index. The fields are read one after another, not at one instant.
struct IndexStats {
  uint64_t points = 0;           // Live points.
  uint64_t slots_used = 0;       // High-water mark of slots, free ones included.
  uint64_t edges = 0;            // Directed edges.
  double average_degree = 0;     // edges / (live and deleted points, and the start point).
  uint64_t pending_repairs = 0;  // Deleted points that wait for their repair, or are under it.
  uint64_t retired_slots = 0;    // Slots that wait for readers to leave.
  WorkCounters work;             // Sum over all finished operations.
  MemoryBreakdown memory;
};

// Counts of the engine's inner work. The words are those of docs/concurrency.md, and may change
// with it. The fields are read one after another.
struct IndexDiagnostics {
  uint64_t epoch = 0;        // Current epoch.
  uint64_t oldest_pin = 0;   // Epoch of the oldest reader; `epoch` if there is none.
  uint64_t retirements = 0;  // Slots that ever became unreadable.
  uint64_t restarts = 0;     // Lists computed again after another writer had changed them.
  uint64_t reparented = 0;   // Points that repairs kept reachable by edges that were there.
  uint64_t relinked = 0;     // Points that repairs kept reachable by a new edge.
  uint64_t unreachable = 0;  // Live points that the last CheckStructure could not reach. Only that
                             // call counts them.
};

// Bytes of memory that all indices of this process have from the system directly: committed address
// space, without what they gave back. Their other memory is from operator new. For a program that
// limits what it takes. Any thread.
SHOAL_API uint64_t MappedBytes();

// What a program is told of these bytes as they come and go; all that was taken and not given back
// are MappedBytes(). Called by any thread, under locks of an index: they must be quick, and neither
// throw nor call a function of shoal.
struct MemoryHooks {
  // Before so many bytes more are taken. False: they are not, and what needs them is OutOfMemory.
  bool (*take)(void* user, uint64_t bytes) = nullptr;
  // After so many bytes went back.
  void (*give_back)(void* user, uint64_t bytes) = nullptr;
  void* user = nullptr;
};
// For all indices of this process, in place of earlier ones; without functions: for none. Call it
// while there is no index, and none is being made. InvalidArgument: MappedBytes() is not 0; one
// function without the other.
SHOAL_API Status SetMemoryHooks(const MemoryHooks& hooks);

}  // namespace shoal
