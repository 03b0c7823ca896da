// An index whose vectors are in a feature store: the same answers from every store, the store's
// errors, rows that come and go beside searches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "shoal/feature_stores.h"
#include "shoal/index.h"
#include "shoal/testing/failing_feature_store.h"
#include "support/feature_stores_under_test.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kDim = 25;  // 100 bytes: the row_bytes of the stores under test.
using Vector = std::vector<float>;

// Follows from id and version.
Vector VectorOf(ExternalId id, uint32_t version = 0) {
  Vector vector(kDim);
  uint64_t state = id * 0x9e3779b97f4a7c15u + version;
  for (float& x : vector) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<float>(state >> 40) / static_cast<float>(1 << 24) - 0.5f;
  }
  return vector;
}

IndexOptions Options(Metric metric = Metric::kL2) {
  return {.dim = kDim,
          .metric = metric,
          .code = Code::kFloat16,
          .max_degree = 16,
          .build_list_size = 40};
}

Index Made(Result<Index> index) {
  EXPECT_TRUE(index) << index.error().message;
  return *std::move(index);
}

void InsertAll(Index& index, ExternalId begin, ExternalId end) {
  for (ExternalId id = begin; id < end; ++id) {
    const Status inserted = index.Insert(id, VectorOf(id));
    ASSERT_TRUE(inserted) << inserted.error().message;
  }
}

std::vector<Hit> Found(const Index& index, const Vector& query) {
  const auto hits = index.Search(query, {.k = 10, .search_list_size = 50});
  EXPECT_TRUE(hits) << hits.error().message;
  return hits ? *hits : std::vector<Hit>();
}

void ExpectSame(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id);
    EXPECT_EQ(a[i].distance, b[i].distance);
  }
}

class IndexFeatures : public ::testing::TestWithParam<Metric> {};

// 400 points, of which a third is deleted, and a third replaced.
void Churn(Index& index) {
  InsertAll(index, 1, 401);
  for (ExternalId id = 1; id <= 400; ++id) {
    const Status done = id % 3 == 0   ? index.Delete(id)
                        : id % 3 == 1 ? index.Upsert(id, VectorOf(id, 1))
                                      : Status();
    ASSERT_TRUE(done) << done.error().message;
  }
  InsertAll(index, 401, 451);
}

TEST_P(IndexFeatures, AnswersAreThoseOfAnIndexInMemoryBitForBit) {
  const TempFolder folder;
  const IndexOptions options = Options(GetParam());
  Index in_memory = Made(Index::Create(options));
  Churn(in_memory);
  for (const NamedStore& named : AllStores()) {
    const FeatureStoreUnderTest test = named.make(folder);
    if (test.row_bytes != kDim * sizeof(float)) continue;
    SCOPED_TRACE(named.name);
    auto store = test.make();
    ASSERT_TRUE(store) << store.error().message;
    Index index = Made(Index::CreateWithFeatures(options, *std::move(store)));
    Churn(index);
    for (ExternalId query = 1000; query < 1040; ++query)
      ExpectSame(Found(index, VectorOf(query)), Found(in_memory, VectorOf(query)));
    const Status sound = index.CheckStructure();
    EXPECT_TRUE(sound) << sound.error().message;
    for (ExternalId id = 1; id <= 450; ++id) {
      if (id <= 400 && id % 3 == 0) continue;
      Vector vector(kDim);
      ASSERT_TRUE(index.Get(id, vector));
      EXPECT_EQ(vector, VectorOf(id, id <= 400 && id % 3 == 1 ? 1 : 0));
    }
  }
}

TEST_P(IndexFeatures, ASavedIndexHasTheVectorsInItsFileAndGivesTheSameAnswers) {
  const TempFolder folder;
  auto store = OpenDiskFeatures(folder / "rows", kDim * sizeof(float));
  ASSERT_TRUE(store);
  Index index = Made(Index::CreateWithFeatures(Options(GetParam()), *std::move(store)));
  Churn(index);
  ASSERT_TRUE(index.Consolidate());
  const Status saved = index.Save(folder / "index");
  ASSERT_TRUE(saved) << saved.error().message;
  const Index loaded = Made(Index::Load(folder / "index"));
  EXPECT_EQ(loaded.size(), index.size());
  Vector vector(kDim);
  ASSERT_TRUE(loaded.Get(450, vector));
  EXPECT_EQ(vector, VectorOf(450));
  for (ExternalId query = 1000; query < 1010; ++query)
    ExpectSame(Found(loaded, VectorOf(query)), Found(index, VectorOf(query)));
}

INSTANTIATE_TEST_SUITE_P(Metrics, IndexFeatures,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine),
                         [](const auto& test) { return std::string(MetricName(test.param)); });

