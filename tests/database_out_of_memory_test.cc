// A database whose memory runs out at every single allocation of a write.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "shoal/database.h"
#include "tests/failing_memory.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::NoMemoryAfter;

constexpr uint32_t kDim = 6;
constexpr size_t kPoints = 20;

class DatabaseWithoutMemory : public ::testing::TestWithParam<SyncLevel> {
 protected:
  const DatabaseOptions options_{.sync = GetParam(), .interval_ms = 3'600'000};
  const test::Rows rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 2).Many(60);
};

// Whatever was acknowledged is there after reopening, the file is whole, and no call has left it.
TEST_P(DatabaseWithoutMemory, KeepsWhatItAcknowledgedAtEveryAllocation) {
  bool once_without_failure = false;
  size_t refused = 0, closed = 0;
  for (long allocations = 0; !once_without_failure; ++allocations) {
    ASSERT_LT(allocations, 2000) << "it does not end";
    SCOPED_TRACE("no memory after " + std::to_string(allocations) + " allocations");
    const TempFolder folder;
    std::vector<bool> is_there(rows_.size());
    {
      Database database = *Database::Open(folder / "db", options_);
      StoredIndex index =
          *database.CreateIndex("a", {.dim = kDim, .max_degree = 6, .build_list_size = 20});
      for (size_t i = 0; i < kPoints; ++i) {
        ASSERT_TRUE(index.Insert(i, rows_[i]));
        is_there[i] = true;
      }
      Status inserted, flushed;
      std::thread([&] {
        const NoMemoryAfter no_memory(allocations);
        inserted = index.Insert(kPoints, rows_[kPoints]);
        flushed = database.Flush();
      }).join();
      once_without_failure = !test::MemoryFailed();
      is_there[kPoints] = inserted.has_value();
      for (const Status* status : {&inserted, &flushed}) {
        if (*status) continue;
        ++refused;
        ASSERT_EQ(status->error().code, ErrorCode::kOutOfMemory) << status->error().message;
        ASSERT_FALSE(once_without_failure) << "refused without need";
      }
      // With memory it goes on, or says that it must be opened again.
      for (size_t i = kPoints + 1; i < rows_.size(); ++i) {
        const Status more = index.Insert(i, rows_[i]);
        if (!more) {
          ASSERT_EQ(GetParam(), SyncLevel::kInterval) << "nothing was gathered: it goes on";
          ASSERT_EQ(more.error().code, ErrorCode::kOutOfMemory) << more.error().message;
        }
        is_there[i] = more.has_value();
      }
      if (!database.Flush()) {
        ++closed;  // What was gathered is lost, and said to be.
        if (GetParam() == SyncLevel::kInterval) is_there.assign(rows_.size(), false);
      }
    }
    Database database = *Database::Open(folder / "db", options_);
    Result<StoredIndex> index = database.OpenIndex("a");
    ASSERT_TRUE(index) << index.error().message;
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(folder / "db", "a");
    ASSERT_TRUE(snapshot) << snapshot.error().message;
    const Status whole = snapshot->Verify();
    ASSERT_TRUE(whole) << whole.error().message;
    for (size_t i = 0; i < rows_.size(); ++i) {
      ASSERT_TRUE(!is_there[i] || index->live().Contains(i)) << i;
      if (GetParam() != SyncLevel::kInterval) {
        ASSERT_TRUE(is_there[i] || !index->live().Contains(i)) << i << ": refused, and there";
      }
    }
    ASSERT_TRUE(index->Insert(1000, rows_[0])) << "it can be written again";
  }
  EXPECT_GT(refused, 0u);
  RecordProperty("closed", static_cast<int>(closed));
}

INSTANTIATE_TEST_SUITE_P(Levels, DatabaseWithoutMemory,
                         ::testing::Values(SyncLevel::kNone, SyncLevel::kInterval),
                         [](const auto& level) {
                           return std::string(level.param == SyncLevel::kNone ? "None"
                                                                              : "Interval");
                         });

}  // namespace
}  // namespace shoal
