// The oracle of the moment (bench/runbook/history.h): what is possible and certain on hand-made
// histories, and the bounds of recall against an enumeration of every set that the history allows.
#include <gmock/gmock.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "runbook/history.h"
#include "test_data.h"

namespace shoal::bench {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kDeleted = PointEvent::kDeleted;

std::vector<uint32_t> PossibleRows(const History& history, uint32_t id, uint64_t start,
                                   uint64_t end) {
  std::vector<uint32_t> rows;
  history.Possible(id, start, end, [&](uint32_t row) { rows.push_back(row); });
  return rows;
}

// Point 1: row 10 from [5, 8] on, row 11 from [20, 25] on, deleted in [40, 45], row 12 from
// [60, 65] on.
History OnePoint() {
  return History({{1, 12, 60, 65}, {1, 10, 5, 8}, {1, kDeleted, 40, 45}, {1, 11, 20, 25}});
}

TEST(History, VectorIsPossibleFromTheCallThatBroughtItToTheReturnOfTheOneThatEndedIt) {
  const History history = OnePoint();
  EXPECT_THAT(PossibleRows(history, 1, 1, 4), IsEmpty());
  EXPECT_THAT(PossibleRows(history, 1, 1, 5), ElementsAre(10));
  EXPECT_THAT(PossibleRows(history, 1, 9, 10), ElementsAre(10));
  EXPECT_THAT(PossibleRows(history, 1, 18, 21), ElementsAre(10, 11));
  EXPECT_THAT(PossibleRows(history, 1, 25, 30), ElementsAre(10, 11));
  EXPECT_THAT(PossibleRows(history, 1, 26, 30), ElementsAre(11));
  EXPECT_THAT(PossibleRows(history, 1, 45, 46), ElementsAre(11));
  EXPECT_THAT(PossibleRows(history, 1, 46, 59), IsEmpty());
  EXPECT_THAT(PossibleRows(history, 1, 30, 70), ElementsAre(11, 12));
  EXPECT_THAT(PossibleRows(history, 2, 0, 100), IsEmpty());
}

TEST(History, PointIsCertainFromTheReturnOfItsInsertToTheCallOfItsDelete) {
  const History history = OnePoint();
  EXPECT_FALSE(history.Certain(1, 8, 9));
  EXPECT_TRUE(history.Certain(1, 9, 19));
  EXPECT_TRUE(history.Certain(1, 9, 39)) << "also while it is replaced";
  EXPECT_FALSE(history.Certain(1, 9, 40));
  EXPECT_FALSE(history.Certain(1, 50, 70));
  EXPECT_TRUE(history.Certain(1, 66, 1000));
  EXPECT_FALSE(history.Certain(7, 1, 2));
}

// Row i is at distance i from the query, unless said otherwise.
struct Rows {
  std::vector<uint32_t> rows;
  std::vector<float> distances;
  explicit Rows(std::vector<float> of) : distances(std::move(of)) {
    rows.resize(distances.size());
    std::iota(rows.begin(), rows.end(), 0u);
    std::stable_sort(rows.begin(), rows.end(),
                     [&](uint32_t a, uint32_t b) { return distances[a] < distances[b]; });
    std::sort(distances.begin(), distances.end());
  }
  History::Nearest All() const { return {rows, distances, true}; }
  History::Nearest First(size_t n) const {
    return {std::span(rows).first(n), std::span(distances).first(n), false};
  }
};

TEST(History, AtRestBothBoundsAreTheRecall) {
  std::vector<PointEvent> events;
  for (uint32_t id = 0; id < 6; ++id) events.push_back({id, id, 1, 2});
  const History history(events);
  const Rows rows({0, 1, 2, 3, 4, 5});
  const std::vector<uint32_t> answer = {0, 2, 5};
  RecallBounds bounds;
  ASSERT_EQ(history.Judge({10, 20, answer}, rows.All(), 3, bounds), Verdict::kJudged);
  EXPECT_DOUBLE_EQ(bounds.low, 2.0 / 3);
  EXPECT_DOUBLE_EQ(bounds.high, 2.0 / 3);
}

TEST(History, PointThatComesMeanwhileMayOrMayNotCount) {
  const History history({{1, 1, 1, 2}, {2, 2, 1, 2}, {3, 3, 1, 2}, {0, 0, 15, 30}});
  const Rows rows({0, 1, 2, 3});
  RecallBounds bounds;
  // The answer does not know the nearest, which is on its way.
  const std::vector<uint32_t> without = {1, 2};
  ASSERT_EQ(history.Judge({10, 20, without}, rows.All(), 2, bounds), Verdict::kJudged);
  EXPECT_EQ(bounds.low, 0.5);
  EXPECT_EQ(bounds.high, 1);
  const std::vector<uint32_t> with = {0, 1};
  ASSERT_EQ(history.Judge({10, 20, with}, rows.All(), 2, bounds), Verdict::kJudged);
  EXPECT_EQ(bounds.low, 0.5);
  EXPECT_EQ(bounds.high, 1);
  ASSERT_EQ(history.Judge({31, 40, without}, rows.All(), 2, bounds), Verdict::kJudged);
  EXPECT_EQ(bounds.high, 0.5) << "it is there now";
}

TEST(History, ReplacedPointCountsAtTheVectorThatSuitsTheBound) {
  // Point 0 moves from far (row 3) to near (row 0) during the search.
  const History history({{0, 3, 1, 2}, {1, 1, 1, 2}, {2, 2, 1, 2}, {0, 0, 15, 30}});
  const Rows rows({0, 1, 2, 3});
  RecallBounds bounds;
  const std::vector<uint32_t> answer = {0, 1};
  ASSERT_EQ(history.Judge({10, 20, answer}, rows.All(), 2, bounds), Verdict::kJudged);
  EXPECT_EQ(bounds.low, 0.5);
  EXPECT_EQ(bounds.high, 1);
}

TEST(History, ListThatIsTooShortIsSaidToBe) {
  std::vector<PointEvent> events;
  for (uint32_t id = 0; id < 4; ++id) events.push_back({id, id, 1, 2});
  const History history(events);
  const Rows rows({0, 1, 2, 3});
  const std::vector<uint32_t> answer = {0, 1};
  RecallBounds bounds;
  EXPECT_EQ(history.Judge({10, 20, answer}, rows.First(2), 2, bounds), Verdict::kNeedsMore);
  EXPECT_EQ(history.Judge({10, 20, answer}, rows.First(3), 2, bounds), Verdict::kJudged);
  EXPECT_EQ(history.Judge({10, 20, answer}, rows.All(), 5, bounds), Verdict::kTooFew);
}

// --- Against an enumeration.

constexpr uint64_t kEnd = 30;

// What may be said of an id during [start, end], moment by moment: its rows, and nothing (nullopt).
std::vector<std::optional<uint32_t>> StatesOf(const std::vector<PointEvent>& events, uint32_t id,
                                              uint64_t start, uint64_t end) {
  std::vector<PointEvent> own;
  for (const PointEvent& event : events)
    if (event.id == id) own.push_back(event);
  std::sort(own.begin(), own.end(),
            [](const PointEvent& a, const PointEvent& b) { return a.start < b.start; });
  std::vector<std::optional<uint32_t>> states;
  const auto add = [&](std::optional<uint32_t> state) {
    if (std::find(states.begin(), states.end(), state) == states.end()) states.push_back(state);
  };
  for (uint64_t now = start; now <= end; ++now) {
    if (own.empty() || now <= own.front().end) add(std::nullopt);
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].start > now || (i + 1 < own.size() && own[i + 1].end < now)) continue;
      add(own[i].row == kDeleted ? std::nullopt : std::optional(own[i].row));
    }
  }
  return states;
}

