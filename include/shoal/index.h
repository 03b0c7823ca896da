// A vector index: insert, replace, delete and search at the same time, from any threads.
//
//   shoal::IndexOptions options{.dim = 128};
//   auto index = shoal::Index::Create(options);
//   index->Insert(7, vector);                       // any thread, any time
//   auto hits = index->Search(query, {.k = 10});    // likewise; nearest first
//   index->Upsert(7, other);                        // another vector under the same id
//   index->Delete(7);                               // gone when it returns; its memory is reused
//
// The graph is a single-layer Vamana (Subramanya et al., "DiskANN", NeurIPS 2019) that is kept up
// to date point by point (Singh et al., "FreshDiskANN", 2021).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "shoal/calibration.h"
#include "shoal/export.h"
#include "shoal/feature_store.h"
#include "shoal/options.h"
#include "shoal/pages.h"
#include "shoal/result.h"
#include "shoal/stats.h"
#include "shoal/stream.h"
#include "shoal/types.h"

namespace shoal {

class IndexImpl;

struct Hit {
  ExternalId id = 0;
  float distance = 0;  // In the index's metric; see Metric.
};

// What came of a call on many rows, or ids, of which each may fail.
struct BatchReport {
  struct Failure {
    size_t row = 0;  // Or position among the ids.
    Error error;
  };
  size_t done = 0;                // Rows that were inserted, deleted or copied.
  std::vector<Failure> failures;  // Rows that failed, in ascending order.
  // Cancelled, if BatchOptions::stop ended the call before every row was tried; else OK.
  Status status;
};

// Labels of many rows: those of row i are labels[limits[i], limits[i + 1]).
struct LabelRows {
  std::span<const uint32_t> labels;
  std::span<const size_t> limits;  // rows + 1, ascending; the last is at most labels.size().
};

// Results of SearchMany, in memory of the caller. Query i owns [i*k, (i+1)*k) of `ids` and
// `distances`; the first counts[i] of them are hits. The rest is as it was before, or, while
// writers are active, unspecified.
struct SearchManyOutput {
  std::span<ExternalId> ids;          // queries x k
  std::span<float> distances;         // queries x k; may be empty
  std::span<uint32_t> counts;         // queries
  std::span<WorkCounters> work = {};  // queries; may be empty
};

// Results of RangeSearchMany: those of query i are [limits[i], limits[i + 1]) of ids and distances,
// nearest first.
struct RangeHits {
  std::vector<size_t> limits;  // queries + 1
  std::vector<ExternalId> ids;
  std::vector<float> distances;
};

// Thread safety: every function may be called from any thread at any time, together with any
// other, except moving and destroying the Index. A search takes no lock and never waits; but the
// ids of a small set that is its filter are looked up as Contains does, under the lock of a part of
// the ids.
//
// A moved-from Index may only be destroyed or assigned to. After a fork of a process with threads
// the child must not use an Index, nor destroy one with RepairPolicy::kBackground: its threads are
// the parent's.
class SHOAL_API Index {
 public:
  // An empty index. InvalidArgument names the option that is out of range. Unsupported: vectors of
  // this type have no such code.
  static Result<Index> Create(const IndexOptions& options);
  // An empty index whose vectors live in `store` (shoal/feature_store.h); in memory are the graph,
  // and what IndexOptions::code makes of the vectors. Searches traverse the code, and order their
  // nearest candidates (SearchOptions::rerank) by vectors that they fetch. So do range searches,
  // which drop what is not within the radius. The errors of the store are those of the call that
  // met them; an insert that fails leaves nothing behind. A point whose vector the store has lost
  // is no hit, and NotFound is what Get says of it.
  // With Code::kNone the graph alone is in memory: searches fetch the vectors of a hop with one
  // call, writers those that they compare. Graph and answers are those of an index in memory. A
  // Delete is done even if its repair cannot fetch; the repair is tried a few times, and then
  // chooses without distances.
  // A row is freed when its slot is reclaimed. InvalidArgument: also, a store whose row_bytes is
  // not dim x the scalar type's size; a rerank_code other than full. SaveDiskann is Unsupported.
  static Result<Index> CreateWithFeatures(const IndexOptions& options,
                                          std::unique_ptr<FeatureStore> store);
  ~Index();
  Index(Index&&) noexcept;
  Index& operator=(Index&&) noexcept;

