// What several processes did to one database, with the times of call and return, and whether it can
// have happened one after another (stress/history.h). Two processes write, one after the other,
// with several threads each, and two read, all the while.
//
// A vector certifies its version, and every write has another one. What is checked:
//   1. For each id there is an order of its writes and of all snapshots that read it, each between
//      call and return, that explains what these read. Likewise of the live index.
//   2. A snapshot is of one moment of its Open: of all ids together.
//   3. A snapshot that shows a write of a transaction shows no id as it was before it.
// One clock for all processes: a counter in shared memory.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "shoal/database.h"
#include "stress/history.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using testing::Event;
using testing::kAbsent;
using testing::Kind;
using testing::Lifetimes;
using testing::Linearization;

constexpr uint32_t kDim = 6, kIds = 12;
constexpr size_t kWriters = 2, kThreads = 3, kReaders = 2;
constexpr size_t kCalls = 150;  // Of a thread.
constexpr size_t kMostNoted = kCalls * 4, kMostSnapshots = 4000;

struct Noted {
  uint32_t id;
  uint32_t call;  // Writes of one transaction have the same.
  Event event;
};
template <class Item, size_t kMost>
struct Log {
  size_t size = 0;
  std::array<Item, kMost> items;
  void Add(const Item& item) { items.at(size++) = item; }
};
struct SeenSnapshot {
  size_t reader;
  uint64_t start, end;
  std::array<uint64_t, kIds> versions;
};
// In memory that all processes share.
struct History {
  std::atomic<uint64_t> clock{1};
  std::atomic<uint64_t> versions{kAbsent};
  std::atomic<uint32_t> calls{0};
  std::atomic<uint64_t> looks{0};  // Snapshots that were read.
  std::atomic<bool> done{false};
  std::array<std::array<Log<Noted, kMostNoted>, kThreads>, kWriters> writers;
  std::array<Log<SeenSnapshot, kMostSnapshots>, kReaders> readers;

  uint64_t Now() { return clock.fetch_add(1) + 1; }
};

std::vector<float> VectorOf(uint32_t id, uint64_t version) {
  std::vector<float> v(kDim, static_cast<float>(id));
  v[0] = static_cast<float>(version);
  return v;
}

// The version of an id that a reader has. Ends the process when the reader fails.
template <class Reader>
uint64_t VersionIn(const Reader& reader, uint32_t id) {
  std::vector<float> v(kDim);
  const Status got = reader.Get(id, v);
  if (!got && got.error().code == ErrorCode::kNotFound) return kAbsent;
  if (!got || v[1] != static_cast<float>(id)) _exit(2);
  return static_cast<uint64_t>(v[0]);
}

class WriterThread {
 public:
  WriterThread(History& history, Log<Noted, kMostNoted>& log, Database& database, unsigned seed)
      : history_(history),
        log_(log),
        database_(database),
        index_(*database.OpenIndex("a")),
        random_(seed) {}

  void Run(SyncLevel level) {
    for (size_t i = 0; i < kCalls; ++i) {
      if (i % 10 == 0) AwaitALook();
      const auto kind = random_() % 10;
      if (kind < 5) {
        Transact();
      } else if (kind < 8 && level != SyncLevel::kInterval) {
        WriteAlone();  // With kInterval snapshots have it later.
      } else {
        GetLive();
      }
    }
  }

