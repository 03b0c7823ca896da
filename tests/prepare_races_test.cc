// Directed races of prepared inserts with deletes of the points that they were linked to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "index_impl.h"
#include "shoal/index.h"
#include "support/sequencer.h"

namespace shoal::testing {
namespace {

using ::testing::Contains;
using ::testing::Not;

// Points on a line: 30 of them, ids 100 to 129 at places 0 to 29. Id 7 is prepared between 112 and
// 113, so its list has an edge to 112.
class PrepareRaceTest : public ::testing::Test {
 protected:
  using Vector = std::array<float, 2>;

  static Vector At(float x) { return {x, 1.0f}; }
  static Index Make() {
    Index index = *Index::Create({.dim = 2, .max_degree = 4, .build_list_size = 16});
    for (ExternalId i = 0; i < 30; ++i)
      EXPECT_TRUE(index.Insert(100 + i * 7 % 30, At(static_cast<float>(i * 7 % 30))));
    return index;
  }
  IndexImpl& Impl() { return IndexImpl::Of(index_); }
  std::vector<ExternalId> Nearest(float x) {
    std::vector<ExternalId> ids;
    for (const Hit& hit : *index_.Search(At(x), {.k = 5})) ids.push_back(hit.id);
    return ids;
  }
  void ExpectWhole(size_t points) {
    EXPECT_TRUE(index_.Consolidate());
    const Status whole = index_.CheckStructure();
    EXPECT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(index_.size(), points);
  }

  // In a repair: its copy of the reverse list names the prepared slot; the row has lost its edge,
  // the back-link is there still; all rows are rerouted.
  static constexpr const char* kInARepair[] = {"repair.copied", "repair.before_replacing",
                                               "unlink.after_row", "repair.before_clearing"};
  Index index_ = Make();
};

TEST_F(PrepareRaceTest, ACommitDuringTheRepairOfANeighborFindsAWayAround) {
  for (const char* point : kInARepair) {
    SCOPED_TRACE(point);
    index_ = Make();
    Result<PreparedInsert> prepared = Impl().Prepare(7, At(12.5f));
    ASSERT_TRUE(prepared);
    Sequencer sequencer;
    sequencer.Start("delete", [&] { EXPECT_TRUE(index_.Delete(112)); });
    ASSERT_TRUE(sequencer.RunTo("delete", point));
    ASSERT_TRUE(Impl().Commit(std::move(*prepared)));
    EXPECT_THAT(Nearest(12.5f), Contains(7));
    ASSERT_TRUE(sequencer.RunToEnd("delete"));
    EXPECT_THAT(Nearest(12.5f), Contains(7));
    EXPECT_THAT(Nearest(12.5f), Not(Contains(112)));
    ExpectWhole(30);
  }
}

TEST_F(PrepareRaceTest, ADropDuringTheRepairOfANeighborLeavesNothing) {
  for (const char* point : kInARepair) {
    SCOPED_TRACE(point);
    index_ = Make();
    std::optional<Result<PreparedInsert>> prepared = Impl().Prepare(7, At(12.5f));
    ASSERT_TRUE(*prepared);
    Sequencer sequencer;
    sequencer.Start("delete", [&] { EXPECT_TRUE(index_.Delete(112)); });
    ASSERT_TRUE(sequencer.RunTo("delete", point));
    prepared.reset();
    ASSERT_TRUE(index_.Insert(7, At(3.5f)));  // In the slot that has come back.
    ASSERT_TRUE(sequencer.RunToEnd("delete"));
    EXPECT_THAT(Nearest(3.5f), Contains(7));
    ExpectWhole(30);
  }
}

// The commit's search has found a neighbour that is deleted, repaired and reused before the row is
// written.
TEST_F(PrepareRaceTest, ANeighborThatGoesDuringTheCommitsSearchIsInNoRow) {
  Result<PreparedInsert> prepared = Impl().Prepare(7, At(12.5f));
  ASSERT_TRUE(prepared);
  ASSERT_TRUE(index_.Delete(112));  // So that it searches again.
  Sequencer sequencer;
  Status committed;
  sequencer.Start("commit", [&] { committed = Impl().Commit(std::move(*prepared)); });
  ASSERT_TRUE(sequencer.RunTo("commit", "write_out.before_commit"));
  ASSERT_TRUE(index_.Delete(113));
  for (ExternalId id = 0; id < 5; ++id) ASSERT_TRUE(index_.Insert(id, At(40)));
  ASSERT_TRUE(index_.Consolidate());
  ASSERT_TRUE(sequencer.RunToEnd("commit"));
  EXPECT_TRUE(committed);
  EXPECT_THAT(Nearest(12.5f), Contains(7));
  ExpectWhole(34);
}

// The id is taken over while the commit is on its way.
TEST_F(PrepareRaceTest, AnUpsertDuringTheCommitsSearchWins) {
  Result<PreparedInsert> prepared = Impl().Prepare(7, At(12.5f));
  ASSERT_TRUE(prepared);
  ASSERT_TRUE(index_.Delete(112));
  Sequencer sequencer;
  Status committed;
  sequencer.Start("commit", [&] { committed = Impl().Commit(std::move(*prepared)); });
  ASSERT_TRUE(sequencer.RunTo("commit", "write_out.before_commit"));
  ASSERT_TRUE(index_.Upsert(7, At(20.5f)));
  ASSERT_TRUE(sequencer.RunToEnd("commit"));
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(Nearest(20.5f), Contains(7));
  EXPECT_THAT(Nearest(12.5f), Not(Contains(7)));
  ExpectWhole(30);
}

}  // namespace
}  // namespace shoal::testing
