// Directed races of an index with two rows for each point: whatever can see the point sees both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "shoal/index.h"
#include "support/sequencer.h"

namespace shoal::testing {
namespace {

// Points on a line, at places that float16 does not have.
class CodedRaceTest : public ::testing::Test {
 protected:
  using Vector = std::array<float, 2>;

  static Vector At(float x) { return {x + 0.0001f, 1.0f}; }
  static float Distance(float a, float b) {
    const float apart = At(a)[0] - At(b)[0];
    return apart * apart;
  }
  CodedRaceTest() {
    for (ExternalId id = 0; id < 20; ++id)
      EXPECT_TRUE(index_.Insert(id, At(static_cast<float>(id))));
  }
  // Every id once, at its distance.
  std::map<ExternalId, float> Found(float x) {
    std::map<ExternalId, float> found;
    for (const Hit& hit : *index_.Search(At(x), {.k = 40}))
      EXPECT_TRUE(found.emplace(hit.id, hit.distance).second) << hit.id;
    return found;
  }
  void ExpectVector(ExternalId id, const Vector& expected) {
    Vector vector{};
    ASSERT_TRUE(index_.Get(id, vector));
    EXPECT_EQ(vector, expected);
  }

  Index index_ =
      *Index::Create({.dim = 2, .code = Code::kFloat16, .max_degree = 4, .build_list_size = 16});
};

TEST_F(CodedRaceTest, APointThatIsJustPublishedHasBothRows) {
  Sequencer sequencer;
  sequencer.Start("insert", [&] { EXPECT_TRUE(index_.Insert(77, At(5.3f))); });
  ASSERT_TRUE(sequencer.RunTo("insert", "insert.published"));
  EXPECT_EQ(Found(9).at(77), Distance(9, 5.3f));
  ExpectVector(77, At(5.3f));
  ASSERT_TRUE(sequencer.RunToEnd("insert"));
}

TEST_F(CodedRaceTest, AnIdThatIsBeingReplacedHasTheNearerOfItsVectorsOnce) {
  Sequencer sequencer;
  sequencer.Start("upsert", [&] { EXPECT_TRUE(index_.Upsert(3, At(15.3f))); });
  for (const char* point : {"upsert.published", "upsert.linked"}) {
    ASSERT_TRUE(sequencer.RunTo("upsert", point));
    EXPECT_EQ(Found(16).at(3), Distance(16, 15.3f));
    EXPECT_EQ(Found(2).at(3), Distance(2, 3));
  }
  ASSERT_TRUE(sequencer.RunToEnd("upsert"));
  EXPECT_EQ(Found(2).at(3), Distance(2, 15.3f));
  ExpectVector(3, At(15.3f));
}

TEST_F(CodedRaceTest, APointThatIsMovedTakesBothRowsAlong) {
  for (ExternalId id = 0; id < 10; ++id) ASSERT_TRUE(index_.Delete(id));
  ASSERT_TRUE(index_.Consolidate());
  Sequencer sequencer;
  sequencer.Start("compact", [&] { EXPECT_TRUE(index_.Compact({.threads = 1})); });
  ASSERT_TRUE(sequencer.RunTo("compact", "move.published"));
  const auto expect_all = [&] {
    const auto found = Found(4);
    EXPECT_EQ(found.size(), 10u);
    for (const auto& [id, distance] : found)
      EXPECT_EQ(distance, Distance(4, static_cast<float>(id))) << id;
  };
  expect_all();
  ASSERT_TRUE(sequencer.RunToEnd("compact"));
  expect_all();
  for (ExternalId id = 10; id < 20; ++id) ExpectVector(id, At(static_cast<float>(id)));
  EXPECT_TRUE(index_.CheckStructure());
}

}  // namespace
}  // namespace shoal::testing
