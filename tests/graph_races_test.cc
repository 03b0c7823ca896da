// Directed races of the graph and of the whole index; see races_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "codec/full_codec.h"
#include "graph/graph.h"
#include "shoal/index.h"
#include "support/sequencer.h"
#include "support/store_fixture.h"

namespace shoal::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using LinkResult = NeighborLists::LinkResult;

// --- The graph: points on a line, one dimension that counts.

constexpr uint32_t kDegree = 4;

class GraphRaceTest : public ::testing::Test {
 protected:
  GraphRaceTest() { graph_.set_start(Place(0, /*start=*/true)); }

  SlotId Place(uint8_t at, bool start = false) {
    OwnedSlot slot = *store_.slots.Acquire();
    codec_.Encode(std::array<uint8_t, 1>{at}, store_.features.Row(slot.id()));
    start ? store_.neighbors.ResetStart(slot.id()) : store_.neighbors.ResetRow(slot.id());
    return start ? std::move(slot).Freeze() : std::move(slot).Publish();
  }
  void Link(SlotId u, SlotId v) { ASSERT_EQ(store_.neighbors.Link(u, v), LinkResult::kLinked); }

  // Runs `work` as a thread with an operation of its own.
  template <class Work>
  auto Operate(Work work) {
    return [this, work] {
      EpochRegistry::Guard guard = store_.epochs.Pin();
      Operation op(guard, codec_.buffer_bytes());
      work(op);
    };
  }

  const IndexOptions options_{
      .dim = 1, .scalar_type = ScalarType::kUint8, .max_degree = kDegree, .build_list_size = 8};
  FullCodec codec_{ScalarType::kUint8, Metric::kL2, 1};
  StoreFixture store_{kDegree, codec_.row_bytes()};
  NeighborLists& lists_ = store_.neighbors;
  const Representation rows_{codec_, &store_.features};
  Graph graph_{options_, {rows_, rows_}, store_.slots, store_.neighbors};
};

// Two passes want the same edge: one finds the row full and plans a prune; before it looks at the
// row again the other has written the edge.
TEST_F(GraphRaceTest, APruneWhoseEdgeWasWrittenMeanwhileLeavesNoBackLinkBehind) {
  const SlotId u = Place(100);
  const SlotId p = Place(101);
  std::vector<SlotId> far;
  Link(graph_.start(), u);
  for (const uint8_t at : {10, 50, 150, 200}) {
    far.push_back(Place(at));
    Link(u, far.back());
    if (far.size() < kDegree) Link(graph_.start(), far.back());
  }
  Sequencer sequencer;
  sequencer.Start("prune", Operate([&](Operation& op) { graph_.AddEdge(u, p, op); }));
  ASSERT_TRUE(sequencer.RunTo("prune", "link_or_prune.full"));
  ASSERT_TRUE(lists_.Unlink(u, far[0]));
  Link(u, p);
  ASSERT_TRUE(sequencer.RunToEnd("prune"));
  EXPECT_THAT(store_.Row(u), Contains(p));
  EXPECT_THAT(lists_.Reverse(p), ElementsAre(u));
  EXPECT_EQ(lists_.forest().ParentCount(p), 1u);
}

TEST_F(GraphRaceTest, APruneStartsAgainWhenItsRowMoves) {
  const SlotId u = Place(100);
  const SlotId p = Place(99);
  std::vector<SlotId> far;
  Link(graph_.start(), u);
  for (const uint8_t at : {10, 50, 150, 200}) {
    far.push_back(Place(at));
    Link(u, far.back());
    if (far.size() < kDegree) Link(graph_.start(), far.back());
  }
  Sequencer sequencer;
  sequencer.Start("prune", Operate([&](Operation& op) { graph_.AddEdge(u, p, op); }));
  ASSERT_TRUE(sequencer.RunTo("prune", "replace_row.before_commit"));
  ASSERT_TRUE(store_.Remove(far[1]));
  ASSERT_TRUE(sequencer.RunToEnd("prune"));
  EXPECT_THAT(store_.Row(u), Contains(p));
  EXPECT_THAT(store_.Row(u), ::testing::Not(Contains(far[1])));
  EXPECT_THAT(lists_.Reverse(p), ElementsAre(u));
  EXPECT_THAT(lists_.Reverse(far[1]), IsEmpty());
}

TEST_F(GraphRaceTest, AnInserterWhosePointIsDeletedLeavesNoEdgeToIt) {
  const SlotId u = Place(100);
  Link(graph_.start(), u);
  const SlotId p = Place(101);
  Link(p, u);
  Sequencer sequencer;
  sequencer.Start("insert", Operate([&](Operation& op) { graph_.LinkIn(p, {}, op); }));
  ASSERT_TRUE(sequencer.RunTo("insert", "link.after_back_link"));
  ASSERT_TRUE(store_.Remove(p));
  ASSERT_TRUE(sequencer.RunToEnd("insert"));
  EXPECT_THAT(store_.Row(u), IsEmpty());
  EXPECT_THAT(lists_.Reverse(p), IsEmpty());
  EXPECT_THAT(lists_.Reverse(u), ElementsAre(graph_.start()));
  size_t unreachable = 0;
  const Status whole = graph_.CheckStructure(unreachable);
  EXPECT_TRUE(whole) << whole.error().message;
}

