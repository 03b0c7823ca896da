// Ground truth of runbooks: the incremental computation against brute force at every search, its
// files, and the track's rule about ties.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runbook/generate.h"
#include "runbook/live_points.h"
#include "runbook/stream_truth.h"
#include "runbook/track_recall.h"
#include "runbook/truth_files.h"
#include "shoal/dataset.h"
#include "temp_folder.h"
#include "test_data.h"

namespace shoal::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Of all live points at once.
TruthSet FromScratch(MatrixView base, MatrixView queries, Metric metric, const LivePoints& live,
                     size_t k) {
  std::vector<uint32_t> ids;
  std::vector<std::byte> rows;
  for (uint32_t id = 0; id < live.rows().size(); ++id) {
    if (live.rows()[id] == LivePoints::kNone) continue;
    ids.push_back(id);
    const auto* const row = base.data() + live.rows()[id] * base.row_bytes();
    rows.insert(rows.end(), row, row + base.row_bytes());
  }
  return *ExactSearch(MatrixView(rows.data(), base.type(), ids.size(), base.dim()), queries,
                      {.k = k, .metric = metric, .ids = ids});
}

struct TruthCase {
  Pattern pattern;
  ScalarType type;
  Metric metric;
};

std::string NameOf(const TruthCase& c) {
  return fmt::format("{}_{}_{}", PatternName(c.pattern), ScalarTypeName(c.type),
                     MetricName(c.metric));
}

void PrintTo(const TruthCase& c, std::ostream* out) { *out << NameOf(c); }

class IncrementalTruth : public testing::TestWithParam<TruthCase> {};

