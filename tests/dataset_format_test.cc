// Each dataset format on its own: every header, count and size that can be wrong, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "shoal/dataset.h"
#include "tests/dataset_helpers.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using testing::HasSubstr;

std::string Int32s(std::initializer_list<int32_t> values) {
  std::string bytes(values.size() * sizeof(int32_t), '\0');
  std::memcpy(bytes.data(), values.begin(), bytes.size());
  return bytes;
}

TEST(Bin, HeaderCountsAreCheckedBeforeTheyAreUsed) {
  TempFolder folder;
  const auto file = folder / "x.fbin";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {Int32s({0, 4}), "rows: expected 1 to 2147483647, found 0"},
      {Int32s({-1, 4}), "rows: expected 1 to 2147483647, found -1"},
      {Int32s({4, 0}), "dimension: expected 1 to 32768, found 0"},
      {Int32s({4, -128}), "dimension: expected 1 to 32768, found -128"},
      {Int32s({4, 32769}), "dimension: expected 1 to 32768, found 32769"},
      {Int32s({0x7fffffff, 32768}),
       "size: expected 281474976579592 bytes (8 + 2147483647 rows x 32768 x 4 bytes of float32), "
       "found 8 bytes"},
      {"1234567", "size: expected at least 8 bytes (the header), found 7 bytes"}};
  for (const auto& [bytes, text] : cases) {
    WriteBytes(file, bytes);
    ExpectError(ReadBin(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file, text);
    ExpectError(ReadBinShape(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file, text);
  }
}

TEST(Bin, AnotherTypeThanTheFilesIsGuessed) {
  TempFolder folder;
  const auto file = folder / "x.bin";
  ASSERT_TRUE(WriteBin(file, MakeMatrix(ScalarType::kUint8, 10, 4)));
  ExpectError(ReadBin(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file,
              "expected 168 bytes (8 + 10 rows x 4 x 4 bytes of float32), found 48 bytes, the size "
              "of uint8 or int8");
  ASSERT_TRUE(WriteBin(file, MakeMatrix(ScalarType::kFloat32, 10, 4)));
  ExpectError(ReadBin(file, ScalarType::kInt8), ErrorCode::kCorrupt, file, "the size of float32");
}

TEST(Bin, ShapeIsThatOfTheHeader) {
  TempFolder folder;
  const auto file = folder / "x.bin";
  ASSERT_TRUE(WriteBin(file, MakeMatrix(ScalarType::kUint8, 10, 4)));
  const auto shape = ReadBinShape(file, ScalarType::kInt8);
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->rows, 10u);
  EXPECT_EQ(shape->dim, 4u);
}

TEST(Bin, ALinkKeepsPointingToTheFileThatIsReplaced) {
  TempFolder folder;
  WriteBytes(folder / "real", "old");
  std::filesystem::create_symlink(folder / "real", folder / "link");
  ASSERT_TRUE(WriteBin(folder / "link", MakeMatrix(ScalarType::kUint8, 10, 4)));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_TRUE(ReadBin(folder / "real", ScalarType::kUint8));
}

TEST(BinWriter, BlocksMakeTheSameFileAsTheWhole) {
  TempFolder folder;
  const Matrix matrix = MakeMatrix(ScalarType::kFloat32, 1000, 33);
  ASSERT_TRUE(WriteBin(folder / "whole", matrix));
  auto writer = BinWriter::Create(folder / "blocks", ScalarType::kFloat32, 1000, 33);
  ASSERT_TRUE(writer);
  for (size_t row = 0; row < 1000; row += 250) {
    ASSERT_TRUE(writer->Append(matrix.view().Slice(row, 250)));
  }
  ASSERT_TRUE(writer->Commit());
  EXPECT_EQ(ReadBytes(folder / "whole"), ReadBytes(folder / "blocks"));
}

TEST(BinWriter, OtherRowsThanAnnouncedAreRefusedAndNothingIsLeft) {
  TempFolder folder;
  const auto file = folder / "x.bin";
  {
    auto writer = BinWriter::Create(file, ScalarType::kUint8, 10, 4);
    ASSERT_TRUE(writer);
    ExpectError(writer->Append(MakeMatrix(ScalarType::kInt8, 1, 4)), ErrorCode::kInvalidArgument,
                file, "expected at most 10 x 4 uint8, found 1 x 4 int8");
    ExpectError(writer->Append(MakeMatrix(ScalarType::kUint8, 1, 5)), ErrorCode::kInvalidArgument,
                file, "found 1 x 5 uint8");
    ASSERT_TRUE(writer->Append(MakeMatrix(ScalarType::kUint8, 8, 4)));
    ExpectError(writer->Append(MakeMatrix(ScalarType::kUint8, 3, 4)), ErrorCode::kInvalidArgument,
                file, "expected at most 2 x 4 uint8, found 3 x 4 uint8");
    ExpectError(writer->Commit(), ErrorCode::kInvalidArgument, file,
                "rows written: expected 10, found 8");
  }
  EXPECT_EQ(folder.Entries(), 0u);
}

TEST(IdBin, RoundTripsRowsAndColumns) {
  TempFolder folder;
  const auto file = folder / "tags";
  const std::vector<uint32_t> ids = {5, 0, 0xffffffffu, 7, 1, 2};
  ASSERT_TRUE(WriteIdBin(file, ids, 2));
  BinShape shape;
  const auto found = ReadIdBin(file, &shape);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, ids);
  EXPECT_EQ(shape.rows, 3u);
  EXPECT_EQ(shape.dim, 2u);
}

