// Options: plain structs with good defaults. The papers' symbols stand beside the fields.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "shoal/filter.h"
#include "shoal/types.h"

namespace shoal {

// Largest max_degree and build_list_size of an index.
inline constexpr uint32_t kMaxDegree = 512;
inline constexpr uint32_t kMaxListSize = 10000;
// Most labels of a point.
inline constexpr size_t kMaxLabels = 1024;

// Which thread repairs the graph around a deleted point, and when. Under every policy a deleted
// point is never returned again. Until its repair it keeps its memory, and searches pass through
// it.
enum class RepairPolicy : uint8_t {
  kImmediate,   // Delete itself, before it returns: half the time of an insert at R = 32, more
                // with larger R.
  kBackground,  // repair_threads threads of the index. While more than 64 + a quarter of the live
                // points wait for their repair, deletes and upserts repair, too.
  kManual,      // The caller of Consolidate. ("Lazy delete".)
};

// How an index runs. Fixed at creation, and again when it is loaded: no file has it.
struct RuntimeOptions {
  // Bytes that the index may take for rows, graph, and the working memory that it keeps between
  // operations; 0: no limit. Beyond it an insert returns OutOfMemory and leaves nothing behind.
  // Searches, and deletes for the queue of repairs, take what they need; later inserts find less.
  uint64_t memory_limit = 0;

  RepairPolicy repair = RepairPolicy::kImmediate;
  uint32_t repair_threads = 1;  // kBackground: 1 to 256.
  uint32_t repair_share = 100;  // kBackground: percent of the time that each may work, 1 to 100.
};

// What an index is. Fixed at creation.
struct IndexOptions {
  // Number of elements of every vector, 1 to kMaxDim. The only field without a default.
  uint32_t dim = 0;
  ScalarType scalar_type = ScalarType::kFloat32;
  Metric metric = Metric::kL2;

  // What is kept of a vector for searches to traverse. Memory and speed are mostly this; the
  // default finds no less than kFull. float16 is for float32 vectors; none takes a feature store.
  Code code = Code::kAuto;
  // What is kept of it beside that, for the final order of hits, range searches, Get and Save:
  // full, float16, bfloat16 or sq8; or the same as `code`, then there is nothing beside it. Hits
  // have the distances of this code: with full those of an index without codes, bit for bit.
  Code rerank_code = Code::kFull;

  // R: most out-edges of a point, 4 to kMaxDegree. Never exceeded, not even for a moment.
  uint32_t max_degree = 32;
  // L of an insert's search, 1 to kMaxListSize. Larger: better graph, slower inserts.
  uint32_t build_list_size = 100;
  // How much longer a detour may be before an edge is dropped, on the metric's distance (for l2 the
  // squared one, as in DiskANN's code), 1 to 2.
  float alpha = 1.2f;

