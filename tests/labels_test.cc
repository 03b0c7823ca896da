// Labels of points, and filters by them: in memory, in snapshots, in views, while they change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "store/label_column.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Labels = std::set<uint32_t>;

constexpr uint32_t kDim = 8;

Rows RandomRows(size_t n, uint64_t seed) {
  return test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 5}, seed).Many(n);
}
std::vector<uint32_t> ListOf(const Labels& labels) { return {labels.begin(), labels.end()}; }

// (1 and 2) or not 3.
const Filter& Expression() {
  static const Filter filter = Filter::Any(
      {Filter::All({Filter::Label(1), Filter::Label(2)}), Filter::Not(Filter::Label(3))});
  return filter;
}
bool Accepts(const Labels& labels) {
  return (labels.count(1) == 1 && labels.count(2) == 1) || labels.count(3) == 0;
}
// Few of the points.
const Filter& Rare() {
  static const Filter filter = Filter::All({Filter::Label(1), Filter::Label(2), Filter::Label(3)});
  return filter;
}
bool IsRare(const Labels& labels) {
  return labels.count(1) == 1 && labels.count(2) == 1 && labels.count(3) == 1;
}

Labels RandomLabels(std::mt19937_64& random) {
  Labels labels;
  for (uint32_t label = 0; label < 6; ++label)
    if (random() % 4 == 0) labels.insert(label);
  return labels;
}

using Model = std::map<ExternalId, Labels>;

template <class Searched>
void ExpectAcceptedHits(const Searched& index, const Model& model, VectorView query) {
  size_t accepted = 0, rare = 0;
  for (const auto& [id, labels] : model) {
    accepted += Accepts(labels) ? 1 : 0;
    rare += IsRare(labels) ? 1 : 0;
  }
  const auto hits = index.Search(query, {.k = 20, .filter = &Expression()});
  ASSERT_TRUE(hits);
  EXPECT_EQ(hits->size(), std::min<size_t>(20, accepted));
  for (const Hit& hit : *hits) EXPECT_TRUE(Accepts(model.at(hit.id))) << hit.id;
  const auto all_rare = index.Search(query, {.k = model.size() + 1, .filter = &Rare()});
  ASSERT_TRUE(all_rare);
  EXPECT_EQ(all_rare->size(), rare);
  for (const Hit& hit : *all_rare) EXPECT_TRUE(IsRare(model.at(hit.id))) << hit.id;
}

TEST(LabelColumns, TakeNoMemoryUntilAPointHasLabels) {
  MemoryBudget budget(0);
  EpochRegistry epochs;
  LabelColumn column(budget, epochs);
  EXPECT_THAT(column.Of(7), IsEmpty());
  column.Clear(7);
  EXPECT_TRUE(column.Set(7, {}));
  EXPECT_TRUE(column.Copy(7, 8));
  EXPECT_FALSE(column.any());
  EXPECT_EQ(column.bytes(), 0u);
  EXPECT_TRUE(column.Set(100000, std::vector<uint32_t>{3, 1, 3}));
  EXPECT_THAT(column.Of(100000), ElementsAre(1, 3));
  EXPECT_THAT(column.Of(99999), IsEmpty());
  EXPECT_GT(column.bytes(), 0u);
  EXPECT_TRUE(column.Copy(100000, 5));
  column.Clear(100000);
  EXPECT_THAT(column.Of(5), ElementsAre(1, 3));
  EXPECT_THAT(column.Of(100000), IsEmpty());
}

TEST(LabelColumns, FreeSetsThatNoSlotHas) {
  MemoryBudget budget(0);
  EpochRegistry epochs;
  LabelColumn column(budget, epochs);
  for (uint32_t i = 0; i < 100000; ++i) ASSERT_TRUE(column.Set(3, std::vector<uint32_t>{i}));
  EXPECT_THAT(column.Of(3), ElementsAre(99999));
  EXPECT_LT(column.bytes(), 100000u);
}

TEST(LabelColumns, KeepSetsThatAReaderMayHaveFound) {
  MemoryBudget budget(0);
  EpochRegistry epochs;
  LabelColumn column(budget, epochs);
  ASSERT_TRUE(column.Set(3, std::vector<uint32_t>{77, 78}));
  const auto guard = epochs.Pin();
  const std::span<const uint32_t> found = column.Of(3);
  for (uint32_t i = 0; i < 2000; ++i) ASSERT_TRUE(column.Set(3, std::vector<uint32_t>{i}));
  EXPECT_THAT(found, ElementsAre(77, 78));
}

