#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "report/ab.h"
#include "report/chart.h"
#include "report/figures.h"
#include "report/markup.h"
#include "report/results.h"
#include "report/scale.h"
#include "report/statistics.h"

namespace shoal::bench::report {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;
using testing::Not;
using testing::SizeIs;

std::vector<std::string> Labels(const Scale& scale, double gap, Unit unit = Unit::kNumber) {
  std::vector<std::string> labels;
  for (const Tick& tick : scale.Ticks(gap, unit)) labels.push_back(tick.label);
  return labels;
}

TEST(Markup, TextNeverBecomesMarkup) {
  EXPECT_EQ(Escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}

TEST(Markup, BytesThatXmlForbidsAreReplacedAndOthersKept) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(Escape("\x01"), bad);
  EXPECT_EQ(Escape("a\tb\n"), "a\tb\n");
  EXPECT_EQ(Escape("\xC3\xA9 \xE2\x80\x93 \xF0\x9F\x90\x9F"),
            "\xC3\xA9 \xE2\x80\x93 \xF0\x9F\x90\x9F");
  EXPECT_EQ(Escape("\xC3"), bad);
  EXPECT_EQ(Escape("\xC0\xAF"), bad + bad) << "an overlong slash";
  EXPECT_EQ(Escape("\xED\xA0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(Escape("\xEF\xBF\xBE"), bad + bad + bad) << "U+FFFE";
}

TEST(Markup, WhatIsOpenIsClosedInOrder) {
  Markup markup;
  markup.Open("a").Open("b", {{"x", "1 < 2"}}).Text("t");
  EXPECT_EQ(markup.Take(), "<a><b x=\"1 &lt; 2\">t</b></a>");
}

TEST(Numbers, AreWrittenAsPeopleDo) {
  EXPECT_EQ(Number(1234567, Unit::kNumber), "1,234,567");
  EXPECT_EQ(Number(-1234, Unit::kNumber), "-1,234");
  EXPECT_EQ(Number(-123, Unit::kNumber), "-123");
  EXPECT_EQ(Number(0.12345, Unit::kNumber), "0.123");
  EXPECT_EQ(Number(1.5e9, Unit::kBytes), "1.5 GB");
  EXPECT_EQ(Number(0, Unit::kBytes), "0");
  EXPECT_EQ(Number(2500, Unit::kMicroseconds), "2.5 ms");
  EXPECT_EQ(TickLabel(20000, Unit::kNumber), "20k");
  EXPECT_EQ(TickLabel(5000, Unit::kNumber), "5,000");
}

TEST(Scale, LinearAxisBeginsAndEndsAtRoundNumbersAroundTheData) {
  const Scale scale(ScaleKind::kLinear, 0.983, 0.9962);
  EXPECT_THAT(scale.low(), AllOf(Le(0.983), Ge(0.98)));
  EXPECT_THAT(scale.high(), AllOf(Ge(0.9962), Le(1.0)));
  EXPECT_THAT(Labels(scale, 0.2), ElementsAre("0.985", "0.990", "0.995"));
}

TEST(Scale, LogAxisGivesEqualFactorsEqualRoom) {
  const Scale scale(ScaleKind::kLog, 1200, 31000);
  EXPECT_DOUBLE_EQ(scale.low(), 1000);
  EXPECT_DOUBLE_EQ(scale.high(), 50000);
  EXPECT_NEAR(scale.At(10000) - scale.At(5000), scale.At(4000) - scale.At(2000), 1e-12);
  EXPECT_THAT(Labels(scale, 0.1), ElementsAre("1,000", "2,000", "5,000", "10k", "20k", "50k"));
}

TEST(Scale, RecallAxisIsStretchedTowardsOneAndReachesIt) {
  const Scale scale(ScaleKind::kRecall, 0.5, 1.0);
  EXPECT_NEAR(scale.At(0.99) - scale.At(0.9), scale.At(0.999) - scale.At(0.99), 1e-9);
  EXPECT_DOUBLE_EQ(scale.At(1.0), 1.0);
  EXPECT_THAT(Labels(scale, 0.05), Contains("0.999"));
}

TEST(Scale, EveryAxisHasTwoNumbersAtLeastAndNoneThatCollide) {
  const double gap = 0.12;
  for (const ScaleKind kind :
       {ScaleKind::kLinear, ScaleKind::kLog, ScaleKind::kRecall, ScaleKind::kTime}) {
    for (const double low : {0.1, 0.5, 0.9, 0.97, 0.995, 0.9999}) {
      for (const double width : {0.0, 1e-4, 0.01, 0.4}) {
        const double high = std::min(low + width, kind == ScaleKind::kRecall ? 1.0 : 2.0);
        const std::vector<Tick> ticks = Scale(kind, low, high).Ticks(gap, Unit::kNumber);
        SCOPED_TRACE(testing::Message() << static_cast<int>(kind) << ": " << low << " to " << high);
        ASSERT_THAT(ticks, SizeIs(Ge(2u)));
        for (size_t i = 0; i + 1 < ticks.size(); ++i) {
          EXPECT_GE(ticks[i + 1].at - ticks[i].at, gap * 0.99);
          EXPECT_NE(ticks[i + 1].label, ticks[i].label);
        }
      }
    }
  }
}

TEST(Scale, NumbersOfANarrowAxisHaveTheDigitsThatTellThemApart) {
  EXPECT_THAT(Labels(Scale(ScaleKind::kLinear, 0.9991, 0.9994), 0.2),
              ElementsAre("0.9991", "0.9992", "0.9993", "0.9994"));
  EXPECT_THAT(Labels(Scale(ScaleKind::kLinear, 1.001e9, 1.003e9), 0.3, Unit::kBytes),
              ElementsAre("1.001 GB", "1.002 GB", "1.003 GB"));
}

TEST(Labels, AreApartInOrderAndInside) {
  const std::vector<double> wanted = {50, 10, 52, 11, 51, 99, 10};
  const std::vector<double> places = SpreadLabels(wanted, 8, 0, 100);
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_THAT(places[i], AllOf(Ge(0.0), Le(100.0)));
    for (size_t j = 0; j < wanted.size(); ++j) {
      if (i != j) {
        EXPECT_GE(std::abs(places[i] - places[j]), 8 - 1e-9);
      }
      if (wanted[i] < wanted[j]) {
        EXPECT_LT(places[i], places[j]);
      }
    }
  }
}

TEST(Labels, StayWhereTheyWantWhenThereIsRoomAndCrowdWhenThereIsNot) {
  EXPECT_THAT(SpreadLabels({20, 60}, 8, 0, 100), ElementsAre(20, 60));
  EXPECT_THAT(SpreadLabels({5, 5, 5}, 80, 0, 100), ElementsAre(0, 50, 100));
  EXPECT_THAT(SpreadLabels({}, 8, 0, 100), IsEmpty());
}

TEST(Thinned, KeepsEveryPeakAndTheLimit) {
  std::vector<DataPoint> points;
  for (int i = 0; i < 10000; ++i) points.push_back({.x = double(i), .y = i == 7777 ? 9.0 : 1.0});
  points[123].y = -5;
  const std::vector<DataPoint> kept = Thinned(points, 100);
  EXPECT_THAT(kept, SizeIs(Le(100u)));
  std::vector<double> values;
  for (size_t i = 0; i < kept.size(); ++i) {
    values.push_back(kept[i].y);
    if (i > 0) {
      EXPECT_GT(kept[i].x, kept[i - 1].x);
    }
  }
  EXPECT_THAT(values, Contains(9.0));
  EXPECT_THAT(values, Contains(-5.0));
}

TEST(Stylist, EnginesLookDifferentAndAlwaysTheSame) {
  Stylist stylist;
  std::vector<Style> styles;
  const std::vector<std::string> names = {"shoal-f32",       "shoal-u8",    "hnswlib-f32",
                                          "hnswlib-u8-huge", "faiss-f32",   "svs-f32",
                                          "usearch-f32",     "diskann-f32", "hnswlib-u8",
                                          "nobody-f32",      "other-f32",   "shoal-f32-huge"};
  for (const std::string& name : names) styles.push_back(stylist.Of(name));
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(stylist.Of(names[i]), styles[i]);
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(styles[i] == styles[j]) << names[i] << names[j];
  }
}

TEST(Median, IsTheMiddle) {
  EXPECT_DOUBLE_EQ(Median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(Median({4, 1, 2, 3}), 2.5);
}

TEST(SpeedAt, IsLogLinearBetweenPointsAndNeverBeyondThem) {
  EXPECT_NEAR(*SpeedAt({{0.9, 10000}, {0.8, 100}}, 0.85), 1000, 1e-6);
  EXPECT_DOUBLE_EQ(*SpeedAt({{0.9, 10000}, {0.8, 100}}, 0.8), 100);
  EXPECT_FALSE(SpeedAt({{0.9, 10000}, {0.8, 100}}, 0.91));
  EXPECT_FALSE(SpeedAt({{0.9, 10000}, {0.8, 100}}, 0.79));
  EXPECT_FALSE(SpeedAt({}, 0.9));
}

TEST(RatioOf, PairedSamplesLeaveOutWhatSlowedBothSides) {
  // The machine's pace changes by a factor of four; B is always 1.1 times A.
  const std::vector<double> a = {100, 400, 200, 150, 300, 120, 250, 180};
  std::vector<double> b;
  for (const double x : a) b.push_back(1.1 * x);
  const Ratio paired = RatioOf(b, a, Pairing::kPaired);
  EXPECT_NEAR(paired.value, 1.1, 1e-12);
  EXPECT_TRUE(paired.differs());
  const Ratio unpaired = RatioOf(b, a, Pairing::kUnpaired);
  EXPECT_NEAR(unpaired.value, 1.1, 1e-12);
  EXPECT_FALSE(unpaired.differs()) << Text(unpaired);
}

TEST(RatioOf, IntervalContainsTheRatioAndIsRepeatable) {
  const std::vector<double> a = {10, 11, 9, 10.5, 9.5}, b = {12, 13, 11, 12.5, 14};
  for (const Pairing pairing : {Pairing::kPaired, Pairing::kUnpaired}) {
    const Ratio once = RatioOf(b, a, pairing), again = RatioOf(b, a, pairing);
    EXPECT_LE(*once.low, once.value);
    EXPECT_GE(*once.high, once.value);
    EXPECT_EQ(Text(once), Text(again));
  }
}

TEST(RatioOf, OneSampleMakesNoInterval) {
  const std::vector<double> a = {10}, b = {20};
  const Ratio ratio = RatioOf(b, a, Pairing::kPaired);
  EXPECT_DOUBLE_EQ(ratio.value, 2);
  EXPECT_FALSE(ratio.low || ratio.high || ratio.differs());
}

// A file with one run that has `results`.
Json Document(const std::string& results) {
  return Json::parse(R"({"schema": "shoal-bench-results", "version": 1, "machine": {"cpu": "a <b>"},
                         "command": "c", "runs": [{"type": "t", "name": "n", "results": )" +
                     results + "}]}");
}

std::string ErrorOf(const std::string& results) {
  const Expected<ResultsFile> file = ParseResults(Document(results), "r.json");
  return file ? "" : file.error();
}

TEST(ParseResults, MistakesNameFilePathExpectedAndFound) {
  EXPECT_EQ(
      ErrorOf(R"({"curves": [{"engine": "e", "threads": 1,
                        "points": [{"list": 1, "recall": 1.5}]}]})"),
      "r.json: runs[0].results.curves[0].points[0].recall: expected a number in [0, 1], found "
      "1.5");
  EXPECT_EQ(ErrorOf(R"({"curves": 3})"),
            "r.json: runs[0].results.curves: expected a list, found 3");
  EXPECT_THAT(ErrorOf(R"({"builds": [{"seconds": 1}]})"),
              AllOf(HasSubstr("builds[0].engine: expected a text"), HasSubstr("found null")));
  EXPECT_THAT(ErrorOf(R"({"curves": [{"engine": "e", "threads": 1,
                          "points": [{"list": 1, "recall": 0.5, "qps": [0]}]}]})"),
              HasSubstr("points[0].qps[0]: expected a number above 0, found 0"));
  EXPECT_THAT(ErrorOf(R"({"stream": {"engine": "e", "steps": [{"step": 1, "live": "many"}]}})"),
              HasSubstr("stream.steps[0].live: expected a number of at least 0, found \"many\""));
  EXPECT_THAT(ErrorOf(R"({"concurrent": {"writes": {"count": "x"}}})"),
              HasSubstr("concurrent.writes.count: expected a number of at least 0, found \"x\""));
  EXPECT_THAT(ErrorOf(R"({"memory": [{"engine": "e", "bytes_per_point": 1, "parts": {"a": -1}}]})"),
              HasSubstr("memory[0].parts.a: expected a number of at least 0, found -1"));
}

