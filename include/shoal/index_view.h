// A snapshot that is searched where it is: in the file that Index::Save wrote.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "shoal/export.h"
#include "shoal/index.h"

namespace shoal {

class IndexViewImpl;

// A read-only index over a mapped file. Opening takes milliseconds whatever the number of points,
// and nothing is loaded: rows and lists are read through the page cache, which all processes share.
// A search gives the answers that the loaded index gives. ViewOptions say what makes searches
// faster, at the price of memory and of time to open.
//
//   auto view = shoal::IndexView::Open("index.shoal");
//   auto hits = view->Search(query, {.k = 10});
//
// Thread safety: every function may be called from any thread at any time, together with any other,
// except moving and destroying the view. An IndexView that was moved from may be destroyed or
// assigned to, nothing else.
//
// The file must not be written to or cut while it is open: that gives wrong answers, or ends the
// process with SIGBUS. Index::Save replaces the file as a whole: an open view keeps the old one,
// and opening again gives the new one.
class SHOAL_API IndexView {
 public:
  // Checks the header, the directory and the seeds, with their checksums; rows, ids and lists are
  // what Verify checks, unless the file is copied. FileNotFound; Io; Corrupt: no snapshot, cut off,
  // or damaged there; Unsupported: of another version; without its vectors
  // (Index::SaveWithoutVectors). OutOfMemory.
  static Result<IndexView> Open(const std::filesystem::path& path, const ViewOptions& options = {});
  // Of a file that Index::SaveWithoutVectors wrote, over the store that has its vectors: searches
  // traverse the codes of the file, and fetch from the store the vectors that they rerank. Answers
  // are those of Index::LoadWithFeatures. No vector is fetched to open: one that the store has lost
  // is no hit, and Get says NotFound. The store must stay as it was when the file was saved; the
  // view has it to itself, puts nothing, and may ask for slots that it was never told of.
  // Errors as in Open; those of the store are errors of the calls that fetch. InvalidArgument: no
  // store; one of another row_bytes; a file that has its vectors. Unsupported: of a file whose code
  // is none.
  static Result<IndexView> OpenWithFeatures(const std::filesystem::path& path,
                                            std::unique_ptr<FeatureStore> store,
                                            const ViewOptions& options = {});
  ~IndexView();
  IndexView(IndexView&&) noexcept;
  IndexView& operator=(IndexView&&) noexcept;

  // As the functions of Index with these names.
  Result<std::vector<Hit>> Search(VectorView query, const SearchOptions& options = {}) const;
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work = nullptr) const;
  // It, and its next pages, need the view to be open.
  Result<Pages> SearchPages(VectorView query, const SearchOptions& options = {}) const;
  Status SearchMany(MatrixView queries, const SearchOptions& options,
                    const SearchManyOutput& output, const BatchOptions& batch = {}) const;
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work = nullptr) const;
  Result<RangeHits> RangeSearchMany(MatrixView queries, const RangeOptions& options,
                                    const BatchOptions& batch = {}) const;

  // As the functions of Index. A view has no thread that measures: a target_recall that nothing was
  // measured for leaves a search's other options as they are.
  Result<Calibration> Calibrate(size_t k, double target, const BatchOptions& batch = {});
  std::optional<Calibration> CalibrationFor(size_t k, double target) const;

  // The first call of Contains or Get reads all ids, and keeps 8 to 16 bytes a point from then on.
  // OutOfMemory (Get); false (Contains).
  bool Contains(ExternalId id) const;
  // Copies the point's vector to `vector`. InvalidArgument: scalar type or dimension are not the
  // index's. NotFound.
  Status Get(ExternalId id, MutableVectorView vector) const;
  // All ids, in the order of the file.
  std::span<const ExternalId> ids() const;
  size_t size() const;
  // Those of the index that was saved: all but `runtime`.
  const IndexOptions& options() const;

  // Compares every checksum of the file. As VerifySnapshot.
  Status Verify(const BatchOptions& batch = {}) const;

 private:
  explicit IndexView(std::unique_ptr<IndexViewImpl> impl);
  static Result<IndexView> OpenOver(const std::filesystem::path& path,
                                    std::unique_ptr<FeatureStore> store,
                                    const ViewOptions& options);
  std::unique_ptr<IndexViewImpl> impl_;
};

}  // namespace shoal
