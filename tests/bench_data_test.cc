// Rows for jobs: our own integer set is the same bytes everywhere; other files convert without
// loss.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "dataset_helpers.h"
#include "jobs/data.h"
#include "jobs/extended_set.h"
#include "jobs/integer_set.h"
#include "jobs/zero_vectors.h"
#include "temp_folder.h"

namespace shoal::bench {
namespace {

using ::testing::HasSubstr;

uint32_t ChecksumOf(const Matrix& rows) {
  return Crc32c(rows.data(), rows.rows() * rows.row_bytes());
}

TEST(IntegerSetTest, TheSetIsTheSameBytesEverywhere) {
  const auto set = MakeIntegerSet(ScalarType::kInt8, {});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->rows.rows(), 10000u);
  EXPECT_EQ(set->queries.rows(), 100u);
  EXPECT_EQ(ChecksumOf(set->rows), 265919387u);
  EXPECT_EQ(ChecksumOf(set->queries), 40511084u);
}

TEST(ExtendedSetTest, KeepsTheRowsAndAddsOthersOfLengthOne) {
  const TempFolder folder;
  const std::vector<float> rows = {1, 0, 0, 2, 3, 4};
  const std::string path = folder / "rows.fbin";
  ASSERT_TRUE(WriteBin(path, MatrixView(std::span(rows), 2)));
  const auto set = ExtendSet({.from = path, .queries_from = path, .rows = 50});
  ASSERT_TRUE(set);
  ASSERT_EQ(set->rows.rows(), 50u);
  ASSERT_EQ(set->queries.rows(), 3u);
  const auto* const x = reinterpret_cast<const float*>(set->rows.data());
  const std::vector<float> first(x, x + 6);
  EXPECT_THAT(first, testing::Pointwise(testing::FloatNear(1e-6f),
                                        std::vector<float>{1, 0, 0, 1, 0.6f, 0.8f}));
  for (size_t i = 0; i < 50; ++i) EXPECT_NEAR(std::hypot(x[2 * i], x[2 * i + 1]), 1, 1e-6);
  const auto fewer = ExtendSet({.from = path, .queries_from = path, .rows = 2});
  ASSERT_FALSE(fewer);
  EXPECT_THAT(fewer.error().message, HasSubstr("rows: expected at least the 3"));
}

TEST(IntegerSetTest, AllTypesHoldTheSameNumbers) {
  const auto floats = MakeIntegerSet(ScalarType::kFloat32, {});
  const auto bytes = MakeIntegerSet(ScalarType::kUint8, {});
  ASSERT_TRUE(floats && bytes);
  for (const ScalarType type : {ScalarType::kFloat16, ScalarType::kInt8}) {
    auto set = MakeIntegerSet(type, {});
    ASSERT_TRUE(set);
    const auto converted = ConvertRows(std::move(set->rows), ScalarType::kFloat32, "set");
    ASSERT_TRUE(converted);
    EXPECT_EQ(ChecksumOf(*converted), ChecksumOf(floats->rows));
  }
  for (size_t i = 0; i < bytes->rows.rows() * bytes->rows.dim(); ++i) {
    float value = 0;
    std::memcpy(&value, floats->rows.data() + i * sizeof(float), sizeof(float));
    ASSERT_EQ(std::to_integer<int>(bytes->rows.data()[i]), static_cast<int>(value) + 128);
  }
}

TEST(IntegerSetTest, ARowDoesNotDependOnHowManyThereAre) {
  const auto few = MakeIntegerSet(ScalarType::kInt8, {.rows = 10});
  const auto many = MakeIntegerSet(ScalarType::kInt8, {.rows = 11});
  ASSERT_TRUE(few && many);
  EXPECT_EQ(std::memcmp(few->rows.data(), many->rows.data(), 10 * few->rows.dim()), 0);
}

TEST(DataTest, TheFormatFollowsFromTheName) {
  const TempFolder folder;
  const Matrix rows = MakeMatrix(ScalarType::kUint8, 5, 3);
  ASSERT_TRUE(WriteBin(folder / "rows.u8bin", rows));
  ASSERT_TRUE(WriteNpy(folder / "rows.npy", rows));
  ASSERT_TRUE(WriteVecs(folder / "rows.bvecs", rows));
  for (const std::string name : {"rows.u8bin", "rows.npy", "rows.bvecs"}) {
    const auto read = ReadRows(folder / name);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->rows(), 5u);
    EXPECT_EQ(ChecksumOf(*read), ChecksumOf(rows));
    EXPECT_EQ(ReadRows(folder / name, 2)->rows(), 2u);
  }
  const std::pair<std::string, ScalarType> typed[] = {{"x.fbin", ScalarType::kFloat32},
                                                      {"x.f16bin", ScalarType::kFloat16},
                                                      {"x.u8bin", ScalarType::kUint8},
                                                      {"x.i8bin", ScalarType::kInt8}};
  for (const auto& [name, type] : typed) {
    ASSERT_TRUE(WriteBin(folder / name, MakeMatrix(type, 5, 3)));
    const auto read = ReadRows(folder / name);
    ASSERT_TRUE(read) << read.error();
    EXPECT_EQ(read->type(), type);
  }
  EXPECT_THAT(ReadRows(folder / "rows.dat").error(), HasSubstr("found \".dat\""));
  EXPECT_THAT(ReadRows(folder / "gone.fbin").error(), HasSubstr("gone.fbin"));
}

