// Indexes of a database whose searches traverse a code: the file has the vectors as given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "shoal/database.h"
#include "shoal/filter.h"
#include "temp_folder.h"

namespace shoal {
namespace {

constexpr uint32_t kDim = 48;
using Vector = std::vector<float>;

class DatabaseCodesTest : public testing::TestWithParam<Code> {
 protected:
  Vector Random() {
    Vector v(kDim);
    for (float& x : v) x = normal_(random_);
    return v;
  }
  Result<Database> Open() const {
    return Database::Open(folder_ / "points.db", {.sync = SyncLevel::kNone});
  }
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
        database->CreateIndex("a", {.dim = kDim, .code = GetParam(), .max_degree = 16});
    ASSERT_TRUE(index) << index.error().message;
    for (ExternalId id = 0; id < vectors.size(); ++id) {
      vectors[id] = Random();
      ASSERT_TRUE(index->Insert(id, vectors[id]));
    }
    for (ExternalId id = 0; id < vectors.size(); id += 7)
      ASSERT_TRUE(index->Upsert(id, vectors[id] = Random()));
    ExpectOwnIds(index->live(), vectors);
  }
  Result<Database> database = Open();
  ASSERT_TRUE(database) << database.error().message;
  Result<StoredIndex> index = database->OpenIndex("a");
  ASSERT_TRUE(index) << index.error().message;
  EXPECT_EQ(index->live().options().code, GetParam());
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

INSTANTIATE_TEST_SUITE_P(Codes, DatabaseCodesTest,
                         testing::Values(Code::kFull, Code::kFloat16, Code::kSq8, Code::kRq4,
                                         Code::kRq2),
                         [](const auto& test) { return std::string(CodeName(test.param)); });

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

}  // namespace
}  // namespace shoal
