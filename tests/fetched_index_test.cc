// An index that has the graph alone in memory, and fetches every row from its feature store: it is
// the index in memory, bit for bit; a fetch that fails, wherever, leaves a sound index behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "shoal/feature_stores.h"
#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/testing/failing_feature_store.h"
#include "support/feature_stores_under_test.h"
#include "support/stored_index.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

using ::testing::HasSubstr;

constexpr size_t kRowBytes = kStoredDim * sizeof(float);

IndexOptions Fetched(Metric metric = Metric::kL2) { return StoredOptions(metric, Code::kNone); }

Index Over(std::unique_ptr<FeatureStore> store, const IndexOptions& options = Fetched()) {
  return Made(Index::CreateWithFeatures(options, std::move(store)));
}

void ExpectSound(const Index& index) {
  const Status sound = index.CheckStructure();
  EXPECT_TRUE(sound) << sound.error().message;
}

// The same answers to searches of every kind.
void ExpectSameAnswers(const Index& a, const Index& b) {
  const Filter odd =
      Filter::Where([](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
        for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 2;
      });
  for (ExternalId query = 1000; query < 1020; ++query) {
    const Vector vector = VectorOf(query);
    ExpectSame(Found(a, vector), Found(b, vector));
    const auto filtered = [&](const Index& index) {
      return Made(index.Search(vector, {.k = 10, .search_list_size = 30, .filter = &odd}));
    };
    ExpectSame(filtered(a), filtered(b));
    const auto within = [&](const Index& index) {
      return Made(index.RangeSearch(vector, {.radius = Found(a, vector).back().distance}));
    };
    ExpectSame(within(a), within(b));
    Pages of_a = Made(a.SearchPages(vector, {.k = 15}));
    Pages of_b = Made(b.SearchPages(vector, {.k = 15}));
    for (int page = 0; page < 3; ++page) ExpectSame(Made(of_a.Next()), Made(of_b.Next()));
  }
}

class FetchedIndex : public ::testing::TestWithParam<Metric> {};

TEST_P(FetchedIndex, IsTheIndexInMemoryBitForBitOverEveryStore) {
  const TempFolder folder;
  Index in_memory = Made(Index::Create(StoredOptions(GetParam(), Code::kFull)));
  Churn(in_memory);
  for (const NamedStore& named : AllStores()) {
    // Every hop of every search and insert is a few calls of the system.
    if (named.name == "DiskPreadDirect") continue;
    if (GetParam() != Metric::kL2 && named.name != "DiskBestCached") continue;
    const FeatureStoreUnderTest test = named.make(folder);
    if (test.row_bytes != kRowBytes) continue;
    SCOPED_TRACE(named.name);
    auto store = test.make();
    ASSERT_TRUE(store) << store.error().message;
    Index index = Over(*std::move(store), Fetched(GetParam()));
    Churn(index);
    EXPECT_EQ(index.Stats().edges, in_memory.Stats().edges);
    EXPECT_EQ(index.Stats().memory.vectors, 0u);
    ExpectSameAnswers(index, in_memory);
    ExpectSound(index);
    ExpectChurned(index);
  }
}

TEST_P(FetchedIndex, IsSavedWithAndWithoutItsVectors) {
  const TempFolder folder;
  const auto open = [&] { return Made(OpenDiskFeatures(folder / "rows", kRowBytes)); };
  Index in_memory = Made(Index::Create(StoredOptions(GetParam(), Code::kFull)));
  Churn(in_memory);
  {
    Index index = Over(open(), Fetched(GetParam()));
    Churn(index);
    ExpectDone(index.Consolidate());
    ExpectDone(index.Save(folder / "all"));
    ExpectDone(index.SaveWithoutVectors(folder / "graph"));
  }
  const Index all = Made(Index::Load(folder / "all"));
  EXPECT_EQ(all.options().code, Code::kFull);
  ExpectSameAnswers(all, in_memory);
  ExpectChurned(all);
  Index reopened = Made(Index::LoadWithFeatures(folder / "graph", open()));
  EXPECT_EQ(reopened.options().code, Code::kNone);
  ExpectSameAnswers(reopened, in_memory);
  ExpectChurned(reopened);
  for (ExternalId id = 500; id < 600; ++id) {
    ExpectDone(reopened.Insert(id, VectorOf(id)));
    ExpectDone(in_memory.Insert(id, VectorOf(id)));
    if (id % 4 != 0) continue;
    ExpectDone(reopened.Delete(401 + (id - 500) / 4));
    ExpectDone(in_memory.Delete(401 + (id - 500) / 4));
  }
  ExpectSound(reopened);
  for (ExternalId id = 500; id < 600; ++id)
    EXPECT_EQ(reopened.Contains(id), in_memory.Contains(id)) << "id " << id;
}

TEST_P(FetchedIndex, CompactsAndRefinesAsTheIndexInMemory) {
  Index index = Over(RamStore(), Fetched(GetParam()));
  Index in_memory = Made(Index::Create(StoredOptions(GetParam(), Code::kFull)));
  for (Index* each : {&index, &in_memory}) {
    Churn(*each);
    ASSERT_TRUE(each->Compact({.threads = 1}));
    ASSERT_TRUE(each->Refine({.threads = 1}));
    ExpectSound(*each);
  }
  ExpectSameAnswers(index, in_memory);
  ExpectChurned(index);
}

