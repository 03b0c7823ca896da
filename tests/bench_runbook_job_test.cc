// The jobs "runbook" and "concurrent-runbook" from a job's JSON to its results, on generated data.
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jobs/jobs.h"
#include "runbook/generate.h"
#include "runbook/live_points.h"
#include "runbook/overlap.h"
#include "runbook/truth_files.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"
#include "temp_folder.h"
#include "test_data.h"

namespace shoal::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr uint32_t kRows = 2000;

// Data, queries and a runbook in a folder, and what a job says and leaves there.
class StreamJob : public testing::Test {
 protected:
  StreamJob() {
    test::Generator generator(ScalarType::kUint8, {.dim = 8, .clusters = 8}, 11);
    rows_ = std::make_unique<test::Rows>(generator.Many(kRows));
    queries_ = std::make_unique<test::Rows>(generator.Many(20));
    EXPECT_TRUE(WriteBin(folder_ / "base.u8bin", rows_->view()));
    EXPECT_TRUE(WriteBin(folder_ / "query.u8bin", queries_->view()));
    context_.output_directory = folder_ / "out";
    context_.find_input = [this](std::string_view name) -> Expected<std::filesystem::path> {
      const auto path = folder_ / name;
      if (std::filesystem::is_regular_file(path)) return path;
      return tl::unexpected("expected a file, found no \"" + std::string(name) + "\"");
    };
    context_.say = [](std::string_view) {};
    context_.warn = [this](std::string text) { warnings_.push_back(std::move(text)); };
    context_.checkpoint = [](const Json&) {};
    context_.violated = [this](std::string text) { violations_.push_back(std::move(text)); };
  }

  Runbook Book(Pattern pattern, double turnovers = 1) {
    GenerateOptions options;
    options.pattern = pattern;
    options.rows = kRows;
    options.window = 800;
    options.steps = 5;
    options.turnovers = turnovers;
    options.clusters = 8;
    auto book = GenerateRunbook(options);
    EXPECT_TRUE(book) << book.error().message;
    WriteBytes(folder_ / "book.yaml", RunbookText(*book, {}));
    return *book;
  }

  Json Content() const {
    return {{"data", {{"base_file", "base.u8bin"}, {"query_file", "query.u8bin"}}},
            {"runbook", {{"file", "book.yaml"}}},
            {"build", {{"degree", 16}, {"list", 40}}}};
  }

  Expected<Json> Run(const JobType& type, const Json& content) {
    FieldReader reader(content, "jobs[0].content");
    auto job = type.parse(reader, context_);
    if (auto fine = reader.Finish(); !fine) return tl::unexpected(fine.error());
    if (!job) return tl::unexpected(job.error());
    return (*job)->Run(context_);
  }

  const TempFolder folder_;
  std::unique_ptr<test::Rows> rows_, queries_;
  JobContext context_;
  std::vector<std::string> warnings_, violations_;
};

class RunbookOfEveryPattern : public StreamJob, public testing::WithParamInterface<size_t> {};

TEST_P(RunbookOfEveryPattern, HasRecallOneWhereTheListHoldsAllPoints) {
  const Runbook book = Book(static_cast<Pattern>(GetParam()));
  Json content = Content();
  content["search"] = {{"k", 10}, {"lists", {2000, 10}}};
  content["threads"] = 2;
  const auto results = Run(kRunbookJob, content);
  ASSERT_TRUE(results) << results.error();
  const Json& stream = (*results)["stream"];
  EXPECT_EQ(stream["engine"], "shoal-u8");
  ASSERT_EQ(stream["steps"].size(), book.steps.size());
  LivePoints live;
  size_t searches = 0;
  for (size_t i = 0; i < book.steps.size(); ++i) {
    const Step& step = book.steps[i];
    const Json& figures = stream["steps"][i];
    ASSERT_TRUE(live.Apply(book, step));
    EXPECT_EQ(figures["step"], step.number);
    EXPECT_EQ(figures["operation"], OperationName(step.operation));
    EXPECT_EQ(figures["live"], live.size());
    EXPECT_EQ(figures.contains("recall"), step.operation == Operation::kSearch);
    EXPECT_LE(figures["p50_us"], figures["max_us"]);
    EXPECT_GT(figures["resident_bytes"], 0);
    if (step.operation != Operation::kSearch) {
      EXPECT_EQ(figures["points"], step.points.size());
      continue;
    }
    ++searches;
    EXPECT_EQ(figures["recall"], 1.0) << "step " << step.number;
    EXPECT_EQ(figures["points"], 20);
  }
  ASSERT_EQ(stream["other_lists"].size(), 1u);
  EXPECT_EQ(stream["other_lists"][0]["steps"].size(), searches);
  EXPECT_LT(stream["summary"]["searches"][1]["recall"], 1.0) << "L = 10 misses some";
  EXPECT_GT(stream["summary"]["searches"][1]["recall"], 0.5);
}

