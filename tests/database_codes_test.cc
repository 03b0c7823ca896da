// Indexes of a database whose searches traverse a code: the file has the vectors as given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <utility>

#include "shoal/database.h"
#include "shoal/filter.h"
#include "temp_folder.h"

namespace shoal {
namespace {

constexpr uint32_t kDim = 48;
using Vector = std::vector<float>;

using Vectors = DatabaseOptions::Vectors;

class DatabaseCodesTest : public testing::TestWithParam<std::pair<Code, Vectors>> {
 protected:
  Vector Random() {
    Vector v(kDim);
    for (float& x : v) x = normal_(random_);
    return v;
  }
  Result<Database> Open() const {
    return Database::Open(folder_ / "points.db",
                          {.sync = SyncLevel::kNone, .vectors = GetParam().second});
  }
  static Code code() { return GetParam().first; }
  // The nearest of each vector is its own id, at distance 0.
  template <class Searched>
  static void ExpectOwnIds(const Searched& searched, const std::vector<Vector>& vectors) {
    for (ExternalId id = 0; id < vectors.size(); ++id) {
      const auto hits = searched.Search(vectors[id], {.k = 1});
      ASSERT_TRUE(hits) << hits.error().message;
      ASSERT_EQ(hits->size(), 1u);
      EXPECT_EQ((*hits)[0].id, id);
      EXPECT_EQ((*hits)[0].distance, 0);
    }
  }

  TempFolder folder_;
  std::mt19937 random_{3};
  std::normal_distribution<float> normal_;
};

TEST_P(DatabaseCodesTest, VectorsAreAsGivenAfterReopeningAndInSnapshots) {
  std::vector<Vector> vectors(400);
  {
    Result<Database> database = Open();
    ASSERT_TRUE(database) << database.error().message;
    Result<StoredIndex> index =
        database->CreateIndex("a", {.dim = kDim, .code = code(), .max_degree = 16});
    ASSERT_TRUE(index) << index.error().message;
    for (ExternalId id = 0; id < vectors.size(); ++id) {
      vectors[id] = Random();
      ASSERT_TRUE(index->Insert(id, vectors[id]));
    }
    for (ExternalId id = 0; id < vectors.size(); id += 7)
      ASSERT_TRUE(index->Upsert(id, vectors[id] = Random()));
    ExpectOwnIds(index->live(), vectors);
    ASSERT_TRUE(database->Pass());
    for (ExternalId id = 1; id < vectors.size(); id += 7)
      ASSERT_TRUE(index->Upsert(id, vectors[id] = Random()));
    ExpectOwnIds(index->live(), vectors);
  }
  Result<Database> database = Open();
  ASSERT_TRUE(database) << database.error().message;
  Result<StoredIndex> index = database->OpenIndex("a");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->live().options().code, code());
  const Status sound = index->live().CheckStructure();
  EXPECT_TRUE(sound) << sound.error().message;
  ExpectOwnIds(index->live(), vectors);
  const auto snapshot = DatabaseSnapshot::Open(folder_ / "points.db", "a");
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ExpectOwnIds(*snapshot, vectors);
  EXPECT_TRUE(snapshot->Verify());
  const Filter any = Filter::Not(Filter::Label(1));
  const auto filtered = snapshot->Search(vectors[0], {.filter = &any});
  ASSERT_FALSE(filtered);
  EXPECT_EQ(filtered.error().code, ErrorCode::kUnsupported);
}

// A row leaves memory at its commit: every reader finds it before and after.
TEST_P(DatabaseCodesTest, VectorsAreThereAtEveryMomentOfTheirCommits) {
  Result<Database> database = Database::Open(
      folder_ / "points.db",
      {.sync = SyncLevel::kNone, .least_changes = 200, .vectors = GetParam().second});
  ASSERT_TRUE(database) << database.error().message;
  StoredIndex index = *database->CreateIndex("a", {.dim = kDim, .code = code(), .max_degree = 12});
  constexpr ExternalId kIds = 150;
  const auto vector_of = [](ExternalId id, int round) {
    return Vector(kDim, static_cast<float>(id + 1) + static_cast<float>(round % 7) / 8);
  };
  for (ExternalId id = 0; id < kIds; ++id) ASSERT_TRUE(index.Insert(id, vector_of(id, 0)));
  std::atomic<bool> done{false};
  std::thread reader([&] {
    Vector v(kDim);
    for (ExternalId id = 0; !done.load(); id = (id + 1) % kIds) {
      const Status got = index.live().Get(id, v);
      ASSERT_TRUE(got) << got.error().message;
      ASSERT_EQ(static_cast<ExternalId>(v[kDim - 1]), id + 1);
      const auto hits = index.live().Search(v, {.k = 3});
      ASSERT_TRUE(hits) << hits.error().message;
      ASSERT_EQ(hits->size(), 3u);
    }
  });
  for (int round = 1; round < 6; ++round)
    for (ExternalId id = 0; id < kIds; ++id) EXPECT_TRUE(index.Upsert(id, vector_of(id, round)));
  done = true;
  reader.join();
  const auto snapshot = DatabaseSnapshot::Open(folder_ / "points.db", "a");
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  const Status sound = snapshot->Verify();
  EXPECT_TRUE(sound) << sound.error().message;
  EXPECT_EQ(snapshot->size(), kIds);
}

TEST_P(DatabaseCodesTest, CodeIsChangedInPlaceAndTheGraphStays) {
  std::vector<Vector> vectors(200);
  for (Vector& v : vectors) v = Random();
  uint64_t edges = 0;
  {
    Result<Database> database = Database::Open(folder_ / "points.db", {.sync = SyncLevel::kNone});
    StoredIndex index = *database->CreateIndex("a", {.dim = kDim, .max_degree = 12});
    for (ExternalId id = 0; id < vectors.size(); ++id) ASSERT_TRUE(index.Insert(id, vectors[id]));
    ASSERT_TRUE(database->Pass());
    edges = index.live().Stats().edges;
    const Status refused = database->ChangeCode("a", code());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(database->ChangeCode("b", code()).error().code, ErrorCode::kNotFound);
  }
  {
    Result<Database> database = Database::Open(folder_ / "points.db", {.sync = SyncLevel::kNone});
    const Status changed = database->ChangeCode("a", code());
    ASSERT_TRUE(changed) << changed.error().message;
  }
  Result<Database> database = Open();
  const Result<StoredIndex> index = database->OpenIndex("a");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->live().options().code, code());
  EXPECT_EQ(index->live().Stats().edges, edges);
  ExpectOwnIds(index->live(), vectors);
}