  RuntimeOptions runtime = {};
};

// Options of one search.
struct SearchOptions {
  // Hits wanted, at least 1.
  size_t k = 10;
  // L: candidates kept. Larger: better recall, slower. Less than k means k.
  size_t search_list_size = 64;
  // Where the index has a rerank code: so many of the nearest candidates are scored by it, at least
  // k, at most L. 0: a few times k.
  size_t rerank = 0;
  // Which points may be hits; null: all. It must live as long as the call.
  const Filter* filter = nullptr;
  // At most so many hits of each label; 0: any number. (Many chunks of a document, or several
  // vectors of one thing, with a label each.) A point with a label that has no place left is no
  // hit, so hits are chosen nearest first; a point without labels always has one. The search goes
  // on until k hits are found or all points were met.
  size_t max_per_label = 0;
  // The recall@k wanted, above 0, at most 1; 0: as the first three say. The index measures on its
  // live points, or on queries of such searches, what reaches it, and does it again when a quarter
  // of the points have changed (shoal/calibration.h). A thread of the index does that; it is
  // started by the first such search. Until the first result is there, for pairs of k and target
  // beyond the first 16 that an index was asked for, in pages, with a filter and with
  // max_per_label, the first three hold.
  double target_recall = 0;
  // After a request to stop, a search ends soon with the nearest of the points that it has met:
  // perhaps fewer than k, perhaps not the nearest of all. A token with a request says that it may.
  // So does a page of SearchPages, and every page after it. (BatchOptions::stop ends a batch with
  // an error.)
  std::stop_token stop = {};
};

// Options of a range search, which finds everything within `radius` of the query.
struct RangeOptions {
  // In the metric's distance (for l2 the squared one). Hits have distance <= radius.
  float radius = 0;
  // L of the search that finds the first points.
  size_t search_list_size = 64;
  // As SearchOptions::filter.
  const Filter* filter = nullptr;
  // As SearchOptions::stop.
  std::stop_token stop = {};
};

// How a call on many rows runs.
struct BatchOptions {
  // 0: one per CPU that this process may use.
  size_t threads = 0;
  // Called from time to time with the rows done and the rows in all, never by two threads at the
  // same time. The last call has both equal. It must not call a writing function of the index, nor
  // throw.
  std::function<void(size_t done, size_t total)> progress = {};
  // After a request to stop, the call ends soon with Cancelled, which says how much was done (OK if
  // all was). A call that returns a BatchReport has it in BatchReport::status. What InsertMany,
  // DeleteMany, GetMany, Clear, Consolidate, Compact and Refine have done stays. So do SearchMany's
  // answers; the other queries have counts of 0. Nothing stays of a Save, a Load or an ExactSearch,
  // and an older file is as it was.
  std::stop_token stop = {};
};

// Options of Index::Save, SaveWithoutVectors and SaveToFeatures.
struct SaveOptions {
  // What the file has beside each neighbour list.
  enum class ListCodes : uint8_t {
    kNone,
    // The rows of the list's points, as `code` encodes them, one behind the other. A search of the
    // file (IndexView) reads them together instead of one here and one there: the same hits, and
    // sooner where the rows of all points are much larger than the last cache. They take
    // max_degree times the bytes of such a row, for each point (docs/codes.md).
    kBeside,
  };
  ListCodes list_codes = ListCodes::kNone;
  // In which order the file has the points, and Load puts them into slots.
  enum class Order : uint8_t {
    kSlots,  // That of the index: mostly of their inserts.
    // Points that neighbour lists lead to from one point stand together: a search of a file that
    // does not fit into memory reads fewer pages (docs/feature_stores.md). Takes 9 bytes a point of
    // memory, and reads all lists once more.
    kNeighbors,
  };
  Order order = Order::kSlots;
};

// Options of IndexView::Open.
struct ViewOptions {
  // Where searches read.
  enum class Memory : uint8_t {
    // In the mapped file: the page cache, which all processes share, in pages of 4 KB. Nothing is
    // read before a search needs it; then what is around it is read, too.
    kMapped,
    // Likewise, but single pages are read, and that of the list which is likely next is asked for
    // early. For a file that does not fit into memory.
    kPaged,
    // In memory of the view's own, as large as the file, in huge pages where the system gives them:
    // searches are faster. Opening reads the whole file and compares all checksums.
    kCopied,
    // Likewise, and what searches traverse is in memory of the view's own, compared with its
    // checksums: a search waits for a page a hop, and for what it reranks.
    kCopiedCodes,
  };
  Memory memory = Memory::kMapped;
  // Codes beside the lists (SaveOptions::ListCodes).
  enum class ListCodes : uint8_t {
    kAsSaved,  // Those of the file, if it has them.
    kMake,     // If it has none, opening makes them, in memory of the view's own.
  };
  ListCodes list_codes = ListCodes::kAsSaved;
  // For kCopied, kCopiedCodes and kMake. 0: one per CPU that this process may use.
  size_t threads = 0;
};

// Options of Index::Load and LoadWithFeatures: what the file does not have.
struct LoadOptions {
  RuntimeOptions runtime = {};
  BatchOptions batch = {};
  // LoadWithFeatures: whether every vector is fetched, and its code compared with that of the file.
  enum class StoredVectors : uint8_t {
    kCheck,
    kTrust,  // A point whose vector is missing is found by the calls that fetch it.
  };
  StoredVectors stored_vectors = StoredVectors::kCheck;
};

}  // namespace shoal
