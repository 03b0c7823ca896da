// Opening a database, its indexes, and upkeep. Writes: database_write.cc, database_commit.cc,
// database_pass.cc.
#include "shoal/database.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "base/mismatch.h"
#include "codec/full_codec.h"
#include "database_file.h"
#include "database_impl.h"

namespace shoal {
namespace {

Status CheckOptions(const DatabaseOptions& o) {
  constexpr auto kCode = ErrorCode::kInvalidArgument;
  for (const Status& checked :
       {CheckRange<uint32_t>(kCode, "interval_ms", o.interval_ms, 1, 3'600'000),
        CheckRange<uint64_t>(kCode, "max_bytes", o.max_bytes, 1 << 20, uint64_t{1} << 46),
        CheckRange<uint32_t>(kCode, "max_readers", o.max_readers, 2, 1 << 20),
        CheckRange<uint32_t>(kCode, "pass_percent", o.pass_percent, 1, 1000),
        CheckRange<uint32_t>(kCode, "least_changes", o.least_changes, 1, 1u << 30)})
    if (!checked) return checked;
  if (o.sync > SyncLevel::kNone)
    return Mismatch(kCode, "sync", "one of SyncLevel",
                    std::to_string(static_cast<unsigned>(o.sync)));
  if (o.vectors > DatabaseOptions::Vectors::kFile)
    return Mismatch(kCode, "vectors", "one of DatabaseOptions::Vectors",
                    std::to_string(static_cast<unsigned>(o.vectors)));
  return {};
}

// Deleted points that are not repaired would keep their slots for ever.
Status CheckRuntime(const RuntimeOptions& runtime) {
  if (runtime.repair != RepairPolicy::kManual) return {};
  return Invalid("repair", "kImmediate or kBackground", "kManual");
}

size_t RowBytes(const IndexOptions& options) {
  return FullCodec(options.scalar_type, options.metric, options.dim).row_bytes();
}

Status ReadFormat(const ReadTxn& txn, FormatRecord& format) {
  const auto value = txn.Get(Table::kMeta, FormatKey());
  if (!value) return tl::unexpected(value.error());
  if (value->empty()) return {};
  Result<FormatRecord> found = DecodeFormat(txn.environment().path().string(), *value);
  if (!found) return tl::unexpected(found.error());
  format = *found;
  return {};
}

}  // namespace

Status EachIndexRecord(const ReadTxn& txn, const std::function<Status(IndexRecord)>& visit) {
  const std::string file = txn.environment().path().string();
  return txn.Scan(Table::kMeta, IndexKey(0), IndexKey(UINT32_MAX),
                  [&](const Key& key, Bytes value) -> Status {
                    Result<IndexRecord> record = DecodeIndexRecord(file, key.words[1], value);
                    if (!record) return tl::unexpected(record.error());
                    return visit(std::move(*record));
                  });
}

Result<IndexRecord> FindIndexRecord(const ReadTxn& txn, std::string_view name) {
  std::optional<IndexRecord> found;
  const Status read = EachIndexRecord(txn, [&](IndexRecord record) -> Status {
    if (record.name == name) found = std::move(record);
    return {};
  });
  if (!read) return tl::unexpected(read.error());
  if (found) return std::move(*found);
  return MakeError(ErrorCode::kNotFound, txn.environment().path().string() + ": index \"" +
                                             std::string(name) + "\": not there");
}

Result<std::shared_ptr<DatabaseImpl>> DatabaseImpl::Open(const std::filesystem::path& path,
                                                         const DatabaseOptions& options) {
  if (Status ok = CheckOptions(options); !ok) return tl::unexpected(ok.error());
  std::error_code failed;
  if (!options.create && !std::filesystem::exists(path, failed))
    return MakeError(ErrorCode::kFileNotFound, path.string() + ": no such database");
  Result<WriterLock> lock = WriterLock::Take(path);
  if (!lock) return tl::unexpected(lock.error());
  Result<std::shared_ptr<Environment>> environment =
      Environment::Open(path, {.create = options.create,
                               .max_bytes = options.max_bytes,
                               .max_readers = options.max_readers});
  if (!environment) return tl::unexpected(environment.error());
  const auto commits = options.sync == SyncLevel::kNone ? Environment::Commits::kUnsynced
                                                        : Environment::Commits::kSynced;
  if (Status ok = (*environment)->SetCommits(commits); !ok) return tl::unexpected(ok.error());
  std::shared_ptr<DatabaseImpl> impl(
      new DatabaseImpl(options, std::move(*lock), std::move(*environment)));
  {
    // Not a read transaction: where a writer was killed in LMDB's commit while another process had
    // the file open, readers see that commit only once a write transaction has begun.
    const Result<WriteTxn> txn = impl->environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    FormatRecord format;
    if (Status ok = ReadFormat(*txn, format); !ok) return tl::unexpected(ok.error());
  }
  try {
    if (options.sync == SyncLevel::kInterval)
      impl->committer_ = std::thread([raw = impl.get()] { raw->RunCommitter(); });
    impl->passer_ = std::thread([raw = impl.get()] { raw->RunPasses(); });
  } catch (const std::system_error&) {
    return MakeError(ErrorCode::kOutOfMemory, path.string() + ": no thread");
  }
  return impl;
}

DatabaseImpl::~DatabaseImpl() {
  {
    const std::lock_guard lock(upkeep_mutex_);
    closing_ = true;
    upkeep_.notify_all();
  }
  if (committer_.joinable()) committer_.join();
  if (passer_.joinable()) passer_.join();
  (void)Flush();
}

void DatabaseImpl::RunCommitter() {
  std::unique_lock lock(upkeep_mutex_);
  while (!closing_) {
    upkeep_.wait_for(lock, std::chrono::milliseconds(options_.interval_ms),
                     [this] { return closing_; });
    lock.unlock();
    (void)CommitQueued();  // An error is what the next writer gets.
    lock.lock();
  }
}

// What fails is tried again when it is next due.
void DatabaseImpl::RunPasses() {
  std::unique_lock lock(upkeep_mutex_);
  for (;;) {
    upkeep_.wait(lock, [this] { return closing_ || pass_wanted_; });
    if (closing_) return;
    pass_wanted_ = false;
    lock.unlock();
    for (StoredIndexImpl* const index : AllOpen()) {
      commit_lock_.Lock();
      const bool due = IsPassDue(*index);
      commit_lock_.Unlock();
      (void)(due ? Pass(*index) : MergeRuns(*index));
    }
    lock.lock();
  }
}

std::vector<StoredIndexImpl*> DatabaseImpl::AllOpen() {
  const std::lock_guard lock(indexes_mutex_);
  std::vector<StoredIndexImpl*> all;
  all.reserve(indexes_.size());
  for (const auto& [name, index] : indexes_) all.push_back(index.get());
  return all;
}

StoredIndexImpl* DatabaseImpl::OpenAlready(std::string_view name) {
  const std::lock_guard lock(indexes_mutex_);
  const auto found = indexes_.find(name);
  return found == indexes_.end() ? nullptr : found->second.get();
}

Status DatabaseImpl::PassAll(const BatchOptions& batch) {
  if (Status ok = Flush(); !ok) return ok;
  const std::vector<StoredIndexImpl*> all = AllOpen();
  size_t steps = 0;
  for (const StoredIndexImpl* const index : all) steps += PassSteps(*index);
  LongWork work("pass", steps, batch);
  for (StoredIndexImpl* const index : all)
    if (Status ok = Pass(*index, PassOver::kChanges, work); !ok) return ok;
  work.End();
  return {};
}

Result<StoredIndexImpl::Parts> DatabaseImpl::MakeIndex(const IndexOptions& options) {
  if (options_.vectors == DatabaseOptions::Vectors::kMemory) {
    Result<Index> index = Index::Create(options);
    if (!index) return tl::unexpected(index.error());
    return StoredIndexImpl::Parts{std::move(*index), nullptr};
  }
  auto store =
      std::make_unique<MapFeatures>(environment_, BlockGeometry(options, RowBytes(options)),
                                    VectorView(nullptr, options.scalar_type, options.dim).bytes());
  MapFeatures* const features = store.get();
  Result<Index> index = IndexImpl::CreateWithFeatures(options, std::move(store));
  if (!index) return tl::unexpected(index.error());
  if (index->options().code == Code::kFull)
    return Invalid("code", "a code: the vectors are read in the file", "full");
  return StoredIndexImpl::Parts{std::move(*index), features};
}

Result<StoredIndexImpl*> DatabaseImpl::CreateIndex(std::string_view name,
                                                   const IndexOptions& options) {
  constexpr size_t kMaxName = 255;
  if (name.empty() || name.size() > kMaxName)
    return Invalid("name", "1 to 255 bytes", std::to_string(name.size()));
  if (Status ok = MayWait(); !ok) return tl::unexpected(ok.error());
  if (Status ok = CheckRuntime(options.runtime); !ok) return tl::unexpected(ok.error());
  const std::lock_guard opening(opening_);
  Result<StoredIndexImpl::Parts> parts = MakeIndex(options);
  if (!parts) return tl::unexpected(parts.error());
  const IndexOptions& resolved = parts->index.options();
  if (resolved.rerank_code != Code::kFull)
    return MakeError(ErrorCode::kUnsupported, "rerank_code: a database keeps full rows, found " +
                                                  std::string(CodeName(resolved.rerank_code)));
  IndexRecord record{.name = std::string(name), .options = resolved};
  {
    const CommitLockHolder lock(commit_lock_);
    Result<WriteTxn> txn = environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    const Result<IndexRecord> known = FindIndexRecord(*txn, name);
    if (known)
      return MakeError(ErrorCode::kAlreadyExists, environment_->path().string() + ": index \"" +
                                                      std::string(name) + "\": already there");
    if (known.error().code != ErrorCode::kNotFound) return tl::unexpected(known.error());
    FormatRecord format;
    Status ok = ReadFormat(*txn, format);
    record.number = format.next_index++;
    if (ok) ok = txn->Put(Table::kMeta, FormatKey(), EncodeFormat(format));
    if (ok) ok = txn->Put(Table::kMeta, IndexKey(record.number), EncodeIndexRecord(record));
    if (ok) ok = std::move(*txn).Commit();
    if (!ok) return tl::unexpected(ok.error());
  }
  auto impl = std::make_unique<StoredIndexImpl>(*this, std::move(record), std::move(*parts));
  impl->engine.slots().SetReuseGate(&impl->ledger);
  const std::lock_guard lock(indexes_mutex_);
  return (indexes_[std::string(name)] = std::move(impl)).get();
}

Result<StoredIndexImpl*> DatabaseImpl::OpenIndex(std::string_view name,
                                                 const LoadOptions& options) {
  if (Status ok = CheckRuntime(options.runtime); !ok) return tl::unexpected(ok.error());
  const std::lock_guard opening(opening_);
  if (StoredIndexImpl* const open = OpenAlready(name)) return open;
  Result<ReadTxn> txn = environment_->Read();
  if (!txn) return tl::unexpected(txn.error());
  Result<IndexRecord> record = FindIndexRecord(*txn, name);
  if (!record) return tl::unexpected(record.error());
  IndexOptions index_options = record->options;
  index_options.runtime = options.runtime;
  Result<StoredIndexImpl::Parts> parts = MakeIndex(index_options);
  if (!parts) return tl::unexpected(parts.error());
  Result<std::unique_ptr<DiskGraph>> disk =
      DiskGraph::Open(std::move(*txn), *record, RowBytes(index_options));
  if (!disk) return tl::unexpected(disk.error());
  auto impl = std::make_unique<StoredIndexImpl>(*this, std::move(*record), std::move(*parts));
  for (SlotId slot = 0; slot < (*disk)->slots(); ++slot)
    if ((*disk)->IsPresent(slot) && slot != impl->record.start)
      impl->ledger.Set(
          slot, SlotLedger::kOnDisk | ((*disk)->IsLive(slot) ? 0u : unsigned{SlotLedger::kDead}),
          0);
  // Before the first repair, which retires a slot that is dead on disk.
  impl->engine.slots().SetReuseGate(&impl->ledger);
  if (Status ok = impl->engine.Restore(**disk, options.batch); !ok)
    return tl::unexpected(ok.error());
  for (const DiskAnchor& anchor : (*disk)->anchors())
    impl->anchors.Add(anchor.anchor, anchor.point);
  const Status read = (*disk)->EachLogged([&](const LoggedPoint& point) -> Status {
    impl->anchors.Add(point.anchor, point.slot);
    impl->logged_anchors.push_back({point.place.commit, {point.anchor, point.slot}});
    return {};
  });
  if (!read) return tl::unexpected(read.error());
  impl->changes = impl->logged_anchors.size();
  if (Status ok = RemoveLeftovers(*impl); !ok) return tl::unexpected(ok.error());
  const std::lock_guard lock(indexes_mutex_);
  return (indexes_[std::string(name)] = std::move(impl)).get();
}

// Generations that a killed pass has left, and runs that no record names.
Status DatabaseImpl::RemoveLeftovers(StoredIndexImpl& index) {
  const uint32_t number = index.number, current = index.record.generation;
  const auto remove = [&](Table table, const Key& first, const Key& last) -> Status {
    Result<WriteTxn> txn = environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    const Result<size_t> deleted = txn->DeleteRange(table, first, last, SIZE_MAX);
    if (!deleted) return tl::unexpected(deleted.error());
    return *deleted == 0 ? Status() : std::move(*txn).Commit();
  };
  const auto generations = [&](uint32_t first, uint32_t last) {
    return remove(Table::kGraph, GraphKey(number, first, GraphPart::kLists, 0),
                  GraphKey(number, last, GraphPart::kSeeds, UINT32_MAX));
  };
  Status ok = generations(current + 1, UINT32_MAX);
  if (ok && current > 0) ok = generations(0, current - 1);
  std::vector<uint32_t> kept;
  kept.reserve(index.record.runs.size() + 1);
  for (const RunRecord& run : index.record.runs) kept.push_back(run.number);
  std::sort(kept.begin(), kept.end());
  kept.push_back(UINT32_MAX);
  uint32_t first = 0;
  for (const uint32_t run : kept) {
    if (ok && first < run)
      ok = remove(Table::kRuns, RunKey(number, first, 0, 0),
                  RunKey(number, run - 1, UINT32_MAX, UINT32_MAX));
    first = run + 1;
  }
  return ok;
}

Result<std::vector<std::string>> DatabaseImpl::IndexNames() { return ReadNames(*environment_); }

Result<DatabaseStats> DatabaseImpl::Stat() {
  Result<DatabaseStats> stats = ReadStats(*environment_);
  if (!stats) return stats;
  stats->passes = passes_.load(std::memory_order_relaxed);
  for (const StoredIndexImpl* const index : AllOpen())
    stats->pending_changes += index->changes.load(std::memory_order_relaxed);
  const std::lock_guard lock(queue_mutex_);
  stats->queued_changes = gathered_.size();
  return stats;
}

Status DatabaseImpl::Backup(const std::filesystem::path& path, bool compact,
                            const BatchOptions& batch) {
  if (Status ok = Flush(); !ok) return ok;
  try {
    return environment_->Copy(path, compact, batch);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Database::Database(std::shared_ptr<DatabaseImpl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;

Result<Database> Database::Open(const std::filesystem::path& path, const DatabaseOptions& options) {
  try {
    Result<std::shared_ptr<DatabaseImpl>> impl = DatabaseImpl::Open(path, options);
    if (!impl) return tl::unexpected(impl.error());
    return Database(std::move(*impl));
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Result<StoredIndex> Database::CreateIndex(std::string_view name, const IndexOptions& options) {
  const Result<StoredIndexImpl*> index = impl_->CreateIndex(name, options);
  if (!index) return tl::unexpected(index.error());
  return StoredIndex(impl_, **index);
}
Result<StoredIndex> Database::OpenIndex(std::string_view name, const LoadOptions& options) {
  const Result<StoredIndexImpl*> index = impl_->OpenIndex(name, options);
  if (!index) return tl::unexpected(index.error());
  return StoredIndex(impl_, **index);
}
Result<std::vector<std::string>> Database::IndexNames() const { return impl_->IndexNames(); }
Status Database::Flush() { return impl_->Flush(); }
Status Database::Pass(const BatchOptions& batch) { return impl_->PassAll(batch); }
Result<DatabaseStats> Database::Stat() const { return impl_->Stat(); }
Status Database::Backup(const std::filesystem::path& path, Copy copy,
                        const BatchOptions& batch) const {
  return impl_->Backup(path, copy == Copy::kCompact, batch);
}

}  // namespace shoal
