// Searches by labels, over every kind of rows: in batches, within a radius, at most so many hits of
// a label; and labels in damaged files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "base/crc32c.h"
#include "shoal/feature_stores.h"
#include "shoal/filter.h"
#include "shoal/index.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using LabelSets = std::vector<std::vector<uint32_t>>;

// The sets one behind the other, as InsertMany takes them.
struct FlatLabels {
  explicit FlatLabels(const LabelSets& sets) {
    for (const auto& set : sets) {
      labels.insert(labels.end(), set.begin(), set.end());
      limits.push_back(labels.size());
    }
  }
  LabelRows rows() const { return {labels, limits}; }
  std::vector<uint32_t> labels;
  std::vector<size_t> limits{0};
};

constexpr uint32_t kDim = 32;

Rows RandomRows(size_t n, uint64_t seed) {
  return test::Generator(ScalarType::kFloat32, {.dim = kDim, .clusters = 10}, seed).Many(n);
}

// Label 1 of half of the points, 2 of a tenth, 3 of a hundredth.
LabelSets RandomLabels(size_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  LabelSets sets(n);
  for (auto& set : sets) {
    if (random() % 2 == 0) set.push_back(1);
    if (random() % 10 == 0) set.push_back(2);
    if (random() % 100 == 0) set.push_back(3);
  }
  return sets;
}
bool Has(const std::vector<uint32_t>& set, uint32_t label) {
  return std::find(set.begin(), set.end(), label) != set.end();
}

struct RowCase {
  const char* name;
  Code code;
  bool features;  // The vectors are in a feature store.
};
class LabelSearches : public ::testing::TestWithParam<RowCase> {
 protected:
  static constexpr size_t kPoints = 6000;

  Index Filled() const {
    const IndexOptions options{.dim = kDim, .code = GetParam().code};
    Index index = GetParam().features
                      ? *Index::CreateWithFeatures(options, *MakeRamFeatures(kDim * sizeof(float)))
                      : *Index::Create(options);
    const auto report =
        index.InsertMany(test::Iota(kPoints), FlatLabels(sets_).rows(), rows_.view());
    EXPECT_EQ(report->done, kPoints);
    return index;
  }
  // Ids and distances of the points with the label, nearest first.
  std::vector<std::pair<double, ExternalId>> Exact(std::span<const float> query,
                                                   uint32_t label) const {
    std::vector<std::pair<double, ExternalId>> all;
    for (size_t i = 0; i < kPoints; ++i)
      if (Has(sets_[i], label))
        all.emplace_back(test::Distance(Metric::kL2, query, rows_.values(i)), i);
    std::sort(all.begin(), all.end());
    return all;
  }

  const Rows rows_ = RandomRows(kPoints, 1);
  const Rows queries_ = RandomRows(8, 2);
  const LabelSets sets_ = RandomLabels(kPoints, 3);
};

TEST_P(LabelSearches, OfABatchAreThoseOfExactSearch) {
  const Index index = Filled();
  constexpr size_t kHits = 10;
  for (const uint32_t label : {1u, 2u, 3u}) {
    const Filter filter = Filter::Label(label);
    std::vector<ExternalId> ids(queries_.size() * kHits);
    std::vector<float> distances(ids.size());
    std::vector<uint32_t> counts(queries_.size());
    std::vector<WorkCounters> work(queries_.size());
    ASSERT_TRUE(index.SearchMany(queries_.view(), {.k = kHits, .filter = &filter},
                                 {ids, distances, counts, work}, {.threads = 2}));
    size_t found = 0;
    for (size_t q = 0; q < queries_.size(); ++q) {
      const auto exact = Exact(queries_.values(q), label);
      EXPECT_EQ(counts[q], kHits);
      EXPECT_LE(work[q].distances, exact.size() * 11 / 10 + 1);
      for (size_t i = 0; i < kHits; ++i) {
        const ExternalId id = ids[q * kHits + i];
        EXPECT_TRUE(Has(sets_[id], label));
        EXPECT_NEAR(distances[q * kHits + i],
                    test::Distance(Metric::kL2, queries_.values(q), rows_.values(id)),
                    1e-3 * (1 + distances[q * kHits + i]));
        found += std::any_of(exact.begin(), exact.begin() + kHits,
                             [&](const auto& one) { return one.second == id; })
                     ? 1
                     : 0;
      }
    }
    EXPECT_GE(found, queries_.size() * kHits * 95 / 100) << label;
  }
}

