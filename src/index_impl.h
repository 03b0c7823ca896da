// The wiring of an index: which parts there are, in the order in which they depend on each other.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "calibrator.h"
#include "centre_renewal.h"
#include "change_observer.h"
#include "codec/vector_check.h"
#include "graph/graph.h"
#include "graph/repair_queue.h"
#include "persist/graph_image.h"
#include "persist/snapshot_seeds.h"
#include "point_rows.h"
#include "search_plan.h"
#include "shoal/index.h"
#include "store/epoch.h"
#include "store/id_map.h"
#include "store/neighbors.h"
#include "store/slot_table.h"

namespace shoal {

tl::unexpected<Error> Invalid(std::string_view field, std::string_view expected,
                              std::string_view found);
tl::unexpected<Error> OutOfMemory(const IndexOptions& options, const char* what);
tl::unexpected<Error> NotFound(ExternalId id);
// Of `total` of what `what` (a verb) does.
tl::unexpected<Error> Cancelled(const char* what, size_t done, size_t total);

class IndexImpl;
class DiskGraph;

// A point that is linked and not live yet (tag.h).
struct PendingPoint {
  ExternalId id = 0;
  SlotId slot = kNoSlot;
  bool replaces = false;  // The id was there, and is until MakeLive.
};
enum class Replacing : uint8_t { kNo, kYes };
struct FilteredRowBytes;
struct FilteredSearchOptions;
class PagedSearch;

// An insert, or an upsert, that is prepared: a slot with row and list that no search can see. It
// holds no guard, so any time may pass before the commit. Dropped without one, it leaves nothing
// behind. The index must outlive it; CheckStructure takes it for an operation under way.
class PreparedInsert {
 public:
  PreparedInsert(PreparedInsert&& other) noexcept;
  PreparedInsert& operator=(PreparedInsert&&) = delete;
  ~PreparedInsert();

  ExternalId id() const { return id_; }
  SlotId slot() const { return slot_.id(); }

 private:
  friend class IndexImpl;
  enum class Kind : uint8_t {
    kNew,          // The id is reserved: the map names the slot.
    kReplacement,  // The id was there. A place in its shard and one in the queue are reserved.
  };
  PreparedInsert(IndexImpl& index, Kind kind, ExternalId id, OwnedSlot slot);

  IndexImpl* index_;  // Null: moved from, or committed.
  Kind kind_;
  ExternalId id_;
  OwnedSlot slot_;
  // When the list was written: its version, the commits by then, and where the search had begun.
  uint32_t version_ = 0;
  uint64_t commits_ = 0;
  SeedsMet met_;
  uint64_t renewals_ = 0;        // Of the code's centre, when the row was encoded or before.
  bool has_own_labels_ = false;  // Or a replacement keeps those of the id.
};

class IndexImpl final : private ReturnObserver {
 public:
  // `options`: with resolved codes, which `rows` has.
  IndexImpl(const IndexOptions& options, PointRows rows, ChangeObserver* observer);
  ~IndexImpl() override;
  // `observer`: null, or told of every change but those of Load and LoadDiskann.
  static Result<Index> Create(const IndexOptions& options, ChangeObserver* observer = nullptr);
  static Result<Index> CreateWithFeatures(const IndexOptions& options,
                                          std::unique_ptr<FeatureStore> store);
  // Likewise, with rows that are of the options' codes, which are resolved.
  static Result<Index> CreateOf(const IndexOptions& options, PointRows rows,
                                ChangeObserver* observer);
  static IndexImpl& Of(const Index& index) { return *index.impl_; }

  Status Insert(ExternalId id, VectorView vector);
  Status Insert(ExternalId id, VectorView vector, std::span<const uint32_t> labels);
  // Insert's first half. From here on an Insert of the id gets AlreadyExists, while searches and
  // Contains do not find it. Errors as in Insert.
  Result<PreparedInsert> Prepare(ExternalId id, VectorView vector);
  // Upsert's first half. An id that is there stays as it is.
  Result<PreparedInsert> PrepareUpsert(ExternalId id, VectorView vector);
  // The second half. AlreadyExists: an Upsert of the id has come in between. OutOfMemory. After an
  // error nothing is left of the insert.
  Status Commit(PreparedInsert prepared);
  // --- For a database (database_impl.h), which lets one thread write an id at a time.

