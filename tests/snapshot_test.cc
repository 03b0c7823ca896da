// An index that is saved and loaded is the same index.
#include "shoal/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <fstream>
#include <set>

#include "shoal/index.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

template <class T>
T Good(Result<T> result) {
  if (!result) {
    ADD_FAILURE() << result.error().message;
    std::abort();
  }
  return std::move(*result);
}
void ExpectGood(const Status& status) { EXPECT_TRUE(status) << status.error().message; }

Rows RandomRows(ScalarType type, size_t dim, size_t n, uint64_t seed) {
  return test::Generator(type, {.dim = dim, .clusters = 8, .norm_sigma = 0.2}, seed).Many(n);
}

// Ids that are neither row numbers nor in their order, at both ends of the range.
ExternalId IdOf(size_t row) { return row % 2 == 0 ? row * 7919 : UINT64_MAX - row; }

Index Make(const IndexOptions& options, const Rows& rows) {
  Index index = Good(Index::Create(options));
  std::vector<ExternalId> ids;
  for (size_t i = 0; i < rows.size(); ++i) ids.push_back(IdOf(i));
  EXPECT_EQ(Good(index.InsertMany(ids, rows.view(), {.threads = 1})).done, rows.size());
  return index;
}

std::vector<ExternalId> SortedIds(const Index& index) {
  std::vector<ExternalId> ids = Good(index.Ids());
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::string VectorOf(const Index& index, ExternalId id) {
  std::string vector(BytesOf(index.options().scalar_type, index.options().dim), 0);
  ExpectGood(index.Get(
      id, MutableVectorView(vector.data(), index.options().scalar_type, index.options().dim)));
  return vector;
}

void ExpectSamePoints(const Index& a, const Index& b) {
  ASSERT_EQ(SortedIds(a), SortedIds(b));
  ASSERT_EQ(a.size(), b.size());
  for (const ExternalId id : SortedIds(a)) ASSERT_EQ(VectorOf(a, id), VectorOf(b, id)) << id;
}

void ExpectSameAnswers(const Index& a, const Index& b, const Rows& queries) {
  for (size_t q = 0; q < queries.size(); ++q)
    for (const size_t list_size : {10, 40, 200}) {
      const auto hits_a = Good(a.Search(queries[q], {.k = 10, .search_list_size = list_size}));
      const auto hits_b = Good(b.Search(queries[q], {.k = 10, .search_list_size = list_size}));
      ASSERT_EQ(hits_a.size(), hits_b.size());
      for (size_t i = 0; i < hits_a.size(); ++i) {
        ASSERT_EQ(hits_a[i].id, hits_b[i].id) << "query " << q << ", hit " << i;
        ASSERT_EQ(hits_a[i].distance, hits_b[i].distance);
      }
    }
}

// With L as large as the index, a search meets every point that can be reached.
void ExpectAllFound(const Index& index) {
  for (const ExternalId id : SortedIds(index)) {
    const std::string vector = VectorOf(index, id);
    const VectorView view(vector.data(), index.options().scalar_type, index.options().dim);
    const auto hits =
        Good(index.Search(view, {.k = index.size(), .search_list_size = index.size()}));
    ASSERT_EQ(hits.size(), index.size()) << "by the vector of " << id;
  }
}

double RecallOf(const Index& index, const Rows& rows, const std::vector<size_t>& there,
                const Rows& queries) {
  double recall = 0;
  Rows members(rows.type(), rows.dim());
  for (const size_t row : there) {
    const auto values = rows.values(row);
    members.Add(std::vector<double>(values.begin(), values.end()));
  }
  for (size_t q = 0; q < queries.size(); ++q) {
    const auto truth = test::BruteForce(index.options().metric, members, queries.values(q));
    std::vector<ExternalId> found;
    for (const Hit& hit : Good(index.Search(queries[q], {.k = 10, .search_list_size = 20})))
      found.push_back(
          static_cast<ExternalId>(std::find_if(there.begin(), there.end(),
                                               [&](size_t row) { return IdOf(row) == hit.id; }) -
                                  there.begin()));
    recall += test::RecallAt(10, truth, found);
  }
  return recall / static_cast<double>(queries.size());
}

class SnapshotOfEvery : public ::testing::TestWithParam<test::TypeAndMetric> {
 protected:
  const ScalarType type_ = std::get<0>(GetParam());
  const Metric metric_ = std::get<1>(GetParam());
  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "index.shoal";
};

TEST_P(SnapshotOfEvery, ComesBackToTheBitWithTheSameAnswers) {
  const Rows rows = RandomRows(type_, 33, 1500, 1);
  const Index index = Make({.dim = 33,
                            .scalar_type = type_,
                            .metric = metric_,
                            .max_degree = 20,
                            .build_list_size = 60,
                            .alpha = 1.1f},
                           rows);
  ExpectGood(index.Save(path_));
  EXPECT_EQ(folder_.Entries(), 1u);
  const Index loaded = Good(Index::Load(path_));
  EXPECT_EQ(loaded.options().dim, 33u);
  EXPECT_EQ(loaded.options().scalar_type, type_);
  EXPECT_EQ(loaded.options().metric, metric_);
  EXPECT_EQ(loaded.options().max_degree, 20u);
  EXPECT_EQ(loaded.options().build_list_size, 60u);
  EXPECT_EQ(loaded.options().alpha, 1.1f);
  ExpectSamePoints(index, loaded);
  ExpectGood(loaded.CheckStructure());
  EXPECT_EQ(loaded.Stats().edges, index.Stats().edges);
  ExpectSameAnswers(index, loaded, RandomRows(type_, 33, 50, 2));
  // The graph's geometry is the same, too: the next insert finds the same neighbours.
  ExpectGood(loaded.Save(folder_ / "again"));
  EXPECT_EQ(ReadBytes(path_) == ReadBytes(folder_ / "again"), true) << "another file";
}

TEST_P(SnapshotOfEvery, GrowsAndShrinksAndIsSavedAgain) {
  const Rows rows = RandomRows(type_, 16, 900, 3);
  Index index = Make({.dim = 16, .scalar_type = type_, .metric = metric_}, rows);
  for (size_t i = 0; i < 300; ++i) ExpectGood(index.Delete(IdOf(i)));
  ExpectGood(index.Save(path_));
  Index loaded = Good(Index::Load(path_));
  const Rows more = RandomRows(type_, 16, 700, 4);
  for (size_t i = 0; i < 700; ++i) ExpectGood(loaded.Upsert(IdOf(i), more[i]));
  for (size_t i = 700; i < 800; ++i) ExpectGood(loaded.Delete(IdOf(i)));
  EXPECT_EQ(loaded.size(), 800u);
  ExpectGood(loaded.CheckStructure());
  ExpectGood(loaded.Save(path_));
  const Index last = Good(Index::Load(path_));
  ExpectGood(last.CheckStructure());
  ExpectSamePoints(loaded, last);
  ExpectAllFound(last);
}

INSTANTIATE_TEST_SUITE_P(TypeAndMetric, SnapshotOfEvery, test::AllTypesAndMetrics(),
                         test::NameOfCase);

class SnapshotUnder : public ::testing::TestWithParam<RepairPolicy> {};

// A third of the points is deleted and, as the policy has it, repaired or not.
TEST_P(SnapshotUnder, PendingRepairsHoldsWhatIsThereAndIsSearchedAsWell) {
  TempFolder folder;
  const Rows rows = RandomRows(ScalarType::kFloat32, 24, 3000, 5);
  const Rows queries = RandomRows(ScalarType::kFloat32, 24, 100, 6);
  Index index = Make({.dim = 24, .max_degree = 16, .runtime = {.repair = GetParam()}}, rows);
  std::vector<size_t> there;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i % 3 == 0) {
      ExpectGood(index.Delete(IdOf(i)));
    } else {
      there.push_back(i);
    }
  }
  // In the background some may be done by now.
  const size_t least = GetParam() == RepairPolicy::kManual ? 1000 : 0;
  EXPECT_GE(index.Stats().pending_repairs, least);
  ExpectGood(index.Save(folder / "x"));
  const Index loaded = Good(Index::Load(folder / "x", {.runtime = {.repair = GetParam()}}));
  EXPECT_EQ(loaded.options().runtime.repair, GetParam());
  ExpectSamePoints(index, loaded);
  ExpectGood(loaded.CheckStructure());
  EXPECT_EQ(loaded.Stats().pending_repairs, 0u);
  ExpectGood(index.Consolidate());
  const double repaired = RecallOf(index, rows, there, queries);
  const double recall = RecallOf(loaded, rows, there, queries);
  EXPECT_GT(recall, repaired - 0.03);
  std::cout << "recall@10: " << repaired << " after Consolidate, " << recall << " after Load\n";
}

