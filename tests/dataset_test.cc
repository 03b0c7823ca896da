// Dataset files: what is written is read back, and every way in which a file can be wrong is one
// line that names the file, the field, what was expected and what was found.
#include "shoal/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <limits>

#include "tests/byte_source.h"
#include "tests/dataset_helpers.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// One way to keep a matrix in a file.
struct Format {
  std::string name;
  ScalarType type;
  std::function<Status(const std::filesystem::path&, MatrixView)> write;
  std::function<Result<Matrix>(const std::filesystem::path&, ScalarType, const ReadOptions&)> read;
  std::function<Result<Matrix>(const ByteSource&, ScalarType, const ReadOptions&)> read_stream;
};

void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

std::vector<Format> AllFormats() {
  std::vector<Format> formats;
  // Of both overloads.
  const auto bin = [](const auto& from, ScalarType type, const ReadOptions& options) {
    return ReadBin(from, type, options);
  };
  const auto npy = [](const auto& from, ScalarType, const ReadOptions& options) {
    return ReadNpy(from, options);
  };
  const auto vecs = [](const auto& from, ScalarType type, const ReadOptions& options) {
    return ReadVecs(from, type, options);
  };
  for (ScalarType type :
       {ScalarType::kFloat32, ScalarType::kFloat16, ScalarType::kInt8, ScalarType::kUint8}) {
    const std::string name(ScalarTypeName(type));
    formats.push_back({"bin_" + name, type, WriteBin, bin, bin});
    formats.push_back({"npy_" + name, type, WriteNpy, npy, npy});
    if (type != ScalarType::kFloat16)
      formats.push_back({"vecs_" + name, type, WriteVecs, vecs, vecs});
  }
  return formats;
}

class EveryFormat : public testing::TestWithParam<Format> {
 protected:
  TempFolder folder_;
  std::filesystem::path file_ = folder_ / "vectors";
};

TEST_P(EveryFormat, WhatIsWrittenIsReadBack) {
  const Format& format = GetParam();
  for (auto [rows, dim] : {std::pair<size_t, size_t>{1, 1}, {7, 3}, {100, 128}, {3, kMaxDim}}) {
    const Matrix matrix = MakeMatrix(format.type, rows, dim);
    ASSERT_TRUE(format.write(file_, matrix)) << rows << " x " << dim;
    const auto found = format.read(file_, format.type, {.require_finite = false});
    ASSERT_TRUE(found) << found.error().message;
    ExpectSame(matrix, *found);
  }
  EXPECT_EQ(folder_.Entries(), 1u);
}

TEST_P(EveryFormat, RowsOfTheMiddleAreThoseOfTheWhole) {
  const Format& format = GetParam();
  const Matrix matrix = MakeMatrix(format.type, 50, 5);
  ASSERT_TRUE(format.write(file_, matrix));
  const auto middle = format.read(file_, format.type, {.first_row = 20, .max_rows = 7});
  ASSERT_TRUE(middle) << middle.error().message;
  ExpectSame(matrix.view().Slice(20, 7), *middle);
  const auto tail = format.read(file_, format.type, {.first_row = 45, .max_rows = 100});
  ASSERT_TRUE(tail) << tail.error().message;
  ExpectSame(matrix.view().Slice(45, 5), *tail);
  ExpectError(format.read(file_, format.type, {.first_row = 50}), ErrorCode::kInvalidArgument,
              file_, "expected less than the file's 50 rows, found 50");
  ExpectError(format.read(file_, format.type, {.max_rows = 0}), ErrorCode::kInvalidArgument, file_,
              "at least 1");
}

TEST_P(EveryFormat, EveryTruncationIsAnErrorOrWholeRows) {
  const Format& format = GetParam();
  ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 5, 3)));
  const std::string whole = ReadBytes(file_);
  const size_t vecs_row = 4 + BytesOf(format.type, 3);
  const bool vecs = format.name.starts_with("vecs");
  for (size_t length = 0; length < whole.size(); ++length) {
    WriteBytes(file_, whole.substr(0, length));
    const auto found = format.read(file_, format.type, {});
    // Only .fvecs and .bvecs do not say how many rows there are.
    const bool whole_rows = vecs && length > 0 && length % vecs_row == 0;
    ASSERT_EQ(found.has_value(), whole_rows) << "cut at " << length;
    if (found) {
      EXPECT_EQ(found->rows(), length / vecs_row);
    } else {
      ExpectError(found, ErrorCode::kCorrupt, file_, "expected");
    }
  }
}

