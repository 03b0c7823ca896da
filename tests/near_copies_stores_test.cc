// Points that codes do not tell apart: one row, and copies of it with a little noise. Vectors then
// decide, in memory as in a feature store, in searches of every kind (docs/codes.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <random>

#include "shoal/feature_stores.h"
#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/testing/failing_feature_store.h"
#include "support/stored_index.h"
#include "temp_folder.h"

namespace shoal::testing {
namespace {

constexpr uint32_t kDim = 128;
constexpr ExternalId kOthers = 400, kCopies = 300;  // The copies, of row 0, come behind the others.
constexpr ExternalId kRows = kOthers + kCopies;
constexpr ExternalId kMore = 30;  // Copies that are not inserted at first.
constexpr float kNoise = .02f;

const std::vector<float>& Rows() {
  static const std::vector<float> rows = [] {
    std::mt19937_64 random(11);
    std::normal_distribution<float> normal;
    std::vector<float> all((kRows + kMore) * kDim);
    for (size_t i = 0; i < all.size(); ++i)
      all[i] = i < kOthers * kDim ? normal(random) : all[i % kDim] + kNoise * normal(random);
    for (size_t row = 0; row < all.size(); row += kDim) {  // As inner products want it.
      const auto begin = all.begin() + static_cast<ptrdiff_t>(row);
      const float norm = std::sqrt(std::inner_product(begin, begin + kDim, begin, 0.0f) / kDim);
      std::for_each(begin, begin + kDim, [norm](float& x) { x /= norm; });
    }
    return all;
  }();
  return rows;
}
VectorView Row(ExternalId id) { return std::span(Rows()).subspan(id * kDim, kDim); }

IndexOptions Coded(Metric metric) {
  return {.dim = kDim, .metric = metric, .code = Code::kRq4, .max_degree = 24};
}
std::unique_ptr<FeatureStore> Store() { return Made(MakeRamFeatures(kDim * sizeof(float))); }

// Every other copy among others, so that groups form while the graph grows.
void Fill(Index& index) {
  std::vector<ExternalId> order(kRows);
  std::iota(order.begin(), order.end(), ExternalId{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(3));
  for (const ExternalId id : order) ExpectDone(index.Insert(id, Row(id)));
}

Filter OddIds() {
  return Filter::Where([](std::span<const ExternalId> ids, std::span<uint8_t> accepted) {
    for (size_t i = 0; i < ids.size(); ++i) accepted[i] = ids[i] % 2;
  });
}
// Half of the copies and nothing else: few enough for a scan.
Filter OddCopies() {
  std::vector<ExternalId> ids;
  for (ExternalId id = kOthers + 1; id < kRows; id += 2) ids.push_back(id);
  return Filter::Ids(ids);
}

// So that a few of the copies are within, and no other.
float RadiusAt(Metric metric) {
  const float l2 = 1.9f * kDim * kNoise * kNoise;
  if (metric == Metric::kL2) return l2;
  return metric == Metric::kCosine ? l2 / 2 / kDim : -(kDim - l2 / 2);
}

class NearCopiesOf : public ::testing::TestWithParam<Metric> {};
INSTANTIATE_TEST_SUITE_P(Metrics, NearCopiesOf,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine),
                         [](const auto& test) { return std::string(MetricName(test.param)); });

// Of an index or a view, the hits of searches of every kind.
template <class Searched>
std::vector<std::vector<Hit>> AllHits(const Searched& index, ExternalId query, Metric metric) {
  const Filter odd = OddIds(), copies = OddCopies();
  std::vector<std::vector<Hit>> all;
  all.push_back(Made(index.Search(Row(query), {.k = 10})));
  all.push_back(Made(index.Search(Row(query), {.k = 10, .filter = &odd})));
  all.push_back(Made(index.Search(Row(query), {.k = 10, .filter = &copies})));
  all.push_back(Made(index.RangeSearch(Row(query), {.radius = RadiusAt(metric)})));
  for (const Filter* const filter : {static_cast<const Filter*>(nullptr), &odd, &copies}) {
    Pages pages = Made(index.SearchPages(Row(query), {.k = 10, .filter = filter}));
    all.push_back({});
    for (int page = 0; page < 3; ++page)
      for (const Hit& hit : Made(pages.Next())) all.back().push_back(hit);
  }
  return all;
}

TEST_P(NearCopiesOf, HaveTheSameHitsWhereverTheVectorsAre) {
  Index in_memory = Made(Index::Create(Coded(GetParam())));
  Index stored = Made(Index::CreateWithFeatures(Coded(GetParam()), Store()));
  for (Index* const index : {&in_memory, &stored}) {
    Fill(*index);
    for (ExternalId id = kOthers; id < kRows; id += 3) ExpectDone(index->Delete(id));
    for (ExternalId id = kRows; id < kRows + kMore; ++id)
      ExpectDone(index->Upsert(id - kMore, Row(id)));
    ASSERT_TRUE(index->Compact({.threads = 1}));
    ExpectDone(index->CheckStructure());
  }
  EXPECT_EQ(stored.Stats().edges, in_memory.Stats().edges);
  for (ExternalId query = 0; query < kRows; query += query < kOthers ? 50 : 7) {
    const auto expected = AllHits(in_memory, query, GetParam());
    const auto found = AllHits(stored, query, GetParam());
    for (const size_t kind : {0, 3, 4}) {  // Not with a filter: in memory scans are exact.
      SCOPED_TRACE(::testing::Message() << "query " << query << ", kind " << kind);
      ExpectSame(found[kind], expected[kind]);
    }
  }
}

float DistanceOf(Metric metric, ExternalId a, ExternalId b) {
  const auto *const x = Rows().data() + a * kDim, *const y = Rows().data() + b * kDim;
  float l2 = 0;
  for (size_t i = 0; i < kDim; ++i) l2 += (x[i] - y[i]) * (x[i] - y[i]);
  return metric == Metric::kL2 ? l2 : l2 / 2 - (metric == Metric::kInnerProduct ? kDim : 0);
}

// The share of the nearest rows that is among the hits of each kind, as AllHits has them.
template <class Searched>
std::vector<double> SharesFound(const Searched& index, Metric metric) {
  std::vector<double> found, wanted;
  for (ExternalId query = kOthers + 1; query < kRows; query += 6) {
    const auto all = AllHits(index, query, metric);
    found.resize(all.size());
    wanted.resize(all.size());
    for (size_t kind = 0; kind < all.size(); ++kind) {
      const bool is_range = kind == 3, odd_only = kind % 4 == 1 || kind % 4 == 2;
      std::vector<std::pair<float, ExternalId>> nearest;
      for (ExternalId id = 0; id < kRows; ++id)
        if (!odd_only || id % 2 == 1) nearest.push_back({DistanceOf(metric, query, id), id});
      std::sort(nearest.begin(), nearest.end());
      const size_t n = kind < 3 ? 10 : 30;
      std::erase_if(nearest, [&](const auto& row) {
        return is_range ? row.first > RadiusAt(metric) : row.first > nearest[n - 1].first;
      });
      wanted[kind] += static_cast<double>(nearest.size());
      for (const auto& [distance, id] : nearest)
        found[kind] += std::any_of(all[kind].begin(), all[kind].end(),
                                   [id = id](const Hit& hit) { return hit.id == id; });
    }
  }
  for (size_t kind = 0; kind < found.size(); ++kind) found[kind] /= wanted[kind];
  return found;
}

TEST_P(NearCopiesOf, AreFoundByFiltersRangesAndPages) {
  const TempFolder folder;
  Index in_memory = Made(Index::Create(Coded(GetParam())));
  Index stored = Made(Index::CreateWithFeatures(Coded(GetParam()), Store()));
  Fill(in_memory);
  Fill(stored);
  ExpectDone(in_memory.Save(folder / "index"));
  const IndexView view = Made(IndexView::Open(folder / "index"));
  IndexOptions full = Coded(GetParam());
  full.code = Code::kFull;
  Index on_full_rows = Made(Index::Create(full));
  Fill(on_full_rows);
  const std::vector<double> expected = SharesFound(on_full_rows, GetParam());
  const auto expect = [&](const std::vector<double>& shares, const char* where) {
    for (size_t kind = 0; kind < shares.size(); ++kind)
      EXPECT_GE(shares[kind], expected[kind] - .01) << where << ", kind " << kind;
  };
  for (const double share : expected) EXPECT_GE(share, .9);
  expect(SharesFound(in_memory, GetParam()), "in memory");
  expect(SharesFound(stored, GetParam()), "stored");
  expect(SharesFound(view, GetParam()), "view");
}

class NearCopiesOverFailingStore : public ::testing::Test {
 protected:
  void SetUp() override { Fill(index_); }
  // Fetches succeed so often, then one fails.
  void FailAfter(int64_t fetches) {
    failures_->failed = 0;
    failures_->succeed_first[FeatureFailures::kFetch] = fetches;
  }
  bool Mend() {
    failures_->succeed_first[FeatureFailures::kFetch] = -1;
    return failures_->failed > 0;
  }

