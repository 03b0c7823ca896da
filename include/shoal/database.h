// Indexes that survive the process: a database in one file, LMDB's (docs/database.md).
//
//   auto database = shoal::Database::Open("points.db");
//   auto index = database->CreateIndex("text", {.dim = 384});
//   index->Insert(7, vector);                      // on disk, and found, when it returns
//   auto hits = index->live().Search(query);
//
//   auto change = database->Begin();               // all of it, or nothing
//   change->Insert(*index, 8, vector);
//   change->Delete(*index, 7);
//   change->Commit();
//
//   auto view = shoal::DatabaseSnapshot::Open("points.db", "text");  // in any process
//   view->Search(query);
//
// One process at a time writes; any number read. A point is searchable when the call that committed
// it returns: in the live index, and in every snapshot that is opened afterwards. There is no build
// step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shoal/export.h"
#include "shoal/index.h"

struct MDB_txn;

namespace shoal {

class DatabaseImpl;
class StoredIndexImpl;
class TransactionImpl;
class DatabaseSnapshotImpl;

// What an acknowledged change survives.
enum class SyncLevel : uint8_t {
  kFull,      // A killed process, and a loss of power. Each commit waits for the disk; commits of
              // several threads share one wait.
  kInterval,  // As kFull, but for the changes of the last DatabaseOptions::interval_ms: these are
              // gathered, and committed together. The live index has them at once.
  kNone,      // A killed process. A loss of power may cost the whole file.
};

struct DatabaseOptions {
  bool create = true;  // The file, if it is not there.
  SyncLevel sync = SyncLevel::kFull;
  uint32_t interval_ms = 100;  // kInterval.
  // What the file may grow to. Address space, not memory; rounded down where the system refuses.
  // All processes should give the same.
  uint64_t max_bytes = uint64_t{1} << 40;
  // Snapshots open at the same time, of all processes.
  uint32_t max_readers = 1024;
  // Passes, which write changed lists back and make slots free again, begin when so many percent
  // of an index's points were inserted or deleted since the last one (and least_changes).
  uint32_t pass_percent = 8;
  uint32_t least_changes = 4096;
  // Where the live indices have their vectors. kFile: what a search traverses is in memory, a code
  // and the graph, and the vectors that order its hits are read in the file, by way of the system's
  // page cache. Those of open transactions are in memory. InvalidArgument, by CreateIndex and
  // OpenIndex: the index has no code.
  enum class Vectors : uint8_t { kMemory, kFile };
  Vectors vectors = Vectors::kMemory;
};

// Bytes of the user's own under a key.
struct Record {
  std::string key;
  std::string value;
};

struct DatabaseStats {
  uint64_t file_bytes = 0;
  uint64_t row_bytes = 0;    // Of the table of rows,
  uint64_t graph_bytes = 0;  // of lists, ids and states,
  uint64_t log_bytes = 0;    // and of changes since the last pass.
  uint64_t max_bytes = 0;
  uint64_t commits = 0;     // LMDB's transactions so far.
  uint32_t snapshots = 0;   // Open ones, of all processes.
  uint64_t oldest_lag = 0;  // Transactions since the oldest of them: what it keeps from reuse.
  // What this process knows, if it has the database open for writing.
  uint64_t queued_changes = 0;   // kInterval: gathered.
  uint64_t pending_changes = 0;  // Of open indexes: what the next passes write back.
  uint64_t passes = 0;
  uint64_t written_bytes = 0;  // Blocks and records. (LMDB writes whole pages, and those above.)
};

// An index of an open database. A small handle; copies are the same index. It keeps the database
// open. Any thread may call any function at any time.
class SHOAL_API StoredIndex {
 public:
  // For searches, Get, Contains, Ids, Stats: what is committed, and no more (kInterval: and the
  // changes that are gathered). Valid as long as some handle of the database.
  const Index& live() const;
  const std::string& name() const;

  // Each is a transaction of its own. Errors as in Index; besides: Conflict: an open
  // Transaction has written the id, or this thread holds one with native(). Io: the disk is full,
  // or refuses; nothing is changed then.
  Status Insert(ExternalId id, VectorView vector);
  Status Upsert(ExternalId id, VectorView vector);
  Status Delete(ExternalId id);

  // Rebuilds the graph: Index::Refine, then a pass, which writes all lists. Searches and writers go
  // on. Cancelled: lists that were renewed by then stay, and the next pass writes them.
  // OutOfMemory. Conflict. Io.
  Status Refine(const BatchOptions& batch = {});