TEST_P(EveryFormat, EveryChangedByteIsAnErrorOrAMatrixOfTheFilesSize) {
  const Format& format = GetParam();
  ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 5, 3)));
  const std::string whole = ReadBytes(file_);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff, whole[at] ^ 0x10}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(value);
      WriteBytes(file_, bytes);
      const auto found = format.read(file_, format.type, {});
      if (found) {
        EXPECT_LE(found->rows() * found->row_bytes(), whole.size());
      } else {
        EXPECT_THAT(found.error().message, StartsWith(file_.string() + ": "));
      }
    }
  }
}

TEST_P(EveryFormat, AStreamGivesWhatAFileOfItsBytesGives) {
  const Format& format = GetParam();
  ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 300, 1001)));
  const std::string large = ReadBytes(file_);
  ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 5, 3)));
  const std::string small = ReadBytes(file_);
  std::vector<std::string> contents = {large, large + "x", small, ""};
  for (size_t length = 1; length < small.size(); length += 7)
    contents.push_back(small.substr(0, length));
  for (const std::string& content : contents) {
    WriteBytes(file_, content);
    for (const ReadOptions& options : {ReadOptions{.require_finite = false},
                                       {.first_row = 3, .max_rows = 200, .require_finite = false}})
      for (const size_t most : {SIZE_MAX, size_t{999}}) {
        const auto file = format.read(file_, format.type, options);
        const auto stream = format.read_stream(Giving(std::as_bytes(std::span(content)), most),
                                               format.type, options);
        ASSERT_EQ(stream.has_value(), file.has_value()) << content.size();
        if (file) {
          ExpectSame(*file, *stream);
          continue;
        }
        EXPECT_EQ(stream.error().code, file.error().code);
        EXPECT_EQ("stream" + file.error().message.substr(file_.string().size()),
                  stream.error().message);
      }
  }
}

TEST_P(EveryFormat, AnErrorOfTheSourceIsThatOfTheCall) {
  const Format& format = GetParam();
  ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 5, 3)));
  const ByteSource cut = [](std::span<std::byte>) -> Result<size_t> {
    return MakeError(ErrorCode::kIo, "the line is cut");
  };
  EXPECT_EQ(format.read_stream(cut, format.type, {}).error().message, "the line is cut");
  const ByteSource greedy = [](std::span<std::byte> out) -> Result<size_t> {
    return out.size() + 1;
  };
  EXPECT_EQ(format.read_stream(greedy, format.type, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST_P(EveryFormat, TrailingBytesAreRefused) {
  const Format& format = GetParam();
  ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 5, 3)));
  WriteBytes(file_, ReadBytes(file_) + "x");
  ExpectError(format.read(file_, format.type, {}), ErrorCode::kCorrupt, file_, "size: expected");
}

TEST_P(EveryFormat, MissingFilesFoldersPipesAndEmptyFilesAreNamed) {
  const Format& format = GetParam();
  ExpectError(format.read(file_, format.type, {}), ErrorCode::kFileNotFound, file_,
              "No such file or directory");
  ExpectError(format.read(folder_ / "", format.type, {}), ErrorCode::kIo, folder_ / "",
              "expected a regular file, found a directory");
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  ExpectError(format.read(folder_ / "pipe", format.type, {}), ErrorCode::kIo, folder_ / "pipe",
              "expected a regular file, found a pipe");
  WriteBytes(file_, "");
  ExpectError(format.read(file_, format.type, {}), ErrorCode::kCorrupt, file_, "expected");
}

TEST_P(EveryFormat, NonFiniteNumbersAreNamedByRowAndColumn) {
  const Format& format = GetParam();
  if (BytesOf(format.type, 1) == 1) {
    // Integers are always finite: every byte value passes.
    ASSERT_TRUE(format.write(file_, MakeMatrix(format.type, 64, 8)));
    EXPECT_TRUE(format.read(file_, format.type, {}));
    return;
  }
  const bool half = format.type == ScalarType::kFloat16;
  const std::vector<std::pair<uint32_t, std::string>> bad = {
      {half ? 0x7e00u : 0x7fc00000u, "NaN"},
      {half ? 0x7c00u : 0x7f800000u, "infinity"},
      {half ? 0xfc00u : 0xff800000u, "-infinity"}};
  for (const auto& [bits, name] : bad) {
    Matrix matrix = MakeMatrix(format.type, 2000, 9);  // The search goes block by block.
    std::memcpy(matrix.data() + 1234 * matrix.row_bytes() + BytesOf(format.type, 5), &bits,
                BytesOf(format.type, 1));
    ASSERT_TRUE(format.write(file_, matrix));
    ExpectError(format.read(file_, format.type, {}), ErrorCode::kCorrupt, file_,
                "row 1234, column 5: expected a finite number, found " + name);
    ExpectError(format.read(file_, format.type, {.first_row = 1000}), ErrorCode::kCorrupt, file_,
                "row 1234, column 5");
    EXPECT_TRUE(format.read(file_, format.type, {.require_finite = false}));
    EXPECT_TRUE(format.read(file_, format.type, {.max_rows = 1234}));
  }
}

