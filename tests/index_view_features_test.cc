// A view of a file without vectors, over the store that has them: the answers of the index that is
// loaded over it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "shoal/index_view.h"
#include "shoal/testing/failing_feature_store.h"
#include "support/feature_stores_under_test.h"
#include "support/stored_index.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRowBytes = kStoredDim * sizeof(float);

struct Arrangement {
  std::string store;  // Of AllStores.
  Metric metric;
  Code code;
};

class ViewsOverStores : public ::testing::TestWithParam<Arrangement> {
 protected:
  void SetUp() override {
    for (const NamedStore& named : AllStores())
      if (named.name == GetParam().store) stores_ = named.make(folder_);
    Index index = Made(Index::CreateWithFeatures(StoredOptions(GetParam().metric, GetParam().code),
                                                 Made(stores_.make())));
    Churn(index);
    const uint32_t label[] = {1};
    for (ExternalId id = 401; id < 431; ++id) ExpectDone(index.SetLabels(id, label));
    ASSERT_TRUE(index.Consolidate());
    ExpectDone(index.SaveWithoutVectors(path_));
  }
  Index Loaded() { return Made(Index::LoadWithFeatures(path_, Reopened())); }
  IndexView View(const ViewOptions& options = {}) {
    return Made(IndexView::OpenWithFeatures(path_, Reopened(), options));
  }
  std::unique_ptr<FeatureStore> Reopened() { return Made(stores_.reopen(nullptr)); }

  const TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "index";
  FeatureStoreUnderTest stores_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, ViewsOverStores,
    ::testing::Values(Arrangement{"Mmap", Metric::kL2, Code::kRq4},
                      Arrangement{"Mmap", Metric::kCosine, Code::kFull},
                      Arrangement{"DiskBestCached", Metric::kInnerProduct, Code::kSq8},
                      Arrangement{"DiskPreadCached", Metric::kCosine, Code::kFloat16},
                      Arrangement{"DiskPreadDirect", Metric::kL2, Code::kRq1}),
    [](const auto& test) {
      return test.param.store + "_" + std::string(CodeName(test.param.code));
    });

// One after the other: a file is one store's at a time.
template <class Open>
std::vector<std::vector<Hit>> Answers(const Open& open) {
  const auto searched = open();
  std::vector<std::vector<Hit>> answers;
  const Filter odd =
      Filter::Where([](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
        for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 2;
      });
  for (ExternalId query = 1000; query < 1020; ++query) {
    const Vector vector = VectorOf(query);
    for (const SearchOptions& options : {SearchOptions{.k = 1, .search_list_size = 1},
                                         {.k = 10, .search_list_size = 50},
                                         {.k = 10, .search_list_size = 60, .rerank = 60},
                                         {.k = 5, .filter = &odd},
                                         {.k = 20, .max_per_label = 2}})
      answers.push_back(Made(searched.Search(vector, options)));
    const float radius = answers[answers.size() - 4].back().distance;
    answers.push_back(Made(searched.RangeSearch(vector, {.radius = radius})));
    answers.push_back(Made(searched.RangeSearch(vector, {.radius = radius, .filter = &odd})));
    Pages pages = Made(searched.SearchPages(vector, {.k = 7}));
    for (int page = 0; page < 3; ++page) answers.push_back(Made(pages.Next()));
  }
  return answers;
}

void ExpectSameAnswers(const std::vector<std::vector<Hit>>& a,
                       const std::vector<std::vector<Hit>>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectSame(a[i], b[i]);
  }
}

TEST_P(ViewsOverStores, GiveTheAnswersOfTheLoadedIndexWhereverTheyRead) {
  const auto loaded = Answers([&] { return Loaded(); });
  using Memory = ViewOptions::Memory;
  for (const Memory memory :
       {Memory::kMapped, Memory::kPaged, Memory::kCopied, Memory::kCopiedCodes}) {
    SCOPED_TRACE(static_cast<int>(memory));
    ExpectSameAnswers(Answers([&] { return View({.memory = memory}); }), loaded);
  }
  ExpectSameAnswers(Answers([&] { return View({.list_codes = ViewOptions::ListCodes::kMake}); }),
                    loaded);
}

TEST_P(ViewsOverStores, KnowTheVectorOfEachId) {
  const IndexView view = View();
  for (ExternalId id = 1; id <= 450; ++id) {
    const bool is_deleted = id <= 400 && id % 3 == 0;
    EXPECT_EQ(view.Contains(id), !is_deleted) << id;
    Vector vector(kStoredDim);
    const Status got = view.Get(id, vector);
    if (is_deleted) {
      EXPECT_EQ(got.error().code, ErrorCode::kNotFound);
      continue;
    }
    ExpectDone(got);
    EXPECT_EQ(vector, VectorOf(id, id <= 400 && id % 3 == 1 ? 1 : 0)) << id;
  }
}

TEST_P(ViewsOverStores, AreCalibratedAsTheLoadedIndexIs) {
  const Calibration loaded = Made(Loaded().Calibrate(5, 0.9));
  const Calibration viewed = Made(View().Calibrate(5, 0.9));
  EXPECT_EQ(viewed.search_list_size, loaded.search_list_size);
  EXPECT_EQ(viewed.rerank, loaded.rerank);
}