 private:
  // So that readers, too, have their share of few cores.
  void AwaitALook() const {
    const uint64_t before = history_.looks;
    for (int ms = 0; ms < 1000 && history_.looks == before; ++ms)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Noted Begin(uint32_t id, uint32_t call) {
    const bool goes = random_() % 4 == 0;
    return {id,
            call,
            {.start = history_.Now(),
             .kind = goes ? Kind::kDelete : Kind::kUpsert,
             .version = goes ? kAbsent : history_.versions.fetch_add(1) + 1}};
  }
  void End(std::vector<Noted>& made) {
    const uint64_t end = history_.Now();
    for (Noted& noted : made) {
      noted.event.end = end;
      noted.event.ok = true;
      log_.Add(noted);
    }
  }
  // Refused: the id is another transaction's, or is not there.
  static void ExpectRefusal(const Status& made) {
    if (made.error().code != ErrorCode::kConflict && made.error().code != ErrorCode::kNotFound)
      _exit(3);
  }
  void Transact() {
    Result<Transaction> change = database_.Begin();
    std::vector<Noted> made;
    const uint32_t call = history_.calls.fetch_add(1), first = random_() % kIds;
    for (uint32_t i = 0; i < 3; ++i) {
      const Noted noted = Begin((first + i * 5) % kIds, call);
      const Status ok =
          noted.event.kind == Kind::kDelete
              ? change->Delete(index_, noted.id)
              : change->Upsert(index_, noted.id, VectorOf(noted.id, noted.event.version));
      if (ok) {
        made.push_back(noted);
      } else {
        ExpectRefusal(ok);
      }
    }
    if (random_() % 4 == 0) return;  // Aborted: its versions are seen by none.
    if (!change->Commit()) _exit(4);
    End(made);
  }
  void WriteAlone() {
    const Noted noted = Begin(random_() % kIds, history_.calls.fetch_add(1));
    const Status ok = noted.event.kind == Kind::kDelete
                          ? index_.Delete(noted.id)
                          : index_.Upsert(noted.id, VectorOf(noted.id, noted.event.version));
    if (!ok) return ExpectRefusal(ok);
    std::vector<Noted> made = {noted};
    End(made);
  }
  void GetLive() {
    Noted noted{static_cast<uint32_t>(random_() % kIds), 0, {.start = history_.Now()}};
    noted.event.version = VersionIn(index_.live(), noted.id);
    noted.event.ok = noted.event.version != kAbsent;
    noted.event.end = history_.Now();
    log_.Add(noted);
  }

  History& history_;
  Log<Noted, kMostNoted>& log_;
  Database& database_;
  StoredIndex index_;
  std::mt19937 random_;
};

class DatabaseHistory : public ::testing::TestWithParam<SyncLevel> {
 protected:
  DatabaseHistory()
      : history_(*new(mmap(nullptr, sizeof(History), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0)) History) {}
  ~DatabaseHistory() override { munmap(&history_, sizeof(History)); }

  static pid_t Start(const std::function<void()>& work) {
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work();
    _exit(0);
  }
  static void ExpectEnd(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
  }
  void Write(size_t writer) {
    Result<Database> database = Database::Open(
        Path(), {.sync = GetParam(), .interval_ms = 2, .pass_percent = 5, .least_changes = 60});
    if (!database) _exit(5);
    if (!database->OpenIndex("a") &&
        !database->CreateIndex("a", {.dim = kDim, .max_degree = 6, .build_list_size = 12}))
      _exit(6);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] {
        WriterThread(history_, history_.writers.at(writer).at(i), *database,
                     static_cast<unsigned>(writer * kThreads + i + 1))
            .Run(GetParam());
      });
    for (std::thread& thread : threads) thread.join();
  }
  // Every other reader has a snapshot open all the while: its process keeps what it found.
  void Read(size_t reader) {
    std::optional<DatabaseSnapshot> held;
    while (!history_.done) {
      SeenSnapshot seen{.reader = reader, .start = history_.Now(), .end = 0, .versions = {}};
      Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(Path(), "a");
      seen.end = history_.Now();
      if (!snapshot) {
        const ErrorCode code = snapshot.error().code;  // The file, or the index, is not there yet.
        if (code != ErrorCode::kFileNotFound && code != ErrorCode::kNotFound) _exit(7);
        continue;
      }
      for (uint32_t id = 0; id < kIds; ++id) seen.versions.at(id) = VersionIn(*snapshot, id);
      AddSnapshot(history_.readers.at(reader), seen);
      ++history_.looks;
      if (reader % 2 == 1) held.emplace(std::move(*snapshot));
    }
  }
  // Of those in a row that see the same, the first and the last: no version comes twice, so what
  // they see was there all the while.
  static void AddSnapshot(Log<SeenSnapshot, kMostSnapshots>& log, const SeenSnapshot& seen) {
    const auto same = [&](size_t back) {
      return log.size >= back && log.items.at(log.size - back).versions == seen.versions;
    };
    if (same(1) && same(2)) --log.size;
    log.Add(seen);
  }
  std::filesystem::path Path() const { return folder_ / "points.db"; }

  void Run() {
    std::vector<pid_t> readers;
    for (size_t i = 0; i < kReaders; ++i) readers.push_back(Start([this, i] { Read(i); }));
    for (size_t i = 0; i < kWriters; ++i) ExpectEnd(Start([this, i] { Write(i); }));
    history_.done = true;
    for (const pid_t reader : readers) ExpectEnd(reader);
    for (const auto& writer : history_.writers)
      for (const auto& log : writer)
        for (size_t i = 0; i < log.size; ++i) Note(log.items.at(i));
    for (const auto& log : history_.readers)
      snapshots_.insert(snapshots_.end(), log.items.begin(), log.items.begin() + log.size);
    ASSERT_GT(history_.looks, 20u);
    ASSERT_GT(transactions_.size(), 50u);
  }
  void Note(const Noted& noted) {
    if (noted.event.kind == Kind::kGet) {
      live_gets_.at(noted.id).push_back(noted.event);
      return;
    }
    writes_.at(noted.id).push_back(noted.event);
    transactions_[noted.call].push_back(noted);
    if (noted.event.version != kAbsent) call_of_[noted.event.version] = noted.call;
  }

  static bool CanBe(std::vector<Event> events, const std::vector<Event>& reads) {
    events.insert(events.end(), reads.begin(), reads.end());
    return Linearization(std::move(events)).Exists(kAbsent);
  }
  // Of a reader's reads that see the same, one after the other, the first and the last: a commit
  // that waits for the disk overlaps hundreds.
  std::vector<Event> SnapshotReads(uint32_t id) const {
    std::vector<Event> reads;
    for (size_t reader = 0; reader < kReaders; ++reader) {
      size_t same = 0;
      for (const SeenSnapshot& seen : snapshots_) {
        if (seen.reader != reader) continue;
        const uint64_t version = seen.versions.at(id);
        same = same > 0 && reads.back().version == version ? same + 1 : 1;
        if (same > 2) reads.pop_back();
        reads.push_back({.start = seen.start,
                         .end = seen.end,
                         .kind = Kind::kGet,
                         .ok = version != kAbsent,
                         .version = version});
      }
    }
    return reads;
  }
  // Whether some write of a transaction that the snapshot shows is missing in it: the id has what
  // was written before the transaction began.
  bool ShowsAPart(const SeenSnapshot& seen) const {
    for (const uint64_t version : seen.versions) {
      if (version == kAbsent) continue;
      for (const Noted& other : transactions_.at(call_of_.at(version))) {
        const uint64_t found = seen.versions.at(other.id);
        if (found == other.event.version || found == kAbsent) continue;
        for (const Event& write : writes_.at(other.id))
          if (write.version == found && write.end < other.event.start) return true;
      }
    }
    return false;
  }

  TempFolder folder_;
  History& history_;
  std::array<std::vector<Event>, kIds> writes_, live_gets_;
  std::map<uint32_t, std::vector<Noted>> transactions_;
  std::map<uint64_t, uint32_t> call_of_;  // Of versions.
  std::vector<SeenSnapshot> snapshots_;
};

