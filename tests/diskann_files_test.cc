// An index saved in DiskANN's files and loaded again is the same index, to a searcher.
#include "shoal/diskann_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "shoal/dataset.h"
#include "tests/temp_folder.h"

namespace shoal {
namespace {

using testing::HasSubstr;

constexpr size_t kPoints = 600;
constexpr uint32_t kDim = 12;

Matrix RandomRows(ScalarType type, size_t rows, uint32_t seed) {
  Matrix matrix = *Matrix::Create(type, rows, kDim);
  std::mt19937 random(seed);
  for (size_t i = 0; i < rows * kDim; ++i) {
    const auto value = static_cast<float>(random() % 200) - 100.0f;
    if (type == ScalarType::kFloat32) {
      std::memcpy(matrix.data() + i * sizeof(float), &value, sizeof(float));
    } else {
      matrix.data()[i] = static_cast<std::byte>(random() % 256);
    }
  }
  return matrix;
}

// Ids that are neither row numbers nor in their order; none is 0.
std::vector<ExternalId> ScatteredIds(size_t n) {
  std::vector<ExternalId> ids(n);
  for (size_t i = 0; i < n; ++i) ids[i] = 1 + i * 7919 % 10007;
  return ids;
}

Index MakeIndex(const IndexOptions& options, const Matrix& rows,
                const std::vector<ExternalId>& ids) {
  Index index = *Index::Create(options);
  EXPECT_EQ(index.InsertMany(ids, rows, {.threads = 1})->inserted, rows.rows());
  return index;
}

IndexOptions Options(ScalarType type, Metric metric) {
  return {
      .dim = kDim, .scalar_type = type, .metric = metric, .max_degree = 16, .build_list_size = 50};
}

// Every point is found by its own vector, at the exact distance; under inner product, where a
// point need not be its own nearest, a larger one is.
void ExpectEveryPointIsFound(const Index& index, const Matrix& rows,
                             const std::vector<ExternalId>& ids) {
  size_t found = 0;
  for (size_t i = 0; i < rows.rows(); ++i) {
    const auto hits = index.Search(rows[i], {.k = 10, .search_list_size = 100});
    ASSERT_TRUE(hits) << hits.error().message;
    ASSERT_EQ(hits->size(), 10u);
    for (const Hit& hit : *hits) found += hit.id == ids[i] ? 1 : 0;
  }
  if (index.options().metric == Metric::kInnerProduct) {
    EXPECT_GT(found, rows.rows() / 4);
  } else {
    EXPECT_EQ(found, rows.rows());
  }
}

class DiskannFiles : public testing::TestWithParam<std::tuple<ScalarType, Metric>> {
 protected:
  const ScalarType type_ = std::get<0>(GetParam());
  const Metric metric_ = std::get<1>(GetParam());
  const Matrix rows_ = RandomRows(type_, kPoints, 1);
  TempFolder folder_;
  const std::filesystem::path prefix_ = folder_ / "index";
};

TEST_P(DiskannFiles, ADynamicIndexComesBackWithItsIdsAndTakesInserts) {
  const auto ids = ScatteredIds(kPoints);
  const Index index = MakeIndex(Options(type_, metric_), rows_, ids);
  ASSERT_TRUE(SaveDiskann(index, prefix_, {.dynamic = true}));
  EXPECT_EQ(folder_.Entries(), 3u);
  auto loaded = LoadDiskann(
      prefix_, {.index = {.scalar_type = type_, .metric = metric_, .max_degree = 0}, .tags = true});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->options().dim, kDim);
  EXPECT_EQ(loaded->size(), kPoints);
  const Status checked = loaded->CheckStructure();
  ASSERT_TRUE(checked) << checked.error().message;
  ExpectEveryPointIsFound(*loaded, rows_, ids);
  const Matrix more = RandomRows(type_, 100, 2);
  for (size_t i = 0; i < more.rows(); ++i) {
    ASSERT_TRUE(loaded->Insert(20000 + i, more[i]));
  }
  EXPECT_EQ(loaded->size(), kPoints + 100);
  EXPECT_TRUE(loaded->CheckStructure());
}

TEST_P(DiskannFiles, AStaticIndexComesBackInTheOrderOfItsIds) {
  std::vector<ExternalId> ids(kPoints);
  for (size_t i = 0; i < kPoints; ++i) ids[i] = kPoints - i;  // Row i is the i-th from the end.
  const Index index = MakeIndex(Options(type_, metric_), rows_, ids);
  ASSERT_TRUE(SaveDiskann(index, prefix_));
  EXPECT_EQ(folder_.Entries(), 2u);
  auto loaded =
      LoadDiskann(prefix_, {.index = {.scalar_type = type_, .metric = metric_, .max_degree = 16}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  for (ExternalId& id : ids) --id;
  ExpectEveryPointIsFound(*loaded, rows_, ids);
  EXPECT_TRUE(loaded->CheckStructure());
}

INSTANTIATE_TEST_SUITE_P(
    EveryTypeAndMetric, DiskannFiles,
    testing::Combine(testing::Values(ScalarType::kFloat32, ScalarType::kInt8, ScalarType::kUint8),
                     testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine)),
    [](const auto& suite) {
      return std::string(ScalarTypeName(std::get<0>(suite.param))) + "_" +
             std::string(MetricName(std::get<1>(suite.param)));
    });

TEST(DiskannFile, CosineRowsOfFloatsAreWrittenWithLengthOne) {
  TempFolder folder;
  const Matrix rows = RandomRows(ScalarType::kFloat32, 50, 3);
  const Index index =
      MakeIndex(Options(ScalarType::kFloat32, Metric::kCosine), rows, ScatteredIds(50));
  ASSERT_TRUE(SaveDiskann(index, folder / "x", {.dynamic = true}));
  const auto written = ReadBin(folder / "x.data", ScalarType::kFloat32);
  ASSERT_TRUE(written);
  for (size_t i = 0; i < 51; ++i) {
    const auto* row = static_cast<const float*>((*written)[i].data());
    double sum = 0;
    for (size_t d = 0; d < kDim; ++d) sum += double{row[d]} * row[d];
    EXPECT_NEAR(sum, 1, 1e-5) << "row " << i;
  }
}

TEST(DiskannFile, WhatTheFilesCannotHoldIsRefusedAndNothingIsWritten) {
  TempFolder folder;
  const Index halves = *Index::Create({.dim = 2, .scalar_type = ScalarType::kFloat16});
  Status saved = SaveDiskann(halves, folder / "x");
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(saved.error().message, HasSubstr("expected float32, int8 or uint8, found float16"));

  const Index empty = *Index::Create({.dim = 2});
  EXPECT_FALSE(SaveDiskann(empty, folder / "x"));

  Index index = *Index::Create({.dim = 2});
  ASSERT_TRUE(index.Insert(ExternalId{1} << 40, std::vector<float>{1, 2}));
  saved = SaveDiskann(index, folder / "x", {.dynamic = true});
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(saved.error().message, HasSubstr("found 1099511627776"));
  EXPECT_EQ(folder.Entries(), 0u);
  EXPECT_TRUE(SaveDiskann(index, folder / "x")) << "static: the ids are not written";
}

TEST(DiskannFile, OnePointIsAnIndex) {
  TempFolder folder;
  for (const bool dynamic : {false, true}) {
    Index index = *Index::Create({.dim = 2});
    ASSERT_TRUE(index.Insert(7, std::vector<float>{1, 2}));
    ASSERT_TRUE(SaveDiskann(index, folder / "x", {.dynamic = dynamic}));
    const auto loaded = LoadDiskann(folder / "x", {.index = {.max_degree = 0}, .tags = dynamic});
    ASSERT_TRUE(loaded) << loaded.error().message;
    const auto hits = loaded->Search(std::vector<float>{1, 2});
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), 1u);
    EXPECT_EQ(hits->front().id, dynamic ? 7u : 0u);
  }
}

