// An index that is saved without its vectors and opened again over the store that has them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <set>

#include "shoal/dataset.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "shoal/testing/failing_feature_store.h"
#include "support/feature_stores_under_test.h"
#include "support/stored_index.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr size_t kRowBytes = kStoredDim * sizeof(float);

Index Over(std::unique_ptr<FeatureStore> store, const IndexOptions& options = StoredOptions()) {
  return Made(Index::CreateWithFeatures(options, std::move(store)));
}

// What the answers of an index are.
std::vector<std::vector<Hit>> Answers(const Index& index) {
  std::vector<std::vector<Hit>> answers;
  for (ExternalId query = 1000; query < 1020; ++query)
    answers.push_back(Found(index, VectorOf(query)));
  return answers;
}

void ExpectAnswers(const Index& index, const std::vector<std::vector<Hit>>& expected) {
  const std::vector<std::vector<Hit>> found = Answers(index);
  for (size_t i = 0; i < expected.size(); ++i) ExpectSame(found[i], expected[i]);
}

// Forwards everything, and tells the test of the rows that were put.
class PutCounter final : public FeatureStore {
 public:
  PutCounter(std::unique_ptr<FeatureStore> store, int& puts)
      : store_(std::move(store)), puts_(puts) {}
  size_t row_bytes() const override { return store_->row_bytes(); }
  Status Grow(uint32_t slots) override { return store_->Grow(slots); }
  Status Put(FeatureKey key, const std::byte* row) override {
    ++puts_;
    return store_->Put(key, row);
  }
  Status Sync() override { return store_->Sync(); }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    return store_->NewReader(max_rows);
  }

 private:
  const std::unique_ptr<FeatureStore> store_;
  int& puts_;
};

struct Arrangement {
  std::string store;  // Of AllStores.
  Metric metric;
  Code code;
};

class ReopenedIndex : public ::testing::TestWithParam<Arrangement> {
 protected:
  void SetUp() override {
    for (const NamedStore& named : AllStores())
      if (named.name == GetParam().store) stores_ = named.make(folder_);
  }
  // The index is saved and closed, and opened again.
  Index Reopened(Index index) {
    ExpectDone(index.SaveWithoutVectors(folder_ / "index"));
    { const Index closed = std::move(index); }
    auto store = Made(stores_.reopen(nullptr));
    return Made(Index::LoadWithFeatures(folder_ / "index",
                                        std::make_unique<PutCounter>(std::move(store), puts_)));
  }

  const TempFolder folder_;
  FeatureStoreUnderTest stores_;
  int puts_ = 0;
};

TEST_P(ReopenedIndex, IsTheSameIndexAndNoVectorWasCopied) {
  Index index = Over(Made(stores_.make()), StoredOptions(GetParam().metric, GetParam().code));
  Churn(index);
  ASSERT_TRUE(index.Consolidate());
  const auto answers = Answers(index);
  const IndexStats stats = index.Stats();
  const Index again = Reopened(std::move(index));
  EXPECT_EQ(puts_, 0);
  EXPECT_EQ(again.Stats().points, stats.points);
  EXPECT_EQ(again.Stats().edges, stats.edges);
  EXPECT_LE(again.Stats().slots_used, stats.slots_used);
  ExpectDone(again.CheckStructure());
  ExpectChurned(again);
  ExpectAnswers(again, answers);
}

TEST_P(ReopenedIndex, GoesOnAndIsReopenedAgain) {
  Index index = Over(Made(stores_.make()), StoredOptions(GetParam().metric, GetParam().code));
  InsertAll(index, 1, 301);
  for (ExternalId id = 1; id <= 200; ++id) ASSERT_TRUE(index.Delete(id));
  Index again = Reopened(std::move(index));
  InsertAll(again, 1001, 1101);  // Into slots that were free.
  EXPECT_LE(again.Stats().slots_used, 310u);
  ASSERT_TRUE(again.Upsert(250, VectorOf(250, 1)));
  ASSERT_TRUE(again.Delete(251));
  ASSERT_TRUE(again.Compact({.threads = 2}));
  const auto answers = Answers(again);
  const Index third = Reopened(std::move(again));
  ExpectDone(third.CheckStructure());
  ExpectAnswers(third, answers);
  Vector vector(kStoredDim);
  ASSERT_TRUE(third.Get(250, vector));
  EXPECT_EQ(vector, VectorOf(250, 1));
  ASSERT_TRUE(third.Get(1100, vector));
  EXPECT_EQ(vector, VectorOf(1100));
  EXPECT_FALSE(third.Contains(251));
  EXPECT_EQ(third.size(), 199u);
}