TEST(LabelColumns, AtTheLimitStayAsTheyWere) {
  MemoryBudget budget(100);
  EpochRegistry epochs;
  LabelColumn column(budget, epochs);
  EXPECT_FALSE(column.Set(3, std::vector<uint32_t>{1}));
  EXPECT_THAT(column.Of(3), IsEmpty());
}

// Every operation that gives a point another slot or another file keeps its labels.
TEST(PointLabels, AreThoseOfAModelThroughEveryOperation) {
  constexpr size_t kPoints = 2500;
  const TempFolder folder;
  const Rows rows = RandomRows(kPoints, 1);
  const Rows queries = RandomRows(4, 2);
  for (const Code code : {Code::kFull, Code::kSq8}) {
    Index index = *Index::Create({.dim = kDim, .code = code});
    Model model;
    std::mt19937_64 random(3);
    for (ExternalId id = 0; id < kPoints; ++id) {
      const Labels labels = RandomLabels(random);
      ASSERT_TRUE(labels.empty() ? index.Insert(id, rows[id])
                                 : index.Insert(id, rows[id], ListOf(labels)));
      model[id] = labels;
    }
    for (size_t i = 0; i < kPoints; ++i) {
      const ExternalId id = random() % kPoints;
      const Labels labels = RandomLabels(random);
      switch (random() % 5) {
        case 0: EXPECT_EQ(index.Delete(id).has_value(), model.erase(id) == 1); break;
        case 1:
          if (model.count(id) == 0) model[id];
          ASSERT_TRUE(index.Upsert(id, rows[random() % kPoints]));
          break;
        case 2:
          ASSERT_TRUE(index.Upsert(id, rows[id], ListOf(labels)));
          model[id] = labels;
          break;
        default:
          EXPECT_EQ(index.SetLabels(id, ListOf(labels)).has_value(), model.count(id) == 1);
          if (model.count(id) == 1) model[id] = labels;
      }
    }
    const auto expect_labels = [&](const Index& now) {
      for (const auto& [id, labels] : model) {
        const auto found = now.Labels(id);
        ASSERT_TRUE(found);
        EXPECT_EQ(*found, ListOf(labels)) << id;
      }
      for (size_t q = 0; q < queries.size(); ++q) ExpectAcceptedHits(now, model, queries[q]);
    };
    expect_labels(index);
    ASSERT_TRUE(index.Compact());
    expect_labels(index);
    ASSERT_TRUE(index.Save(folder / "index"));
    const Result<Index> loaded = Index::Load(folder / "index");
    ASSERT_TRUE(loaded) << loaded.error().message;
    expect_labels(*loaded);
    ASSERT_TRUE(VerifySnapshot(folder / "index"));
    const Result<IndexView> view = IndexView::Open(folder / "index");
    ASSERT_TRUE(view);
    for (size_t q = 0; q < queries.size(); ++q) ExpectAcceptedHits(*view, model, queries[q]);
  }
}

TEST(PointLabels, OfSlotsThatAreUsedAgainAreGone) {
  Index index = *Index::Create({.dim = kDim});
  const Rows rows = RandomRows(300, 4);
  for (size_t round = 0; round < 20; ++round)
    for (ExternalId id = 0; id < 100; ++id) {
      const uint32_t label = 5;
      ASSERT_TRUE(index.Insert(id, rows[id], {&label, 1}));
      ASSERT_TRUE(index.Delete(id));
      ASSERT_TRUE(index.Insert(id, rows[id]));
      EXPECT_THAT(*index.Labels(id), IsEmpty());
      ASSERT_TRUE(index.Delete(id));
    }
}