TEST(DiskannFile, AnotherDimensionThanAskedForIsNamed) {
  TempFolder folder;
  Index index = *Index::Create({.dim = 2});
  ASSERT_TRUE(index.Insert(7, std::vector<float>{1, 2}));
  ASSERT_TRUE(SaveDiskann(index, folder / "x"));
  const auto loaded = LoadDiskann(folder / "x", {.index = {.dim = 3}});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(loaded.error().message, HasSubstr("x.data: dimension: expected 3, found 2"));
}

// What ReadDiskann lets through must be safe for the engine too: whatever its lists say, every
// search ends and every hit is a point.
TEST(DiskannFile, ACorruptIndexThatLoadsCanBeSearched) {
  TempFolder folder;
  const Matrix rows = RandomRows(ScalarType::kUint8, 60, 4);
  const Index index = MakeIndex(Options(ScalarType::kUint8, Metric::kL2), rows, ScatteredIds(60));
  ASSERT_TRUE(SaveDiskann(index, folder / "x"));
  const std::string whole = ReadBytes(folder / "x");
  std::mt19937 random(5);
  size_t loads = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    for (int changes = 0; changes < 4; ++changes) {  // Most words behind the header are neighbours.
      const uint32_t word = random() % 60;
      std::memcpy(bytes.data() + 12 + 4 * (random() % (bytes.size() / 4 - 3)), &word, 4);
    }
    WriteBytes(folder / "x", bytes);
    const auto loaded =
        LoadDiskann(folder / "x", {.index = {.scalar_type = ScalarType::kUint8, .max_degree = 16}});
    if (!loaded) continue;
    ++loads;
    const Status checked = loaded->CheckStructure();
    ASSERT_TRUE(checked) << checked.error().message;
    const auto hits = loaded->Search(rows[0], {.k = 60, .search_list_size = 60});
    ASSERT_TRUE(hits);
    for (const Hit& hit : *hits) ASSERT_LT(hit.id, 60u);
  }
  EXPECT_GT(loads, 100u);
}

}  // namespace
}  // namespace shoal