  // Adds a point. When it returns OK, every search that starts later can find the point. The
  // vector is copied. After an error the index is as it was.
  // InvalidArgument: another dimension or scalar type than the index's; an element that is NaN or
  // infinite; a norm above 9.2e18 or, under cosine, below 1.1e-19 (Metric). AlreadyExists.
  // OutOfMemory.
  Status Insert(ExternalId id, VectorView vector);

  // Adds rows.rows() points, row i as ids[i], on several threads. A large batch is inserted in an
  // order that keeps caches warm. Rows that fail are reported; the others stay. With threads = 1
  // the graph depends only on the rows, their order, the options and, for floats, the instruction
  // set.
  // InvalidArgument (nothing is inserted): as many ids as rows are expected; or another dimension
  // or scalar type than the index's. OutOfMemory: no memory for the report; rows that were
  // inserted by then stay.
  Result<BatchReport> InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                 const BatchOptions& batch = {});

  // The same with labels, which Filter::Label asks for: any numbers, in any order, at most
  // kMaxLabels; what is there twice counts once. Every search that finds the point finds its
  // labels.
  Status Insert(ExternalId id, VectorView vector, std::span<const uint32_t> labels);
  // InvalidArgument (nothing is inserted): also, limits that do not fit.
  Result<BatchReport> InsertMany(std::span<const ExternalId> ids, const LabelRows& labels,
                                 MatrixView rows, const BatchOptions& batch = {});

