// Records of the user's own: there with the points of their transaction, or not at all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "shoal/database.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

class DatabaseRecords : public testing::Test {
 protected:
  static Database Open(const std::filesystem::path& path) {
    Result<Database> database = Database::Open(path, {.sync = SyncLevel::kNone});
    EXPECT_TRUE(database) << database.error().message;
    return std::move(*database);
  }
  static Pairs Of(const Database& database, std::string_view table) {
    Pairs pairs;
    const Result<std::vector<Record>> records = database.Records(table);
    EXPECT_TRUE(records) << records.error().message;
    for (const Record& record : *records) pairs.emplace_back(record.key, record.value);
    return pairs;
  }
  TempFolder folder_;
  const std::vector<float> vector_ = {1, 2};
};

TEST_F(DatabaseRecords, CommitWithThePointsAndAreThereAfterwards) {
  const std::string binary("\0\xff", 2);
  {
    Database database = Open(folder_ / "db");
    EXPECT_EQ(Of(database, "words"), Pairs());
    const StoredIndex index = *database.CreateIndex("a", {.dim = 2});
    Transaction change = *database.Begin();
    EXPECT_TRUE(change.Insert(index, 1, vector_));
    EXPECT_TRUE(change.PutRecord("words", "b", "first"));
    EXPECT_TRUE(change.PutRecord("words", "b", "second"));
    EXPECT_TRUE(change.PutRecord("words", binary, ""));
    EXPECT_TRUE(change.DeleteRecord("words", "never there"));
    EXPECT_TRUE(change.PutRecord("others", "b", "third"));
    EXPECT_EQ(Of(database, "words"), Pairs()) << "not committed";
    ASSERT_TRUE(change.Commit());
    EXPECT_EQ(index.live().size(), 1u);
  }
  Database database = Open(folder_ / "db");
  EXPECT_EQ(Of(database, "words"), (Pairs{{binary, ""}, {"b", "second"}}));
  EXPECT_EQ(Of(database, "others"), (Pairs{{"b", "third"}}));
  Transaction change = *database.Begin();
  EXPECT_TRUE(change.DeleteRecord("words", "b"));
  ASSERT_TRUE(change.Commit());
  EXPECT_EQ(Of(database, "words"), (Pairs{{binary, ""}}));
}

TEST_F(DatabaseRecords, OfATransactionThatIsAbortedAreNotThere) {
  Database database = Open(folder_ / "db");
  Transaction change = *database.Begin();
  EXPECT_TRUE(change.PutRecord("words", "a", "1"));
  change.Abort();
  EXPECT_TRUE(change.PutRecord("words", "b", "2"));
  ASSERT_TRUE(change.Commit());
  EXPECT_EQ(Of(database, "words"), (Pairs{{"b", "2"}}));
}

TEST_F(DatabaseRecords, HaveTablesAndKeysThatAreChecked) {
  Database database = Open(folder_ / "db");
  Transaction change = *database.Begin();
  const std::string long_key(512, 'k');
  for (const auto& [table, key] : Pairs{{"", "a"}, {"shoal.rows", "a"}, {"t", ""}, {"t", long_key}})
    EXPECT_EQ(change.PutRecord(table, key, "").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(change.PutRecord("t", long_key.substr(1), std::string(100'000, 'v')));
  ASSERT_TRUE(change.Commit());
  EXPECT_EQ(Of(database, "t").front().second.size(), 100'000u);
}

TEST_F(DatabaseRecords, OfManyThreadsAreAllThere) {
  Database database = Open(folder_ / "db");
  const StoredIndex index = *database.CreateIndex("a", {.dim = 2});
  std::vector<std::thread> threads;
  for (ExternalId t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (ExternalId id = t * 100; id < t * 100 + 25; ++id) {
        Transaction change = *database.Begin();
        EXPECT_TRUE(change.Insert(index, id, vector_));
        EXPECT_TRUE(change.PutRecord("words", std::to_string(id), "x"));
        EXPECT_TRUE(change.Commit());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Of(database, "words").size(), 100u);
  EXPECT_EQ(index.live().size(), 100u);
}

}  // namespace
}  // namespace shoal
