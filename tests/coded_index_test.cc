// An index that traverses codes and orders its hits by other rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "shoal/exact.h"
#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;
using ::testing::HasSubstr;

constexpr size_t kDim = 24;
constexpr size_t kPoints = 1600;

Index Make(const IndexOptions& options) {
  Result<Index> index = Index::Create(options);
  if (!index) {
    ADD_FAILURE() << index.error().message;
    std::abort();
  }
  return std::move(*index);
}

Index MakeOf(const Rows& rows, const IndexOptions& options) {
  Index index = Make(options);
  const auto inserted =
      index.InsertMany(test::Iota(rows.size()), rows.view(), BatchOptions{.threads = 1});
  EXPECT_TRUE(inserted && inserted->failures.empty());
  return index;
}

class Coded : public ::testing::TestWithParam<Metric> {
 protected:
  Metric metric() const { return GetParam(); }
  IndexOptions Options(Code code, Code rerank = Code::kFull) const {
    return {.dim = kDim, .metric = metric(), .code = code, .rerank_code = rerank};
  }
  static Rows Make(size_t n, uint64_t seed) {
    return test::Generator(ScalarType::kFloat32, {.dim = kDim, .norm_sigma = 0.2}, seed).Many(n);
  }
  const Rows rows_ = Make(kPoints, 1);
  const Rows queries_ = Make(30, 2);

  // The distance of every point from a query, as an index without codes gives it.
  std::map<ExternalId, float> AllDistances(const Index& plain, VectorView query) const {
    std::map<ExternalId, float> distances;
    const auto hits = plain.Search(query, {.k = rows_.size()});
    for (const Hit& hit : *hits) distances[hit.id] = hit.distance;
    EXPECT_EQ(distances.size(), rows_.size());
    return distances;
  }
};
INSTANTIATE_TEST_SUITE_P(Metrics, Coded,
                         ::testing::Values(Metric::kL2, Metric::kInnerProduct, Metric::kCosine),
                         [](const auto& param) { return std::string(MetricName(param.param)); });

TEST_P(Coded, SearchesFindAsMuchAsWithoutCodesAtTheSameDistancesToTheBit) {
  const Index plain = MakeOf(rows_, Options(Code::kFull));
  const Index coded = MakeOf(rows_, Options(Code::kFloat16));
  double found_plain = 0, found_coded = 0;
  for (size_t q = 0; q < queries_.size(); ++q) {
    const auto truth = test::BruteForce(metric(), rows_, queries_.values(q));
    const auto distances = AllDistances(plain, queries_[q]);
    const auto recall = [&](const Index& index) {
      const auto hits = *index.Search(queries_[q], {.k = 10});
      EXPECT_EQ(hits.size(), 10u);
      std::vector<ExternalId> ids;
      for (const Hit& hit : hits) {
        EXPECT_EQ(hit.distance, distances.at(hit.id));
        ids.push_back(hit.id);
      }
      for (size_t i = 1; i < hits.size(); ++i) EXPECT_LE(hits[i - 1].distance, hits[i].distance);
      return test::RecallAt(10, truth, ids);
    };
    found_plain += recall(plain);
    found_coded += recall(coded);
  }
  EXPECT_GE(found_coded, found_plain - 0.01 * static_cast<double>(queries_.size()));
}

TEST_P(Coded, RangeSearchesGiveWhatTheyGiveWithoutCodes) {
  const Index coded = MakeOf(rows_, Options(Code::kFloat16));
  const Index plain = MakeOf(rows_, Options(Code::kFull));
  for (size_t q = 0; q < queries_.size(); ++q) {
    const auto distances = AllDistances(plain, queries_[q]);
    const float radius = (*plain.Search(queries_[q], {.k = 20})).back().distance;
    const auto hits = *coded.RangeSearch(queries_[q], {.radius = radius, .search_list_size = 200});
    EXPECT_GE(hits.size(), 19u);
    for (const Hit& hit : hits) {
      EXPECT_LE(hit.distance, radius);
      EXPECT_EQ(hit.distance, distances.at(hit.id));
    }
  }
}

