// Database files of every released format version, as tests/baselines/database_VERSION.txt have
// them: they are opened, searched and written to for ever. The first line: version, bytes of the
// file. Each other line: an offset and the 32 bytes there, both as hex, or the byte that all of
// them are; what no line has is 0.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "db/blocks.h"
#include "shoal/database.h"

namespace shoal {
namespace {

constexpr uint32_t kDim = 8, kBits = 24;
constexpr ExternalId kFirst = 60, kAll = 70;  // kFirst are there when the lists are written.
constexpr size_t kRun = 32;

// Any numbers that never change. `round`: how often the id's vector was replaced.
std::vector<float> FloatsOf(ExternalId id, uint64_t round) {
  uint64_t state = id * 7919 + round * 104729 + 1;
  std::vector<float> vector(kDim);
  for (float& x : vector) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<float>(state >> 40) / (1 << 23) - 1;
  }
  return vector;
}
std::array<uint8_t, kBits / 8> BitsOf(ExternalId id) {
  return {static_cast<uint8_t>(id), static_cast<uint8_t>(id * 37), static_cast<uint8_t>(id * 101)};
}
VectorView ViewOf(const std::array<uint8_t, kBits / 8>& bits) {
  return {bits.data(), ScalarType::kBit, kBits};
}
bool IsDeleted(ExternalId id) { return id % 12 == 5; }
uint64_t RoundOf(ExternalId id) { return id % 20 == 3 ? 1 : 0; }

class DatabaseGolden : public testing::Test {
 protected:
  DatabaseGolden() {
    folder_ = std::filesystem::path(testing::TempDir()) /
              ("shoal_database_golden_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  ~DatabaseGolden() override { std::filesystem::remove_all(folder_); }

  // The text of a database of today's version: lists that a pass has written, and changes since.
  void Make(const std::filesystem::path& text) const {
    Result<Database> database = Database::Open(folder_ / "made.db", {.sync = SyncLevel::kNone});
    ASSERT_TRUE(database) << database.error().message;
    const StoredIndex floats = *database->CreateIndex(
        "floats", {.dim = kDim, .metric = Metric::kCosine, .code = Code::kRq4, .max_degree = 8});
    const StoredIndex bits = *database->CreateIndex("bits", {.dim = kBits,
                                                             .scalar_type = ScalarType::kBit,
                                                             .metric = Metric::kHamming,
                                                             .max_degree = 8});
    const auto insert = [&](ExternalId first, ExternalId end) {
      Transaction change = *database->Begin();
      for (ExternalId id = first; id < end; ++id) {
        ASSERT_TRUE(change.Insert(floats, id, FloatsOf(id, 0)));
        ASSERT_TRUE(change.Insert(bits, id, ViewOf(BitsOf(id))));
      }
      ASSERT_TRUE(change.PutRecord("users", "last", std::to_string(end - 1)));
      ASSERT_TRUE(change.Commit());
    };
    insert(0, kFirst);
    ASSERT_TRUE(database->Pass());
    insert(kFirst, kAll);
    Transaction change = *database->Begin();
    for (ExternalId id = 0; id < kAll; ++id) {
      if (RoundOf(id) != 0) {
        ASSERT_TRUE(change.Upsert(floats, id, FloatsOf(id, RoundOf(id))));
      }
      if (IsDeleted(id)) {
        ASSERT_TRUE(change.Delete(floats, id));
      }
    }
    ASSERT_TRUE(change.Commit());
    ASSERT_TRUE(database->Backup(folder_ / "copy.db"));
    std::ofstream(text) << TextOf(folder_ / "copy.db");
  }

  static std::string TextOf(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    std::ostringstream text;
    text << kDatabaseVersion << ' ' << bytes.size() << '\n' << std::hex << std::setfill('0');
    for (size_t at = 0; at < bytes.size(); at += kRun) {
      const std::string run = bytes.substr(at, kRun);
      if (run.find_first_not_of('\0') == std::string::npos) continue;
      text << at << ' ';
      const bool is_one_byte = run == std::string(kRun, run[0]);
      for (const char c : run.substr(0, is_one_byte ? 1 : kRun))
        text << std::setw(2) << int{static_cast<uint8_t>(c)};
      text << '\n';
    }
    return text.str();
  }
  static void WriteFileOf(std::istream& text, size_t size, const std::filesystem::path& path) {
    std::string bytes(size, '\0'), hex;
    for (size_t at = 0; text >> std::hex >> at >> hex;) {
      ASSERT_LE(at + kRun, size);
      for (size_t i = 0; i < kRun; ++i)
        bytes[at + i] =
            static_cast<char>(std::stoi(hex.substr(2 * i % hex.size(), 2), nullptr, 16));
    }
    std::ofstream(path, std::ios::binary) << bytes;
  }

  static std::vector<ExternalId> IdsOf(const DatabaseSnapshot& snapshot) {
    std::vector<ExternalId> ids = *snapshot.Ids();
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  static void ExpectTheFloats(const DatabaseSnapshot& snapshot) {
    std::vector<ExternalId> expected;
    for (ExternalId id = 0; id < kAll; ++id)
      if (!IsDeleted(id)) expected.push_back(id);
    EXPECT_EQ(IdsOf(snapshot), expected);
    for (const ExternalId id : expected) {
      const std::vector<float> vector = FloatsOf(id, RoundOf(id));
      std::vector<float> kept(kDim);
      ASSERT_TRUE(snapshot.Get(id, kept));
      EXPECT_EQ(kept, vector) << id;
      const auto hits = snapshot.Search(vector, {.k = 1, .search_list_size = kAll});
      ASSERT_TRUE(hits) << hits.error().message;
      EXPECT_EQ(hits->at(0).id, id);
    }
  }
  static void ExpectTheBits(const DatabaseSnapshot& snapshot) {
    EXPECT_EQ(IdsOf(snapshot).size(), kAll);
    for (ExternalId id = 0; id < kAll; ++id) {
      const auto hits = snapshot.Search(ViewOf(BitsOf(id)), {.k = 1, .search_list_size = kAll});
      ASSERT_TRUE(hits) << hits.error().message;
      EXPECT_EQ(hits->at(0).distance, 0) << id;
    }
  }

  std::filesystem::path folder_;
};

TEST_F(DatabaseGolden, FilesOfEveryVersionAreReadAndWrittenTo) {
  for (uint32_t version = 1; version <= kDatabaseVersion; ++version) {
    const std::string name_of_text = "database_" + std::to_string(version) + ".txt";
    std::ifstream text(SHOAL_BASELINES "/" + name_of_text);
    uint32_t written = 0;
    size_t size = 0;
    if (!(text >> written >> size)) {
      if (version == kDatabaseVersion)
        Make(std::filesystem::path(testing::TempDir()) / name_of_text);
      FAIL() << name_of_text << " is missing in tests/baselines; today's version is now in "
             << testing::TempDir();
    }
    ASSERT_EQ(written, version);
    const auto path = folder_ / ("version_" + std::to_string(version) + ".db");
    WriteFileOf(text, size, path);

    for (const std::string name : {"floats", "bits"}) {
      const auto snapshot = DatabaseSnapshot::Open(path, name);
      ASSERT_TRUE(snapshot) << snapshot.error().message;
      const Status verified = snapshot->Verify();
      EXPECT_TRUE(verified) << verified.error().message;
      if (name == "floats") ExpectTheFloats(*snapshot);
      if (name == "bits") ExpectTheBits(*snapshot);
    }

    Result<Database> database = Database::Open(path, {.sync = SyncLevel::kNone});
    ASSERT_TRUE(database) << database.error().message;
    const auto records = database->Records("users");
    ASSERT_TRUE(records);
    ASSERT_EQ(records->size(), 1u);
    EXPECT_EQ(records->at(0).value, std::to_string(kAll - 1));
    const auto floats = database->OpenIndex("floats");
    ASSERT_TRUE(floats) << floats.error().message;
    EXPECT_EQ(floats->live().options().code, Code::kRq4);
    ASSERT_TRUE(StoredIndex(*floats).Insert(1000, FloatsOf(1000, 0)));
    ASSERT_TRUE(StoredIndex(*floats).Delete(1000));
    ASSERT_TRUE(database->Pass());
    const auto after = DatabaseSnapshot::Open(path, "floats");
    ASSERT_TRUE(after) << after.error().message;
    EXPECT_TRUE(after->Verify());
    ExpectTheFloats(*after);
  }
}

}  // namespace
}  // namespace shoal