TEST(IdBin, EveryTruncationAndBadHeaderIsAnError) {
  TempFolder folder;
  const auto file = folder / "tags";
  ASSERT_TRUE(WriteIdBin(file, std::vector<uint32_t>{5, 6, 7, 8}, 1));
  const std::string whole = ReadBytes(file);
  for (size_t length = 0; length < whole.size(); ++length) {
    WriteBytes(file, whole.substr(0, length));
    ExpectError(ReadIdBin(file), ErrorCode::kCorrupt, file, "size: expected");
  }
  WriteBytes(file, whole + "x");
  ExpectError(ReadIdBin(file), ErrorCode::kCorrupt, file, "expected 24 bytes");
  WriteBytes(file, Int32s({-3, 1}));
  ExpectError(ReadIdBin(file), ErrorCode::kCorrupt, file, "rows: expected 1 to 2147483647");
  WriteBytes(file, Int32s({0x7fffffff, 0x7fffffff}));
  ExpectError(ReadIdBin(file), ErrorCode::kCorrupt, file, "expected 18446744056529682444 bytes");
}

TEST(IdBin, RaggedOrEmptyIdsAreNotWritten) {
  TempFolder folder;
  const auto file = folder / "tags";
  const std::vector<uint32_t> ids = {1, 2, 3};
  ExpectError(WriteIdBin(file, ids, 2), ErrorCode::kInvalidArgument, file, "3 ids in 2 columns");
  ExpectError(WriteIdBin(file, ids, 0), ErrorCode::kInvalidArgument, file, "3 ids in 0 columns");
  ExpectError(WriteIdBin(file, {}, 1), ErrorCode::kInvalidArgument, file, "0 ids in 1 columns");
  EXPECT_EQ(folder.Entries(), 0u);
}

TEST(Vecs, ARowOfAnotherDimensionIsNamed) {
  TempFolder folder;
  const auto file = folder / "x.bvecs";
  WriteBytes(file, Int32s({2}) + "ab" + Int32s({3}) + "cd");
  ExpectError(ReadVecs(file, ScalarType::kUint8), ErrorCode::kCorrupt, file,
              "dimension of row 1: expected 2 as in row 0, found 3");
  WriteBytes(file, Int32s({-2}) + "ab");
  ExpectError(ReadVecs(file, ScalarType::kUint8), ErrorCode::kCorrupt, file,
              "dimension of row 0: expected 1 to 32768, found -2");
  WriteBytes(file, Int32s({2}) + "abc");
  ExpectError(ReadVecsShape(file, ScalarType::kUint8), ErrorCode::kCorrupt, file,
              "size: expected a multiple of 6 bytes (4 + 2 x 1, a row), found 7 bytes, 1 too many");
}

