// The contracts of the public API, one by one.
#include "shoal/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/test_data.h"

namespace shoal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Index Make(const IndexOptions& options) {
  Result<Index> index = Index::Create(options);
  if (!index) {
    ADD_FAILURE() << index.error().message;
    std::abort();
  }
  return std::move(*index);
}

// An error is one line that ends without a full stop.
template <class T, class Matcher>
void ExpectError(const Result<T>& result, ErrorCode code, const Matcher& matcher) {
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(ErrorCodeName(result.error().code), ErrorCodeName(code));
  EXPECT_THAT(result.error().message, matcher);
  EXPECT_THAT(result.error().message, Not(HasSubstr("\n")));
  EXPECT_FALSE(result.error().message.ends_with('.')) << result.error().message;
}

template <class T, class Matcher>
void ExpectInvalid(const Result<T>& result, const Matcher& matcher) {
  ExpectError(result, ErrorCode::kInvalidArgument, matcher);
}

// --- Create

void ExpectRefused(const IndexOptions& options, const char* field, const char* found) {
  ExpectInvalid(Index::Create(options),
                AllOf(HasSubstr(field), HasSubstr(found), HasSubstr("expected")));
}

TEST(Create, NamesTheOptionThatIsOutOfRange) {
  ExpectRefused({}, "dim", "found 0");
  ExpectRefused({.dim = kMaxDim + 1}, "dim", "found 32769");
  ExpectRefused({.dim = 4, .max_degree = 3}, "max_degree", "found 3");
  ExpectRefused({.dim = 4, .max_degree = kMaxDegree + 1}, "max_degree", "found 513");
  ExpectRefused({.dim = 4, .build_list_size = 0}, "build_list_size", "found 0");
  ExpectRefused({.dim = 4, .build_list_size = kMaxListSize + 1}, "build_list_size", "found 10001");
  ExpectRefused({.dim = 4, .alpha = 0.5f}, "alpha", "found 0.5");
  ExpectRefused({.dim = 4, .alpha = 2.5f}, "alpha", "found 2.5");
  ExpectRefused({.dim = 4, .alpha = kNan}, "alpha", "found nan");
  ExpectRefused({.dim = 4, .alpha = kInf}, "alpha", "found inf");
  ExpectRefused({.dim = 4, .alpha = -1e30f}, "alpha", "found -1");
}

TEST(Create, RefusesATypeOrAMetricThatIsNone) {
  ExpectRefused({.dim = 4, .scalar_type = static_cast<ScalarType>(9)}, "scalar_type", "9");
  ExpectRefused({.dim = 4, .metric = static_cast<Metric>(200)}, "metric", "200");
}

TEST(Create, TakesTheEndsOfEveryRange) {
  for (const IndexOptions& options :
       {IndexOptions{.dim = 1, .max_degree = 4, .build_list_size = 1, .alpha = 1},
        IndexOptions{.dim = kMaxDim,
        .max_degree = kMaxDegree,
        .build_list_size = kMaxListSize,
        .alpha = 2}}) {
    Index index = Make(options);
    std::vector<float> vector(options.dim, 1.0f);
    for (ExternalId id = 0; id < 20; ++id) {
      vector[0] = static_cast<float>(id);
      ASSERT_TRUE(index.Insert(id, vector));
    }
    EXPECT_EQ(index.Search(vector, {.k = 1})->at(0).id, 19u);
    EXPECT_TRUE(index.CheckStructure());
  }
}

TEST(Create, KeepsTheOptions) {
  const Index index = Make({.dim = 7,
                            .scalar_type = ScalarType::kInt8,
                            .metric = Metric::kCosine,
                            .max_degree = 9,
                            .build_list_size = 33,
                            .alpha = 1.5f,
                            .runtime = {.memory_limit = 1 << 30}});
  EXPECT_EQ(index.options().dim, 7u);
  EXPECT_EQ(index.options().scalar_type, ScalarType::kInt8);
  EXPECT_EQ(index.options().metric, Metric::kCosine);
  EXPECT_EQ(index.options().max_degree, 9u);
  EXPECT_EQ(index.options().build_list_size, 33u);
  EXPECT_EQ(index.options().alpha, 1.5f);
  EXPECT_EQ(index.options().runtime.memory_limit, uint64_t{1} << 30);
}

