// DiskANN's index files: what is written is read back, and no byte of them, changed or missing,
// leads to anything but a valid image or an error of one line.
#include "persist/diskann_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <random>

#include "tests/dataset_helpers.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

template <class T>
std::string Bytes(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

// `points` points on a ring and `start_points` start points that lead to the first of them. Ids are
// 100, 101, ...
GraphImage Ring(size_t points, uint32_t start_points, ScalarType type = ScalarType::kUint8) {
  GraphImage image;
  const size_t nodes = points + start_points;
  image.rows = *Matrix::Create(type, nodes, 3);
  for (size_t i = 0; i < nodes * 3; ++i) {
    const auto value = static_cast<float>(i);
    if (type == ScalarType::kFloat32) std::memcpy(image.rows.data() + i * 4, &value, 4);
    if (type != ScalarType::kFloat32) image.rows.data()[i] = static_cast<std::byte>(i);
  }
  image.start_points = start_points;
  image.start = static_cast<uint32_t>(start_points > 0 ? points : 0);
  image.offsets.push_back(0);
  for (size_t i = 0; i < nodes; ++i) {
    if (i < points) image.ids.push_back(100 + i);
    image.neighbors.push_back(static_cast<uint32_t>(i < points ? (i + 1) % points : 0));
    if (i < points) image.neighbors.push_back(static_cast<uint32_t>((i + 2) % points));
    image.offsets.push_back(image.neighbors.size());
  }
  return image;
}

void ExpectSame(const GraphImage& a, const GraphImage& b) {
  ASSERT_EQ(a.rows.rows(), b.rows.rows());
  ASSERT_EQ(a.rows.dim(), b.rows.dim());
  ASSERT_EQ(a.rows.type(), b.rows.type());
  EXPECT_EQ(std::memcmp(a.rows.data(), b.rows.data(), a.rows.rows() * a.rows.row_bytes()), 0);
  EXPECT_EQ(a.ids, b.ids);
  EXPECT_EQ(a.offsets, b.offsets);
  EXPECT_EQ(a.neighbors, b.neighbors);
  EXPECT_EQ(a.start, b.start);
  EXPECT_EQ(a.start_points, b.start_points);
}

class DiskannFormat : public testing::Test {
 protected:
  Result<GraphImage> Read(bool tags = true) {
    return ReadDiskann(prefix_, ScalarType::kUint8, tags);
  }

  TempFolder folder_;
  std::filesystem::path prefix_ = folder_ / "index";
  std::filesystem::path data_ = folder_ / "index.data";
  std::filesystem::path tags_ = folder_ / "index.tags";
};

TEST_F(DiskannFormat, DynamicImagesComeBackWithTheirIds) {
  for (ScalarType type : {ScalarType::kFloat32, ScalarType::kInt8, ScalarType::kUint8}) {
    const GraphImage image = Ring(7, 2, type);
    ASSERT_TRUE(WriteDiskann(prefix_, image));
    EXPECT_EQ(folder_.Entries(), 3u);
    const auto found = ReadDiskann(prefix_, type, true);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_TRUE(CheckImage(*found));
    ExpectSame(image, *found);
  }
}

TEST_F(DiskannFormat, StaticImagesComeBackWithRowNumbersAsIds) {
  GraphImage image = Ring(7, 0);
  ASSERT_TRUE(WriteDiskann(prefix_, image));
  EXPECT_EQ(folder_.Entries(), 2u);
  const auto found = Read(false);
  ASSERT_TRUE(found) << found.error().message;
  image.ids = {0, 1, 2, 3, 4, 5, 6};
  ExpectSame(image, *found);
}

TEST_F(DiskannFormat, EveryByteIsWhereTheFormatPutsIt) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
  EXPECT_EQ(ReadBytes(prefix_), Bytes<uint64_t>({24 + 4 * (3 * 3 + 2)}) + Bytes<uint32_t>({2, 3}) +
                                    Bytes<uint64_t>({1}) +
                                    Bytes<uint32_t>({2, 1, 2, 2, 2, 0, 2, 0, 1, 1, 0}));
  EXPECT_EQ(ReadBytes(data_),
            Bytes<int32_t>({4, 3}) + Bytes<uint8_t>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(ReadBytes(tags_), Bytes<int32_t>({4, 1}) + Bytes<uint32_t>({100, 101, 102, 0}));
}

TEST_F(DiskannFormat, AStaticIndexOverADynamicOneLeavesNoTagsOfTheOldOne) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(7, 1)));
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(7, 0)));
  EXPECT_FALSE(std::filesystem::exists(tags_));
  EXPECT_TRUE(Read(false));
}