INSTANTIATE_TEST_SUITE_P(EveryPolicy, SnapshotUnder,
                         ::testing::Values(RepairPolicy::kImmediate, RepairPolicy::kBackground,
                                           RepairPolicy::kManual));

TEST(Snapshot, OfAnEmptyIndexIsAnEmptyIndex) {
  TempFolder folder;
  for (const bool emptied : {false, true}) {
    Index index = Good(Index::Create({.dim = 2}));
    if (emptied) {
      ExpectGood(index.Insert(1, std::vector<float>{1, 2}));
      ExpectGood(index.Delete(1));
    }
    ExpectGood(index.Save(folder / "x"));
    Index loaded = Good(Index::Load(folder / "x"));
    EXPECT_EQ(loaded.size(), 0u);
    EXPECT_EQ(loaded.options().dim, 2u);
    EXPECT_TRUE(Good(loaded.Search(std::vector<float>{1, 2})).empty());
    ExpectGood(loaded.CheckStructure());
    ExpectGood(loaded.Insert(7, std::vector<float>{3, 4}));
    EXPECT_EQ(Good(loaded.Search(std::vector<float>{1, 2})).size(), 1u);
    ExpectGood(loaded.CheckStructure());
    EXPECT_EQ(Good(VerifySnapshot(folder / "x")).points, 0u);
  }
}

