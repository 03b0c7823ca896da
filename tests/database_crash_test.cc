// A writer is killed at any moment, again and again: what it was told to be on disk is there, a
// transaction is there whole or not at all, and the file is good.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "shoal/database.h"

namespace shoal {
namespace {

using Vector = std::vector<float>;
constexpr uint32_t kDim = 12;
constexpr size_t kIds = 600, kMostInTransaction = 12;

// Seen by both processes. A version says which vector an id has; 0: none.
struct Shared {
  std::atomic<uint32_t> wanted[kIds];  // By the call under way, or the last one.
  std::atomic<uint32_t> acknowledged[kIds];
  std::atomic<uint32_t> next_version{1};
  // The ids of the call under way; all of them get what they want, or none.
  std::atomic<uint32_t> under_way[kMostInTransaction];
  std::atomic<uint32_t> count;
  std::atomic<uint64_t> calls;
};

Vector VectorOf(ExternalId id, uint32_t version) {
  Vector v(kDim);
  std::mt19937 random(static_cast<unsigned>(id * 7919 + version));
  std::normal_distribution<float> normal;
  for (float& x : v) x = normal(random);
  v[0] = static_cast<float>(id);
  v[1] = static_cast<float>(version);
  return v;
}

std::filesystem::path CopyOf(const std::filesystem::path& database) {
  return database.string() + ".copy";
}

// The child: writes until it is killed.
class Writer {
 public:
  Writer(Shared& shared, const std::filesystem::path& path, unsigned seed)
      : shared_(shared), path_(path), random_(seed) {}

  int Run() {
    Result<Database> database =
        Database::Open(path_, {.sync = SyncLevel::kNone, .pass_percent = 5, .least_changes = 60});
    if (!database) return 2;
    Result<StoredIndex> index = database->OpenIndex("a");
    if (!index)
      index = database->CreateIndex("a", {.dim = kDim, .max_degree = 8, .build_list_size = 20});
    if (!index) return 3;
    for (;;) {
      if (!Step(*database, *index)) return 4;
      shared_.calls.fetch_add(1);
    }
  }

 private:
  bool Step(Database& database, const StoredIndex& index) {
    const auto kind = random_() % 40;
    if (kind == 0) return static_cast<bool>(database.Pass());
    if (kind == 1) {
      std::filesystem::remove(CopyOf(path_));
      return static_cast<bool>(database.Backup(CopyOf(path_)));
    }
    const size_t n = kind < 12 ? 2 + random_() % (kMostInTransaction - 1) : 1;
    uint32_t ids[kMostInTransaction];
    Choose(ids, n);
    const bool written = n == 1 ? WriteOne(index, ids[0]) : WriteMany(database, index, ids, n);
    for (size_t i = 0; i < n; ++i)
      shared_.acknowledged[ids[i]].store(shared_.wanted[ids[i]].load());
    shared_.count.store(0);
    return written;
  }
  // Different ids, each with what it shall be.
  void Choose(uint32_t* ids, size_t n) {
    const auto first = static_cast<uint32_t>(random_() % (kIds - kMostInTransaction));
    for (size_t i = 0; i < n; ++i) ids[i] = first + static_cast<uint32_t>(i);
    for (size_t i = 0; i < n; ++i) {
      const bool goes = shared_.acknowledged[ids[i]].load() != 0 && random_() % 3 == 0;
      shared_.wanted[ids[i]].store(goes ? 0 : shared_.next_version.fetch_add(1));
      shared_.under_way[i].store(ids[i]);
    }
    shared_.count.store(static_cast<uint32_t>(n));
  }
  bool WriteOne(StoredIndex index, uint32_t id) {
    const uint32_t version = shared_.wanted[id].load();
    if (version == 0) return static_cast<bool>(index.Delete(id));
    return static_cast<bool>(index.Upsert(id, VectorOf(id, version)));
  }
  bool WriteMany(Database& database, const StoredIndex& index, const uint32_t* ids, size_t n) {
    Result<Transaction> change = database.Begin();
    for (size_t i = 0; i < n; ++i) {
      const uint32_t version = shared_.wanted[ids[i]].load();
      const Status ok = version == 0 ? change->Delete(index, ids[i])
                                     : change->Upsert(index, ids[i], VectorOf(ids[i], version));
      if (!ok) return false;
    }
    return static_cast<bool>(change->Commit());
  }

