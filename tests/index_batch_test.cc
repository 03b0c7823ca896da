// What the calls on many rows promise, what the counters promise, and that a build can be repeated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <thread>

#include "shoal/index.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Generator;
using test::Rows;

struct Built {
  Rows rows;
  Index index;
};

Built Build(size_t n, const IndexOptions& options, size_t threads = 1) {
  Generator generator(options.scalar_type, {.dim = options.dim}, 7);
  Rows rows = generator.Many(n);
  Result<Index> index = Index::Create(options);
  EXPECT_TRUE(index);
  const auto report = index->InsertMany(test::Iota(n), rows.view(), {.threads = threads});
  EXPECT_TRUE(report && report->done == n);
  return {std::move(rows), std::move(*index)};
}

Rows Queries(const Index& index, size_t n) {
  return Generator(index.options().scalar_type, {.dim = index.options().dim}, 7).Many(n);
}

class Counting {  // Work done since the object was made.
 public:
  explicit Counting(const Index& index) : index_(index), before_(index.Stats().work) {}
  WorkCounters More() const {
    const WorkCounters now = index_.Stats().work;
    return {now.distances - before_.distances,         now.hops - before_.hops,
            now.rows_fetched - before_.rows_fetched,   now.lists_read - before_.lists_read,
            now.lists_written - before_.lists_written, now.prunes - before_.prunes};
  }

 private:
  const Index& index_;
  WorkCounters before_;
};

void ExpectSameWork(const WorkCounters& a, const WorkCounters& b) {
  EXPECT_EQ(a.distances, b.distances);
  EXPECT_EQ(a.hops, b.hops);
  EXPECT_EQ(a.rows_fetched, b.rows_fetched);
  EXPECT_EQ(a.lists_read, b.lists_read);
  EXPECT_EQ(a.lists_written, b.lists_written);
  EXPECT_EQ(a.prunes, b.prunes);
}

void ExpectSameHits(const std::vector<Hit>& a, const std::vector<Hit>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id);
    EXPECT_EQ(a[i].distance, b[i].distance) << "to the bit";
  }
}

TEST(SearchMany, EqualsSearchForEveryNumberOfThreads) {
  const Built built = Build(1500, {.dim = 24});
  const Rows queries = Queries(built.index, 101);
  constexpr size_t kK = 7;
  for (const size_t threads : {1u, 2u, 5u}) {
    std::vector<ExternalId> ids(queries.size() * kK);
    std::vector<float> distances(ids.size());
    std::vector<uint32_t> counts(queries.size());
    std::vector<WorkCounters> work(queries.size());
    const SearchManyOutput output{ids, distances, counts, work};
    ASSERT_TRUE(built.index.SearchMany(queries.view(), {.k = kK}, output, {.threads = threads}));
    for (size_t q = 0; q < queries.size(); ++q) {
      ExternalId alone_ids[kK];
      float alone_distances[kK];
      WorkCounters alone_work;
      const auto n =
          built.index.Search(queries[q], {.k = kK}, alone_ids, alone_distances, &alone_work);
      ASSERT_TRUE(n);
      ASSERT_EQ(counts[q], *n);
      for (size_t i = 0; i < *n; ++i) {
        ASSERT_EQ(ids[q * kK + i], alone_ids[i]);
        ASSERT_EQ(distances[q * kK + i], alone_distances[i]);
      }
      ExpectSameWork(work[q], alone_work);
    }
  }
}

TEST(SearchMany, LeavesWhatIsBehindTheHitsAsItWas) {
  const Built built = Build(3, {.dim = 4});
  const Rows queries = Queries(built.index, 2);
  std::vector<ExternalId> ids(10, 99);
  std::vector<float> distances(10, -7);
  std::vector<uint32_t> counts(3, 55);
  ASSERT_TRUE(built.index.SearchMany(queries.view(), {.k = 5}, {ids, distances, counts}));
  EXPECT_THAT(counts, ::testing::ElementsAre(3, 3, 55));
  for (const size_t unused : {3, 4, 8, 9}) {
    EXPECT_EQ(ids[unused], 99u);
    EXPECT_EQ(distances[unused], -7);
  }
}