TEST_P(IncrementalTruth, IsBruteForceAtEverySearch) {
  const auto& [pattern, type, metric] = GetParam();
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  test::Generator generator(type, {.dim = 6, .clusters = 8}, seed);
  const test::Rows rows = generator.Many(600), queries = generator.Many(25);
  GenerateOptions options;
  options.pattern = pattern;
  options.rows = 600;
  options.window = 200;
  options.steps = 8;
  options.turnovers = 5;
  options.clusters = 8;
  options.seed = seed;
  const auto book = GenerateRunbook(options);
  ASSERT_TRUE(book) << book.error().message;
  // A small reserve and small blocks, so that queries run out and blocks end in the middle.
  StreamTruth truth(rows.view(), queries.view(),
                    {.k = 20, .reserve = 8, .metric = metric, .block = 64, .batch = {}});
  LivePoints live;
  for (const Step& step : book->steps) {
    ASSERT_TRUE(live.Apply(*book, step));
    if (step.operation != Operation::kSearch) continue;
    const auto found = truth.At(live.rows());
    ASSERT_TRUE(found) << found.error().message;
    const TruthSet expected = FromScratch(rows.view(), queries.view(), metric, live, 20);
    ASSERT_EQ(found->ids, expected.ids) << "step " << step.number;
    ASSERT_EQ(found->distances, expected.distances);
    ASSERT_EQ(found->counts, expected.counts);
  }
  EXPECT_GT(truth.work().searches, 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Streams, IncrementalTruth,
    testing::Values(TruthCase{Pattern::kSlidingWindow, ScalarType::kUint8, Metric::kL2},
                    TruthCase{Pattern::kSlidingWindow, ScalarType::kFloat32, Metric::kCosine},
                    TruthCase{Pattern::kExpirationTime, ScalarType::kInt8, Metric::kInnerProduct},
                    TruthCase{Pattern::kClusteredDrift, ScalarType::kFloat32, Metric::kL2},
                    TruthCase{Pattern::kClusteredDrift, ScalarType::kUint8, Metric::kL2},
                    TruthCase{Pattern::kDeleteRegions, ScalarType::kFloat16, Metric::kL2},
                    TruthCase{Pattern::kReplaceInPlace, ScalarType::kInt8, Metric::kL2},
                    TruthCase{Pattern::kReplaceAcross, ScalarType::kFloat32,
                              Metric::kInnerProduct}),
    [](const auto& each) {
      std::string name = NameOf(each.param);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST(StreamTruth, SmallChangesCostWhatCameAndNotWhatIsThere) {
  test::Generator generator(ScalarType::kUint8, {.dim = 8}, 3);
  const test::Rows rows = generator.Many(1200), queries = generator.Many(10);
  StreamTruth truth(rows.view(), queries.view(), {.k = 10, .reserve = 30, .batch = {}});
  std::vector<uint32_t> row_of(1200, LivePoints::kNone);
  std::iota(row_of.begin(), row_of.begin() + 1000, 0u);
  ASSERT_TRUE(truth.At(row_of));
  EXPECT_EQ(truth.work().distances, 1000u * 10);
  for (uint32_t id = 1000; id < 1020; ++id) row_of[id] = id;
  row_of[3] = LivePoints::kNone;
  ASSERT_TRUE(truth.At(row_of));
  EXPECT_EQ(truth.work().distances, 1020u * 10) << "20 came";
  ASSERT_TRUE(truth.At(row_of));
  EXPECT_EQ(truth.work().distances, 1020u * 10) << "nothing came";
  EXPECT_EQ(truth.work().recomputed, 0u);
}

TEST(StreamTruth, QueryThatRunsOutIsComputedAnew) {
  test::Generator generator(ScalarType::kUint8, {.dim = 8}, 3);
  const test::Rows rows = generator.Many(300), queries = generator.Many(5);
  StreamTruth truth(rows.view(), queries.view(), {.k = 10, .reserve = 2, .batch = {}});
  const auto first = test::Iota(300);
  std::vector<uint32_t> row_of(first.begin(), first.end());
  const auto before = truth.At(row_of);
  ASSERT_TRUE(before);
  for (size_t i = 0; i < 3; ++i) row_of[before->Ids(2)[i]] = LivePoints::kNone;
  ASSERT_TRUE(truth.At(row_of));
  EXPECT_GE(truth.work().recomputed, 1u);
}

TEST(StreamTruth, FewerPointsThanNeighboursAndNone) {
  test::Generator generator(ScalarType::kUint8, {.dim = 8}, 3);
  const test::Rows rows = generator.Many(30), queries = generator.Many(2);
  StreamTruth truth(rows.view(), queries.view(), {.k = 10, .reserve = 2, .batch = {}});
  std::vector<uint32_t> row_of = {4, 5, 6};
  const auto three = truth.At(row_of);
  ASSERT_TRUE(three);
  EXPECT_THAT(three->counts, ElementsAre(3, 3));
  const auto none = truth.At({});
  ASSERT_TRUE(none);
  EXPECT_THAT(none->counts, ElementsAre(0, 0));
}

TEST(TruthCache, ComputesEachSetOfPointsOnce) {
  const TempFolder folder;
  test::Generator generator(ScalarType::kUint8, {.dim = 8}, 3);
  const test::Rows rows = generator.Many(200), queries = generator.Many(4);
  GenerateOptions options;
  options.rows = 200;
  options.window = 80;
  options.steps = 4;
  const auto book = GenerateRunbook(options);
  ASSERT_TRUE(book);
  std::vector<std::string> first;
  for (int round = 0; round < 2; ++round) {
    auto cache = TruthCache::Open(folder / "truth", rows.view(), queries.view(),
                                  {.k = 20, .reserve = 5, .batch = {}});
    ASSERT_TRUE(cache) << cache.error().message;
    LivePoints live;
    std::vector<std::string> files;
    for (const Step& step : book->steps) {
      ASSERT_TRUE(live.Apply(*book, step));
      if (step.operation != Operation::kSearch) continue;
      const auto file = cache->Ensure(live);
      ASSERT_TRUE(file) << file.error().message;
      files.push_back(file->string());
      const auto truth = ReadTruthSet(*file);
      ASSERT_TRUE(truth) << truth.error().message;
      EXPECT_EQ(truth->ids, FromScratch(rows.view(), queries.view(), Metric::kL2, live, 20).ids);
    }
    EXPECT_EQ(cache->computed(), round == 0 ? 5u : 0u);
    EXPECT_EQ(cache->found(), round == 0 ? 0u : 5u);
    if (round == 0) first = files;
    EXPECT_EQ(files, first);
  }
}

TEST(TruthCache, AnythingElseIsAnotherFile) {
  const TempFolder folder;
  test::Generator generator(ScalarType::kUint8, {.dim = 8}, 3);
  const test::Rows rows = generator.Many(100), other_rows = generator.Many(100);
  const test::Rows queries = generator.Many(4), other_queries = generator.Many(4);
  const auto book = ParseRunbook(
      "d:\n  max_pts: 50\n  1: {operation: insert, start: 0, end: 50}\n"
      "  2: {operation: delete, start: 49, end: 50}\n  3: {operation: insert, start: 49, end: 50}\n"
      "  4: {operation: replace, tags_start: 7, tags_end: 8, ids_start: 90, ids_end: 91}\n",
      "book.yaml");
  ASSERT_TRUE(book);
  const auto name = [&](const test::Rows& base, const test::Rows& asked, Metric metric, size_t k,
                        size_t steps) {
    auto cache =
        TruthCache::Open(folder / "truth", base.view(), asked.view(), {.k = k, .metric = metric});
    LivePoints live;
    for (size_t i = 0; i < steps; ++i) EXPECT_TRUE(live.Apply(*book, book->steps[i]));
    return cache->Ensure(live)->string();
  };
  const std::string usual = name(rows, queries, Metric::kL2, 10, 1);
  EXPECT_EQ(name(rows, queries, Metric::kL2, 10, 3), usual) << "the same points are there";
  EXPECT_NE(name(other_rows, queries, Metric::kL2, 10, 1), usual);
  EXPECT_NE(name(rows, other_queries, Metric::kL2, 10, 1), usual);
  EXPECT_NE(name(rows, queries, Metric::kInnerProduct, 10, 1), usual);
  EXPECT_NE(name(rows, queries, Metric::kL2, 11, 1), usual);
  EXPECT_NE(name(rows, queries, Metric::kL2, 10, 2), usual) << "a point less";
  EXPECT_NE(name(rows, queries, Metric::kL2, 10, 4), usual) << "another vector";
}

TruthSet MakeTruth(std::vector<uint32_t> ids, std::vector<float> distances) {
  TruthSet truth;
  truth.queries = 1;
  truth.k = ids.size();
  truth.ids = std::move(ids);
  truth.distances = std::move(distances);
  return truth;
}

TEST(StepTruth, IsTheOneFileOfTheStep) {
  const TempFolder folder;
  ASSERT_TRUE(WriteTruthSet(folder / "step4.gt3", MakeTruth({1, 2, 3}, {1, 2, 3})));
  ASSERT_TRUE(WriteTruthSet(folder / "step40.gt3", MakeTruth({4, 5, 6}, {1, 2, 3})));
  const auto book = ParseRunbook(
      "d:\n  max_pts: 9\n  1: {operation: insert, start: 1, end: 7}\n"
      "  2: {operation: delete, start: 3, end: 4}\n",
      "book.yaml");
  LivePoints live;
  ASSERT_TRUE(live.Apply(*book, book->steps[0]));
  const auto read = [&](size_t step, size_t queries, size_t k) {
    return ReadStepTruth({.folder = folder / "", .step = step, .queries = queries, .k = k}, live);
  };
  const auto truth = read(4, 1, 2);
  ASSERT_TRUE(truth) << truth.error().message;
  EXPECT_THAT(truth->ids, ElementsAre(1, 2, 3));
  const auto message = [&](size_t step, size_t queries, size_t k) {
    const auto wrong = read(step, queries, k);
    return wrong ? std::string("none") : wrong.error().message;
  };
  EXPECT_THAT(message(5, 1, 2), HasSubstr("step5.gt<K>: expected one file, found none"));
  EXPECT_THAT(message(4, 2, 2),
              HasSubstr("step4.gt3: expected 2 queries, k >= 2, found 1 queries, k = 3"));
  EXPECT_THAT(message(4, 1, 4), HasSubstr("expected 1 queries, k >= 4, found 1 queries, k = 3"));
  EXPECT_THAT(*read(40, 1, 3), testing::Field(&TruthSet::k, 3u));
  ASSERT_TRUE(live.Apply(*book, book->steps[1]));
  EXPECT_THAT(message(4, 1, 2),
              HasSubstr("step4.gt3: id 2 of query 0: expected a point that is there at this step, "
                        "found 3"));
  ASSERT_TRUE(WriteTruthSet(folder / "step4.gt1", MakeTruth({1}, {1})));
  EXPECT_THAT(message(4, 1, 1), HasSubstr("expected one file, found 2"));
}

size_t Hits(const TruthSet& truth, std::vector<uint64_t> found, size_t k) {
  return RecallOf(truth, 0, found, k).hits;
}

TEST(TrackRecall, PointsThatTieWithTheLastCountAsTrue) {
  // 3 and 4 tie with 2, within 1e-6; 5 does not.
  const TruthSet truth = MakeTruth({1, 2, 3, 4, 5}, {0.1f, 0.5f, 0.5f, 0.5f + 9e-7f, 0.5f + 3e-6f});
  EXPECT_EQ(Hits(truth, {1, 2}, 2), 2u);
  EXPECT_EQ(Hits(truth, {1, 3}, 2), 2u);
  EXPECT_EQ(Hits(truth, {1, 4}, 2), 2u);
  EXPECT_EQ(Hits(truth, {1, 5}, 2), 1u);
  // As the track counts: of k true ones none need be the nearest.
  EXPECT_EQ(Hits(truth, {3, 4}, 2), 2u);
  EXPECT_EQ(Hits(truth, {1, 5}, 5), 2u);
}

TEST(TrackRecall, PointsBehindTheTruthCountWhereTheirDistancesTie) {
  const TruthSet truth = MakeTruth({1, 2, 3}, {0.1f, 0.5f, 0.5f});
  const std::vector<uint64_t> found = {1, 9};
  const auto hits = [&](float distance) {
    const std::vector<float> distances = {0.1f, distance};
    return RecallOf(truth, 0, found, 2, {.values = distances}).hits;
  };
  EXPECT_EQ(hits(0.5f), 2u);
  EXPECT_EQ(hits(0.5f + 9e-7f), 2u);
  EXPECT_EQ(hits(0.5f + 3e-6f), 1u);
}

TEST(TrackRecall, OnlyTheFirstKAnswersCountAndEachOnce) {
  const TruthSet truth = MakeTruth({1, 2, 3}, {1, 2, 3});
  EXPECT_EQ(Hits(truth, {9, 8, 1}, 2), 0u);
  EXPECT_EQ(Hits(truth, {1, 1}, 2), 1u);
  EXPECT_EQ(Hits(truth, {1}, 2), 1u);
  EXPECT_EQ(Hits(truth, {}, 2), 0u);
}

TEST(TrackRecall, WhereFewerPointsAreThereFewerAreWanted) {
  TruthSet truth = MakeTruth({1, 2, TruthSet::kNoNeighbor}, {1, 2, INFINITY});
  truth.counts = {2};
  const std::vector<uint64_t> found = {2, 1};
  const TrackRecall recall = RecallOf(truth, 0, found, 3);
  EXPECT_EQ(recall.wanted, 2u);
  EXPECT_EQ(recall.hits, 2u);
}

TEST(TrackRecall, WithoutDistancesNothingTies) {
  TruthSet truth = MakeTruth({1, 2, 3}, {1, 1, 1});
  EXPECT_EQ(Hits(truth, {3}, 1), 1u);
  truth.distances.clear();
  EXPECT_EQ(Hits(truth, {3}, 1), 0u);
}

}  // namespace
}  // namespace shoal::bench
