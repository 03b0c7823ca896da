// What is said of a measurement: by which build, and whether others disturbed it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "runner/machine.h"
#include "runner/timing.h"
#include "shoal/version.h"

namespace shoal::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(MachineTest, ABuildThatIsSlowedTimesOnlyWhenTold) {
  BuildFacts fast, slow;
  fast.build_type = "Release";
  slow.build_type = "Debug";
  slow.slowed = true;
  EXPECT_TRUE(MayTime(fast, DebugBuilds::kRefuse));
  EXPECT_TRUE(MayTime(slow, DebugBuilds::kAllow));
  ASSERT_FALSE(MayTime(slow, DebugBuilds::kRefuse));
  EXPECT_THAT(MayTime(slow, DebugBuilds::kRefuse).error(),
              HasSubstr("expected Release, found Debug"));
}

TEST(MachineTest, TheFactsNameMachineAndBuild) {
  const Json facts = MachineFacts();
  EXPECT_NE(facts["cpu"], "");
  EXPECT_GE(facts["cores"].get<size_t>(), 1u);
  EXPECT_GT(facts["memory_bytes"].get<uint64_t>(), uint64_t{1} << 20);
  EXPECT_EQ(facts["isa"], ActiveIsa());
  EXPECT_THAT(facts["commit"].get<std::string>(), MatchesRegex("unknown|[0-9a-f]{7,40}(-dirty)?"));
  EXPECT_THAT(facts["compiler"].get<std::string>(), MatchesRegex("(clang|g)\\+\\+ [0-9].*"));
  EXPECT_THAT(facts["date"].get<std::string>(),
              MatchesRegex("20..-[01].-[0-3].T[0-2].:[0-5].:[0-6].Z"));
}

TEST(TimingTest, OthersOrTheHypervisorAboveTheShareAreADoubt) {
  const Stretch quiet{.seconds = 1, .others_cores = 0.09, .stolen = 0.04};
  EXPECT_EQ(quiet.Doubt("build", 2), "");
  const Stretch busy{.seconds = 1, .others_cores = 0.11, .stolen = 0.04};
  EXPECT_EQ(busy.Doubt("build", 2), "build: others kept 0.11 of 2 cores busy");
  EXPECT_EQ(busy.Doubt("build", 4), "");
  const Stretch stolen{.seconds = 1, .others_cores = 0, .stolen = 0.06};
  EXPECT_EQ(stolen.Doubt("build", 2), "build: the hypervisor took 6 % of the time");
  const Stretch both{.seconds = 1, .others_cores = 1, .stolen = 0.5};
  EXPECT_EQ(both.Doubt("build", 2),
            "build: others kept 1.00 of 2 cores busy, the hypervisor took 50 % of the time");
}

TEST(TimingTest, AStretchTooShortForTheKernelsTicksIsNotJudged) {
  const Stretch blink{.seconds = 0.1, .others_cores = 2, .stolen = 1};
  EXPECT_EQ(blink.Doubt("build", 2), "");
}

TEST(TimingTest, OwnWorkIsNotTakenForOthers) {
  const Stopwatch watch;
  const CpuTimes begin = CpuTimes::Now();
  const auto start = std::chrono::steady_clock::now();
  while (CpuTimes::Now().own - begin.own < 0.3) {
  }
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const Stretch stretch = watch.Read();
  EXPECT_GE(stretch.cpu_seconds, 0.3);
  EXPECT_GE(stretch.seconds, elapsed);
  EXPECT_GE(stretch.others_cores, 0);
  EXPECT_LE(stretch.stolen, 1);
  // All that ran, ourselves among it: the kernel counts ticks, so a few may be missing.
  const double busy = CpuTimes::Now().busy - begin.busy;
  EXPECT_GE(busy, 0.25);
}

}  // namespace
}  // namespace shoal::bench