TEST_P(DatabaseHistory, WritesAndSnapshotsCanHaveHappenedOneAfterAnother) {
  Run();
  if (HasFatalFailure()) return;
  std::vector<Lifetimes> lives;
  for (uint32_t id = 0; id < kIds; ++id) {
    EXPECT_TRUE(CanBe(writes_.at(id), SnapshotReads(id))) << "snapshots of id " << id;
    EXPECT_TRUE(CanBe(writes_.at(id), live_gets_.at(id))) << "the live index, id " << id;
    lives.emplace_back(writes_.at(id));
  }
  for (const SeenSnapshot& seen : snapshots_) {
    EXPECT_TRUE(testing::OfOneMoment({seen.versions.begin(), seen.versions.end()}, lives,
                                     seen.start, seen.end));
    EXPECT_FALSE(ShowsAPart(seen)) << "from " << seen.start;
  }
}

// So the checks can fail: what a snapshot showed is put in the place of what a later one did.
TEST_P(DatabaseHistory, StaleAndPartialReadsAreNotOverlooked) {
  Run();
  if (HasFatalFailure()) return;
  std::sort(snapshots_.begin(), snapshots_.end(),
            [](const SeenSnapshot& a, const SeenSnapshot& b) { return a.start < b.start; });
  const SeenSnapshot early = snapshots_.at(snapshots_.size() / 4);
  SeenSnapshot& late = snapshots_.back();
  const SeenSnapshot shown = late;
  size_t stale = 0, parts = 0;
  for (uint32_t id = 0; id < kIds; ++id) {
    if (early.versions.at(id) == shown.versions.at(id) || early.versions.at(id) == kAbsent)
      continue;
    late = shown;
    late.versions.at(id) = early.versions.at(id);
    stale += CanBe(writes_.at(id), SnapshotReads(id)) ? 0 : 1;
    parts += ShowsAPart(late) ? 1 : 0;
  }
  EXPECT_GT(stale, 0u);
  EXPECT_GT(parts, 0u);
}

INSTANTIATE_TEST_SUITE_P(Levels, DatabaseHistory,
                         ::testing::Values(SyncLevel::kNone, SyncLevel::kInterval),
                         [](const auto& test) {
                           return test.param == SyncLevel::kNone ? "None" : "Interval";
                         });

}  // namespace
}  // namespace shoal
