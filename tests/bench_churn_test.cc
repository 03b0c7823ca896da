// Which points the job "churn" takes and brings, how it compares curves, and the sets that are made
// for it (bench/jobs).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "jobs/churn_points.h"
#include "jobs/curve.h"
#include "jobs/generated_set.h"

namespace shoal::bench {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

TEST(ChurnPoints, NextGoesThroughTheRowsAndBeginsAgain) {
  ChurnPoints points(5, 1);
  points.Add(points.Next(3));
  EXPECT_THAT(points.live(), ElementsAre(0, 1, 2));
  points.Remove(points.Oldest(2));
  EXPECT_THAT(points.live(), ElementsAre(2));
  EXPECT_THAT(points.Next(4), ElementsAre(3, 4, 0, 1));
  EXPECT_THAT(points.Next(9), SizeIs(4)) << "as many as there are";
}

TEST(ChurnPoints, AnyAreLiveAndAbsentAreNot) {
  ChurnPoints points(100, 7);
  points.Add(points.Next(40));
  const auto leaving = points.Any(30);
  EXPECT_THAT(leaving, SizeIs(30));
  for (const ExternalId id : leaving) EXPECT_LT(id, 40);
  EXPECT_NE(leaving, points.Any(30));
  EXPECT_EQ(leaving, [] {
    ChurnPoints again(100, 7);
    again.Add(again.Next(40));
    return again.Any(30);
  }()) << "the same seed";
  for (const ExternalId id : points.Absent(60)) EXPECT_GE(id, 40);
  EXPECT_THAT(points.Absent(61), SizeIs(60));
}

TEST(ChurnPoints, HighestAreThoseOfTheGreatestValues) {
  ChurnPoints points(10, 1);
  points.Add(points.Next(4));
  const std::vector<uint32_t> values = {5, 9, 5, 7};
  EXPECT_THAT(points.Highest(3, values), ElementsAre(1, 3, 0));
}

TEST(ChurnPoints, RegionsComeOneByOneAndTheOldestGoesWhole) {
  // Rows 4, 0 | 1, 2, 3.
  ChurnPoints points(5, 1, {.rows = {4, 0, 1, 2, 3}, .bounds = {0, 2}});
  points.Add(points.NextRegion(9));
  EXPECT_THAT(points.live(), UnorderedElementsAre(4, 0));
  points.Add(points.NextRegion(2));
  EXPECT_THAT(points.NextRegion(9), IsEmpty()) << "all regions are here";
  const auto leaving = points.OldestRegion();
  EXPECT_THAT(leaving, ElementsAre(4, 0));
  points.Remove(leaving);
  EXPECT_THAT(points.OldestRegion(), ElementsAre(1, 2));
}

TEST(Compare, IsRecallAtEqualDistancesAndDistancesAtEqualRecall) {
  const Curve fresh = {{.recall = 0.8, .distances = 100}, {.recall = 0.9, .distances = 200}};
  const Curve better = {{.recall = 0.85, .distances = 100}, {.recall = 0.9, .distances = 150}};
  const CurveDifference difference = Compare(better, fresh);
  EXPECT_NEAR(difference.least, 0.05, 1e-12);
  EXPECT_NEAR(difference.mean, 0.05, 1e-12);
  EXPECT_NEAR(difference.distances, (100.0 / 150 + 150.0 / 200) / 2, 1e-12);
  EXPECT_EQ(Compare(fresh, fresh).least, 0);
}

Result<GeneratedSet> Make(const std::string& set) {
  return GenerateSet(
      {.set = set, .rows = 2500, .queries = 20, .dim = 8, .clusters = 10, .period = 1000});
}

TEST(GenerateSet, EverySetIsThereAndTheSameAgain) {
  for (const auto& [name, summary] : GeneratedSets()) {
    const auto once = Make(name), again = Make(name);
    ASSERT_TRUE(once) << name << ": " << once.error().message;
    EXPECT_TRUE(summary.ends_with(fmt::format("({})", MetricName(once->metric)))) << summary;
    EXPECT_EQ(once->rows.rows(), 2500u);
    EXPECT_EQ(once->queries.rows(), 20u);
    EXPECT_EQ(
        std::memcmp(once->rows.data(), again->rows.data(), 2500 * once->rows.view().row_bytes()),
        0);
    if (once->rows.type() == ScalarType::kBit) continue;
    for (size_t i = 0; i < 2500 * 8; ++i)
      ASSERT_TRUE(std::isfinite(reinterpret_cast<const float*>(once->rows.data())[i])) << name;
  }
}

TEST(GenerateSet, ClustersComeOneAfterAnother) {
  const auto set = Make("clusters");
  ASSERT_TRUE(set);
  const auto* const rows = reinterpret_cast<const float*>(set->rows.data());
  const auto distance = [&](size_t a, size_t b) {
    double sum = 0;
    for (size_t d = 0; d < 8; ++d) sum += std::pow(double{rows[a * 8 + d]} - rows[b * 8 + d], 2);
    return sum;
  };
  // 100 rows a cluster, again after 1000.
  EXPECT_LT(distance(0, 99), distance(0, 100));
  EXPECT_LT(distance(0, 1000), distance(0, 100));
}

TEST(GenerateSet, MistakesAreNamed) {
  EXPECT_THAT(Make("strange").error().message, testing::HasSubstr("found \"strange\""));
  const auto many = GenerateSet({.set = "clusters", .rows = 10, .queries = 1, .dim = 2});
  EXPECT_THAT(many.error().message, testing::HasSubstr("at most the 10 rows, found 200"));
}

}  // namespace
}  // namespace shoal::bench