TEST(DataTest, MoreRowsThanTheFileHasAreAnError) {
  const TempFolder folder;
  const Matrix rows = MakeMatrix(ScalarType::kUint8, 5, 3);
  ASSERT_TRUE(WriteBin(folder / "rows.u8bin", rows));
  ASSERT_TRUE(WriteNpy(folder / "rows.npy", rows));
  ASSERT_TRUE(WriteVecs(folder / "rows.bvecs", rows));
  for (const std::string name : {"rows.u8bin", "rows.npy", "rows.bvecs"}) {
    EXPECT_TRUE(ReadRows(folder / name, 5)) << name;
    EXPECT_EQ(ReadRows(folder / name, 6).error(),
              (folder / name).string() + ": rows: expected at least 6, found 5");
  }
}

TEST(DataTest, ANumberThatTheTypeCannotHoldIsNamed) {
  struct Case {
    float value;
    ScalarType type;
    bool fits;
  };
  for (const Case& c :
       {Case{255, ScalarType::kUint8, true}, Case{256, ScalarType::kUint8, false},
        Case{-1, ScalarType::kUint8, false}, Case{-128, ScalarType::kInt8, true},
        Case{128, ScalarType::kInt8, false}, Case{0.5, ScalarType::kInt8, false},
        Case{0.5, ScalarType::kFloat16, true}, Case{2049, ScalarType::kFloat16, false}}) {
    Matrix rows = *Matrix::Create(ScalarType::kFloat32, 2, 3);
    std::memcpy(rows.data() + 5 * sizeof(float), &c.value, sizeof(float));
    const auto converted = ConvertRows(std::move(rows), c.type, "rows.fbin");
    EXPECT_EQ(converted.has_value(), c.fits) << c.value << " as " << ScalarTypeName(c.type);
    if (!converted) {
      EXPECT_THAT(converted.error(), HasSubstr("rows.fbin: row 1, column 2: expected a number"));
    }
  }
}

TEST(DataTest, OnlyRowsWhoseDistancesAreExactInAnyOrderPass) {
  struct Case {
    float value;
    ScalarType type;
    const char* found;  // Empty: exact.
  };
  for (const Case& c :
       {Case{-3, ScalarType::kFloat32, ""}, Case{2048, ScalarType::kFloat32, ""},
        Case{2048, ScalarType::kFloat16, ""}, Case{255, ScalarType::kUint8, ""},
        Case{0.5, ScalarType::kFloat32, "row 1, column 2: expected an integer, found 0.5"},
        Case{-0.5, ScalarType::kFloat16, "row 1, column 2: expected an integer, found -0.5"},
        Case{2049, ScalarType::kFloat32,
             "row 1: squared length: expected at most 4194304, found 4198401"}}) {
    Matrix floats = *Matrix::Create(ScalarType::kFloat32, 2, 3);
    std::memset(floats.data(), 0, 6 * sizeof(float));
    std::memcpy(floats.data() + 5 * sizeof(float), &c.value, sizeof(float));
    const auto rows = ConvertRows(std::move(floats), c.type, "rows.fbin");
    ASSERT_TRUE(rows) << rows.error();
    const auto exact = CheckExact(*rows, "rows.fbin");
    EXPECT_EQ(exact.has_value(), std::string_view(c.found).empty()) << c.value;
    if (!exact) {
      EXPECT_EQ(exact.error(), std::string("rows.fbin: ") + c.found);
    }
  }
}

TEST(ZeroVectors, AreThoseWhoseElementsAllAreZeroOfEitherSign) {
  const std::vector<float> floats = {0, -0.0f, 0, 1, -0.0f, -0.0f, 1e-45f, 0};
  EXPECT_THAT(ZeroRows(MatrixView(std::span<const float>(floats), 2)), testing::ElementsAre(0, 2));
  const std::vector<uint8_t> bytes = {0, 128, 0, 0, 1, 0};
  EXPECT_THAT(ZeroRows(MatrixView(std::span<const uint8_t>(bytes), 2)), testing::ElementsAre(1));
}

TEST(ZeroVectors, TruthWithoutThemKeepsItsNumbersAndItsOrder) {
  TruthSet truth;
  truth.queries = 3;
  truth.k = 3;
  truth.ids = {5, 7, 9, 1, 2, 3, 7, 4, TruthSet::kNoNeighbor};
  truth.distances = {1, 2, 3, 1, 2, 3, 1, 2, INFINITY};
  truth.counts = {3, 3, 2};
  const std::vector<uint32_t> queries = {1}, rows = {7};
  const TruthSet kept = TruthWithout(truth, queries, rows);
  constexpr uint32_t kNone = TruthSet::kNoNeighbor;
  EXPECT_EQ(kept.queries, 2u);
  EXPECT_THAT(kept.ids, testing::ElementsAre(5, 9, kNone, 4, kNone, kNone));
  EXPECT_THAT(kept.distances, testing::ElementsAre(1, 3, INFINITY, 2, INFINITY, INFINITY));
  EXPECT_THAT(kept.counts, testing::ElementsAre(2, 1));
}

}  // namespace
}  // namespace shoal::bench
