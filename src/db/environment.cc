#include "db/environment.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace shoal {
namespace {

constexpr const char* kTableNames[kTables] = {"shoal.meta", "shoal.rows", "shoal.graph",
                                              "shoal.log", "shoal.runs"};
constexpr unsigned kMaxTables = 128;  // The user's own included.
constexpr uint64_t kLeastMap = uint64_t{1} << 30;

struct StoredKey {
  std::array<uint32_t, 4> big_endian;
};

StoredKey Store(const Key& key) {
  StoredKey stored;
  for (size_t i = 0; i < 4; ++i) stored.big_endian[i] = __builtin_bswap32(key.words[i]);
  return stored;
}

Key Load(const MDB_val& value) {
  StoredKey stored;
  std::memcpy(&stored, value.mv_data, std::min(sizeof(stored), value.mv_size));
  Key key;
  for (size_t i = 0; i < 4; ++i) key.words[i] = __builtin_bswap32(stored.big_endian[i]);
  return key;
}

Bytes ToBytes(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

// Environments by canonical path, until LMDB has closed them: to close one takes the readers and
// the locks of any other of the file in this process.
struct Registry {
  struct Entry {
    std::weak_ptr<Environment> environment;  // Expired: it is being closed.
    const Environment* address;
    int pid;
  };
  std::mutex mutex;
  std::condition_variable closed;
  std::map<std::filesystem::path, Entry> entries;
};
Registry& TheRegistry() {
  static auto* const registry = new Registry;  // Never destroyed: a static index may close late.
  return *registry;
}

struct CursorDeleter {
  void operator()(MDB_cursor* cursor) const { mdb_cursor_close(cursor); }
};
using Cursor = std::unique_ptr<MDB_cursor, CursorDeleter>;

ErrorCode CodeOf(int code) {
  switch (code) {
    case ENOENT: return ErrorCode::kFileNotFound;
    case ENOMEM: return ErrorCode::kOutOfMemory;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_NOTFOUND: return ErrorCode::kCorrupt;
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE: return ErrorCode::kUnsupported;
    default: return ErrorCode::kIo;
  }
}

}  // namespace

tl::unexpected<Error> Environment::Refused(const char* what, int code) const {
  std::string why = mdb_strerror(code);
  if (code == MDB_MAP_FULL) why = "the file may not grow beyond DatabaseOptions::max_bytes";
  if (code == MDB_READERS_FULL) why = "more read transactions than DatabaseOptions::max_readers";
  return MakeError(CodeOf(code), path_.string() + ": " + what + ": " + why);
}

Result<std::shared_ptr<Environment>> Environment::Open(const std::filesystem::path& path,
                                                       const EnvironmentOptions& options) {
  std::error_code failed;
  const bool there = std::filesystem::exists(path, failed);
  if (!there && !options.create)
    return MakeError(ErrorCode::kFileNotFound, path.string() + ": no such database");
  // Absolute first: of a relative path that is not there yet it would stay relative.
  const std::filesystem::path absolute = std::filesystem::absolute(path, failed);
  std::filesystem::path canonical = std::filesystem::weakly_canonical(absolute, failed);
  if (failed) canonical = absolute;
  std::shared_ptr<Environment> open;  // Goes after the lock: its destructor takes it.
  Registry& registry = TheRegistry();
  std::unique_lock lock(registry.mutex);
  registry.closed.wait(lock, [&] {
    const auto found = registry.entries.find(canonical);
    if (found == registry.entries.end()) return true;
    open = found->second.environment.lock();
    // A thread of the parent does not go on in the child of a fork.
    return open != nullptr || found->second.pid != getpid();
  });
  if (open == nullptr) {
    open.reset(new Environment);
    if (Status ok = open->Init(path, options); !ok) return tl::unexpected(ok.error());
    open->registered_as_ = canonical;
    registry.entries[canonical] = {open, open.get(), open->pid_};
  } else if (open->pid_ != getpid()) {
    return MakeError(ErrorCode::kUnsupported,
                     path.string() + ": open in the parent of this process");
  } else if (!open->IsAt(path)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     path.string() + ": expected the file that this process has open, found " +
                         (there ? "another" : "none") + "; close the old one first");
  }
  return open;
}

bool Environment::IsAt(const std::filesystem::path& path) const {
  mdb_filehandle_t descriptor = -1;
  struct stat opened {
  }, found{};
  return mdb_env_get_fd(env_, &descriptor) == 0 && fstat(descriptor, &opened) == 0 &&
         stat(path.c_str(), &found) == 0 && opened.st_dev == found.st_dev &&
         opened.st_ino == found.st_ino;
}

