// Directed races of the operations that take points away or move them; see races_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "shoal/index.h"
#include "support/sequencer.h"

namespace shoal::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

// Points on a line. Rows are full and searches see everything.
class DeleteRaceTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kDegree = 4;
  using Vector = std::array<float, 2>;

  static Vector At(float x) { return {x, 1.0f}; }
  Status Insert(ExternalId id, float x) { return index_.Insert(id, At(x)); }
  // Ids 100 to 100 + n at places 0 to n.
  void Fill(ExternalId n) {
    for (ExternalId i = 0; i < n; ++i) {
      const ExternalId at = i * 7 % n;
      ASSERT_TRUE(Insert(100 + at, static_cast<float>(at)));
    }
  }
  std::vector<ExternalId> Nearest(float x, size_t k, size_t list_size = 64) {
    std::vector<ExternalId> ids;
    const auto hits = index_.Search(At(x), {.k = k, .search_list_size = list_size});
    EXPECT_TRUE(hits);
    for (const Hit& hit : *hits) ids.push_back(hit.id);
    return ids;
  }
  float Where(ExternalId id) {
    Vector vector{-1, -1};
    EXPECT_TRUE(index_.Get(id, vector));
    return vector[0];
  }
  void ExpectWhole() {
    const Status whole = index_.CheckStructure();
    EXPECT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(index_.Ids()->size(), index_.size());
  }

  static Index Make() {
    return *Index::Create({.dim = 2, .max_degree = kDegree, .build_list_size = 16});
  }
  Index index_ = Make();
};

// --- Delete during the insert of the same id.

TEST_F(DeleteRaceTest, ADeleteBeforeThePublicationFindsNothing) {
  Fill(30);
  ExternalId id = 7;
  for (const char* point : {"insert.after_lookup", "insert.reserved", "write_out.before_commit"}) {
    SCOPED_TRACE(point);
    Sequencer sequencer;
    Status inserted;
    sequencer.Start("insert", [&] { inserted = Insert(id, 12.5f); });
    ASSERT_TRUE(sequencer.RunTo("insert", point));
    const Status deleted = index_.Delete(id);
    ASSERT_FALSE(deleted);
    EXPECT_EQ(deleted.error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(sequencer.RunToEnd("insert"));
    EXPECT_TRUE(inserted);
    EXPECT_THAT(Nearest(12.5f, 10), Contains(id));
    ++id;
  }
  ExpectWhole();
}

TEST_F(DeleteRaceTest, ADeleteAfterThePublicationWinsAndTheInsertIsStillOk) {
  for (const char* point : {"insert.published", "link.after_back_link", "link_or_prune.full",
                            "replace_row.before_commit", "link.before_undo"}) {
    SCOPED_TRACE(point);
    index_ = Make();
    Fill(40);
    Sequencer sequencer;
    Status inserted;
    sequencer.Start("insert", [&] { inserted = Insert(7, 12.5f); });
    ASSERT_TRUE(sequencer.RunTo("insert", "insert.published"));
    if (point != std::string("insert.published")) {
      ASSERT_TRUE(sequencer.RunTo("insert", point));
    }
    ASSERT_TRUE(index_.Delete(7));
    EXPECT_THAT(Nearest(12.5f, 41), Not(Contains(7)));
    ASSERT_TRUE(Insert(7, 20.5f)) << "free at once";
    ASSERT_TRUE(sequencer.RunToEnd("insert"));
    EXPECT_TRUE(inserted);
    EXPECT_EQ(Where(7), 20.5f);
    EXPECT_THAT(Nearest(20.5f, 1), ElementsAre(7));
    ASSERT_TRUE(index_.Consolidate());
    ExpectWhole();
  }
}

// --- Upserts.

// So many points that most are no entry points, and are met hop by hop.
TEST_F(DeleteRaceTest, ASearchFindsAnIdThatIsUpsertedBetweenAnyTwoOfItsHops) {
  Fill(200);
  ASSERT_TRUE(Insert(7, 100.25f));
  for (int round = 0; round < 20; ++round) {
    Sequencer sequencer;
    std::vector<ExternalId> found;
    sequencer.Start("search", [&] { found = Nearest(100.3f, 1); });
    ASSERT_TRUE(sequencer.RunTo("search", "search.after_high_water"));
    for (int hop = 0; hop < round; ++hop)
      ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
    ASSERT_TRUE(index_.Upsert(7, At(round % 2 == 0 ? 100.35f : 100.25f)));
    ASSERT_TRUE(index_.Consolidate());
    ASSERT_TRUE(sequencer.RunToEnd("search"));
    EXPECT_THAT(found, ElementsAre(7)) << "after hop " << round;
  }
  ExpectWhole();
}

// The id goes far away, where the search comes last.
TEST_F(DeleteRaceTest, ASearchThatMeetsTwoSlotsOfAnIdReturnsItOnce) {
  for (const bool upsert : {true, false}) {
    index_ = Make();
    Fill(200);
    ASSERT_TRUE(Insert(7, 150.25f));
    Sequencer sequencer;
    std::vector<ExternalId> found;
    sequencer.Start("search", [&] { found = Nearest(150.25f, 200, 201); });
    for (int hop = 0; hop < 40; ++hop)
      ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));  // It has met id 7, too.
    if (upsert) {
      ASSERT_TRUE(index_.Upsert(7, At(5.5f)));
    } else {
      ASSERT_TRUE(index_.Delete(7));
      ASSERT_TRUE(Insert(7, 5.5f));
    }
    ASSERT_TRUE(sequencer.RunToEnd("search"));
    EXPECT_EQ(std::count(found.begin(), found.end(), 7u), 1);
    EXPECT_EQ(found.front(), 7u) << "the nearer";
    ExpectWhole();
  }
}