TEST_P(LabelSearches, WithinARadiusFindWhatExactSearchFinds) {
  const Index index = Filled();
  for (const uint32_t label : {1u, 2u, 3u}) {
    const Filter filter = Filter::Label(label);
    double found = 0, expected = 0;
    for (size_t q = 0; q < queries_.size(); ++q) {
      const auto exact = Exact(queries_.values(q), label);
      const size_t n = exact.size() / 5;
      const auto radius = static_cast<float>((exact[n - 1].first + exact[n].first) / 2);
      WorkCounters work;
      const auto hits =
          index.RangeSearch(queries_[q], {.radius = radius, .filter = &filter}, &work);
      ASSERT_TRUE(hits);
      EXPECT_LE(work.distances, exact.size() * 11 / 10 + 1);
      for (const Hit& hit : *hits) {
        EXPECT_TRUE(Has(sets_[hit.id], label));
        EXPECT_LE(hit.distance, radius);
      }
      EXPECT_LE(hits->size(), n);
      found += static_cast<double>(hits->size());
      expected += static_cast<double>(n);
    }
    EXPECT_GE(found, .95 * expected) << label;
  }
}

TEST_P(LabelSearches, InPagesHandOutAllWithTheLabel) {
  const Index index = Filled();
  for (const uint32_t label : {2u, 3u}) {
    const Filter filter = Filter::Label(label);
    Pages pages = *index.SearchPages(queries_[0], {.k = 30, .filter = &filter});
    std::set<ExternalId> found;
    for (auto hits = pages.Next(); hits && !hits->empty(); hits = pages.Next())
      for (const Hit& hit : *hits) {
        EXPECT_TRUE(Has(sets_[hit.id], label));
        EXPECT_TRUE(found.insert(hit.id).second);
      }
    EXPECT_EQ(found.size(), Exact(queries_.values(0), label).size());
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, LabelSearches,
                         ::testing::Values(RowCase{"full", Code::kFull, false},
                                           RowCase{"sq8", Code::kSq8, false},
                                           RowCase{"rq4", Code::kRq4, false},
                                           RowCase{"stored_rq4", Code::kRq4, true}),
                         [](const auto& each) { return std::string(each.param.name); });

TEST(LabelBatches, AreRefusedWhereASetIsMissingOrTooLarge) {
  Index index = *Index::Create({.dim = kDim});
  const Rows rows = RandomRows(3, 4);
  const FlatLabels two(LabelSets(2));
  EXPECT_THAT(index.InsertMany(test::Iota(3), two.rows(), rows.view()).error().message,
              HasSubstr("labels"));
  EXPECT_EQ(index.size(), 0u);
  LabelSets sets{{7, 5, 7}, std::vector<uint32_t>(kMaxLabels + 1), {}};
  const auto report = index.InsertMany(test::Iota(3), FlatLabels(sets).rows(), rows.view());
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, 2u);
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures[0].row, 1u);
  EXPECT_THAT(*index.Labels(0), ElementsAre(5, 7));
}

TEST(LabelBatches, WithAnInvalidFilterAreErrors) {
  const Index index = *Index::Create({.dim = kDim});
  const Rows rows = RandomRows(3, 4);
  const Filter empty = Filter::Where({});
  std::vector<ExternalId> ids(30);
  std::vector<uint32_t> counts(3);
  const Status done = index.SearchMany(rows.view(), {.filter = &empty},
                                       {.ids = ids, .distances = {}, .counts = counts});
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("found an empty function"));
}

