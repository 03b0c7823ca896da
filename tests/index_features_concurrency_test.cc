// An index whose vectors are in a feature store: the same answers from every store, the store's
// errors, rows that come and go beside searches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "shoal/feature_stores.h"
#include "shoal/index.h"
#include "shoal/testing/failing_feature_store.h"
#include "support/feature_stores_under_test.h"
#include "support/stored_index.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kDim = kStoredDim;

class IndexFeatures : public ::testing::TestWithParam<Metric> {};

TEST_P(IndexFeatures, AnswersAreThoseOfAnIndexInMemoryBitForBit) {
  const TempFolder folder;
  const IndexOptions options = StoredOptions(GetParam());
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
    ExpectChurned(index);
  }
}

TEST_P(IndexFeatures, ASavedIndexHasTheVectorsInItsFileAndGivesTheSameAnswers) {
  const TempFolder folder;
  auto store = OpenDiskFeatures(folder / "rows", kDim * sizeof(float));
  ASSERT_TRUE(store);
  Index index = Made(Index::CreateWithFeatures(StoredOptions(GetParam()), *std::move(store)));
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

TEST(IndexFeaturesErrors, AStoreThatDoesNotGoWithTheOptionsIsRefused) {
  const auto error = [](const IndexOptions& options, std::unique_ptr<FeatureStore> store) {
    const auto index = Index::CreateWithFeatures(options, std::move(store));
    return index ? "" : index.error().message;
  };
  IndexOptions wider = StoredOptions();
  wider.dim = 26;
  EXPECT_THAT(error(wider, RamStore()), HasSubstr("store: row_bytes: expected 104"));
  EXPECT_THAT(error(StoredOptions(), nullptr),
              HasSubstr("store: expected a feature store, found null"));
  IndexOptions reranked = StoredOptions();
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
      StoredOptions(), std::make_unique<FailingFeatureStore>(RamStore(), failures_)));
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
      StoredOptions(), std::make_unique<FailingFeatureStore>(RamStore(), failures_)));
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
    Index index = Made(Index::CreateWithFeatures(StoredOptions(), std::make_unique<Watched>(left)));
    InsertAll(index, 1, 50);
    EXPECT_EQ(Found(index, VectorOf(9)).front().id, 9u);
  }
  EXPECT_EQ(left, 0);
}