// hnswlib #487: one label in two nodes.
TEST_F(DeleteRaceTest, OfTwoUpsertsOfOneIdTheLaterStands) {
  Fill(30);
  for (const bool there : {true, false}) {
    for (const char* point : {"upsert.published", "upsert.linked"}) {
      SCOPED_TRACE(point);
      if (there) {
        ASSERT_TRUE(index_.Upsert(7, At(3.5f)));
      } else {
        (void)index_.Delete(7);
        point = point == std::string("upsert.linked") ? "insert.reserved" : "insert.after_lookup";
      }
      Sequencer sequencer;
      Status late;
      sequencer.Start("late", [&] { late = index_.Upsert(7, At(11.5f)); });
      ASSERT_TRUE(sequencer.RunTo("late", point));
      ASSERT_TRUE(index_.Upsert(7, At(22.5f)));
      EXPECT_EQ(Where(7), 22.5f);
      ASSERT_TRUE(sequencer.RunToEnd("late"));
      EXPECT_TRUE(late);
      EXPECT_EQ(index_.size(), 31u);
      // One that had only reserved the id comes before the one that overtook it.
      EXPECT_EQ(Where(7), point == std::string("insert.reserved") ? 22.5f : 11.5f);
      EXPECT_THAT(Nearest(Where(7), 1), ElementsAre(7));
      ASSERT_TRUE(index_.Consolidate());
      ExpectWhole();
    }
  }
}

TEST_F(DeleteRaceTest, ADeleteBetweenTheStepsOfAnUpsertComesBeforeIt) {
  Fill(30);
  ASSERT_TRUE(Insert(7, 3.5f));
  for (const char* point : {"write_out.before_commit", "upsert.published", "upsert.linked"}) {
    for (const bool again : {false, true}) {
      SCOPED_TRACE(point);
      Sequencer sequencer;
      sequencer.Start("upsert", [&] { EXPECT_TRUE(index_.Upsert(7, At(11.5f))); });
      ASSERT_TRUE(sequencer.RunTo("upsert", point));
      ASSERT_TRUE(index_.Delete(7));
      EXPECT_FALSE(index_.Contains(7));
      EXPECT_EQ(index_.Delete(7).error().code, ErrorCode::kNotFound);
      if (again) {
        ASSERT_TRUE(Insert(7, 22.5f));
      }
      ASSERT_TRUE(sequencer.RunToEnd("upsert"));
      EXPECT_EQ(Where(7), 11.5f);
      EXPECT_EQ(index_.size(), 31u);
      ASSERT_TRUE(index_.Consolidate());
      ExpectWhole();
    }
  }
}

