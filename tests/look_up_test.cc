// Vectors and ids that are asked for: Get, GetMany, ContainsMany.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
void ExpectInvalid(const Result<T>& result, const std::string& message) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(result.error().message, HasSubstr(message));
}

class LookUp : public testing::Test {
 protected:
  static constexpr size_t kDim = 4;
  LookUp() {
    for (ExternalId id = 0; id < 6; ++id)
      EXPECT_TRUE(index_.Insert(10 * id, std::vector<float>(kDim, static_cast<float>(id))));
  }
  Index index_ = *Index::Create({.dim = kDim});
};

TEST_F(LookUp, GetChecksWhereItCopiesTo) {
  std::vector<float> vector(kDim);
  ASSERT_TRUE(index_.Get(20, vector));
  EXPECT_THAT(vector, ElementsAre(2, 2, 2, 2));
  float array[kDim] = {};
  ASSERT_TRUE(index_.Get(30, array));
  EXPECT_EQ(array[3], 3);
  std::array<float, 2 * kDim> two = {};
  ASSERT_TRUE(index_.Get(40, std::span(two).last(kDim)));
  EXPECT_THAT(two, ElementsAre(0, 0, 0, 0, 4, 4, 4, 4));
  ExpectInvalid(index_.Get(20, two), "vector: dimension: expected 4, found 8");
  std::vector<Half> half(kDim);
  ExpectInvalid(index_.Get(20, half), "vector: scalar type: expected float32, found float16");
  ExpectInvalid(index_.Get(20, {nullptr, ScalarType::kFloat32, kDim}), "found null");
  EXPECT_EQ(index_.Get(21, vector).error().code, ErrorCode::kNotFound);
  static_assert(!std::is_convertible_v<const std::vector<float>&, MutableVectorView>);
  static_assert(!std::is_convertible_v<std::vector<double>&, MutableVectorView>);
}

TEST_F(LookUp, GetManyReportsWhatIsNotThereAndLeavesItsRow) {
  Matrix rows = *Matrix::Create(ScalarType::kFloat32, 4, kDim);
  const std::vector<ExternalId> ids = {50, 51, 0, 52};
  const Result<BatchReport> report = index_.GetMany(ids, rows.mutable_view(), {.threads = 2});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->status);
  EXPECT_EQ(report->done, 2u);
  ASSERT_EQ(report->failures.size(), 2u);
  EXPECT_EQ(report->failures[0].row, 1u);
  EXPECT_EQ(report->failures[1].row, 3u);
  EXPECT_EQ(report->failures[0].error.code, ErrorCode::kNotFound);
  float first[kDim], second[kDim];
  std::memcpy(first, rows[0].data(), sizeof(first));
  std::memcpy(second, rows[1].data(), sizeof(second));
  EXPECT_THAT(first, ElementsAre(5, 5, 5, 5));
  EXPECT_THAT(second, ElementsAre(0, 0, 0, 0));
}

TEST_F(LookUp, GetManyChecksItsRows) {
  std::vector<float> out(3 * kDim);
  const std::vector<ExternalId> ids = {0, 10};
  ExpectInvalid(index_.GetMany(ids, {std::span(out), kDim}),
                "rows: expected one per id, 2, found 3");
  ExpectInvalid(index_.GetMany(ids, {std::span(out).first(10), 5}),
                "rows: dimension: expected 4, found 5");
  std::vector<uint8_t> bytes(2 * kDim);
  ExpectInvalid(index_.GetMany(ids, {std::span(bytes), kDim}), "rows: scalar type");
  EXPECT_EQ(index_.GetMany({}, {std::span(out).first(0), kDim})->done, 0u);
}

TEST_F(LookUp, ContainsManyIsContainsOfEach) {
  ASSERT_TRUE(index_.Delete(30));
  const std::vector<ExternalId> ids = {30, 0, 7, 50};
  std::vector<uint8_t> contained(4, 9);
  ASSERT_TRUE(index_.ContainsMany(ids, contained));
  EXPECT_THAT(contained, ElementsAre(0, 1, 0, 1));
  ExpectInvalid(index_.ContainsMany(ids, std::span(contained).first(3)),
                "contained: expected one per id, 4, found 3");
}

}  // namespace
}  // namespace shoal