// Hits are those of a walk over all points, nearest first, that takes each with a place left.
class DiverseSearches : public ::testing::Test {
 protected:
  static constexpr size_t kPoints = 4000;

  std::vector<ExternalId> Greedy(std::span<const float> query, size_t k, size_t most,
                                 uint64_t divisor) const {
    std::vector<std::pair<double, ExternalId>> all;
    for (size_t i = 0; i < kPoints; i += divisor)
      all.emplace_back(test::Distance(Metric::kL2, query, rows_.values(i)), i);
    std::sort(all.begin(), all.end());
    std::map<uint32_t, size_t> counts;
    std::vector<ExternalId> hits;
    for (const auto& [distance, id] : all) {
      if (hits.size() == k) break;
      const auto& set = sets_[id];
      if (std::any_of(set.begin(), set.end(), [&](uint32_t l) { return counts[l] >= most; }))
        continue;
      for (const uint32_t label : set) ++counts[label];
      hits.push_back(id);
    }
    return hits;
  }
  template <class Searched>
  void ExpectGreedy(const Searched& index) const {
    for (const size_t most : {1, 3})
      for (const uint64_t divisor : {1, 2, 40}) {
        const Filter filter = Filter::Ids([&] {
          std::vector<ExternalId> ids;
          for (ExternalId id = 0; id < kPoints; id += divisor) ids.push_back(id);
          return ids;
        }());
        double found = 0, expected = 0;
        for (size_t q = 0; q < queries_.size(); ++q) {
          const auto exact = Greedy(queries_.values(q), 15, most, divisor);
          const auto hits = index.Search(
              queries_[q],
              {.k = 15, .filter = divisor == 1 ? nullptr : &filter, .max_per_label = most});
          ASSERT_TRUE(hits);
          EXPECT_EQ(hits->size(), exact.size());
          std::map<uint32_t, size_t> counts;
          for (const Hit& hit : *hits) {
            EXPECT_EQ(hit.id % divisor, 0u);
            for (const uint32_t label : sets_[hit.id]) EXPECT_LE(++counts[label], most);
            found += std::find(exact.begin(), exact.end(), hit.id) != exact.end() ? 1 : 0;
          }
          expected += static_cast<double>(exact.size());
        }
        EXPECT_GE(found, .95 * expected) << most << " " << divisor;
      }
  }

  const Rows rows_ = RandomRows(kPoints, 5);
  const Rows queries_ = RandomRows(100, 6);
  // A label for each of 20 documents; few points have none, or two.
  const LabelSets sets_ = [] {
    std::mt19937_64 random(7);
    LabelSets sets(kPoints);
    for (auto& set : sets) {
      if (random() % 500 == 0) continue;
      set.push_back(static_cast<uint32_t>(random() % 20));
      if (random() % 50 == 0) set.push_back(20);
    }
    return sets;
  }();
};

TEST_F(DiverseSearches, HaveAtMostSoManyHitsOfALabel) {
  const TempFolder folder;
  for (const Code code : {Code::kFull, Code::kSq8}) {
    Index index = *Index::Create({.dim = kDim, .code = code});
    // One thread: the same graph each time, so that the bound holds always or never.
    ASSERT_EQ(
        index
            .InsertMany(test::Iota(kPoints), FlatLabels(sets_).rows(), rows_.view(), {.threads = 1})
            ->done,
        kPoints);
    ExpectGreedy(index);
    ASSERT_TRUE(index.Save(folder / "index"));
    ExpectGreedy(*IndexView::Open(folder / "index"));
  }
}

