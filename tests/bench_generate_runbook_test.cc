// Generated runbooks: every pattern, at many sizes, is one that can be run, and does what it is
// for.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "runbook/clusters.h"
#include "runbook/generate.h"
#include "runbook/live_points.h"
#include "runner/verb.h"
#include "shoal/dataset.h"
#include "temp_folder.h"
#include "test_data.h"

namespace shoal::bench {
namespace {

using testing::HasSubstr;

GenerateOptions Small(Pattern pattern) {
  GenerateOptions options;
  options.pattern = pattern;
  options.rows = 2000;
  options.window = 700;
  options.steps = 7;
  options.turnovers = 3;
  options.clusters = 16;
  return options;
}

uint64_t Points(const RunbookSummary& summary, Operation operation) {
  return summary.points[static_cast<size_t>(operation)];
}

class GeneratedRunbook : public testing::TestWithParam<size_t> {
 protected:
  Pattern pattern() const { return static_cast<Pattern>(GetParam()); }
};

// CheckRunbook: nothing is inserted that is there, nothing deleted or replaced that is not.
TEST_P(GeneratedRunbook, CanBeRunAtAnySizeAndIsReadBackAsItWas) {
  for (const uint32_t rows : {64u, 501u, 5000u}) {
    for (const uint32_t part : {4u, 2u}) {
      for (const uint32_t steps : {1u, 5u, 12u}) {
        for (const double turnovers : {0.0, 1.0, 9.5}) {
          GenerateOptions options = Small(pattern());
          options.rows = rows;
          options.window = rows / part - rows / 16;
          options.steps = steps;
          options.turnovers = turnovers;
          options.clusters = 4;
          options.seed = rows + steps;
          const auto book = GenerateRunbook(options);
          ASSERT_TRUE(book) << book.error().message;
          const std::string text = RunbookText(*book, GenerateComments(options));
          const auto again = ParseRunbook(text, "again.yaml");
          ASSERT_TRUE(again) << again.error().message;
          EXPECT_EQ(RunbookText(*again, GenerateComments(options)), text);
          const auto summary = CheckRunbook(*again, rows);
          ASSERT_TRUE(summary) << summary.error().message;
          EXPECT_EQ(summary->max_live, again->max_points);
          EXPECT_GT(summary->steps[static_cast<size_t>(Operation::kSearch)], 0u);
          // In a single step all lifetimes are one: too few to be near the window.
          EXPECT_TRUE(steps == 1 || summary->max_live <= 2 * options.window + rows / 4);
        }
      }
    }
  }
}

TEST_P(GeneratedRunbook, FollowsFromItsSeedWhichTheFileNames) {
  GenerateOptions options = Small(pattern());
  const auto text = [&] { return RunbookText(*GenerateRunbook(options), {}); };
  const std::string first = text();
  EXPECT_EQ(text(), first);
  options.seed = 2;
  if (pattern() != Pattern::kSlidingWindow) {
    EXPECT_NE(text(), first);
  }
  EXPECT_THAT(GenerateComments(options)[1], HasSubstr("seed 2"));
}

TEST_P(GeneratedRunbook, ManyTurnoversReplaceTheWindowManyTimes) {
  GenerateOptions options = Small(pattern());
  options.turnovers = 40;
  const auto book = GenerateRunbook(options);
  ASSERT_TRUE(book) << book.error().message;
  const auto summary = CheckRunbook(*book, options.rows);
  ASSERT_TRUE(summary);
  const uint64_t came =
      Points(*summary, Operation::kInsert) + Points(*summary, Operation::kReplace);
  EXPECT_GT(came, 30u * options.window);
}

INSTANTIATE_TEST_SUITE_P(Patterns, GeneratedRunbook, testing::Range(size_t{0}, kPatterns),
                         [](const auto& each) {
                           std::string name(PatternName(static_cast<Pattern>(each.param)));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(GenerateRunbook, SlidingWindowHasTheSamePointsThereAtEverySearch) {
  const auto book = GenerateRunbook(Small(Pattern::kSlidingWindow));
  ASSERT_TRUE(book);
  LivePoints live;
  for (const Step& step : book->steps) {
    ASSERT_TRUE(live.Apply(*book, step));
    EXPECT_TRUE(step.operation != Operation::kSearch || live.size() == 700u);
  }
}

TEST(GenerateRunbook, ExpirationLeavesAboutTheWindow) {
  GenerateOptions options = Small(Pattern::kExpirationTime);
  options.rows = 40000;
  options.window = 10000;
  options.steps = 50;
  options.turnovers = 20;
  const auto book = GenerateRunbook(options);
  ASSERT_TRUE(book);
  LivePoints live;
  double sum = 0, searches = 0;
  for (const Step& step : book->steps) {
    ASSERT_TRUE(live.Apply(*book, step));
    if (step.operation != Operation::kSearch || step.number < book->steps.size() / 4) continue;
    sum += static_cast<double>(live.size());
    ++searches;
  }
  EXPECT_GT(sum / searches, 7000);
  EXPECT_LT(sum / searches, 13000);
}

TEST(GenerateRunbook, ReplacesStayInTheirClusterOrLeaveIt) {
  for (const Pattern pattern : {Pattern::kReplaceInPlace, Pattern::kReplaceAcross}) {
    GenerateOptions options = Small(pattern);
    const auto cluster = [&](uint32_t row) { return row * options.clusters / options.rows; };
    const auto book = GenerateRunbook(options);
    ASSERT_TRUE(book);
    LivePoints live;
    size_t replaces = 0;
    for (const Step& step : book->steps) {
      if (step.operation == Operation::kReplace) {
        ++replaces;
        const uint32_t from = cluster(live.rows()[step.points.begin]);
        EXPECT_EQ(from == cluster(step.rows.begin), pattern == Pattern::kReplaceInPlace);
        EXPECT_EQ(cluster(step.rows.begin), cluster(step.rows.end - 1));
      }
      ASSERT_TRUE(live.Apply(*book, step));
      std::set<uint32_t> rows;
      for (const uint32_t row : live.rows()) {
        EXPECT_TRUE(row == LivePoints::kNone || rows.insert(row).second) << "two points, a row";
      }
    }
    EXPECT_GT(replaces, 20u);
  }
}

TEST(GenerateRunbook, DeleteRegionsDeletesWholeClusters) {
  GenerateOptions options = Small(Pattern::kDeleteRegions);
  options.bounds = {0, 100, 400, 410, 900, 1300, 1700};
  const auto book = GenerateRunbook(options);
  ASSERT_TRUE(book) << book.error().message;
  std::set<std::pair<uint32_t, uint32_t>> clusters;
  for (size_t i = 0; i < options.bounds.size(); ++i) {
    const uint32_t end = i + 1 < options.bounds.size() ? options.bounds[i + 1] : options.rows;
    clusters.emplace(options.bounds[i], end);
  }
  size_t deletes = 0;
  for (const Step& step : book->steps) {
    if (step.operation == Operation::kSearch) continue;
    deletes += step.operation == Operation::kDelete ? 1 : 0;
    EXPECT_TRUE(clusters.contains({step.points.begin, step.points.end}));
  }
  EXPECT_GT(deletes, 5u);
}

TEST(GenerateRunbook, OptionsOutOfRangeAreNamed) {
  const auto message = [](auto change, Pattern pattern = Pattern::kClusteredDrift) {
    GenerateOptions options = Small(pattern);
    change(options);
    const auto book = GenerateRunbook(options);
    return book ? std::string("none") : book.error().message;
  };
  using O = GenerateOptions;
  EXPECT_EQ(message([](O& o) { o.window = 0; }), "window: expected at least 1, found 0");
  EXPECT_EQ(message([](O& o) { o.steps = 701; }),
            "steps: expected 1 to 700, the window, found 701");
  EXPECT_EQ(message([](O& o) { o.turnovers = -1; }), "turnovers: expected 0 to 1000000, found -1");
  EXPECT_EQ(message([](O& o) { o.rows = 799; }),
            "rows: expected at least 800 for a window of 700, found 799");
  EXPECT_EQ(message([](O& o) { o.rows = 1399; }, Pattern::kExpirationTime),
            "rows: expected at least 1400 for a window of 700, found 1399");
  EXPECT_EQ(message([](O& o) { o.clusters = 1; }),
            "clusters: expected 2 to 2000, the rows, found 1");
  EXPECT_EQ(message([](O& o) {
              o.bounds = {0, 9, 5};
            }),
            "bounds[2]: expected rows in ascending order, the first 0, found 5");
}

// Three far clusters whose rows are shuffled: sorted, each is one range.
TEST(ClusterOrder, RangesAreClusters) {
  test::Generator generator(ScalarType::kUint8, {.dim = 8, .clusters = 3, .spread = 0.02}, 5);
  test::Rows rows(ScalarType::kUint8, 8);
  std::vector<size_t> cluster_of;
  std::mt19937_64 random(7);
  for (size_t i = 0; i < 300; ++i) {
    cluster_of.push_back(random() % 3);
    rows.Add(generator.Row(cluster_of.back()));
  }
  // Centres are drawn at random: with many more than clusters none is missed.
  const auto order = OrderByCluster(rows.view(), {.clusters = 24, .batch = {}});
  ASSERT_TRUE(order) << order.error().message;
  std::vector<uint32_t> sorted = order->rows;
  std::sort(sorted.begin(), sorted.end());
  std::vector<uint32_t> all(300);
  std::iota(all.begin(), all.end(), 0u);
  EXPECT_EQ(sorted, all) << "each row once";
  ASSERT_EQ(order->bounds.front(), 0u);
  for (size_t c = 0; c < order->bounds.size(); ++c) {
    const size_t end = c + 1 < order->bounds.size() ? order->bounds[c + 1] : 300;
    ASSERT_LT(order->bounds[c], end);
    for (size_t i = order->bounds[c]; i < end; ++i)
      EXPECT_EQ(cluster_of[order->rows[i]], cluster_of[order->rows[order->bounds[c]]]);
  }
}

TEST(ClusterOrder, MoreClustersThanRowsIsRefused) {
  test::Generator generator(ScalarType::kFloat32, {.dim = 4}, 5);
  const test::Rows rows = generator.Many(10);
  const auto order = OrderByCluster(rows.view(), {.clusters = 11, .batch = {}});
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().message, "clusters: expected 1 to 10, the rows, found 11");
}

int RunVerb(const std::vector<std::string>& words) {
  CLI::App app;
  int status = 0;
  AddGenerateRunbook(app, status);
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  app.parse(reversed);
  return status;
}

TEST(GenerateRunbookVerb, WritesRunbookAndSortedData) {
  const TempFolder folder;
  test::Generator generator(ScalarType::kInt8, {.dim = 8, .clusters = 6}, 5);
  const test::Rows rows = generator.Many(600);
  ASSERT_TRUE(WriteBin(folder / "in.i8bin", rows.view()));
  ASSERT_EQ(RunVerb({"--pattern", "delete-regions", "--data", (folder / "in.i8bin").string(),
                     "--sorted-data", (folder / "out.i8bin").string(), "--clusters", "9",
                     "--window", "200", "-o", (folder / "book.yaml").string(), "--dataset", "six"}),
            0);
  const auto book = ReadRunbook(folder / "book.yaml", "six");
  ASSERT_TRUE(book) << book.error().message;
  EXPECT_TRUE(CheckRunbook(*book, 600));
  const auto sorted = ReadBin(folder / "out.i8bin", ScalarType::kInt8);
  ASSERT_TRUE(sorted);
  std::multiset<std::string> before, after;
  for (size_t i = 0; i < 600; ++i) {
    before.emplace(static_cast<const char*>(rows[i].data()), 8);
    after.emplace(static_cast<const char*>((*sorted)[i].data()), 8);
  }
  EXPECT_EQ(before, after);
}

TEST(GenerateRunbookVerb, MistakeIsAStatusAndLeavesNoFile) {
  const TempFolder folder;
  EXPECT_EQ(RunVerb({"--pattern", "sliding-window", "--rows", "100", "--window", "100", "-o",
                     (folder / "book.yaml").string()}),
            1);
  EXPECT_EQ(folder.Entries(), 0u);
}

}  // namespace
}  // namespace shoal::bench
