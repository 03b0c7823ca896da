// A file that is not what Save wrote is an error: one line that says where, never a crash, and
// never an index.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <limits>

#include "base/crc32c.h"
#include "shoal/index.h"
#include "shoal/snapshot.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr size_t kHeaderBytes = 4096;

template <class T>
T At(const std::string& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}
template <class T>
void Set(std::string& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
}

// Gives damaged bytes the checksums that belong to them, as an attacker would.
void Reseal(std::string& bytes) {
  const size_t directory = At<uint64_t>(bytes, 72);
  const size_t blocks = At<uint32_t>(bytes, 80);
  for (size_t i = 0; i < blocks; ++i) {
    const size_t entry = directory + 16 * i;
    Set(bytes, entry + 12,
        Crc32c(bytes.data() + At<uint64_t>(bytes, entry), At<uint32_t>(bytes, entry + 8)));
  }
  Set(bytes, 84, Crc32c(bytes.data() + directory, 16 * blocks));
  Set(bytes, kHeaderBytes - 4, Crc32c(bytes.data(), kHeaderBytes - 4));
}

class SnapshotDamage : public ::testing::Test {
 protected:
  static constexpr uint32_t kDim = 8;

  // Lists of up to 512 make blocks of 256 points.
  void Save(size_t points, Metric metric = Metric::kL2, uint32_t max_degree = 512) {
    rows_ = test::Generator(ScalarType::kFloat32, {.dim = kDim}, 1).Many(points);
    Index index = *Index::Create(
        {.dim = kDim, .metric = metric, .max_degree = max_degree, .build_list_size = 10});
    ASSERT_EQ(index.InsertMany(test::Iota(points), rows_.view(), {.threads = 1})->done, points);
    const Status saved = index.Save(path_);
    ASSERT_TRUE(saved) << saved.error().message;
    whole_ = ReadBytes(path_);
  }

  // Where a section's first block is: 0 rows, 1 ids, 2 lists, 3 seeds.
  size_t OffsetOf(size_t section) const {
    const size_t entries = At<uint64_t>(whole_, 24) + 1, per_block = At<uint32_t>(whole_, 68);
    const size_t entry = section * ((entries + per_block - 1) / per_block);
    return At<uint64_t>(whole_, At<uint64_t>(whole_, 72) + 16 * entry);
  }

  void ExpectRefused(const std::string& bytes, const std::string& what) {
    WriteBytes(path_, bytes);
    const auto loaded = Index::Load(path_);
    ASSERT_FALSE(loaded) << what;
    ASSERT_THAT(loaded.error().code, AnyOf(ErrorCode::kCorrupt, ErrorCode::kUnsupported));
    ASSERT_EQ(loaded.error().message.find(path_.string() + ": "), 0u) << loaded.error().message;
    ASSERT_THAT(loaded.error().message, AllOf(HasSubstr("expected "), HasSubstr(", found ")));
    ASSERT_FALSE(VerifySnapshot(path_)) << what;
  }

  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "index.shoal";
  test::Rows rows_{ScalarType::kFloat32, kDim};
  std::string whole_;
};

TEST_F(SnapshotDamage, CutAnywhereItIsAnError) {
  Save(20, Metric::kL2, 8);
  for (size_t bytes = 0; bytes < whole_.size(); ++bytes) {
    ASSERT_NO_FATAL_FAILURE(
        ExpectRefused(whole_.substr(0, bytes), "cut to " + std::to_string(bytes)));
    ASSERT_FALSE(InspectSnapshot(path_));
  }
  ExpectRefused(whole_ + "x", "with a byte more");
}

TEST_F(SnapshotDamage, WhateverByteIsChangedItIsAnError) {
  Save(20, Metric::kL2, 8);
  for (size_t i = 0; i < whole_.size(); ++i) {
    std::string bytes = whole_;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    ASSERT_NO_FATAL_FAILURE(ExpectRefused(bytes, "byte " + std::to_string(i)));
  }
}

