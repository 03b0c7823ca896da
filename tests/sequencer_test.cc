// The sequencer itself: it must hold threads where it says, or the race tests prove nothing.
#include "support/sequencer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

namespace shoal::testing {
namespace {

// Appends to a log that only the thread whose turn it is writes.
struct Steps {
  std::string log;
  void Run(const std::string& name) {
    log += name + "1 ";
    SHOAL_SYNC_POINT("steps.first");
    log += name + "2 ";
    SHOAL_SYNC_POINT("steps.second");
    log += name + "3 ";
  }
};

TEST(SequencerTest, ThreadsMoveOnlyWhenTheyAreRun) {
  Steps steps;
  Sequencer sequencer;
  sequencer.Start("a", [&] { steps.Run("a"); });
  sequencer.Start("b", [&] { steps.Run("b"); });
  EXPECT_EQ(steps.log, "");
  ASSERT_TRUE(sequencer.RunTo("b", "steps.first"));
  ASSERT_TRUE(sequencer.RunTo("a", "steps.second"));
  ASSERT_TRUE(sequencer.RunToEnd("b"));
  ASSERT_TRUE(sequencer.RunToEnd("a"));
  EXPECT_EQ(steps.log, "b1 a1 a2 b2 b3 a3 ");
}

TEST(SequencerTest, PointsThatWereNotAskedForArePassed) {
  Steps steps;
  Sequencer sequencer;
  sequencer.Start("a", [&] { steps.Run("a"); });
  ASSERT_TRUE(sequencer.RunTo("a", "steps.second"));
  EXPECT_EQ(steps.log, "a1 a2 ");
}

TEST(SequencerTest, AThreadThatEndsBeforeThePointIsReported) {
  Steps steps;
  Sequencer sequencer;
  sequencer.Start("a", [&] { steps.Run("a"); });
  EXPECT_FALSE(sequencer.RunTo("a", "steps.third"));
  EXPECT_EQ(steps.log, "a1 a2 a3 ");
  EXPECT_FALSE(sequencer.RunTo("a", "steps.first"));
  EXPECT_TRUE(sequencer.RunToEnd("a"));
}

TEST(SequencerTest, OneOrderAHundredTimes) {
  for (int i = 0; i < 100; ++i) {
    Steps steps;
    Sequencer sequencer;
    for (const std::string name : {"a", "b", "c"})
      sequencer.Start(name, [&steps, name] { steps.Run(name); });
    for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(sequencer.RunTo(name, "steps.first"));
    for (const char* name : {"b", "c", "a"}) ASSERT_TRUE(sequencer.RunToEnd(name));
    ASSERT_EQ(steps.log, "c1 a1 b1 b2 b3 c2 c3 a2 a3 ");
  }
}

TEST(SequencerTest, DestructionLetsParkedThreadsFinish) {
  std::atomic<bool> finished{false};
  {
    Steps steps;
    Sequencer sequencer;
    sequencer.Start("a", [&] {
      steps.Run("a");
      finished = true;
    });
    ASSERT_TRUE(sequencer.RunTo("a", "steps.first"));
    EXPECT_FALSE(finished);
  }
  EXPECT_TRUE(finished);
}

TEST(SequencerTest, WithoutAHandlerAPointDoesNothing) {
  ASSERT_EQ(sync_point_handler.load(), nullptr);
  SHOAL_SYNC_POINT("nowhere.in_particular");
}

}  // namespace
}  // namespace shoal::testing
