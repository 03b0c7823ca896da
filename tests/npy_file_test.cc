// NumPy's files: every header that can be written or wrong, and every order and type of the
// numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "shoal/dataset.h"
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

}  // namespace
}  // namespace shoal