INSTANTIATE_TEST_SUITE_P(
    Stores, ReopenedIndex,
    ::testing::Values(Arrangement{"Mmap", Metric::kL2, Code::kRq4},
                      Arrangement{"Mmap", Metric::kInnerProduct, Code::kSq8},
                      Arrangement{"Mmap", Metric::kCosine, Code::kFull},
                      Arrangement{"DiskBest", Metric::kL2, Code::kFull},
                      Arrangement{"DiskBestCached", Metric::kInnerProduct, Code::kRq4},
                      Arrangement{"DiskPreadCached", Metric::kCosine, Code::kFloat16},
                      Arrangement{"DiskPreadDirect", Metric::kL2, Code::kRq1}),
    [](const auto& test) {
      return test.param.store + "_" + std::string(CodeName(test.param.code));
    });

class Reopening : public ::testing::Test {
 protected:
  std::unique_ptr<FeatureStore> Disk() {
    return Made(OpenDiskFeatures(folder_ / "rows", kRowBytes));
  }
  void Save(const Index& index) { ExpectDone(index.SaveWithoutVectors(folder_ / "index")); }
  Result<Index> Load(std::unique_ptr<FeatureStore> store, const LoadOptions& options = {}) {
    return Index::LoadWithFeatures(folder_ / "index", std::move(store), options);
  }
  std::string LoadError(std::unique_ptr<FeatureStore> store) {
    const Result<Index> index = Load(std::move(store));
    return index ? "loaded" : index.error().message;
  }

  const TempFolder folder_;
};

TEST_F(Reopening, AFileOfTheDiskStoreIsOpenedByTheMappedOne) {
  std::vector<std::vector<Hit>> answers;
  {
    Index index = Over(Disk());
    Churn(index);
    ASSERT_TRUE(index.Consolidate());
    Save(index);
    answers = Answers(index);
  }
  const Index again = Made(Load(Made(OpenMmapFeatures(folder_ / "rows", kRowBytes))));
  ExpectChurned(again);
  ExpectAnswers(again, answers);
}

TEST_F(Reopening, AnIndexOverADatasetIsOpenedOverTheDatasetAgain) {
  constexpr size_t kRows = 100;
  Matrix rows = Made(Matrix::Create(ScalarType::kFloat32, kRows, kStoredDim));
  for (size_t i = 0; i < kRows; ++i)
    std::memcpy(rows.data() + i * rows.row_bytes(), VectorOf(i).data(), kRowBytes);
  ASSERT_TRUE(WriteBin(folder_ / "base.bin", rows));
  const auto open = [&] {
    return Made(OpenDatasetFeatures(folder_ / "base.bin", ScalarType::kFloat32));
  };
  std::vector<std::vector<Hit>> answers;
  {
    Index index = Over(open());
    InsertAll(index, 0, kRows);
    for (ExternalId id = 0; id < kRows; id += 3) ASSERT_TRUE(index.Delete(id));
    ASSERT_TRUE(index.Compact());
    Save(index);
    answers = Answers(index);
  }
  ExpectAnswers(Made(Load(open())), answers);
}

TEST_F(Reopening, AnEmptyIndexIsReopened) {
  { Save(Over(Disk())); }
  Index again = Made(Load(Disk()));
  EXPECT_EQ(again.size(), 0u);
  InsertAll(again, 1, 10);
  EXPECT_EQ(Found(again, VectorOf(3)).front().id, 3u);
}

TEST_F(Reopening, PointsWithLabelsKeepThem) {
  const uint32_t labels[] = {3, 5};
  {
    Index index = Over(Disk());
    InsertAll(index, 1, 50);
    ASSERT_TRUE(index.Delete(20));
    ASSERT_TRUE(index.Insert(60, VectorOf(60), labels));
    Save(index);
  }
  const Index again = Made(Load(Disk()));
  EXPECT_EQ(Made(again.Labels(60)), (std::vector<uint32_t>{3, 5}));
  EXPECT_TRUE(Made(again.Labels(49)).empty());
}

TEST_F(Reopening, AStoreThatDoesNotGoWithTheFileIsRefused) {
  {
    Index index = Over(Disk());
    InsertAll(index, 1, 101);
    Save(index);
  }
  EXPECT_THAT(LoadError(nullptr), HasSubstr("store: expected a feature store, found null"));
  EXPECT_THAT(LoadError(Made(MakeRamFeatures(kRowBytes + 4))),
              HasSubstr("store: row_bytes: expected 100"));
  EXPECT_THAT(LoadError(RamStore()),
              AllOf(HasSubstr("store: vectors of"),
                    HasSubstr("expected 100, found 0, without that of id 1, slot 1")));
}