Status Environment::Init(const std::filesystem::path& path, const EnvironmentOptions& options) {
  path_ = path;
  pid_ = getpid();
  const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS;
  Status opened = OpenEnv(options, flags);
  if (!opened && !options.create && (access(path.c_str(), W_OK) != 0)) {
    // Read-only media have no lock file: nothing there can write.
    read_only_ = true;
    opened = OpenEnv(options, flags | MDB_RDONLY);
    if (!opened) opened = OpenEnv(options, flags | MDB_RDONLY | MDB_NOLOCK);
  }
  if (!opened) return opened;
  ClearDeadReaders();
  return OpenTables();
}

// Where the system refuses so much address space (`ulimit -v`, sanitizers), it is less.
Status Environment::OpenEnv(const EnvironmentOptions& options, unsigned flags) {
  int code = 0;
  for (uint64_t bytes = options.max_bytes; bytes >= std::min(kLeastMap, options.max_bytes);
       bytes /= 4) {
    if (env_ != nullptr) mdb_env_close(env_);
    env_ = nullptr;
    code = mdb_env_create(&env_);
    if (code != 0) return Refused("open", code);
    code = mdb_env_set_mapsize(env_, bytes);
    if (code == 0) code = mdb_env_set_maxdbs(env_, kMaxTables);
    if (code == 0) code = mdb_env_set_maxreaders(env_, options.max_readers);
    if (code == 0) code = mdb_env_open(env_, path_.c_str(), flags, 0644);
    if (code != ENOMEM) break;
  }
  if (code != 0) return Refused("open", code);
  return {};
}

Status Environment::OpenTables() {
  MDB_txn* txn = nullptr;
  const unsigned flags = read_only_ ? unsigned{MDB_RDONLY} : 0u;
  int code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
  if (code != 0) return Refused("open", code);
  for (size_t i = 0; i < kTables && code == 0; ++i)
    code = mdb_dbi_open(txn, kTableNames[i], 0, &dbis_[i]);
  if (code == 0) {
    mdb_txn_commit(txn);  // Keeps the handles.
    return {};
  }
  mdb_txn_abort(txn);
  if (code != MDB_NOTFOUND) return Refused("open", code);
  if (read_only_) return MakeError(ErrorCode::kCorrupt, path_.string() + ": no shoal database");
  code = mdb_txn_begin(env_, nullptr, flags, &txn);
  if (code != 0) return Refused("open", code);
  for (size_t i = 0; i < kTables && code == 0; ++i)
    code = mdb_dbi_open(txn, kTableNames[i], MDB_CREATE, &dbis_[i]);
  if (code != 0) {
    mdb_txn_abort(txn);
    return Refused("create", code);
  }
  code = mdb_txn_commit(txn);
  if (code != 0) return Refused("create", code);
  return {};
}

Environment::~Environment() {
  // The child of a fork must not touch the parent's lock table.
  if (env_ != nullptr && pid_ == getpid()) mdb_env_close(env_);
  if (registered_as_.empty()) return;
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  const auto found = registry.entries.find(registered_as_);
  if (found != registry.entries.end() && found->second.address == this)
    registry.entries.erase(found);
  registry.closed.notify_all();
}

Result<MDB_txn*> Environment::Begin(unsigned flags) {
  if (pid_ != getpid())
    return MakeError(ErrorCode::kUnsupported, path_.string() + ": used after a fork");
  if (read_only_ && flags == 0)
    return MakeError(ErrorCode::kIo, path_.string() + ": write: the file is read-only");
  MDB_txn* txn = nullptr;
  int code = mdb_txn_begin(env_, nullptr, flags, &txn);
  if (code == MDB_READERS_FULL) {
    ClearDeadReaders();
    code = mdb_txn_begin(env_, nullptr, flags, &txn);
  }
  if (code == MDB_MAP_RESIZED)
    return MakeError(ErrorCode::kUnsupported,
                     path_.string() +
                         ": grown by a process with a larger max_bytes: close all that "
                         "is open of it here, and open it again");
  if (code != 0) return Refused("transaction", code);
  return txn;
}

Result<ReadTxn> Environment::Read() {
  Result<MDB_txn*> txn = Begin(MDB_RDONLY);
  if (!txn) return tl::unexpected(txn.error());
  return ReadTxn(shared_from_this(), *txn);
}

