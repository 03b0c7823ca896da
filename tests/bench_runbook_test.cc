// Runbooks: both shapes of the track's files, what is refused and how, what a runbook may not do.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "runbook/live_points.h"
#include "runbook/runbook.h"
#include "temp_folder.h"

namespace shoal::bench {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kFlat = R"(# made by hand
random-xs:
  gt_url: "https://example.org/simple"
  1:
    operation: "insert"
    start: 0
    end: 100
  3: {operation: delete, start: 0, end: 50}
  2: {operation: 'search'}
  4: {operation: replace, tags_start: 50, tags_end: 60, ids_start: 10, ids_end: 20}
  5: {operation: search}
  max_pts: 100
other:
  max_pts: 5
  1: {operation: insert, start: 0, end: 5}
)";

constexpr std::string_view kListed = R"(random-xs:
  max_pts: 100
  1: [{operation: insert}, {start: 0}, {end: 100}]
  2:
  - operation: search
  3:
  - operation: delete
  - start: 0
  - end: 50
  4: [{operation: replace}, {tags_start: 50}, {tags_end: 60}, {ids_start: 10}, {ids_end: 20}]
  5: [{operation: search}]
)";

void ExpectSteps(const Runbook& book) {
  ASSERT_EQ(book.steps.size(), 5u);
  constexpr Operation kOperationsOf[] = {Operation::kInsert, Operation::kSearch, Operation::kDelete,
                                         Operation::kReplace, Operation::kSearch};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(book.steps[i].number, i + 1);
    EXPECT_EQ(book.steps[i].operation, kOperationsOf[i]);
  }
  EXPECT_EQ(book.steps[0].points, (IdRange{0, 100}));
  EXPECT_EQ(book.steps[0].rows, (IdRange{0, 100}));
  EXPECT_EQ(book.steps[2].points, (IdRange{0, 50}));
  EXPECT_EQ(book.steps[3].points, (IdRange{50, 60}));
  EXPECT_EQ(book.steps[3].rows, (IdRange{10, 20}));
}

TEST(Runbook, BothShapesOfStepsMeanTheSame) {
  const auto flat = ParseRunbook(kFlat, "flat.yaml", "random-xs");
  ASSERT_TRUE(flat) << flat.error().message;
  EXPECT_EQ(flat->dataset, "random-xs");
  EXPECT_EQ(flat->max_points, 100u);
  EXPECT_EQ(flat->truth_url, "https://example.org/simple");
  ExpectSteps(*flat);
  const auto listed = ParseRunbook(kListed, "listed.yaml");
  ASSERT_TRUE(listed) << listed.error().message;
  ExpectSteps(*listed);
}

TEST(Runbook, StepsKnowTheirLineInTheFile) {
  const auto book = ParseRunbook(kFlat, "flat.yaml", "random-xs");
  ASSERT_TRUE(book);
  EXPECT_EQ(Where(*book, book->steps[2]), "flat.yaml:8: step 3");
}

TEST(Runbook, OneOfSeveralDataSetsIsNamed) {
  EXPECT_TRUE(ParseRunbook(kFlat, "flat.yaml", "other"));
  const auto none = ParseRunbook(kFlat, "flat.yaml");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("random-xs, other"));
  const auto wrong = ParseRunbook(kFlat, "flat.yaml", "third");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("expected third, found random-xs, other"));
}

TEST(Runbook, WhatIsWrittenIsReadBack) {
  const auto book = ParseRunbook(kFlat, "flat.yaml", "random-xs");
  ASSERT_TRUE(book);
  const auto again = ParseRunbook(RunbookText(*book, {"seed 7"}), "again.yaml");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->dataset, book->dataset);
  EXPECT_EQ(again->max_points, book->max_points);
  EXPECT_EQ(again->truth_url, book->truth_url);
  ExpectSteps(*again);
}

