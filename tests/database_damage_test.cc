// Blocks of a database's file that are damaged: an error that names the block, or right answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "db/blocks.h"
#include "db/commit_log.h"
#include "shoal/database.h"

namespace shoal {
namespace {

using ::testing::HasSubstr;
using Vector = std::vector<float>;
constexpr uint32_t kDim = 32;

class DatabaseDamage : public testing::Test {
 protected:
  DatabaseDamage() {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("shoal_database_damage_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "points.db";
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    Result<Database> database = Database::Open(path_, {.sync = SyncLevel::kNone});
    const StoredIndex index = *database->CreateIndex("a", {.dim = kDim, .max_degree = 12});
    const auto add = [&](ExternalId first, ExternalId end) {
      Transaction change = *database->Begin();
      for (ExternalId id = first; id < end; ++id) {
        query_.resize(kDim);
        for (float& x : query_) x = normal(random);
        EXPECT_TRUE(change.Insert(index, id, query_));
      }
      EXPECT_TRUE(change.Commit());
    };
    add(0, 600);
    EXPECT_TRUE(database->Pass());
    add(600, 700);
    // Nothing of older states is left in a compact copy: every block is in use.
    EXPECT_TRUE(database->Backup(folder_ / "whole.db"));
    std::ifstream file(folder_ / "whole.db", std::ios::binary);
    whole_.assign(std::istreambuf_iterator<char>(file), {});
  }
  ~DatabaseDamage() override { std::filesystem::remove_all(folder_); }

  // Where the file has blocks of a kind: those of LMDB's large values, 16 bytes into a page.
  std::vector<size_t> BlocksOf(BlockKind kind) const {
    std::vector<size_t> found;
    for (size_t at = 16; at + sizeof(BlockHeader) < whole_.size(); at += 4096) {
      BlockHeader header;
      std::memcpy(&header, whole_.data() + at, sizeof(header));
      if (header.kind == kind && header.version == kDatabaseVersion && header.index == 0 &&
          header.unused == 0)
        found.push_back(at);
    }
    return found;
  }
  // What comes of a file with one byte changed: of opening a snapshot, or else of checking it.
  Status WithDamageAt(size_t offset) {
    std::string bytes = whole_;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x10);
    const auto path = folder_ / "damaged.db";
    std::ofstream(path, std::ios::binary) << bytes;
    Status status;
    {
      const Result<DatabaseSnapshot> snapshot = DatabaseSnapshot::Open(path, "a");
      if (!snapshot) return tl::unexpected(snapshot.error());
      (void)snapshot->Search(query_, {.k = 700, .search_list_size = 700});
      status = snapshot->Verify();
    }
    const Result<Database> database = Database::Open(path);
    EXPECT_TRUE(database) << database.error().message;
    EXPECT_FALSE(const_cast<Database&>(*database).OpenIndex("a"));
    return status;
  }

  std::filesystem::path folder_, path_;
  std::string whole_;
  Vector query_;
};

TEST_F(DatabaseDamage, DamageInAnyBlockIsNamed) {
  const std::map<BlockKind, const char*> kinds = {{BlockKind::kRows, "rows, block"},
                                                  {BlockKind::kLists, "lists, block"},
                                                  {BlockKind::kStates, "states, block"},
                                                  {BlockKind::kSeeds, "seeds, block"},
                                                  {BlockKind::kLog, "log, block"}};
  std::mt19937 random(5);
  size_t checked = 0;
  for (const auto& [kind, name] : kinds) {
    const std::vector<size_t> blocks = BlocksOf(kind);
    for (size_t i = 0; i < blocks.size(); ++i) {
      const size_t offset = blocks[i] + sizeof(BlockHeader) + random() % 512;
      const Status status = WithDamageAt(offset);
      ASSERT_FALSE(status) << name << " at " << offset;
      EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(status.error().message, HasSubstr(name));
      EXPECT_THAT(status.error().message, HasSubstr("checksum: expected "));
      ++checked;
    }
  }
  EXPECT_GE(checked, 10u);
}

TEST(DatabaseBlocks, BlockInTheWrongPlaceOrOfAnotherVersionIsRefused) {
  Block block(200);
  SealBlock(block, {.kind = BlockKind::kRows, .index = 3, .number = 17});
  const BlockHeader right{.kind = BlockKind::kRows, .index = 3, .number = 17};
  EXPECT_TRUE(CheckBlock("f", block, right));
  for (const BlockHeader& wrong :
       {BlockHeader{.kind = BlockKind::kLists, .index = 3, .number = 17},
        BlockHeader{.kind = BlockKind::kRows, .index = 4, .number = 17},
        BlockHeader{.kind = BlockKind::kRows, .index = 3, .number = 18}}) {
    const Result<BlockHeader> found = CheckBlock("f", block, wrong);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().message, HasSubstr("index 3, rows, block 17"));
  }
  SealBlock(block, {.kind = BlockKind::kRows, .version = 9, .index = 3, .number = 17});
  EXPECT_EQ(CheckBlock("f", block, right).error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(CheckBlock("f", Bytes(block).first(20), right));
}

TEST(DatabaseBlocks, RecordsComeBackAsTheyWere) {
  IndexRecord record{.name = "docs",
                     .options = {.dim = 7, .metric = Metric::kCosine, .code = Code::kRq4}};
  record.number = 5;
  record.start = 2;
  record.slots = 90;
  record.generation_slots = 80;
  record.first_commit = 4;
  record.last_commit = 9;
  record.max_norm_sq = 2.5f;
  const Result<IndexRecord> found = DecodeIndexRecord("f", 5, EncodeIndexRecord(record));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->name, "docs");
  EXPECT_EQ(found->options.metric, Metric::kCosine);
  EXPECT_EQ(found->options.code, Code::kRq4);
  EXPECT_EQ(found->last_commit, 9u);
  EXPECT_EQ(found->max_norm_sq, 2.5f);
  EXPECT_FALSE(DecodeIndexRecord("f", 6, EncodeIndexRecord(record)));
  record.generation_slots = 91;
  EXPECT_EQ(DecodeIndexRecord("f", 5, EncodeIndexRecord(record)).error().code, ErrorCode::kCorrupt);
}

TEST(DatabaseBlocks, LargeValuesFillWholePagesWell) {
  for (const uint32_t dim : {16u, 128u, 384u, 768u, 1024u, 1536u, 4096u, 32768u}) {
    const BlockGeometry geometry({.dim = dim}, dim * sizeof(float));
    EXPECT_EQ((geometry.row_block_bytes + 16) % 4096, 0u);
    EXPECT_LE(geometry.RowOffset(geometry.rows_per_block - 1) + geometry.row_bytes,
              geometry.row_block_bytes);
    EXPECT_LE(geometry.ListOffset(geometry.lists_per_block - 1) + geometry.max_degree * 4,
              geometry.list_block_bytes);
    const double used = static_cast<double>(geometry.rows_per_block) *
                        static_cast<double>(geometry.row_bytes) /
                        static_cast<double>(geometry.row_block_bytes + 16);
    EXPECT_GT(used, 0.9) << dim;
  }
}

}  // namespace
}  // namespace shoal
