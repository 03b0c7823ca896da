// What becomes of a run whose job finds something wrong, fails, or throws.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>

#include "jobs/jobs.h"
#include "runner/results_file.h"
#include "runner/run_jobs.h"
#include "temp_folder.h"

namespace shoal::bench {
namespace {

using Body = std::function<Expected<Json>(const JobContext&)>;

class BodyJob final : public Job {
 public:
  explicit BodyJob(Body body) : body_(std::move(body)) {}
  Expected<Json> Run(const JobContext& context) override { return body_(context); }

 private:
  const Body body_;
};

class RunJobsTest : public ::testing::Test {
 protected:
  // Runs the bodies as jobs; the runs as the file has them.
  Json Run(std::vector<Body> bodies) {
    JobFile jobs;
    jobs.output_directory = folder_ / "out";
    for (Body& body : bodies) {
      JobFile::Entry& entry = jobs.entries.emplace_back();
      entry.type = &kStoreStressJob;  // Any: only its name is used.
      entry.name = "job";
      entry.job = std::make_unique<BodyJob>(std::move(body));
    }
    const Expected<bool> well = RunJobs(jobs, folder_ / "results.json", "shoal-bench run");
    EXPECT_TRUE(well) << well.error();
    well_ = well && *well;
    const Expected<Json> results = ReadResults(folder_ / "results.json");
    EXPECT_TRUE(results) << results.error();
    return results->at("runs");
  }

  static Expected<Json> Fine(const JobContext& /*context*/) { return Json{{"exact", 1}}; }

  TempFolder folder_;
  bool well_ = false;
};

TEST_F(RunJobsTest, JobsThatFindNothingWrongAreFinished) {
  const Json runs = Run({Fine, Fine});
  EXPECT_TRUE(well_);
  EXPECT_EQ(runs.size(), 2u);
  for (const Json& run : runs) {
    EXPECT_EQ(run["status"], "finished");
    EXPECT_EQ(run["results"]["exact"], 1);
    EXPECT_FALSE(run.contains("error"));
  }
}

TEST_F(RunJobsTest, AViolationFailsTheRunAndKeepsItsResults) {
  const Json runs = Run({[](const JobContext& context) -> Expected<Json> {
                           context.violated("expected no torn row, found 1");
                           return Json{{"torn", 1}};
                         },
                         Fine});
  EXPECT_FALSE(well_);
  EXPECT_EQ(runs[0]["status"], "failed");
  EXPECT_EQ(runs[0]["error"], "expected no torn row, found 1");
  EXPECT_EQ(runs[0]["results"]["torn"], 1);
  EXPECT_EQ(runs[1]["status"], "finished");
}

TEST_F(RunJobsTest, AJobThatFailsOrThrowsLeavesTheOthersAlone) {
  const Json runs =
      Run({[](const JobContext&) -> Expected<Json> { return tl::unexpected<std::string>("no"); },
           [](const JobContext&) -> Expected<Json> { throw std::runtime_error("thrown"); }, Fine});
  EXPECT_FALSE(well_);
  EXPECT_EQ(runs[0]["error"], "no");
  EXPECT_EQ(runs[1]["error"], "the job threw: thrown");
  EXPECT_EQ(runs[2]["status"], "finished");
}

TEST_F(RunJobsTest, WhileAJobRunsTheFileSaysInterruptedAndHasItsCheckpoint) {
  const auto file = folder_ / "results.json";
  const Json runs = Run({Fine, [&](const JobContext& context) -> Expected<Json> {
                           const Json before = ReadResults(file)->at("runs");
                           EXPECT_EQ(before[0]["status"], "finished");
                           EXPECT_EQ(before[1]["status"], "interrupted");
                           context.checkpoint({{"steps", 1}});
                           const Json after = ReadResults(file)->at("runs");
                           EXPECT_EQ(after[1]["status"], "interrupted");
                           EXPECT_EQ(after[1]["results"]["steps"], 1);
                           return Json{{"steps", 2}};
                         }});
  EXPECT_TRUE(well_);
  EXPECT_EQ(runs[1]["results"]["steps"], 2);
}

TEST_F(RunJobsTest, WarningsAreKept) {
  const Json runs = Run({[](const JobContext& context) -> Expected<Json> {
    context.warn("others kept 1.00 of 2 cores busy");
    return Json::object();
  }});
  EXPECT_TRUE(well_);
  EXPECT_EQ(runs[0]["warnings"], Json::array({"others kept 1.00 of 2 cores busy"}));
}

}  // namespace
}  // namespace shoal::bench