// YugabyteDB #32319: a search computes a distance from a row that an insert is writing.
TEST_F(GraphRaceTest, ASearchBetweenTagCheckAndScoringReadsThePointItChecked) {
  const SlotId p = Place(77);
  Link(graph_.start(), p);
  Sequencer sequencer;
  std::vector<float> distances;
  sequencer.Start("search", Operate([&](Operation& op) {
                    const std::array<uint8_t, 1> query{70};
                    const Scorer scorer = codec_.BindQuery(query, op.scratch.query_buffer.data());
                    graph_.BeamSearch(rows_, scorer, 8, op);
                    for (size_t i = 0; i < op.scratch.search.best.size(); ++i)
                      if (op.scratch.search.best[i].slot == p)
                        distances.push_back(op.scratch.search.best[i].distance);
                  }));
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_tag_check"));
  ASSERT_TRUE(store_.Remove(p));
  for (int i = 0; i < 10; ++i) store_.slots.Reclaim();
  EXPECT_NE(Place(200), p) << "the search may still read it";
  ASSERT_TRUE(sequencer.RunToEnd("search"));
  EXPECT_THAT(distances, ElementsAre(49.0f));
}

TEST_F(GraphRaceTest, ASearchThatCopiedAnEdgeBeforeTheRepairSkipsTheRetiredSlot) {
  const SlotId p = Place(77);
  Link(graph_.start(), p);
  Sequencer sequencer;
  size_t found = 99;
  sequencer.Start("search", Operate([&](Operation& op) {
                    const std::array<uint8_t, 1> query{70};
                    const Scorer scorer = codec_.BindQuery(query, op.scratch.query_buffer.data());
                    graph_.BeamSearch(rows_, scorer, 8, op);
                    found = 0;
                    for (size_t i = 0; i < op.scratch.search.best.size(); ++i)
                      found += op.scratch.search.best[i].slot == p ? 1 : 0;
                  }));
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
  ASSERT_TRUE(store_.Remove(p));
  ASSERT_TRUE(sequencer.RunToEnd("search"));
  EXPECT_EQ(found, 0u);
}

// --- The index.

class IndexRaceTest : public ::testing::Test {
 protected:
  static std::array<float, 2> At(float x) { return {x, 1.0f}; }
  Status Insert(ExternalId id, float x) { return index_.Insert(id, At(x)); }
  std::vector<ExternalId> Nearest(float x, size_t k) {
    std::vector<ExternalId> ids;
    const auto hits = index_.Search(At(x), {.k = k});
    EXPECT_TRUE(hits);
    for (const Hit& hit : *hits) ids.push_back(hit.id);
    return ids;
  }
  void ExpectWhole() {
    const Status whole = index_.CheckStructure();
    EXPECT_TRUE(whole) << whole.error().message;
  }

  Index index_ = *Index::Create({.dim = 2, .max_degree = kDegree, .build_list_size = 16});
};

TEST_F(IndexRaceTest, OfTwoInsertsOfOneIdThatBothLookedItUpOneWins) {
  ASSERT_TRUE(Insert(1, 1));
  Sequencer sequencer;
  Status late, early;
  sequencer.Start("late", [&] { late = Insert(7, 70); });
  sequencer.Start("early", [&] { early = Insert(7, 71); });
  ASSERT_TRUE(sequencer.RunTo("late", "insert.after_lookup"));
  ASSERT_TRUE(sequencer.RunToEnd("early"));
  ASSERT_TRUE(sequencer.RunToEnd("late"));
  EXPECT_TRUE(early);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(index_.size(), 2u);
  EXPECT_THAT(Nearest(70, 1), ElementsAre(7));
  ExpectWhole();
  ASSERT_TRUE(Insert(8, 80));
  EXPECT_EQ(index_.Stats().slots_used, 4u) << "the loser's slot went back";
}

TEST_F(IndexRaceTest, AReservedIdIsTakenForInsertsAndAbsentForEverybodyElse) {
  ASSERT_TRUE(Insert(1, 1));
  Sequencer sequencer;
  Status first;
  sequencer.Start("first", [&] { first = Insert(7, 70); });
  ASSERT_TRUE(sequencer.RunTo("first", "insert.reserved"));
  const Status second = Insert(7, 71);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_FALSE(index_.Contains(7));
  EXPECT_EQ(index_.size(), 1u);
  EXPECT_THAT(Nearest(70, 5), ElementsAre(1));
  ASSERT_TRUE(Insert(8, 80)) << "others go on";
  ASSERT_TRUE(sequencer.RunToEnd("first"));
  EXPECT_TRUE(first);
  EXPECT_TRUE(index_.Contains(7));
  ExpectWhole();
}

