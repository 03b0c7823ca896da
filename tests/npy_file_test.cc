// NumPy's files: every header that can be written or wrong, and every order and type of the
// numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "shoal/dataset.h"
#include "tests/byte_source.h"
#include "tests/dataset_helpers.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using testing::HasSubstr;

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
      {with("'<i8'", "False", "(2, 3)"), ErrorCode::kUnsupported,
       "descr: expected '<f8', '<f4', '<f2', '|i1' or '|u1', found '<i8'"},
      {with("'>f8'", "False", "(2, 3)"), ErrorCode::kUnsupported, "found '>f8'"},
      {with("'>f4'", "False", "(2, 3)"), ErrorCode::kUnsupported, "found '>f4'"},
      {with("[('x', '<f4')]", "False", "(2, 3)"), ErrorCode::kCorrupt, "a string as 'descr'"},
      {with("'|u1\n'", "False", "(2, 3)"), ErrorCode::kCorrupt, "a string as 'descr'"},
      {with("'<f8'", "True", "(2, 3)"), ErrorCode::kCorrupt,
       "header of 68, 2 x 3 of '<f8'), found 74 bytes"},
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

// The numbers of `rows` as a file may hold them: as `From`, row by row or column by column.
template <class To, class From>
std::string Laid(MatrixView rows, const std::string& descr, const std::string& fortran_order) {
  std::string numbers(rows.rows() * rows.dim() * sizeof(From), '\0');
  for (size_t r = 0; r < rows.rows(); ++r) {
    for (size_t c = 0; c < rows.dim(); ++c) {
      To number;
      std::memcpy(&number, rows.data() + r * rows.row_bytes() + c * sizeof(To), sizeof(To));
      const From stored = number;
      const size_t at = fortran_order == "True" ? c * rows.rows() + r : r * rows.dim() + c;
      std::memcpy(numbers.data() + at * sizeof(From), &stored, sizeof(From));
    }
  }
  return Npy(1,
             "{'descr': '" + descr + "', 'fortran_order': " + fortran_order + ", 'shape': (" +
                 std::to_string(rows.rows()) + ", " + std::to_string(rows.dim()) + ")}",
             numbers);
}

TEST(NpyFile, Float64AndColumnMajorAreReadAsTheSameMatrix) {
  TempFolder folder;
  const auto file = folder / "x.npy";
  // One tile and many, whole ones and cut ones, in both directions.
  for (const auto& [rows, dim] :
       {std::pair<size_t, size_t>{1, 1}, {7, 3}, {4097, 300}, {9000, 128}, {3, kMaxDim}}) {
    const Matrix floats = MakeMatrix(ScalarType::kFloat32, rows, dim);
    const Matrix halves = MakeMatrix(ScalarType::kFloat16, rows, dim);
    const Matrix bytes = MakeMatrix(ScalarType::kUint8, rows, dim);
    const std::pair<MatrixView, std::string> cases[] = {
        {floats, Laid<float, double>(floats, "<f8", "False")},
        {floats, Laid<float, double>(floats, "<f8", "True")},
        {floats, Laid<float, float>(floats, "<f4", "True")},
        {halves, Laid<uint16_t, uint16_t>(halves, "<f2", "True")},
        {bytes, Laid<uint8_t, uint8_t>(bytes, "|u1", "True")}};
    const size_t middle = rows / 3;
    for (const auto& [expected, content] : cases) {
      WriteBytes(file, content);
      const auto found = ReadNpy(file, {.require_finite = false});
      ASSERT_TRUE(found) << found.error().message;
      ExpectSame(expected, *found);
      const auto part =
          ReadNpy(file, {.first_row = middle, .max_rows = middle + 1, .require_finite = false});
      ASSERT_TRUE(part) << part.error().message;
      ExpectSame(expected.Slice(middle, middle + 1), *part);
    }
  }
}

