// Writes and syncs of a database's file that fail or are a process's last (disk_faults.h), and
// recorded ones, of which a loss of power is played.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <utility>

#include "database_calls.h"
#include "disk_faults.h"
#include "shoal/database.h"
#include "temp_folder.h"

namespace shoal {
namespace {

// Where writes wait for no disk.
const bool kInMemory =
    std::filesystem::is_directory("/dev/shm") && setenv("TMPDIR", "/dev/shm", 0) == 0;

class DatabaseFaults : public testing::Test {
 protected:
  DatabaseFaults() : calls_(new NotedCalls()) {}
  ~DatabaseFaults() override { Watch({}); }

  // Empty: nothing.
  static void Watch(const std::filesystem::path& path) {
    Disk& disk = TheDisk();
    const std::lock_guard lock(disk.mutex);
    struct stat info = {};
    if (!path.empty()) stat(path.c_str(), &info);
    disk.inode = info.st_ino;
    disk.device = info.st_dev;
    disk.calls = disk.failed = disk.fails_at = 0;
    disk.fails = 1;
    disk.records = false;
    disk.recorded.clear();
  }
  // A database in which both indexes have points, and the calls so far.
  void Begin(SyncLevel sync) {
    Watch({});
    std::filesystem::remove(Path());
    std::filesystem::remove(Path().string() + "-lock");
    calls_ = std::make_unique<NotedCalls>();
    CallMaker maker(*calls_, Path(), sync, 1);
    ASSERT_TRUE(maker.Open());
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(maker.Step({.loads = 0, .backups = 0}));
  }
  std::filesystem::path Path() const { return folder_ / "points.db"; }

