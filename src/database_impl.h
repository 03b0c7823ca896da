// The wiring of a database: the engine in memory in front of LMDB.
//
// docs/database.md has the protocol (commit, pass, slot reuse), tests/models/commit.pml its model.
// Locks, in the order in which they are taken: an id's mark (BusyIds); passes; the commit lock;
// LMDB's writer lock; then those of the engine.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/long_work.h"
#include "codec/make_codec.h"
#include "db/disk_graph.h"
#include "db/environment.h"
#include "db/log_run.h"
#include "db/map_features.h"
#include "index_impl.h"
#include "shoal/database.h"

namespace shoal {

class DatabaseImpl;

// Ids that a writer has, until its call or its transaction ends. A call waits for calls alone,
// which end by themselves, and a transaction for nothing: so no two wait for each other.
class BusyIds {
 public:
  // False: a call or another transaction has it.
  bool TakeForTransaction(ExternalId id) {
    const std::lock_guard lock(mutex_);
    return ids_.try_emplace(id, Owner::kTransaction).second;
  }
  // False: a transaction has it.
  bool TakeForCall(ExternalId id) {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto [at, taken] = ids_.try_emplace(id, Owner::kCall);
      if (taken) return true;
      if (at->second == Owner::kTransaction) return false;
      changed_.wait(lock);
    }
  }
  void Release(ExternalId id) {
    const std::lock_guard lock(mutex_);
    ids_.erase(id);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  enum class Owner : uint8_t { kCall, kTransaction };
  std::unordered_map<ExternalId, Owner> ids_;
};

// What the writer knows of the disk, one byte a slot: the bits, not the tags, say what is there.
class SlotLedger final : public ReuseGate {
 public:
  enum Bits : uint8_t {
    kOnDisk = 1,
    kDead = 2,    // On disk, and dead there.
    kQueued = 4,  // In a change that is not committed yet.
    kKept = 8,    // All readers have left it, and it waits for TakeFree.
  };
  // Slots of which nothing is known to the disk may be used again; others are kept.
  bool MayReuse(SlotId slot) override;

  uint8_t Get(SlotId slot) const {
    const std::lock_guard lock(mutex_);
    return slot < bits_.size() ? bits_[slot] : 0;
  }
  bool IsOnDisk(SlotId slot) const { return (Get(slot) & kOnDisk) != 0; }
  // Room for slots below `slots`: Set of them finds memory.
  void Reserve(SlotId slots) {
    const std::lock_guard lock(mutex_);
    ReserveLocked(slots);
  }
  void Set(SlotId slot, unsigned add, unsigned remove);
  // Drops words whose slots are not on disk. Returns how many are left.
  size_t KeepOnDisk(SlotId* words, size_t n) const;
  std::vector<uint8_t> Copy() const {
    const std::lock_guard lock(mutex_);
    return bits_;
  }
  // Slots that are kept and dead on disk: a pass may leave them out.
  std::vector<SlotId> Releasable() const;
  // Of the kept slots of which nothing is known any more those that lie in a block with so many of
  // them: its caller must release them.
  std::vector<SlotId> TakeFree(uint32_t slots_per_block, uint32_t least);

 private:
  void ReserveLocked(SlotId slots);

  mutable std::mutex mutex_;
  std::vector<uint8_t> bits_;
};

// Which points are anchored where, so that no point anchors too many.
class AnchorTree {
 public:
  static constexpr size_t kMost = 64;
  // `anchor`, or where it anchors as many as it may, a point that is anchored there and usable.
  template <class Usable>
  SlotId Choose(SlotId anchor, SlotId point, const Usable& usable) const {
    for (;;) {
      const auto found = children_.find(anchor);
      if (found == children_.end() || found->second.size() < kMost) return anchor;
      const std::vector<SlotId>& children = found->second;
      size_t tried = 0;
      SlotId next = kNoSlot;
      for (; tried < children.size() && next == kNoSlot; ++tried) {
        const SlotId child = children[(point + tried) % children.size()];
        if (child != point && usable(child)) next = child;
      }
      if (next == kNoSlot) return anchor;
      anchor = next;
    }
  }
  void Add(SlotId anchor, SlotId point) { children_[anchor].push_back(point); }
  void Clear() { children_.clear(); }

