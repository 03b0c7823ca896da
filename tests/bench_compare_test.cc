// Tolerances: what may differ, and that everything else may not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runner/compare.h"
#include "runner/tolerances.h"

namespace shoal::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json Parse(const std::string& text) { return *ParseJson(text, "test"); }

std::vector<std::string> Paths(const std::string& before, const std::string& after,
                               const std::vector<FieldRule>& rules = {}) {
  std::vector<std::string> paths;
  for (const Difference& d : Compare(Parse(before), Parse(after), rules)) paths.push_back(d.path);
  return paths;
}

TEST(CompareTest, WithoutRulesEverythingMustBeEqual) {
  const std::string json = R"({"a": [1, 2], "b": {"c": 0.5, "d": "x"}, "e": [{"f": null}]})";
  EXPECT_THAT(Paths(json, json), IsEmpty());
  EXPECT_THAT(Paths(json, R"({"a": [1, 3], "b": {"c": 0.5, "d": "x"}, "e": [{"f": null}]})"),
              ElementsAre("a"));
  EXPECT_THAT(Paths(json, R"({"a": [1, 2], "b": {"c": 0.50000001, "d": "y"}, "e": [{"f": 0}]})"),
              ElementsAre("b/c", "b/d", "e/0/f"));
}

TEST(CompareTest, WhatOneSideLacksIsADifference) {
  EXPECT_THAT(Paths(R"({"a": 1, "b": 2})", R"({"a": 1})"), ElementsAre("b"));
  EXPECT_THAT(Paths(R"({"a": 1})", R"({"a": 1, "b": 2})"), ElementsAre("b"));
  EXPECT_THAT(Paths(R"([{}, {}])", R"([{}])"), ElementsAre("1"));
}

TEST(CompareTest, LargeIntegersAreComparedToTheDigit) {
  EXPECT_THAT(Paths(R"({"n": 9007199254740993})", R"({"n": 9007199254740992})"), ElementsAre("n"));
}

TEST(CompareTest, ARuleAllowsTheLargerOfItsTwoMargins) {
  const FieldRule rule{.field = "qps", .absolute = 5, .relative = 0.1};
  EXPECT_THAT(Paths(R"({"qps": 100})", R"({"qps": 110})", {rule}), IsEmpty());
  EXPECT_THAT(Paths(R"({"qps": 100})", R"({"qps": 111})", {rule}), ElementsAre("qps"));
  EXPECT_THAT(Paths(R"({"qps": 100})", R"({"qps": 89})", {rule}), ElementsAre("qps"));
  EXPECT_THAT(Paths(R"({"qps": 10})", R"({"qps": 15})", {rule}), IsEmpty());
}

TEST(CompareTest, BetterIsAllowedHoweverFar) {
  const FieldRule higher{.field = "x", .relative = 0.1, .better = FieldRule::Better::kHigher};
  const FieldRule lower{.field = "x", .relative = 0.1, .better = FieldRule::Better::kLower};
  EXPECT_THAT(Paths(R"({"x": 1})", R"({"x": 100})", {higher}), IsEmpty());
  EXPECT_THAT(Paths(R"({"x": 1})", R"({"x": 0.8})", {higher}), ElementsAre("x"));
  EXPECT_THAT(Paths(R"({"x": 1})", R"({"x": 0})", {lower}), IsEmpty());
  EXPECT_THAT(Paths(R"({"x": 1})", R"({"x": 1.2})", {lower}), ElementsAre("x"));
}

TEST(CompareTest, SamplesAreComparedByTheirMedians) {
  const FieldRule rule{.field = "qps", .relative = 0.01};
  EXPECT_THAT(Paths(R"({"qps": [1, 100, 900]})", R"({"qps": [100, 7, 800, 100]})", {rule}),
              IsEmpty());
  EXPECT_THAT(Paths(R"({"qps": [1, 100, 900]})", R"({"qps": [1, 98, 900]})", {rule}),
              ElementsAre("qps"));
}