std::unique_ptr<FeatureStore> RamStore() {
  auto store = MakeRamFeatures(kDim * sizeof(float));
  EXPECT_TRUE(store) << store.error().message;
  return *std::move(store);
}

TEST(IndexFeaturesErrors, AStoreThatDoesNotGoWithTheOptionsIsRefused) {
  const auto error = [](const IndexOptions& options, std::unique_ptr<FeatureStore> store) {
    const auto index = Index::CreateWithFeatures(options, std::move(store));
    return index ? "" : index.error().message;
  };
  IndexOptions wider = Options();
  wider.dim = 26;
  EXPECT_THAT(error(wider, RamStore()), HasSubstr("store: row_bytes: expected 104"));
  EXPECT_THAT(error(Options(), nullptr), HasSubstr("store: expected a feature store, found null"));
  IndexOptions reranked = Options();
  reranked.rerank_code = Code::kFloat16;
  EXPECT_THAT(error(reranked, RamStore()), HasSubstr("rerank_code: expected full"));
}

class IndexOverFailingStore : public ::testing::Test {
 protected:
  void SetUp() override { InsertAll(index_, 1, 101); }
  // The next call of this kind fails.
  void Fail(FeatureFailures::Call call) { failures_->succeed_first[call] = 0; }
  const std::shared_ptr<FeatureFailures> failures_ = std::make_shared<FeatureFailures>();
  Index index_ = Made(Index::CreateWithFeatures(
      Options(), std::make_unique<FailingFeatureStore>(RamStore(), failures_)));
};

TEST_F(IndexOverFailingStore, AnInsertOrUpsertThatCannotPutLeavesNothingBehind) {
  Fail(FeatureFailures::kPut);
  const Status inserted = index_.Insert(500, VectorOf(500));
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().message, "injected: Put");
  EXPECT_FALSE(index_.Contains(500));
  Fail(FeatureFailures::kPut);
  EXPECT_FALSE(index_.Upsert(7, VectorOf(7, 1)));
  Vector vector(kDim);
  ASSERT_TRUE(index_.Get(7, vector));
  EXPECT_EQ(vector, VectorOf(7));
  EXPECT_EQ(index_.size(), 100u);
  EXPECT_TRUE(index_.CheckStructure());
  InsertAll(index_, 500, 501);
  EXPECT_EQ(Found(index_, VectorOf(500)).front().id, 500u);
}

TEST_F(IndexOverFailingStore, AFetchThatFailsIsTheErrorOfItsCallAlone) {
  Fail(FeatureFailures::kFetch);
  const auto hits = index_.Search(VectorOf(3));
  ASSERT_FALSE(hits);
  EXPECT_EQ(hits.error().code, ErrorCode::kIo);
  EXPECT_EQ(hits.error().message, "injected: Fetch");
  Fail(FeatureFailures::kFetch);
  Vector vector(kDim);
  EXPECT_FALSE(index_.Get(3, vector));
  Fail(FeatureFailures::kFetch);
  EXPECT_FALSE(index_.RangeSearch(VectorOf(3), {.radius = 1}));
  EXPECT_EQ(Found(index_, VectorOf(3)).front().distance, 0.0f);
  EXPECT_EQ(failures_->failed, 3u);
}

TEST_F(IndexOverFailingStore, AStoreThatCannotGrowOrReadFailsTheCallAndIsAskedAgain) {
  Fail(FeatureFailures::kGrow);
  ExternalId id = 1000;
  Status inserted;
  for (; inserted && id < 10000; ++id) inserted = index_.Insert(id, VectorOf(id));
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().message, "injected: Grow");
  InsertAll(index_, 20000, 20001);
  Index fresh = Made(Index::CreateWithFeatures(
      Options(), std::make_unique<FailingFeatureStore>(RamStore(), failures_)));
  InsertAll(fresh, 1, 2);
  Fail(FeatureFailures::kNewReader);
  EXPECT_FALSE(fresh.Search(VectorOf(1)));
  EXPECT_EQ(Found(fresh, VectorOf(1)).size(), 1u);
}

// Says at its end whether readers were left; loses rows.
class Watched final : public FeatureStore {
 public:
  explicit Watched(std::atomic<int64_t>& readers_left) : readers_left_(readers_left) {}
  ~Watched() override { readers_left_ = static_cast<int64_t>(store_->Stats().readers); }
  size_t row_bytes() const override { return store_->row_bytes(); }
  Status Grow(uint32_t slots) override { return store_->Grow(slots); }
  Status Put(FeatureKey key, const std::byte* row) override { return store_->Put(key, row); }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    return store_->NewReader(max_rows);
  }
  // The row is there under another id.
  void Lose(FeatureKey key) {
    EXPECT_TRUE(store_->Put({key.slot, ~key.id}, conformance::Row(row_bytes(), key, 0).data()));
  }

 private:
  std::atomic<int64_t>& readers_left_;
  const std::unique_ptr<FeatureStore> store_ = RamStore();
};