TEST(Vecs, ManyBlocksAreReadInOrder) {
  TempFolder folder;
  const auto file = folder / "x.fvecs";
  const Matrix matrix = MakeMatrix(ScalarType::kFloat32, 9000, 128);  // More than one block.
  ASSERT_TRUE(WriteVecs(file, matrix));
  const auto shape = ReadVecsShape(file, ScalarType::kFloat32);
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->rows, 9000u);
  const auto found = ReadVecs(file, ScalarType::kFloat32);
  ASSERT_TRUE(found) << found.error().message;
  ExpectSame(matrix, *found);
}

TEST(Vecs, HalvesHaveNoSuchFormat) {
  TempFolder folder;
  const auto file = folder / "x";
  ExpectError(WriteVecs(file, MakeMatrix(ScalarType::kFloat16, 2, 2)), ErrorCode::kUnsupported,
              file, "expected float32 (fvecs), uint8 or int8 (bvecs), found float16");
  ExpectError(ReadVecs(file, ScalarType::kFloat16), ErrorCode::kUnsupported, file, "float16");
}

TEST(Ivecs, RowsAreReadRowMajorAndTruncationsAreErrors) {
  TempFolder folder;
  const auto file = folder / "x.ivecs";
  const std::string whole = Int32s({2, 10, 11, 2, 20, 21, 2, 30, 31});
  WriteBytes(file, whole);
  BinShape shape;
  const auto found = ReadIvecs(file, &shape);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, (std::vector<uint32_t>{10, 11, 20, 21, 30, 31}));
  EXPECT_EQ(shape.rows, 3u);
  EXPECT_EQ(shape.dim, 2u);
  for (size_t length = 0; length < whole.size(); ++length) {
    WriteBytes(file, whole.substr(0, length));
    ASSERT_EQ(ReadIvecs(file).has_value(), length > 0 && length % 12 == 0) << length;
  }
}

TEST(Ivecs, WhatIsWrittenIsReadAndNoHalfRowsAre) {
  TempFolder folder;
  const auto file = folder / "x.ivecs";
  const std::vector<uint32_t> ids = {7, 8, 9, 0, 0xffffffff, 1};
  ASSERT_TRUE(WriteIvecs(file, ids, 3));
  EXPECT_EQ(ReadBytes(file), Int32s({3, 7, 8, 9, 3, 0, -1, 1}));
  BinShape shape;
  EXPECT_EQ(ReadIvecs(file, &shape).value(), ids);
  EXPECT_EQ(shape.rows, 2u);
  for (const size_t columns : {0, 4, 7}) {
    const auto written = WriteIvecs(folder / "y.ivecs", ids, columns);
    ASSERT_FALSE(written) << columns;
    EXPECT_EQ(written.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(std::filesystem::exists(folder / "y.ivecs"));
  }
}

// A .npy file with this header and these numbers.
std::string Npy(unsigned char version, const std::string& header, const std::string& numbers) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  const auto length = static_cast<uint32_t>(header.size());
  bytes.append(reinterpret_cast<const char*>(&length), version == 1 ? 2 : 4);
  return bytes + header + numbers;
}

TEST(NpyFile, EveryVersionAndSpellingIsRead) {
  TempFolder folder;
  const auto file = folder / "x.npy";
  const std::string numbers = "abcdef";
  for (const char* header : {"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }      \n",
                             "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<u1\"}\n",
                             "{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L)}"}) {
    for (unsigned char version : {1, 2, 3}) {
      WriteBytes(file, Npy(version, header, numbers));
      const auto found = ReadNpy(file);
      ASSERT_TRUE(found) << found.error().message;
      ExpectSame(MatrixView(numbers.data(), ScalarType::kUint8, 2, 3), *found);
    }
  }
}

