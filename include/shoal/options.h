// Options: plain structs with defaults that are right for most. The papers' symbols stand beside
// the fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "shoal/types.h"

namespace shoal {

// Largest max_degree and build_list_size of an index.
inline constexpr uint32_t kMaxDegree = 512;
inline constexpr uint32_t kMaxListSize = 10000;

// Who leads the graph around a deleted point, and when. Whatever the policy, a deleted point is
// never returned again; until it is repaired it holds its memory, and searches still pass it.
enum class RepairPolicy : uint8_t {
  kImmediate,   // Delete itself, before it returns: half the time of an insert at R = 32, more
                // with larger R.
  kBackground,  // repair_threads threads of the index; while more than 64 + a quarter of the live
                // points wait for their repair, deletes and upserts help as under kImmediate.
  kManual,      // Whoever calls Consolidate. ("Lazy delete".)
};

// What an index is. Fixed at creation.
struct IndexOptions {
  // Number of elements of every vector, 1 to kMaxDim. The one field without a default.
  uint32_t dim = 0;
  ScalarType scalar_type = ScalarType::kFloat32;
  Metric metric = Metric::kL2;

  // R: most edges that leave a point, 4 to kMaxDegree. Never exceeded, not even for a moment.
  uint32_t max_degree = 32;
  // L of an insert's search, 1 to kMaxListSize. Larger: better graph, slower inserts.
  uint32_t build_list_size = 100;
  // How much longer a detour may be before an edge is dropped, on the metric's distance (for l2 the
  // squared one, as in DiskANN's code), 1 to 2.
  float alpha = 1.2f;

  // Bytes that the index may take, rows, graph and the working memory that it keeps between
  // operations together; 0: no limit. Beyond it an insert returns OutOfMemory and leaves nothing
  // behind. A search takes what it needs, and so does a delete for the queue of repairs: it is the
  // inserts after them that find less.
  uint64_t memory_limit = 0;

  RepairPolicy repair = RepairPolicy::kImmediate;
  uint32_t repair_threads = 1;  // kBackground: 1 to 256.
  uint32_t repair_share = 100;  // kBackground: percent of its time that each may work, 1 to 100.
};

// What one search asks for.
struct SearchOptions {
  // Hits wanted, at least 1.
  size_t k = 10;
  // L: candidates kept, the one knob between speed and recall. Less than k means k.
  size_t search_list_size = 64;
};

// What a range search asks for: everything within `radius` of the query.
struct RangeOptions {
  // In the metric's distance (for l2 the squared one). Hits have distance <= radius.
  float radius = 0;
  // L of the search that finds the way there.
  size_t search_list_size = 64;
};

// How a call on many rows is run.
struct BatchOptions {
  // 0: one per CPU that this process may use.
  size_t threads = 0;
  // Called from time to time with the rows done and the rows in all, never from two threads at
  // once; the last call has both equal. Must not call back into a writing function of the index,
  // nor throw.
  std::function<void(size_t done, size_t total)> progress = {};
  // Asked to stop, the call ends soon with Cancelled, which says how much was done, unless all was.
  // What InsertMany, DeleteMany, Clear, Consolidate, Compact and Refine have done stays; so do
  // SearchMany's answers, and the other queries have counts of 0. Of a Save, a Load, an ExactSearch
  // nothing stays, and an older file is as it was.
  std::stop_token stop = {};
};

// What Index::Load does not find in the file: fields of IndexOptions, and how to load.
struct LoadOptions {
  uint64_t memory_limit = 0;
  RepairPolicy repair = RepairPolicy::kImmediate;
  uint32_t repair_threads = 1;
  uint32_t repair_share = 100;
  BatchOptions batch = {};
};

}  // namespace shoal
