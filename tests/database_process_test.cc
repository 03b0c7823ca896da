// A database and several processes: one writes, others read, and any of them may be killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <random>

#include "shoal/database.h"

namespace shoal {
namespace {

using ::testing::HasSubstr;
using Vector = std::vector<float>;
constexpr uint32_t kDim = 8;

class DatabaseProcess : public testing::Test {
 protected:
  DatabaseProcess() {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("shoal_process_" + std::string(test->name()) + "_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "points.db";
  }
  ~DatabaseProcess() override { std::filesystem::remove_all(folder_); }

  // Runs `child` in a process of its own, which then waits to be killed. Returns when it has said
  // that it is ready, with its pid.
  template <class Child>
  pid_t Start(const Child& child) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      child([&] {
        if (write(ready[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
      });
      _exit(2);
    }
    char byte = 0;
    close(ready[1]);
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the child has ended";
    close(ready[0]);
    return pid;
  }
  static void Kill(pid_t pid) {
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
  }
  Vector Random() {
    Vector v(kDim);
    for (float& x : v) x = normal_(random_);
    return v;
  }
  static void ExpectGood(const Status& status) { EXPECT_TRUE(status) << status.error().message; }

  std::filesystem::path folder_, path_;
  std::mt19937 random_{11};
  std::normal_distribution<float> normal_;
};

TEST_F(DatabaseProcess, OneProcessWritesUntilItEnds) {
  const pid_t writer = Start([this](const auto& ready) {
    const Result<Database> database = Database::Open(path_);
    if (database) ready();
  });
  const Result<Database> second = Database::Open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(second.error().message, HasSubstr("open for writing already"));
  Kill(writer);
  EXPECT_TRUE(Database::Open(path_));
}

TEST_F(DatabaseProcess, KilledReaderDoesNotKeepPages) {
  std::optional<Database> database;
  {
    Result<Database> created = Database::Open(path_, {.sync = SyncLevel::kNone});
    const Result<StoredIndex> index = created->CreateIndex("a", {.dim = kDim});
    for (ExternalId id = 0; id < 50; ++id) ExpectGood(StoredIndex(*index).Insert(id, Random()));
  }
  const pid_t reader = Start([this](const auto& ready) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
    if (snapshot && snapshot->Verify()) ready();
  });
  database.emplace(*Database::Open(path_, {.sync = SyncLevel::kNone}));
  StoredIndex index = *database->OpenIndex("a");
  for (ExternalId id = 0; id < 50; ++id) ExpectGood(index.Upsert(id, Random()));
  EXPECT_EQ(database->Stat()->snapshots, 1u);
  EXPECT_GE(database->Stat()->oldest_lag, 50u);
  Kill(reader);
  ExpectGood(database->Pass());
  EXPECT_EQ(database->Stat()->snapshots, 0u);
  EXPECT_EQ(database->Stat()->oldest_lag, 0u);
}

TEST_F(DatabaseProcess, PagesAreUsedAgain) {
  Result<Database> database =
      Database::Open(path_, {.sync = SyncLevel::kNone, .least_changes = 500});
  StoredIndex index = *database->CreateIndex("a", {.dim = kDim, .max_degree = 8});
  for (ExternalId id = 0; id < 500; ++id) ExpectGood(index.Insert(id, Random()));
  const auto upsert_all = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (ExternalId id = 0; id < 500; ++id) ExpectGood(index.Upsert(id, Random()));
      ExpectGood(database->Pass());  // The thread that makes them may be late.
    }
  };
  upsert_all(2);
  const uint64_t before = database->Stat()->file_bytes;
  upsert_all(10);
  EXPECT_LE(database->Stat()->file_bytes, 2 * before);
}

TEST_F(DatabaseProcess, MoreSnapshotsThanReadersAreRefusedAndNamed) {
  Result<Database> database = Database::Open(path_, {.sync = SyncLevel::kNone, .max_readers = 8});
  ASSERT_TRUE(database->CreateIndex("a", {.dim = kDim}));
  std::vector<DatabaseSnapshot> open;
  for (int i = 0; i < 100; ++i) {
    Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
    if (!snapshot) {
      EXPECT_EQ(snapshot.error().code, ErrorCode::kIo);
      EXPECT_THAT(snapshot.error().message, HasSubstr("max_readers"));
      break;
    }
    open.push_back(std::move(*snapshot));
  }
  EXPECT_GE(open.size(), 6u);
  EXPECT_LT(open.size(), 100u);
  open.clear();
  EXPECT_TRUE(DatabaseSnapshot::Open(path_, "a"));
}

// A process with a map of the size that it was opened with, while another one lets the file grow.
TEST_F(DatabaseProcess, AFileThatOutgrowsTheMapIsNamedAndCanBeOpenedAnew) {
  const auto add = [this](Database& database, ExternalId first, ExternalId end) {
    StoredIndex index = *database.OpenIndex("a");
    Transaction change = *database.Begin();
    for (ExternalId id = first; id < end; ++id) ExpectGood(change.Insert(index, id, Random()));
    ExpectGood(change.Commit());
  };
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  const pid_t writer = fork();  // Before this process has the file open.
  if (writer == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char byte = 0;
    if (read(go[0], &byte, 1) != 1) _exit(1);
    Result<Database> database = Database::Open(path_, {.sync = SyncLevel::kNone});
    if (!database) _exit(2);
    add(*database, 100, 20000);
    _exit(testing::Test::HasFailure() ? 3 : 0);
  }
  std::optional<DatabaseSnapshot> kept;
  {
    Result<Database> database =
        Database::Open(path_, {.sync = SyncLevel::kNone, .max_bytes = size_t{2} << 20});
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->CreateIndex("a", {.dim = kDim, .max_degree = 8, .build_list_size = 12}));
    add(*database, 0, 100);
    kept.emplace(*DatabaseSnapshot::Open(path_, "a"));
  }
  ASSERT_EQ(write(go[1], "g", 1), 1);
  int status = 0;
  waitpid(writer, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_GT(std::filesystem::file_size(path_), size_t{2} << 20);
  ExpectGood(kept->Verify());
  EXPECT_EQ(kept->size(), 100u);
  const Result<DatabaseSnapshot> refused = DatabaseSnapshot::Open(path_, "a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("max_bytes"));
  kept.reset();
  const Result<DatabaseSnapshot> anew = DatabaseSnapshot::Open(path_, "a");
  ASSERT_TRUE(anew) << anew.error().message;
  EXPECT_EQ(anew->size(), 20000u);
}

TEST_F(DatabaseProcess, ReadOnlyMediaAreSearchedAndNotWritten) {
  {
    Result<Database> database = Database::Open(path_);
    ASSERT_TRUE(database);
    StoredIndex index = *database->CreateIndex("a", {.dim = kDim});
    for (ExternalId id = 0; id < 20; ++id) ExpectGood(index.Insert(id, Random()));
  }
  // As another computer left it: without the files beside it.
  for (const char* beside : {"-lock", "-writer"}) std::filesystem::remove(path_.string() + beside);
  using std::filesystem::perms;
  constexpr perms kRead = perms::owner_read | perms::group_read | perms::others_read;
  constexpr perms kEnter = perms::owner_exec | perms::group_exec | perms::others_exec;
  std::filesystem::permissions(path_, kRead);
  std::filesystem::permissions(folder_, kRead | kEnter);
  const pid_t reader = fork();
  if (reader == 0) {  // To root nothing is read-only.
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setuid(kNobody) != 0) _exit(1);
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
    if (!snapshot || !snapshot->Verify()) _exit(2);
    const auto hits = snapshot->Search(Vector(kDim, 1.f), {.k = 100});
    if (!hits || hits->size() != 20) _exit(3);
    const Result<Database> writer = Database::Open(path_);
    if (writer || writer.error().code != ErrorCode::kIo) _exit(4);
    _exit(0);
  }
  int status = 0;
  waitpid(reader, &status, 0);
  EXPECT_EQ(status, 0);
  std::filesystem::permissions(folder_, perms::owner_all);
}

TEST_F(DatabaseProcess, AChildOfAForkIsRefusedWhatItsParentHasOpen) {
  Result<Database> database = Database::Open(path_);
  ASSERT_TRUE(database);
  ExpectGood(database->CreateIndex("a", {.dim = kDim})->Insert(1, Random()));
  const pid_t child = fork();
  if (child == 0) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
    const bool is_refused = !snapshot && snapshot.error().code == ErrorCode::kUnsupported &&
                            snapshot.error().message.find("parent") != std::string::npos;
    _exit(is_refused ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(DatabaseSnapshot::Open(path_, "a"));
}

TEST_F(DatabaseProcess, OtherFilesAreRefused) {
  FILE* const file = fopen(path_.c_str(), "w");
  for (int i = 0; i < 20'000; ++i) fputc(i % 251, file);
  fclose(file);
  const Result<Database> database = Database::Open(path_);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(database.error().message, HasSubstr("points.db: open"));
  EXPECT_FALSE(DatabaseSnapshot::Open(path_, "a"));
}

}  // namespace
}  // namespace shoal