// --- The caller's errors about a vector: the same for all calls that take one.

class BadVector : public ::testing::Test {
 protected:
  BadVector() {
    EXPECT_TRUE(index_.Insert(1, std::vector<float>{1, 0, 0}));
    EXPECT_TRUE(index_.Insert(2, std::vector<float>{0, 1, 0}));
  }

  // As the only row: by the call as a whole, or as that row.
  template <class Matcher>
  void ExpectRefusedInBatches(Index& index, VectorView vector, const Matcher& why) {
    const MatrixView one(vector.data(), vector.type(), 1, vector.dim());
    const ExternalId id = 77;
    const auto report = index.InsertMany(std::span(&id, 1), one, {.threads = 1});
    if (report) {
      ASSERT_EQ(report->failures.size(), 1u);
      EXPECT_EQ(report->failures[0].error.code, ErrorCode::kInvalidArgument);
      EXPECT_THAT(report->failures[0].error.message, why);
    } else {
      ExpectInvalid(report, why);
    }
    EXPECT_FALSE(index.Contains(77));
    ExternalId ids[10];
    uint32_t counts[1] = {};
    ExpectInvalid(index.SearchMany(one, {}, {ids, {}, counts}, {.threads = 1}), why);
  }

  template <class Matcher>
  void ExpectRefusedByAll(Index& index, VectorView vector, const Matcher& why) {
    const size_t size = index.size();
    ExpectInvalid(index.Insert(77, vector), AllOf(HasSubstr("vector"), why));
    for (const ExternalId id : {ExternalId{77}, ExternalId{1}})
      ExpectInvalid(index.Upsert(id, vector), AllOf(HasSubstr("vector"), why));
    EXPECT_EQ(index.size(), size);
    EXPECT_FALSE(index.Contains(77));
    if (vector.data() != nullptr && vector.dim() > 0) ExpectRefusedInBatches(index, vector, why);
    ExpectInvalid(index.Search(vector), AllOf(HasSubstr("query"), why));
    ExternalId ids[10];
    float distances[10];
    ExpectInvalid(index.Search(vector, {}, ids, distances), AllOf(HasSubstr("query"), why));
    ExpectInvalid(index.RangeSearch(vector, {}), AllOf(HasSubstr("query"), why));
    EXPECT_TRUE(index.CheckStructure());
  }

  Index index_ = Make({.dim = 3});
};

TEST_F(BadVector, OfAnotherDimensionNamesBoth) {
  const auto why = AllOf(HasSubstr("dimension"), HasSubstr("expected 3"), HasSubstr("found 4"));
  ExpectRefusedByAll(index_, std::vector<float>{1, 2, 3, 4}, why);
  ExpectRefusedByAll(index_, std::vector<float>{}, HasSubstr("found 0"));
}

TEST_F(BadVector, OfAnotherTypeNamesBoth) {
  ExpectRefusedByAll(index_, std::vector<uint8_t>{1, 2, 3},
                     AllOf(HasSubstr("expected float32"), HasSubstr("found uint8")));
  ExpectRefusedByAll(index_, std::vector<Half>(3), HasSubstr("found float16"));
}

TEST_F(BadVector, WithNanOrInfinityNamesTheElement) {
  for (const float bad : {kNan, kInf, -kInf}) {
    ExpectRefusedByAll(index_, std::vector<float>{1, bad, 3},
                       AllOf(HasSubstr("element 1"), HasSubstr("NaN")));
  }
  Index half = Make({.dim = 2, .scalar_type = ScalarType::kFloat16});
  ASSERT_TRUE(half.Insert(1, std::vector<Half>{FloatToHalf(65504), FloatToHalf(-65504)}));
  for (const float bad : {kNan, kInf, -kInf})
    ExpectRefusedByAll(half, std::vector<Half>{FloatToHalf(bad), Half{}}, HasSubstr("element 0"));
}