  // A pending point: Insert, or Upsert, without the point being live. It ends by MakeLive or Abort.
  Result<PendingPoint> InsertPending(ExternalId id, VectorView vector, Replacing replacing);
  // Returns the slot that the id has left; kNoSlot: the id was not there.
  SlotId MakeLive(const PendingPoint& point);
  void Abort(const PendingPoint& point);
  // What a Delete takes, so that it cannot fail; then DeleteReserved, of an id that is there, or
  // UnreserveDelete.
  bool ReserveDelete() { return repairs_.Reserve(); }
  void UnreserveDelete() { repairs_.Unreserve(); }
  void DeleteReserved(ExternalId id);
  // `rows` will be encoded: in an index that had no point yet the mean of a sample of them becomes
  // the centre of its code (index_centre.cc).
  void NoteBatch(MatrixView rows);
  // Makes this index, which is empty, that of the disk, each point in its slot.
  Status Restore(const DiskGraph& disk, const BatchOptions& batch);
  SlotTable& slots() { return slots_; }
  const NeighborLists& lists() const { return neighbors_; }
  // What hits are ordered by: a database keeps these rows.
  const std::byte* Row(SlotId slot) const { return rows_.ranking().Row(slot); }
  Graph& graph() { return graph_; }
  const Codec& codec() const { return rows_.ranking().codec; }
  EpochRegistry& epochs() { return epochs_; }
  const VectorCheck& check() const { return check_; }

