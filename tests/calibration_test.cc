// target_recall: what was measured on the sample holds for other queries.
#include "shoal/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "shoal/index.h"
#include "shoal/index_view.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

constexpr size_t kK = 10;

Index Build(const Rows& rows, IndexOptions options) {
  options.dim = static_cast<uint32_t>(rows.dim());
  options.scalar_type = rows.type();
  Result<Index> index = Index::Create(options);
  EXPECT_TRUE(index);
  const auto inserted = index->InsertMany(test::Iota(rows.size()), rows.view(), {.threads = 1});
  EXPECT_TRUE(inserted && inserted->done == rows.size());
  return std::move(*index);
}

// The mean recall of searches with the target.
template <class Searched>
double RecallOf(const Searched& index, Metric metric, const Rows& rows, const Rows& queries,
                double target) {
  double sum = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    std::vector<ExternalId> ids;
    for (const Hit& hit : *index.Search(queries[q], {.k = kK, .target_recall = target}))
      ids.push_back(hit.id);
    sum += test::RecallAt(kK, test::BruteForce(metric, rows, queries.values(q)), ids);
  }
  return sum / static_cast<double>(queries.size());
}

struct Case {
  std::string name;
  ScalarType type = ScalarType::kFloat32;
  Metric metric = Metric::kL2;
  test::DataShape shape;
  Code code = Code::kFull;
};

class CalibrationData : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    Data, CalibrationData,
    ::testing::Values(
        Case{.name = "cloud", .shape = {.clusters = 0}},
        Case{.name = "cloud_rq4", .shape = {.clusters = 0}, .code = Code::kRq4},
        Case{.name = "cloud_rq2", .shape = {.clusters = 0}, .code = Code::kRq2},
        Case{.name = "clusters", .shape = {}},
        Case{.name = "clusters_cosine", .metric = Metric::kCosine, .shape = {}},
        Case{.name = "cloud_cosine_rq4",
             .metric = Metric::kCosine,
             .shape = {.clusters = 0},
             .code = Code::kRq4},
        Case{.name = "norms_vary_inner_product",
             .metric = Metric::kInnerProduct,
             .shape = {.clusters = 0, .norm_sigma = .3}},
        Case{.name = "cloud_uint8", .type = ScalarType::kUint8, .shape = {.clusters = 0}}),
    [](const auto& param) { return param.param.name; });

TEST_P(CalibrationData, TheSettingReachesTheTargetOnQueriesThatItHasNotSeen) {
  const Case& c = GetParam();
  test::Generator generator(c.type, c.shape, 1);
  const Rows rows = generator.Many(1500);
  const Rows queries = generator.Many(250);
  Index index = Build(rows, {.metric = c.metric, .code = c.code, .max_degree = 16});
  const double target = .95;
  const Result<Calibration> found = index.Calibrate(kK, target, {.threads = 1});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_GE(found->recall, target);
  EXPECT_EQ(found->points, rows.size());
  EXPECT_EQ(found->queries, 500u);
  EXPECT_FALSE(found->from_searches);
  EXPECT_EQ(found->rerank == 0, c.code == Code::kFull);
  EXPECT_LT(found->distances, 1500);
  // 250 queries have a deviation of some .005 themselves.
  EXPECT_GE(RecallOf(index, c.metric, rows, queries, target), target - .01);
}

Rows Cloud(size_t n, uint64_t seed, size_t dim = 32) {
  return test::Generator(ScalarType::kFloat32, {.dim = dim, .clusters = 0}, seed).Many(n);
}

