// A writer is killed at any moment, again and again: what it was told to be on disk is there, the
// file has the state after one of its calls, and is good. A reader lives meanwhile, in a process of
// its own: its snapshots stay as they are, and those that it opens next are current.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "database_calls.h"
#include "shoal/database.h"

namespace shoal {
namespace {

// A process that has snapshots of both indexes open while writers are killed.
class LivingReader {
 public:
  LivingReader(const std::filesystem::path& path, const NotedCalls& calls) {
    int asked[2], told[2];
    EXPECT_EQ(pipe(asked), 0);
    EXPECT_EQ(pipe(told), 0);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (char byte = 0; read(asked[0], &byte, 1) == 1;) {
        Look(path, calls);
        byte = testing::Test::HasFailure() ? 'f' : 'g';
        if (write(told[1], &byte, 1) != 1) break;
      }
      _exit(0);
    }
    close(asked[0]);
    close(told[1]);
    ask_ = asked[1];
    answer_ = told[0];
  }
  ~LivingReader() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(ask_);
    close(answer_);
  }
  LivingReader(const LivingReader&) = delete;
  // The snapshots are as they were, and new ones are opened: of a state after some call.
  void ExpectGood() const {
    char byte = 'a';
    EXPECT_EQ(write(ask_, &byte, 1), 1);
    EXPECT_EQ(read(answer_, &byte, 1), 1) << "the reader has ended";
    EXPECT_EQ(byte, 'g') << "the reader's messages are above";
  }

 private:
  struct Kept {
    DatabaseSnapshot snapshot;
    FoundState state;
  };
  static FoundState StateOf(const DatabaseSnapshot& snapshot) {
    FoundState state;
    if (snapshot.options().build_list_size == 8) {
      state.loaded = *snapshot.Ids();
    } else {
      state.versions = VersionsIn(snapshot);
    }
    return state;
  }
  void Look(const std::filesystem::path& path, const NotedCalls& calls) {
    for (const Kept& kept : kept_) {
      const FoundState now = StateOf(kept.snapshot);
      EXPECT_EQ(now.versions, kept.state.versions);
      EXPECT_EQ(now.loaded, kept.state.loaded);
      const Status good = kept.snapshot.Verify();
      EXPECT_TRUE(good) << "kept: " << good.error().message;
    }
    ExpectGoodFile(path, calls, calls.durable.load());
    kept_.clear();
    for (const char* const name : {"a", "b"}) {
      Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path, name);
      if (!snapshot) continue;  // Not there yet: ExpectGoodFile has said so else.
      FoundState state = StateOf(*snapshot);
      kept_.push_back({std::move(*snapshot), std::move(state)});
    }
  }

  pid_t pid_ = 0;
  int ask_ = -1, answer_ = -1;
  std::vector<Kept> kept_;  // The process's.
};