struct Extremes {
  size_t least = SIZE_MAX, largest = 0;
};

void Enumerate(const std::vector<std::vector<std::optional<uint32_t>>>& states,
               const std::vector<float>& distance, const std::vector<uint32_t>& answer, size_t k,
               std::vector<std::optional<uint32_t>>& chosen, Extremes& extremes) {
  if (chosen.size() < states.size()) {
    for (const auto& state : states[chosen.size()]) {
      chosen.push_back(state);
      Enumerate(states, distance, answer, k, chosen, extremes);
      chosen.pop_back();
    }
    return;
  }
  std::vector<float> sorted;
  for (const auto& row : chosen)
    if (row) sorted.push_back(distance[*row]);
  if (sorted.size() < k) return;
  std::sort(sorted.begin(), sorted.end());
  size_t hits = 0;
  for (const uint32_t id : answer)
    hits += chosen[id] && distance[*chosen[id]] <= sorted[k - 1] ? 1 : 0;
  hits = std::min(hits, k);
  extremes.least = std::min(extremes.least, hits);
  extremes.largest = std::max(extremes.largest, hits);
}

TEST(History, BoundsAreTheExtremesOverEverySetThatTheHistoryAllows) {
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  size_t judged = 0, wide = 0;
  for (int round = 0; round < 4000; ++round) {
    const size_t ids = 3 + random() % 4;
    std::vector<PointEvent> events;
    std::vector<float> distance;
    for (uint32_t id = 0; id < ids; ++id) {
      bool there = false;
      for (uint64_t now = random() % 12; now < kEnd;) {
        const uint64_t end = now + random() % 6;
        const bool deletes = there && random() % 3 == 0;
        events.push_back({id, kDeleted, now, end});
        if (!deletes) {
          events.back().row = static_cast<uint32_t>(distance.size());
          distance.push_back(static_cast<float>(random() % 5));  // Ties are frequent.
        }
        there = !deletes;
        now = end + 1 + random() % 14;
      }
    }
    const uint64_t start = random() % kEnd, end = start + random() % 8;
    const size_t k = 1 + random() % 3;
    std::vector<std::vector<std::optional<uint32_t>>> states;
    std::vector<uint32_t> answer;
    size_t certain = 0;
    const History history(events);
    for (uint32_t id = 0; id < ids; ++id) {
      states.push_back(StatesOf(events, id, start, end));
      const bool may_be_absent = std::find(states.back().begin(), states.back().end(),
                                           std::nullopt) != states.back().end();
      ASSERT_EQ(history.Certain(id, start, end), !may_be_absent) << "round " << round;
      certain += may_be_absent ? 0 : 1;
      if (answer.size() < k && random() % 2 == 0) answer.push_back(id);
    }
    if (certain < k) continue;
    Extremes extremes;
    std::vector<std::optional<uint32_t>> chosen;
    Enumerate(states, distance, answer, k, chosen, extremes);
    RecallBounds bounds;
    const Rows rows(distance);
    ASSERT_EQ(history.Judge({start, end, answer}, rows.All(), k, bounds), Verdict::kJudged);
    ASSERT_LE(bounds.low, bounds.high);
    ASSERT_EQ(bounds.low * static_cast<double>(k), static_cast<double>(extremes.least))
        << "round " << round;
    ASSERT_EQ(bounds.high * static_cast<double>(k), static_cast<double>(extremes.largest))
        << "round " << round;
    ++judged;
    wide += extremes.least < extremes.largest ? 1 : 0;
    // A list that breaks off says so, or says the same.
    RecallBounds early;
    const size_t part = random() % (rows.rows.size() + 1);
    if (history.Judge({start, end, answer}, rows.First(part), k, early) != Verdict::kNeedsMore) {
      ASSERT_EQ(early.low, bounds.low);
      ASSERT_EQ(early.high, bounds.high);
    }
  }
  EXPECT_GT(judged, 500u);
  EXPECT_GT(wide, 100u);
}

}  // namespace
}  // namespace shoal::bench