TEST_F(DiskannFormat, RepeatedNeighboursAndLoopsAreLeftOut) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 0)));
  WriteBytes(prefix_, Bytes<uint64_t>({24 + 4 * 11}) + Bytes<uint32_t>({4, 0}) +
                          Bytes<uint64_t>({0}) +
                          Bytes<uint32_t>({4, 1, 0, 2, 1, 2, 0, 0, 2, 1, 0}));
  const auto found = Read(false);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->offsets, (std::vector<uint64_t>{0, 2, 3, 5}));
  EXPECT_EQ(found->neighbors, (std::vector<uint32_t>{1, 2, 0, 1, 0}));
  EXPECT_TRUE(CheckImage(*found));
}

TEST_F(DiskannFormat, EveryTruncationAndEveryTrailingByteIsAnError) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(5, 1)));
  for (const auto& file : {prefix_, data_, tags_}) {
    const std::string whole = ReadBytes(file);
    for (size_t length = 0; length < whole.size(); ++length) {
      WriteBytes(file, whole.substr(0, length));
      ExpectError(Read(), ErrorCode::kCorrupt, file, "expected");
    }
    WriteBytes(file, whole + "x");
    ExpectError(Read(), ErrorCode::kCorrupt, file, "size: expected");
    WriteBytes(file, whole);
  }
  EXPECT_TRUE(Read());
}

// A truncation that the header agrees with must be found in the lists themselves.
TEST_F(DiskannFormat, EveryTruncationOfTheGraphWithASizeToMatchIsAnError) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(5, 1)));
  const std::string whole = ReadBytes(prefix_);
  for (uint64_t length = 24; length < whole.size(); ++length) {
    WriteBytes(prefix_, Bytes<uint64_t>({length}) + whole.substr(8, length - 8));
    ExpectError(Read(), ErrorCode::kCorrupt, prefix_, "expected");
  }
  WriteBytes(prefix_, Bytes<uint64_t>({whole.size() + 4}) + whole.substr(8) + std::string(4, '\0'));
  ExpectError(Read(), ErrorCode::kCorrupt, prefix_,
              "nodes: expected 6 as .data has rows, found more: 4 bytes behind the last");
}

TEST_F(DiskannFormat, TenThousandCorruptionsAreErrorsOrValidImages) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(40, 2)));
  std::mt19937 random(20240607);
  size_t valid = 0;
  for (int round = 0; round < 10000; ++round) {
    const auto& file = round % 2 == 0 ? prefix_ : round % 4 == 1 ? data_ : tags_;
    const std::string whole = ReadBytes(file);
    std::string bytes = whole;
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      // Half of the changes hit the first words, where the counts are.
      const size_t at = random() % (random() % 2 == 0 ? 32 : bytes.size());
      const char values[] = {0, 1, '\x7f', '\xff', static_cast<char>(random())};
      bytes[std::min(at, bytes.size() - 1)] = values[random() % 5];
    }
    WriteBytes(file, bytes);
    const auto found = Read();
    if (found) {
      ++valid;
      const Status checked = CheckImage(*found);
      ASSERT_TRUE(checked) << "round " << round << ": " << checked.error().message;
      ASSERT_EQ(found->rows.rows(), found->nodes());
    } else {
      ASSERT_THAT(found.error().message, AllOf(StartsWith(folder_ / "index"), Not(HasSubstr("\n"))))
          << "round " << round;
    }
    WriteBytes(file, whole);
  }
  // Changed elements and neighbours that stay in range cannot be told from true ones.
  EXPECT_GT(valid, 100u);
  EXPECT_LT(valid, 9000u);
}