// One label that nearly all points have starves the search until it has met all.
TEST_F(DiverseSearches, GoOnPastALabelThatIsFull) {
  Index index = *Index::Create({.dim = kDim});
  LabelSets sets(kPoints, {1});
  for (size_t i = 0; i < 8; ++i) sets[i * 400] = {static_cast<uint32_t>(10 + i)};
  ASSERT_EQ(index.InsertMany(test::Iota(kPoints), FlatLabels(sets).rows(), rows_.view())->done,
            kPoints);
  WorkCounters work;
  std::vector<ExternalId> ids(20);
  const SearchOptions options{.k = 20, .max_per_label = 2};
  EXPECT_EQ(*index.Search(queries_[0], options, ids, {}, &work), 10u);
  EXPECT_LE(work.distances, kPoints + 1);
}

// A damaged block of labels is an error of Load; a view gives wrong labels, and no wild read.
TEST(DamagedLabels, AreAnErrorOrLabels) {
  constexpr size_t kPoints = 60, kHeaderBytes = 4096;
  const TempFolder folder;
  const std::filesystem::path path = folder / "index";
  const Rows rows = RandomRows(kPoints, 8);
  Index index = *Index::Create({.dim = kDim});
  LabelSets sets(kPoints);
  for (size_t i = 0; i < kPoints; ++i)
    for (uint32_t label = 0; label < 3; ++label) sets[i].push_back(100 + label + i % 2);
  ASSERT_EQ(index.InsertMany(test::Iota(kPoints), FlatLabels(sets).rows(), rows.view())->done,
            kPoints);
  ASSERT_TRUE(index.Save(path));
  const std::string whole = ReadBytes(path);
  const auto at = [](const std::string& bytes, size_t where) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + where, sizeof(value));
    return value;
  };
  // The block is the only one that begins with the ends 3, 6, 9.
  const size_t directory = at(whole, 72), blocks = at(whole, 80) & UINT32_MAX;
  size_t entry = 0;
  for (size_t i = 0; i < blocks; ++i) {
    const size_t where = at(whole, directory + 16 * i);
    if (at(whole, where) == 3 && at(whole, where + 8) == 6 && at(whole, where + 16) == 9)
      entry = directory + 16 * i;
  }
  ASSERT_NE(entry, 0u);
  const size_t block = at(whole, entry);
  std::mt19937_64 random(9);
  const Filter filter = Filter::Label(101);
  size_t refused = 0, loads = 0;
  for (size_t round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    const size_t word = random() % (kPoints * 2 + kPoints * 3);
    const auto value = static_cast<uint32_t>(random() % 2 == 0 ? random() : random() % 200);
    std::memcpy(bytes.data() + block + 4 * word, &value, sizeof(value));
    if (bytes == whole) continue;
    WriteBytes(path, bytes);
    const auto unsealed = Index::Load(path);
    ASSERT_FALSE(unsealed);
    EXPECT_THAT(unsealed.error().message, HasSubstr("labels"));
    EXPECT_FALSE(VerifySnapshot(path));
    // With checksums that fit.
    const auto seal = [&](size_t where, size_t from, size_t n) {
      const uint32_t sum = Crc32c(bytes.data() + from, n);
      std::memcpy(bytes.data() + where, &sum, sizeof(sum));
    };
    seal(entry + 12, block, at(whole, entry + 8) & UINT32_MAX);
    seal(84, directory, 16 * blocks);
    seal(kHeaderBytes - 4, 0, kHeaderBytes - 4);
    WriteBytes(path, bytes);
    const auto loaded = Index::Load(path);
    if (loaded) {
      ++loads;
      EXPECT_TRUE(loaded->CheckStructure());
      EXPECT_TRUE(loaded->Search(rows[0], {.filter = &filter}));
    } else {
      ++refused;
      EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
      EXPECT_THAT(loaded.error().message, HasSubstr("labels"));
    }
    const auto view = IndexView::Open(path);
    ASSERT_TRUE(view);
    EXPECT_TRUE(view->Search(rows[0], {.filter = &filter}));
  }
  EXPECT_GT(refused, 100u);
  EXPECT_GT(loads, 10u);
}

}  // namespace
}  // namespace shoal