TEST_P(EveryFormat, NothingIsWrittenWhereNothingCanBe) {
  const Format& format = GetParam();
  const Matrix matrix = MakeMatrix(format.type, 5, 3);
  const auto missing = folder_ / "no/such/folder";
  ExpectError(format.write(missing, matrix), ErrorCode::kFileNotFound, missing,
              "cannot create the file");
  ExpectError(format.write(folder_ / "", matrix), ErrorCode::kIo, folder_ / "", "a directory");
  ExpectError(format.write("/dev/null", matrix), ErrorCode::kIo, "/dev/null",
              "expected a regular file or nothing, found a device");
  EXPECT_EQ(folder_.Entries(), 0u);
}

TEST_P(EveryFormat, EmptyAndOversizedMatricesAreNotWritten) {
  const Format& format = GetParam();
  ExpectError(format.write(file_, MatrixView(nullptr, format.type, 0, 3)),
              ErrorCode::kInvalidArgument, file_,
              "rows to write: expected 1 to 2147483647, found 0");
  ExpectError(format.write(file_, MatrixView(nullptr, format.type, size_t{1} << 31, 3)),
              ErrorCode::kInvalidArgument, file_, "found 2147483648");
  ExpectError(format.write(file_, MatrixView(nullptr, format.type, 3, 0)),
              ErrorCode::kInvalidArgument, file_,
              "dimension to write: expected 1 to 32768, found 0");
  ExpectError(format.write(file_, MatrixView(nullptr, format.type, 3, kMaxDim + 1)),
              ErrorCode::kInvalidArgument, file_, "found 32769");
  EXPECT_EQ(folder_.Entries(), 0u);
}

// RLIMIT_FSIZE stands for a full disk: the write fails in the middle of the file.
TEST_P(EveryFormat, AFailedWriteLeavesTheOldFileAndNoOther) {
  const Format& format = GetParam();
  const Matrix old = MakeMatrix(format.type, 5, 3);
  ASSERT_TRUE(format.write(file_, old));
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight = {.rlim_cur = 200000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Status written = format.write(file_, MakeMatrix(format.type, 5000, 128));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ExpectError(written, ErrorCode::kIo, file_, "cannot write: File too large");
  EXPECT_EQ(folder_.Entries(), 1u);
  const auto found = format.read(file_, format.type, {});
  ASSERT_TRUE(found) << found.error().message;
  ExpectSame(old, *found);
}

INSTANTIATE_TEST_SUITE_P(Dataset, EveryFormat, testing::ValuesIn(AllFormats()),
                         [](const auto& suite) { return suite.param.name; });

TEST(Matrix, IsZeroAlignedAndCountsItsBytes) {
  const Matrix matrix = *Matrix::Create(ScalarType::kFloat16, 3, 5);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix.data()) % 64, 0u);
  EXPECT_EQ(matrix.row_bytes(), 10u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(matrix.data()), 30), std::string(30, '\0'));
  EXPECT_EQ(Matrix::Create(ScalarType::kInt8, 0, 5)->rows(), 0u);
}

TEST(Matrix, TooLargeIsOutOfMemoryAlsoWhereTheProductOverflows) {
  for (auto [rows, dim] : {std::pair<size_t, size_t>{SIZE_MAX, 2},
                           {SIZE_MAX / 4, 1},
                           {SIZE_MAX / 4 - 5, 1},
                           {size_t{1} << 40, size_t{1} << 20}}) {
    const auto matrix = Matrix::Create(ScalarType::kFloat32, rows, dim);
    ASSERT_FALSE(matrix);
    EXPECT_EQ(matrix.error().code, ErrorCode::kOutOfMemory);
    EXPECT_THAT(matrix.error().message, HasSubstr("float32 does not fit into memory"));
  }
}

}  // namespace
}  // namespace shoal