  // labels: null for none of their own.
  Result<BatchReport> InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                 const LabelRows* labels, const BatchOptions& batch);
  Status Upsert(ExternalId id, VectorView vector);
  Result<BatchReport> UpsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                 const LabelRows* labels, const BatchOptions& batch);
  Status Upsert(ExternalId id, VectorView vector, std::span<const uint32_t> labels);
  Status SetLabels(ExternalId id, std::span<const uint32_t> labels);
  Result<std::vector<uint32_t>> Labels(ExternalId id) const;
  Status Delete(ExternalId id);
  Result<BatchReport> DeleteMany(std::span<const ExternalId> ids, const BatchOptions& batch);
  Status Clear(const BatchOptions& batch);
  Status Consolidate(const BatchOptions& batch);
  Result<size_t> Compact(const BatchOptions& batch);
  Status Refine(const BatchOptions& batch);
  Result<std::vector<Hit>> Search(VectorView query, const SearchOptions& options) const;
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work) const;
  Result<Pages> SearchPages(VectorView query, const SearchOptions& options) const;
  Status SearchMany(MatrixView queries, const SearchOptions& options,
                    const SearchManyOutput& output, const BatchOptions& batch) const;
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work) const;
  Result<Calibration> Calibrate(size_t k, double target, const BatchOptions& batch) {
    return calibrator_->Calibrate(k, target, batch);
  }
  std::optional<Calibration> CalibrationFor(size_t k, double target) const {
    return calibrator_->Find(k, target);
  }
  // nullopt: no live point has this id.
  std::optional<SlotId> LiveSlotOf(ExternalId id) const;
  bool Contains(ExternalId id) const { return LiveSlotOf(id).has_value(); }
  Status ContainsMany(std::span<const ExternalId> ids, std::span<uint8_t> contained) const;
  Status Get(ExternalId id, MutableVectorView vector) const;
  Result<BatchReport> GetMany(std::span<const ExternalId> ids, MutableMatrixView rows,
                              const BatchOptions& batch) const;
  Result<std::vector<ExternalId>> Ids() const;
  IndexStats Stats() const;
  IndexDiagnostics Diagnostics() const;
  Status CheckStructure() const;

  Status Save(const std::filesystem::path& path, const BatchOptions& batch,
              const SaveOptions& options);
  Status SaveTo(const ByteSink& sink, const BatchOptions& batch);
  Status SaveWithoutVectors(const std::filesystem::path& path, const BatchOptions& batch,
                            const SaveOptions& options);
  Status SaveToFeatures(const std::filesystem::path& path, FeatureStore& to,
                        const BatchOptions& batch, const SaveOptions& options);
  static Result<Index> Load(const std::filesystem::path& path, const LoadOptions& options);
  static Result<Index> LoadWithFeatures(const std::filesystem::path& path,
                                        std::unique_ptr<FeatureStore> store,
                                        const LoadOptions& options);
  // About what a point takes (EstimateBytes).
  static Result<uint64_t> BytesPerPoint(const IndexOptions& options);
  static Result<Index> LoadFrom(const ByteSource& source, const LoadOptions& options);
  Result<GraphImage> Export(bool dynamic);
  Status Import(const GraphImage& image, const BatchOptions& batch);

  const IndexOptions& options() const { return options_; }
  const CentreRenewal& renewal() const { return renewal_; }
  size_t size() const { return slots_.live(); }

 private:
  static Result<Index> Make(const IndexOptions& options, std::unique_ptr<FeatureStore> store,
                            ChangeObserver* observer);
  // InvalidArgument: null, or not of the options' rows.
  static Status CheckStore(const IndexOptions& options, const FeatureStore* store);
  void OnReturn(SlotId slot) override;
  std::optional<OwnedSlot> AcquireSlot();
  // Writes all rows of a slot that the caller owns, and its id. Errors are the feature store's.
  Status WritePoint(SlotId slot, ExternalId id, VectorView vector);
  // A slot with this row and this id, reserved in the id map.
  Result<OwnedSlot> Reserve(ExternalId id, VectorView vector);
  Result<PreparedInsert> PrepareNew(ExternalId id, VectorView vector);
  Result<PreparedInsert> PrepareReplacement(ExternalId id, VectorView vector);
  Result<PreparedInsert> LinkOut(PreparedInsert prepared);
  Status CommitAtOnce(PreparedInsert prepared);
  void RenewList(PreparedInsert& prepared, Operation& op);
  SlotId Publish(PreparedInsert& prepared);
  Status CommitNew(PreparedInsert& prepared, EpochRegistry::Guard& guard);
  Status CommitReplacement(PreparedInsert& prepared, EpochRegistry::Guard guard);
  void Withdraw(SlotId p, ExternalId id);
  friend class PreparedInsert;
  void Undo(PreparedInsert& prepared);
  // Links a live point in; `met`: by LinkOut. An error is one of a fetch: then the point has a
  // parent, and is to be deleted.
  Status LinkPublished(SlotId p, const SeedsMet& met, EpochRegistry::Guard& guard);

  // A search that is checked.
  Result<size_t> Run(VectorView query, const SearchPlan& plan, std::span<ExternalId> ids,
                     std::span<float> distances, WorkCounters* work) const;
  class Calibrated;  // The index as what is calibrated.
  std::unique_ptr<CalibrationSubject> MakeCalibrated() const;

  // Decodes the vector to `out`, of the index's dimension and type.
  Status CopyVector(ExternalId id, MutableVectorView out) const;
  // Not more than kMaxLabels. InvalidArgument.
  static Status CheckLabelCount(std::span<const uint32_t> labels);
  // Gives a prepared point its labels.
  Status Label(PreparedInsert& prepared, std::span<const uint32_t> labels);
  // Likewise of a live point, under `guard`.
  Status CopyVector(FeatureKey key, MutableVectorView out, EpochRegistry::Guard& guard) const;
  // Of the rows in memory.
  void CopyRow(SlotId slot, MutableVectorView out) const {
    const Representation rows = rows_.ranking();
    rows.codec.Decode(rows.Row(slot), out);
  }
  // Orders what the last search has ranked by the rerank rows.
  Status RerankFor(VectorView query, Operation& op) const;
  // Ranks the nearest of the last search, by the rerank rows if there are any: `ranked` of them, or
  // as many more as may be hits (rerank.h). False: the codes do not tell.
  struct Ranking {
    size_t k, ranked;
    size_t wanted;  // SearchOptions::rerank: then no more of them.
  };
  Result<bool> Rank(VectorView query, const Ranking& ranking, Operation& op) const;
  // Searches anew, by the vectors.
  void SearchExactly(VectorView query, size_t list_size, SlotId left_out, Operation& op) const;
  // Orders what the last range search has found by the vectors of the feature store, and drops what
  // is not within the radius.
  Status RerankWithin(VectorView query, float radius, Operation& op) const;
  size_t CollectHits(size_t k, std::span<ExternalId> ids, std::span<float> distances,
                     Scratch& scratch) const;
  // Of what the last range search has found, each id once.
  std::vector<Hit> CollectWithin(Scratch& scratch) const;
  // Search with a filter; the arguments but that were checked.
  struct SearchOutput {
    std::span<ExternalId> ids;
    std::span<float> distances;
    WorkCounters* work;
  };
  FilteredRowBytes FilteredRows() const;
  // Plans it (filtered_search.h); returns its list size.
  size_t Plan(const Representation& rows, const FilteredSearchOptions& search, Operation& op) const;
  bool FindFiltered(VectorView query, const Representation& rows, const FilterNode& filter,
                    size_t list_size, Operation& op) const;
  Result<size_t> SearchFiltered(VectorView query, const SearchOptions& options,
                                const SearchOutput& output) const;
  // With max_per_label; likewise.
  Result<size_t> SearchDiverse(VectorView query, const SearchOptions& options,
                               const SearchOutput& output) const;
  class PageHost;
  class IndexPages;
  Result<size_t> NextPage(PagedSearch& pages, const SearchOutput& output) const;
  void FindWithinFiltered(const Representation& rows, const Scorer& scorer, size_t list_size,
                          const RangeOptions& options, Operation& op) const;
  // Before the mark, or PUB.1 of the id's next slot. It reads first: all searches read the flag.
  void NoteThatAnIdLeaves() {
    if (!any_left_.load(std::memory_order_relaxed))
      any_left_.store(true, std::memory_order_relaxed);
  }

  // Under the id's entry.
  template <class... Args>
  void Tell(void (ChangeObserver::*change)(uint64_t, ExternalId, Args...) noexcept, ExternalId id,
            Args... slots) {
    if (observer_ != nullptr)
      (observer_->*change)(sequence_.fetch_add(1, std::memory_order_relaxed) + 1, id, slots...);
  }

  // Delete without the repair.
  Status MarkForRepair(ExternalId id);
  // Likewise, where there is room in the queue of repairs. False: the id is not there.
  bool MarkReserved(ExternalId id);
  // Whether a writer that has deleted a point takes a pending repair.
  bool WritersRepair() const {
    if (options_.runtime.repair == RepairPolicy::kBackground)
      return repairs_.size() > kMaxPending + size() / kPendingShare;
    return options_.runtime.repair == RepairPolicy::kImmediate;
  }
  static constexpr size_t kMaxPending = 64;
  static constexpr size_t kPendingShare = 4;
  void AfterDelete(EpochRegistry::Guard first);
  // After so many failures in a row, several for each pending repair, there is no memory.
  static size_t MaxFailures(size_t pending) { return 64 + 4 * pending; }
  // Repairs what was taken from the queue, and puts it back unless that is done.
  Graph::Repaired RepairTaken(const PendingRepair& repair, EpochRegistry::Guard& guard);
  // False: the system refuses even one thread.
  bool StartRepairers();
  void RepairInBackground();
  Result<bool> MoveAllDown(const BatchOptions& batch, int pass);
  bool CopyPoint(SlotId from, SlotId to, Operation& op);
  bool MoveDown(SlotId from);
  bool Relocate(SlotId from, OwnedSlot slot, EpochRegistry::Guard& guard);
  SlotId MoveTo(OwnedSlot& slot, SlotId from, Operation& op);
  void Trim();
  void PunchHoles();

  // The points of one instant: the slots that were mapped and live. They stay readable under a
  // guard that was pinned before. `positions`: of each slot in `slots`; kNoSlot: it is not there.
  struct SnapshotPoints {
    std::vector<SlotId> slots;
    std::vector<uint32_t> positions;
    uint32_t PositionOf(SlotId slot) const {
      return slot < positions.size() ? positions[slot] : kNoSlot;
    }
  };
  std::vector<SlotId> SnapshotSlots() const;
  static SnapshotPoints Position(std::vector<SlotId> slots);
  std::vector<SeedSet> SnapshotSeedSets(const SnapshotPoints& points);
  static Status AnchorLost(SnapshotWriter& writer, const SnapshotHeader& header,
                           std::vector<SnapshotAnchor>& anchors);
  // Replaces `list` by the positions of the points that u, a snapshot point or the start point, has
  // edges to now, in the order of its row. An error is one of a fetch.
  Status SnapshotList(SlotId u, const SnapshotPoints& points, EpochRegistry::Guard& guard,
                      std::vector<uint32_t>& list);
  // The out-neighbour of `lost`, which is no snapshot point, that is one, is nearest to u, and is
  // neither u nor in `list`. kNoSlot: there is none.
  uint32_t PointBehind(SlotId lost, SlotId u, const SnapshotPoints& points,
                       std::span<const uint32_t> list, Operation& op);
  uint32_t Medoid(const SnapshotPoints& points);
  // Of a point's rows in memory, by both codes. May throw bad_alloc.
  static Result<uint64_t> RowBytes(const IndexOptions& options);
  enum class SavedVectors : uint8_t { kInFile, kInStore };
  struct SnapshotForm {
    SavedVectors vectors = SavedVectors::kInFile;
    SaveOptions options = {};
    const ByteSink* sink = nullptr;  // Null for the writer's own file.
    FeatureStore* to = nullptr;      // Of kInStore: null for the index's own.
  };
  Status CheckListCodes(const SaveOptions& options) const;
  // `slots` so that points follow each other to which lists lead from one point.
  std::vector<SlotId> InOrderOfNeighbors(const std::vector<SlotId>& slots) const;
  // Puts the vectors of points to their positions in another store.
  Status PutVectors(const SnapshotPoints& points, FeatureStore& to, EpochRegistry::Guard& guard,
                    const BatchOptions& batch);
  Status WriteSnapshot(Result<SnapshotWriter> writer, const SnapshotForm& form,
                       const BatchOptions& batch);
  static Result<Index> LoadOf(const Result<SnapshotReader>& reader, const LoadOptions& options,
                              std::unique_ptr<FeatureStore> store);
  class Loader;
  class Restorer;
  // Of points in these slots: each has its vector in the feature store, and it is that of its code.
  // InvalidArgument, which names `file`. Errors of the store.
  Status CheckStoredVectors(std::span<const SlotId> points, const std::filesystem::path& file,
                            const BatchOptions& batch);
  bool HasCodeOf(VectorView vector, SlotId slot, std::byte* code);

  // Makes a start point if there is none.
  Status EnsureStart();

  // --- The code's centre (index_centre.cc).

  // A vector has been encoded.
  void NoteVector(VectorView vector);
  void BeginAtMeanOf(MatrixView sample);
  // After Load, which may have begun in the middle of a renewal.
  void ResumeRenewal();
  void BeginRenewal();
  void EnterPhase(CentreRenewal::Phase phase, const EpochRegistry::Guard& guard)
      SHOAL_REQUIRES(renewal_.stepping);
  bool StepRenewal();
  bool StepRenewalLocked() SHOAL_REQUIRES(renewal_.stepping);
  bool ClearSome() SHOAL_REQUIRES(renewal_.stepping);
  bool RenewSome();
  void AfterWrite();
  void MoveAllToNewCentre(const BatchOptions& batch);
  void FinishRenewal();
  bool MoveToNewCentre(SlotId from);
  // Encodes the row of a prepared insert anew if the centre has changed. Errors are the feature
  // store's.
  Status RefreshRow(PreparedInsert& prepared, Operation& op);
  // Encodes the traversal row of a slot that the caller owns from its vector.
  Status Recode(SlotId slot, Operation& op);
  // Of every live point the row is of a set that is alive.
  Status CheckSets() const;

  Status CheckRows(std::span<const ExternalId> ids, MatrixView rows, const LabelRows* labels) const;
  std::vector<uint8_t> KnownIds(std::span<const ExternalId> ids);
  std::vector<uint32_t> DeleteOrder(std::span<const ExternalId> ids);
  std::vector<SlotId> LiveSlots() const;
  Status CheckIds() const;

  // Constant after construction.
  const IndexOptions options_;
  ChangeObserver* const observer_;

  // Own synchronisation.
  PointRows rows_;  // Before epochs_: scratch has readers of its feature store.
  MemoryBudget budget_;
  EpochRegistry epochs_{&budget_};
  const VectorCheck check_;  // Of vectors that come from outside.
  NeighborLists neighbors_;
  SlotTable slots_;
  mutable IdMap ids_;  // A look-up locks it.
  Graph graph_;

  RepairQueue repairs_{budget_};
  CentreRenewal renewal_{options_.metric, rows_.centred() == nullptr ? 0 : options_.dim};

  std::atomic<uint64_t> outstayed_{0};  // The epoch that an insert at the limit waited for in vain.
  Mutex starting_;                      // Held to make the start point.
  Mutex trimming_;  // Held to give memory of slots back, and to lock all lists in turn.
  std::atomic<uint64_t> sequence_{0};  // Of the last change that was told.
  std::atomic<uint64_t> commits_{0};   // Inserts and upserts that were published.
  // Whether an id ever left a slot, by a Delete, an Upsert or a Compact: then a search may meet it
  // in two slots.
  std::atomic<bool> any_left_{false};
  mutable std::atomic<size_t> unreachable_{0};  // Found by the last CheckStructure.

  std::vector<std::thread> repairers_;  // kBackground; joined by the destructor.

  // Own synchronisation. Last: a thread of it searches.
  const std::unique_ptr<CalibrationSubject> calibrated_;
  const std::unique_ptr<Calibrator> calibrator_;
};

}  // namespace shoal