TEST(NpyFile, WhatIsWrittenIsLaidOutAsNumPyDoes) {
  TempFolder folder;
  const auto file = folder / "x.npy";
  ASSERT_TRUE(WriteNpy(file, MakeMatrix(ScalarType::kFloat32, 2, 3)));
  const std::string bytes = ReadBytes(file);
  EXPECT_EQ(bytes.size(), 128u + 24u);
  EXPECT_EQ(bytes.substr(0, 10), std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  EXPECT_THAT(bytes, HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } "));
  EXPECT_EQ(bytes[127], '\n');
}

TEST(NpyFile, HeadersThatAreWrongAreNamed) {
  TempFolder folder;
  const auto file = folder / "x.npy";
  const auto with = [](const std::string& descr, const std::string& order,
                       const std::string& shape) {
    return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  };
  const std::vector<std::tuple<std::string, ErrorCode, std::string>> cases = {
      {with("'<f8'", "False", "(2, 3)"), ErrorCode::kUnsupported,
       "descr: expected '<f4', '<f2', '|i1' or '|u1', found '<f8'"},
      {with("'>f4'", "False", "(2, 3)"), ErrorCode::kUnsupported, "found '>f4'"},
      {with("[('x', '<f4')]", "False", "(2, 3)"), ErrorCode::kCorrupt, "a string as 'descr'"},
      {with("'|u1\n'", "False", "(2, 3)"), ErrorCode::kCorrupt, "a string as 'descr'"},
      {with("'|u1'", "True", "(2, 3)"), ErrorCode::kUnsupported,
       "fortran_order: expected False, found True"},
      {with("'|u1'", "Maybe", "(2, 3)"), ErrorCode::kCorrupt, "found 'Maybe, 'shape': '"},
      {with("'|u1'", "False", "(6,)"), ErrorCode::kUnsupported, "found (6,)"},
      {with("'|u1'", "False", "()"), ErrorCode::kUnsupported, "found ()"},
      {with("'|u1'", "False", "(1, 2, 3)"), ErrorCode::kUnsupported, "found (1, 2, 3)"},
      {with("'|u1'", "False", "(0, 3)"), ErrorCode::kCorrupt, "found (0, 3)"},
      {with("'|u1'", "False", "(-2, 3)"), ErrorCode::kCorrupt, "found '-2, 3), }'"},
      {with("'|u1'", "False", "(2, 3"), ErrorCode::kCorrupt, "in the shape"},
      {with("'|u1'", "False", "(2 3)"), ErrorCode::kCorrupt, "in the shape"},
      {with("'|u1'", "False", "(99999999999999999999, 3)"), ErrorCode::kCorrupt, "in the shape"},
      {with("'|u1'", "False", "(18446744073709551615, 18446744073709551615)"), ErrorCode::kCorrupt,
       "found (18446744073709551615, 18446744073709551615)"},
      {with("'|u1'", "False", "(2147483647, 32768)"), ErrorCode::kCorrupt, "size: expected"},
      {with("'|u1'", "False", "(2, 3)") + "x", ErrorCode::kCorrupt, "nothing behind '}'"},
      {"{'descr': '|u1', 'shape': (2, 3)}", ErrorCode::kCorrupt, "the key 'fortran_order'"},
      {"{'descr': '|u1', 'descr': '|u1'}", ErrorCode::kCorrupt, "found 'descr'"},
      {"{'colour': 'red'}", ErrorCode::kCorrupt, "found 'colour'"},
      {"{'descr' '|u1'}", ErrorCode::kCorrupt, "expected ':'"},
      {"{'descr", ErrorCode::kCorrupt, "a key or '}'"},
      {"[]", ErrorCode::kCorrupt, "expected '{', found '[]'"}};
  for (const auto& [header, code, text] : cases) {
    WriteBytes(file, Npy(1, header, "abcdef"));
    ExpectError(ReadNpy(file), code, file, text);
  }
}

TEST(NpyFile, MagicVersionAndHeaderLengthAreChecked) {
  TempFolder folder;
  const auto file = folder / "x.npy";
  WriteBytes(file, std::string(200, 'x'));
  ExpectError(ReadNpy(file), ErrorCode::kCorrupt, file, "magic: expected \\x93NUMPY");
  WriteBytes(file, Npy(4, "{}", ""));
  ExpectError(ReadNpy(file), ErrorCode::kUnsupported, file,
              "version: expected 1.0, 2.0 or 3.0, found 4.0");
  std::string huge = Npy(2, "{}", "");
  std::memset(huge.data() + 8, 0xff, 4);
  WriteBytes(file, huge);
  ExpectError(ReadNpy(file), ErrorCode::kCorrupt, file,
              "header length: expected 2 to 65536, found 4294967295");
}

TruthSet MakeTruth() {
  TruthSet truth;
  truth.queries = 2;
  truth.k = 3;
  truth.ids = {4, 5, 6, 7, 8, TruthSet::kNoNeighbor};
  truth.distances = {0.5f, 1.0f, 2.0f, -1.0f, 3.0f, std::numeric_limits<float>::infinity()};
  truth.counts = {3, 2};
  return truth;
}

TEST(TruthSetFile, RoundTripsWithAndWithoutDistancesAndFindsTheCounts) {
  TempFolder folder;
  const auto file = folder / "gt";
  TruthSet truth = MakeTruth();
  for (const size_t bytes : {8 + 6 * 8, 8 + 6 * 4}) {
    ASSERT_TRUE(WriteTruthSet(file, truth));
    EXPECT_EQ(std::filesystem::file_size(file), bytes);
    const auto found = ReadTruthSet(file);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->queries, 2u);
    EXPECT_EQ(found->k, 3u);
    EXPECT_EQ(found->ids, truth.ids);
    EXPECT_EQ(found->distances, truth.distances);
    EXPECT_EQ(found->counts, truth.counts);
    truth.distances.clear();
  }
}