TEST_F(IndexRaceTest, APublishedPointWithoutItsInEdgesDisturbsNoSearch) {
  ASSERT_TRUE(Insert(1, 1));
  Sequencer sequencer;
  sequencer.Start("first", [&] { EXPECT_TRUE(Insert(7, 70)); });
  ASSERT_TRUE(sequencer.RunTo("first", "insert.published"));
  for (ExternalId id = 10; id < 40; ++id) ASSERT_TRUE(Insert(id, static_cast<float>(id)));
  EXPECT_TRUE(index_.Contains(7));
  ASSERT_TRUE(sequencer.RunToEnd("first"));
  EXPECT_THAT(Nearest(70, 1), ElementsAre(7));
  ExpectWhole();
}

TEST_F(IndexRaceTest, ASearchThatBeganBeforeTheIndexGrewSeesWhatWasThere) {
  for (ExternalId id = 0; id < 4; ++id) ASSERT_TRUE(Insert(id, static_cast<float>(id)));
  Sequencer sequencer;
  std::vector<ExternalId> found;
  sequencer.Start("search", [&] { found = Nearest(0, 4); });
  ASSERT_TRUE(sequencer.RunTo("search", "search.after_high_water"));
  for (ExternalId id = 100; id < 400; ++id) ASSERT_TRUE(Insert(id, static_cast<float>(id)));
  ASSERT_TRUE(sequencer.RunToEnd("search"));
  EXPECT_THAT(found, Contains(0)) << "whether it meets those that came after its mark or not";
  EXPECT_THAT(Nearest(0, 4), ::testing::UnorderedElementsAre(0, 1, 2, 3));
  ExpectWhole();
}

// Only points of lower rank can be a point's parents (parent_forest.h). These have lower ranks than
// all others, and are linked when the few rows of lower rank still have long been full.
TEST_F(IndexRaceTest, PointsOfTheLowestRanksThatAreLinkedLastAreReachable) {
  Sequencer sequencer;
  const std::vector<std::string> late = {"a", "b", "c", "d", "e", "f"};
  for (size_t i = 0; i < late.size(); ++i) {
    sequencer.Start(late[i],
                    [this, i] { EXPECT_TRUE(Insert(1000 + i, static_cast<float>(i) * 3 + 0.5f)); });
    ASSERT_TRUE(sequencer.RunTo(late[i], "write_out.before_commit"));
  }
  for (ExternalId id = 0; id < 500; ++id) ASSERT_TRUE(Insert(id, static_cast<float>(id * 7 % 500)));
  for (const std::string& name : late) ASSERT_TRUE(sequencer.RunToEnd(name));
  for (size_t i = 0; i < late.size(); ++i)
    EXPECT_THAT(Nearest(static_cast<float>(i) * 3 + 0.5f, 1), ElementsAre(1000 + i));
  ExpectWhole();
}

// As above, but only the start point has a lower rank, and its few places hold the last parent
// edges of other points: an insert that kept its rank would look for a parent for ever.
TEST(InsertRaceTest, TheVeryFirstPointGetsALaterOneForAParentIfAllOvertakeIt) {
  constexpr size_t kDim = 96, kLater = 1000;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<std::array<float, kDim>> rows(1 + kLater);
  for (auto& row : rows)
    for (float& x : row) x = normal(random);
  for (const char* point : {"write_out.before_commit", "insert.published"}) {
    Index index = *Index::Create({.dim = kDim, .max_degree = 4, .build_list_size = 4});
    Sequencer sequencer;
    sequencer.Start("first", [&] { EXPECT_TRUE(index.Insert(0, rows[0])); });
    ASSERT_TRUE(sequencer.RunTo("first", point));
    for (ExternalId id = 1; id <= kLater; ++id) ASSERT_TRUE(index.Insert(id, rows[id]));
    ASSERT_TRUE(sequencer.RunToEnd("first")) << "overtaken at " << point;
    const Status whole = index.CheckStructure();
    EXPECT_TRUE(whole) << whole.error().message;
    EXPECT_TRUE(index.Contains(0));
  }
}

TEST_F(IndexRaceTest, RowsRewrittenUnderAPlannedWriteAreWrittenFromAFreshCopy) {
  for (ExternalId id = 0; id < 64; ++id) ASSERT_TRUE(Insert(id, static_cast<float>(id * 7 % 64)));
  Sequencer sequencer;
  sequencer.Start("refine", [&] { EXPECT_TRUE(index_.Refine({.threads = 1})); });
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(sequencer.RunTo("refine", "write_out.before_commit"));
    ASSERT_TRUE(index_.Refine({.threads = 1}));
    ASSERT_TRUE(Insert(100 + static_cast<ExternalId>(i), static_cast<float>(i) + 0.5f));
  }
  ASSERT_TRUE(sequencer.RunToEnd("refine"));
  ExpectWhole();
}

}  // namespace
}  // namespace shoal::testing
