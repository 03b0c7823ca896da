// An index over rq codes: its code is relative to a centre near the mean of the vectors.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "index_impl.h"
#include "shoal/feature_stores.h"
#include "shoal/index.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr size_t kDim = 32;
constexpr size_t kQueries = 100;
constexpr double kNoise = 0.05;  // Of a recall, from one centre to another that is as good.

// Vectors of one generator, each moved by `shift` in every element.
class Data {
 public:
  Data(size_t points, double shift)
      : rows_(ScalarType::kFloat32, kDim), queries_(ScalarType::kFloat32, kDim) {
    const Rows all =
        test::Generator(ScalarType::kFloat32, {.dim = kDim}, 1).Many(points + kQueries);
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<double> row(all.values(i).begin(), all.values(i).end());
      for (double& x : row) x += shift;
      (i < points ? rows_ : queries_).Add(row);
    }
  }
  const Rows& rows() const { return rows_; }
  const Rows& queries() const { return queries_; }

 private:
  Rows rows_, queries_;
};

Index Make(const IndexOptions& options) {
  Result<Index> index = Index::Create(options);
  EXPECT_TRUE(index) << index.error().message;
  return std::move(*index);
}

// Of the first 10 by the code's own order.
double RecallOf(const Index& index, const Data& data) {
  double recall = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    std::vector<ExternalId> ids;
    const SearchOptions options{.k = 10, .search_list_size = 100, .rerank = 10};
    for (const Hit& hit : *index.Search(data.queries()[q], options)) ids.push_back(hit.id);
    recall += test::RecallAt(
        10, test::BruteForce(index.options().metric, data.rows(), data.queries().values(q)), ids);
  }
  return recall / kQueries;
}

double RecallOfOneBatch(const Data& data, Code code, Metric metric = Metric::kL2) {
  Index index = Make({.dim = kDim, .metric = metric, .code = code});
  EXPECT_TRUE(index.InsertMany(test::Iota(data.rows().size()), data.rows().view(),
                               BatchOptions{.threads = 1}));
  EXPECT_TRUE(index.CheckStructure());
  return RecallOf(index, data);
}

TEST(CentredIndex, ABatchIntoANewIndexIsFoundAsWellWhereverItsVectorsLie) {
  const Data near(1500, 0), far(1500, 20);
  for (const Code code : {Code::kRq3, Code::kRq2})
    EXPECT_NEAR(RecallOfOneBatch(far, code), RecallOfOneBatch(near, code), kNoise)
        << CodeName(code);
}

// Where vectors have nearly one direction and length, what they have in common is in no code: far
// away the order by cosine is that by distance.
TEST(CentredIndex, DirectionsThatAreAlikeAreToldAsPlacesAre) {
  const Data near(1500, 0), far(1500, 20);
  for (const Code code : {Code::kRq3, Code::kRq2}) {
    EXPECT_NEAR(RecallOfOneBatch(far, code, Metric::kCosine), RecallOfOneBatch(near, code), kNoise)
        << CodeName(code);
    EXPECT_GE(RecallOfOneBatch(far, code, Metric::kInnerProduct),
              RecallOfOneBatch(near, code, Metric::kInnerProduct) - kNoise)
        << CodeName(code);
  }
}

TEST(CentredIndex, TheFirstBatchIsCentredEvenIfAnInsertWasRefusedBefore) {
  const Data far(1500, 20);
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  EXPECT_FALSE(index.Insert(7, std::vector<float>(kDim + 1)));
  Rows rows = far.rows();
  ASSERT_TRUE(index.InsertMany(test::Iota(rows.size()), rows.view()));
  EXPECT_GE(RecallOf(index, far), RecallOfOneBatch(far, Code::kRq3) - kNoise);
}

TEST(CentredIndex, ABatchWithRefusedRowsIsCentredOnTheOthers) {
  const Data far(1500, 20);
  Rows rows(ScalarType::kFloat32, kDim);
  for (size_t i = 0; i < far.rows().size(); ++i)
    rows.Add(std::vector<double>(far.rows().values(i).begin(), far.rows().values(i).end()));
  rows.Add(std::vector<double>(kDim, std::numeric_limits<double>::infinity()));
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  const auto inserted = index.InsertMany(test::Iota(rows.size()), rows.view());
  ASSERT_TRUE(inserted);
  EXPECT_EQ(inserted->failures.size(), 1u);
  EXPECT_GE(RecallOf(index, far), RecallOfOneBatch(far, Code::kRq3) - kNoise);
}