INSTANTIATE_TEST_SUITE_P(Metrics, FetchedIndex,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine),
                         [](const auto& test) { return std::string(MetricName(test.param)); });

TEST(FetchedIndexOptions, CodeNoneTakesAStoreAndOrdersHitsItself) {
  const auto error = [](const Result<Index>& index) {
    return index ? std::string() : index.error().message;
  };
  EXPECT_THAT(error(Index::Create(Fetched())), HasSubstr("without a feature store, found none"));
  IndexOptions options = StoredOptions();
  options.rerank_code = Code::kNone;
  EXPECT_THAT(error(Index::Create(options)), HasSubstr("rerank_code: expected one that orders"));
  EXPECT_EQ(ParseCode(CodeName(Code::kNone)), Code::kNone);
}

// Calls a function before each fetch, and counts them.
class Hooked final : public FeatureStore {
 public:
  explicit Hooked(const std::function<void(size_t)>& hook) : hook_(hook) {}
  size_t row_bytes() const override { return store_->row_bytes(); }
  Status Grow(uint32_t slots) override { return store_->Grow(slots); }
  Status Put(FeatureKey key, const std::byte* row) override { return store_->Put(key, row); }
  void Free(FeatureKey key) override { store_->Free(key); }
  Result<std::unique_ptr<FeatureReader>> NewReader(size_t max_rows) override {
    return std::make_unique<Reader>(Made(store_->NewReader(max_rows)), hook_);
  }

 private:
  class Reader final : public FeatureReader {
   public:
    Reader(std::unique_ptr<FeatureReader> reader, const std::function<void(size_t)>& hook)
        : reader_(std::move(reader)), hook_(hook) {}
    Result<size_t> Fetch(std::span<const FeatureKey> keys,
                         std::span<const std::byte*> rows) override {
      hook_(keys.size());
      return reader_->Fetch(keys, rows);
    }

   private:
    const std::unique_ptr<FeatureReader> reader_;
    const std::function<void(size_t)>& hook_;
  };
  const std::unique_ptr<FeatureStore> store_ = RamStore();
  const std::function<void(size_t)>& hook_;
};

TEST(FetchedIndexCalls, ASearchFetchesTheRowsOfAHopWithOneCall) {
  size_t calls = 0, rows = 0;
  const std::function<void(size_t)> count = [&](size_t n) {
    ++calls;
    rows += n;
  };
  Index index = Over(std::make_unique<Hooked>(count));
  InsertAll(index, 1, 401);
  calls = rows = 0;
  WorkCounters work;
  std::vector<ExternalId> ids(10);
  ASSERT_TRUE(index.Search(VectorOf(1000), {.k = 10, .search_list_size = 40}, ids, {}, &work));
  EXPECT_LE(calls, work.hops + 2);  // And the start point, with the seeds.
  EXPECT_EQ(rows + 1, work.distances);
}

TEST(FetchedIndexCalls, NoFetchIsMadeUnderTheLockOfAnId) {
  Index* index = nullptr;
  const std::function<void(size_t)> look_up = [&](size_t) {
    for (ExternalId id = 0; id < 500 && index != nullptr; ++id) (void)index->Contains(id);
  };
  Index made = Over(std::make_unique<Hooked>(look_up));
  InsertAll(made, 1, 101);
  index = &made;
  InsertAll(made, 101, 131);
  for (ExternalId id = 1; id <= 60; ++id) ExpectDone(made.Delete(id));
  for (ExternalId id = 100; id <= 110; ++id) ExpectDone(made.Upsert(id, VectorOf(id, 1)));
  ASSERT_TRUE(made.Compact({.threads = 1}));
  ExpectSound(made);
}

class FetchedIndexOverFailingStore : public ::testing::Test {
 protected:
  void SetUp() override { InsertAll(index_, 1, 151); }
  // Fetches succeed so often; then one fails, or all.
  void FailAfter(int64_t fetches, bool all = false) {
    failures_->failed = 0;
    failures_->stays_broken = all;
    failures_->succeed_first[FeatureFailures::kFetch] = fetches;
  }
  void Mend() {
    failures_->stays_broken = false;
    failures_->succeed_first[FeatureFailures::kFetch] = -1;
  }
  // Calls write(id) with ids from `first` on until its fetches, fewer than those that succeed, are
  // not met by a failure. Returns how many calls have failed.
  int FailEverywhere(ExternalId first, const std::function<Status(ExternalId)>& write,
                     const std::function<void(ExternalId, const Status&)>& check) {
    int failed = 0;
    for (int64_t fetches = 0; fetches < 1000; ++fetches) {
      for (const bool all : {false, true}) {
        FailAfter(fetches, all);
        const ExternalId id = first++;
        const Status done = write(id);
        const bool was_met = failures_->failed > 0;
        Mend();
        check(id, done);
        ExpectSound(index_);
        failed += done ? 0 : 1;
        if (!was_met) return failed;
      }
    }
    ADD_FAILURE() << "a call without end";
    return failed;
  }