TEST(PointLabels, AreRefusedWhereTheyAreTooManyOrThePointIsNotThere) {
  Index index = *Index::Create({.dim = kDim});
  const Rows rows = RandomRows(1, 5);
  const std::vector<uint32_t> many(kMaxLabels + 1);
  EXPECT_THAT(index.Insert(1, rows[0], many).error().message, HasSubstr("labels"));
  EXPECT_EQ(index.SetLabels(1, {}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(index.Labels(1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(index.size(), 0u);
  EXPECT_EQ(index.Stats().memory.labels, 0u);
}

// Each point has labels {x, x + 100} all the time: no search sees one of them without the other.
TEST(PointLabels, ChangeAtomicallyForSearches) {
  constexpr size_t kPoints = 600;
  const Rows rows = RandomRows(kPoints, 6);
  Index index = *Index::Create({.dim = kDim});
  const auto labels_of = [](uint32_t x) { return std::vector<uint32_t>{x, x + 100}; };
  for (ExternalId id = 0; id < kPoints; ++id) ASSERT_TRUE(index.Insert(id, rows[id], labels_of(0)));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937_64 random(7);
    while (!stop) {
      const ExternalId id = random() % kPoints;
      const auto x = static_cast<uint32_t>(random() % 3);
      switch (random() % 4) {
        case 0: (void)index.Upsert(id, rows[id], labels_of(x)); break;
        case 1: (void)index.Upsert(id, rows[id]); break;
        default: (void)index.SetLabels(id, labels_of(x));
      }
    }
  });
  std::vector<Filter> halves;
  for (uint32_t x = 0; x < 3; ++x) {
    halves.push_back(Filter::All({Filter::Label(x), Filter::Not(Filter::Label(x + 100))}));
    halves.push_back(Filter::All({Filter::Label(x + 100), Filter::Not(Filter::Label(x))}));
  }
  halves.push_back(
      Filter::Not(Filter::Any({Filter::Label(0), Filter::Label(1), Filter::Label(2)})));
  const Filter half = Filter::Any(halves);
  const Filter whole = Filter::Not(half);
  for (size_t i = 0; i < 300; ++i) {
    const auto none = index.Search(rows[i], {.filter = &half});
    ASSERT_TRUE(none);
    EXPECT_THAT(*none, IsEmpty());
    EXPECT_EQ(index.Search(rows[i], {.filter = &whole})->size(), 10u);
  }
  stop = true;
  writer.join();
  EXPECT_TRUE(index.Consolidate());
  EXPECT_TRUE(index.CheckStructure());
}

// A search that starts when SetLabels has returned sees the new labels.
TEST(PointLabels, AreSeenBySearchesThatStartLater) {
  const Rows rows = RandomRows(200, 8);
  Index index = *Index::Create({.dim = kDim});
  for (ExternalId id = 0; id < 200; ++id) ASSERT_TRUE(index.Insert(id, rows[id]));
  const Filter filter = Filter::Label(9);
  const uint32_t label = 9;
  for (ExternalId id = 0; id < 200; ++id) {
    ASSERT_TRUE(index.SetLabels(id, {&label, 1}));
    EXPECT_EQ(index.Search(rows[0], {.k = 300, .filter = &filter})->size(), id + 1);
  }
}

TEST(PointLabels, ComeWithManyRowsAtOnce) {
  const Rows rows = RandomRows(3, 9);
  const std::vector<ExternalId> ids = {10, 11, 12};
  const std::vector<uint32_t> labels = {5, 4, 7};
  const std::vector<size_t> limits = {0, 2, 2, 3};
  Index index = *Index::Create({.dim = kDim});
  ASSERT_EQ(index.InsertMany(ids, {labels, limits}, rows.view())->done, 3u);
  EXPECT_THAT(*index.Labels(10), ElementsAre(4, 5));
  EXPECT_THAT(*index.Labels(11), IsEmpty());
  EXPECT_THAT(*index.Labels(12), ElementsAre(7));
  const std::vector<size_t> others = {0, 0, 1, 3};
  ASSERT_EQ(index.UpsertMany(ids, {labels, others}, rows.view())->done, 3u);
  EXPECT_THAT(*index.Labels(10), IsEmpty());
  EXPECT_THAT(*index.Labels(12), ElementsAre(4, 7));
  ASSERT_EQ(index.UpsertMany(ids, rows.view())->done, 3u);
  EXPECT_THAT(*index.Labels(12), ElementsAre(4, 7));
}

TEST(PointLabels, OfManyRowsHaveLimitsThatFit) {
  const Rows rows = RandomRows(2, 10);
  const std::vector<ExternalId> ids = {1, 2};
  const std::vector<uint32_t> labels = {5, 4};
  Index index = *Index::Create({.dim = kDim});
  const std::vector<std::vector<size_t>> wrong = {{}, {0, 2}, {0, 2, 1}, {0, 1, 3}};
  for (const std::vector<size_t>& limits : wrong) {
    const auto report = index.InsertMany(ids, {labels, limits}, rows.view());
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr("labels: limits: expected"));
  }
  EXPECT_EQ(index.size(), 0u);
}

}  // namespace
}  // namespace shoal
