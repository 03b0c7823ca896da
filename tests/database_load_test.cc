// The first points of a database's index, many at once: written as a generation, without a log.
#include <filesystem>
#include <numeric>
#include <vector>

#include "database_fixture.h"

namespace shoal {
namespace {

constexpr size_t kPoints = 3000;

class DatabaseLoad : public DatabaseTest {
 protected:
  DatabaseLoad() {
    for (size_t i = 0; i < kPoints; ++i) {
      const Vector v = Random();
      rows_.insert(rows_.end(), v.begin(), v.end());
    }
    std::iota(ids_.begin(), ids_.end(), ExternalId{0});
  }
  void Insert(Transaction& change, const StoredIndex& index) const {
    const Result<BatchReport> report = change.InsertMany(
        index, ids_, MatrixView(std::span<const float>(rows_), kDim), {.threads = 2});
    ASSERT_TRUE(report) << report.error().message;
  }
  // Of the same graph: the same hits.
  void ExpectSameAnswers(const Index& index) {
    const DatabaseSnapshot snapshot = Snapshot();
    ExpectSame(index, snapshot);
    for (int i = 0; i < 20; ++i) {
      const Vector query = Random();
      EXPECT_EQ(snapshot.Search(query)->front().id, index.Search(query)->front().id);
    }
  }

  std::vector<float> rows_;
  std::vector<ExternalId> ids_ = std::vector<ExternalId>(kPoints);
};

TEST_F(DatabaseLoad, LeavesNoLogAndNoFreePages) {
  {
    Database database = Open({.least_changes = 1000});
    const StoredIndex index = *database.CreateIndex("a", kOptions);
    Transaction change = *database.Begin();
    Insert(change, index);
    ExpectGood(change.Commit());
    const DatabaseStats stats = *database.Stat();
    EXPECT_EQ(stats.log_bytes, 0u);
    const auto copy = folder_ / "copy.db";
    ExpectGood(database.Backup(copy));
    EXPECT_LE(static_cast<double>(stats.file_bytes),
              1.1 * static_cast<double>(std::filesystem::file_size(copy)));
    ExpectSameAnswers(index.live());
  }
  Database database = Open();
  ExpectSameAnswers(database.OpenIndex("a")->live());
}

// Two points of one index, and a whole load of another: one commit.
TEST_F(DatabaseLoad, CommitsWithChangesOfOtherIndexes) {
  Database database = Open({.least_changes = 1000});
  const StoredIndex index = *database.CreateIndex("a", kOptions);
  const StoredIndex other = *database.CreateIndex("b", kOptions);
  {
    Transaction dropped = *database.Begin();
    Insert(dropped, index);
  }
  EXPECT_EQ(Snapshot().size(), 0u);
  Transaction change = *database.Begin();
  Insert(change, index);
  ExpectGood(change.Insert(other, 1, Random()));
  ExpectGood(change.Insert(other, 2, Random()));
  ExpectGood(change.Commit());
  EXPECT_EQ(Snapshot("b").size(), 2u);
  ExpectSameAnswers(index.live());
}

TEST_F(DatabaseLoad, IsFollowedByCommitsAndPasses) {
  Database database = Open({.pass_percent = 1000, .least_changes = 1000});
  StoredIndex index = *database.CreateIndex("a", kOptions);
  {
    Transaction change = *database.Begin();
    Insert(change, index);
    ExpectGood(change.Commit());
  }
  for (ExternalId id = 0; id < 500; ++id) ExpectGood(index.Upsert(id * 3, Random()));
  for (ExternalId id = 0; id < 200; ++id) ExpectGood(index.Delete(id * 7));
  ExpectSame(index.live(), Snapshot());
  ExpectGood(database.Pass());
  ExpectSame(index.live(), Snapshot());
}

// Blocks of rows in which few slots are free are left alone as long as there is memory for others.
TEST_F(DatabaseTest, AllFreeSlotsAreUsedWhereMemoryIsUsedUp) {
  Database database = Open();
  IndexOptions options = kOptions;
  options.runtime.memory_limit = 3 << 20;
  StoredIndex index = *database.CreateIndex("a", options);
  ExternalId n = 0;
  while (index.Insert(n, Random())) ++n;
  ASSERT_GT(n, 1000u);
  constexpr ExternalId kEach = 20;  // Of a block of some 200.
  for (ExternalId id = 0; id < n; id += kEach) ExpectGood(index.Delete(id));
  ExpectGood(database.Pass());
  (void)index.Insert(n, Random());  // Slots that all readers have left are seen to be so.
  ExpectGood(database.Pass());
  for (ExternalId id = 0; id < n / 2; id += kEach) ExpectGood(index.Insert(id, Random()));
}

}  // namespace
}  // namespace shoal