// Flipped bits, ranges of zeros, two ranges or blocks in each other's place.
TEST_F(SnapshotDamage, TenThousandRandomCorruptionsAreErrors) {
  Save(300);
  const uint64_t seed = test::Seed();
  std::cout << "SHOAL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const size_t directory = At<uint64_t>(whole_, 72), blocks = At<uint32_t>(whole_, 80);
  ASSERT_EQ(blocks, 7u) << "two of each section of entries, and the seeds";
  for (size_t round = 0; round < 10000;) {
    std::string bytes = whole_;
    const size_t length = 1 + below(600), a = below(bytes.size() - length),
                 b = below(bytes.size() - length);
    switch (below(4)) {
      case 0: bytes[a] = static_cast<char>(bytes[a] ^ (1 << below(8))); break;
      case 1: bytes.replace(a, length, length, '\0'); break;
      case 2:
        bytes.replace(a, length, whole_, b, length);
        bytes.replace(b, length, whole_, a, length);
        break;
      default: {  // Two blocks change places, and in the directory, too: but not their checksums.
        const size_t x = directory + 16 * below(blocks), y = directory + 16 * below(blocks);
        bytes.replace(x, 12, whole_, y, 12);
        bytes.replace(y, 12, whole_, x, 12);
        Set(bytes, 84, Crc32c(bytes.data() + directory, 16 * blocks));
        Set(bytes, kHeaderBytes - 4, Crc32c(bytes.data(), kHeaderBytes - 4));
      }
    }
    if (bytes == whole_) continue;
    ++round;
    ASSERT_NO_FATAL_FAILURE(
        ExpectRefused(bytes, "seed " + std::to_string(seed) + ", round " + std::to_string(round)));
  }
}

// Under checksums that fit, the bytes still are not to be trusted.
TEST_F(SnapshotDamage, ResealedItIsAnErrorOrAnIndexThatHolds) {
  Save(60, Metric::kCosine, 8);
  const uint64_t seed = test::Seed();
  std::cout << "SHOAL_SEED=" << seed << "\n";
  std::mt19937_64 random(seed);
  size_t loads = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole_;
    const size_t end = At<uint64_t>(whole_, 72);
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      const bool in_header = random() % 10 == 0;
      const size_t at = in_header ? 16 + 4 * (random() % 14)
                                  : kHeaderBytes + 4 * (random() % ((end - kHeaderBytes) / 4));
      if (in_header && at >= 72 && at < 84) continue;  // Where Reseal finds the blocks.
      Set(bytes, at, static_cast<uint32_t>(random() % 4 == 0 ? random() : random() % 64));
    }
    Reseal(bytes);
    WriteBytes(path_, bytes);
    auto loaded = Index::Load(path_);
    if (!loaded) continue;
    ++loads;
    const Status checked = loaded->CheckStructure();
    ASSERT_TRUE(checked) << "seed " << seed << ": " << checked.error().message;
    const auto hits = loaded->Search(rows_[0], {.k = 60, .search_list_size = 100});
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), 60u) << "seed " << seed;
    ASSERT_TRUE(loaded->Insert(UINT64_MAX - 5, rows_[1]));
  }
  EXPECT_GT(loads, 100u);
}

TEST_F(SnapshotDamage, WrongMagicAndOtherVersionsHaveMessagesOfTheirOwn) {
  Save(20);
  std::string bytes = whole_;
  Set(bytes, 0, uint64_t{0x6669772d6c616f68});
  WriteBytes(path_, bytes);
  EXPECT_THAT(Index::Load(path_).error().message,
              HasSubstr("magic number: expected \\x89SHOAL\\x0d\\x0a, the beginning of a shoal "
                        "snapshot, found hoal-wif"));
  WriteBytes(path_, "");
  EXPECT_THAT(Index::Load(path_).error().message, HasSubstr("found an empty file"));
  for (const bool resealed : {false, true}) {
    for (const uint32_t version : {1u, 2u, 5u}) {
      bytes = whole_;
      Set(bytes, 8, version);
      if (resealed) Reseal(bytes);
      WriteBytes(path_, bytes);
      const auto other = Index::Load(path_);
      ASSERT_FALSE(other);
      EXPECT_EQ(other.error().code, ErrorCode::kUnsupported);
      EXPECT_THAT(
          other.error().message,
          HasSubstr("format version: expected 3 or 4, found " + std::to_string(version) +
                    (version < 3 ? ": written by an older shoal" : ": written by a newer shoal")));
    }
  }
  const auto missing = Index::Load(folder_ / "missing");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kFileNotFound);
  EXPECT_EQ(Index::Load(folder_ / "").error().code, ErrorCode::kIo) << "a folder";
}

TEST_F(SnapshotDamage, AHeaderThatClaimsTooMuchAllocatesNothing) {
  Save(20);
  for (const uint64_t points : {uint64_t{1} << 60, UINT64_MAX, (uint64_t{1} << 30) - 1,
                                uint64_t{1} << 29, uint64_t{210}, uint64_t{1000}}) {
    for (const uint32_t per_block : {1u, 256u, 65536u}) {
      std::string bytes = whole_;
      Set(bytes, 24, points);
      Set(bytes, 68, per_block);
      Set(bytes, 80, static_cast<uint32_t>(3 * ((points + per_block) / per_block) + 1));
      Set(bytes, kHeaderBytes - 4, Crc32c(bytes.data(), kHeaderBytes - 4));
      ASSERT_NO_FATAL_FAILURE(ExpectRefused(bytes, std::to_string(points) + " points"));
    }
  }
  struct rusage usage = {};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  EXPECT_LT(usage.ru_maxrss, 1 << 20) << "a gigabyte was touched";
}