Result<WriteTxn> Environment::Write() {
  Result<MDB_txn*> txn = Begin(0);
  if (!txn) return tl::unexpected(txn.error());
  return WriteTxn(shared_from_this(), *txn);
}

Status Environment::Sync() {
  if (const int code = mdb_env_sync(env_, 1); code != 0) return Refused("sync", code);
  return {};
}

Status Environment::SetCommits(Commits commits) {
  const int on = commits == Commits::kUnsynced ? 1 : 0;
  if (const int code = mdb_env_set_flags(env_, MDB_NOSYNC, on); code != 0)
    return Refused("open", code);
  return {};
}

void Environment::ClearDeadReaders() {
  int dead = 0;
  mdb_reader_check(env_, &dead);
}

int Environment::CopyTo(int descriptor, bool compact) {
  return mdb_env_copyfd2(env_, descriptor, compact ? MDB_CP_COMPACT : 0);
}

Result<EnvironmentStats> Environment::Stat() {
  Result<ReadTxn> txn = Read();
  if (!txn) return tl::unexpected(txn.error());
  MDB_envinfo info;
  MDB_stat stat;
  mdb_env_info(env_, &info);
  mdb_env_stat(env_, &stat);
  EnvironmentStats stats;
  stats.file_bytes = (info.me_last_pgno + 1) * uint64_t{stat.ms_psize};
  stats.map_bytes = info.me_mapsize;
  stats.last_txn = info.me_last_txnid;
  stats.written_bytes = written_bytes_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < kTables; ++i) {
    if (const int code = mdb_stat(txn->txn_, dbis_[i], &stat); code != 0)
      return Refused("stat", code);
    stats.table_bytes[i] = uint64_t{stat.ms_psize} *
                           (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages);
  }
  // LMDB lists readers as text: "pid thread txnid", "-" for one at rest.
  struct Readers {
    uint32_t count = 0;
    uint64_t oldest = UINT64_MAX;
  } readers;
  const auto line = [](const char* text, void* out) {
    auto& found = *static_cast<Readers*>(out);
    const char* const last = std::strrchr(text, ' ');
    if (last == nullptr || last[1] < '0' || last[1] > '9') return 0;
    ++found.count;
    found.oldest = std::min<uint64_t>(found.oldest, std::strtoull(last + 1, nullptr, 10));
    return 0;
  };
  mdb_reader_list(env_, line, &readers);
  stats.readers = readers.count - std::min(readers.count, 1u);  // Without this one.
  stats.oldest_reader = std::min(readers.oldest, stats.last_txn);
  return stats;
}

ReadTxn::ReadTxn(std::shared_ptr<Environment> environment, MDB_txn* txn)
    : environment_(std::move(environment)), txn_(txn) {}
ReadTxn::ReadTxn(ReadTxn&& other) noexcept
    : environment_(std::move(other.environment_)), txn_(std::exchange(other.txn_, nullptr)) {}
ReadTxn::~ReadTxn() { End(); }

void ReadTxn::End() {
  if (txn_ != nullptr && environment_->pid_ == getpid()) mdb_txn_abort(txn_);
  txn_ = nullptr;
}

Result<Bytes> ReadTxn::Get(Table table, const Key& key) const {
  StoredKey stored = Store(key);
  MDB_val k{sizeof(stored), &stored}, value;
  const int code = mdb_get(txn_, environment_->dbis_[static_cast<size_t>(table)], &k, &value);
  if (code == MDB_NOTFOUND) return Bytes();
  if (code != 0) return environment_->Refused("read", code);
  return ToBytes(value);
}

Status ReadTxn::Scan(Table table, const Key& from, const Key& to,
                     const std::function<Status(const Key&, Bytes)>& visit) const {
  MDB_cursor* raw = nullptr;
  int code = mdb_cursor_open(txn_, environment_->dbis_[static_cast<size_t>(table)], &raw);
  if (code != 0) return environment_->Refused("read", code);
  const Cursor cursor(raw);
  StoredKey stored = Store(from);
  MDB_val k{sizeof(stored), &stored}, value;
  for (code = mdb_cursor_get(raw, &k, &value, MDB_SET_RANGE); code == 0;
       code = mdb_cursor_get(raw, &k, &value, MDB_NEXT)) {
    const Key key = Load(k);
    if (key > to) return {};
    if (Status ok = visit(key, ToBytes(value)); !ok) return ok;
  }
  if (code != MDB_NOTFOUND) return environment_->Refused("read", code);
  return {};
}

