// The LMDB environment of a database: the one file that knows LMDB. Tables of small keys and byte
// values, read and write transactions, errors as results.
//
// LMDB's rules that are kept here: one environment per path and process (a registry), until it is
// closed; read transactions are bound to no thread (NOTLS); address space is reserved once and the
// map never moves; readers that died are cleared when it is opened; a child of a fork gets an
// error.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/file.h"
#include "db/checked_blocks.h"
#include "db/found_blocks.h"
#include "shoal/options.h"
#include "shoal/result.h"

struct MDB_env;
struct MDB_txn;

namespace shoal {

using Bytes = std::span<const std::byte>;

enum class Table : uint8_t { kMeta, kRows, kGraph, kLog, kRuns };
inline constexpr size_t kTables = 5;

// Compared word by word. What the words are: blocks.h.
struct Key {
  std::array<uint32_t, 4> words{};
  auto operator<=>(const Key&) const = default;
};

struct EnvironmentOptions {
  bool create = false;
  uint64_t max_bytes = uint64_t{1} << 40;
  uint32_t max_readers = 1024;
};

struct EnvironmentStats {
  uint64_t file_bytes = 0;  // In use or free, by LMDB's count of pages.
  uint64_t map_bytes = 0;   // What the file may grow to.
  uint64_t last_txn = 0;
  uint32_t readers = 0;        // Read transactions, of all processes.
  uint64_t oldest_reader = 0;  // Its transaction's number; last_txn if there is none.
  std::array<uint64_t, kTables> table_bytes{};
  uint64_t written_bytes = 0;  // Values that this process has put, committed or not.
};

class Environment;

class ReadTxn {
 public:
  ReadTxn(ReadTxn&& other) noexcept;
  ReadTxn& operator=(ReadTxn&&) = delete;
  ~ReadTxn();

  // Empty: there is none. The bytes stand as long as the transaction. One thread at a time.
  Result<Bytes> Get(Table table, const Key& key) const;
  // visit(key, value) for keys in [from, to], ascending, until it fails.
  Status Scan(Table table, const Key& from, const Key& to,
              const std::function<Status(const Key&, Bytes)>& visit) const;
  const Environment& environment() const { return *environment_; }

 protected:
  friend class Environment;
  ReadTxn(std::shared_ptr<Environment> environment, MDB_txn* txn);
  void End();

  std::shared_ptr<Environment> environment_;
  MDB_txn* txn_;
};

// By one thread from begin to end. At most one in all processes: Begin waits.
class WriteTxn : public ReadTxn {
 public:
  Status Put(Table table, const Key& key, Bytes value);
  Status Delete(Table table, const Key& key);
  // Deletes the first keys in [from, to], at most `most`. Returns how many.
  Result<size_t> DeleteRange(Table table, const Key& from, const Key& to, size_t most);
  // Records in tables of the user's own, by name. Change: no value: it goes, if it is there. Scan:
  // visit(key, value), ascending; nothing where there is no such table.
  Status ChangeUser(const std::string& table, Bytes key, std::optional<Bytes> value);
  Status ScanUser(const std::string& table, const std::function<void(Bytes, Bytes)>& visit) const;
  Status Commit() &&;
  MDB_txn* native() const { return txn_; }

 private:
  friend class Environment;
  using ReadTxn::ReadTxn;
};

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  // The environment of the path, which this process may have open already. FileNotFound. Io.
  // Corrupt: no LMDB file. Unsupported: of another LMDB version. OutOfMemory: no address
  // space. InvalidArgument: the file that this process has open was deleted, or replaced.
  static Result<std::shared_ptr<Environment>> Open(const std::filesystem::path& path,
                                                   const EnvironmentOptions& options);
  ~Environment();
  Environment(const Environment&) = delete;

  Result<ReadTxn> Read();
  Result<WriteTxn> Write();
  Status Sync();
  // Of commits from now on.
  enum class Commits : uint8_t { kSynced, kUnsynced };
  Status SetCommits(Commits commits);
  // Those of killed processes keep pages from being used again.
  void ClearDeadReaders();
  // A copy of the last commit, while others read and write. `compact`: without free pages.
  // Progress is in bytes.
  Status Copy(const std::filesystem::path& path, bool compact, const BatchOptions& batch);
  Result<EnvironmentStats> Stat();

  const std::filesystem::path& path() const { return path_; }
  CheckedBlocks& checked_blocks() const { return checked_blocks_; }
  LastFoundBlocks& found_blocks() const { return found_blocks_; }

 private:
  friend class ReadTxn;
  friend class WriteTxn;
  Environment() = default;
  // environment_copy.cc: to `out`, where `batch` has something to call or to hear.
  Status CopyInSteps(OutputFile& out, bool compact, const BatchOptions& batch);
  // LMDB's own copy, to a descriptor; its error number.
  int CopyTo(int descriptor, bool compact);
  Status Init(const std::filesystem::path& path, const EnvironmentOptions& options);
  Status OpenEnv(const EnvironmentOptions& options, unsigned flags);
  Status OpenTables();
  // Whether the path still names the file that is open.
  bool IsAt(const std::filesystem::path& path) const;
  Result<MDB_txn*> Begin(unsigned flags);
  // "<file>: <what>: ..."
  tl::unexpected<Error> Refused(const char* what, int code) const;

  std::filesystem::path path_;
  std::filesystem::path registered_as_;  // Empty: not.
  MDB_env* env_ = nullptr;
  std::array<unsigned, kTables> dbis_{};
  std::atomic<uint64_t> written_bytes_ = 0;
  bool read_only_ = false;
  int pid_ = 0;
  mutable CheckedBlocks checked_blocks_;
  mutable LastFoundBlocks found_blocks_;
};

// Held by the one process that may write: a lock on "<path>-writer". InvalidArgument: another
// process, or this one, holds it.
class WriterLock {
 public:
  static Result<WriterLock> Take(const std::filesystem::path& path);
  WriterLock(WriterLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  WriterLock& operator=(WriterLock&&) = delete;
  ~WriterLock();

 private:
  explicit WriterLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace shoal