TEST_P(Coded, VectorsComeBackAsTheRerankCodeHasThem) {
  const Index full = MakeOf(rows_, Options(Code::kFloat16));
  const Index halves = MakeOf(rows_, Options(Code::kFloat16, Code::kFloat16));
  std::vector<float> vector(kDim);
  for (ExternalId id = 0; id < 100; ++id) {
    ASSERT_TRUE(full.Get(id, vector));
    for (size_t i = 0; i < kDim; ++i) EXPECT_EQ(vector[i], rows_.values(id)[i]);
    ASSERT_TRUE(halves.Get(id, vector));
    for (size_t i = 0; i < kDim; ++i)
      EXPECT_EQ(vector[i], HalfToFloat(FloatToHalf(rows_.values(id)[i])));
  }
}

TEST_P(Coded, ACodeThatIsItsOwnRerankCodeIsAllThatIsKept) {
  const Index plain = MakeOf(rows_, Options(Code::kFull));
  const Index both = MakeOf(rows_, Options(Code::kFloat16));
  const Index one = MakeOf(rows_, Options(Code::kFloat16, Code::kFloat16));
  const auto bytes = [](const Index& index) { return index.Stats().memory.vectors; };
  EXPECT_LT(bytes(one), bytes(plain));
  EXPECT_EQ(bytes(both), bytes(one) + bytes(plain));
  std::vector<ExternalId> ids(10);
  std::vector<float> distances(10);
  WorkCounters work;
  ASSERT_TRUE(one.Search(queries_[0], {.k = 10}, ids, distances, &work));
  EXPECT_EQ(work.reranked, 0u);
  for (size_t i = 0; i < ids.size(); ++i)
    EXPECT_NEAR(distances[i], test::Distance(metric(), queries_.values(0), rows_.values(ids[i])),
                1e-2 * (1 + std::abs(distances[i])));
}

TEST_P(Coded, TheCallerSaysHowManyAreReranked) {
  const Index index = MakeOf(rows_, Options(Code::kFloat16));
  std::vector<ExternalId> ids(20);
  std::vector<float> distances(20);
  const auto reranked = [&](const SearchOptions& options) {
    WorkCounters work;
    EXPECT_EQ(index.Search(queries_[0], options, ids, distances, &work).value_or(0), options.k);
    return work.reranked;
  };
  EXPECT_EQ(reranked({.k = 10, .search_list_size = 64, .rerank = 25}), 25u);
  EXPECT_EQ(reranked({.k = 10, .search_list_size = 64, .rerank = 3}), 10u) << "at least k";
  EXPECT_EQ(reranked({.k = 10, .search_list_size = 64, .rerank = 1000}), 64u) << "at most L";
  EXPECT_EQ(reranked({.k = 20, .search_list_size = 5}), 20u) << "L is at least k";
  EXPECT_GE(reranked({.k = 10, .search_list_size = 64}), 10u);
  EXPECT_GE(index.Stats().work.reranked, 25u + 10 + 64 + 20 + 10);
}