TEST(ParseResults, SectionsThatItDoesNotKnowAreNoMistake) {
  EXPECT_EQ(ErrorOf(R"({"exact": {"recall": [9, 10]}, "torn": 0, "note": "x"})"), "");
}

// Files of one run each; `qps` of a single point that has recall 0.93 and 0.96 around 0.95.
ResultsFile Measured(const std::string& started, std::vector<double> qps) {
  ResultsFile file{.name = started + ".json"};
  Run run;
  run.type = "index";
  run.started = started;
  Curve curve{.engine = "e", .threads = 1};
  curve.points.push_back({.list = 10, .recall = 0.93, .qps = qps});
  curve.points.push_back({.list = 20, .recall = 0.96, .qps = qps});
  run.curves.push_back(curve);
  file.runs.push_back(run);
  return file;
}

std::string NotesOf(const Section& section) {
  std::string all;
  for (const std::string& note : section.notes) all += note + "\n";
  return all;
}

TEST(CompareSides, RunsThatTookTurnsArePairedAndOthersAreSaidNotTo) {
  // Two of each; the machine is four times as fast in the second half, B always 5 % faster.
  const std::vector<ResultsFile> a = {Measured("T1", {100, 101, 102}),
                                      Measured("T4", {400, 404, 408})};
  const std::vector<ResultsFile> b = {Measured("T2", {105, 106.05, 107.1}),
                                      Measured("T3", {420, 424.2, 428.4})};
  const Section turns = CompareSides(a, b);
  ASSERT_THAT(turns.tables, SizeIs(1));
  EXPECT_THAT(turns.tables[0].rows[0],
              ElementsAre("queries/s at recall 0.95", "1.050 (1.050–1.050)", "B is better",
                          testing::_, testing::_, "6"));
  EXPECT_THAT(NotesOf(turns), Not(HasSubstr("did not take turns")));

  // The same figures, A first and B afterwards: the difference could be the machine's.
  const Section apart =
      CompareSides({Measured("T1", {100, 101, 102}), Measured("T2", {400, 404, 408})},
                   {Measured("T3", {105, 106.05, 107.1}), Measured("T4", {420, 424.2, 428.4})});
  EXPECT_THAT(apart.tables[0].rows[0], Contains("no difference shown"));
  EXPECT_THAT(NotesOf(apart), HasSubstr("did not take turns"));
}