INSTANTIATE_TEST_SUITE_P(Patterns, RunbookOfEveryPattern, testing::Range(size_t{0}, kPatterns),
                         [](const auto& each) {
                           std::string name(PatternName(static_cast<Pattern>(each.param)));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(StreamJob, RepairPoliciesAllRunTheRunbook) {
  Book(Pattern::kSlidingWindow);
  for (const char* policy : {"immediate", "background", "manual"}) {
    Json content = Content();
    content["build"]["repair"] = policy;
    content["search"] = {{"lists", {800}}};
    const auto results = Run(kRunbookJob, content);
    ASSERT_TRUE(results) << results.error();
    const Json& steps = (*results)["stream"]["steps"];
    EXPECT_EQ(steps.back()["recall"], 1.0) << policy;
    bool consolidated = false;
    for (const Json& step : steps) consolidated |= step.contains("consolidate_seconds");
    EXPECT_EQ(consolidated, std::string(policy) == "manual");
  }
}

// The files of the steps say that the farthest are the nearest: recall must be what they say.
TEST_F(StreamJob, GroundTruthOfFilesIsBelieved) {
  const Runbook book = Book(Pattern::kSlidingWindow, 0);
  std::filesystem::create_directory(folder_ / "gt");
  constexpr size_t kWindow = 800;
  const auto all = ExactSearch(rows_->view().Slice(0, kWindow), queries_->view(), {.k = kWindow});
  ASSERT_TRUE(all);
  TruthSet truth;
  truth.queries = 20;
  truth.k = 10;
  for (size_t q = 0; q < 20; ++q) {
    for (size_t i = 0; i < 10; ++i) {
      truth.ids.push_back(all->Ids(q)[kWindow - 1 - i]);
      truth.distances.push_back(static_cast<float>(i));
    }
  }
  ASSERT_EQ(book.steps.size(), 2u);
  ASSERT_TRUE(WriteTruthSet(folder_ / "gt/step2.gt10", truth));
  Json content = Content();
  content["groundtruth"] = {{"directory", "gt"}, {"depth", 10}};
  const auto results = Run(kRunbookJob, content);
  ASSERT_TRUE(results) << results.error();
  EXPECT_EQ((*results)["stream"]["steps"][1]["recall"], 0.0);
}

// A search of some of the queries has the truth of these: computed, or from a file of all or of
// just these.
TEST_F(StreamJob, ASearchOfSomeQueriesIsJudgedByTheirTruth) {
  WriteBytes(folder_ / "book.yaml",
             "d:\n  max_pts: 2000\n  1: {operation: insert, start: 0, end: 2000}\n"
             "  2: {operation: search, start: 15, end: 20}\n  3: {operation: search}\n"
             "  4: {operation: search, start: 0, end: 1}\n");
  const auto expect_recall_one = [&](const Json& content) {
    const auto results = Run(kRunbookJob, content);
    ASSERT_TRUE(results) << results.error();
    const Json& steps = (*results)["stream"]["steps"];
    EXPECT_THAT((std::vector<Json>{steps[1]["points"], steps[2]["points"], steps[3]["points"]}),
                ElementsAre(5, 20, 1));
    for (size_t i = 1; i < 4; ++i) EXPECT_EQ(steps[i]["recall"], 1.0) << "step " << i + 1;
  };
  Json content = Content();
  content["search"] = {{"lists", {2000}}};
  expect_recall_one(content);
  std::filesystem::create_directory(folder_ / "gt");
  const auto write = [&](int step, MatrixView queries) {
    const auto truth = ExactSearch(rows_->view(), queries, {.k = 10});
    ASSERT_TRUE(truth);
    ASSERT_TRUE(WriteTruthSet(folder_ / ("gt/step" + std::to_string(step) + ".gt10"), *truth));
  };
  for (int step = 2; step <= 4; ++step) write(step, queries_->view());
  content["groundtruth"] = {{"directory", "gt"}, {"depth", 10}};
  expect_recall_one(content);
  write(2, queries_->view().Slice(15, 5));
  write(4, queries_->view().Slice(0, 1));
  expect_recall_one(content);
  write(2, queries_->view().Slice(0, 6));
  const auto wrong = Run(kRunbookJob, content);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error(), HasSubstr("step2.gt10: expected 5 or 20 queries, k >= 10, found 6"));
}

TEST_F(StreamJob, MaxPointsThatAreTooFewAreToldOf) {
  WriteBytes(folder_ / "book.yaml",
             "d:\n  max_pts: 9\n  1: {operation: insert, start: 0, end: 20}\n");
  ASSERT_TRUE(Run(kRunbookJob, Content()));
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_THAT(warnings_[0], HasSubstr("max_pts is 9, and 20 points are there at a time"));
}

TEST_F(StreamJob, MistakesNameTheFieldOrTheStep) {
  Book(Pattern::kSlidingWindow);
  const auto message = [&](const std::function<void(Json&)>& change) {
    Json content = Content();
    change(content);
    const auto results = Run(kRunbookJob, content);
    return results ? std::string("none") : results.error();
  };
  EXPECT_THAT(message([](Json& c) { c["runbook"]["file"] = "none.yaml"; }),
              HasSubstr("jobs[0].content.runbook.file: expected a file, found no \"none.yaml\""));
  EXPECT_THAT(message([](Json& c) { c["data"].erase("query_file"); }),
              HasSubstr("data.query_file: expected a file, as base_file is no HDF5, found"));
  EXPECT_THAT(message([](Json& c) { c["build"]["repair"] = "never"; }),
              HasSubstr("build.repair: expected one of immediate, background, manual"));
  EXPECT_THAT(message([](Json& c) {
                c["groundtruth"] = {{"depth", 5}};
              }),
              HasSubstr("groundtruth.depth: expected at least search.k, 10, found 5"));
  EXPECT_THAT(message([](Json& c) {
                c["groundtruth"] = {{"directory", "gt"}};
              }),
              HasSubstr("groundtruth.directory: expected a file, found no \"gt/step2.gt100\""));
  std::filesystem::create_directory(folder_ / "gt");
  WriteBytes(folder_ / "gt/step2.gt100", "only the first search's");
  EXPECT_THAT(message([](Json& c) {
                c["groundtruth"] = {{"directory", "gt"}};
              }),
              AllOf(HasSubstr("jobs[0].content.groundtruth.directory: "),
                    HasSubstr("step5.gt<K>: expected one file, found none")));
  EXPECT_THAT(message([](Json& c) { c["data"]["rows"] = 500; }),
              HasSubstr("step 1: expected rows below 500, those of the data, found 799"));
  EXPECT_THAT(message([](Json& c) { c["speed"] = 1; }), HasSubstr("content.speed: expected"));
}

class ConcurrentRunbook : public StreamJob {
 protected:
  Json Loads(const char* arrivals, double rate) const {
    Json content = Content();
    content["search"] = {{"k", 10}, {"list", 60}};
    content["inserts"] = {{"threads", 2}, {"rate", rate}};
    content["deletes"] = {{"threads", 2}, {"rate", rate}};
    content["searches"] = {{"threads", 2}, {"rate", rate}};
    content["arrivals"] = arrivals;
    content["bucket_seconds"] = 0.05;
    return content;
  }

  void ExpectSound(const Json& results, const Runbook& book, size_t warm_steps) {
    uint64_t points[kOperations] = {};
    for (size_t i = warm_steps; i < book.steps.size(); ++i)
      points[static_cast<size_t>(book.steps[i].operation)] += book.steps[i].points.size();
    const Json& figures = results["concurrent"];
    EXPECT_EQ(figures["writes"]["inserts"], points[static_cast<size_t>(Operation::kInsert)]);
    EXPECT_EQ(figures["writes"]["replaces"], points[static_cast<size_t>(Operation::kReplace)]);
    EXPECT_EQ(figures["deletes"]["count"], points[static_cast<size_t>(Operation::kDelete)]);
    EXPECT_EQ(figures["hits_outside"], 0);
    EXPECT_EQ(figures["hits_at_wrong_distance"], 0);
    EXPECT_EQ(figures["hits_twice"], 0);
    EXPECT_EQ(figures["structure"], "sound");
    EXPECT_GT(figures["judged"], 0);
    EXPECT_LE(figures["recall_low"], figures["recall_high"]);
    EXPECT_GT(figures["recall_low"], 0.8);
    EXPECT_THAT(violations_, IsEmpty());
    LivePoints live;
    for (const Step& step : book.steps) EXPECT_TRUE(live.Apply(book, step));
    EXPECT_EQ(results["stream"]["steps"].back()["live"], live.size());
    for (const Json& step : results["stream"]["steps"]) {
      if (!step.contains("recall_low")) continue;
      EXPECT_LE(step["recall_low"], step["recall_high"]);
      EXPECT_EQ(step["recall"], step["recall_low"]);
    }
  }
};

TEST_F(ConcurrentRunbook, AtFullSpeedNoHitIsOutsideOfWhatCanHaveBeenThere) {
  for (const Pattern pattern : {Pattern::kSlidingWindow, Pattern::kReplaceAcross}) {
    const Runbook book = Book(pattern, 3);
    size_t warm = 0;
    while (book.steps[warm].operation == Operation::kInsert) ++warm;
    Json content = Loads("even", 0);
    content["warm_steps"] = warm;
    const auto results = Run(kConcurrentRunbookJob, content);
    ASSERT_TRUE(results) << results.error();
    ExpectSound(*results, book, warm);
  }
}

TEST_F(ConcurrentRunbook, ArrivesAtTheRateThatWasAsked) {
  const Runbook book = Book(Pattern::kSlidingWindow);
  const auto results = Run(kConcurrentRunbookJob, Loads("poisson", 4000));
  ASSERT_TRUE(results) << results.error();
  ExpectSound(*results, book, 1);
  // 800 inserts are not all due before 0.2 s; how much later they are done is the machine's.
  EXPECT_GT((*results)["concurrent"]["seconds"], 0.15);
}

TEST_F(ConcurrentRunbook, WithoutUpdatesItEndsByTheClock) {
  Book(Pattern::kSlidingWindow, 0);
  Json content = Loads("even", 0);
  EXPECT_THAT(Run(kConcurrentRunbookJob, content).error(),
              HasSubstr("seconds: expected more than 0, for a runbook without updates"));
  content["seconds"] = 0.1;
  const auto results = Run(kConcurrentRunbookJob, content);
  ASSERT_TRUE(results) << results.error();
  EXPECT_EQ((*results)["concurrent"]["recall_low"], (*results)["concurrent"]["recall_high"]);
  EXPECT_GT((*results)["concurrent"]["judged"], 0);
}

TEST_F(ConcurrentRunbook, KindsOfOperationsNeedThreads) {
  Book(Pattern::kSlidingWindow);
  Json content = Loads("even", 0);
  content["deletes"]["threads"] = 0;
  EXPECT_THAT(Run(kConcurrentRunbookJob, content).error(),
              HasSubstr("deletes.threads: expected at least 1, for a runbook that deletes"));
}

}  // namespace
}  // namespace shoal::bench
