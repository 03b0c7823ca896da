// The job store-stress: its checker sees each kind of violation, and nothing where there is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "jobs/jobs.h"
#include "jobs/store_stress.h"
#include "jobs/window_checker.h"
#include "runner/job_file.h"

namespace shoal::bench {
namespace {

using Row = std::array<uint64_t, 4>;
constexpr Row kSeven = {7, 7, 7, 7};
constexpr Row kEight = {8, 8, 8, 8};

TEST(WindowCheckerTest, RowsThatComeAndGoAsTheProtocolAllowsAreFine) {
  WindowChecker checker(2);
  checker.NewGuard();
  checker.Unreadable(0);                        // Not published yet,
  EXPECT_TRUE(checker.Readable(0, kSeven, 7));  // now it is,
  EXPECT_TRUE(checker.Readable(0, kSeven, 7));
  checker.Unreadable(0);  // and retired.
  checker.Unreadable(0);
  EXPECT_TRUE(checker.Readable(1, kEight, 8));
  checker.NewGuard();
  EXPECT_TRUE(checker.Readable(0, kEight, 8));  // Another tenant, for another guard.
  EXPECT_EQ(checker.violations().total(), 0u);
  EXPECT_EQ(checker.transitions(), 1u);
  EXPECT_EQ(checker.reads(), 4u);
}

TEST(WindowCheckerTest, ARowOfTwoStampsIsTorn) {
  for (size_t lane = 0; lane < kSeven.size(); ++lane) {
    WindowChecker checker(1);
    checker.NewGuard();
    Row row = kSeven;
    row[lane] = 8;
    EXPECT_FALSE(checker.Readable(0, row, 7));
    EXPECT_EQ(checker.violations().torn, 1u);
    EXPECT_EQ(checker.violations().total(), 1u);
  }
}

TEST(WindowCheckerTest, AWholeRowOfAnotherTenantIsTorn) {
  WindowChecker checker(1);
  checker.NewGuard();
  EXPECT_FALSE(checker.Readable(0, kSeven, 8));
  EXPECT_EQ(checker.violations().torn, 1u);
}

TEST(WindowCheckerTest, ARowThatChangesUnderAGuardIsUnstable) {
  WindowChecker checker(1);
  checker.NewGuard();
  EXPECT_TRUE(checker.Readable(0, kSeven, 7));
  EXPECT_FALSE(checker.Readable(0, kEight, 8));
  EXPECT_EQ(checker.violations().unstable, 1u);
  EXPECT_EQ(checker.violations().total(), 1u);
}

TEST(WindowCheckerTest, ARowThatComesBackUnderAGuardIsResurrected) {
  WindowChecker checker(1);
  checker.NewGuard();
  EXPECT_TRUE(checker.Readable(0, kSeven, 7));
  checker.Unreadable(0);
  EXPECT_FALSE(checker.Readable(0, kSeven, 7));
  EXPECT_EQ(checker.violations().resurrected, 1u);
  EXPECT_EQ(checker.violations().total(), 1u);
}

TEST(StoreStressTest, EveryKindOfViolationFailsTheJob) {
  EXPECT_EQ(Verdict({}), "");
  const auto verdict = [](Violations violations, uint64_t unaccounted) {
    StoreStressCounts counts;
    counts.violations = violations;
    counts.unaccounted = unaccounted;
    return Verdict(counts);
  };
  EXPECT_EQ(verdict({1, 0, 0}, 0),
            "expected no violation, found 1 torn, 0 unstable, 0 resurrected");
  EXPECT_EQ(verdict({0, 2, 0}, 5),
            "expected no violation, found 0 torn, 2 unstable, 0 resurrected");
  EXPECT_EQ(verdict({0, 0, 3}, 0),
            "expected no violation, found 0 torn, 0 unstable, 3 resurrected");
  EXPECT_EQ(verdict({}, 4), "expected slots to add up, found 4 that do not");
}

StoreStressOptions SmallRun() {
  StoreStressOptions options;
  options.capacity = 256;
  options.entry_bytes = 64;
  options.low_watermark = 64;
  options.readers = 2;
  options.writers = options.retirers = 1;
  options.duration_secs = 60;  // Operations end it.
  options.max_ops = 30000;
  options.seed = 1;
  return options;
}

TEST(StoreStressTest, ARunHasNoViolationAndItsSlotsAddUp) {
  const StoreStressCounts counts = RunStoreStress(SmallRun(), [](const StoreStressCounts&) {});
  EXPECT_EQ(counts.violations.total(), 0u);
  EXPECT_EQ(counts.unaccounted, 0u);
  EXPECT_GT(counts.reads, 0u);
  EXPECT_GT(counts.acquires_ok, 0u);
  EXPECT_LE(counts.peak_live, 256u);
  EXPECT_LE(counts.retires_ok, counts.acquires_ok);
}

TEST(StoreStressTest, ATornRowEndsTheRun) {
  StoreStressOptions options = SmallRun();
  options.max_ops = 0;
  options.sabotage = StoreStressOptions::Sabotage::kTearRows;
  const StoreStressCounts counts = RunStoreStress(options, [](const StoreStressCounts&) {});
  EXPECT_GT(counts.violations.torn, 0u);
  EXPECT_NE(Verdict(counts), "");
}

TEST(StoreStressTest, ARowWithAnotherTenantsIdEndsTheRun) {
  StoreStressOptions options = SmallRun();
  options.max_ops = 0;
  options.sabotage = StoreStressOptions::Sabotage::kChangeTenants;
  const StoreStressCounts counts = RunStoreStress(options, [](const StoreStressCounts&) {});
  EXPECT_GT(counts.violations.torn, 0u);
  EXPECT_NE(Verdict(counts), "");
}

// The content of the job that the reference engine's authors published, with what it lacks.
constexpr const char* kPublished = R"({"capacity": 8192, "duration_secs": 600, "entry_bytes": 256,
    "low_watermark": 4096, "max_ops": 50000000000, "readers": 32, "retirers": 16,
    "seed": 11935966405698895599, "writers": 32})";