// One value that no index has, under checksums that fit; and what the message must say of it.
// duckdb-vss #81: a saved index has duplicate keys, and start-up hangs on them.
TEST_F(SnapshotDamage, EveryFieldIsCheckedByName) {
  Save(300, Metric::kCosine, 64);
  const size_t rows = OffsetOf(0), ids = OffsetOf(1), lists = OffsetOf(2), coarse = OffsetOf(3);
  const size_t start_list = lists + size_t{300} * 64 * 4;
  const size_t fine = coarse + 8 + 4 * At<uint32_t>(whole_, coarse);  // Of the first coarse seed.
  const size_t anchors = At<uint64_t>(whole_, 72) - 4;  // There are none: a count of 0.
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto bits = [](float value) {
    uint32_t word;
    std::memcpy(&word, &value, sizeof(word));
    return word;
  };
  const struct {
    size_t at;
    uint32_t value;
    const char* message;
  } cases[] = {
      {40, 0, "header, offset 40: dim: expected 1 to 32768, found 0"},
      {44, 5, "header, offset 44: scalar type: expected 0 to 4, found 5"},
      {48, 5, "header, offset 48: metric: expected 0 to 4, found 5"},
      {48, 4, "header, offset 48: metric: expected one of float32 vectors, found hamming"},
      {44, 4, "header, offset 48: metric: expected one of bit vectors, found cosine"},
      {52, 513, "header, offset 52: max_degree: expected 4 to 512, found 513"},
      {56, 0, "header, offset 56: build_list_size: expected 1 to 10000, found 0"},
      {60, bits(kNan), "header, offset 60: alpha: expected 1 to 2, found nan"},
      {64, bits(-1), "header, offset 64: largest squared norm: expected a number of at least 0"},
      {68, 0, "header, offset 68: points of a block: expected 1 to 65536, found 0"},
      {88, 0, "header, offset 88: start points: expected 1 to 1, found 0"},
      {32, 5, "edges of all lists: expected 5 by the header, found "},
      {92, 32, "header, offset 92: bytes of a row: expected 36 to 36, found 32"},
      {96, 10, "header, offset 96: codec: expected 0 to 9, found 10"},
      {rows + 8, bits(kNan),
       "point 0: expected a vector that may be inserted, found vector: "
       "element 2 is NaN or infinite"},
      {rows + 32, bits(7), "point 0: expected the row of its vector, found another"},
      {rows + 300 * 36, bits(1), "start point: expected the row of its vector, found another"},
      {ids + 8, 0, "expected an id of its own, found 0, as "},
      {lists + 4 * 63, 65, "point 0: expected nothing behind the end of its list, found 65"},
      {lists, 0, "point 0: expected another point below 300, found 0"},
      {lists, 300, "point 0: expected another point below 300, found 300"},
      {lists, At<uint32_t>(whole_, lists + 4), "point 0: expected each point once, found "},
      {start_list, 300, "start point: expected another point below 300, found 300"},
      {coarse, 21, "seeds: expected at most 20, within the section, found 21"},
      {coarse + 8, 300, "seed: expected a point below 300, found 300"},
      {fine, 97, "seeds: expected at most 96, within the section, found 97"},
      {fine + 4, bits(-1), "radius: expected a number of at least 0, found -1"},
      {coarse + 4, bits(kNan), "radius: expected a number of at least 0, found nan"},
      {anchors, 1, "anchors: expected at most 300, within the section, found 1 in 4 bytes"},
  };
  for (const auto& [at, value, message] : cases) {
    std::string bytes = whole_;
    Set(bytes, at, value);
    Reseal(bytes);
    WriteBytes(path_, bytes);
    const auto loaded = Index::Load(path_);
    ASSERT_FALSE(loaded) << message;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(loaded.error().message, HasSubstr(message));
  }
  std::string bytes = whole_;
  bytes[ids] = static_cast<char>(bytes[ids] ^ 1);
  WriteBytes(path_, bytes);
  EXPECT_THAT(Index::Load(path_).error().message,
              AllOf(HasSubstr("ids, offset " + std::to_string(ids) +
                              ": checksum of 4096 bytes: "
                              "expected 0x"),
                    HasSubstr(", found 0x")));
}