TEST(Snapshot, OfFewPointsIsOfAllOfThem) {
  TempFolder folder;
  for (const size_t points : {1, 2, 3, 10}) {
    const Rows rows = RandomRows(ScalarType::kUint8, 3, points, 7);
    const Index index = Make({.dim = 3, .scalar_type = ScalarType::kUint8}, rows);
    ExpectGood(index.Save(folder / "x"));
    Index loaded = Good(Index::Load(folder / "x"));
    ExpectSamePoints(index, loaded);
    ExpectAllFound(loaded);
    ExpectGood(loaded.CheckStructure());
    ExpectGood(loaded.Insert(123456, rows[0]));
    ExpectGood(loaded.CheckStructure());
  }
}

// Blocks of 8 points, the last one not full.
TEST(Snapshot, OfTheLargestDimensionComesBack) {
  TempFolder folder;
  const Rows rows = RandomRows(ScalarType::kFloat32, kMaxDim, 19, 8);
  const Index index = Make({.dim = kMaxDim}, rows);
  ExpectGood(index.Save(folder / "x"));
  ExpectSamePoints(index, Good(Index::Load(folder / "x")));
}

TEST(Snapshot, IsInspectedAndVerifiedWithoutAnIndex) {
  TempFolder folder;
  const Rows rows = RandomRows(ScalarType::kInt8, 9, 500, 9);
  const Index index = Make(
      {.dim = 9, .scalar_type = ScalarType::kInt8, .metric = Metric::kCosine, .alpha = 1.5f}, rows);
  ExpectGood(index.Save(folder / "x"));
  size_t done = 0, total = 0;
  const BatchOptions batch{.progress = [&](size_t d, size_t t) { done = d, total = t; }};
  for (const SnapshotInfo& info :
       {Good(InspectSnapshot(folder / "x")), Good(VerifySnapshot(folder / "x", batch))}) {
    EXPECT_EQ(info.format_version, 3u);
    EXPECT_EQ(info.options.dim, 9u);
    EXPECT_EQ(info.options.scalar_type, ScalarType::kInt8);
    EXPECT_EQ(info.options.metric, Metric::kCosine);
    EXPECT_EQ(info.options.alpha, 1.5f);
    EXPECT_EQ(info.points, 500u);
    EXPECT_EQ(info.edges, index.Stats().edges);
    EXPECT_EQ(info.bytes, std::filesystem::file_size(folder / "x"));
  }
  EXPECT_EQ(done, total);
  EXPECT_GT(done, 0u);
}