// The thread that is done with the first piece waits until the rest is searched: by others.
TEST(SearchMany, SpreadsAFewQueriesOverThreads) {
  const Built built = Build(500, {.dim = 8});
  constexpr size_t kQueries = 8;
  const std::vector<float> equal(kQueries * 8, 0.5f);
  const MatrixView queries(std::span<const float>(equal), 8);
  const auto hops = [&] { return built.index.Stats().work.hops; };
  const uint64_t before = hops();
  ASSERT_TRUE(built.index.Search(queries[0], {.k = 1}));
  const uint64_t all = hops() + kQueries * (hops() - before);
  size_t first_told = 0;
  const auto wait = [&](size_t done, size_t) {
    if (first_told == 0) first_told = done;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (hops() < all && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  };
  std::vector<ExternalId> ids(kQueries);
  std::vector<uint32_t> counts(kQueries);
  ASSERT_TRUE(built.index.SearchMany(queries, {.k = 1}, {ids, {}, counts},
                                     {.threads = 4, .progress = wait}));
  EXPECT_LT(first_told, kQueries);
  EXPECT_EQ(hops(), all);
}

TEST(SearchMany, OfNoQueriesIsOk) {
  const Built built = Build(3, {.dim = 4});
  EXPECT_TRUE(
      built.index.SearchMany(MatrixView(nullptr, ScalarType::kFloat32, 0, 4), {}, {{}, {}, {}}));
}

TEST(Search, FormsAgree) {
  const Built built = Build(800, {.dim = 24});
  const Rows queries = Queries(built.index, 20);
  for (size_t q = 0; q < queries.size(); ++q) {
    const auto hits = built.index.Search(queries[q], {.k = 9});
    ExternalId ids[9];
    float distances[9];
    ASSERT_EQ(*built.index.Search(queries[q], {.k = 9}, ids, distances), hits->size());
    for (size_t i = 0; i < hits->size(); ++i) {
      EXPECT_EQ(ids[i], (*hits)[i].id);
      EXPECT_EQ(distances[i], (*hits)[i].distance);
    }
  }
}

TEST(Progress, IsReportedInOrderOneCallAtATimeAndEndsWithAll) {
  Built built = Build(500, {.dim = 8});
  const Rows more = Queries(built.index, 777);
  std::atomic<int> inside{0};
  size_t last = 0;
  size_t expected_total = 0;
  const BatchOptions batch{.threads = 4, .progress = [&](size_t done, size_t total) {
                             EXPECT_EQ(inside.fetch_add(1), 0);
                             EXPECT_GE(done, last);
                             EXPECT_EQ(total, expected_total);
                             last = done;
                             inside.fetch_sub(1);
                           }};
  expected_total = 777;
  ASSERT_TRUE(built.index.InsertMany(test::Iota(777, 10000), more.view(), batch));
  EXPECT_EQ(last, 777u);
  last = 0;
  expected_total = 1277;
  ASSERT_TRUE(built.index.Refine(batch));
  EXPECT_EQ(last, 1277u);
  last = 0;
  expected_total = 777;
  std::vector<ExternalId> ids(777);
  std::vector<uint32_t> counts(777);
  ASSERT_TRUE(built.index.SearchMany(more.view(), {.k = 1}, {ids, {}, counts}, batch));
  EXPECT_EQ(last, 777u);
}

TEST(Counters, OfQueriesAddUpToThoseOfTheIndex) {
  const Built built = Build(1200, {.dim = 16});
  const Rows queries = Queries(built.index, 64);
  const Counting counting(built.index);
  std::vector<ExternalId> ids(640);
  std::vector<uint32_t> counts(64);
  std::vector<WorkCounters> work(64);
  ASSERT_TRUE(
      built.index.SearchMany(queries.view(), {.k = 10}, {ids, {}, counts, work}, {.threads = 3}));
  WorkCounters sum;
  for (const WorkCounters& one : work) {
    EXPECT_GT(one.distances, 0u);
    EXPECT_GE(one.hops, 10u) << "every hit was expanded";
    EXPECT_EQ(one.rows_fetched, one.distances);
    EXPECT_EQ(one.lists_read, one.hops);
    EXPECT_EQ(one.lists_written, 0u);
    EXPECT_EQ(one.prunes, 0u);
    sum += one;
  }
  ExpectSameWork(counting.More(), sum);
}

TEST(Counters, OfASearchOverAllCountEveryRowOnce) {
  const Built built = Build(300, {.dim = 16});
  WorkCounters work;
  std::vector<ExternalId> ids(300);
  ASSERT_EQ(*built.index.Search(Queries(built.index, 1)[0], {.k = 300}, ids, {}, &work), 300u);
  EXPECT_EQ(work.distances, 301u) << "every point, and the start";
  EXPECT_EQ(work.hops, 301u);
}

TEST(Counters, OfRefusedCallsAreZero) {
  Built built = Build(100, {.dim = 16});
  const Counting counting(built.index);
  EXPECT_FALSE(built.index.Insert(5, built.rows[5]));
  EXPECT_FALSE(built.index.Search(built.rows[5], {.k = 0}));
  EXPECT_FALSE(built.index.Insert(500, std::vector<float>(3)));
  ExpectSameWork(counting.More(), {});
}

TEST(Determinism, TwoBuildsOnOneThreadAreTheSameToTheBit) {
  for (const ScalarType type : {ScalarType::kFloat32, ScalarType::kUint8}) {
    const IndexOptions options{.dim = 24, .scalar_type = type, .max_degree = 12};
    const Built a = Build(1500, options);
    // The second in another thread and after other work: neither may show.
    std::optional<Built> b;
    std::thread([&] {
      const Built other = Build(100, {.dim = 3});
      b.emplace(Build(1500, options));
    }).join();
    const IndexStats stats = a.index.Stats();
    EXPECT_EQ(stats.edges, b->index.Stats().edges);
    ExpectSameWork(stats.work, b->index.Stats().work);
    const Rows queries = Queries(a.index, 50);
    for (size_t q = 0; q < queries.size(); ++q)
      ExpectSameHits(*a.index.Search(queries[q], {.k = 20}),
                     *b->index.Search(queries[q], {.k = 20}));
    ExpectSameWork(a.index.Stats().work, b->index.Stats().work);
  }
}

TEST(Determinism, OneByOneIsTheSameAsTogetherOnceTheStartIsThere) {
  const Built together = Build(600, {.dim = 24});
  Result<Index> one_by_one = Index::Create({.dim = 24});
  // The first call chooses the start point among all its rows: so it gets them all, but only
  // inserts the first.
  std::vector<ExternalId> ids(600, 0);
  const auto report = one_by_one->InsertMany(ids, together.rows.view(), {.threads = 1});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->done, 1u);
  for (ExternalId id = 1; id < 600; ++id) ASSERT_TRUE(one_by_one->Insert(id, together.rows[id]));
  EXPECT_EQ(one_by_one->Stats().edges, together.index.Stats().edges);
  ExpectSameWork(one_by_one->Stats().work, together.index.Stats().work);
}

