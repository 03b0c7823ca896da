// Files whose blocks have wrong contents and right checksums: every number of a block is checked
// before it leads anywhere, so there are errors or wrong answers, and the process lives.
// (tests/fuzz/database_fuzz.cc has libFuzzer choose the contents.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "damaged_database.h"
#include "temp_folder.h"

namespace shoal {
namespace {

using test::DatabaseBytes;

class DatabaseFuzz : public testing::Test {
 protected:
  std::string Damaged(std::mt19937& random) const {
    std::vector<DatabaseBytes::Edit> edits;
    for (auto blocks = 1 + random() % 3; blocks > 0; --blocks) {
      const size_t block = random();
      for (auto changes = 1 + random() % 4; changes > 0; --changes) {
        const uint32_t values[] = {0,
                                   1,
                                   0xffffffffu,
                                   0x7fffffffu,
                                   test::kDamagedPoints,
                                   static_cast<uint32_t>(random() % 4096),
                                   static_cast<uint32_t>(random())};
        edits.push_back({block, random(), values[random() % std::size(values)]});
      }
    }
    return bytes_.With(edits);
  }
  void Run(std::chrono::milliseconds time, unsigned least) {
    ASSERT_GT(bytes_.blocks().size(), 20u);
    const auto until = std::chrono::steady_clock::now() + time;
    unsigned rounds = 0, noticed = 0;
    for (unsigned seed = 1; seed <= least || std::chrono::steady_clock::now() < until; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      std::mt19937 random(seed);
      test::WriteDatabase(folder_ / "damaged.db", Damaged(random));
      noticed += test::UseDatabase(folder_ / "damaged.db", random) ? 1 : 0;
      ++rounds;
    }
    EXPECT_GT(noticed, rounds / 4);  // Another vector may be as good.
  }

  const TempFolder folder_;
  const DatabaseBytes bytes_{test::MakeDatabase(folder_ / "")};
};

TEST_F(DatabaseFuzz, DamageInARunIsNamed) {
  size_t runs = 0;
  for (const DatabaseBytes::Place& place : bytes_.blocks()) {
    if (place.kind != BlockKind::kRun) continue;
    ++runs;
    std::string file = bytes_.whole();
    file[place.offset + place.bytes - 1] ^= 0x10;
    const auto path = folder_ / ("run" + std::to_string(runs) + ".db");
    test::WriteDatabase(path, file);
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path, "a");
    const Status found = snapshot ? snapshot->Verify() : Status(tl::unexpected(snapshot.error()));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(found.error().message, testing::HasSubstr("run 1, block "));
  }
  EXPECT_GE(runs, 4u);
}

TEST_F(DatabaseFuzz, WrongContentsDoNotEndTheProcess) { Run(std::chrono::milliseconds(0), 60); }

using LongDatabaseFuzz = DatabaseFuzz;
TEST_F(LongDatabaseFuzz, WrongContentsDoNotEndTheProcessInAMinute) {
  Run(std::chrono::minutes(1), 1000);
}

}  // namespace
}  // namespace shoal