TEST(Snapshot, ReportsItsProgressUpToTheLastPoint) {
  TempFolder folder;
  const Index index = Make({.dim = 4}, RandomRows(ScalarType::kFloat32, 4, 3000, 10));
  size_t calls = 0, last = 0;
  const BatchOptions batch{.progress = [&](size_t done, size_t total) {
    ++calls;
    EXPECT_LE(last, done);
    EXPECT_EQ(total, 3000u);
    last = done;
  }};
  ExpectGood(index.Save(folder / "x", batch));
  EXPECT_EQ(last, 3000u);
  EXPECT_GT(calls, 2u);
  last = 0;
  Good(Index::Load(folder / "x", {.batch = batch}));
  EXPECT_EQ(last, 3000u);
}

// A process that was killed leaves its temporary file; the next one, in a container, has its
// number.
TEST(Snapshot, IsSavedBesideWhatAProcessOfTheSameNumberLeftAndUnderTheLongestName) {
  TempFolder folder;
  const Index index = Make({.dim = 4}, RandomRows(ScalarType::kFloat32, 4, 20, 11));
  for (int i = 0; i < 100; ++i)
    std::ofstream(folder / ("x.tmp-" + std::to_string(getpid()) + "-" + std::to_string(i))) << "x";
  ExpectGood(index.Save(folder / "x"));
  EXPECT_EQ(Good(Index::Load(folder / "x")).size(), 20u);
  const std::string longest(NAME_MAX, 'n');
  ExpectGood(index.Save(folder / longest));
  EXPECT_EQ(Good(Index::Load(folder / longest)).size(), 20u);
}

TEST(Snapshot, IsLoadedWithTheCallersLimitsAndPolicy) {
  TempFolder folder;
  const Index index = Make({.dim = 64}, RandomRows(ScalarType::kFloat32, 64, 500, 11));
  ExpectGood(index.Save(folder / "x"));
  const auto refused = Index::Load(folder / "x", {.runtime = {.memory_limit = 4 << 16}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(refused.error().message, HasSubstr("memory_limit: 262144"));
  const auto invalid = Index::Load(folder / "x", {.runtime = {.repair_share = 101}});
  ASSERT_FALSE(invalid);
  EXPECT_EQ(invalid.error().code, ErrorCode::kInvalidArgument);
  const uint64_t limit = 64 << 20;
  const Index loaded = Good(Index::Load(
      folder / "x", {.runtime = {.memory_limit = limit, .repair = RepairPolicy::kManual},
                     .batch = {.threads = 1}}));
  EXPECT_EQ(loaded.options().runtime.memory_limit, limit);
  EXPECT_EQ(loaded.options().runtime.repair, RepairPolicy::kManual);
  EXPECT_EQ(loaded.size(), 500u);
}

}  // namespace
}  // namespace shoal