TEST(CentredIndex, ASnapshotKeepsTheCentre) {
  const Data far(600, 20);
  TempFolder folder;
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  ASSERT_TRUE(index.InsertMany(test::Iota(600), far.rows().view()));
  ASSERT_TRUE(index.Save(folder / "index"));
  const Result<Index> loaded = Index::Load(folder / "index");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_NEAR(RecallOf(*loaded, far), RecallOf(index, far), 0.02);
}

// --- What the watch notices.

// Vectors whose lengths differ by far, along a direction.
std::vector<float> Along(size_t i, double x, double y) {
  const size_t looked_at = i / 16;
  const double length = 1 + static_cast<double>(looked_at % 10);
  return {static_cast<float>(length * x), static_cast<float>(length * y),
          looked_at % 4 < 2 ? 0.1f : -0.1f};
}

TEST(CentreWatch, OfInnerProductNoticesAnotherDirectionAndNoOtherLength) {
  CentreWatch watch(Metric::kInnerProduct, 3);
  constexpr size_t kVectors = 4096;
  const auto note = [&](double x, double y) {
    for (size_t i = 0; i < kVectors; ++i) watch.Note(Along(i, x, y), kVectors);
  };
  note(1, 0);
  EXPECT_TRUE(watch.HasMoved()) << "about the origin";
  watch.SetCentre(watch.Mean());
  EXPECT_FALSE(watch.HasMoved());
  note(3, 0);
  EXPECT_FALSE(watch.HasMoved()) << "the direction is the same";
  note(3, 0.3);
  EXPECT_TRUE(watch.HasMoved()) << "a tenth aside is far more than vectors differ by";
}

// --- Renewal.

bool IsRenewed(const Index& index) {
  return IndexImpl::Of(index).renewal().Count() > 0 && !IndexImpl::Of(index).renewal().active();
}