TEST(CalibrationTest, IsTheSameForTheSameIndexAndAnotherForAnotherTarget) {
  const Rows rows = Cloud(800, 1);
  Index index = Build(rows, {.max_degree = 16});
  const auto first = index.Calibrate(kK, .9, {.threads = 1});
  const auto again = index.Calibrate(kK, .9, {.threads = 2});
  const auto higher = index.Calibrate(kK, .99);
  ASSERT_TRUE(first && again && higher);
  EXPECT_EQ(first->search_list_size, again->search_list_size);
  EXPECT_EQ(first->stop_margin, again->stop_margin);
  EXPECT_EQ(first->recall, again->recall);
  EXPECT_EQ(first->distances, again->distances);
  EXPECT_GT(higher->distances, first->distances);
  EXPECT_EQ(index.CalibrationFor(kK, .9)->distances, first->distances);
  EXPECT_EQ(index.CalibrationFor(kK, .99)->distances, higher->distances);
  EXPECT_FALSE(index.CalibrationFor(kK, .5));
}

TEST(CalibrationTest, ASearchWithATargetUsesWhatWasChosen) {
  const Rows rows = Cloud(800, 1);
  Index index = Build(rows, {.max_degree = 16});
  const auto found = index.Calibrate(kK, .9);
  ASSERT_TRUE(found);
  const Rows queries = Cloud(100, 2);
  std::vector<ExternalId> ids(kK);
  uint64_t distances = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    WorkCounters work;
    ASSERT_TRUE(index.Search(queries[q], {.k = kK, .search_list_size = 800, .target_recall = .9},
                             ids, {}, &work));
    distances += work.distances;
  }
  EXPECT_NEAR(static_cast<double>(distances) / 100, found->distances, found->distances / 5);
}

TEST(CalibrationTest, WhereKPointsAreNotThereAllAreFound) {
  for (const size_t n : {0u, 1u, 5u, 30u}) {
    const Rows rows = Cloud(n, 1);
    Result<Index> index = Index::Create({.dim = 32});
    ASSERT_TRUE(index->InsertMany(test::Iota(n), rows.view()));
    const auto found = index->Calibrate(kK, .95);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->queries, n);
    EXPECT_EQ(found->points, n);
    EXPECT_GE(found->recall, n <= kK ? 1 : .95);  // Of 30 points a list of kK may miss one.
    EXPECT_GE(found->search_list_size, kK);
    const auto hits = index->Search(Cloud(1, 2)[0], {.k = kK, .target_recall = .95});
    ASSERT_TRUE(hits);
    EXPECT_EQ(hits->size(), std::min<size_t>(n, kK));
  }
}

