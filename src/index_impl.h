// The wiring of an index: which parts there are, in the order in which they depend on each other.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "codec/full_codec.h"
#include "graph/graph.h"
#include "graph/repair_queue.h"
#include "persist/graph_image.h"
#include "shoal/index.h"
#include "store/epoch.h"
#include "store/feature_store.h"
#include "store/id_map.h"
#include "store/neighbors.h"
#include "store/slot_table.h"

namespace shoal {

tl::unexpected<Error> OutOfMemory(const IndexOptions& options, const char* what);
tl::unexpected<Error> NotFound(ExternalId id);
// Of `total` of what `what` (a verb) does.
tl::unexpected<Error> Cancelled(const char* what, size_t done, size_t total);

class IndexImpl {
 public:
  explicit IndexImpl(const IndexOptions& options);
  ~IndexImpl();
  static Result<Index> Create(const IndexOptions& options);
  static IndexImpl& Of(const Index& index) { return *index.impl_; }

  Status Insert(ExternalId id, VectorView vector);
  Result<InsertReport> InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                  const BatchOptions& batch);
  Status Upsert(ExternalId id, VectorView vector);
  Status Delete(ExternalId id);
  Result<DeleteReport> DeleteMany(std::span<const ExternalId> ids, const BatchOptions& batch);
  Status Clear(const BatchOptions& batch);
  Status Consolidate(const BatchOptions& batch);
  Result<size_t> Compact(const BatchOptions& batch);
  Status Refine(const BatchOptions& batch);
  Status ValidateShape(MatrixView rows, const char* what) const {
    return codec_.ValidateShape(rows, what);
  }
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work);
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work);
  bool Contains(ExternalId id);
  Status Get(ExternalId id, void* vector);
  Result<std::vector<ExternalId>> Ids() const;
  IndexStats Stats() const;
  Status CheckStructure();

  Status Save(const std::filesystem::path& path, const BatchOptions& batch);
  static Result<Index> Load(const std::filesystem::path& path, const LoadOptions& options);
  Result<GraphImage> Export(bool dynamic);
  Status Import(const GraphImage& image, const BatchOptions& batch);

  const IndexOptions& options() const { return options_; }
  size_t size() const { return slots_.live(); }

 private:
  std::optional<OwnedSlot> AcquireSlot();
  // A slot with this row and this id, reserved in the id map.
  Result<OwnedSlot> Reserve(ExternalId id, VectorView vector);
  // Takes the reservation back, if it is still this slot's.
  void Unreserve(ExternalId id, SlotId slot);
  Status InsertReserved(ExternalId id, OwnedSlot slot);
  // Upsert of an id that is there.
  Status ReplaceExisting(ExternalId id, VectorView vector);
  // A live point's edges to it; `met`: by LinkOut.
  void LinkPublished(SlotId p, const SeedsMet& met, EpochRegistry::Guard& guard);

  size_t CollectHits(size_t k, std::span<ExternalId> ids, std::span<float> distances,
                     const Operation& op) const;
  // Before the mark, or PUB.1 of the id's next slot. Read first: all searches read it.
  void NoteThatAnIdLeaves() {
    if (!any_left_.load(std::memory_order_relaxed))
      any_left_.store(true, std::memory_order_relaxed);
  }

  // Delete without the repair that is due.
  Status MarkForRepair(ExternalId id);
  // Whether a writer repairs what it has deleted, or as much of what others have.
  bool WritersRepair() const {
    if (options_.repair == RepairPolicy::kBackground)
      return repairs_.size() > kMaxPending + size() / kPendingShare;
    return options_.repair == RepairPolicy::kImmediate;
  }
  static constexpr size_t kMaxPending = 64;
  static constexpr size_t kPendingShare = 4;
  void AfterDelete(EpochRegistry::Guard first);
  // Repairs that fail in a row, several of each that is due: then there is no memory.
  static size_t MostFailures(size_t due) { return 64 + 4 * due; }
  // Repairs what was taken from the queue; puts it back, unless that was wholly done.
  Graph::Repaired RepairTaken(const RepairQueue::Due& due, EpochRegistry::Guard& guard);
  // False: the system refuses even one thread.
  bool StartRepairers();
  void RepairInBackground();
  Result<bool> MoveAllDown(const BatchOptions& batch, int pass);
  bool MoveDown(SlotId from);
  SlotId MoveTo(OwnedSlot& slot, SlotId from, Operation& op);
  void Trim();
  void PunchHoles();

  // The points of one instant: each id is mapped to one of them, which was live. They stay readable
  // under a guard that is older. `positions`: that of a slot in `slots`; kNoSlot: in none.
  struct SnapshotPoints {
    std::vector<SlotId> slots;
    std::vector<uint32_t> positions;
    uint32_t PositionOf(SlotId slot) const {
      return slot < positions.size() ? positions[slot] : kNoSlot;
    }
  };
  std::vector<SlotId> SnapshotSlots() const;
  static SnapshotPoints Position(std::vector<SlotId> slots);
  void AppendEntries(const SnapshotPoints& points, std::vector<std::byte>& block);
  // Replaces `list` by the positions of the points that u, a member or the start point, points at
  // now, in the order of its row.
  void SnapshotList(SlotId u, const SnapshotPoints& points, EpochRegistry::Guard& guard,
                    std::vector<uint32_t>& list);
  // The member nearest to u that `lost`, no member, points at, and that is neither u nor in `list`.
  uint32_t PointBehind(SlotId lost, SlotId u, const SnapshotPoints& points,
                       std::span<const uint32_t> list, EpochRegistry::Guard& guard);
  uint32_t Medoid(const SnapshotPoints& points);
  Status WriteSnapshot(const std::filesystem::path& path, const BatchOptions& batch);
  class Loader;

  // Makes a start point if there is none.
  Status EnsureStart();
  std::vector<uint8_t> KnownIds(std::span<const ExternalId> ids);
  std::vector<uint32_t> DeleteOrder(std::span<const ExternalId> ids);
  std::vector<SlotId> LiveSlots() const;

  // Constant after construction.
  const IndexOptions options_;

  // Own synchronisation.
  MemoryBudget budget_;
  EpochRegistry epochs_{&budget_};
  FullCodec codec_;
  RamFeatureStore features_;
  NeighborLists neighbors_;
  SlotTable slots_;
  IdMap ids_;
  Graph graph_;

  RepairQueue repairs_{budget_};

  std::atomic<uint64_t> outstayed_{0};  // The epoch whose end an insert at the limit saw not come.
  Mutex starting_;                      // Held to make the first start point.
  Mutex trimming_;  // Held to give memory of slots back, and to walk all lists' locks.
  // Whether an id ever left a slot, by a Delete, an Upsert or a Compact: then a search may meet it
  // in two.
  std::atomic<bool> any_left_{false};
  // What the last CheckStructure found.
  std::atomic<size_t> unreachable_{0};

  std::vector<std::thread> repairers_;  // kBackground; joined by the destructor.
};

}  // namespace shoal
