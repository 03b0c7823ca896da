// Files whose blocks have wrong contents and right checksums: every number of a block is checked
// before it leads anywhere, so there are errors or wrong answers, and the process lives.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "base/crc32c.h"
#include "database_fixture.h"
#include "db/blocks.h"
#include "shoal/filter.h"

namespace shoal {
namespace {

class DatabaseFuzz : public DatabaseTest {
 protected:
  DatabaseFuzz() {
    Database database = Open({.pass_percent = 1000, .least_changes = 1u << 20});
    StoredIndex index =
        *database.CreateIndex("a", {.dim = kDim, .max_degree = 8, .build_list_size = 12});
    const auto add = [&](ExternalId first, ExternalId end) {
      Transaction change = *database.Begin();
      for (ExternalId id = first; id < end; ++id) ExpectGood(change.Insert(index, id, Random()));
      ExpectGood(change.Commit());
      for (ExternalId id = first; id < end; id += 50) ExpectGood(index.Delete(id));
    };
    add(0, 500);
    ExpectGood(database.Pass());
    add(500, 2700);   // A run,
    add(2700, 2800);  // and a log.
    ExpectGood(database.Backup(folder_ / "whole.db"));
    std::ifstream file(folder_ / "whole.db", std::ios::binary);
    whole_.assign(std::istreambuf_iterator<char>(file), {});
    FindBlocks();
  }

  // Blocks of large values; a block ends where its checksum is right.
  struct Place {
    size_t offset, bytes;
    BlockKind kind;
  };
  void FindBlocks() {
    for (size_t at = 16; at + sizeof(BlockHeader) < whole_.size(); at += 4096) {
      BlockHeader header;
      std::memcpy(&header, whole_.data() + at, sizeof(header));
      if (header.version != kDatabaseVersion || header.kind < BlockKind::kRows ||
          header.kind > BlockKind::kRun)
        continue;
      const size_t bytes = BytesOf(at);
      if (bytes > sizeof(BlockHeader)) blocks_.push_back({at, bytes, header.kind});
    }
  }
  size_t BytesOf(size_t at) const {
    uint32_t wanted = 0;
    std::memcpy(&wanted, whole_.data() + at, sizeof(wanted));
    uint64_t size = 0;  // LMDB's page number and flags; the size is the node's. It is found.
    for (size = 1; size <= 16 * 4096 - 16 && at + size <= whole_.size(); ++size)
      if (size > sizeof(BlockHeader) && Sum(whole_, at, size) == wanted) return size;
    return 0;
  }
  static uint32_t Sum(const std::string& file, size_t at, size_t bytes) {
    return Crc32c(reinterpret_cast<const std::byte*>(file.data()) + at + sizeof(uint32_t),
                  bytes - sizeof(uint32_t));
  }
  std::string Damaged(std::mt19937& random) const {
    std::string file = whole_;
    for (auto blocks = 1 + random() % 3; blocks > 0; --blocks) {
      const Place& place = blocks_[random() % blocks_.size()];
      for (auto changes = 1 + random() % 4; changes > 0; --changes) {
        const size_t room = place.bytes - sizeof(BlockHeader);
        const size_t offset = place.offset + sizeof(BlockHeader) + random() % room / 4 * 4;
        const uint32_t values[] = {0,
                                   1,
                                   0xffffffffu,
                                   0x7fffffffu,
                                   2800,
                                   static_cast<uint32_t>(random() % 4096),
                                   static_cast<uint32_t>(random())};
        const uint32_t value = values[random() % std::size(values)];
        std::memcpy(file.data() + offset, &value,
                    std::min<size_t>(4, place.offset + place.bytes - offset));
      }
      const uint32_t sum = Sum(file, place.offset, place.bytes);
      std::memcpy(file.data() + place.offset, &sum, sizeof(sum));
    }
    return file;
  }
  // Everything that reads. Returns whether something was noticed.
  bool Use(const std::filesystem::path& path) {
    const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path, "a");
    bool noticed = !snapshot;
    if (snapshot) {
      const Filter odd = Filter::Not(Filter::Ids(std::vector<ExternalId>{1, 2, 3}));
      for (int i = 0; i < 3; ++i) {
        (void)snapshot->Search(Random(), {.k = 20, .search_list_size = 60});
        (void)snapshot->Search(Random(), {.k = 5, .filter = &odd});
      }
      (void)snapshot->RangeSearch(Random(), {.radius = 5});
      Vector v(kDim);
      for (ExternalId id = 0; id < 20; ++id) (void)snapshot->Get(id * 131, v);
      (void)snapshot->Ids();
      noticed = !snapshot->Verify();
    }
    Result<Database> database = Database::Open(path, {.sync = SyncLevel::kNone});
    if (!database) return true;
    Result<StoredIndex> index = database->OpenIndex("a");
    if (!index) return true;
    (void)index->live().Search(Random());
    (void)index->Insert(9999, Random());
    (void)database->Pass();
    return noticed;
  }
  void Run(std::chrono::milliseconds time, unsigned least) {
    ASSERT_GT(blocks_.size(), 20u);
    const auto until = std::chrono::steady_clock::now() + time;
    unsigned rounds = 0, noticed = 0;
    for (unsigned seed = 1; seed <= least || std::chrono::steady_clock::now() < until; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      std::mt19937 random(seed);
      const auto path = folder_ / "damaged.db";
      std::ofstream(path, std::ios::binary | std::ios::trunc) << Damaged(random);
      std::filesystem::remove(path.string() + "-lock");
      noticed += Use(path) ? 1 : 0;
      ++rounds;
    }
    EXPECT_GT(noticed, rounds / 4);  // Another vector may be as good.
  }

  std::string whole_;
  std::vector<Place> blocks_;
};

TEST_F(DatabaseFuzz, DamageInARunIsNamed) {
  size_t runs = 0;
  for (const Place& place : blocks_) {
    if (place.kind != BlockKind::kRun) continue;
    ++runs;
    std::string file = whole_;
    file[place.offset + place.bytes - 1] ^= 0x10;
    const auto path = folder_ / ("run" + std::to_string(runs) + ".db");
    std::ofstream(path, std::ios::binary) << file;
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