TEST(CompareSides, LowerIsBetterForTimesAndBytes) {
  ResultsFile a = Measured("T1", {}), b = Measured("T2", {});
  for (const double seconds : {10.0, 11.0, 10.5}) {
    a.runs[0].builds.push_back({.engine = "e", .seconds = seconds});
    b.runs[0].builds.push_back({.engine = "e", .seconds = 2 * seconds});
  }
  const Section section = CompareSides({a}, {b});
  ASSERT_THAT(section.tables, SizeIs(1));
  EXPECT_THAT(section.tables[0].rows[0], AllOf(Contains("build, seconds"), Contains("B is worse")));
}

TEST(CompareSides, RunsOfOneSideOnlyAreNamed) {
  ResultsFile b = Measured("T2", {1, 2});
  b.runs[0].type = "other";
  const Section section = CompareSides({Measured("T1", {1, 2})}, {b});
  EXPECT_THAT(section.tables, IsEmpty());
  EXPECT_THAT(NotesOf(section), AllOf(HasSubstr("index"), HasSubstr("other")));
}

TEST(GroupStreams, StreamsOfTheSameStepsShareTheirPlots) {
  ResultsFile file;
  const auto add = [&](const std::string& engine, std::vector<std::string> operations) {
    report::Run& run = file.runs.emplace_back();
    run.stream = Stream{.engine = engine, .steps = {}};
    double step = 0;
    for (std::string& operation : operations) {
      StreamStep& added = run.stream->steps.emplace_back();
      added.step = ++step;
      added.operation = operation;
    }
  };
  add("x", {"insert", "search"});
  add("y", {"insert", "search"});
  add("z", {"insert", "delete", "search"});
  const std::vector<StreamGroup> groups = GroupStreams(file);
  ASSERT_THAT(groups, SizeIs(2));
  EXPECT_THAT(groups[0], SizeIs(2));
}