 private:
  std::unordered_map<SlotId, std::vector<SlotId>> children_;
};

// A change of one id: a point comes, a point goes, or both.
struct SlotChange {
  StoredIndexImpl* index = nullptr;
  SlotId inserted = kNoSlot;
  SlotId killed = kNoSlot;
};

class StoredIndexImpl {
 public:
  // What an index is made of.
  struct Parts {
    Index index;
    MapFeatures* features;  // The index's; null: its vectors are in memory.
  };
  StoredIndexImpl(DatabaseImpl& owner, IndexRecord on_disk, Parts parts)
      : database(owner),
        name(on_disk.name),
        number(on_disk.number),
        record(std::move(on_disk)),
        index(std::move(parts.index)),
        engine(IndexImpl::Of(index)),
        features(parts.features),
        codec(MakeCodec(Code::kFull, record.options.scalar_type, record.options.metric,
                        record.options.dim)),
        geometry(record.options, codec->row_bytes()) {
    codec->RaiseMaxNormSq(record.max_norm_sq);
    if (features != nullptr) features->SetIndex(number);
  }

  Status Write(ExternalId id, VectorView vector, Replacing replacing);
  // The engine's; where its memory is used up it gets all free slots first. May throw bad_alloc.
  Result<PendingPoint> InsertPending(ExternalId id, VectorView vector, Replacing replacing);
  // Gives kept slots that nothing names any more to the engine: those of blocks of rows with many
  // of them, so that commits write few blocks; or all. May throw bad_alloc, and does nothing then.
  enum class Free : uint8_t { kByBlock, kAll };
  void FreeSlots(Free which);
  Status Submit(const SlotChange& change);
  Status Delete(ExternalId id);

  DatabaseImpl& database;
  const std::string name;
  const uint32_t number;
  IndexRecord record;  // As on disk. Under the commit lock.
  BusyIds busy;
  SlotLedger ledger;
  // After the ledger, which it asks. Its destructor runs first.
  Index index;
  IndexImpl& engine;
  MapFeatures* const features;         // Null: vectors are in memory.
  const std::unique_ptr<Codec> codec;  // Of the rows on disk.
  const BlockGeometry geometry;

  // The row that a point has, or will have, on disk. Under the commit lock; of the start, or of a
  // point of the commit under way, or where vectors are in memory.
  void CopyRow(SlotId slot, std::byte* out) const;

  // Under the commit lock.
  AnchorTree anchors;
  struct LoggedAnchor {
    uint64_t commit;
    DiskAnchor anchor;
  };
  std::vector<LoggedAnchor> logged_anchors;
  std::atomic<uint64_t> changes = 0;  // Since the last pass began. Written under the commit lock.
};

// The commit lock: one commit, or one step of a pass, at a time. Held from native() on.
class CommitLock {
 public:
  void Lock() {
    std::unique_lock lock(mutex_);
    free_.wait(lock, [this] { return owner_ == std::thread::id(); });
    owner_ = std::this_thread::get_id();
  }
  void Unlock() {
    const std::lock_guard lock(mutex_);
    owner_ = {};
    free_.notify_one();
  }
  bool IsMine() const {
    const std::lock_guard lock(mutex_);
    return owner_ == std::this_thread::get_id();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable free_;
  std::thread::id owner_;
};

class CommitLockHolder {
 public:
  explicit CommitLockHolder(CommitLock& lock) : lock_(lock) { lock_.Lock(); }
  ~CommitLockHolder() { lock_.Unlock(); }
  CommitLockHolder(const CommitLockHolder&) = delete;

 private:
  CommitLock& lock_;
};

class DatabaseImpl {
 public:
  static Result<std::shared_ptr<DatabaseImpl>> Open(const std::filesystem::path& path,
                                                    const DatabaseOptions& options);
  ~DatabaseImpl();

  Result<StoredIndexImpl*> CreateIndex(std::string_view name, const IndexOptions& options);
  Result<StoredIndexImpl*> OpenIndex(std::string_view name, const LoadOptions& options);
  Result<std::vector<std::string>> IndexNames();

