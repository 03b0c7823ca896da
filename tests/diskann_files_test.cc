// An index saved in DiskANN's files and loaded again is the same index, to a searcher.
#include "shoal/diskann_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "shoal/dataset.h"
#include "tests/print_types.h"
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
  EXPECT_EQ(index.InsertMany(ids, rows, {.threads = 1})->done, rows.rows());
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
  EXPECT_THAT(saved.error().message,
              HasSubstr("expected float32, int8, uint8 or bit, found float16"));

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

// --- Damage. The formats have no checksum, so damage may go unnoticed; but what ReadDiskann lets
// through must be safe for the engine: every search ends, and every hit is one of the points.

class DamagedDiskannFiles : public testing::TestWithParam<const char*> {
 protected:
  static constexpr size_t kRows = 60;

  void SetUp() override {
    const Index index =
        MakeIndex(Options(ScalarType::kFloat32, Metric::kL2), rows_, ScatteredIds(kRows));
    ASSERT_TRUE(SaveDiskann(index, folder_ / "x", {.dynamic = true}));
    whole_ = ReadBytes(file_);
  }

  // True if the files are an index.
  bool LoadAndSearch(const std::string& bytes) {
    WriteBytes(file_, bytes);
    auto loaded = LoadDiskann(
        folder_ / "x",
        {.index = {.scalar_type = ScalarType::kFloat32, .max_degree = 16}, .tags = true});
    if (!loaded) {
      EXPECT_THAT(loaded.error().message, HasSubstr((folder_ / "x").string()));
      return false;
    }
    const Status checked = loaded->CheckStructure();
    EXPECT_TRUE(checked) << checked.error().message;
    if (loaded->options().dim != kDim) return true;
    // One more than there were, where damage made the start point one of them.
    const size_t size = loaded->size();
    const auto hits = loaded->Search(rows_[0], {.k = size, .search_list_size = size});
    EXPECT_TRUE(hits);
    EXPECT_EQ(hits->size(), size);
    for (const Hit& hit : *hits) EXPECT_TRUE(loaded->Contains(hit.id));
    EXPECT_TRUE(loaded->Insert(UINT64_MAX, rows_[1]));
    return true;
  }

  TempFolder folder_;
  const Matrix rows_ = RandomRows(ScalarType::kFloat32, kRows, 4);
  const std::filesystem::path file_ = folder_ / (std::string("x") + GetParam());
  std::string whole_;
};

TEST_P(DamagedDiskannFiles, CutAnywhereAreAnError) {
  for (size_t bytes = 0; bytes < whole_.size(); ++bytes)
    ASSERT_FALSE(LoadAndSearch(whole_.substr(0, bytes))) << "cut to " << bytes;
  EXPECT_FALSE(LoadAndSearch(whole_ + "x"));
}

TEST_P(DamagedDiskannFiles, ChangedAtRandomAreAnErrorOrAnIndexThatCanBeSearched) {
  const uint64_t seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  size_t loads = 0;
  for (int round = 0; round < 3000 && !HasFailure(); ++round) {
    std::string bytes = whole_;
    for (size_t changes = 1 + random() % 4; changes > 0; --changes) {
      // Small numbers are often valid where they stand, large ones are not.
      const auto word = static_cast<uint32_t>(random() % 4 == 0 ? random() : random() % 64);
      const size_t at = 4 * (random() % (bytes.size() / 4));
      const size_t length = std::min<size_t>(random() % 40, bytes.size() - at);
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8)); break;
        case 1: bytes.replace(at, length, length, '\0'); break;
        case 2:
          bytes.replace(at, length, whole_, random() % (bytes.size() - length), length);
          break;
        default: std::memcpy(bytes.data() + at, &word, sizeof(word));
      }
    }
    loads += LoadAndSearch(bytes) ? 1 : 0;
    ASSERT_FALSE(HasFailure()) << "seed " << seed << ", round " << round;
  }
  EXPECT_GT(loads, 10u);
}

// No row can be the start point.
TEST(DiskannFiles, OfZeroVectorsAreAnErrorUnderCosine) {
  TempFolder folder;
  Index index = *Index::Create({.dim = kDim});
  const std::vector<float> zero(kDim);
  for (ExternalId id = 1; id <= 3; ++id) ASSERT_TRUE(index.Insert(id, zero));
  for (const bool dynamic : {false, true}) {
    ASSERT_TRUE(SaveDiskann(index, folder / "x", {.dynamic = dynamic}));
    const auto loaded =
        LoadDiskann(folder / "x", {.index = {.metric = Metric::kCosine}, .tags = dynamic});
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(loaded.error().message, HasSubstr("row 0"));
  }
}

INSTANTIATE_TEST_SUITE_P(EachFile, DamagedDiskannFiles, testing::Values("", ".data", ".tags"),
                         [](const auto& suite) {
                           return *suite.param == 0 ? std::string("graph")
                                                    : std::string(suite.param + 1);
                         });

}  // namespace
}  // namespace shoal