TEST(TruthSetFile, FullRowsNeedNoCounts) {
  TempFolder folder;
  TruthSet truth = MakeTruth();
  truth.ids[5] = 9;
  ASSERT_TRUE(WriteTruthSet(folder / "gt", truth));
  const auto found = ReadTruthSet(folder / "gt");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->counts.empty());
}

TEST(TruthSetFile, EveryTruncationButTheIdsOnlyVariantIsAnError) {
  TempFolder folder;
  const auto file = folder / "gt";
  ASSERT_TRUE(WriteTruthSet(file, MakeTruth()));
  const std::string whole = ReadBytes(file);
  for (size_t length = 0; length < whole.size(); ++length) {
    WriteBytes(file, whole.substr(0, length));
    const auto found = ReadTruthSet(file);
    ASSERT_EQ(found.has_value(), length == 8 + 6 * 4) << length;
    if (!found) ExpectError(found, ErrorCode::kCorrupt, file, "size: expected");
  }
  WriteBytes(file, whole + "x");
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file, "found 57 bytes");
}

TEST(TruthSetFile, BadHeadersIdsAndDistancesAreNamed) {
  TempFolder folder;
  const auto file = folder / "gt";
  WriteBytes(file, Int32s({-1, 3}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file, "queries: expected 1 to 2147483647");
  WriteBytes(file, Int32s({1, 0}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "k: expected 1 to 2147483647, found 0");
  // 2^30 x 2^31 entries of 8 bytes wrap around to nothing in 64 bits.
  WriteBytes(file, Int32s({0x40000000, 0x7fffffff}));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file, "found 8 bytes");
  TruthSet truth = MakeTruth();
  truth.distances[4] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_TRUE(WriteTruthSet(file, truth));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "distance 1 of query 1: expected a number, found NaN");
  truth = MakeTruth();
  truth.ids[1] = TruthSet::kNoNeighbor;
  ASSERT_TRUE(WriteTruthSet(file, truth));
  ExpectError(ReadTruthSet(file), ErrorCode::kCorrupt, file,
              "id 2 of query 0: expected none, as at 1, found 6");
}

TEST(TruthSetFile, RaggedTruthIsNotWritten) {
  TempFolder folder;
  const auto file = folder / "gt";
  TruthSet truth = MakeTruth();
  truth.ids.pop_back();
  ExpectError(WriteTruthSet(file, truth), ErrorCode::kInvalidArgument, file,
              "expected 6 ids and as many distances or none, found 5 ids and 6 distances");
  ExpectError(WriteTruthSet(file, TruthSet{}), ErrorCode::kInvalidArgument, file,
              "found 0 queries, k = 0");
  EXPECT_EQ(folder.Entries(), 0u);
}

}  // namespace
}  // namespace shoal
