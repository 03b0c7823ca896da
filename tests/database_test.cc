// A database from end to end: what was committed is there, in the live index, in snapshots of this
// process and others, and after the file is opened again.
#include "shoal/database.h"

#include <lmdb.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include "database_fixture.h"
#include "shoal/dataset.h"

namespace shoal {
namespace {

using ::testing::HasSubstr;

TEST_F(DatabaseTest, PointIsSearchableEverywhereWhenInsertReturns) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  for (ExternalId id = 0; id < 300; ++id) {
    const Vector v = Random();
    ExpectGood(index.Insert(id, v));
    EXPECT_EQ((*index.live().Search(v, {.k = 1}))[0].id, id);
    if (id % 30 != 0) continue;
    const DatabaseSnapshot snapshot = Snapshot();
    const auto hits = *snapshot.Search(v, {.k = 1});
    ASSERT_EQ(hits.size(), 1u);
    EXPECT_EQ(hits[0].id, id);
    ExpectSame(index.live(), snapshot);
  }
}

TEST_F(DatabaseTest, SnapshotSeesNoLaterCommit) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  const Vector first = Random(), second = Random();
  ExpectGood(index.Insert(1, first));
  const DatabaseSnapshot before = Snapshot();
  ExpectGood(index.Upsert(1, second));
  ExpectGood(index.Insert(2, first));
  Vector got(kDim);
  ExpectGood(before.Get(1, got));
  EXPECT_EQ(got, first);
  EXPECT_FALSE(*before.Contains(2));
  const DatabaseSnapshot after = Snapshot();
  ExpectGood(after.Get(1, got));
  EXPECT_EQ(got, second);
  EXPECT_TRUE(*after.Contains(2));
  ExpectGood(before.Verify());
  ExpectGood(after.Verify());
}

TEST_F(DatabaseTest, EverythingIsThereWhenItIsOpenedAgain) {
  std::vector<Vector> vectors(500);
  {
    Database database = Open();
    StoredIndex index = *database.CreateIndex("a", kOptions);
    for (ExternalId id = 0; id < vectors.size(); ++id)
      ExpectGood(index.Insert(id, vectors[id] = Random()));
    for (ExternalId id = 0; id < 100; ++id) ExpectGood(index.Delete(id));
    for (ExternalId id = 100; id < 150; ++id) ExpectGood(index.Upsert(id, vectors[id] = Random()));
  }
  for (int round = 0; round < 3; ++round) {
    Database database = Open();
    StoredIndex index = *database.OpenIndex("a");
    EXPECT_EQ(index.live().size(), 400u);
    EXPECT_EQ(index.live().options().max_degree, kOptions.max_degree);
    Vector got(kDim);
    for (ExternalId id = 100; id < vectors.size(); ++id) {
      ExpectGood(index.live().Get(id, got));
      EXPECT_EQ(got, vectors[id]);
      EXPECT_EQ((*index.live().Search(vectors[id], {.k = 1}))[0].id, id);
    }
    ExpectSame(index.live(), Snapshot());
    if (round == 1) ExpectGood(database.Pass());
  }
}

TEST_F(DatabaseTest, PassesKeepPointsAndFreeSlots) {
  Database database = Open({.least_changes = 100});
  StoredIndex index = *database.CreateIndex("a", kOptions);
  constexpr ExternalId kIds = 400;
  for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Insert(id, Random()));
  for (int round = 0; round < 5; ++round) {
    for (ExternalId id = 0; id < kIds; ++id) ExpectGood(index.Upsert(id, Random()));
    ExpectGood(database.Pass());
    ExpectSame(index.live(), Snapshot());
  }
  // Without reuse there would be 2,400 slots.
  EXPECT_LT(index.live().Stats().slots_used, 3 * kIds);
  EXPECT_GE(database.Stat()->passes, 5u);
}

TEST_F(DatabaseTest, AnswersInPlaceAreThoseOfTheLoadedIndex) {
  std::vector<Vector> queries;
  {
    Database database = Open();
    StoredIndex index = *database.CreateIndex("a", kOptions);
    Transaction load = *database.Begin();
    for (ExternalId id = 0; id < 2000; ++id) ExpectGood(load.Insert(index, id, Random()));
    ExpectGood(load.Commit());
    ExpectGood(database.Pass());
    for (int i = 0; i < 50; ++i) queries.push_back(Random());
    size_t same = 0;
    const DatabaseSnapshot snapshot = Snapshot();
    for (const Vector& query : queries) {
      const auto live = *index.live().Search(query);
      const auto stored = *snapshot.Search(query);
      ASSERT_EQ(live.size(), stored.size());
      same += static_cast<size_t>(std::equal(
          live.begin(), live.end(), stored.begin(),
          [](const Hit& a, const Hit& b) { return a.id == b.id && a.distance == b.distance; }));
    }
    EXPECT_EQ(same, queries.size());
  }
}