class DatabaseCrash : public testing::TestWithParam<SyncLevel> {
 protected:
  DatabaseCrash() {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("shoal_database_crash_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "points.db";
    calls_ = new (mmap(nullptr, sizeof(NotedCalls), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0)) NotedCalls;
  }
  ~DatabaseCrash() override {
    munmap(calls_, sizeof(NotedCalls));
    std::filesystem::remove_all(folder_);
  }

  void KillWriter(unsigned seed) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // It must not outlive a test that is killed.
      CallMaker maker(*calls_, path_, GetParam(), seed);
      // While an index is loaded, background threads repair, too.
      if (!maker.Open(seed % 4 < 2 ? RepairPolicy::kImmediate : RepairPolicy::kBackground))
        _exit(2);
      // A third of the rounds is mostly loads: of runs and passes of many points.
      const CallMaker::Mix mix = seed % 3 == 0 || IsNewFile(seed) ? CallMaker::Mix{.loads = 30}
                                                                  : CallMaker::Mix{.loads = 0};
      while (maker.Step(mix)) {
      }
      _exit(3);
    }
    std::mt19937 random(seed);
    // After some calls, at any moment of the next one.
    const uint32_t calls = calls_->begun.load() + random() % (IsNewFile(seed) ? 8 : 40);
    int status = 0;
    while (calls_->begun.load() < calls && waitpid(child, &status, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended with " << WEXITSTATUS(status);
  }

  // The last backup, if the writer was not killed before it was there: whole.
  void CheckCopy() {
    const std::filesystem::path copy = path_.string() + ".copy";
    if (!std::filesystem::exists(copy)) return;
    ++copies_;
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(copy, "a");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    const Status good = snapshot->Verify();
    EXPECT_TRUE(good) << good.error().message;
  }

  // Then the next writer begins with what is there.
  void CheckAndRemember() {
    ExpectGoodFile(path_, *calls_, calls_->durable.load());
    CheckCopy();
    Result<Database> database = Database::Open(path_, {.sync = SyncLevel::kNone});
    ASSERT_TRUE(database) << database.error().message;
    FoundState found;
    for (const char* const name : {"a", "b"}) {
      const Result<StoredIndex> index = database->OpenIndex(name);
      if (!index && index.error().code == ErrorCode::kNotFound) continue;
      ASSERT_TRUE(index) << index.error().message;
      const Status structure = index->live().CheckStructure();
      EXPECT_TRUE(structure) << structure.error().message;
      if (name[0] == 'b') {
        found.loaded = *index->live().Ids();
        continue;
      }
      found.versions = VersionsIn(index->live());
      for (const auto& [id, version] : found.versions) {
        const auto hits = index->live().Search(VectorOf(id, version), {.k = 1});
        ASSERT_TRUE(hits);
        ASSERT_EQ(hits->size(), 1u);
      }
    }
    Remember(StateAfter(*calls_, FindCall(*calls_, calls_->durable.load(), found)));
  }
  // The calls so far become one, which leads to this state.
  void Remember(const Versions& state) {
    uint32_t end = 0;
    for (const auto& [id, version] : state) calls_->changes[end++] = {id, version};
    const uint32_t begun = calls_->begun.load();
    for (uint32_t i = 0; i < begun; ++i) calls_->ends[i] = end;  // Versions go on rising.
    calls_->durable.store(begun);
  }

  // Of five rounds the first begins without a file, and so with the first load of an index. A
  // reader that has the file open lives from there on through the kills of the others.
  static bool IsNewFile(unsigned seed) { return seed % 5 == 1; }
  void RemoveFile() {
    calls_made_ += calls_->begun.load();
    for (const char* const end : {"", "-lock", ".copy", ".copy-lock"})
      std::filesystem::remove(path_.string() + end);
    calls_->begun = calls_->durable = 0;
  }

  void Run(unsigned rounds) {
    std::optional<LivingReader> reader;
    for (unsigned seed = 1; seed <= rounds && !HasFailure(); ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      if (IsNewFile(seed)) {
        reader.reset();
        RemoveFile();
      }
      KillWriter(seed);
      if (reader) reader->ExpectGood();
      CheckAndRemember();
      if (!reader) reader.emplace(path_, *calls_);
      reader->ExpectGood();  // Of the one state that there is now.
    }
    EXPECT_GT(calls_made_ + calls_->begun.load(), 5 * rounds)
        << "it was killed before it had done much";
    EXPECT_GT(copies_, 0u);
  }

  std::filesystem::path folder_, path_;
  NotedCalls* calls_ = nullptr;
  size_t copies_ = 0;        // Backups that were checked.
  uint32_t calls_made_ = 0;  // On earlier files.
};

TEST_P(DatabaseCrash, WhatWasAcknowledgedIsThereAfterAKill) { Run(15); }

using LongDatabaseCrash = DatabaseCrash;
TEST_P(LongDatabaseCrash, WhatWasAcknowledgedIsThereAfterManyKills) { Run(500); }

const auto kLevels = testing::Values(SyncLevel::kNone, SyncLevel::kInterval, SyncLevel::kFull);
const auto kNameOf = [](const auto& test) {
  if (test.param == SyncLevel::kFull) return "Full";
  return test.param == SyncLevel::kNone ? "None" : "Interval";
};
INSTANTIATE_TEST_SUITE_P(Levels, DatabaseCrash, kLevels, kNameOf);
INSTANTIATE_TEST_SUITE_P(Levels, LongDatabaseCrash, kLevels, kNameOf);

}  // namespace
}  // namespace shoal
