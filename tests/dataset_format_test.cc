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
#include "shoal/diskann_files.h"
#include "shoal/index.h"
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
      {Int32s({0, 4}), "rows: expected 1 to 4294967295, found 0"},
      {Int32s({-1, 4}), "size: expected 68719476728 bytes (8 + 4294967295 rows x 4 x 4 bytes"},
      {Int32s({4, 0}), "dimension: expected 1 to 32768, found 0"},
      {Int32s({4, -128}), "dimension: expected 1 to 32768, found 4294967168"},
      {Int32s({4, 0, 3, 0}),
       "size: expected 64 bytes (16 + 4 rows x 3 x 4 bytes of float32), found 16"},
      {Int32s({4, 0, 0, 0}), "dimension: expected 1 to 32768, found 0"},
      {Int32s({4, 0, 3, 1}), "dimension: expected 1 to 32768, found 0"},
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

TEST(Bin, AHeaderOfTwo64BitNumbersIsReadLikeOneOfTwo32BitNumbers) {
  TempFolder folder;
  const auto file = folder / "x.bin";
  for (const ScalarType type : {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kUint8}) {
    const Matrix rows = MakeMatrix(type, 10, 4);
    ASSERT_TRUE(WriteBin(file, rows));
    WriteBytes(file, Int32s({10, 0, 4, 0}) + ReadBytes(file).substr(8));
    const auto found = ReadBin(file, type);
    ASSERT_TRUE(found) << found.error().message;
    ExpectSame(rows, *found);
    const auto middle = ReadBin(file, type, {.first_row = 3, .max_rows = 5});
    ASSERT_TRUE(middle) << middle.error().message;
    ExpectSame(rows.view().Slice(3, 5), *middle);
    EXPECT_EQ(ReadBinShape(file, type)->rows, 10u);
  }
  ExpectError(ReadBin(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file,
              "found 56 bytes, the size of uint8 or int8");
  WriteBytes(file, Int32s({3, 0, 1, 0, 7, 8, 9}));
  EXPECT_EQ(ReadIdBin(file).value(), (std::vector<uint32_t>{7, 8, 9}));
}

TEST(Bin, RowsAreCountedBeyond31Bits) {
  TempFolder folder;
  const auto file = folder / "x.u8bin";
  const uint64_t rows = (uint64_t{1} << 31) + 5;
  for (const std::string& header : {Int32s({INT32_MIN + 5, 1}), Int32s({INT32_MIN + 5, 0, 1, 0})}) {
    WriteBytes(file, header);
    std::filesystem::resize_file(file, header.size() + rows);  // A hole, no bytes on the disk.
    const auto shape = ReadBinShape(file, ScalarType::kUint8);
    ASSERT_TRUE(shape) << shape.error().message;
    EXPECT_EQ(shape->rows, rows);
    const auto last = ReadBin(file, ScalarType::kUint8, {.first_row = rows - 2});
    ASSERT_TRUE(last) << last.error().message;
    EXPECT_EQ(last->rows(), 2u);
  }
}

TEST(Bin, AFileOfAnotherFormatIsNamedWithWhatToDo) {
  TempFolder folder;
  const auto file = folder / "x.bin";
  const Matrix rows = MakeMatrix(ScalarType::kFloat32, 100, 128);
  const auto expect = [&](const std::string& text) {
    for (const ScalarType type : {ScalarType::kFloat32, ScalarType::kUint8}) {
      ExpectError(ReadBin(file, type), ErrorCode::kCorrupt, file, text);
      ExpectError(ReadBinShape(file, type), ErrorCode::kCorrupt, file, text);
    }
    ExpectError(ReadIdBin(file), ErrorCode::kCorrupt, file, text);
  };
  ASSERT_TRUE(WriteNpy(file, rows));
  expect(
      "format: expected a .bin (uint32 rows, uint32 dimension, then the numbers of each row), "
      "found NumPy's .npy (npy_to_bin makes a .bin of it)");
  ASSERT_TRUE(WriteVecs(file, rows));
  expect("found .fvecs or .ivecs, rows of 128 (fvecs_to_bin float makes a .bin of .fvecs)");
  ASSERT_TRUE(WriteVecs(file, MakeMatrix(ScalarType::kUint8, 100, 128)));
  expect("found .bvecs, rows of 128 (bvecs_to_bin makes a .bin of it)");
  ASSERT_TRUE(WriteIvecs(file, std::vector<uint32_t>(1000), 100));
  expect("found .fvecs or .ivecs, rows of 100");
  WriteBytes(file, "\x89HDF\r\n\x1a\n" + std::string(1000, '\0'));
  expect("found HDF5 (the jobs of shoal-bench read it)");
  WriteBytes(file, "\x1f\x8b\x08" + std::string(1000, '\0'));
  expect("found gzip (gunzip unpacks it)");
  auto index = Index::Create({.dim = 128});
  ASSERT_TRUE(index);
  ASSERT_TRUE(index->Insert(1, rows[0]));
  ASSERT_TRUE(index->Save(file));
  expect("found a snapshot of a shoal index (Index::Load and snapshot_info read it)");
  ASSERT_TRUE(SaveDiskann(*index, file));
  expect(
      "found the graph of a DiskANN index (its vectors are in the file of this name with "
      ".data)");
}

TEST(Bin, RowsThatDoNotAllBeginWithADimensionAreNoVecs) {
  TempFolder folder;
  const auto file = folder / "x.bin";
  ASSERT_TRUE(WriteVecs(file, MakeMatrix(ScalarType::kFloat32, 64, 128)));
  std::string bytes = ReadBytes(file);
  bytes[63 * 516] = 127;
  WriteBytes(file, bytes);
  ExpectError(ReadBin(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file,
              "dimension: expected");
  WriteBytes(file, bytes.substr(0, 516));
  ExpectError(ReadBin(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file,
              "dimension: expected");
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
  ExpectError(ReadIdBin(file), ErrorCode::kCorrupt, file,
              "rows: expected 1 to 2147483647, found 4294967293");
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

TEST(Vecs, AFileOfAnotherFormatIsNamed) {
  TempFolder folder;
  const auto file = folder / "x.fvecs";
  ASSERT_TRUE(WriteVecs(file, MakeMatrix(ScalarType::kUint8, 100, 128)));
  ExpectError(ReadVecs(file, ScalarType::kFloat32), ErrorCode::kCorrupt, file,
              "format: expected .fvecs or .ivecs, found .bvecs, rows of 128");
  ASSERT_TRUE(WriteVecs(file, MakeMatrix(ScalarType::kFloat32, 100, 128)));
  ExpectError(ReadVecs(file, ScalarType::kUint8), ErrorCode::kCorrupt, file,
              "format: expected .bvecs, found .fvecs or .ivecs, rows of 128");
  ExpectError(ReadNpy(file), ErrorCode::kCorrupt, file,
              "magic: expected \\x93NUMPY, found .fvecs or .ivecs, rows of 128");
  ASSERT_TRUE(WriteNpy(file, MakeMatrix(ScalarType::kFloat32, 100, 128)));
  ExpectError(ReadIvecs(file), ErrorCode::kCorrupt, file, "found NumPy's .npy");
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

}  // namespace
}  // namespace shoal