TEST_F(BadVector, WithoutDataIsRefused) {
  ExpectRefusedByAll(index_, VectorView(nullptr, ScalarType::kFloat32, 3), HasSubstr("null"));
}

TEST_F(BadVector, ThatIsZeroIsRefusedUnderCosineOnly) {
  const std::vector<float> zero(3, 0.0f);
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
    Index index = Make({.dim = 3, .metric = metric});
    EXPECT_TRUE(index.Insert(1, zero));
    EXPECT_TRUE(index.Search(zero));
  }
  Index cosine = Make({.dim = 3, .metric = Metric::kCosine});
  ExpectRefusedByAll(cosine, zero, HasSubstr("zero"));
  ExpectRefusedByAll(cosine, std::vector<float>{0.0f, -0.0f, 0.0f}, HasSubstr("zero"));
  Index bytes = Make({.dim = 3, .scalar_type = ScalarType::kInt8, .metric = Metric::kCosine});
  ExpectRefusedByAll(bytes, std::vector<int8_t>(3), HasSubstr("zero"));
}

// Finite elements whose square sum is no float would give infinite or undefined distances.
TEST_F(BadVector, WhoseDistancesAreBeyondAFloatIsRefused) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    Index index = Make({.dim = 3, .metric = metric});
    ExpectRefusedByAll(index, std::vector<float>{1e20f, -1e20f, 3e38f}, HasSubstr("norm"));
    ExpectRefusedByAll(index, std::vector<float>{2.3e19f, 0, 0},
                       HasSubstr("expected at most 9.2e18, so that distances fit a float, "
                                 "found 2.3e19"));
    EXPECT_TRUE(index.Insert(5, std::vector<float>{1e18f, -1e18f, 1e18f}));
  }
  Index cosine = Make({.dim = 3, .metric = Metric::kCosine});
  ExpectRefusedByAll(cosine, std::vector<float>{1e-30f, 0, 1e-30f}, HasSubstr("norm"));
  EXPECT_TRUE(cosine.Insert(5, std::vector<float>{1e-18f, 0, 1e-18f}));
}

// --- Insert

TEST(Insert, OfAnIdThatIsThereIsAlreadyExistsAndChangesNothing) {
  Index index = Make({.dim = 2});
  ASSERT_TRUE(index.Insert(5, std::vector<float>{1, 1}));
  ExpectError(index.Insert(5, std::vector<float>{9, 9}), ErrorCode::kAlreadyExists,
              HasSubstr("id 5"));
  EXPECT_EQ(index.size(), 1u);
  EXPECT_EQ(index.Search(std::vector<float>{9, 9})->at(0).distance, 128.0f) << "the old vector";
}

TEST(Insert, TakesEvery64BitId) {
  Index index = Make({.dim = 1});
  const ExternalId ids[] = {0,           UINT64_MAX,  UINT64_MAX - 1,   uint64_t{1} << 32,
                            0xffffffffu, 0xfffffffeu, uint64_t{1} << 63};
  for (size_t i = 0; i < std::size(ids); ++i) {
    EXPECT_FALSE(index.Contains(ids[i]));
    ASSERT_TRUE(index.Insert(ids[i], std::vector<float>{static_cast<float>(i)}));
    EXPECT_TRUE(index.Contains(ids[i]));
  }
  for (size_t i = 0; i < std::size(ids); ++i)
    EXPECT_EQ(index.Search(std::vector<float>{static_cast<float>(i)}, {.k = 1})->at(0).id, ids[i]);
  EXPECT_EQ(index.size(), std::size(ids));
}

