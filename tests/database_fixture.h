// A folder with a database, for tests of databases.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <utility>
#include <vector>

#include "shoal/database.h"

namespace shoal {

using ::testing::UnorderedElementsAreArray;
using Vector = std::vector<float>;

inline constexpr uint32_t kDim = 16;

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("shoal_database_" + std::string(test->name()) + "_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "points.db";
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

  Database Open(DatabaseOptions options = {}) {
    if (options.sync == SyncLevel::kFull) options.sync = SyncLevel::kNone;  // For speed.
    Result<Database> database = Database::Open(path_, options);
    EXPECT_TRUE(database) << database.error().message;
    return std::move(*database);
  }
  Vector Random() {
    Vector v(kDim);
    for (float& x : v) x = normal_(random_);
    return v;
  }
  DatabaseSnapshot Snapshot(const char* index = "a") const {
    Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path_, index);
    EXPECT_TRUE(snapshot) << snapshot.error().message;
    return std::move(*snapshot);
  }
  static void ExpectGood(const Status& status) { EXPECT_TRUE(status) << status.error().message; }
  static ErrorCode CodeOf(const Status& status) {
    EXPECT_FALSE(status);
    return status ? ErrorCode::kCancelled : status.error().code;
  }
  static void ExpectSame(const Index& index, const DatabaseSnapshot& snapshot) {
    EXPECT_EQ(index.size(), snapshot.size());
    EXPECT_THAT(*snapshot.Ids(), UnorderedElementsAreArray(*index.Ids()));
    ExpectGood(snapshot.Verify());
    ExpectGood(index.CheckStructure());
  }

  std::filesystem::path folder_, path_;
  std::mt19937 random_{7};
  std::normal_distribution<float> normal_;
};

inline const IndexOptions kOptions = {.dim = kDim, .max_degree = 16, .build_list_size = 40};

}  // namespace shoal