TEST_F(DatabaseTest, SnapshotOfALogAloneFindsNearestPoints) {
  Database database = Open({.least_changes = 1u << 20});
  StoredIndex index = *database.CreateIndex("a", kOptions);
  std::vector<Vector> vectors;
  Transaction load = *database.Begin();
  for (ExternalId id = 0; id < 2000; ++id)
    ExpectGood(load.Insert(index, id, vectors.emplace_back(Random())));
  ExpectGood(load.Commit());
  EXPECT_EQ(database.Stat()->passes, 0u);
  const DatabaseSnapshot snapshot = Snapshot();
  size_t found = 0;
  for (ExternalId id = 0; id < vectors.size(); ++id)
    found += (*snapshot.Search(vectors[id], {.k = 1}))[0].id == id ? 1 : 0;
  EXPECT_GE(found, vectors.size() * 99 / 100);
}

TEST_F(DatabaseTest, TransactionIsAllOrNothing) {
  Database database = Open();
  StoredIndex a = *database.CreateIndex("a", kOptions);
  StoredIndex b = *database.CreateIndex("b", kOptions);
  const Vector v = Random(), w = Random();
  ExpectGood(a.Insert(1, v));
  {
    Transaction dropped = *database.Begin();
    ExpectGood(dropped.Upsert(a, 1, w));
    ExpectGood(dropped.Insert(a, 2, w));
    ExpectGood(dropped.Insert(b, 1, w));
    EXPECT_FALSE(a.live().Contains(2));
    EXPECT_EQ(a.live().Search(w)->size(), 1u);
    EXPECT_EQ(b.live().Search(w)->size(), 0u);
  }
  Vector got(kDim);
  ExpectGood(a.live().Get(1, got));
  EXPECT_EQ(got, v);
  EXPECT_EQ(a.live().size() + b.live().size(), 1u);

  Transaction change = *database.Begin();
  ExpectGood(change.Delete(a, 1));
  EXPECT_EQ(CodeOf(change.Delete(a, 1)), ErrorCode::kNotFound);
  ExpectGood(change.Insert(a, 1, w));
  EXPECT_EQ(CodeOf(change.Insert(a, 1, w)), ErrorCode::kAlreadyExists);
  ExpectGood(change.Insert(a, 2, w));
  ExpectGood(change.Upsert(a, 2, v));
  ExpectGood(change.Insert(b, 7, w));
  ExpectGood(change.Insert(b, 8, w));
  ExpectGood(change.Delete(b, 8));
  EXPECT_EQ(Snapshot("b").size(), 0u);
  ExpectGood(change.Commit());
  for (const char* name : {"a", "b"})
    ExpectSame(name[0] == 'a' ? a.live() : b.live(), Snapshot(name));
  ExpectGood(a.live().Get(2, got));
  EXPECT_EQ(got, v);
  ExpectGood(Snapshot("a").Get(1, got));
  EXPECT_EQ(got, w);
  EXPECT_THAT(*b.live().Ids(), testing::ElementsAre(7));
}

TEST_F(DatabaseTest, WritersOfOneIdDoNotWaitForATransaction) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  Transaction first = *database.Begin(), second = *database.Begin();
  ExpectGood(first.Insert(index, 1, Random()));
  EXPECT_EQ(CodeOf(second.Upsert(index, 1, Random())), ErrorCode::kConflict);
  EXPECT_EQ(CodeOf(index.Insert(1, Random())), ErrorCode::kConflict);
  EXPECT_EQ(CodeOf(index.Delete(1)), ErrorCode::kConflict);
  ExpectGood(index.Insert(2, Random()));
  ExpectGood(first.Commit());
  ExpectGood(index.Delete(1));
}

TEST_F(DatabaseTest, UsersRecordsCommitWithThePoints) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  const auto put = [&](Transaction& change, const char* text) {
    Result<MDB_txn*> txn = change.native();
    ASSERT_TRUE(txn) << txn.error().message;
    MDB_dbi dbi;
    ASSERT_EQ(mdb_dbi_open(*txn, "documents", MDB_CREATE, &dbi), 0);
    MDB_val key{1, const_cast<char*>("k")}, value{3, const_cast<char*>(text)};
    ASSERT_EQ(mdb_put(*txn, dbi, &key, &value, 0), 0);
  };
  {
    Transaction change = *database.Begin();
    put(change, "one");
    ExpectGood(change.Insert(index, 1, Random()));
    EXPECT_EQ(CodeOf(index.Insert(5, Random())), ErrorCode::kConflict)
        << "it would wait for itself";
    ExpectGood(change.Commit());
  }
  {
    Transaction dropped = *database.Begin();
    put(dropped, "two");
    ExpectGood(dropped.Insert(index, 2, Random()));
  }
  EXPECT_EQ(Snapshot().size(), 1u);
  Transaction look = *database.Begin();
  MDB_txn* const txn = *look.native();
  MDB_dbi dbi;
  ASSERT_EQ(mdb_dbi_open(txn, "documents", 0, &dbi), 0);
  MDB_val key{1, const_cast<char*>("k")}, value;
  ASSERT_EQ(mdb_get(txn, dbi, &key, &value), 0);
  EXPECT_EQ(std::string(static_cast<const char*>(value.mv_data), value.mv_size), "one");
}