TEST_P(Coded, PointsComeAndGoUnderThreadsAndEachIdHasItsOwnDistance) {
  IndexOptions options = Options(Code::kFloat16);
  options.max_degree = 16;
  options.build_list_size = 40;
  Index index = MakeOf(rows_, options);
  // Every id has one of two vectors, of which Upsert gives the other.
  const Rows others = Make(kPoints, 3);
  constexpr size_t kThreads = 3;
  std::vector<std::jthread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (ExternalId id = t; id < kPoints; id += kThreads) {
        if (id % 2 == 0) {
          EXPECT_TRUE(index.Upsert(id, others[id]));
        } else if (id % 4 == 1) {
          EXPECT_TRUE(index.Delete(id));
        }
      }
    });
  }
  threads.emplace_back([&] {
    for (size_t q = 0; q < queries_.size(); ++q) {
      const auto hits = *index.Search(queries_[q], {.k = 10});
      std::map<ExternalId, size_t> times;
      for (const Hit& hit : hits) {
        EXPECT_EQ(times[hit.id]++, 0u);
        const double was = test::Distance(metric(), queries_.values(q), rows_.values(hit.id));
        const double is = test::Distance(metric(), queries_.values(q), others.values(hit.id));
        EXPECT_LE(std::min(std::abs(hit.distance - was), std::abs(hit.distance - is)),
                  1e-4 * (1 + std::abs(was) + std::abs(is)));
      }
    }
  });
  threads.clear();
  ASSERT_TRUE(index.Compact({}));
  EXPECT_TRUE(index.CheckStructure());
  std::vector<float> vector(kDim);
  for (ExternalId id = 0; id < kPoints; ++id) {
    ASSERT_EQ(index.Get(id, vector).has_value(), id % 4 != 1);
    const auto expected = id % 2 == 0 ? others.values(id) : rows_.values(id);
    if (id % 4 == 1) continue;
    ASSERT_TRUE(std::equal(vector.begin(), vector.end(), expected.begin()));
  }
  for (size_t q = 0; q < queries_.size(); ++q) {
    for (const Hit& hit : *index.Search(queries_[q], {.k = 10})) {
      ASSERT_TRUE(index.Get(hit.id, vector));
      EXPECT_NEAR(hit.distance, test::Distance(metric(), queries_.values(q), vector),
                  test::Tolerance(metric(), queries_.values(q), vector));
    }
  }
}

// Both rows count, and what is refused leaves nothing behind.
TEST(CodedIndex, KeepsToItsMemoryLimit) {
  const auto points_within = [](Code code) {
    Index index = Make({.dim = 512, .code = code, .runtime = {.memory_limit = 24 << 20}});
    std::vector<float> vector(512);
    for (ExternalId id = 0;; ++id) {
      vector[id % 512] = static_cast<float>(id + 1);
      const Status inserted = index.Insert(id, vector);
      if (inserted && id < 100000) continue;
      EXPECT_TRUE(!inserted && inserted.error().code == ErrorCode::kOutOfMemory);
      EXPECT_LE(index.Stats().memory.total(), size_t{24} << 20);
      EXPECT_FALSE(index.Contains(id));
      EXPECT_TRUE(index.CheckStructure());
      return index.size();
    }
  };
  const size_t plain = points_within(Code::kFull);
  const size_t coded = points_within(Code::kFloat16);
  EXPECT_LT(coded, plain);
  EXPECT_GT(coded, plain / 2);
}

TEST(CodedIndex, SaysWhichCodesItHas) {
  const Index plain = Make({.dim = 4});
  EXPECT_EQ(plain.options().code, Code::kFull) << "resolved";
  EXPECT_EQ(plain.options().rerank_code, Code::kFull);
  const Index coded = Make({.dim = 4, .code = Code::kFloat16, .rerank_code = Code::kAuto});
  EXPECT_EQ(coded.options().code, Code::kFloat16);
  EXPECT_EQ(coded.options().rerank_code, Code::kFull);
}

TEST(CodedIndex, IsRefusedWhereTheCodesDoNotGoTogetherOrAreNotOfSuchVectors) {
  const auto refused = [](const IndexOptions& options, ErrorCode code, const char* message) {
    const Result<Index> index = Index::Create(options);
    ASSERT_FALSE(index);
    EXPECT_EQ(index.error().code, code);
    EXPECT_EQ(index.error().message, message);
  };
  refused({.dim = 4, .code = static_cast<Code>(77)}, ErrorCode::kInvalidArgument,
          "code: expected one of Code, found 77");
  refused({.dim = 4, .code = Code::kFull, .rerank_code = Code::kFloat16},
          ErrorCode::kInvalidArgument, "rerank_code: expected full, as code is, found float16");
  refused({.dim = 4, .code = Code::kFloat16, .rerank_code = Code::kSign},
          ErrorCode::kInvalidArgument,
          "rerank_code: expected full, float16, bfloat16, sq8, or float16, as code is, found sign");
  refused({.dim = 4, .scalar_type = ScalarType::kUint8, .code = Code::kFloat16},
          ErrorCode::kUnsupported,
          "code: expected a code for uint8 vectors with l2, found float16");
}

}  // namespace
}  // namespace shoal