TEST(Runbook, SearchesMayNameSomeOfTheQueries) {
  const auto book = ParseRunbook(
      "d:\n  max_pts: 9\n  1: {operation: search, start: 2, end: 5}\n"
      "  2: {operation: search}\n  3: [{operation: search}, {start: 0}, {end: 7}]\n",
      "some.yaml");
  ASSERT_TRUE(book) << book.error().message;
  const auto again = ParseRunbook(RunbookText(*book, {}), "again.yaml");
  ASSERT_TRUE(again) << again.error().message;
  for (const Runbook& each : {*book, *again}) {
    EXPECT_EQ(each.steps[0].queries, (IdRange{2, 5}));
    EXPECT_EQ(each.steps[1].queries, (IdRange{0, 0}));
    EXPECT_EQ(each.steps[2].queries, (IdRange{0, 7}));
    EXPECT_EQ(each.steps[0].points.size(), 0u);
  }
  EXPECT_TRUE(CheckRunbook(*book, 0, 7));
  const auto beyond = CheckRunbook(*book, 0, 6);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().message,
            "some.yaml:5: step 3: expected queries below 6, those of the data, found 6");
}

struct BadBook {
  std::string steps;
  std::string message;  // Behind "bad.yaml:".
};

TEST(Runbook, MistakesAreOneLineWithFileLineStepAndField) {
  const std::vector<BadBook> kBad = {
      {"  1: {operation: upsert, start: 0, end: 1}",
       "3: step 1: operation: expected insert, delete, replace or search, found 'upsert'"},
      {"  1: {start: 0, end: 1}", "3: step 1: expected operation, found none"},
      {"  1: {operation: insert, start: 0}", "3: step 1: end: expected a number, found none"},
      {"  1: {operation: insert, start: 5, end: 4}",
       "3: step 1: end: expected at least the start, 5, found 4"},
      {"  1: {operation: insert, start: -1, end: 4}",
       "3: step 1: start: expected 0 to 4294967295, found '-1'"},
      {"  1: {operation: insert, start: 0, end: 4294967296}",
       "3: step 1: end: expected 0 to 4294967295, found '4294967296'"},
      {"  1: {operation: insert, start: [0], end: 4}",
       "3: step 1: start: expected 0 to 4294967295, found a list"},
      {"  1: {operation: search, start: 0}", "3: step 1: end: expected a number, found none"},
      {"  1: {operation: search, start: 5, end: 5}",
       "3: step 1: end: expected more than the start, 5, found 5"},
      {"  1: {operation: search, start: 5, end: 4}",
       "3: step 1: end: expected at least the start, 5, found 4"},
      {"  1: {operation: search, from: 0}",
       "3: step 1: from: expected no such field in a search, found it"},
      {"  1: {operation: delete, start: 0, end: 1, stop: 2}",
       "3: step 1: stop: expected no such field in a delete, found it"},
      {"  1: {operation: replace, tags_start: 0, tags_end: 3, ids_start: 5, ids_end: 7}",
       "3: step 1: ids: expected as many as tags, 3, found 2"},
      {"  1: {operation: insert, start: 0, start: 1, end: 4}",
       "3: step 1: start: expected it once, found it again"},
      {"  1: search", "3: step 1: expected a map, or a list of maps, found 'search'"},
      {"  1: [search]", "3: step 1: expected maps of one key, found 'search'"},
      {"  1: {operation: search}\n  3: {operation: search}",
       "2: d: expected step 2, found step 3 next"},
      {"  1: {operation: search}\n  1: {operation: search}",
       "4: step 1: expected each number once, found it again"},
      {"  first: {operation: search}",
       "3: d: expected max_pts, gt_url or a step from 1 on, found 'first'"},
      {"  gt_url: x", "2: d: expected steps from 1 on, found none"},
      {"  1: {operation: search", "4: expected YAML, found: "},
  };
  for (const BadBook& bad : kBad) {
    const auto book = ParseRunbook("d:\n  max_pts: 9\n" + bad.steps + "\n", "bad.yaml");
    ASSERT_FALSE(book) << bad.steps;
    const std::string& message = book.error().message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    // Behind "found:" stand yaml-cpp's own words.
    EXPECT_THAT(message, StartsWith("bad.yaml:" + bad.message));
  }
}