TEST(IndexFeaturesLife, APointWhoseRowIsLostIsNoHitAndTheOthersAre) {
  std::atomic<int64_t> left{-1};
  auto owned = std::make_unique<Watched>(left);
  Watched& store = *owned;
  Index index = Made(Index::CreateWithFeatures(StoredOptions(), std::move(owned)));
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
  Index index = Made(Index::CreateWithFeatures(StoredOptions(), RamStore()));
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
  Index index = Made(Index::CreateWithFeatures(StoredOptions(), *std::move(store)));
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

// Knows which rows it has, and is asked to put no second one into a slot. Thread-safe.
class Counting final : public FeatureStore {
 public:
  size_t row_bytes() const override { return store_->row_bytes(); }
  Status Grow(uint32_t slots) override { return store_->Grow(slots); }
  Status Put(FeatureKey key, const std::byte* row) override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(rows_.count(key.slot), 0u) << "slot " << key.slot;
    rows_[key.slot] = key.id;
    return store_->Put(key, row);
  }
  void Free(FeatureKey key) override {
    const std::lock_guard lock(mutex_);
    const auto row = rows_.find(key.slot);
    if (row != rows_.end() && row->second == key.id) rows_.erase(row);
  }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override;
  // The ids of all rows, ascending.
  std::vector<ExternalId> Ids() const {
    const std::lock_guard lock(mutex_);
    std::vector<ExternalId> ids;
    for (const auto& [slot, id] : rows_) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  // What a fetch waits for when it has looked for its rows.
  std::function<void()> before_rows_are_read = [] {};

 private:
  class Reader;
  const std::unique_ptr<FeatureStore> store_ = RamStore();
  mutable std::mutex mutex_;
  std::map<uint32_t, ExternalId> rows_;
};

class Counting::Reader final : public FeatureReader {
 public:
  Reader(std::unique_ptr<FeatureReader> reader, Counting& store)
      : reader_(std::move(reader)), store_(store) {}
  Result<size_t> Fetch(std::span<const FeatureKey> keys,
                       std::span<const std::byte*> rows) override {
    store_.before_rows_are_read();
    {
      const std::lock_guard lock(store_.mutex_);
      for (const FeatureKey key : keys) {
        const auto row = store_.rows_.find(key.slot);
        EXPECT_TRUE(row != store_.rows_.end() && row->second == key.id) << "slot " << key.slot;
      }
    }
    return reader_->Fetch(keys, rows);
  }

 private:
  const std::unique_ptr<FeatureReader> reader_;
  Counting& store_;
};

Result<std::unique_ptr<FeatureReader>> Counting::NewReader(size_t max_rows) {
  Result<std::unique_ptr<FeatureReader>> reader = store_->NewReader(max_rows);
  if (!reader) return reader;
  return std::make_unique<Reader>(*std::move(reader), *this);
}

std::vector<ExternalId> Sorted(std::vector<ExternalId> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

// With a code in memory, or the graph alone.
class IndexFeaturesFree : public ::testing::TestWithParam<Code> {
 protected:
  IndexOptions options() const { return StoredOptions(Metric::kL2, GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Codes, IndexFeaturesFree, ::testing::Values(Code::kFloat16, Code::kNone),
                         [](const auto& test) { return std::string(CodeName(test.param)); });

TEST_P(IndexFeaturesFree, AtRestTheStoreHasTheRowsOfLivePointsAndNoOthers) {
  auto owned = std::make_unique<Counting>();
  const Counting& store = *owned;
  Index index = Made(Index::CreateWithFeatures(options(), std::move(owned)));
  Churn(index);
  EXPECT_FALSE(index.Insert(401, VectorOf(7)));  // Already there.
  ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(store.Ids(), Sorted(*index.Ids()));
  for (ExternalId id = 1; id <= 300; ++id) (void)index.Delete(id);
  ASSERT_TRUE(index.Compact({.threads = 2}));
  EXPECT_EQ(store.Ids(), Sorted(*index.Ids()));
  ASSERT_TRUE(index.Clear());
  EXPECT_THAT(store.Ids(), IsEmpty());
}

TEST(IndexFeaturesSearch, ARowIsNotFreedWhileASearchThatMetItsPointMayFetchIt) {
  auto owned = std::make_unique<Counting>();
  Counting& store = *owned;
  Index index = Made(Index::CreateWithFeatures(StoredOptions(), std::move(owned)));
  InsertAll(index, 1, 101);
  std::latch is_fetching{1}, may_fetch{1};
  store.before_rows_are_read = [&] {
    is_fetching.count_down();
    may_fetch.wait();
  };
  std::thread searcher([&] {
    const std::vector<Hit> hits = Found(index, VectorOf(9));  // Its fetch expects all rows.
    EXPECT_EQ(hits.front().id, 9u);
  });
  is_fetching.wait();
  for (ExternalId id = 1; id <= 50; ++id) ASSERT_TRUE(index.Delete(id));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(store.Ids().size(), 100u);
  may_fetch.count_down();
  searcher.join();
  store.before_rows_are_read = [] {};
  ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(store.Ids(), Sorted(*index.Ids()));
}

TEST_P(IndexFeaturesFree, WritersOfTheSameIdsLeaveNoRowBehind) {
  auto owned = std::make_unique<Counting>();
  const Counting& store = *owned;
  Index index = Made(Index::CreateWithFeatures(options(), std::move(owned)));
  std::vector<std::thread> threads;
  for (uint32_t writer = 0; writer < 4; ++writer)
    threads.emplace_back([&, writer] {
      for (uint32_t i = 0; i < 300; ++i) {
        const ExternalId id = (i * 7 + writer) % 40;
        const auto call = (i + writer) % 3;
        const Status done = call == 0   ? index.Insert(id, VectorOf(id, writer))
                            : call == 1 ? index.Upsert(id, VectorOf(id, writer))
                                        : index.Delete(id);
        if (done) continue;
        EXPECT_THAT(done.error().code, AnyOf(ErrorCode::kAlreadyExists, ErrorCode::kNotFound));
      }
    });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(index.Consolidate());
  EXPECT_EQ(store.Ids(), Sorted(*index.Ids()));
}

TEST_P(IndexFeaturesFree, SearchesAndGetsSeeWholeVectorsOfTheirIdsBesideWriters) {
  const TempFolder folder;
  auto store = OpenDiskFeatures(folder / "rows", kDim * sizeof(float), {.cache_bytes = 1 << 15});
  ASSERT_TRUE(store);
  Index index = Made(Index::CreateWithFeatures(options(), *std::move(store)));
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