TEST(NpyFile, AFloat64ThatFloat32CannotHoldIsNamed) {
  TempFolder folder;
  const auto file = folder / "x.npy";
  const Matrix rows = MakeMatrix(ScalarType::kFloat32, 5000, 130);
  for (const char* order : {"False", "True"}) {
    std::string content = Laid<float, double>(rows, "<f8", order);
    const size_t numbers = content.size() - 5000 * 130 * sizeof(double);
    const size_t at = order == std::string("True") ? 129 * 5000 + 4321 : 4321 * 130 + 129;
    const auto put = [&](double number) {
      std::memcpy(content.data() + numbers + at * sizeof(double), &number, sizeof(double));
      WriteBytes(file, content);
    };
    for (const double number : {1e300, -3.5e38}) {
      put(number);
      const ReadOptions any = {.require_finite = false};
      ExpectError(ReadNpy(file, any), ErrorCode::kCorrupt, file,
                  number > 0 ? "row 4321, column 129: expected a number that float32 holds, up to "
                               "3.4028235e38, found 1e+300"
                             : "found -3.5e+38");
      ExpectError(ReadNpy(file, {.first_row = 4000}), ErrorCode::kCorrupt, file,
                  "row 4321, column 129");
      EXPECT_TRUE(ReadNpy(file, {.max_rows = 4321}));
    }
    put(std::numeric_limits<double>::infinity());
    ExpectError(ReadNpy(file), ErrorCode::kCorrupt, file,
                "row 4321, column 129: expected a finite number, found infinity");
    EXPECT_TRUE(ReadNpy(file, {.require_finite = false}));
    put(double{std::numeric_limits<float>::max()});
    EXPECT_TRUE(ReadNpy(file));
  }
}

TEST(NpyFile, IdsOfEveryWidthComeBackAndNegativeOnesAreNamed) {
  TempFolder folder;
  const auto file = folder / "ids.npy";
  const std::vector<uint64_t> ids = {0, 7, uint64_t{1} << 63, UINT64_MAX};
  for (const size_t columns : {size_t{0}, size_t{2}}) {
    ASSERT_TRUE(WriteIdNpy(file, ids, columns));
    EXPECT_THAT(ReadBytes(file),
                HasSubstr(columns == 0 ? "'<u8', 'fortran_order': False, 'shape': (4,)"
                                       : "'shape': (2, 2)"));
    const auto read = ReadIdNpy(file);
    const std::string bytes = ReadBytes(file);
    const auto stream = ReadIdNpy(Giving(std::as_bytes(std::span(bytes)), 50));
    EXPECT_EQ(stream.has_value(), read.has_value());
    if (columns == 0) {
      EXPECT_EQ(*read, ids);
      EXPECT_EQ(*stream, ids);
    } else {
      ExpectError(read, ErrorCode::kUnsupported, file, "shape: expected (ids,), found (2, 2)");
    }
  }
  const auto put = [&](const char* descr, auto... numbers) {
    std::string data;
    (data.append(reinterpret_cast<const char*>(&numbers), sizeof(numbers)), ...);
    WriteBytes(file, Npy(1,
                         std::string("{'descr': '") + descr + "', 'fortran_order': False, " +
                             "'shape': (" + std::to_string(sizeof...(numbers)) + ",)}",
                         data));
  };
  put("<u4", 3u, UINT32_MAX);
  EXPECT_EQ(*ReadIdNpy(file), (std::vector<uint64_t>{3, UINT32_MAX}));
  put("<i4", 3, 4, 5);
  EXPECT_EQ(*ReadIdNpy(file), (std::vector<uint64_t>{3, 4, 5}));
  put("<i4", 3, -4, 5);
  ExpectError(ReadIdNpy(file), ErrorCode::kCorrupt, file,
              "row 1: expected an id of 0 or more, found -4");
  put("<i8", int64_t{3}, int64_t{-1});
  ExpectError(ReadIdNpy(file), ErrorCode::kCorrupt, file,
              "row 1: expected an id of 0 or more, found -1");
  put("<f4", 1.0f);
  ExpectError(ReadIdNpy(file), ErrorCode::kUnsupported, file, "descr: expected '<u8'");
  WriteBytes(file, ReadBytes(file).substr(0, 70));
  EXPECT_FALSE(ReadIdNpy(file));
  EXPECT_EQ(WriteIdNpy(file, ids, 3).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