TEST_F(DatabaseTest, GatheredChangesAreLiveAtOnceAndOnDiskAfterFlush) {
  Database database = Open({.sync = SyncLevel::kInterval, .interval_ms = 3'600'000});
  StoredIndex index = *database.CreateIndex("a", kOptions);
  for (ExternalId id = 0; id < 50; ++id) ExpectGood(index.Insert(id, Random()));
  for (ExternalId id = 0; id < 10; ++id) ExpectGood(index.Delete(id));
  for (ExternalId id = 5; id < 20; ++id) ExpectGood(index.Upsert(id, Random()));
  EXPECT_EQ(index.live().size(), 45u);
  EXPECT_EQ(Snapshot().size(), 0u);
  EXPECT_GT(database.Stat()->queued_changes, 0u);
  ExpectGood(database.Flush());
  ExpectSame(index.live(), Snapshot());
  ExpectGood(index.Delete(30));
  Transaction change = *database.Begin();  // What is gathered goes first.
  ExpectGood(change.Insert(index, 30, Random()));
  ExpectGood(change.Delete(index, 31));
  ExpectGood(change.Commit());
  ExpectSame(index.live(), Snapshot());
}

TEST_F(DatabaseTest, ThreadsAndPassesShareOneFile) {
  Database database = Open({.pass_percent = 5, .least_changes = 200});
  StoredIndex index = *database.CreateIndex("a", kOptions);
  constexpr size_t kThreads = 4, kIds = 60;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::normal_distribution<float> normal;
      Vector v(kDim);
      for (int i = 0; i < 400; ++i) {
        const ExternalId id = t * kIds + random() % kIds;
        for (float& x : v) x = normal(random);
        if (random() % 4 == 0) {
          (void)index.Delete(id);
        } else {
          ExpectGood(index.Upsert(id, v));
        }
      }
    });
  }
  std::thread reader([&] {
    while (!stop) ExpectGood(Snapshot().Verify());
  });
  for (std::thread& thread : threads) thread.join();
  stop = true;
  reader.join();
  ExpectSame(index.live(), Snapshot());
  EXPECT_GT(database.Stat()->passes, 0u);
}