  // Inserts the point, or gives it another vector. Searches find the id all the time: until Upsert
  // returns, with the old vector or the new one. Errors as in Insert, except AlreadyExists. Labels
  // stay as they are; SetLabels of the id meanwhile counts when Upsert returns, at the latest.
  Status Upsert(ExternalId id, VectorView vector);
  // Upserts row i as ids[i], on several threads; else as InsertMany. Of an id that is there twice
  // one of the rows stays.
  Result<BatchReport> UpsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                 const BatchOptions& batch = {});
  // The same with these labels and no others: until Upsert returns searches find the point with
  // both old vector and old labels, or with both new ones.
  Status Upsert(ExternalId id, VectorView vector, std::span<const uint32_t> labels);
  Result<BatchReport> UpsertMany(std::span<const ExternalId> ids, const LabelRows& labels,
                                 MatrixView rows, const BatchOptions& batch = {});

  // Gives the point these labels and no others. A search meanwhile finds it with the old ones or
  // with the new ones, never with a mixture; one that starts when SetLabels has returned, with the
  // new ones. NotFound. OutOfMemory. InvalidArgument: more than kMaxLabels.
  Status SetLabels(ExternalId id, std::span<const uint32_t> labels);
  // Its labels, in ascending order. NotFound. OutOfMemory.
  Result<std::vector<uint32_t>> Labels(ExternalId id) const;

  // Removes a point: no search that starts after it has returned finds it, and the id may be
  // inserted again immediately. RuntimeOptions::repair says when the graph is repaired. The memory
  // is reused after that, when no search reads it any more. NotFound. OutOfMemory.
  Status Delete(ExternalId id);
  // Removes many, on several threads. Ids that are not there are reported; the others are removed.
  // OutOfMemory: no memory for the report; ids that were removed by then are gone.
  Result<BatchReport> DeleteMany(std::span<const ExternalId> ids, const BatchOptions& batch = {});
  // Removes all points that are in the index when it is called.
  Status Clear(const BatchOptions& batch = {});

  // Repairs the graph around all points deleted before the call: when it returns, no neighbour list
  // names one of them. Points deleted during the call may be left. Searches and writers go on.
  // Frees working memory that has not been used since the last call. OutOfMemory: some are left.
  Status Consolidate(const BatchOptions& batch = {});
  // Consolidates, then moves points together and returns the memory that this frees to the system.
  // Useful after many deletes. Returns the number of bytes. Searches and writers go on.
  Result<size_t> Compact(const BatchOptions& batch = {});

  // A second pass: searches for every point again and renews its edges. It takes about the time of
  // the inserts, and pays for data that is built once and searched often. Searches and writers go
  // on.
  Status Refine(const BatchOptions& batch = {});

  // The k nearest points found, nearest first, each id once. Fewer than k is a result, not an
  // error. InvalidArgument: as in Insert; k = 0; a target_recall out of range.
  Result<std::vector<Hit>> Search(VectorView query, const SearchOptions& options = {}) const;

  // The same into the caller's memory, without allocation: returns the number of hits n and fills
  // ids[0, n) and distances[0, n). `ids` has room for at least k, `distances` for at least k or is
  // empty. `work`, if not null, receives the counters of this search.
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work = nullptr) const;

  // Searches for every row of `queries`, on several threads. Errors as in Search. That of a single
  // row names the row; the other rows are answered. InvalidArgument: `output` has no room for all.
  Status SearchMany(MatrixView queries, const SearchOptions& options,
                    const SearchManyOutput& output, const BatchOptions& batch = {}) const;

  // A search that hands its hits out page by page, options.k at a time (shoal/pages.h). Nothing is
  // computed yet. `query` and `options.filter` are copied. InvalidArgument: as in Search.
  Result<Pages> SearchPages(VectorView query, const SearchOptions& options = {}) const;

  // Every point found within a radius, nearest first. It walks over edges alone: a point whose
  // edges a repair reroutes meanwhile may be missed. `work`, if not null, receives the counters of
  // this search. InvalidArgument: as in Insert; a radius that is NaN.
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work = nullptr) const;

  // RangeSearch for every row of `queries`, on several threads. An error is that of the call, and
  // names the row.
  Result<RangeHits> RangeSearchMany(MatrixView queries, const RangeOptions& options,
                                    const BatchOptions& batch = {}) const;

  // Measures now what SearchOptions::target_recall measures in the background, and gives it to
  // searches with this k and target. It scores a sample of 100 to 500 queries against all live
  // points, and searches with each some 30 times, on several threads; these searches count in
  // Stats. The truth is that of the vectors as far as rerank_code keeps them. Searches and writers
  // go on. The same index at rest gives the same result, unless searches with a target have left
  // queries. Of an empty index the sample is empty. InvalidArgument: k = 0; a target that is not
  // above 0 and at most 1. Cancelled. OutOfMemory. Errors of a feature store.
  Result<Calibration> Calibrate(size_t k, double target, const BatchOptions& batch = {});
  // What searches with this k and target use; nullopt: nothing was measured yet.
  std::optional<Calibration> CalibrationFor(size_t k, double target) const;

  // Whether a point with this id is in the index.
  bool Contains(ExternalId id) const;
  // The same for many ids: contained[i] is 1 if ids[i] is in the index, else 0. InvalidArgument: as
  // many flags as ids are expected.
  Status ContainsMany(std::span<const ExternalId> ids, std::span<uint8_t> contained) const;
  // Copies the point's vector, as far as rerank_code keeps it. InvalidArgument: `vector` has
  // another dimension or scalar type than the index. NotFound.
  Status Get(ExternalId id, MutableVectorView vector) const;
  // Copies the vector of ids[i] to row i, on several threads. Ids that are not there are reported;
  // their rows stay as they are. InvalidArgument: as many rows as ids are expected; or as in Get.
  // OutOfMemory: no memory for the report.
  Result<BatchReport> GetMany(std::span<const ExternalId> ids, MutableMatrixView rows,
                              const BatchOptions& batch = {}) const;
  // All ids, in no order: each that is there throughout the call once, others at most once.
  Result<std::vector<ExternalId>> Ids() const;
  // Number of live points. One that is being upserted or compacted may count twice meanwhile.
  size_t size() const;
  const IndexOptions& options() const;
  IndexStats Stats() const;
  // Counts of the engine's inner work: for tests and post-mortems.
  IndexDiagnostics Diagnostics() const;

  // Checks every structural promise of docs/concurrency.md, on an index at rest: lists within
  // max_degree, no loops, no duplicates, no edge to an unreadable slot or a start point; reverse
  // lists are the transpose; every live point has a parent edge and is reachable; one id for each
  // live point; the counts of free, owned, live, deleted and retired slots. Corrupt names the first
  // violation. Linear in the size of the index; for tests and post-mortems.
  Status CheckStructure() const;

  // Writes the index to one file with checksums (docs/file_formats.md), of which Load makes the
  // same index. The file holds exactly the points of one instant within the call, each with its
  // vector. Searches and writers go on; writers wait for that instant only, some nanoseconds a
  // point. Runs on one thread. Memory of points deleted meanwhile is reused after the call.
  //
  // The file is there whole or not at all: it is written beside `path`, synced, and renamed. An
  // error leaves an older file as it was. What a killed Save left beside `path` is removed. Edges
  // to deleted points whose repair is pending are replaced as they are written: call Consolidate
  // first if they are many. Vectors of a feature store are fetched, and written to the file.
  // InvalidArgument: `path` names no file. FileNotFound: its folder. Io. OutOfMemory.
  Status Save(const std::filesystem::path& path, const BatchOptions& batch = {},
              const SaveOptions& options = {}) const;
  // Makes the index of a file that Save wrote, with the same ids, vectors and neighbour lists.
  // Points that were deleted while they were saved may be without lists in the file; they are
  // linked again. Everything is checked before it is used. See also shoal/snapshot.h.
  // Corrupt names the file, the section, the offset, what was expected and what was found.
  // Unsupported: another version of the format; vectors in a feature store. InvalidArgument:
  // `options`. FileNotFound. Io. OutOfMemory.
  static Result<Index> Load(const std::filesystem::path& path, const LoadOptions& options = {});

  // Of an index that has a feature store: Save without the vectors, of which it reads none. The
  // store is synced first. The file goes with the store as it is now: a point that is deleted,
  // replaced or moved later loses its vector there. Errors also of the store. InvalidArgument: an
  // index without one; another order than that of the slots.
  Status SaveWithoutVectors(const std::filesystem::path& path, const BatchOptions& batch = {},
                            const SaveOptions& options = {}) const;
  // Of any index, with a feature store or without: Save without the vectors, which are put to `to`,
  // each under the point's place in the file: so near points are near each other in a store on
  // disk, too. `to` grows, is synced, and goes with the file (LoadWithFeatures,
  // IndexView::OpenWithFeatures); it should be empty. After an error it has some of the rows.
  // Errors also of both stores. InvalidArgument: another row_bytes than dim x the scalar type's
  // size; a rerank_code other than full.
  Status SaveToFeatures(const std::filesystem::path& path, FeatureStore& to,
                        const BatchOptions& batch = {}, const SaveOptions& options = {}) const;
  // Makes the index of a file that SaveWithoutVectors wrote, over the store that has its vectors:
  // each point has the slot that it had, and no vector is copied. Errors as in Load, and those of
  // the store. InvalidArgument: a file that has the vectors; a store that does not go with it: of
  // another row_bytes, or without the vector of some point (LoadOptions::stored_vectors).
  static Result<Index> LoadWithFeatures(const std::filesystem::path& path,
                                        std::unique_ptr<FeatureStore> store,
                                        const LoadOptions& options = {});

  // The bytes that Save would write, handed to `sink` from the first to the last. They are gathered
  // in a temporary file of the system's first (TMPDIR), because the header has checksums of all the
  // rest. Errors as in Save, and those of `sink`.
  Status SaveTo(const ByteSink& sink, const BatchOptions& batch = {}) const;
  // Load of the bytes that `source` gives until its end, gathered likewise. Messages call them
  // "stream". Errors as in Load, and those of `source`.
  static Result<Index> LoadFrom(const ByteSource& source, const LoadOptions& options = {});

 private:
  friend class IndexImpl;
  explicit Index(std::unique_ptr<IndexImpl> impl);
  std::unique_ptr<IndexImpl> impl_;
};

// About how many bytes an index of these options takes with so many points: IndexStats::memory
// without `labels` and `scratch`, within a quarter from 1,000 points on. Errors as in
// Index::Create.
SHOAL_API Result<uint64_t> EstimateBytes(const IndexOptions& options, uint64_t points);
// About how many points fit into so many bytes, likewise.
SHOAL_API Result<uint64_t> EstimatePoints(const IndexOptions& options, uint64_t bytes);

struct FittedOptions {
  IndexOptions options;  // With the code that was picked, and the budget as memory_limit.
  uint64_t bytes = 0;    // About what the points will take, as EstimateBytes says.
};
// Options for Index::CreateWithFeatures so that an index of so many points takes at most
// `memory_budget` bytes: the first of full, float16, sq8, rq4, rq3, rq2, rq1 and none that there is
// for such vectors and that fits (docs/codes.md says what each is worth; with none the graph alone
// is in memory, and searches are much slower). What the store itself takes is not counted.
// InvalidArgument: not even the smallest fits, and how much that takes; a
// `code` other than kAuto; and as in Index::Create.
SHOAL_API Result<FittedOptions> FitToMemory(const IndexOptions& options, uint64_t points,
                                            uint64_t memory_budget);

}  // namespace shoal