TEST(Insert, CopiesTheVectorWhateverItsAlignment) {
  Index index = Make({.dim = 3});
  std::vector<std::byte> bytes(64);
  for (size_t offset = 0; offset < 8; ++offset) {
    const float vector[] = {1, 2, static_cast<float>(offset)};
    std::memcpy(bytes.data() + offset, vector, sizeof(vector));
    ASSERT_TRUE(index.Insert(offset, VectorView(bytes.data() + offset, ScalarType::kFloat32, 3)));
  }
  std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
  for (size_t offset = 0; offset < 8; ++offset) {
    const auto hits = index.Search(std::vector<float>{1, 2, static_cast<float>(offset)});
    EXPECT_EQ(hits->at(0).id, offset);
    EXPECT_EQ(hits->at(0).distance, 0.0f);
  }
}

TEST(InsertMany, RefusesANumberOfIdsThatIsNotTheNumberOfRows) {
  Index index = Make({.dim = 2});
  const std::vector<float> rows(8, 1.0f);
  const ExternalId ids[] = {1, 2, 3};
  ExpectInvalid(index.InsertMany(ids, MatrixView(std::span(rows), 2)),
                AllOf(HasSubstr("ids"), HasSubstr("4"), HasSubstr("found 3")));
  EXPECT_EQ(index.size(), 0u);
}

TEST(InsertMany, ReportsRowsThatFailInOrderAndKeepsTheOthers) {
  Index index = Make({.dim = 2});
  ASSERT_TRUE(index.Insert(100, std::vector<float>{5, 5}));
  std::vector<float> rows;
  std::vector<ExternalId> ids;
  for (ExternalId i = 0; i < 40; ++i) {
    rows.insert(rows.end(), {static_cast<float>(i), i % 10 == 3 ? kNan : 0.0f});
    ids.push_back(i % 10 == 7 ? 100 : i);
  }
  const auto report = index.InsertMany(ids, MatrixView(std::span<const float>(rows), 2));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, 32u);
  ASSERT_EQ(report->failures.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    const auto& failure = report->failures[i];
    EXPECT_EQ(failure.row, i / 2 * 10 + (i % 2 == 0 ? 3 : 7));
    EXPECT_EQ(failure.error.code,
              i % 2 == 0 ? ErrorCode::kInvalidArgument : ErrorCode::kAlreadyExists);
  }
  EXPECT_EQ(index.size(), 33u);
  EXPECT_FALSE(index.Contains(3));
  EXPECT_TRUE(index.Contains(4));
  EXPECT_TRUE(index.CheckStructure());
}

TEST(InsertMany, OfRowsThatAreAllWrongIsAnErrorAndInsertsNothing) {
  Index index = Make({.dim = 3});
  const std::vector<float> rows(8, 1.0f);
  const std::vector<uint8_t> bytes(12, 1);
  ExpectInvalid(index.InsertMany(test::Iota(4), MatrixView(std::span(rows), 2)),
                HasSubstr("rows: dimension: expected 3, found 2"));
  ExpectInvalid(index.InsertMany(test::Iota(4), MatrixView(std::span(bytes), 3)),
                HasSubstr("rows: scalar type: expected float32, found uint8"));
  ExpectInvalid(index.InsertMany(test::Iota(4), MatrixView(nullptr, ScalarType::kFloat32, 4, 3)),
                HasSubstr("rows: data: expected a pointer, found null"));
  EXPECT_EQ(index.size(), 0u);
  EXPECT_TRUE(index.Search(std::vector<float>(3))->empty());
}

TEST(SearchMany, OfQueriesThatAreAllWrongIsAnErrorWithoutHits) {
  Index index = Make({.dim = 3});
  ASSERT_TRUE(index.Insert(1, std::vector<float>(3)));
  std::vector<ExternalId> ids(4);
  std::vector<uint32_t> counts(4, 7);
  const SearchOptions one{.k = 1};
  const std::vector<float> queries(8);
  ExpectInvalid(index.SearchMany(MatrixView(std::span(queries), 2), one, {ids, {}, counts}),
                HasSubstr("queries: dimension: expected 3, found 2"));
  EXPECT_THAT(counts, testing::Each(0u));
  ExpectInvalid(
      index.SearchMany(MatrixView(nullptr, ScalarType::kFloat32, 4, 3), one, {ids, {}, counts}),
      HasSubstr("queries: data: expected a pointer, found null"));
}