 private:
  friend class Database;
  friend class Transaction;
  StoredIndex(std::shared_ptr<DatabaseImpl> database, StoredIndexImpl& impl)
      : database_(std::move(database)), impl_(&impl) {}
  std::shared_ptr<DatabaseImpl> database_;
  StoredIndexImpl* impl_;
};

// Changes that commit together, of any indexes of one database. Used by one thread at a time; any
// number of transactions may be open. Nothing of it is found by searches before Commit, by its own
// thread neither; its points are linked to each other as they come. Dropped without Commit, it is
// aborted.
//
// An id that an open transaction has written is that transaction's until it ends: another one, and
// a call of its own, gets Conflict. So no two writers wait for each other.
class SHOAL_API Transaction {
 public:
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // Errors as in Index, of the state with this transaction's changes. Conflict. After an error the
  // transaction goes on without the change.
  Status Insert(const StoredIndex& index, ExternalId id, VectorView vector);
  Status Upsert(const StoredIndex& index, ExternalId id, VectorView vector);
  Status Delete(const StoredIndex& index, ExternalId id);
  // Many, on several threads. A load of a million points is one call.
  Result<BatchReport> InsertMany(const StoredIndex& index, std::span<const ExternalId> ids,
                                 MatrixView rows, const BatchOptions& batch = {});
  // Of an id that is there twice the last row stays.
  Result<BatchReport> UpsertMany(const StoredIndex& index, std::span<const ExternalId> ids,
                                 MatrixView rows, const BatchOptions& batch = {});

  // Records of the user's own, which commit with the points: any bytes under a key of 1 to 511
  // bytes, in a table of any name that does not begin with "shoal". Of several changes of a key the
  // last counts. A record that is deleted need not be there. InvalidArgument. OutOfMemory.
  Status PutRecord(std::string_view table, std::string_view key, std::string_view value);
  Status DeleteRecord(std::string_view table, std::string_view key);

  // LMDB's write transaction, for other records of the user's own in tables of other names than
  // "shoal...": they commit with the points. It ends through Commit and Abort only, by the thread
  // that called this. No other thread commits meanwhile. Conflict: this thread holds another.
  Result<MDB_txn*> native();

  // Durable as SyncLevel says when it returns (kInterval: as kFull). Io: nothing is changed.
  Status Commit();
  void Abort();

 private:
  friend class Database;
  explicit Transaction(std::unique_ptr<TransactionImpl> impl);
  std::unique_ptr<TransactionImpl> impl_;
};

// A database that this process may write to. Thread-safe but for moving and destroying it. Not in
// the child of a fork.
class SHOAL_API Database {
 public:
  // FileNotFound; Io; Corrupt; Unsupported: of another version. InvalidArgument: another process,
  // or this one, has it open for writing; the file was deleted or replaced while this process had
  // it open, snapshots included; or an option.
  static Result<Database> Open(const std::filesystem::path& path,
                               const DatabaseOptions& options = {});
  // Commits what is gathered (kInterval); open handles keep the database open.
  ~Database();
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;

  // A new index, committed. The file has the vectors as given; codes, which the live index
  // traverses, are made again when it is opened, and snapshots search the vectors. AlreadyExists.
  // Unsupported: another rerank_code than kFull. InvalidArgument: `options`, RepairPolicy::kManual
  // among them; a name of 1 to 255 bytes.
  Result<StoredIndex> CreateIndex(std::string_view name, const IndexOptions& options);
  // Loads an index: what DatabaseOptions says is in memory from then on. Opening it again is the
  // same index. NotFound. Corrupt. OutOfMemory.
  Result<StoredIndex> OpenIndex(std::string_view name, const LoadOptions& options = {});
  Result<std::vector<std::string>> IndexNames() const;
  // What the live index traverses when it is opened next. The graph and the vectors stay as they
  // are; the code is made from these. NotFound. InvalidArgument: the index is open; a code that its
  // type or metric does not have. Conflict. Io.
  Status ChangeCode(std::string_view name, Code code);

  Result<Transaction> Begin();
  // kInterval: commits what is gathered. All levels: what was acknowledged survives a loss of
  // power.
  Status Flush();
  // A pass over each open index, now. Progress is in steps, two for a slot. Cancelled: every point
  // is as it was; space that the pass has used is free after the next one.
  Status Pass(const BatchOptions& batch = {});