TEST_P(ViewsOverStores, AreSearchedByManyThreadsAtOnce) {
  const IndexView view = View();
  std::vector<std::vector<Hit>> alone;
  for (ExternalId id = 1000; id < 1050; ++id)
    alone.push_back(Made(view.Search(VectorOf(id), {.k = 10})));
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (size_t i = 0; i < alone.size(); ++i)
        ExpectSame(Made(view.Search(VectorOf(1000 + i), {.k = 10})), alone[i]);
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_P(ViewsOverStores, SavedToAnotherStoreInAnyOrderGiveTheSameAnswers) {
  const auto loaded = Answers([&] { return Loaded(); });
  for (const auto order : {SaveOptions::Order::kSlots, SaveOptions::Order::kNeighbors})
    for (const auto list_codes : {SaveOptions::ListCodes::kNone, SaveOptions::ListCodes::kBeside}) {
      const TempFolder folder;
      const auto open = [&] { return Made(OpenDiskFeatures(folder / "rows", kRowBytes)); };
      {
        const auto to = open();
        ExpectDone(Loaded().SaveToFeatures(folder / "index", *to, {},
                                           {.list_codes = list_codes, .order = order}));
      }
      ExpectSameAnswers(Answers([&] {
                          return Made(IndexView::OpenWithFeatures(
                              folder / "index", open(), {.memory = ViewOptions::Memory::kPaged}));
                        }),
                        loaded);
      const Index again = Made(Index::LoadWithFeatures(folder / "index", open()));
      ExpectDone(again.CheckStructure());
      ExpectChurned(again);
    }
}

class ViewOverAStore : public ::testing::Test {
 protected:
  std::unique_ptr<FeatureStore> Disk() {
    return Made(OpenDiskFeatures(folder_ / "rows", kRowBytes));
  }
  void Save(const IndexOptions& options = StoredOptions()) {
    Index index = Made(Index::CreateWithFeatures(options, Disk()));
    InsertAll(index, 1, 101);
    ExpectDone(index.SaveWithoutVectors(path_));
  }
  Result<IndexView> View(std::unique_ptr<FeatureStore> store, const ViewOptions& options = {}) {
    return IndexView::OpenWithFeatures(path_, std::move(store), options);
  }
  Error ErrorOf(std::unique_ptr<FeatureStore> store, const ViewOptions& options = {}) {
    const Result<IndexView> view = View(std::move(store), options);
    return view ? Error{} : view.error();
  }

  const TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "index";
};

TEST_F(ViewOverAStore, AFetchThatFailsIsTheErrorOfTheCallAndTheNextOneSucceeds) {
  Save();
  const auto failures = std::make_shared<FeatureFailures>();
  const IndexView view = Made(View(std::make_unique<FailingFeatureStore>(Disk(), failures)));
  const Vector query = VectorOf(7);
  const auto fails = [&](FeatureFailures::Call call, const auto& run) {
    failures->succeed_first[call] = 0;
    const auto failed = run();
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message, HasSubstr("injected: "));
    EXPECT_EQ(failed.error().code, ErrorCode::kIo);
    EXPECT_TRUE(run());
  };
  const auto search = [&] { return view.Search(query, {.k = 3}); };
  fails(FeatureFailures::kNewReader, search);
  fails(FeatureFailures::kFetch, search);
  fails(FeatureFailures::kFetch, [&] { return view.RangeSearch(query, {.radius = 1e9f}); });
  fails(FeatureFailures::kFetch, [&] {
    Vector vector(kStoredDim);
    return view.Get(7, vector);
  });
  Pages pages = Made(view.SearchPages(query, {.k = 3}));
  fails(FeatureFailures::kFetch, [&] { return pages.Next(); });
  EXPECT_EQ(Made(search()).front().id, 7u);
}

