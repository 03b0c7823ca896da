// A writer is killed at any moment, again and again: what it was told to be on disk is there, the
// file has the state after one of its calls, and is good.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "database_calls.h"
#include "shoal/database.h"

namespace shoal {
namespace {

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
      if (!maker.Open()) _exit(2);
      // A third of the rounds is mostly loads: of runs and passes of many points.
      const CallMaker::Mix mix =
          seed % 3 == 0 ? CallMaker::Mix{.loads = 30} : CallMaker::Mix{.loads = 0};
      while (maker.Step(mix)) {
      }
      _exit(3);
    }
    std::mt19937 random(seed);
    // After some calls, at any moment of the next one.
    const uint32_t calls = calls_->begun.load() + random() % 40;
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

  void Run(unsigned rounds) {
    for (unsigned seed = 1; seed <= rounds && !HasFailure(); ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      KillWriter(seed);
      CheckAndRemember();
    }
    EXPECT_GT(calls_->begun.load(), 5 * rounds) << "it was killed before it had done much";
    EXPECT_GT(copies_, 0u);
  }

  std::filesystem::path folder_, path_;
  NotedCalls* calls_ = nullptr;
  size_t copies_ = 0;  // Backups that were checked.
};

TEST_P(DatabaseCrash, WhatWasAcknowledgedIsThereAfterAKill) { Run(15); }

using LongDatabaseCrash = DatabaseCrash;
TEST_P(LongDatabaseCrash, WhatWasAcknowledgedIsThereAfterManyKills) { Run(500); }

const auto kLevels = testing::Values(SyncLevel::kNone, SyncLevel::kInterval);
const auto kNameOf = [](const auto& test) {
  return test.param == SyncLevel::kNone ? "None" : "Interval";
};
INSTANTIATE_TEST_SUITE_P(Levels, DatabaseCrash, kLevels, kNameOf);
INSTANTIATE_TEST_SUITE_P(Levels, LongDatabaseCrash, kLevels, kNameOf);

}  // namespace
}  // namespace shoal
