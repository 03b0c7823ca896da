// A reader that stays: a process keeps one snapshot open and reads it again and again, while
// another one replaces all points many times. What it reads stays as it was, and the file's pages
// come back.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "shoal/database.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;
using Vector = std::vector<float>;
constexpr uint32_t kDim = 8;
constexpr ExternalId kPoints = 500;
constexpr DatabaseOptions kOptions{.sync = SyncLevel::kNone, .least_changes = 500};

class DatabaseReader : public testing::Test {
 protected:
  DatabaseReader()
      : path_(std::filesystem::path(testing::TempDir()) /
              ("shoal_reader_" + std::to_string(getpid()) + ".db")) {
    Remove();
  }
  ~DatabaseReader() override { Remove(); }

  void Remove() {
    for (const char* end : {"", "-lock", "-writer"}) std::filesystem::remove(path_.string() + end);
  }
  Vector Random() {
    Vector v(kDim);
    for (float& x : v) x = normal_(random_);
    return v;
  }

  // Reads until `stop` has no writer any more. The exit status says what was read that was not so
  // at first: 0, nothing.
  int Read(int ready, int stop) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
    if (!snapshot) return 1;
    std::vector<Vector> queries, vectors;
    std::vector<std::vector<Hit>> answers;
    for (int i = 0; i < 20; ++i) {
      queries.push_back(Random());
      answers.push_back(snapshot->Search(queries.back(), {.k = 10}).value());
    }
    for (ExternalId id = 0; id < kPoints; ++id) {
      vectors.emplace_back(kDim);
      if (!snapshot->Get(id, vectors.back())) return 2;
    }
    if (write(ready, "r", 1) != 1) return 3;
    Vector vector(kDim);
    const auto is_as_it_was = [&](size_t i) {
      const ExternalId id = i % kPoints;
      const auto hits = snapshot->Search(queries[i % queries.size()], {.k = 10});
      const auto is_equal = [](const Hit& a, const Hit& b) {
        return a.id == b.id && a.distance == b.distance;
      };
      return hits && std::ranges::equal(*hits, answers[i % queries.size()], is_equal) &&
             snapshot->Get(id, vector) && vector == vectors[id];
    };
    size_t i = 0;
    for (pollfd end{stop, POLLIN, 0}; poll(&end, 1, 10) == 0; ++i)
      if (!is_as_it_was(i)) return 4;
    for (size_t end = i + kPoints; i < end; ++i)
      if (!is_as_it_was(i)) return 5;
    return snapshot->size() == kPoints && snapshot->Verify() ? 0 : 6;
  }

  // The reader stays for so long, and through at least as many passes. The writer rests after each
  // of its commits.
  void StayFor(Clock::duration time, uint64_t passes, milliseconds rest) {
    {
      Result<Database> database = Database::Open(path_, kOptions);
      StoredIndex index = database->CreateIndex("a", {.dim = kDim, .max_degree = 8}).value();
      for (ExternalId id = 0; id < kPoints; ++id) ASSERT_TRUE(index.Insert(id, Random()));
    }
    int ready[2], stop[2];
    ASSERT_EQ(pipe(ready), 0);
    ASSERT_EQ(pipe(stop), 0);
    const pid_t reader = fork();  // Before this process has the file open again.
    if (reader == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(stop[1]);
      _exit(Read(ready[1], stop[0]));
    }
    close(ready[1]);
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1) << "the reader has ended";
    Result<Database> database = Database::Open(path_, kOptions);
    ASSERT_TRUE(database) << database.error().message;
    StoredIndex index = database->OpenIndex("a").value();
    uint64_t commits = 0;
    const auto replace_all = [&](milliseconds pause) {
      for (ExternalId id = 0; id < kPoints; ++id, ++commits) {
        ASSERT_TRUE(index.Upsert(id, Random()));
        std::this_thread::sleep_for(pause);
      }
    };
    const auto begin = Clock::now();
    while (Clock::now() - begin < time || database->Stat()->passes < passes) {
      replace_all(rest);
      ASSERT_GE(database->Stat()->oldest_lag, commits);
      ASSERT_EQ(waitpid(reader, nullptr, WNOHANG), 0) << "the reader has ended";
      Vector now(kDim), newest(kDim);  // Other snapshots are current.
      ASSERT_TRUE(DatabaseSnapshot::Open(path_, "a").value().Get(kPoints - 1, newest));
      ASSERT_TRUE(index.live().Get(kPoints - 1, now));
      ASSERT_EQ(newest, now);
    }
    close(stop[1]);
    int status = -1;
    waitpid(reader, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    // What the reader kept is free.
    EXPECT_EQ(database->Stat()->oldest_lag, 0u);
    const uint64_t bytes = database->Stat()->file_bytes;
    for (int turnover = 0; turnover < 10; ++turnover) {
      replace_all(milliseconds(0));
      ASSERT_TRUE(database->Pass());
    }
    EXPECT_LE(database->Stat()->file_bytes, bytes);
    ASSERT_TRUE(DatabaseSnapshot::Open(path_, "a").value().Verify());
  }

  std::filesystem::path path_;
  std::mt19937 random_{12};
  std::normal_distribution<float> normal_;
};

TEST_F(DatabaseReader, ASnapshotStaysAsItWasWhileAllIsReplacedManyTimes) {
  StayFor(std::chrono::seconds(1), 5, milliseconds(0));
}

using LongDatabaseReader = DatabaseReader;
TEST_F(LongDatabaseReader, ASnapshotStaysAsItWasForAnHour) {
  StayFor(std::chrono::hours(1), 100, milliseconds(20));
}

}  // namespace
}  // namespace shoal