TEST_F(ViewOverAStore, AVectorThatTheStoreHasLostIsNoHit) {
  Save();
  const IndexView view = Made(View(RamStore()));  // It has none, and was told of no slot.
  EXPECT_TRUE(Made(view.Search(VectorOf(7), {.k = 3})).empty());
  EXPECT_TRUE(Made(view.RangeSearch(VectorOf(7), {.radius = 1e9f})).empty());
  Vector vector(kStoredDim);
  EXPECT_EQ(view.Get(7, vector).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(view.Contains(7));
}

TEST_F(ViewOverAStore, WhatDoesNotGoTogetherIsRefused) {
  Save();
  EXPECT_THAT(ErrorOf(nullptr).message, HasSubstr("store: expected a feature store, found null"));
  EXPECT_THAT(ErrorOf(Made(MakeRamFeatures(kRowBytes + 4))).message,
              HasSubstr("store: row_bytes: expected 100, found 104"));
  const auto without = IndexView::Open(path_);
  EXPECT_EQ(without.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(without.error().message, HasSubstr("IndexView::OpenWithFeatures"));
  EXPECT_EQ(IndexView::OpenWithFeatures(folder_ / "none", Disk()).error().code,
            ErrorCode::kFileNotFound);
  ASSERT_TRUE(Made(Index::Create(StoredOptions())).Save(path_));
  EXPECT_EQ(ErrorOf(Disk()).code, ErrorCode::kInvalidArgument);
  Save(StoredOptions(Metric::kL2, Code::kNone));
  EXPECT_EQ(ErrorOf(Disk()).code, ErrorCode::kUnsupported);
}

TEST_F(ViewOverAStore, CopiedCodesAreComparedWithTheirChecksums) {
  Save();
  const std::string whole = ReadBytes(path_);
  std::string damaged = whole;
  damaged[4096 + 50] ^= 1;  // Rows follow the header.
  WriteBytes(path_, damaged);
  const Error error = ErrorOf(Disk(), {.memory = ViewOptions::Memory::kCopiedCodes});
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr("rows"));
  EXPECT_TRUE(View(Disk()));
  WriteBytes(path_, whole);
  EXPECT_TRUE(View(Disk(), {.memory = ViewOptions::Memory::kCopiedCodes}));
}

TEST_F(ViewOverAStore, OfNoPointsAnswers) {
  {
    ExpectDone(Made(Index::CreateWithFeatures(StoredOptions(), Disk())).SaveWithoutVectors(path_));
  }
  for (const auto memory : {ViewOptions::Memory::kMapped, ViewOptions::Memory::kCopiedCodes}) {
    const IndexView view = Made(View(Disk(), {.memory = memory}));
    EXPECT_EQ(view.size(), 0u);
    EXPECT_TRUE(Made(view.Search(VectorOf(1), {.k = 3})).empty());
  }
}

// Clusters whose points are inserted by turns.
TEST(SavedInOrderOfNeighbors, PointsOfAClusterStandTogetherAndAnswersStay) {
  constexpr ExternalId kClusters = 10, kPoints = 1000;
  const auto vector_of = [&](ExternalId id) {
    Vector vector = VectorOf(id);
    vector[id % kClusters] += 100;
    return vector;
  };
  const TempFolder folder;
  Index index = Made(Index::Create(StoredOptions(Metric::kL2, Code::kFull)));
  for (ExternalId id = 0; id < kPoints; ++id) ExpectDone(index.Insert(id, vector_of(id)));
  ExpectDone(index.Save(folder / "slots"));
  ExpectDone(index.Save(folder / "neighbors", {}, {.order = SaveOptions::Order::kNeighbors}));
  const auto in_cluster = [&](const IndexView& view) {
    size_t n = 0;
    for (size_t i = 1; i < view.size(); ++i)
      n += view.ids()[i - 1] % kClusters == view.ids()[i] % kClusters ? 1 : 0;
    return n;
  };
  const IndexView slots = Made(IndexView::Open(folder / "slots"));
  const IndexView neighbors = Made(IndexView::Open(folder / "neighbors"));
  EXPECT_EQ(in_cluster(slots), 0u);
  EXPECT_GT(in_cluster(neighbors), kPoints * 7 / 10);
  EXPECT_THAT(neighbors.ids(), ::testing::UnorderedElementsAreArray(slots.ids()));
  const Index loaded = Made(Index::Load(folder / "neighbors"));
  ExpectDone(loaded.CheckStructure());
  for (ExternalId id = 0; id < kPoints; id += 50) {
    const auto hits = Made(slots.Search(vector_of(id), {.k = 10}));
    ExpectSame(Made(neighbors.Search(vector_of(id), {.k = 10})), hits);
    ExpectSame(Made(loaded.Search(vector_of(id), {.k = 10})), hits);
  }
  ExpectDone(neighbors.Verify());
}

TEST_F(ViewOverAStore, AnOrderThatTheStoreDoesNotHaveAndFailingStoresAreRefused) {
  Index index = Made(Index::CreateWithFeatures(StoredOptions(), Disk()));
  InsertAll(index, 1, 101);
  const SaveOptions order{.order = SaveOptions::Order::kNeighbors};
  EXPECT_THAT(index.SaveWithoutVectors(path_, {}, order).error().message, HasSubstr("order: "));
  const auto wide = Made(MakeRamFeatures(kRowBytes + 4));
  EXPECT_THAT(index.SaveToFeatures(path_, *wide).error().message, HasSubstr("row_bytes"));
  for (const auto call : {FeatureFailures::kGrow, FeatureFailures::kPut, FeatureFailures::kSync}) {
    const auto failures = std::make_shared<FeatureFailures>();
    failures->succeed_first[call] = 0;
    FailingFeatureStore to(RamStore(), failures);
    EXPECT_THAT(index.SaveToFeatures(path_, to, {}, order).error().message, HasSubstr("injected"));
    EXPECT_FALSE(std::filesystem::exists(path_));
  }
  IndexOptions options = StoredOptions();
  options.rerank_code = Code::kFloat16;
  const auto to = RamStore();
  EXPECT_THAT(Made(Index::Create(options)).SaveToFeatures(path_, *to).error().message,
              HasSubstr("rerank_code"));
}

}  // namespace
}  // namespace shoal::testing