TEST(InsertMany, FromTwoThreadsAtOnceInsertsEachRowOfBoth) {
  constexpr size_t kEach = 1500;
  const Rows rows = Generator(ScalarType::kUint8, {.dim = 16}, 3).Many(2 * kEach);
  Result<Index> index = Index::Create(
      {.dim = 16, .scalar_type = ScalarType::kUint8, .max_degree = 16, .build_list_size = 40});
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      const auto report = index->InsertMany(test::Iota(kEach, t * kEach),
                                            rows.view().Slice(t * kEach, kEach), {.threads = 2});
      EXPECT_TRUE(report && report->done == kEach);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(index->size(), 2 * kEach);
  const Status structure = index->CheckStructure();
  EXPECT_TRUE(structure) << structure.error().message;
  size_t lost = 0;
  for (size_t i = 0; i < rows.size(); ++i)
    lost += index->Search(rows[i], {.k = 1})->at(0).distance > 0 ? 1 : 0;
  EXPECT_LE(lost, rows.size() / 1000);
  EXPECT_EQ(index->Search(rows[0], {.k = rows.size()})->size(), rows.size());
}

TEST(InsertMany, OfOneIdFromManyThreadsHasOneWinner) {
  const Rows rows = Generator(ScalarType::kFloat32, {.dim = 8}, 3).Many(64);
  for (int round = 0; round < 20; ++round) {
    Result<Index> index = Index::Create({.dim = 8});
    std::atomic<size_t> won{0}, exists{0};
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (ExternalId id = 0; id < 16; ++id) {
          const Status inserted = index->Insert(id, rows[t * 16 + id]);
          if (inserted) {
            won.fetch_add(1);
          } else if (inserted.error().code == ErrorCode::kAlreadyExists) {
            exists.fetch_add(1);
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(won.load(), 16u);
    EXPECT_EQ(exists.load(), 48u);
    EXPECT_EQ(index->size(), 16u);
    EXPECT_TRUE(index->CheckStructure());
  }
}

TEST(UpsertMany, ReplacesWhatIsThereAndInsertsTheRest) {
  for (const size_t threads : {1u, 3u}) {
    Built built = Build(600, {.dim = 16, .max_degree = 16, .build_list_size = 40});
    const Rows others = Generator(ScalarType::kFloat32, {.dim = 16}, 9).Many(600);
    const auto report =
        built.index.UpsertMany(test::Iota(600, 300), others.view(), {.threads = threads});
    ASSERT_TRUE(report && report->status);
    EXPECT_EQ(report->done, 600u);
    EXPECT_TRUE(report->failures.empty());
    EXPECT_EQ(built.index.size(), 900u);
    std::vector<float> vector(16);
    for (ExternalId id = 0; id < 900; ++id) {
      ASSERT_TRUE(built.index.Get(id, vector));
      const VectorView expected = id < 300 ? built.rows[id] : others[id - 300];
      EXPECT_EQ(std::memcmp(vector.data(), expected.data(), expected.bytes()), 0) << id;
    }
    EXPECT_TRUE(built.index.CheckStructure());
  }
}

TEST(UpsertMany, ReportsRowsThatFailAndRefusesWhatFitsNoRow) {
  Built built = Build(10, {.dim = 4});
  std::vector<float> values(12, 1.0f);
  values[5] = std::numeric_limits<float>::quiet_NaN();
  const MatrixView one_wrong(std::span<const float>(values), 4);
  const auto report = built.index.UpsertMany(test::Iota(3, 8), one_wrong);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->done, 2u);
  ASSERT_EQ(report->failures.size(), 1u);
  EXPECT_EQ(report->failures[0].row, 1u);
  EXPECT_EQ(report->failures[0].error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(built.index.size(), 11u);
  const auto too_few = built.index.UpsertMany(test::Iota(2), one_wrong);
  ASSERT_FALSE(too_few);
  EXPECT_EQ(too_few.error().message, "ids: expected one per row, 3, found 2");
  EXPECT_TRUE(built.index.UpsertMany({}, {}));
}

double MeanRecall(const Built& built, const Rows& queries, size_t list_size) {
  double sum = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    ExternalId ids[10];
    const size_t n =
        *built.index.Search(queries[q], {.k = 10, .search_list_size = list_size}, ids, {});
    sum += test::RecallAt(10, test::BruteForce(Metric::kL2, built.rows, queries.values(q)),
                          std::span(ids).first(n));
  }
  return sum / static_cast<double>(queries.size());
}

TEST(Refine, KeepsEveryPointAndDoesNotLowerRecall) {
  for (const size_t threads : {1u, 2u}) {
    Built built = Build(2000, {.dim = 24, .max_degree = 12, .build_list_size = 30});
    const Rows queries = Queries(built.index, 200);
    const double before = MeanRecall(built, queries, 12);
    ASSERT_TRUE(built.index.Refine({.threads = threads}));
    const Status structure = built.index.CheckStructure();
    EXPECT_TRUE(structure) << structure.error().message;
    EXPECT_EQ(built.index.size(), 2000u);
    size_t lost = 0;
    for (ExternalId id = 0; id < 2000; ++id) {
      ASSERT_TRUE(built.index.Contains(id));
      lost += built.index.Search(built.rows[id], {.k = 1})->at(0).id != id ? 1 : 0;
    }
    EXPECT_LE(lost, 2u) << "this graph is sparse: one more than none is no bug";
    const double after = MeanRecall(built, queries, 12);
    EXPECT_GE(after, before - 0.002) << "threads " << threads;
    RecordProperty("recall_before", std::to_string(before));
    RecordProperty("recall_after", std::to_string(after));
  }
}

TEST(Refine, OfAnEmptyIndexAndOfOnePointIsOk) {
  Result<Index> index = Index::Create({.dim = 1});
  EXPECT_TRUE(index->Refine());
  ASSERT_TRUE(index->Insert(1, std::vector<float>{1}));
  EXPECT_TRUE(index->Refine());
  EXPECT_EQ(index->Search(std::vector<float>{1})->size(), 1u);
  EXPECT_TRUE(index->CheckStructure());
}

}  // namespace
}  // namespace shoal