  // All records of a table (Transaction::PutRecord) as the last commit left them, by ascending
  // keys; none where there is no such table. Other threads' commits wait meanwhile. Conflict: this
  // thread holds a transaction with native(). Io. OutOfMemory.
  Result<std::vector<Record>> Records(std::string_view table) const;

  Result<DatabaseStats> Stat() const;
  // A copy of the last commit, that may be opened; others write on. It is there whole or not at
  // all. Compact: without free pages. Progress is in bytes. InvalidArgument: there is such a file.
  // Io. Cancelled.
  enum class Copy : uint8_t { kAsItIs, kCompact };
  Status Backup(const std::filesystem::path& path, Copy copy = Copy::kCompact,
                const BatchOptions& batch = {}) const;

 private:
  explicit Database(std::shared_ptr<DatabaseImpl> impl);
  std::shared_ptr<DatabaseImpl> impl_;
};

// What a database's file has, as the last commit left it.
struct DatabaseInfo {
  std::vector<std::string> indexes;  // Their names.
  DatabaseStats stats;               // `passes` and `queued_changes` are 0.
};

// Both may be called by any process, while one writes. FileNotFound. Io. Corrupt: no database.
// Unsupported. OutOfMemory.
SHOAL_API Result<DatabaseInfo> InspectDatabase(const std::filesystem::path& path);
// As Database::Backup. What SyncLevel::kInterval has gathered is not in the copy.
SHOAL_API Status BackupDatabase(const std::filesystem::path& path, const std::filesystem::path& to,
                                Database::Copy copy = Database::Copy::kCompact,
                                const BatchOptions& batch = {});

// An index of a database as one commit left it, searched where it is: in the file. Opened in
// milliseconds at any size, by any process; nothing is loaded, and it sees no later commit. While
// it is open the file keeps what it reads: open a new one now and then.
//
// Thread-safe but for moving and destroying it. Not in the child of a fork.
class SHOAL_API DatabaseSnapshot {
 public:
  // The last commit. FileNotFound. NotFound: no such index. Corrupt. Unsupported. Io: too many
  // readers. InvalidArgument: as Database::Open, of a file that was deleted or replaced.
  static Result<DatabaseSnapshot> Open(const std::filesystem::path& path, std::string_view index);
  ~DatabaseSnapshot();
  DatabaseSnapshot(DatabaseSnapshot&&) noexcept;
  DatabaseSnapshot& operator=(DatabaseSnapshot&&) noexcept;

  // As the functions of Index with these names; target_recall does nothing. Corrupt: a damaged
  // block was met. Unsupported: a filter by label, for a database keeps no labels. A filter whose
  // ids are few may look them up: then as Contains.
  Result<std::vector<Hit>> Search(VectorView query, const SearchOptions& options = {}) const;
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work = nullptr) const;
  Status SearchMany(MatrixView queries, const SearchOptions& options,
                    const SearchManyOutput& output, const BatchOptions& batch = {}) const;
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options,
                                       WorkCounters* work = nullptr) const;
  Result<RangeHits> RangeSearchMany(MatrixView queries, const RangeOptions& options,
                                    const BatchOptions& batch = {}) const;
  // The first call of Contains or Get reads all ids, and keeps 8 to 16 bytes a point.
  Result<bool> Contains(ExternalId id) const;
  Status Get(ExternalId id, MutableVectorView vector) const;
  Result<std::vector<ExternalId>> Ids() const;
  size_t size() const;
  // Of `runtime` the defaults.
  const IndexOptions& options() const;

  // Writes all vectors to one file (.bin, shoal/dataset.h) and their ids, a u64 each, in the same
  // order, to another: what any other program can read. Progress is in points. Io. Corrupt.
  // Cancelled: there is no file.
  Status Dump(const std::filesystem::path& vectors, const std::filesystem::path& ids,
              const BatchOptions& batch = {}) const;
  // Reads everything and checks what docs/database.md promises of a committed state: every
  // checksum; every live point is reached from the start; every word names a point that is there;
  // each id is there once. Corrupt. Cancelled.
  Status Verify(const BatchOptions& batch = {}) const;

 private:
  explicit DatabaseSnapshot(std::unique_ptr<DatabaseSnapshotImpl> impl);
  std::unique_ptr<DatabaseSnapshotImpl> impl_;
};

}  // namespace shoal