Status WriteTxn::Put(Table table, const Key& key, Bytes value) {
  StoredKey stored = Store(key);
  MDB_val k{sizeof(stored), &stored};
  MDB_val v{value.size(), const_cast<std::byte*>(value.data())};
  const int code = mdb_put(txn_, environment_->dbis_[static_cast<size_t>(table)], &k, &v, 0);
  if (code != 0) return environment_->Refused("write", code);
  environment_->written_bytes_.fetch_add(value.size(), std::memory_order_relaxed);
  return {};
}

Status WriteTxn::Delete(Table table, const Key& key) {
  StoredKey stored = Store(key);
  MDB_val k{sizeof(stored), &stored};
  const int code = mdb_del(txn_, environment_->dbis_[static_cast<size_t>(table)], &k, nullptr);
  if (code != 0 && code != MDB_NOTFOUND) return environment_->Refused("delete", code);
  return {};
}

Result<size_t> WriteTxn::DeleteRange(Table table, const Key& from, const Key& to, size_t most) {
  MDB_cursor* raw = nullptr;
  int code = mdb_cursor_open(txn_, environment_->dbis_[static_cast<size_t>(table)], &raw);
  if (code != 0) return environment_->Refused("delete", code);
  const Cursor cursor(raw);
  StoredKey stored = Store(from);
  MDB_val k{sizeof(stored), &stored}, value;
  size_t deleted = 0;
  // After a deletion the cursor stands before the next key.
  for (code = mdb_cursor_get(raw, &k, &value, MDB_SET_RANGE); code == 0 && deleted < most;
       code = mdb_cursor_get(raw, &k, &value, MDB_NEXT)) {
    if (Load(k) > to) return deleted;
    code = mdb_cursor_del(raw, 0);
    if (code != 0) break;
    ++deleted;
  }
  if (code != 0 && code != MDB_NOTFOUND) return environment_->Refused("delete", code);
  return deleted;
}

Status WriteTxn::ChangeUser(const std::string& table, Bytes key, std::optional<Bytes> value) {
  MDB_dbi dbi = 0;
  int code = mdb_dbi_open(txn_, table.c_str(), MDB_CREATE, &dbi);
  MDB_val name = {key.size(), const_cast<std::byte*>(key.data())};
  if (code == 0 && value) {
    MDB_val bytes = {value->size(), const_cast<std::byte*>(value->data())};
    code = mdb_put(txn_, dbi, &name, &bytes, 0);
    if (code == 0) environment_->written_bytes_.fetch_add(value->size(), std::memory_order_relaxed);
  } else if (code == 0) {
    code = mdb_del(txn_, dbi, &name, nullptr);
    if (code == MDB_NOTFOUND) code = 0;
  }
  if (code != 0) return environment_->Refused(table.c_str(), code);
  return {};
}

Status WriteTxn::ScanUser(const std::string& table,
                          const std::function<void(Bytes, Bytes)>& visit) const {
  MDB_dbi dbi = 0;
  int code = mdb_dbi_open(txn_, table.c_str(), 0, &dbi);
  if (code == MDB_NOTFOUND) return {};
  MDB_cursor* opened = nullptr;
  if (code == 0) code = mdb_cursor_open(txn_, dbi, &opened);
  if (code != 0) return environment_->Refused(table.c_str(), code);
  const std::unique_ptr<MDB_cursor, void (*)(MDB_cursor*)> cursor(opened, &mdb_cursor_close);
  const auto bytes = [](const MDB_val& value) {
    return Bytes(static_cast<const std::byte*>(value.mv_data), value.mv_size);
  };
  MDB_val key, value;
  for (code = mdb_cursor_get(opened, &key, &value, MDB_FIRST); code == 0;
       code = mdb_cursor_get(opened, &key, &value, MDB_NEXT))
    visit(bytes(key), bytes(value));
  if (code != MDB_NOTFOUND) return environment_->Refused(table.c_str(), code);
  return {};
}

Status WriteTxn::Commit() && {
  const int code = mdb_txn_commit(std::exchange(txn_, nullptr));
  if (code != 0) return environment_->Refused("commit", code);
  return {};
}

Result<WriterLock> WriterLock::Take(const std::filesystem::path& path) {
  const std::string name = path.string() + "-writer";
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0)
    return MakeError(errno == ENOENT ? ErrorCode::kFileNotFound : ErrorCode::kIo,
                     name + ": " + std::generic_category().message(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return WriterLock(fd);
  close(fd);
  return MakeError(ErrorCode::kInvalidArgument,
                   path.string() + ": open for writing already, in this process or another");
}

WriterLock::~WriterLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace shoal