TEST(AddStreams, OperationsThatOverlappedHaveTheirRatesAndTailsInATable) {
  const Json document = Json::parse(R"({"runs": [{"type": "concurrent-runbook", "results": {
      "stream": {"engine": "e", "steps": [{"step": 1, "operation": "insert"}]},
      "concurrent": {"recall_low": 0.97, "structure": "sound", "seconds": 64.945285966, "deletes": {"rate": 2},
                     "searches": {"count": 1000, "rate": 99.6, "p50_us": 10, "p99_us": 20,
                                  "p999_us": 30, "max_us": 4000}}}}]})");
  const auto file = ParseResults(document, "r.json");
  ASSERT_TRUE(file) << file.error();
  Stylist stylist;
  Drawing drawing("r", stylist);
  Section section;
  AddStreams(*file, GroupStreams(*file)[0], drawing, section);
  ASSERT_THAT(section.tables, SizeIs(3));
  EXPECT_THAT(section.tables[1].rows,
              ElementsAre(ElementsAre("searches", "1,000", "100", "10\u00a0µs", "20\u00a0µs",
                                      "30\u00a0µs", "4\u00a0ms"),
                          ElementsAre("deletes", "-", "2", "-", "-", "-", "-")));
  EXPECT_THAT(section.tables[2].rows,
              ElementsAre(ElementsAre("recall low", "0.97"), ElementsAre("structure", "sound"),
                          ElementsAre("seconds", "64.9453")));
}

TEST(Draw, NothingAndOnePointAndEqualPointsArePlotsToo) {
  const Style style{};
  for (const std::vector<DataPoint>& points :
       {std::vector<DataPoint>{}, {{.x = 1, .y = 1}}, {{.x = 1, .y = 1}, {.x = 1, .y = 1}}}) {
    for (const ScaleKind kind :
         {ScaleKind::kLinear, ScaleKind::kLog, ScaleKind::kRecall, ScaleKind::kTime}) {
      LineChart chart;
      chart.x.scale = chart.y.scale = kind;
      chart.series = {{"s", style, points}};
      for (const Layout layout : {Layout::kWide, Layout::kNarrow}) {
        const std::string svg = Draw(chart, layout, "l");
        EXPECT_THAT(svg, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("inf"))));
      }
    }
  }
  EXPECT_THAT(Draw(BarChart{}, Layout::kWide, "l"), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace shoal::bench::report