INSTANTIATE_TEST_SUITE_P(Codes, DatabaseCodesTest,
                         testing::Values(std::pair(Code::kFull, Vectors::kMemory),
                                         std::pair(Code::kFloat16, Vectors::kMemory),
                                         std::pair(Code::kSq8, Vectors::kMemory),
                                         std::pair(Code::kRq4, Vectors::kMemory),
                                         std::pair(Code::kRq2, Vectors::kMemory),
                                         std::pair(Code::kSq8, Vectors::kFile),
                                         std::pair(Code::kRq4, Vectors::kFile)),
                         [](const auto& test) {
                           return std::string(CodeName(test.param.first)) +
                                  (test.param.second == Vectors::kFile ? "InTheFile" : "InMemory");
                         });

TEST(DatabaseCodesErrorTest, VectorsInTheFileNeedACode) {
  const TempFolder folder;
  Result<Database> database = Database::Open(folder / "points.db", {.vectors = Vectors::kFile});
  ASSERT_TRUE(database);
  const auto index = database->CreateIndex("a", {.dim = 8, .code = Code::kFull});
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(index.error().message, testing::HasSubstr("code"));
}

TEST(DatabaseCodesErrorTest, AnotherRerankCodeThanTheVectorsIsUnsupported) {
  const TempFolder folder;
  Result<Database> database = Database::Open(folder / "points.db");
  ASSERT_TRUE(database);
  const auto index =
      database->CreateIndex("a", {.dim = 8, .code = Code::kRq4, .rerank_code = Code::kSq8});
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(index.error().message, testing::HasSubstr("rerank_code"));
}

// Vectors that share most of their length: codes about the origin tell none apart, and each search
// is made once more over the vectors.
TEST(DatabaseCodes, AreAboutTheMeanOfTheFirstBatchAndOfWhatIsThereWhenItIsOpened) {
  constexpr size_t kPoints = 1500, kQueries = 30;
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> floats((kPoints + kQueries) * kDim);
  for (float& x : floats) x = 20 + normal(random);
  const MatrixView rows(floats.data(), ScalarType::kFloat32, kPoints, kDim);
  std::vector<ExternalId> ids(kPoints);
  for (size_t i = 0; i < kPoints; ++i) ids[i] = i;
  const IndexOptions options{.dim = kDim, .metric = Metric::kCosine, .code = Code::kRq4};
  const auto distances_of = [&](const Index& index) {
    uint64_t distances = 0;
    for (size_t q = kPoints; q < kPoints + kQueries; ++q) {
      std::vector<ExternalId> found(10);
      std::vector<float> away(10);
      WorkCounters work;
      EXPECT_TRUE(
          index.Search(std::span(floats).subspan(q * kDim, kDim), {.k = 10}, found, away, &work));
      distances += work.distances;
    }
    return static_cast<double>(distances);
  };
  Index in_memory = *Index::Create(options);
  ASSERT_TRUE(in_memory.InsertMany(ids, rows));
  const double expected = distances_of(in_memory);

  TempFolder folder;
  const auto path = folder / "points.db";
  {
    Result<Database> database = Database::Open(path, {.sync = SyncLevel::kNone});
    ASSERT_TRUE(database) << database.error().message;
    Result<StoredIndex> index = database->CreateIndex("a", options);
    ASSERT_TRUE(index) << index.error().message;
    Result<Transaction> change = database->Begin();
    ASSERT_TRUE(change && change->InsertMany(*index, ids, rows) && change->Commit());
    EXPECT_LE(distances_of(index->live()), 1.2 * expected) << "of the first batch";
  }
  Result<Database> database = Database::Open(path, {.sync = SyncLevel::kNone});
  ASSERT_TRUE(database) << database.error().message;
  const Result<StoredIndex> index = database->OpenIndex("a");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_LE(distances_of(index->live()), 1.2 * expected) << "of what is there";
}

}  // namespace
}  // namespace shoal