TEST(Runbook, WithoutMaxPointsOrMapIsRefused) {
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"d:\n  1: {operation: search}\n", "bad.yaml:2: d: expected max_pts, found none"},
           {"d:\n  max_pts: many\n", "bad.yaml:2: max_pts: expected a number, found 'many'"},
           {"d: 5\n", "bad.yaml:1: d: expected a map of steps, found '5'"},
           {"- 5\n",
            "bad.yaml:1: the file: expected a map from data sets to runbooks, found a "
            "list"}}) {
    const auto book = ParseRunbook(text, "bad.yaml");
    ASSERT_FALSE(book) << text;
    EXPECT_EQ(book.error().message, message);
  }
  const auto missing = ReadRunbook("/nowhere/at/all.yaml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kFileNotFound);
  EXPECT_THAT(missing.error().message, StartsWith("/nowhere/at/all.yaml: "));
}

Result<RunbookSummary> Check(const std::string& steps, uint64_t rows = 100) {
  const auto book = ParseRunbook("d:\n  max_pts: 9\n" + steps, "bad.yaml");
  EXPECT_TRUE(book) << book.error().message;
  return CheckRunbook(*book, rows);
}

TEST(Runbook, SummaryCountsWhatIsThere) {
  const auto summary = Check(
      "  1: {operation: insert, start: 0, end: 60}\n"
      "  2: {operation: delete, start: 0, end: 20}\n"
      "  3: {operation: insert, start: 0, end: 10}\n"
      "  4: {operation: replace, tags_start: 0, tags_end: 10, ids_start: 90, ids_end: 100}\n"
      "  5: {operation: search}\n");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->max_live, 60u);
  EXPECT_EQ(summary->end_live, 50u);
  EXPECT_EQ(summary->rows, 100u);
  EXPECT_EQ(summary->points[static_cast<size_t>(Operation::kInsert)], 70u);
  EXPECT_EQ(summary->points[static_cast<size_t>(Operation::kDelete)], 20u);
  EXPECT_EQ(summary->points[static_cast<size_t>(Operation::kReplace)], 10u);
  EXPECT_EQ(summary->steps[static_cast<size_t>(Operation::kSearch)], 1u);
}

TEST(Runbook, StepsThatCannotBeAreRefused) {
  const std::string first = "  1: {operation: insert, start: 0, end: 10}\n";
  const std::vector<BadBook> kBad = {
      {"  2: {operation: insert, start: 9, end: 11}\n",
       "4: step 2: insert of point 9: expected it not there, found it there"},
      {"  2: {operation: delete, start: 8, end: 11}\n",
       "4: step 2: delete of point 10: expected it there, found it not there"},
      {"  2: {operation: replace, tags_start: 10, tags_end: 11, ids_start: 0, ids_end: 1}\n",
       "4: step 2: replace of point 10: expected it there, found it not there"},
      {"  2: {operation: insert, start: 90, end: 101}\n",
       "4: step 2: expected rows below 100, those of the data, found 100"},
      {"  2: {operation: replace, tags_start: 0, tags_end: 2, ids_start: 99, ids_end: 101}\n",
       "4: step 2: expected rows below 100, those of the data, found 100"},
  };
  for (const BadBook& bad : kBad) {
    const auto summary = Check(first + bad.steps);
    ASSERT_FALSE(summary) << bad.steps;
    EXPECT_EQ(summary.error().message, "bad.yaml:" + bad.message);
  }
}

TEST(Runbook, RefusedStepLeavesThePointsAsTheyWere) {
  const auto book = ParseRunbook(
      "d:\n  max_pts: 9\n  1: {operation: insert, start: 0, end: 10}\n"
      "  2: {operation: delete, start: 5, end: 11}\n",
      "bad.yaml");
  ASSERT_TRUE(book);
  LivePoints live;
  ASSERT_TRUE(live.Apply(*book, book->steps[0]));
  EXPECT_FALSE(live.Apply(*book, book->steps[1]));
  EXPECT_EQ(live.size(), 10u);
  for (uint32_t id = 0; id < 10; ++id) EXPECT_EQ(live.rows()[id], id);
}

}  // namespace
}  // namespace shoal::bench