TEST_F(DeleteRaceTest, AnInsertThatAnUpsertOvertakesFindsTheIdTakenAndLeavesNothing) {
  Fill(30);
  for (const char* point : {"insert.reserved", "write_out.before_commit"}) {
    SCOPED_TRACE(point);
    Sequencer sequencer;
    Status inserted;
    sequencer.Start("insert", [&] { inserted = Insert(7, 11.5f); });
    ASSERT_TRUE(sequencer.RunTo("insert", point));
    ASSERT_TRUE(index_.Upsert(7, At(22.5f)));
    ASSERT_TRUE(sequencer.RunToEnd("insert"));
    ASSERT_FALSE(inserted);
    EXPECT_EQ(inserted.error().code, ErrorCode::kAlreadyExists);
    EXPECT_EQ(Where(7), 22.5f);
    EXPECT_EQ(index_.size(), 31u);
    ExpectWhole();
    ASSERT_TRUE(index_.Delete(7));
  }
  EXPECT_LE(index_.Stats().slots_used, 36u) << "its slot went back";
}

// --- Get.

TEST_F(DeleteRaceTest, AReaderThatIsPinnedThroughADeleteReadsTheOldVectorWholeAndNothingIsReused) {
  Fill(30);
  ASSERT_TRUE(Insert(7, 60));
  const size_t before = index_.Stats().slots_used;
  Sequencer sequencer;
  Vector got{0, 0};
  sequencer.Start("get", [&] { EXPECT_TRUE(index_.Get(7, got)); });
  ASSERT_TRUE(sequencer.RunTo("get", "get.looked_up"));
  ASSERT_TRUE(index_.Delete(7));
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Insert(7, static_cast<float>(100 + i)));
    ASSERT_TRUE(index_.Delete(7));
    ASSERT_TRUE(index_.Consolidate());
  }
  EXPECT_EQ(index_.Stats().retired_slots, 21u);
  EXPECT_EQ(index_.Stats().slots_used, before + 20) << "no slot came back";
  ASSERT_TRUE(sequencer.RunToEnd("get"));
  EXPECT_EQ(got, At(60));
  ASSERT_TRUE(index_.Consolidate());
  EXPECT_EQ(index_.Stats().retired_slots, 0u);
  ExpectWhole();
}

TEST_F(DeleteRaceTest, AGetThatAnUpsertOvertakesFindsThePoint) {
  Fill(30);
  ASSERT_TRUE(Insert(7, 60));
  Sequencer sequencer;
  Vector got{0, 0};
  sequencer.Start("get", [&] { EXPECT_TRUE(index_.Get(7, got)); });
  ASSERT_TRUE(sequencer.RunTo("get", "get.looked_up"));
  ASSERT_TRUE(index_.Upsert(7, At(70)));
  ASSERT_TRUE(index_.Consolidate());
  ASSERT_TRUE(sequencer.RunToEnd("get"));
  EXPECT_EQ(got, At(60));
  EXPECT_EQ(Where(7), 70);
}

// --- Repairs.

// pgvector #993: vacuum beside inserts leaves the graph broken.
TEST_F(DeleteRaceTest, TwoRepairsOfAdjacentPointsLeaveTheGraphWhole) {
  const std::vector<std::string> points = {"repair.copied", "repair.before_replacing",
                                           "repair.before_commit", "repair.before_clearing"};
  for (const std::string& first : points) {
    for (const std::string& second : points) {
      SCOPED_TRACE(first + ", " + second);
      index_ = Make();
      Fill(40);
      Sequencer sequencer;
      sequencer.Start("a", [&] { EXPECT_TRUE(index_.Delete(110)); });
      sequencer.Start("b", [&] { EXPECT_TRUE(index_.Delete(111)); });
      ASSERT_TRUE(sequencer.RunTo("a", first));
      ASSERT_TRUE(sequencer.RunTo("b", second));
      ASSERT_TRUE(sequencer.RunToEnd("a"));
      ASSERT_TRUE(sequencer.RunToEnd("b"));
      ASSERT_TRUE(index_.Consolidate());
      EXPECT_EQ(index_.Stats().pending_repairs, 0u);
      for (ExternalId id = 100; id < 140; ++id) {
        if (id == 110 || id == 111) continue;
        EXPECT_THAT(Nearest(static_cast<float>(id - 100), 1), ElementsAre(id));
      }
      ExpectWhole();
    }
  }
}