// A file made by hand from docs/file_formats.md is loaded, and saved again as the same bytes:
// version 3 stays as it is. Three uint8 points under inner product.
TEST_F(SnapshotDamage, AFileMadeFromTheFormatPageIsLoadedAndSavedAsTheSameBytes) {
  std::string bytes(kHeaderBytes, '\0');
  std::string directory;
  const auto add = [](std::string& to, auto... words) {
    (to.append(reinterpret_cast<const char*>(&words), sizeof(words)), ...);
  };
  size_t begin = bytes.size();
  const auto end_block = [&] {
    add(directory, uint64_t{begin}, static_cast<uint32_t>(bytes.size() - begin), 0u);
    begin = bytes.size();
  };
  const auto end_section = [&] {
    bytes.resize((bytes.size() + 4095) / 4096 * 4096);
    end_block();
  };
  const auto add_row = [&](uint8_t x, uint8_t y) {
    add(bytes, x, y, uint16_t{0}, static_cast<float>(x * x + y * y));
  };
  add_row(1, 2);
  add_row(30, 40);
  add_row(5, 6);
  add_row(0, 0);
  end_section();
  add(bytes, uint64_t{7}, UINT64_MAX, uint64_t{0}, uint64_t{0});
  end_section();
  constexpr uint32_t kNo = 0xffffffff;
  add(bytes, 2u, 1u, kNo, kNo, 2u, kNo, kNo, kNo, 0u, kNo, kNo, kNo);  // 0: 2, 1; 1: 2; 2: 0.
  add(bytes, 0u, kNo, kNo, kNo);                                       // The start point's.
  end_section();
  // Coarse seeds 2 and 1; the first has fine seed 0, the second none. No anchors.
  add(bytes, 2u, 2.5f, 2u, 1u, 1u, 0.5f, 0u, 0u, 0.0f, 0u);
  end_block();
  bytes.replace(0, 8, "\x89SHOAL\r\n");
  std::string fields;
  add(fields, 3u, 4096u, uint64_t{bytes.size() + 64}, uint64_t{3}, uint64_t{5}, 2u, 3u, 1u, 4u, 50u,
      1.5f, 3000.0f, 32768u, uint64_t{bytes.size()}, 4u, 0u, 1u, 8u);
  bytes.replace(8, fields.size(), fields);
  bytes += directory;
  Reseal(bytes);
  WriteBytes(path_, bytes);
  const auto loaded = Index::Load(path_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(loaded->CheckStructure());
  EXPECT_EQ(loaded->Stats().edges, 5u);
  uint8_t vector[2] = {};
  ASSERT_TRUE(loaded->Get(UINT64_MAX, vector));
  EXPECT_EQ(vector[0], 30);
  ASSERT_TRUE(loaded->Save(folder_ / "again"));
  EXPECT_TRUE(ReadBytes(folder_ / "again") == bytes);
}

// --- What goes wrong while it is written.

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }
  FileSizeLimit(const FileSizeLimit&) = delete;

 private:
  rlimit before_ = {};
};

TEST_F(SnapshotDamage, AFullDiskLeavesTheOldFileAndNoOther) {
  Save(300);
  Index index = *Index::Load(path_);
  ASSERT_TRUE(index.Insert(12345, rows_[7]));
  for (const size_t room :
       {size_t{0}, size_t{1}, kHeaderBytes, whole_.size() / 2, whole_.size() - 1}) {
    Status saved;
    {
      const FileSizeLimit limit(room);
      saved = index.Save(path_);
    }
    ASSERT_FALSE(saved) << room;
    EXPECT_EQ(saved.error().code, ErrorCode::kIo);
    EXPECT_THAT(saved.error().message,
                HasSubstr(path_.string() + ": cannot write: File too large"));
    EXPECT_TRUE(ReadBytes(path_) == whole_);
    EXPECT_EQ(folder_.Entries(), 1u);
  }
  ASSERT_TRUE(index.Save(path_));
  EXPECT_EQ(Index::Load(path_)->size(), 301u);
}

TEST_F(SnapshotDamage, WhereNothingCanBeWrittenIsAnErrorThatNamesThePath) {
  Save(20);
  const Index index = *Index::Load(path_);
  for (const std::filesystem::path& path :
       {folder_ / "missing/x", std::filesystem::path("/proc/x"), path_ / "x",
        std::filesystem::path("/dev/full"), folder_ / "."}) {
    const Status saved = index.Save(path);
    ASSERT_FALSE(saved) << path;
    const bool no_folder = path == folder_ / "missing/x" || path == "/proc/x";
    EXPECT_EQ(saved.error().code, no_folder ? ErrorCode::kFileNotFound : ErrorCode::kIo) << path;
    EXPECT_THAT(saved.error().message, HasSubstr(path.string()));
  }
  EXPECT_EQ(folder_.Entries(), 1u);
  EXPECT_TRUE(ReadBytes(path_) == whole_);
}

TEST_F(SnapshotDamage, ASymbolicLinkStaysOneAndItsTargetIsReplaced) {
  Save(20);
  std::filesystem::create_symlink(path_, folder_ / "link");
  const Index index = *Index::Create({.dim = 3});
  ASSERT_TRUE(index.Save(folder_ / "link"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link"));
  EXPECT_EQ(InspectSnapshot(path_)->points, 0u);
}

}  // namespace
}  // namespace shoal
