// Writes to a database: single calls, and transactions.
#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/mismatch.h"
#include "database_impl.h"
#include "db/records.h"
#include "index_batch.h"

namespace shoal {
namespace {

tl::unexpected<Error> Conflict(ExternalId id) {
  return MakeError(ErrorCode::kConflict,
                   "id " + std::to_string(id) + ": an open transaction has written it");
}

// An id's mark, for a call of its own.
class Mark {
 public:
  Mark(BusyIds& busy, ExternalId id) : busy_(busy), id_(id), taken_(busy.TakeForCall(id)) {}
  ~Mark() {
    if (taken_) busy_.Release(id_);
  }
  Mark(const Mark&) = delete;
  bool taken() const { return taken_; }

 private:
  BusyIds& busy_;
  const ExternalId id_;
  const bool taken_;
};

}  // namespace

// The change is committed, or gathered for the next commit. Throws nothing.
Status StoredIndexImpl::Submit(const SlotChange& change) {
  if (database.options().sync != SyncLevel::kInterval) return database.Commit({&change, 1});
  try {
    if (change.inserted != kNoSlot) ledger.Set(change.inserted, SlotLedger::kQueued, 0);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
  Status queued = database.Queue(change);
  if (!queued && change.inserted != kNoSlot) ledger.Set(change.inserted, 0, SlotLedger::kQueued);
  return queued;
}

Status StoredIndexImpl::Write(ExternalId id, VectorView vector, Replacing replacing) {
  if (Status ok = database.MayWait(); !ok) return ok;
  try {
    const Mark mark(busy, id);
    if (!mark.taken()) return Conflict(id);
    const Result<PendingPoint> point = InsertPending(id, vector, replacing);
    if (!point) return tl::unexpected(point.error());
    SlotChange change;
    change.index = this;
    change.inserted = point->slot;
    if (point->replaces) change.killed = engine.LiveSlotOf(id).value_or(kNoSlot);
    Status submitted = Submit(change);
    if (submitted) {
      engine.MakeLive(*point);
    } else {
      engine.Abort(*point);
    }
    return submitted;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Status StoredIndexImpl::Delete(ExternalId id) {
  if (Status ok = database.MayWait(); !ok) return ok;
  try {
    const Mark mark(busy, id);
    if (!mark.taken()) return Conflict(id);
    const std::optional<SlotId> slot = engine.LiveSlotOf(id);
    if (!slot) return NotFound(id);
    if (!engine.ReserveDelete()) return OutOfMemory(index.options(), "repairs");
    SlotChange change;
    change.index = this;
    change.killed = *slot;
    Status submitted = Submit(change);
    if (submitted) {
      engine.DeleteReserved(id);
    } else {
      engine.UnreserveDelete();
    }
    return submitted;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

const Index& StoredIndex::live() const { return impl_->index; }
const std::string& StoredIndex::name() const { return impl_->name; }
Status StoredIndex::Insert(ExternalId id, VectorView vector) {
  return impl_->Write(id, vector, Replacing::kNo);
}
Status StoredIndex::Upsert(ExternalId id, VectorView vector) {
  return impl_->Write(id, vector, Replacing::kYes);
}
Status StoredIndex::Delete(ExternalId id) { return impl_->Delete(id); }

class TransactionImpl {
 public:
  explicit TransactionImpl(std::shared_ptr<DatabaseImpl> database)
      : database_(std::move(database)) {}
  ~TransactionImpl() { Abort(); }
  TransactionImpl(const TransactionImpl&) = delete;

  Status Write(StoredIndexImpl& index, ExternalId id, VectorView vector, Replacing replacing);
  Status Delete(StoredIndexImpl& index, ExternalId id);
  Result<BatchReport> WriteMany(StoredIndexImpl& index, std::span<const ExternalId> ids,
                                MatrixView rows, Replacing replacing, const BatchOptions& batch);
  Status ChangeRecord(std::string_view table, std::string_view key,
                      std::optional<std::string_view> value);
  Result<MDB_txn*> native();
  Status Commit();
  void Abort();

 private:
  // What the transaction has done to one id.
  struct Written {
    std::optional<PendingPoint> point;
    bool deleted = false;  // The live point goes, whatever comes: ReserveDelete.
  };
  struct KeyOf {
    StoredIndexImpl* index;
    ExternalId id;
    bool operator==(const KeyOf&) const = default;
  };
  struct Hash {
    size_t operator()(const KeyOf& key) const {
      return std::hash<const void*>()(key.index) ^ (key.id * 0x9e3779b97f4a7c15u);
    }
  };
  using Writes = std::unordered_map<KeyOf, Written, Hash>;

  Result<Written*> Take(StoredIndexImpl& index, ExternalId id);
  void GiveBack(StoredIndexImpl& index, ExternalId id);
  bool IsThere(const StoredIndexImpl& index, ExternalId id, const Written& written) const {
    return written.point || (!written.deleted && index.engine.LiveSlotOf(id));
  }
  std::vector<SlotChange> Changes() const;
  Status WriteOwnRecords();
  void End();

  const std::shared_ptr<DatabaseImpl> database_;
  std::mutex mutex_;  // InsertMany's threads.
  Writes writes_;
  std::vector<RecordChange> records_;
  std::optional<WriteTxn> native_;
  Status failed_;  // It cannot commit any more.
};

// The id's mark is this transaction's, from now on until its end.
Result<TransactionImpl::Written*> TransactionImpl::Take(StoredIndexImpl& index, ExternalId id) {
  if (&index.database != database_.get())
    return Invalid("index", "one of the transaction's database", "another database's");
  const std::lock_guard lock(mutex_);
  const auto found = writes_.find({&index, id});
  if (found != writes_.end()) return &found->second;
  if (!index.busy.TakeForTransaction(id)) return Conflict(id);
  try {
    return &writes_[{&index, id}];  // Its address stays.
  } catch (const std::bad_alloc&) {
    index.busy.Release(id);
    return NoMemory();
  }
}

// After a call that has changed nothing.
void TransactionImpl::GiveBack(StoredIndexImpl& index, ExternalId id) {
  const std::lock_guard lock(mutex_);
  const auto found = writes_.find({&index, id});
  if (found->second.point || found->second.deleted) return;
  writes_.erase(found);
  index.busy.Release(id);
}

Status TransactionImpl::Write(StoredIndexImpl& index, ExternalId id, VectorView vector,
                              Replacing replacing) {
  const Result<Written*> taken = Take(index, id);
  if (!taken) return tl::unexpected(taken.error());
  Written& written = **taken;
  if (replacing == Replacing::kNo && IsThere(index, id, written)) {
    GiveBack(index, id);
    return MakeError(ErrorCode::kAlreadyExists, "id " + std::to_string(id) + ": already there");
  }
  // A point that this transaction has written goes before another takes its id.
  const std::optional<PendingPoint> before = written.point;
  if (before) {
    if (Status valid = index.engine.check().Vector(vector, "vector"); !valid) return valid;
    index.engine.Abort(*before);
    written.point.reset();
  }
  const Result<PendingPoint> point = index.InsertPending(id, vector, Replacing::kYes);
  if (!point) {
    if (before) failed_ = tl::unexpected(point.error());  // Neither point is there now.
    GiveBack(index, id);
    return tl::unexpected(point.error());
  }
  written.point = *point;
  return {};
}

Status TransactionImpl::Delete(StoredIndexImpl& index, ExternalId id) {
  const Result<Written*> taken = Take(index, id);
  if (!taken) return tl::unexpected(taken.error());
  Written& written = **taken;
  if (!IsThere(index, id, written)) {
    GiveBack(index, id);
    return NotFound(id);
  }
  if (written.point) {
    index.engine.Abort(*written.point);
    written.point.reset();
  }
  if (!written.deleted && index.engine.LiveSlotOf(id)) {
    written.deleted = index.engine.ReserveDelete();
    if (!written.deleted) {
      GiveBack(index, id);
      return OutOfMemory(index.index.options(), "repairs");
    }
  }
  GiveBack(index, id);  // If it was its own point alone.
  return {};
}

Result<MDB_txn*> TransactionImpl::native() {
  if (native_) return native_->native();
  if (Status ok = database_->MayWait(); !ok) return tl::unexpected(ok.error());
  database_->commit_lock().Lock();
  Result<WriteTxn> txn = database_->environment().Write();
  if (!txn) {
    database_->commit_lock().Unlock();
    return tl::unexpected(txn.error());
  }
  native_.emplace(std::move(*txn));
  return native_->native();
}

std::vector<SlotChange> TransactionImpl::Changes() const {
  std::vector<SlotChange> changes;
  changes.reserve(writes_.size());
  for (const auto& [key, written] : writes_) {
    SlotChange change;
    change.index = key.index;
    if (written.point) change.inserted = written.point->slot;
    if (written.deleted || (written.point && written.point->replaces))
      change.killed = key.index->engine.LiveSlotOf(key.id).value_or(kNoSlot);
    changes.push_back(change);
  }
  return changes;
}

Status TransactionImpl::ChangeRecord(std::string_view table, std::string_view key,
                                     std::optional<std::string_view> value) {
  if (Status valid = CheckRecord(table, key); !valid) return valid;
  try {
    records_.push_back({std::string(table), std::string(key), std::nullopt});
    if (value) records_.back().value.emplace(*value);
    return {};
  } catch (const std::bad_alloc&) {
    failed_ = NoMemory();
    return failed_;
  }
}

// Records are written when the transaction commits: until then other threads commit, too.
Status TransactionImpl::WriteOwnRecords() {
  if (records_.empty()) return {};
  if (const Result<MDB_txn*> txn = native(); !txn) return tl::unexpected(txn.error());
  return WriteRecords(*native_, records_);
}

Status TransactionImpl::Commit() {
  Status committed = failed_;
  if (committed) committed = WriteOwnRecords();
  if (!committed) {
    Abort();
    return committed;
  }
  try {
    const std::vector<SlotChange> changes = Changes();
    if (native_) {
      if (!database_->commit_lock().IsMine())
        return Invalid("Commit", "the thread that called native()", "another");
      WriteTxn txn = std::move(*native_);
      native_.reset();
      committed = database_->CommitIn(std::move(txn), changes);
      database_->commit_lock().Unlock();
    } else if (!changes.empty()) {
      committed = database_->Commit(changes);
    }
  } catch (const std::bad_alloc&) {
    committed = NoMemory();
  }
  if (!committed) {
    Abort();
    return committed;
  }
  for (const auto& [key, written] : writes_) {
    if (written.point) {
      key.index->engine.MakeLive(*written.point);
      if (written.deleted) key.index->engine.UnreserveDelete();
    } else if (written.deleted) {
      key.index->engine.DeleteReserved(key.id);  // There: no other thread writes the id.
    }
  }
  End();
  return committed;
}

void TransactionImpl::Abort() {
  if (native_) {
    native_.reset();
    database_->commit_lock().Unlock();
  }
  for (const auto& [key, written] : writes_) {
    if (written.point) key.index->engine.Abort(*written.point);
    if (written.deleted) key.index->engine.UnreserveDelete();
  }
  End();
}

void TransactionImpl::End() {
  for (const auto& [key, written] : writes_) key.index->busy.Release(key.id);
  writes_.clear();
  records_.clear();
}

Result<BatchReport> TransactionImpl::WriteMany(StoredIndexImpl& index,
                                               std::span<const ExternalId> ids, MatrixView rows,
                                               Replacing replacing, const BatchOptions& batch) {
  if (ids.size() != rows.rows())
    return Invalid("ids", "one per row, " + std::to_string(rows.rows()),
                   std::to_string(ids.size()));
  constexpr size_t kGrain = 8;
  const char* const verb = replacing == Replacing::kYes ? "upsert" : "insert";
  try {
    std::vector<ExternalId> sorted(ids.begin(), ids.end());
    std::sort(sorted.begin(), sorted.end());
    BatchOptions options = batch;
    // What the transaction has done to an id is one thread's at a time.
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) options.threads = 1;
    index.engine.NoteBatch(rows);
    return RunBatch({verb, rows.rows(), {}, kGrain}, options,
                    [&](size_t i) { return Write(index, ids[i], rows[i], replacing); });
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Transaction::Transaction(std::unique_ptr<TransactionImpl> impl) : impl_(std::move(impl)) {}
Transaction::Transaction(Transaction&&) noexcept = default;
Transaction::~Transaction() = default;

Status Transaction::Insert(const StoredIndex& index, ExternalId id, VectorView vector) {
  return impl_->Write(*index.impl_, id, vector, Replacing::kNo);
}
Status Transaction::Upsert(const StoredIndex& index, ExternalId id, VectorView vector) {
  return impl_->Write(*index.impl_, id, vector, Replacing::kYes);
}
Status Transaction::Delete(const StoredIndex& index, ExternalId id) {
  return impl_->Delete(*index.impl_, id);
}
Result<BatchReport> Transaction::InsertMany(const StoredIndex& index,
                                            std::span<const ExternalId> ids, MatrixView rows,
                                            const BatchOptions& batch) {
  return impl_->WriteMany(*index.impl_, ids, rows, Replacing::kNo, batch);
}
Result<BatchReport> Transaction::UpsertMany(const StoredIndex& index,
                                            std::span<const ExternalId> ids, MatrixView rows,
                                            const BatchOptions& batch) {
  return impl_->WriteMany(*index.impl_, ids, rows, Replacing::kYes, batch);
}
Status Transaction::PutRecord(std::string_view table, std::string_view key,
                              std::string_view value) {
  return impl_->ChangeRecord(table, key, value);
}
Status Transaction::DeleteRecord(std::string_view table, std::string_view key) {
  return impl_->ChangeRecord(table, key, std::nullopt);
}
Result<MDB_txn*> Transaction::native() { return impl_->native(); }
Status Transaction::Commit() { return impl_->Commit(); }
void Transaction::Abort() { impl_->Abort(); }

// A write transaction that changes nothing: LMDB wants tables to be opened by one at a time.
Result<std::vector<Record>> Database::Records(std::string_view table) const {
  if (Status ok = impl_->MayWait(); !ok) return tl::unexpected(ok.error());
  impl_->commit_lock().Lock();
  Result<std::vector<Record>> records;
  try {
    const Result<WriteTxn> txn = impl_->environment().Write();
    if (txn)
      records = ReadRecords(*txn, table);
    else
      records = tl::unexpected(txn.error());
  } catch (const std::bad_alloc&) {
    records = NoMemory();
  }
  impl_->commit_lock().Unlock();
  return records;
}

Result<Transaction> Database::Begin() {
  try {
    return Transaction(std::make_unique<TransactionImpl>(impl_));
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

}  // namespace shoal