  const std::shared_ptr<FeatureFailures> failures_ = std::make_shared<FeatureFailures>();
  Index index_ = Made(Index::CreateWithFeatures(
      Coded(Metric::kL2), std::make_unique<FailingFeatureStore>(Store(), failures_)));
};

TEST_F(NearCopiesOverFailingStore, AnInsertThatCannotFetchLeavesNothingBehind) {
  int failed = 0;
  int64_t fetches = 0;
  for (ExternalId id = kRows; id < kRows + kMore; ++id, fetches += 3) {
    const size_t before = index_.size();
    FailAfter(fetches);
    const Status done = index_.Insert(id, Row(id));
    const bool was_met = Mend();
    EXPECT_EQ(done.has_value(), !was_met) << "after " << fetches << " fetches";
    EXPECT_EQ(index_.Contains(id), done.has_value());
    EXPECT_EQ(index_.size(), before + (done ? 1 : 0));
    ExpectDone(index_.CheckStructure());
    if (done) continue;
    EXPECT_EQ(done.error().message, "injected: Fetch");
    ++failed;
    ExpectDone(index_.Insert(id, Row(id)));
  }
  EXPECT_GT(failed, 10);
  ExpectDone(index_.Consolidate());
  ExpectDone(index_.CheckStructure());
}

TEST_F(NearCopiesOverFailingStore, ASearchThatCannotFetchIsAnErrorAndTheNextIsWhole) {
  const Filter odd = OddIds();
  using Search = std::function<Result<std::vector<Hit>>()>;
  const Search kinds[] = {
      [&] { return index_.Search(Row(kOthers + 1), {.k = 10}); },
      [&] { return index_.Search(Row(kOthers + 1), {.k = 10, .filter = &odd}); },
      [&] { return index_.RangeSearch(Row(kOthers + 1), {.radius = RadiusAt(Metric::kL2)}); },
      [&] { return Made(index_.SearchPages(Row(kOthers + 1), {.k = 10})).Next(); }};
  for (const Search& search : kinds) {
    const std::vector<Hit> expected = Made(search());
    int64_t fetches = 0;
    for (;; ++fetches) {
      FailAfter(fetches);
      const Result<std::vector<Hit>> hits = search();
      const bool was_met = Mend();
      ASSERT_EQ(hits.has_value(), !was_met) << "after " << fetches << " fetches";
      ExpectSame(Made(search()), expected);
      if (!was_met) break;
      EXPECT_EQ(hits.error().code, ErrorCode::kIo);
    }
    EXPECT_GT(fetches, 2);
  }
}

}  // namespace
}  // namespace shoal::testing