std::string ErrorOf(Json content, const Json& patch) {
  content.merge_patch(patch);
  FieldReader reader(content, "content");
  const auto job = kStoreStressJob.parse(reader, JobContext{});
  if (const auto fine = reader.Finish(); !fine) return fine.error();
  return job ? "fine" : job.error();
}

TEST(StoreStressTest, ThePublishedJobIsUnderstoodAsPrinted) {
  const Json content = *ParseJson(kPublished, "job");
  FieldReader reader(content, "content");
  ASSERT_TRUE(kStoreStressJob.parse(reader, JobContext{}));
  ASSERT_TRUE(reader.Finish()) << reader.Finish().error();
  EXPECT_EQ(reader.understood()["seed"], 11935966405698895599u);
  EXPECT_EQ(reader.understood()["epoch_guard_slots"], 256u);
  EXPECT_EQ(reader.understood()["freelist_recycle_capacity"], 1024u);
}

TEST(StoreStressTest, FieldsThatCannotGoTogetherAreRefused) {
  const Json content = *ParseJson(kPublished, "job");
  EXPECT_EQ(ErrorOf(content, Json::object()), "fine");
  EXPECT_EQ(ErrorOf(content, {{"entry_bytes", 12}}),
            "content.entry_bytes: expected a multiple of 8, found 12");
  EXPECT_EQ(ErrorOf(content, {{"readers", 256}}),
            "content.readers: expected an integer in [1, 255], found 256");
  EXPECT_EQ(ErrorOf(content, {{"low_watermark", 8193}}),
            "content.low_watermark: expected an integer in [0, 8192], found 8193");
  EXPECT_EQ(ErrorOf(content, {{"duration_secs", 0}, {"max_ops", 0}}),
            "content.max_ops: expected at least 1 where duration_secs is 0, found 0");
  EXPECT_EQ(ErrorOf(content, {{"epoch_guard_slots", 47}}),
            "content.epoch_guard_slots: expected at least readers + retirers, 48, found 47");
}

}  // namespace
}  // namespace shoal::bench
