// A hub, at which a large part of all points point: the zero among unit vectors. Taking it out of
// the graph takes many steps, and whatever happens between two of them, nothing is lost.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "shoal/index.h"
#include "support/sequencer.h"
#include "tests/print_types.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal::testing {
namespace {

using test::Rows;

constexpr size_t kN = 4000, kDim = 32;
constexpr ExternalId kHub = kN / 2;
constexpr ExternalId kEvery = 7;  // Every so many-th point is looked for: sanitizers are slow.
constexpr uint32_t kDegree = 8;

class HubRaceTest : public ::testing::Test {
 protected:
  Index Make(RepairPolicy repair) const {
    Index index = std::move(*Index::Create({.dim = kDim,
                                            .max_degree = kDegree,
                                            .build_list_size = 40,
                                            .runtime = {.repair = repair}}));
    const auto report = index.InsertMany(test::Iota(kN), rows_.view(), {.threads = 1});
    EXPECT_EQ(report->done, kN);
    return index;
  }

  // Whole, without the hub, and each point that is left is found by its own vector. (But a few: the
  // graph is of lists of 8.)
  void ExpectTheOthers(const Index& index, ExternalId first_left) const {
    const Status structure = index.CheckStructure();
    ASSERT_TRUE(structure) << structure.error().message;
    EXPECT_FALSE(index.Contains(kHub));
    const auto near_it = index.Search(rows_[kHub], {.k = 500, .search_list_size = 500});
    for (const Hit& hit : *near_it) ASSERT_NE(hit.id, kHub);
    EXPECT_LE(Lost(index, first_left), kN / kEvery / 100);
  }

  size_t Lost(const Index& index, ExternalId first) const {
    size_t lost = 0;
    for (ExternalId id = first; id < kN; id += kEvery) {
      if (!index.Contains(id)) continue;
      const auto hits = index.Search(rows_[id], {.k = 1, .search_list_size = 200});
      lost += hits->size() == 1 && hits->front().id == id ? 0 : 1;
    }
    return lost;
  }

  const Rows rows_ = test::UnitVectorsAndAZero(kN, kDim, kHub, 3);
};

// Whatever is done between two steps: the graph is whole, and the hub is gone for everybody.
TEST_F(HubRaceTest, AHubIsLedAroundInStepsBetweenWhichOthersGoOn) {
  Index index = Make(RepairPolicy::kImmediate);
  const TempFolder folder;
  Sequencer sequencer;
  sequencer.Start("delete", [&] { EXPECT_TRUE(index.Delete(kHub)); });
  size_t steps = 0;
  ExternalId next = 0;
  for (; sequencer.RunTo("delete", "repair.partial"); ++steps) {
    EXPECT_EQ(index.Stats().pending_repairs, 1u);
    ExpectTheOthers(index, next);
    const std::string path = folder / ("hub" + std::to_string(steps));
    ASSERT_TRUE(index.Save(path));
    const Result<Index> loaded = Index::Load(path);
    ASSERT_TRUE(loaded);
    EXPECT_EQ(loaded->size(), index.size());
    ExpectTheOthers(*loaded, next);
    ASSERT_TRUE(index.Delete(next++)) << "of one that points at it, without waiting";
    ASSERT_TRUE(index.Insert(kN + steps, rows_[next]));
  }
  ASSERT_TRUE(sequencer.RunToEnd("delete"));
  EXPECT_GE(steps, 2u) << "else it is no hub";
  EXPECT_EQ(index.Stats().pending_repairs, 0u);
  ExpectTheOthers(index, next + 1);
  ASSERT_TRUE(index.Insert(kHub, rows_[kHub]));
  EXPECT_EQ(index.Search(rows_[kHub], {.k = 1})->front().id, kHub);
}

// Many threads share the steps: any thread may go on with a hub's repair.
TEST_F(HubRaceTest, AHubIsFinishedByWhoeverComesNext) {
  Index index = Make(RepairPolicy::kManual);
  ASSERT_TRUE(index.Delete(kHub));
  Sequencer sequencer;
  sequencer.Start("consolidate", [&] { EXPECT_TRUE(index.Consolidate({.threads = 1})); });
  ASSERT_TRUE(sequencer.RunTo("consolidate", "repair.partial"));
  EXPECT_EQ(index.Stats().pending_repairs, 1u);
  ASSERT_TRUE(sequencer.RunToEnd("consolidate"));
  EXPECT_EQ(index.Stats().pending_repairs, 0u);
  ExpectTheOthers(index, 0);
}

TEST_F(HubRaceTest, AHubIsGoneAfterAConsolidation) {
  for (const RepairPolicy policy : {RepairPolicy::kImmediate, RepairPolicy::kManual}) {
    Index index = Make(policy);
    ASSERT_TRUE(index.Delete(kHub));
    ASSERT_TRUE(index.Consolidate());
    EXPECT_EQ(index.Stats().pending_repairs, 0u);
    EXPECT_EQ(index.Stats().retired_slots, 0u);
    ExpectTheOthers(index, 0);
  }
}

TEST_F(HubRaceTest, AHubIsGoneInTheBackgroundByAndBy) {
  Index index = Make(RepairPolicy::kBackground);
  ASSERT_TRUE(index.Delete(kHub));
  using Clock = std::chrono::steady_clock;
  const auto patience = Clock::now() + std::chrono::minutes(1);
  while (index.Stats().pending_repairs > 0 && Clock::now() < patience) std::this_thread::yield();
  ASSERT_EQ(index.Stats().pending_repairs, 0u);
  ExpectTheOthers(index, 0);
}

TEST_F(HubRaceTest, AHubMovesInACompactionWithAllThatPointAtIt) {
  Index index = Make(RepairPolicy::kImmediate);
  for (ExternalId id = 0; id < kHub; ++id) ASSERT_TRUE(index.Delete(id));
  ASSERT_TRUE(index.Compact());
  EXPECT_TRUE(index.CheckStructure());
  EXPECT_EQ(index.size(), kN - kHub);
  EXPECT_EQ(index.Search(rows_[kHub], {.k = 1})->front().id, kHub);
  EXPECT_LE(Lost(index, kHub), kN / kEvery / 100);
}

}  // namespace
}  // namespace shoal::testing