TEST(CompareTest, TheFirstRuleThatMatchesDecides) {
  const FieldRule ignore{.field = "a/b", .ignore = true};
  const FieldRule exact{.field = "a/*"};
  EXPECT_THAT(Paths(R"({"a": {"b": 1, "c": 1}})", R"({"a": {"b": 2, "c": 2}})", {ignore, exact}),
              ElementsAre("a/c"));
  EXPECT_THAT(Paths(R"({"a": {"b": 1, "c": 1}})", R"({"a": {"b": 2, "c": 2}})", {exact, ignore}),
              ElementsAre("a/b", "a/c"));
}

TEST(CompareTest, StarsStandForOneStepAndForMany) {
  EXPECT_TRUE(Matches("a/*/c", "a/b/c"));
  EXPECT_FALSE(Matches("a/*/c", "a/c"));
  EXPECT_FALSE(Matches("a/*", "a/b/c"));
  EXPECT_TRUE(Matches("**/c", "c"));
  EXPECT_TRUE(Matches("**/c", "a/b/c"));
  EXPECT_TRUE(Matches("a/**", "a/b/c"));
  EXPECT_FALSE(Matches("a/**/d", "a/b/c"));
  EXPECT_FALSE(Matches("a", ""));
}

TEST(CompareTest, OneTableShowsAllDifferences) {
  const auto differences = Compare(Parse(R"({"hops": 10, "recall": [9, 10]})"),
                                   Parse(R"({"hops": 11, "recall": [8, 10]})"), {});
  const std::string table = DifferenceTable(differences, "baseline", "now");
  EXPECT_THAT(table, HasSubstr("field   baseline  now     remark\n"));
  EXPECT_THAT(table, HasSubstr("hops    10        11      +10 %\n"));
  EXPECT_THAT(table, HasSubstr("recall  [9,10]    [8,10]\n"));
}

TEST(TolerancesTest, AJobIsCheckedIfItContainsTheInput) {
  const Json job = Parse(R"({"type": "index", "content": {"k": 10, "data": {"a": 1, "b": 2}}})");
  EXPECT_TRUE(Contains(job, Parse(R"({"type": "index"})")));
  EXPECT_TRUE(Contains(job, Parse(R"({"content": {"data": {"b": 2}}})")));
  EXPECT_EQ(FirstLack(job, Parse(R"({"content": {"data": {"b": 3}}})")), "content.data.b");
  EXPECT_EQ(FirstLack(job, Parse(R"({"content": {"q": {}}})")), "content.q");
}

TEST(TolerancesTest, EveryJobNeedsExactlyOneCheckAndEveryCheckAJob) {
  const Json jobs = Parse(R"([{"type": "a", "content": {"k": 1}}, {"type": "b", "content": {}}])");
  const auto check = [](const std::string& path, const std::string& input) {
    Check made;
    made.path = path;
    made.input = Parse(input);
    return made;
  };
  const Check a = check("checks[0]", R"({"type": "a"})"),
              b = check("checks[1]", R"({"type": "b"})"),
              k = check("checks[2]", R"({"content": {"k": 1}})"),
              none = check("checks[3]", R"({"type": "c"})");
  const std::vector<Check> right = {a, b};
  const auto assigned = AssignChecks(right, jobs);
  ASSERT_TRUE(assigned);
  EXPECT_THAT(*assigned, ElementsAre(&right[0], &right[1]));
  EXPECT_EQ(AssignChecks({a, b, k}, jobs).error(),
            "jobs[0]: expected one check for it, found checks[0] and checks[2]");
  EXPECT_EQ(AssignChecks({a}, jobs).error(), "jobs[1]: expected a check for it, found none");
  EXPECT_EQ(AssignChecks({a, b, none}, jobs).error(),
            "checks[3]: expected a job that contains its input, found none");
}

}  // namespace
}  // namespace shoal::bench
