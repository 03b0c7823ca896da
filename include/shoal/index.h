// A vector index that is inserted into and searched at the same time.
//
//   shoal::IndexOptions options{.dim = 128};
//   auto index = shoal::Index::Create(options);
//   index->Insert(7, vector);                       // any thread, any time
//   auto hits = index->Search(query, {.k = 10});    // likewise; nearest first
//   index->Upsert(7, other);                        // another vector under the same id
//   index->Delete(7);                               // gone when it returns, its memory reused
//
// The graph is a single-layer Vamana (Subramanya et al., "DiskANN", NeurIPS 2019) that is kept up
// to date point by point (Singh et al., "FreshDiskANN", 2021).
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "shoal/export.h"
#include "shoal/options.h"
#include "shoal/result.h"
#include "shoal/stats.h"
#include "shoal/types.h"

namespace shoal {

class IndexImpl;

struct Hit {
  ExternalId id = 0;
  float distance = 0;  // In the index's metric; see Metric.
};

// What came of InsertMany: one entry for each row that was not inserted.
struct InsertReport {
  struct Failure {
    size_t row = 0;
    Error error;
  };
  size_t inserted = 0;
  std::vector<Failure> failures;  // Ordered by row.
};

// What came of DeleteMany: one entry for each id that was not there.
struct DeleteReport {
  struct Failure {
    size_t row = 0;  // Position among the ids.
    Error error;
  };
  size_t deleted = 0;
  std::vector<Failure> failures;  // Ordered by row.
};

// Results of SearchMany, in memory of the caller. Query i owns [i*k, (i+1)*k) of `ids` and
// `distances`; `counts[i]` says how many of them are hits, the rest is left as it was, or, beside
// writers, holds what was found before.
struct SearchManyOutput {
  std::span<ExternalId> ids;          // queries x k
  std::span<float> distances;         // queries x k; may be empty
  std::span<uint32_t> counts;         // queries
  std::span<WorkCounters> work = {};  // queries; may be empty
};

// Thread safety: every function may be called from any thread at any time, together with any
// other, except moving and destroying the Index. A search takes no lock and waits for nobody. An
// Index that was moved from may be destroyed or assigned to, nothing else. In a child that a
// process with threads forks it may not be used, and with RepairPolicy::kBackground not be
// destroyed: the threads that it knows are the parent's.
class SHOAL_API Index {
 public:
  // An empty index. InvalidArgument names the option that is out of range.
  static Result<Index> Create(const IndexOptions& options);
  ~Index();
  Index(Index&&) noexcept;
  Index& operator=(Index&&) noexcept;

  // Adds a point. When it returns OK, every search that starts later can find the point.
  // The vector is copied. Errors, each of which leaves the index as it was:
  // InvalidArgument: dimension or scalar type differ from the index's, an element is NaN or
  // infinite, or the vector's norm is above 9.2e18 or, under cosine, below 1.1e-19 (Metric);
  // AlreadyExists; OutOfMemory.
  Status Insert(ExternalId id, VectorView vector);

  // Adds rows.rows() points, row i as ids[i], on several threads; tens of thousands of them in an
  // order that keeps caches warm. Rows that fail are reported, the others stay. InvalidArgument
  // (and nothing is inserted) if the numbers of ids and rows differ, or dimension or scalar type
  // from the index's. OutOfMemory if there is not even memory for the report: rows inserted by
  // then stay. With threads = 1 the graph depends on the rows, their order and the options alone.
  Result<InsertReport> InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                  const BatchOptions& batch = {});

  // Inserts the point, or gives it another vector: searches find the id all the time, at the one
  // vector or the other until Upsert returns. Errors as in Insert, but AlreadyExists.
  Status Upsert(ExternalId id, VectorView vector);

  // Removes a point: no search that starts after it returned finds it, and the id may be inserted
  // again at once. Its slot is used again when no search reads it any more. When the graph is led
  // around it is IndexOptions::repair's choice. NotFound; OutOfMemory.
  Status Delete(ExternalId id);
  // Removes many, on several threads. Ids that are not there are reported, the others go.
  Result<DeleteReport> DeleteMany(std::span<const ExternalId> ids, const BatchOptions& batch = {});
  // Removes all points that are there when it is called.
  Status Clear(const BatchOptions& batch = {});