TEST_F(DiskannFormat, WhatIsWrongInTheGraphIsNamed) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
  const std::string whole = ReadBytes(prefix_);
  const auto with = [&](size_t word, uint32_t value) {
    std::string bytes = whole;
    std::memcpy(bytes.data() + 4 * word, &value, 4);
    return bytes;
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {with(0, 64), "size: expected 64 bytes, a multiple of 4, by its header, found 68 bytes"},
      {with(2, 1),
       "neighbours of node 0: expected at most 1 of them (longest list 1, 10 numbers "
       "left in the file), found 2"},
      {with(3, 4), "start: expected less than the 4 rows of .data, found 4"},
      {with(4, 4), "frozen points: expected fewer than the 4 rows of .data, found 4"},
      {with(5, 1), "frozen points: expected fewer than the 4 rows of .data, found 4294967297"},
      {with(6, 0xffffffff), "neighbours of node 0: expected at most 2 of them"},
      {with(7, 4), "neighbours of node 0: expected node numbers below 4, found 4"},
      {with(15, 3), "neighbours of node 3: expected at most 1 of them"}};
  for (const auto& [bytes, text] : cases) {
    WriteBytes(prefix_, bytes);
    ExpectError(Read(), ErrorCode::kCorrupt, prefix_, text);
  }
}

TEST_F(DiskannFormat, FilesOfDifferentIndicesAreToldApart) {
  ASSERT_TRUE(WriteDiskann(folder_ / "other", Ring(4, 1)));
  for (const std::string suffix : {"", ".data", ".tags"}) {
    ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
    std::filesystem::copy_file(folder_ / ("other" + suffix), folder_ / ("index" + suffix),
                               std::filesystem::copy_options::overwrite_existing);
    const auto found = Read();
    ASSERT_FALSE(found) << suffix;
    EXPECT_THAT(found.error().message, HasSubstr(".data"));
  }
}

TEST_F(DiskannFormat, WhatIsWrongInTheTagsIsNamed) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
  const auto write = [&](std::vector<uint32_t> tags, size_t columns) {
    ASSERT_TRUE(WriteIdBin(tags_, tags, columns));
  };
  write({5, 6, 5, 0}, 1);
  ExpectError(Read(), ErrorCode::kCorrupt, tags_,
              "tag of row 2: expected a tag of its own, found 5 as in row 0");
  write({5, 0, 6, 0}, 1);
  ExpectError(Read(), ErrorCode::kCorrupt, tags_,
              "tag of row 1: expected at least 1 (0 marks a frozen point), found 0");
  write({5, 6, 7, 8}, 1);
  ExpectError(Read(), ErrorCode::kCorrupt, tags_,
              "tag of row 3: expected 0, as for every frozen point, found 8");
  write({5, 6, 7, 0}, 2);
  ExpectError(Read(), ErrorCode::kCorrupt, tags_,
              "shape: expected 4 x 1 as .data has rows, found 2 x 2");
  EXPECT_TRUE(Read(false)) << "the tags are not read when they are not asked for";
}

TEST_F(DiskannFormat, MissingFilesAreNamed) {
  for (const auto& file : {prefix_, data_, tags_}) {
    ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
    std::filesystem::remove(file);
    ExpectError(Read(), ErrorCode::kFileNotFound, file, "No such file or directory");
  }
}

TEST_F(DiskannFormat, DeletedPointsAreRefused) {
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
  WriteBytes(folder_ / "index.del", "");
  ExpectError(Read(), ErrorCode::kUnsupported, folder_ / "index.del", "deleted points");
  ASSERT_TRUE(WriteDiskann(prefix_, Ring(3, 1)));
  EXPECT_TRUE(Read()) << "a new index takes the place of the old one, its deletions too";
}