struct Case {
  RepairPolicy repair;
  Metric metric;
};
class Renewal : public ::testing::TestWithParam<Case> {
 protected:
  static RepairPolicy repair() { return GetParam().repair; }
  static Metric metric() { return GetParam().metric; }
  static IndexOptions Options(Code code) {
    return {.dim = kDim, .metric = metric(), .code = code, .runtime = {.repair = repair()}};
  }
  // Lets the index come to an end with its renewal.
  static void Settle(Index& index) {
    for (int i = 0; i < 200 && IndexImpl::Of(index).renewal().active(); ++i) {
      ASSERT_TRUE(index.Consolidate());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(index.Consolidate());
    ASSERT_TRUE(index.CheckStructure());
  }
};
INSTANTIATE_TEST_SUITE_P(Policies, Renewal,
                         ::testing::Values(Case{RepairPolicy::kImmediate, Metric::kL2},
                                           Case{RepairPolicy::kBackground, Metric::kL2},
                                           Case{RepairPolicy::kManual, Metric::kL2},
                                           Case{RepairPolicy::kBackground, Metric::kCosine},
                                           Case{RepairPolicy::kImmediate, Metric::kInnerProduct}));

TEST_P(Renewal, SingleInsertsAreFoundAsWellAsOneBatch) {
  const Data far(1800, 20);
  for (const Code code : {Code::kRq3, Code::kRq2}) {
    Index index = Make(Options(code));
    for (ExternalId id = 0; id < far.rows().size(); ++id)
      ASSERT_TRUE(index.Insert(id, far.rows()[id]));
    Settle(index);
    EXPECT_TRUE(IsRenewed(index));
    EXPECT_EQ(index.size(), far.rows().size());
    EXPECT_GE(RecallOf(index, far), RecallOfOneBatch(far, code, metric()) - kNoise)
        << CodeName(code);
  }
}

TEST_P(Renewal, DataThatStayDoNotMakeTheIndexRecode) {
  const Data far(3000, 20);
  Index index = Make(Options(Code::kRq3));
  ASSERT_TRUE(index.InsertMany(test::Iota(500), far.rows().view().Slice(0, 500)));
  for (ExternalId id = 500; id < 3000; ++id) {
    ASSERT_TRUE(index.Insert(id, far.rows()[id]));
    ASSERT_TRUE(index.Delete(id - 500));
  }
  EXPECT_EQ(IndexImpl::Of(index).renewal().Count(), 0u);
}

// A window of 1,000 points goes along a stream whose mean moves by far more than its points differ.
TEST_P(Renewal, ADriftingStreamKeepsItsRecall) {
  constexpr size_t kWindow = 1000, kSteps = 4000;
  const Data base(kSteps, 0);
  Rows moved(ScalarType::kFloat32, kDim);
  const auto shift = [](size_t i) { return 20.0 * static_cast<double>(i) / kSteps; };
  for (size_t i = 0; i < kSteps; ++i) {
    std::vector<double> row(base.rows().values(i).begin(), base.rows().values(i).end());
    for (double& x : row) x += shift(i);
    moved.Add(row);
  }
  Index index = Make(Options(Code::kRq3));
  Index fresh = Make(Options(Code::kRq3));
  ASSERT_TRUE(index.InsertMany(test::Iota(kWindow), moved.view().Slice(0, kWindow)));
  for (ExternalId id = kWindow; id < kSteps; ++id) {
    ASSERT_TRUE(index.Insert(id, moved[id]));
    ASSERT_TRUE(index.Delete(id - kWindow));
    if (repair() == RepairPolicy::kManual && id % 200 == 0) {
      ASSERT_TRUE(index.Consolidate());
    }
  }
  Settle(index);
  // The mean of these vectors goes away from the origin: soon its direction is the same.
  EXPECT_GE(IndexImpl::Of(index).renewal().Count(), metric() == Metric::kInnerProduct ? 1u : 2u);
  std::vector<ExternalId> ids;
  for (ExternalId id = kSteps - kWindow; id < kSteps; ++id) ids.push_back(id);
  ASSERT_TRUE(fresh.InsertMany(ids, moved.view().Slice(kSteps - kWindow, kWindow)));
  double recall = 0, of_fresh = 0;
  for (size_t q = 0; q < kQueries; ++q) {
    std::vector<float> query(base.queries().values(q).begin(), base.queries().values(q).end());
    for (float& x : query) x += static_cast<float>(shift(kSteps - kWindow / 2));
    const auto truth = fresh.Search(query, {.k = 10, .search_list_size = 400, .rerank = 400});
    const auto share = [&](const Index& of) {
      double found = 0;
      for (const Hit& hit : *of.Search(query, {.k = 10, .search_list_size = 100, .rerank = 10}))
        for (const Hit& right : *truth) found += hit.id == right.id ? 0.1 : 0;
      return found;
    };
    recall += share(index) / kQueries;
    of_fresh += share(fresh) / kQueries;
  }
  EXPECT_GE(recall, of_fresh - kNoise);
}

TEST_P(Renewal, VectorsOfAFeatureStoreAreEncodedAnew) {
  const Data far(1800, 20);
  Result<Index> index =
      Index::CreateWithFeatures(Options(Code::kRq3), *MakeRamFeatures(kDim * sizeof(float)));
  ASSERT_TRUE(index) << index.error().message;
  for (ExternalId id = 0; id < far.rows().size(); ++id)
    ASSERT_TRUE(index->Insert(id, far.rows()[id]));
  Settle(*index);
  EXPECT_TRUE(IsRenewed(*index));
  EXPECT_GE(RecallOf(*index, far), RecallOfOneBatch(far, Code::kRq3, metric()) - kNoise);
}

TEST(CentredIndex, WhereHitsAreOrderedByTheCodeTheCentreStays) {
  const Data far(1800, 20);
  Index index = Make({.dim = kDim, .code = Code::kRq3, .rerank_code = Code::kRq3});
  for (ExternalId id = 0; id < far.rows().size(); ++id)
    ASSERT_TRUE(index.Insert(id, far.rows()[id]));
  EXPECT_FALSE(IndexImpl::Of(index).renewal().active());
  EXPECT_EQ(IndexImpl::Of(index).renewal().Count(), 0u);
  EXPECT_LT(RecallOf(index, far), 0.6 * RecallOfOneBatch(far, Code::kRq3));
}

TEST(CentredIndex, ALoadInTheMiddleOfARenewalGoesOnWithIt) {
  const Data far(1800, 20);
  TempFolder folder;
  Index index =
      Make({.dim = kDim, .code = Code::kRq3, .runtime = {.repair = RepairPolicy::kManual}});
  for (ExternalId id = 0; id < far.rows().size(); ++id)
    ASSERT_TRUE(index.Insert(id, far.rows()[id]));
  ASSERT_TRUE(IndexImpl::Of(index).renewal().active());
  ASSERT_TRUE(index.Save(folder / "index"));
  Result<Index> loaded = Index::Load(folder / "index");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(loaded->CheckStructure());
  EXPECT_EQ(loaded->size(), far.rows().size());
  EXPECT_TRUE(IndexImpl::Of(*loaded).renewal().active());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(loaded->Consolidate());
  EXPECT_FALSE(IndexImpl::Of(*loaded).renewal().active());
  EXPECT_TRUE(loaded->CheckStructure());
  EXPECT_GE(RecallOf(*loaded, far), RecallOfOneBatch(far, Code::kRq3) - kNoise);
}

// In float16 a vector may be 0 that under cosine none is: it has no direction to be encoded anew.
TEST(CentredIndex, AVectorThatTheRerankCodeRoundsToZeroIsKept) {
  const Data far(1800, 20);
  TempFolder folder;
  Index index = Make(
      {.dim = kDim, .metric = Metric::kCosine, .code = Code::kRq3, .rerank_code = Code::kFloat16});
  ASSERT_TRUE(index.Insert(5000, std::vector<float>(kDim, 1e-12f)));
  for (ExternalId id = 0; id < far.rows().size(); ++id)
    ASSERT_TRUE(index.Insert(id, far.rows()[id]));
  ASSERT_TRUE(index.Consolidate());
  ASSERT_TRUE(IsRenewed(index));
  for (const Hit& hit : *index.Search(far.rows()[3], {.k = 1000, .search_list_size = 1000}))
    EXPECT_TRUE(std::isfinite(hit.distance));
  ASSERT_TRUE(index.Save(folder / "index"));
  const Result<Index> loaded = Index::Load(folder / "index");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(loaded->Contains(5000));
}

TEST(CentredIndex, WhatWasPreparedBeforeARenewalIsFoundAfterIt) {
  const Data far(1800, 20);
  Index index = Make({.dim = kDim, .code = Code::kRq3});
  IndexImpl& impl = IndexImpl::Of(index);
  for (ExternalId id = 0; id < 20; ++id) ASSERT_TRUE(index.Insert(id, far.rows()[id]));
  Result<PreparedInsert> fresh = impl.Prepare(5000, far.rows()[1700]);
  Result<PreparedInsert> replacement = impl.PrepareUpsert(3, far.rows()[1701]);
  ASSERT_TRUE(fresh && replacement);
  for (ExternalId id = 20; id < 1700; ++id) ASSERT_TRUE(index.Insert(id, far.rows()[id]));
  ASSERT_TRUE(index.Consolidate());
  ASSERT_TRUE(IsRenewed(index));
  ASSERT_TRUE(impl.Commit(std::move(*fresh)));
  ASSERT_TRUE(impl.Commit(std::move(*replacement)));
  EXPECT_TRUE(index.CheckStructure());
  const SearchOptions few{.k = 1, .search_list_size = 50, .rerank = 1};
  EXPECT_EQ(index.Search(far.rows()[1700], few)->front().id, 5000u);
  EXPECT_EQ(index.Search(far.rows()[1701], few)->front().id, 3u);
}

TEST(CentredIndex, ARenewalKeepsToTheMemoryLimit) {
  const Data far(1800, 20);
  for (size_t megabytes = 1; megabytes <= 3; ++megabytes) {
    Index index =
        Make({.dim = kDim, .code = Code::kRq3, .runtime = {.memory_limit = megabytes << 20}});
    std::vector<ExternalId> in;
    for (ExternalId id = 0; id < far.rows().size(); ++id)
      if (index.Insert(id, far.rows()[id])) in.push_back(id);
    EXPECT_LE(index.Stats().memory.total(), megabytes << 20);
    EXPECT_EQ(index.size(), in.size());
    for (const ExternalId id : in) EXPECT_TRUE(index.Contains(id));
    EXPECT_TRUE(index.CheckStructure());
  }
}

}  // namespace
}  // namespace shoal