  TempFolder folder_;
  std::unique_ptr<NotedCalls> calls_;
};

// A commit takes what is gathered, and is on disk later. What Flush acknowledges must be there.
TEST_F(DatabaseFaults, AFlushWaitsForTheCommitThatHasTakenWhatWasGathered) {
  Result<Database> database =
      Database::Open(Path(), {.sync = SyncLevel::kInterval, .interval_ms = 3'600'000});
  ASSERT_TRUE(database) << database.error().message;
  StoredIndex index = database->CreateIndex("a", {.dim = kCallsDim}).value();
  ASSERT_TRUE(index.Insert(1, VectorOf(1, 1)));
  Watch(Path());
  Disk& disk = TheDisk();
  {
    const std::lock_guard lock(disk.mutex);
    disk.fault = Fault::kHold;
    disk.fails_at = 1;
    disk.fails = UINT64_MAX / 2;
  }
  const auto flush = [&] { return database->Flush(); };
  auto first = std::async(std::launch::async, flush);
  {
    std::unique_lock lock(disk.mutex);
    disk.changed.wait(lock, [&] { return disk.failed > 0; });
  }
  EXPECT_EQ(database->Stat()->queued_changes, 0u);
  auto second = std::async(std::launch::async, flush);
  EXPECT_EQ(second.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  {
    const std::lock_guard lock(disk.mutex);
    disk.fails_at = 0;
    disk.changed.notify_all();
  }
  EXPECT_TRUE(first.get());
  EXPECT_TRUE(second.get());
}

// A call that meets a fault fails or does not; it changes all that it says, or nothing.
class FailingDisk : public DatabaseFaults,
                    public testing::WithParamInterface<std::pair<Fault, uint64_t>> {
 protected:
  static void FailAt(uint64_t call) {
    const std::lock_guard lock(TheDisk().mutex);
    TheDisk().fault = GetParam().first;
    TheDisk().fails = GetParam().second;
    TheDisk().fails_at = call;
  }
  // Returns how many calls have failed.
  static uint64_t EndFaults() {
    const std::lock_guard lock(TheDisk().mutex);
    TheDisk().fails_at = 0;
    return TheDisk().failed;
  }
  // Returns whether the fault was met within the calls.
  bool Run(uint64_t fails_at) {
    Begin(SyncLevel::kFull);
    bool met = false;
    {
      CallMaker maker(*calls_, Path(), SyncLevel::kFull, 2);
      EXPECT_TRUE(maker.Open());
      Watch(Path());
      FailAt(fails_at);
      for (int i = 0; i < 12; ++i) {
        const Status made = maker.Step({.loads = 0, .backups = 0, .passes = 8});
        if (!made) {
          EXPECT_EQ(made.error().code, ErrorCode::kIo) << made.error().message;
        }
      }
      met = EndFaults() > 0;
    }
    ExpectGoodFile(Path(), *calls_, calls_->durable.load());
    CallMaker after(*calls_, Path(), SyncLevel::kFull, 3);
    const Status opened = after.Open();
    EXPECT_TRUE(opened) << opened.error().message;
    for (int i = 0; i < 5; ++i) {
      const Status made = after.Step({.loads = 0, .backups = 0});
      EXPECT_TRUE(made) << made.error().message;
    }
    return met;
  }
};

TEST_P(FailingDisk, EachCallInTurn) {
  uint64_t met = 0;
  for (uint64_t at = 1; at < 400 && !HasFailure(); ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    if (!Run(at)) break;
    ++met;
  }
  EXPECT_GE(met, 20u);
}

// The first points of an index are written as a generation: all of them are there, or none.
TEST_P(FailingDisk, EachCallOfALoadInTurn) {
  constexpr uint32_t kPoints = 300;
  uint64_t met = 0;
  for (uint64_t at = 1, failed = 1; failed > 0 && !HasFailure(); ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    Watch({});
    std::filesystem::remove(Path());
    std::filesystem::remove(Path().string() + "-lock");
    Status made;
    {
      Result<Database> database = Database::Open(Path(), {.least_changes = 100});
      const StoredIndex index =
          *database->CreateIndex("a", {.dim = kCallsDim, .max_degree = 8, .build_list_size = 10});
      Watch(Path());
      Result<Transaction> load = database->Begin();
      for (uint32_t id = 0; id < kPoints; ++id)
        ASSERT_TRUE(load->Insert(index, id, VectorOf(id, 1)));
      FailAt(at);
      made = load->Commit();
      failed = EndFaults();
      met += failed > 0 ? 1 : 0;
      const Status more = StoredIndex(index).Insert(kPoints, VectorOf(kPoints, 1));
      EXPECT_TRUE(more || failed > 0) << more.error().message;
    }
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(Path(), "a");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    const Status good = snapshot->Verify();
    EXPECT_TRUE(good) << good.error().message;
    EXPECT_EQ(*snapshot->Contains(0), made.has_value());
    EXPECT_EQ(*snapshot->Contains(kPoints - 1), made.has_value());
  }
  EXPECT_GE(met, 3u);
}

std::string NameOf(const testing::TestParamInfo<std::pair<Fault, uint64_t>>& test) {
  constexpr const char* kNames[] = {"None", "FullDisk", "IoError", "ShortWrite"};
  return std::string(kNames[static_cast<int>(test.param.first)]) +
         (test.param.second == 1 ? "" : "ForAWhile");
}

INSTANTIATE_TEST_SUITE_P(Faults, FailingDisk,
                         testing::Values(std::pair(Fault::kFullDisk, 1),
                                         std::pair(Fault::kIoError, 1),
                                         std::pair(Fault::kShortWrite, 1),
                                         std::pair(Fault::kFullDisk, 1000)),
                         NameOf);

// A writer is killed after a write of its commit, while this process has the file open: so LMDB's
// lock file is the one that the killed writer has left.
class KilledWriter : public DatabaseFaults {
 protected:
  static constexpr uint32_t kBefore = 10, kMany = 1000;
  static constexpr DatabaseOptions kNoPass = {.least_changes = 1u << 20};

  Status Insert(uint32_t first, uint32_t n) const {
    Result<Database> database = Database::Open(Path(), kNoPass);
    if (!database) return tl::unexpected(database.error());
    Result<StoredIndex> index = database->OpenIndex("a");
    if (!index) index = database->CreateIndex("a", {.dim = kCallsDim, .max_degree = 8});
    Result<Transaction> change = database->Begin();
    Status ok;
    for (uint32_t id = first; id < first + n && ok; ++id)
      ok = change->Insert(*index, id, VectorOf(id, 1));
    return ok ? change->Commit() : ok;
  }
  // The child inserts many when it is told to, and is killed after its call number `fails_at`.
  std::pair<pid_t, int> StartWriter(uint64_t fails_at) const {
    int told[2];
    EXPECT_EQ(pipe(told), 0);
    const pid_t writer = fork();
    if (writer != 0) {
      close(told[0]);
      return {writer, told[1]};
    }
    char byte = 0;
    close(told[1]);
    if (read(told[0], &byte, 1) != 1) _exit(1);
    Watch(Path());
    TheDisk().fault = Fault::kKill;
    TheDisk().fails_at = fails_at;
    _exit(Insert(kBefore, kMany) ? 0 : 1);
  }
};

// If the file has the killed writer's commit, that is what the next writer goes on from.
TEST_F(KilledWriter, BesideAReaderLeavesTheFileForTheNextOne) {
  size_t none = 0, all = 0;
  for (uint64_t at = 1; all < 2 && !HasFailure(); ++at) {
    SCOPED_TRACE("killed after call " + std::to_string(at));
    std::filesystem::remove(Path());
    std::filesystem::remove(Path().string() + "-lock");
    ASSERT_TRUE(Insert(0, kBefore));
    const auto [writer, tell] = StartWriter(at);  // Forked while this process has no file open.
    {
      const Result<DatabaseSnapshot> reader = DatabaseSnapshot::Open(Path(), "a");
      ASSERT_TRUE(reader) << reader.error().message;
      EXPECT_EQ(write(tell, "i", 1), 1);
      close(tell);
      int status = 0;
      waitpid(writer, &status, 0);
      EXPECT_TRUE(WIFSIGNALED(status) || status == 0);
      ASSERT_TRUE(Insert(kBefore + kMany, 1));
      EXPECT_EQ(reader->size(), kBefore);
    }
    const Result<DatabaseSnapshot> after = DatabaseSnapshot::Open(Path(), "a");
    ASSERT_TRUE(after) << after.error().message;
    const Status good = after->Verify();
    EXPECT_TRUE(good) << good.error().message;
    EXPECT_TRUE(*after->Contains(kBefore + kMany));
    const bool has_all = after->size() == kBefore + kMany + 1;
    EXPECT_TRUE(has_all || after->size() == kBefore + 1) << after->size();
    ++(has_all ? all : none);
  }
  EXPECT_GE(none, 2u);
}

// Power is lost after a write: what was synced is there, of the rest any part, in any order.
class PowerLoss : public DatabaseFaults, public testing::WithParamInterface<SyncLevel> {
 protected:
  void Write(const std::vector<char>& bytes) const {
    std::ofstream(Lost(), std::ios::binary | std::ios::trunc)
        .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    std::filesystem::remove(Lost().string() + "-lock");
  }
  static void Apply(const DiskCall& call, size_t begin, size_t end, std::vector<char>& file) {
    if (file.size() < call.offset + end) file.resize(call.offset + end);
    std::memcpy(file.data() + call.offset + begin, call.bytes.data() + begin, end - begin);
  }
  // Each page of each write since the last sync is there or not.
  static std::vector<char> Lose(std::vector<char> file, const std::vector<DiskCall>& unsynced,
                                std::mt19937& random) {
    constexpr size_t kPage = 4096;
    const auto share = random() % 5;  // Of four.
    for (const DiskCall& call : unsynced)
      for (size_t at = 0; at < call.bytes.size(); at += kPage)
        if (random() % 4 < share) Apply(call, at, std::min(at + kPage, call.bytes.size()), file);
    return file;
  }
  std::filesystem::path Lost() const { return folder_ / "lost.db"; }
};

TEST_P(PowerLoss, LeavesTheStateAfterACall) {
  Begin(GetParam());
  std::vector<char> file;
  {
    std::ifstream in(Path(), std::ios::binary);
    file.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::vector<DiskCall> recorded;
  {
    CallMaker maker(*calls_, Path(), GetParam(), 7);
    ASSERT_TRUE(maker.Open());
    {  // What opening has written is in the file.
      std::ifstream in(Path(), std::ios::binary);
      file.assign(std::istreambuf_iterator<char>(in), {});
    }
    Watch(Path());
    TheDisk().noted = calls_.get();
    TheDisk().records = true;
    // One of them is the first load of an index.
    for (int i = 0; i < 60; ++i)
      ASSERT_TRUE(maker.Step({.loads = i == 20 ? 100u : 0, .backups = 0, .passes = 8}));
    const std::lock_guard lock(TheDisk().mutex);
    recorded = std::move(TheDisk().recorded);
    TheDisk().records = false;
  }
  Watch({});
  ASSERT_GT(recorded.size(), 100u);
  std::mt19937 random(11);
  std::vector<DiskCall> unsynced;
  for (size_t i = 0; i < recorded.size() && !HasFailure(); ++i) {
    const DiskCall& call = recorded[i];
    SCOPED_TRACE("after write " + std::to_string(i));
    if (call.bytes.empty()) {
      for (const DiskCall& kept : unsynced) Apply(kept, 0, kept.bytes.size(), file);
      unsynced.clear();
    } else if (call.is_durable) {
      Apply(call, 0, call.bytes.size(), file);
    } else {
      unsynced.push_back(call);
    }
    Write(Lose(file, unsynced, random));
    ExpectGoodFile(Lost(), *calls_, call.calls);
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, PowerLoss, testing::Values(SyncLevel::kFull, SyncLevel::kInterval),
                         [](const auto& test) {
                           return test.param == SyncLevel::kFull ? "Full" : "Interval";
                         });

}  // namespace
}  // namespace shoal