TEST(InsertMany, OfNothingIsNothing) {
  Index index = Make({.dim = 3});
  const auto report = index.InsertMany({}, MatrixView(nullptr, ScalarType::kFloat32, 0, 3));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, 0u);
  EXPECT_EQ(index.size(), 0u);
}

// --- Search

TEST(Search, RefusesKOfZero) {
  Index index = Make({.dim = 1});
  const std::vector<float> query{1};
  ExternalId ids[1];
  uint32_t counts[1];
  for (int points = 0; points < 2; ++points) {
    ExpectInvalid(index.Search(query, {.k = 0}), AllOf(HasSubstr("k:"), HasSubstr("found 0")));
    ExpectInvalid(index.Search(query, {.k = 0}, ids, {}), HasSubstr("k:"));
    ExpectInvalid(index.SearchMany(MatrixView(std::span(query), 1), {.k = 0},
                                   {.ids = ids, .distances = {}, .counts = counts}),
                  HasSubstr("k:"));
    ASSERT_TRUE(index.Insert(static_cast<ExternalId>(points), query));
  }
}

TEST(Search, RefusesSpansThatAreTooSmallAndNamesThem) {
  Index index = Make({.dim = 1});
  const std::vector<float> query{1};
  std::vector<ExternalId> ids(5);
  std::vector<float> distances(5);
  ExpectInvalid(index.Search(query, {.k = 6}, ids, {}),
                AllOf(HasSubstr("ids"), HasSubstr("6"), HasSubstr("found 5")));
  ExpectInvalid(index.Search(query, {.k = 5}, ids, std::span(distances).first(4)),
                AllOf(HasSubstr("distances"), HasSubstr("5"), HasSubstr("found 4")));
  EXPECT_TRUE(index.Search(query, {.k = 5}, ids, {})) << "no distances is none wanted";
}

TEST(SearchMany, RefusesSpansThatAreTooSmallAndNamesThem) {
  Index index = Make({.dim = 1});
  const std::vector<float> queries{1, 2, 3};
  const MatrixView view{std::span(queries), 1};
  std::vector<ExternalId> ids(6);
  std::vector<float> distances(6);
  std::vector<uint32_t> counts(3);
  std::vector<WorkCounters> work(3);
  const auto search = [&](size_t k, size_t n_ids, size_t n_distances, size_t n_counts,
                          size_t n_work) {
    return index.SearchMany(view, {.k = k},
                            {.ids = std::span(ids).first(n_ids),
                             .distances = std::span(distances).first(n_distances),
                             .counts = std::span(counts).first(n_counts),
                             .work = std::span(work).first(n_work)});
  };
  EXPECT_TRUE(search(2, 6, 6, 3, 3));
  EXPECT_TRUE(search(2, 6, 0, 3, 0));
  ExpectInvalid(search(2, 5, 6, 3, 3), AllOf(HasSubstr("ids"), HasSubstr("found 5")));
  ExpectInvalid(search(2, 6, 5, 3, 3), AllOf(HasSubstr("distances"), HasSubstr("found 5")));
  ExpectInvalid(search(2, 6, 6, 2, 3), AllOf(HasSubstr("counts"), HasSubstr("found 2")));
  ExpectInvalid(search(2, 6, 6, 3, 2), AllOf(HasSubstr("work"), HasSubstr("found 2")));
  // 3 * k wraps round to 2.
  ExpectInvalid(search(SIZE_MAX / 3 + 1, 6, 6, 3, 3), HasSubstr("ids"));
}