  Shared& shared_;
  const std::filesystem::path path_;
  std::mt19937 random_;
};

class DatabaseCrash : public testing::Test {
 protected:
  DatabaseCrash() {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("shoal_database_crash_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "points.db";
    shared_ = new (mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0)) Shared();
  }
  ~DatabaseCrash() override {
    munmap(shared_, sizeof(Shared));
    std::filesystem::remove_all(folder_);
  }

  void KillWriter(unsigned seed) {
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // It must not outlive a test that is killed.
      _exit(Writer(*shared_, path_, seed).Run());
    }
    std::mt19937 random(seed);
    // After some calls, at any moment of the next one.
    const uint64_t calls = shared_->calls.load() + random() % 40;
    int status = 0;
    while (shared_->calls.load() < calls && waitpid(child, &status, WNOHANG) == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 4000));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended with " << WEXITSTATUS(status);
  }

  // The version that the index has; 0: none.
  template <class Reader>
  uint32_t VersionIn(const Reader& reader, uint32_t id) {
    Vector v(kDim);
    const Status got = reader.Get(id, v);
    if (!got) {
      EXPECT_EQ(got.error().code, ErrorCode::kNotFound) << got.error().message;
      return 0;
    }
    const auto version = static_cast<uint32_t>(v[1]);
    EXPECT_EQ(v, VectorOf(id, version));
    return version;
  }

  template <class Reader>
  void ExpectAcknowledged(const Reader& reader) {
    size_t kept = 0, there = 0;
    const uint32_t count = shared_->count.load();
    std::vector<bool> under_way(kIds);
    for (uint32_t i = 0; i < count; ++i) under_way[shared_->under_way[i].load()] = true;
    for (uint32_t id = 0; id < kIds; ++id) {
      const uint32_t version = VersionIn(reader, id);
      there += version == 0 ? 0 : 1;
      if (!under_way[id]) {
        EXPECT_EQ(version, shared_->acknowledged[id].load()) << "id " << id;
      } else if (version == shared_->wanted[id].load()) {
        ++kept;
      } else {
        EXPECT_EQ(version, shared_->acknowledged[id].load()) << "id " << id << ", under way";
      }
    }
    EXPECT_TRUE(kept == 0 || kept == count) << kept << " of " << count;
    EXPECT_EQ(reader.size(), there);
  }

  // The last backup, if the writer was not killed before it was there: whole.
  void CheckCopy() {
    if (!std::filesystem::exists(CopyOf(path_))) return;
    ++copies_;
    const Result<DatabaseSnapshot> copy = DatabaseSnapshot::Open(CopyOf(path_), "a");
    ASSERT_TRUE(copy) << copy.error().message;
    const Status good = copy->Verify();
    EXPECT_TRUE(good) << good.error().message;
  }

  void CheckAndRemember() {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
    if (!snapshot && snapshot.error().code == ErrorCode::kNotFound) return;  // Killed very early.
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    const Status good = snapshot->Verify();
    EXPECT_TRUE(good) << good.error().message;
    ExpectAcknowledged(*snapshot);
    CheckCopy();
    Result<Database> database = Database::Open(path_, {.sync = SyncLevel::kNone});
    ASSERT_TRUE(database) << database.error().message;
    const Result<StoredIndex> index = database->OpenIndex("a");
    ASSERT_TRUE(index) << index.error().message;
    ExpectAcknowledged(index->live());
    const Status structure = index->live().CheckStructure();
    EXPECT_TRUE(structure) << structure.error().message;
    for (uint32_t id = 0; id < kIds; ++id) {
      const uint32_t version = VersionIn(index->live(), id);
      shared_->acknowledged[id].store(version);
      if (version == 0) continue;
      const auto hits = index->live().Search(VectorOf(id, version), {.k = 1});
      ASSERT_TRUE(hits);
      ASSERT_EQ(hits->size(), 1u);
    }
    shared_->count.store(0);
  }

  void Run(unsigned rounds) {
    for (unsigned seed = 1; seed <= rounds && !HasFailure(); ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      KillWriter(seed);
      CheckAndRemember();
    }
    EXPECT_GT(shared_->calls.load(), 5 * rounds) << "it was killed before it had done much";
    EXPECT_GT(copies_, 0u);
  }

  std::filesystem::path folder_, path_;
  Shared* shared_ = nullptr;
  size_t copies_ = 0;  // Backups that were checked.
};

TEST_F(DatabaseCrash, WhatWasAcknowledgedIsThereAfterAKill) { Run(30); }

using LongDatabaseCrash = DatabaseCrash;
TEST_F(LongDatabaseCrash, WhatWasAcknowledgedIsThereAfterAThousandKills) { Run(1000); }

}  // namespace
}  // namespace shoal