TEST(CalibrationTest, SaysWhatIsWrong) {
  Result<Index> index = Index::Create({.dim = 32});
  const Rows rows = Cloud(1, 1);
  for (const double target : {0.0, -1.0, 1.5, std::nan("")}) {
    const auto found = index->Calibrate(kK, target);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(found.error().message, HasSubstr("target_recall"));
  }
  EXPECT_THAT(index->Calibrate(0, .9).error().message, HasSubstr("k"));
  for (const double target : {-1.0, 1.5, std::nan("")}) {
    const auto hits = index->Search(rows[0], {.target_recall = target});
    ASSERT_FALSE(hits);
    EXPECT_EQ(hits.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(hits.error().message, HasSubstr("target_recall"));
  }
}

TEST(CalibrationTest, EndsSoonAfterARequestToStop) {
  const Rows rows = Cloud(1000, 1);
  Index index = Build(rows, {.max_degree = 16});
  std::stop_source stop;
  const auto found = index.Calibrate(kK, .95,
                                     {.threads = 1,
                                      .progress = [&](size_t, size_t) { stop.request_stop(); },
                                      .stop = stop.get_token()});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(index.CalibrationFor(kK, .95));
}

TEST(CalibrationTest, ProgressGrowsAndEndsWithAll) {
  const Rows rows = Cloud(500, 1);
  Index index = Build(rows, {.max_degree = 16});
  size_t last = 0, all = 1;
  ASSERT_TRUE(index.Calibrate(kK, .95, {.progress = [&](size_t done, size_t total) {
                                EXPECT_GE(done, last);
                                last = done;
                                all = total;
                              }}));
  EXPECT_EQ(last, all);
}

// Waits for what the background measures: by searching, which asks for it.
template <class Done>
Calibration SearchUntil(const Index& index, const Rows& queries, const Done& done) {
  for (size_t q = 0;; q = (q + 1) % queries.size()) {
    EXPECT_TRUE(index.Search(queries[q], {.k = kK, .target_recall = .9}));
    const auto found = index.CalibrationFor(kK, .9);
    if (found && done(*found)) return *found;
    std::this_thread::yield();
  }
}

TEST(CalibrationTest, TheFirstSearchWithATargetStartsItInTheBackground) {
  const Rows rows = Cloud(800, 1);
  Index index = Build(rows, {.max_degree = 16});
  const Rows query = Cloud(1, 2);
  ASSERT_TRUE(index.Search(query[0], {.k = kK}));
  EXPECT_FALSE(index.CalibrationFor(kK, .9));
  const Calibration found =
      SearchUntil(index, Cloud(50, 2), [](const Calibration&) { return true; });
  EXPECT_EQ(found.points, 800u);
  EXPECT_GE(found.recall, .9);
}

TEST(CalibrationTest, QueriesOfSearchesTakeThePlaceOfPoints) {
  const Rows rows = Cloud(800, 1);
  Index index = Build(rows, {.max_degree = 16});
  const Calibration found =
      SearchUntil(index, Cloud(300, 2), [](const Calibration& c) { return c.from_searches; });
  EXPECT_EQ(found.queries, 256u);
  EXPECT_GE(found.recall, .9);
}

TEST(CalibrationTest, IsRenewedWhenAQuarterOfThePointsHasChanged) {
  const Rows rows = Cloud(800, 1);
  Index index = Build(rows, {.max_degree = 16});
  const Rows queries = Cloud(50, 2);
  SearchUntil(index, queries, [](const Calibration& c) { return c.points == 800; });
  const Rows more = Cloud(600, 3);
  ASSERT_TRUE(index.InsertMany(test::Iota(600, 800), more.view()));
  SearchUntil(index, queries, [](const Calibration& c) { return c.points == 1400; });
  ASSERT_TRUE(index.DeleteMany(test::Iota(1000)));
  SearchUntil(index, queries, [](const Calibration& c) { return c.points == 400; });
}

TEST(CalibrationTest, AViewIsCalibratedAsTheIndexIs) {
  const Rows rows = Cloud(800, 1);
  Index index = Build(rows, {.code = Code::kRq4, .max_degree = 16});
  const TempFolder folder;
  ASSERT_TRUE(index.Save(folder / "index"));
  Result<IndexView> view = IndexView::Open(folder / "index");
  ASSERT_TRUE(view);
  const auto of_index = index.Calibrate(kK, .9);
  const auto of_view = view->Calibrate(kK, .9);
  ASSERT_TRUE(of_index && of_view);
  EXPECT_NEAR(of_view->distances, of_index->distances, of_index->distances / 5);
  const Rows queries = Cloud(100, 2);
  EXPECT_GE(RecallOf(*view, Metric::kL2, rows, queries, .9), .88);
  EXPECT_EQ(view->CalibrationFor(kK, .9)->search_list_size, of_view->search_list_size);
}

TEST(CalibrationTest, PointsThatMoveToOtherSlotsAreFoundOnce) {
  const Rows rows = Cloud(1000, 1);
  Index index = Build(rows, {.max_degree = 16});
  ASSERT_TRUE(index.Calibrate(kK, .9));
  const Rows others = Cloud(200, 3);
  for (size_t i = 0; i < 200; ++i) ASSERT_TRUE(index.Upsert(i, others[i]));
  const Rows queries = Cloud(50, 2);
  for (size_t q = 0; q < queries.size(); ++q) {
    const auto hits = index.Search(queries[q], {.k = kK, .target_recall = .9});
    ASSERT_TRUE(hits);
    EXPECT_EQ(hits->size(), kK);
  }
}

}  // namespace
}  // namespace shoal
