// What the tests of the dataset files share: matrices to write, and errors to expect.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "shoal/dataset.h"
#include "shoal/result.h"

namespace shoal {

// Fails with `code` and a message of one line that begins with the file's name and holds `text`.
template <class T>
void ExpectError(const Result<T>& result, ErrorCode code, const std::filesystem::path& file,
                 std::string_view text) {
  ASSERT_FALSE(result.has_value()) << "expected: " << text;
  EXPECT_EQ(ErrorCodeName(result.error().code), ErrorCodeName(code)) << result.error().message;
  EXPECT_THAT(result.error().message,
              testing::AllOf(testing::StartsWith(file.string() + ": "), testing::HasSubstr(text),
                             testing::Not(testing::HasSubstr("\n"))));
}

// rows x dim elements that differ from each other, as far as the type can tell them apart.
inline Matrix MakeMatrix(ScalarType type, size_t rows, size_t dim) {
  Matrix matrix = *Matrix::Create(type, rows, dim);
  for (size_t i = 0; i < rows * dim; ++i) {
    std::byte* out = matrix.data() + BytesOf(type, i);
    const float value = static_cast<float>(i) * 0.5f - 3.0f;
    const Half half = FloatToHalf(value);
    if (type == ScalarType::kFloat32) std::memcpy(out, &value, sizeof(value));
    if (type == ScalarType::kFloat16) std::memcpy(out, &half, sizeof(half));
    if (BytesOf(type, 1) == 1) *out = static_cast<std::byte>(i * 37 + 11);
  }
  return matrix;
}

inline void ExpectSame(MatrixView a, MatrixView b) {
  ASSERT_EQ(a.type(), b.type());
  ASSERT_EQ(a.rows(), b.rows());
  ASSERT_EQ(a.dim(), b.dim());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.rows() * a.row_bytes()), 0);
}

}  // namespace shoal