  // Repairs the graph around all points deleted so far, not those deleted meanwhile: when it
  // returns, no list leads to one of them. Searches and writers go on. Working memory of threads
  // that have not come since the last call is freed. OutOfMemory: some are left.
  Status Consolidate(const BatchOptions& batch = {});
  // Moves points together and gives the memory that this frees back to the system; worth it after
  // deleting much. Consolidates first. Returns the bytes. Searches and writers go on meanwhile.
  Result<size_t> Compact(const BatchOptions& batch = {});

  // A second pass: searches for every point again and renews its edges. Worth its time (about that
  // of the inserts) for data that is built once and searched often. Safe beside anything.
  Status Refine(const BatchOptions& batch = {});

  // The nearest points that were found, nearest first, each id once. Fewer than k is a result, not
  // an error. InvalidArgument: as in Insert, and k = 0.
  Result<std::vector<Hit>> Search(VectorView query, const SearchOptions& options = {}) const;

  // The same into the caller's memory, without allocating: returns the number of hits n and fills
  // ids[0, n) and distances[0, n). `ids` holds at least k, `distances` at least k or nothing.
  // `work`, when given, receives the counts of this search.
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work = nullptr) const;

  // Searches for every row of `queries`, on several threads. Errors as in Search, with the row
  // where it is one row's, the others being answered; InvalidArgument, too, for an output without
  // room for all.
  Status SearchMany(MatrixView queries, const SearchOptions& options,
                    const SearchManyOutput& output, const BatchOptions& batch = {}) const;

  // Every point found within a radius, nearest first. `work`, when given, receives the counts of
  // this search.
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work = nullptr) const;

  // Whether a point with this id is in the index.
  bool Contains(ExternalId id) const;
  // Copies the point's vector, dim elements of the index's type, to `vector`. NotFound.
  Status Get(ExternalId id, void* vector) const;
  // All ids, in no order: each that is there throughout the call exactly once, others at most once.
  Result<std::vector<ExternalId>> Ids() const;
  // Live points. One that is being upserted or moved may count twice for that moment.
  size_t size() const;
  const IndexOptions& options() const;
  IndexStats Stats() const;

  // Checks every structural promise that docs/concurrency.md makes, on an index at rest: lists
  // within max_degree, no loops, no duplicates, no edge to an unreadable slot or into a start
  // point, reverse lists the transpose, every point reachable; one id for each live point; free,
  // deleted, retired and live slots as many as are kept account of. Corrupt names the first
  // violation. Linear in the size of the index; for tests and post-mortems.
  Status CheckStructure() const;

  // Writes the index to one file with checksums (docs/file_formats.md), from which Load makes the
  // same index. It holds exactly the points, each with the vector, of one instant within the call,
  // while searches and writers go on; they wait for that instant only, some nanoseconds a point.
  // The file is there whole or not at all: it is written beside `path`, synced, and renamed; an
  // error leaves an older file as it was. Slots that deletes free meanwhile are used again after
  // it. One thread. Edges to deleted points whose repair is pending (RepairPolicy) are led around
  // them as they are written: Consolidate first where that is much. What a killed Save left beside
  // `path` is removed. InvalidArgument: `path` names no file. Io; OutOfMemory.
  Status Save(const std::filesystem::path& path, const BatchOptions& batch = {}) const;
  // The index of a file that Save wrote: its ids, vectors and lists, to the bit; it takes searches
  // and writers at once. Points that were deleted while they were saved may have been left without
  // lists; they are linked anew. Everything is checked before it is used: Corrupt names the file,
  // the section, the offset, expected and found. Unsupported: the file is of a newer version.
  // NotFound, Io, OutOfMemory; InvalidArgument: `options`. See also shoal/snapshot.h.
  static Result<Index> Load(const std::filesystem::path& path, const LoadOptions& options = {});

 private:
  friend class IndexImpl;
  explicit Index(std::unique_ptr<IndexImpl> impl);
  std::unique_ptr<IndexImpl> impl_;
};

}  // namespace shoal