TEST(SearchMany, NamesTheRowThatIsWrongAndAnswersTheOthers) {
  Index index = Make({.dim = 1});
  ASSERT_TRUE(index.Insert(4, std::vector<float>{1}));
  const std::vector<float> queries{1, kNan, 3};
  ExternalId ids[3] = {};
  uint32_t counts[3] = {9, 9, 9};
  ExpectInvalid(index.SearchMany(MatrixView(std::span(queries), 1), {.k = 1},
                                 {.ids = ids, .distances = {}, .counts = counts}),
                AllOf(HasSubstr("row 1"), HasSubstr("NaN")));
  EXPECT_THAT(counts, ::testing::ElementsAre(1, 0, 1));
  EXPECT_EQ(ids[2], 4u);
}

TEST(RangeSearch, RefusesARadiusThatIsNoNumberAndTakesInfinity) {
  Index index = Make({.dim = 1});
  for (ExternalId id = 0; id < 50; ++id)
    ASSERT_TRUE(index.Insert(id, std::vector<float>{static_cast<float>(id)}));
  const std::vector<float> query{0};
  ExpectInvalid(index.RangeSearch(query, {.radius = kNan}), HasSubstr("radius"));
  EXPECT_EQ(index.RangeSearch(query, {.radius = kInf})->size(), 50u);
  EXPECT_EQ(index.RangeSearch(query, {.radius = -1})->size(), 0u);
  EXPECT_EQ(index.RangeSearch(query, {.radius = 4, .search_list_size = 0})->size(), 3u);
}

TEST(RangeSearch, CountsItsWorkAsTheIndexDoesAndMoreForAWiderRadius) {
  Index index = Make({.dim = 1});
  for (ExternalId id = 0; id < 500; ++id)
    ASSERT_TRUE(index.Insert(id, std::vector<float>{static_cast<float>(id)}));
  const std::vector<float> query{250};
  WorkCounters narrow, wide;
  ASSERT_TRUE(index.RangeSearch(query, {.radius = 4, .search_list_size = 1}, &narrow));
  const WorkCounters before = index.Stats().work;
  ASSERT_EQ(index.RangeSearch(query, {.radius = 1e4f, .search_list_size = 1}, &wide)->size(), 201u);
  const WorkCounters after = index.Stats().work;
  EXPECT_EQ(wide.distances, after.distances - before.distances);
  EXPECT_EQ(wide.hops, after.hops - before.hops);
  EXPECT_EQ(wide.lists_read, after.lists_read - before.lists_read);
  EXPECT_EQ(wide.rows_fetched, after.rows_fetched - before.rows_fetched);
  EXPECT_GE(wide.hops, 201u);
  EXPECT_LT(narrow.hops, wide.hops);
  EXPECT_GT(narrow.distances, 0u);
}

TEST(Empty, IndexAnswersWithNothing) {
  const Index index = Make({.dim = 2});
  const std::vector<float> query{1, 2};
  EXPECT_EQ(index.size(), 0u);
  EXPECT_FALSE(index.Contains(0));
  EXPECT_TRUE(index.Search(query)->empty());
  EXPECT_TRUE(index.RangeSearch(query, {.radius = kInf})->empty());
  EXPECT_TRUE(index.CheckStructure());
  const IndexStats stats = index.Stats();
  EXPECT_EQ(stats.points, 0u);
  EXPECT_EQ(stats.edges, 0u);
  EXPECT_EQ(stats.average_degree, 0);
  EXPECT_EQ(index.Diagnostics().oldest_pin, index.Diagnostics().epoch);
}

TEST(Index, MovesWithEverythingInIt) {
  Index a = Make({.dim = 1});
  ASSERT_TRUE(a.Insert(1, std::vector<float>{1}));
  Index b = std::move(a);
  ASSERT_TRUE(b.Insert(2, std::vector<float>{2}));
  Index c = Make({.dim = 5});
  c = std::move(b);
  EXPECT_EQ(c.size(), 2u);
  EXPECT_EQ(c.options().dim, 1u);
  EXPECT_EQ(c.Search(std::vector<float>{1})->size(), 2u);
  EXPECT_TRUE(c.CheckStructure());
}

}  // namespace
}  // namespace shoal