TEST_F(Reopening, AStoreThatWasWrittenToSinceTheSaveIsRefused) {
  {
    Index index = Over(Disk());
    InsertAll(index, 1, 101);
    Save(index);
    ASSERT_TRUE(index.Delete(42));
    ASSERT_TRUE(index.Consolidate());
    ASSERT_TRUE(index.Insert(500, VectorOf(500)));  // Into the same slot.
  }
  EXPECT_THAT(LoadError(Disk()),
              HasSubstr("expected 100, found 99, without that of id 42, slot 42"));
  {
    auto disk = Disk();
    ASSERT_TRUE(disk->Put({42, 42}, reinterpret_cast<const std::byte*>(VectorOf(43).data())));
  }
  EXPECT_THAT(LoadError(Disk()),
              AllOf(HasSubstr("store: vector of id 42, slot 42: expected that of its code in"),
                    HasSubstr("found another")));
}

TEST_F(Reopening, AStoreThatIsTrustedIsNotReadAndAMissingPointIsNoHit) {
  {
    Index index = Over(Disk());
    InsertAll(index, 1, 101);
    Save(index);
    ASSERT_TRUE(index.Delete(42));
    ASSERT_TRUE(index.Consolidate());
    ASSERT_TRUE(index.Insert(500, VectorOf(500)));
  }
  const Index again = Made(Load(Disk(), {.stored_vectors = LoadOptions::StoredVectors::kTrust}));
  EXPECT_EQ(again.size(), 100u);
  for (const Hit& hit : Found(again, VectorOf(42))) EXPECT_NE(hit.id, 42u);
  EXPECT_EQ(Found(again, VectorOf(41)).front().id, 41u);
}

TEST_F(Reopening, AFileSaysWhereItsVectorsAre) {
  const auto path = folder_ / "index";
  Index index = Over(Disk());
  InsertAll(index, 1, 51);
  Save(index);
  EXPECT_FALSE(Made(InspectSnapshot(path)).has_vectors);
  EXPECT_FALSE(Made(VerifySnapshot(path)).has_vectors);
  const auto without_bytes = Made(InspectSnapshot(path)).bytes;
  const auto loaded = Index::Load(path);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(loaded.error().message, HasSubstr("vectors: expected in the file"));
  const auto view = IndexView::Open(path);
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code, ErrorCode::kUnsupported);
  ASSERT_TRUE(index.Save(path));
  EXPECT_TRUE(Made(InspectSnapshot(path)).has_vectors);
  EXPECT_GT(Made(InspectSnapshot(path)).bytes, without_bytes);
  EXPECT_THAT(LoadError(RamStore()), HasSubstr("vectors: expected in a feature store"));
  const Status saved = Made(Index::Create(StoredOptions())).SaveWithoutVectors(path);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(Reopening, ErrorsOfTheStoreAreThoseOfTheCallAndAnOlderFileStays) {
  const auto failures = std::make_shared<FeatureFailures>();
  const auto failing = [&] { return std::make_unique<FailingFeatureStore>(Disk(), failures); };
  {
    Index index = Over(failing());
    InsertAll(index, 1, 51);
    Save(index);
    InsertAll(index, 51, 61);
    failures->succeed_first[FeatureFailures::kSync] = 0;
    const Status saved = index.SaveWithoutVectors(folder_ / "index");
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().message, "injected: Sync");
  }
  for (const auto call :
       {FeatureFailures::kGrow, FeatureFailures::kNewReader, FeatureFailures::kFetch}) {
    failures->succeed_first[call] = 0;
    EXPECT_THAT(LoadError(failing()), HasSubstr("injected: "));
  }
  EXPECT_EQ(Made(Load(failing())).size(), 50u);
}

TEST_F(Reopening, EveryDamagedByteOfTheSlotsIsFound) {
  const auto path = folder_ / "index";
  {
    Index index = Over(Disk());
    InsertAll(index, 1, 51);
    Save(index);
  }
  const auto bytes = Made(InspectSnapshot(path)).bytes;
  std::set<std::string> sections;
  for (uint64_t at = 0; at < bytes; at += 4096) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto flip = [&] {
      file.seekg(static_cast<std::streamoff>(at));
      const int byte = file.get();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 1)).flush();
    };
    flip();
    const std::string error = LoadError(Disk());
    EXPECT_NE(error, "loaded") << "offset " << at;
    if (error.find(": slots, offset") != std::string::npos) sections.insert("slots");
    flip();
  }
  EXPECT_THAT(sections, Contains("slots"));
  EXPECT_EQ(LoadError(Disk()), "loaded");
}

}  // namespace
}  // namespace shoal::testing