  // Commits the changes, together with those of other threads. When it returns OK they are on disk,
  // and the bits are set. Throws nothing.
  Status Commit(std::span<const SlotChange> changes);
  // Likewise, in this transaction, under the commit lock.
  Status CommitIn(WriteTxn txn, std::span<const SlotChange> changes);
  // kInterval: they commit later. Throws nothing.
  Status Queue(const SlotChange& change);
  Status Flush();
  Status PassAll(const BatchOptions& batch);
  // kChanges: nothing is done where no point came or went since the last one.
  enum class PassOver : uint8_t { kChanges, kAllLists };
  Status Pass(StoredIndexImpl& index, PassOver over = PassOver::kChanges);
  // Likewise, in some PassSteps of `work`. Cancelled: nothing is changed.
  Status Pass(StoredIndexImpl& index, PassOver over, LongWork& work);
  static size_t PassSteps(const StoredIndexImpl& index);
  Status Refine(StoredIndexImpl& index, const BatchOptions& batch);
  Status ChangeCode(std::string_view name, Code code);
  Status MergeRuns(StoredIndexImpl& index);
  Result<DatabaseStats> Stat();
  Status Backup(const std::filesystem::path& path, bool compact, const BatchOptions& batch);

  const DatabaseOptions& options() const { return options_; }
  Environment& environment() { return *environment_; }
  CommitLock& commit_lock() { return commit_lock_; }
  // A transaction that this thread waits for while it holds the commit lock would never end.
  Status MayWait() const;

 private:
  DatabaseImpl(const DatabaseOptions& options, WriterLock lock,
               std::shared_ptr<Environment> environment)
      : options_(options), writer_lock_(std::move(lock)), environment_(std::move(environment)) {}
  struct Request {
    std::span<const SlotChange> changes;
    Status result;
    bool done = false;
  };
  struct IndexChanges;
  class Passer;

  Status CommitBatch(std::span<Request* const> requests);
  Status WriteChanges(WriteTxn& txn, std::span<const SlotChange> changes,
                      std::vector<IndexChanges>& written);
  Status WriteIndex(WriteTxn& txn, IndexChanges& changes);
  bool IsLoad(const IndexChanges& changes) const;
  Status WriteLoad(WriteTxn& txn, IndexChanges& changes);
  Status WriteLog(WriteTxn& txn, IndexChanges& changes);
  Status WriteRows(WriteTxn& txn, const IndexChanges& changes);
  SlotId AnchorOf(const IndexChanges& changes, SlotId slot, std::span<const SlotId> list,
                  const std::unordered_set<SlotId>& anchored) const;
  static void ReserveBits(IndexChanges& changes);
  void SetBits(std::vector<IndexChanges>& written) noexcept;
  Status CommitQueued();
  bool IsPassDue(const StoredIndexImpl& index) const;
  void WakePasser();
  void RunCommitter();
  void RunPasses();
  Status RemoveLeftovers(StoredIndexImpl& index);
  Result<StoredIndexImpl::Parts> MakeIndex(const IndexOptions& options);
  StoredIndexImpl* OpenAlready(std::string_view name);
  std::vector<StoredIndexImpl*> AllOpen();

  const DatabaseOptions options_;
  const WriterLock writer_lock_;
  const std::shared_ptr<Environment> environment_;

  std::mutex opening_;
  std::mutex indexes_mutex_;
  std::map<std::string, std::unique_ptr<StoredIndexImpl>, std::less<>> indexes_;

  CommitLock commit_lock_;
  std::mutex pass_mutex_;
  std::atomic<uint64_t> passes_{0};
  std::atomic<bool> pass_due_{false};

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::vector<Request*> requests_;
  bool leading_ = false;
  std::vector<SlotChange> gathered_;  // kInterval.
  Status broken_;                     // A commit left the live indices and the file apart.

  std::mutex upkeep_mutex_;
  std::condition_variable upkeep_;
  bool pass_wanted_ = false;
  bool closing_ = false;
  std::thread committer_, passer_;
};

// Records of all indexes, and one by name.
Status EachIndexRecord(const ReadTxn& txn, const std::function<Status(IndexRecord)>& visit);
Result<IndexRecord> FindIndexRecord(const ReadTxn& txn, std::string_view name);

}  // namespace shoal