TEST(IndexFeaturesLife, ReadersDieBeforeTheStore) {
  std::atomic<int64_t> left{-1};
  {
    Index index = Made(Index::CreateWithFeatures(Options(), std::make_unique<Watched>(left)));
    InsertAll(index, 1, 50);
    EXPECT_EQ(Found(index, VectorOf(9)).front().id, 9u);
  }
  EXPECT_EQ(left, 0);
}

TEST(IndexFeaturesLife, APointWhoseRowIsLostIsNoHitAndTheOthersAre) {
  std::atomic<int64_t> left{-1};
  auto owned = std::make_unique<Watched>(left);
  Watched& store = *owned;
  Index index = Made(Index::CreateWithFeatures(Options(), std::move(owned)));
  InsertAll(index, 1, 50);
  store.Lose({9, 9});  // Slot 0 is the start point's.
  Vector vector(kDim);
  const Status got = index.Get(9, vector);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(got.error().message, HasSubstr("id 9: its vector is not in the feature store"));
  const std::vector<Hit> hits = Found(index, VectorOf(9));
  EXPECT_EQ(hits.size(), 10u);
  for (const Hit& hit : hits) EXPECT_NE(hit.id, 9u);
}

TEST(IndexFeaturesLife, RangeSearchGivesWhatIsWithinByTheStoredVectors) {
  Index index = Made(Index::CreateWithFeatures(Options(), RamStore()));
  InsertAll(index, 1, 300);
  const auto all = index.Search(VectorOf(5), {.k = 299, .search_list_size = 400, .rerank = 400});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 299u);
  const float radius = (*all)[20].distance;
  const auto within = index.RangeSearch(VectorOf(5), {.radius = radius});
  ASSERT_TRUE(within);
  ASSERT_GE(within->size(), 20u);  // The last is at the radius: its code may be beyond it.
  ExpectSame({within->begin(), within->begin() + 20}, {all->begin(), all->begin() + 20});
}

TEST(IndexFeaturesLife, CompactMovesRowsAlong) {
  const TempFolder folder;
  auto store = OpenDiskFeatures(folder / "rows", kDim * sizeof(float), {.cache_bytes = 1 << 16});
  ASSERT_TRUE(store);
  Index index = Made(Index::CreateWithFeatures(Options(), *std::move(store)));
  InsertAll(index, 1, 301);
  for (ExternalId id = 1; id <= 200; ++id) ASSERT_TRUE(index.Delete(id));
  ASSERT_TRUE(index.Compact({.threads = 2}));
  EXPECT_LT(index.Stats().slots_used, 200u);
  for (ExternalId id = 201; id <= 300; ++id) {
    Vector vector(kDim);
    ASSERT_TRUE(index.Get(id, vector));
    EXPECT_EQ(vector, VectorOf(id));
  }
}

TEST(IndexFeaturesConcurrency, SearchesAndGetsSeeWholeVectorsOfTheirIdsBesideWriters) {
  const TempFolder folder;
  auto store = OpenDiskFeatures(folder / "rows", kDim * sizeof(float), {.cache_bytes = 1 << 15});
  ASSERT_TRUE(store);
  Index index = Made(Index::CreateWithFeatures(Options(), *std::move(store)));
  constexpr ExternalId kIds = 200;
  InsertAll(index, 0, kIds);
  std::atomic<bool> done{false};
  std::atomic<uint64_t> gets{0};
  std::vector<std::thread> threads;
  for (ExternalId first = 0; first < 2; ++first)
    threads.emplace_back([&, first] {
      for (uint32_t version = 1; version <= 4; ++version)
        for (ExternalId id = first; id < kIds; id += 2) {
          const Status upserted = index.Upsert(id, VectorOf(id, version));
          EXPECT_TRUE(upserted) << upserted.error().message;
        }
    });
  for (int reader = 0; reader < 2; ++reader)
    threads.emplace_back([&] {
      Vector vector(kDim);
      for (ExternalId id = 0; !done; id = (id + 7) % kIds) {
        const Status got = index.Get(id, vector);
        ASSERT_TRUE(got) << got.error().message;
        bool is_one = false;
        for (uint32_t version = 0; version <= 4; ++version)
          is_one = is_one || vector == VectorOf(id, version);
        ASSERT_TRUE(is_one) << "id " << id;
        for (const Hit& hit : Found(index, vector)) ASSERT_LT(hit.id, kIds);
        ++gets;
      }
    });
  threads[0].join();
  threads[1].join();
  while (gets < 100) std::this_thread::yield();
  done = true;
  threads[2].join();
  threads[3].join();
  const Status sound = index.CheckStructure();
  EXPECT_TRUE(sound) << sound.error().message;
}

}  // namespace
}  // namespace shoal::testing