TEST_F(DatabaseTest, AnotherProcessSearchesWhatWasJustCommitted) {
  int to_child[2], to_parent[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t child = fork();
  if (child == 0) {  // For each byte: a snapshot, and how many points it has.
    char byte;
    while (read(to_child[0], &byte, 1) == 1 && byte != 'q') {
      const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, "a");
      uint32_t n = 0;
      if (snapshot && snapshot->Verify())
        n = static_cast<uint32_t>(snapshot->Search(Vector(kDim, 1.f), {.k = 1000})->size());
      if (write(to_parent[1], &n, sizeof(n)) != sizeof(n)) _exit(1);
    }
    _exit(0);
  }
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  for (uint32_t n = 1; n <= 40; ++n) {
    ExpectGood(index.Insert(n, Random()));
    uint32_t found = 0;
    ASSERT_EQ(write(to_child[1], "s", 1), 1);
    ASSERT_EQ(read(to_parent[0], &found, sizeof(found)), static_cast<ssize_t>(sizeof(found)));
    EXPECT_EQ(found, n);
    if (n == 20) ExpectGood(database.Pass());
  }
  ASSERT_EQ(write(to_child[1], "q", 1), 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(DatabaseTest, MistakesAreNamed) {
  EXPECT_EQ(DatabaseSnapshot::Open(path_, "a").error().code, ErrorCode::kFileNotFound);
  EXPECT_EQ(Database::Open(path_, {.create = false}).error().code, ErrorCode::kFileNotFound);
  EXPECT_THAT(Database::Open(path_, {.interval_ms = 0}).error().message,
              HasSubstr("interval_ms: expected 1 to 3600000, found 0"));
  Database database = Open();
  EXPECT_THAT(Database::Open(path_).error().message, HasSubstr("open for writing already"));
  EXPECT_EQ(database.OpenIndex("a").error().code, ErrorCode::kNotFound);
  StoredIndex index = *database.CreateIndex("a", kOptions);
  EXPECT_EQ(database.CreateIndex("a", kOptions).error().code, ErrorCode::kAlreadyExists);
  IndexOptions manual = kOptions;
  manual.runtime.repair = RepairPolicy::kManual;
  EXPECT_THAT(database.CreateIndex("m", manual).error().message, HasSubstr("repair"));
  EXPECT_EQ(database.CreateIndex("", kOptions).error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(*database.IndexNames(), testing::ElementsAre("a"));
  EXPECT_EQ(DatabaseSnapshot::Open(path_, "b").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(index.Insert(1, Vector(3))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(index.Delete(1)), ErrorCode::kNotFound);
  EXPECT_EQ(Snapshot().Search(Random())->size(), 0u);
}

TEST_F(DatabaseTest, FullFileFailsTheCallAndLeavesTheDatabaseGood) {
  Database database = Open({.max_bytes = 1 << 20});
  StoredIndex index = *database.CreateIndex("a", kOptions);
  Status status;
  ExternalId id = 0;
  while (status && id < 100'000) status = index.Insert(id++, Random());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kIo);
  EXPECT_THAT(status.error().message, HasSubstr("max_bytes"));
  EXPECT_EQ(index.live().size(), id - 1);
  ExpectSame(index.live(), Snapshot());
}

TEST_F(DatabaseTest, DumpHoldsAllVectorsAndTheirIds) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  for (ExternalId id = 0; id < 50; ++id) ExpectGood(index.Insert(1000 + id, Random()));
  ExpectGood(index.Delete(1007));
  ExpectGood(Snapshot().Dump(folder_ / "v.bin", folder_ / "ids.u64"));
  const Result<Matrix> rows = ReadBin(folder_ / "v.bin", ScalarType::kFloat32);
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->rows(), 49u);
  std::ifstream file(folder_ / "ids.u64", std::ios::binary);
  Vector expected(kDim);
  for (size_t i = 0; i < rows->rows(); ++i) {
    ExternalId id = 0;
    ASSERT_TRUE(file.read(reinterpret_cast<char*>(&id), sizeof(id)));
    ExpectGood(index.live().Get(id, expected));
    EXPECT_EQ(std::memcmp((*rows)[i].data(), expected.data(), kDim * sizeof(float)), 0);
  }
  EXPECT_EQ(file.get(), EOF);
}

TEST_F(DatabaseTest, BackupsHoldTheSamePoints) {
  Database database = Open();
  StoredIndex index = *database.CreateIndex("a", kOptions);
  for (ExternalId id = 0; id < 200; ++id) ExpectGood(index.Insert(id, Random()));
  const auto copy = folder_ / "copy.db";
  ExpectGood(database.Backup(copy));
  EXPECT_EQ(CodeOf(database.Backup(copy)), ErrorCode::kInvalidArgument);
  ExpectGood(index.Delete(3));
  const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(copy, "a");
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ExpectGood(snapshot->Verify());
  EXPECT_EQ(snapshot->size(), 200u);
  EXPECT_TRUE(*snapshot->Contains(3));
}

TEST_F(DatabaseTest, AFileIsInspectedAndCopiedWithoutItsWriter) {
  const auto copy = folder_ / "copy.db";
  EXPECT_EQ(InspectDatabase(path_).error().code, ErrorCode::kFileNotFound);
  EXPECT_EQ(CodeOf(BackupDatabase(path_, copy)), ErrorCode::kFileNotFound);
  {
    Database database = Open();
    StoredIndex index = *database.CreateIndex("a", kOptions);
    ExpectGood(index.Insert(1, Random()));
    ASSERT_TRUE(database.CreateIndex("b", kOptions));
  }
  const Result<DatabaseInfo> info = InspectDatabase(path_);
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->indexes, (std::vector<std::string>{"a", "b"}));
  EXPECT_GT(info->stats.row_bytes, 0u);
  ExpectGood(BackupDatabase(path_, copy));
  EXPECT_EQ(CodeOf(BackupDatabase(path_, copy)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(DatabaseSnapshot::Open(copy, "a")->size(), 1u);
}

TEST_F(DatabaseTest, OfAnIdThatIsTwiceInOneUpsertManyTheLastRowStays) {
  Database database = Open();
  const StoredIndex index = *database.CreateIndex("a", {.dim = 1});
  Transaction change = *database.Begin();
  std::vector<ExternalId> ids(200, 7);
  std::vector<float> rows(200, 3);
  rows.back() = 5;
  const MatrixView view(rows.data(), ScalarType::kFloat32, 200, 1);
  EXPECT_EQ(change.UpsertMany(index, ids, view, {.threads = 4})->done, 200u);
  ExpectGood(change.Commit());
  EXPECT_EQ(index.live().RangeSearch(std::vector<float>{5}, {.radius = 9})->size(), 1u);
}

}  // namespace
}  // namespace shoal