TEST_F(DiskannFormat, RowsThatAreNotFiniteAreNamed) {
  GraphImage image = Ring(3, 1, ScalarType::kFloat32);
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(image.rows.data() + 4 * 4, &infinity, 4);
  ASSERT_TRUE(WriteDiskann(prefix_, image));
  ExpectError(ReadDiskann(prefix_, ScalarType::kFloat32, true), ErrorCode::kCorrupt, data_,
              "row 1, column 1: expected a finite number, found infinity");
}

TEST_F(DiskannFormat, WhatDiskannCannotHoldIsNotWritten) {
  GraphImage image = Ring(3, 1);
  for (ExternalId id : {ExternalId{0}, ExternalId{1} << 32}) {
    image.ids[1] = id;
    ExpectError(WriteDiskann(prefix_, image), ErrorCode::kUnsupported, tags_,
                "id: expected 1 to 4294967295 (DiskANN's tags are 32 bits wide, and 0 is "
                "reserved), found " +
                    std::to_string(id));
  }
  ExpectError(WriteDiskann(prefix_, Ring(3, 1, ScalarType::kFloat16)), ErrorCode::kUnsupported,
              data_, "expected float32, int8, uint8 or bit, found float16");
  ExpectError(WriteDiskann(prefix_, Ring(0, 1)), ErrorCode::kInvalidArgument, prefix_,
              "points to write: expected at least 1, found 0");
  image = Ring(3, 1);
  image.neighbors[0] = 4;
  ExpectError(WriteDiskann(prefix_, image), ErrorCode::kInvalidArgument, prefix_,
              "a neighbour of node 0: expected another node, once, below 4, found 4");
  ExpectError(WriteDiskann(folder_ / "no/such", Ring(3, 1)), ErrorCode::kFileNotFound,
              folder_ / "no/such.data", "cannot create the file");
  EXPECT_EQ(folder_.Entries(), 0u);
}

TEST_F(DiskannFormat, AFailedWriteLeavesTheOldIndexAndNoOtherFile) {
  const GraphImage old = Ring(5, 1);
  ASSERT_TRUE(WriteDiskann(prefix_, old));
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  // Enough for the rows and the tags of 5,000 points, not for their lists.
  const rlimit tight = {.rlim_cur = 30000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Status written = WriteDiskann(prefix_, Ring(5000, 1));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ExpectError(written, ErrorCode::kIo, prefix_, "cannot write: File too large");
  EXPECT_EQ(folder_.Entries(), 3u);
  const auto found = Read();
  ASSERT_TRUE(found) << found.error().message;
  ExpectSame(old, *found);
}

TEST(CheckImage, EveryBrokenPromiseIsNamed) {
  const auto expect = [](GraphImage image, std::string_view text) {
    const Status checked = CheckImage(image);
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(checked.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(checked.error().message, HasSubstr(text));
  };
  EXPECT_TRUE(CheckImage(Ring(5, 1)));
  expect(GraphImage{}, "nodes, at least: expected 1, found 0");
  GraphImage image = Ring(5, 1);
  image.start_points = 2;
  expect(std::move(image), "rows: expected 7, found 6");
  image = Ring(5, 1);
  image.offsets.pop_back();
  expect(std::move(image), "offsets: expected 7, found 6");
  image = Ring(5, 1);
  image.offsets[0] = 1;
  expect(std::move(image), "first offset: expected 0, found 1");
  image = Ring(5, 1);
  image.offsets[2] = 100;
  expect(std::move(image), "expected ascending");
  image = Ring(5, 1);
  image.neighbors.push_back(0);
  expect(std::move(image), "last offset: expected 12, found 11");
  image = Ring(5, 1);
  image.start = 6;
  expect(std::move(image), "start, less than: expected 6, found 6");
  image = Ring(5, 1);
  image.ids[3] = 100;
  expect(std::move(image), "ids: expected each once");
  for (uint32_t neighbor : {0u, 2u, 6u}) {  // The node itself, one that is there, none.
    image = Ring(5, 1);
    image.neighbors[0] = neighbor;
    expect(std::move(image), "a neighbour of node 0");
  }
}

}  // namespace
}  // namespace shoal