  const std::shared_ptr<FeatureFailures> failures_ = std::make_shared<FeatureFailures>();
  Index index_ = Over(std::make_unique<FailingFeatureStore>(RamStore(), failures_));
};

TEST_F(FetchedIndexOverFailingStore, AnInsertThatCannotFetchLeavesNothingBehind) {
  size_t points = index_.size();
  const int failed = FailEverywhere(
      1000, [&](ExternalId id) { return index_.Insert(id, VectorOf(id)); },
      [&](ExternalId id, const Status& done) {
        points += done ? 1 : 0;
        EXPECT_EQ(index_.Contains(id), done.has_value());
        EXPECT_EQ(index_.size(), points);
        if (done) return;
        EXPECT_EQ(done.error().message, "injected: Fetch");
      });
  EXPECT_GT(failed, 10);
  ExpectDone(index_.Consolidate());
  ExpectSound(index_);
}

TEST_F(FetchedIndexOverFailingStore, AnUpsertThatCannotFetchLeavesTheFormerVector) {
  const int failed = FailEverywhere(
      1, [&](ExternalId id) { return index_.Upsert(id % 150 + 1, VectorOf(id, 1)); },
      [&](ExternalId id, const Status& done) {
        if (done) return;
        Vector vector(kStoredDim);
        ExpectDone(index_.Get(id % 150 + 1, vector));
        EXPECT_NE(vector, VectorOf(id, 1));
        EXPECT_EQ(index_.size(), 150u);
      });
  EXPECT_GT(failed, 10);
  ExpectDone(index_.Consolidate());
  ExpectSound(index_);
}

TEST_F(FetchedIndexOverFailingStore, ADeleteIsDoneAndItsRepairIsTriedAgain) {
  FailEverywhere(
      1, [&](ExternalId id) { return index_.Delete(id); },
      [&](ExternalId id, const Status& done) {
        ExpectDone(done);
        EXPECT_FALSE(index_.Contains(id));
      });
  ExpectDone(index_.Consolidate());
  EXPECT_EQ(index_.Stats().pending_repairs, 0u);
  ExpectSound(index_);
  for (ExternalId id = 100; id <= 150; ++id) EXPECT_EQ(Found(index_, VectorOf(id)).front().id, id);
}

TEST_F(FetchedIndexOverFailingStore, RepairsOverAStoreThatStaysBrokenComeToAnEnd) {
  FailAfter(0, true);
  for (ExternalId id = 1; id <= 100; ++id) ExpectDone(index_.Delete(id));
  ExpectDone(index_.Consolidate());
  EXPECT_EQ(index_.Stats().pending_repairs, 0u);
  EXPECT_FALSE(index_.Search(VectorOf(120)));
  Mend();
  ExpectSound(index_);
  for (ExternalId id = 101; id <= 150; ++id) EXPECT_EQ(Found(index_, VectorOf(id)).front().id, id);
}

TEST_F(FetchedIndexOverFailingStore, ASearchHasTheErrorAndTheNextIsWhole) {
  const std::vector<Hit> expected = Found(index_, VectorOf(3));
  int64_t fetches = 0;
  for (;; ++fetches) {
    FailAfter(fetches);
    const auto hits = index_.Search(VectorOf(3), {.k = 10, .search_list_size = 50});
    const bool was_met = failures_->failed > 0;
    Mend();
    ASSERT_EQ(hits.has_value(), !was_met);
    if (!was_met) break;
    EXPECT_EQ(hits.error().code, ErrorCode::kIo);
    ExpectSame(Found(index_, VectorOf(3)), expected);
  }
  EXPECT_GT(fetches, 3);
  FailAfter(2);
  EXPECT_FALSE(index_.RangeSearch(VectorOf(3), {.radius = 1}));
  const Filter all = Filter::Where([](std::span<const ExternalId>, std::span<uint8_t> accepted) {
    std::fill(accepted.begin(), accepted.end(), uint8_t{1});
  });
  FailAfter(0);
  EXPECT_FALSE(index_.Search(VectorOf(3), {.filter = &all}));
}

TEST_F(FetchedIndexOverFailingStore, PagesGoOnAfterAnErrorAndHandOutEveryPointOnce) {
  Pages pages = Made(index_.SearchPages(VectorOf(3), {.k = 20, .search_list_size = 20}));
  std::vector<ExternalId> ids;
  for (int page = 0; page < 30 && ids.size() < 150; ++page) {
    if (page % 3 == 1) FailAfter(1);
    const auto hits = pages.Next();
    Mend();
    if (!hits) continue;
    for (const Hit& hit : *hits) ids.push_back(hit.id);
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
  EXPECT_EQ(ids.size(), 150u);
}

TEST_F(FetchedIndexOverFailingStore, ASaveThatCannotFetchIsAnError) {
  const TempFolder folder;
  FailAfter(20);
  EXPECT_FALSE(index_.Save(folder / "index"));
  Mend();
  ExpectDone(index_.Save(folder / "index"));
}

}  // namespace
}  // namespace shoal::testing