TEST_F(DeleteRaceTest, ARepairAndAPruneOfOneRowLeaveNoEdgeToTheDeadPoint) {
  for (const bool repair_first : {true, false}) {
    index_ = Make();
    Fill(40);
    Sequencer sequencer;
    sequencer.Start("delete", [&] { EXPECT_TRUE(index_.Delete(110)); });
    sequencer.Start("insert", [&] { EXPECT_TRUE(Insert(7, 10.25f)); });
    ASSERT_TRUE(sequencer.RunTo("delete", "repair.before_commit"));
    ASSERT_TRUE(sequencer.RunTo("insert", "replace_row.before_commit"));
    ASSERT_TRUE(sequencer.RunToEnd(repair_first ? "delete" : "insert"));
    ASSERT_TRUE(sequencer.RunToEnd(repair_first ? "insert" : "delete"));
    ASSERT_TRUE(index_.Consolidate());
    EXPECT_THAT(Nearest(10.0f, 1), ElementsAre(7));
    ExpectWhole();
  }
}

// --- Compact. Its points move while their id's entry is held.

class CompactRaceTest : public DeleteRaceTest {
 protected:
  void SetUp() override {
    Fill(60);
    for (ExternalId id = 100; id < 160; ++id) {
      if (id % 4 == 0) continue;
      ASSERT_TRUE(index_.Delete(id));
    }
    ASSERT_TRUE(index_.Consolidate());
    sequencer_.Start("compact", [&] { EXPECT_TRUE(index_.Compact({.threads = 1})); });
  }
  void Finish() {
    ASSERT_TRUE(sequencer_.RunToEnd("compact"));
    ASSERT_TRUE(index_.Compact({.threads = 1}));
    EXPECT_LE(index_.Stats().slots_used, index_.size() + 2);
    ExpectWhole();
  }
  Sequencer sequencer_;
};

// SVS: compact throws when a delete comes between consolidate and compact.
TEST_F(CompactRaceTest, ADeleteBeforeTheMoveWins) {
  ASSERT_TRUE(sequencer_.RunTo("compact", "write_out.before_commit"));
  for (ExternalId id = 100; id < 160; id += 4) ASSERT_TRUE(index_.Delete(id));
  Finish();
  EXPECT_EQ(index_.size(), 0u);
}

TEST_F(CompactRaceTest, ADeleteDuringTheMoveWaitsForItAndFindsTheNewSlot) {
  ASSERT_TRUE(sequencer_.RunTo("compact", "move.published"));
  std::thread deleter([&] {
    for (ExternalId id = 100; id < 160; id += 4) EXPECT_TRUE(index_.Delete(id));
  });
  ASSERT_TRUE(sequencer_.RunToEnd("compact"));
  deleter.join();
  Finish();
  EXPECT_EQ(index_.size(), 0u);
}

// surrealdb #7318: elements are missing after compaction.
TEST_F(CompactRaceTest, SearchesFindTheMovedPointOnceAllTheTime) {
  for (const char* point : {"write_out.before_commit", "move.published", "move.linked"}) {
    ASSERT_TRUE(sequencer_.RunTo("compact", point));
    for (ExternalId id = 100; id < 160; id += 4)
      EXPECT_THAT(Nearest(static_cast<float>(id - 100), 1), ElementsAre(id));
    EXPECT_EQ(Nearest(0, 60).size(), 15u);
  }
  Finish();
}

TEST_F(CompactRaceTest, ASearchFindsAPointThatIsMovedBetweenAnyTwoOfItsHops) {
  ASSERT_TRUE(sequencer_.RunToEnd("compact"));
  for (int round = 0; round < 20; ++round) {
    index_ = Make();
    Fill(200);
    ASSERT_TRUE(Insert(7, 100.25f));
    for (ExternalId id = 100; id < 300; id += 3) ASSERT_TRUE(index_.Delete(id));
    ASSERT_TRUE(index_.Consolidate());
    std::vector<ExternalId> found;
    Sequencer sequencer;
    sequencer.Start("search", [&] { found = Nearest(100.25f, 1); });
    ASSERT_TRUE(sequencer.RunTo("search", "search.after_high_water"));
    for (int hop = 0; hop < round; ++hop)
      ASSERT_TRUE(sequencer.RunTo("search", "search.after_copy"));
    ASSERT_TRUE(index_.Compact({.threads = 1}));
    ASSERT_TRUE(sequencer.RunToEnd("search"));
    EXPECT_THAT(found, ElementsAre(7)) << "after hop " << round;
    ExpectWhole();
  }
}

// Refine finds the new slot, and the old one, at one place, and links them.
TEST_F(CompactRaceTest, APassOfRefineBetweenTheTwoSlotsMakesNoLoop) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(sequencer_.RunTo("compact", "move.published"));
    ASSERT_TRUE(index_.Refine({.threads = 1}));
  }
  Finish();
}

}  // namespace
}  // namespace shoal::testing
