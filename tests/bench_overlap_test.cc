// The rules between the queues of an overlapped run, and what is made of its log.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "runbook/arrivals.h"
#include "runbook/overlap_log.h"
#include "runbook/overlap_queue.h"
#include "test_data.h"

namespace shoal::bench {
namespace {

Runbook MakeBook(const std::string& steps) {
  const auto book = ParseRunbook("d:\n  max_pts: 9\n" + steps, "book.yaml");
  EXPECT_TRUE(book) << book.error().message;
  return *book;
}

bool MayStart(const OverlapQueues& queues, const OperationQueue& queue, const OperationQueue& other,
              size_t i) {
  return queues.MayStart(queue.operations[i], other);
}

TEST(OverlapQueues, OperationsOnAPointKeepTheirOrder) {
  const Runbook book = MakeBook(
      "  1: {operation: insert, start: 0, end: 2}\n"
      "  2: {operation: delete, start: 0, end: 1}\n"
      "  3: {operation: insert, start: 0, end: 1}\n"
      "  4: {operation: replace, tags_start: 0, tags_end: 1, ids_start: 5, ids_end: 6}\n");
  OverlapQueues queues(book, 0, 100);
  OperationQueue &writes = queues.writes(), &deletes = queues.deletes();
  ASSERT_EQ(writes.operations.size(), 4u);
  ASSERT_EQ(deletes.operations.size(), 1u);
  const auto may = [&](const OperationQueue& queue, size_t i) {
    return MayStart(queues, queue, &queue == &writes ? deletes : writes, i);
  };
  EXPECT_TRUE(may(writes, 0));
  EXPECT_FALSE(may(deletes, 0)) << "not inserted yet";
  EXPECT_FALSE(may(writes, 2)) << "there still";
  queues.Done(writes.operations[0]);
  EXPECT_TRUE(may(deletes, 0));
  queues.Done(deletes.operations[0]);
  EXPECT_TRUE(may(writes, 2));
  EXPECT_FALSE(may(writes, 3)) << "not back yet";
  queues.Done(writes.operations[2]);
  EXPECT_TRUE(may(writes, 3));
  EXPECT_TRUE(writes.operations[3].replaces);
  EXPECT_EQ(writes.operations[3].row, 5u);
}

TEST(OverlapQueues, NoQueueRunsAheadByMoreThanTheLead) {
  const Runbook book = MakeBook(
      "  1: {operation: insert, start: 0, end: 10}\n"
      "  2: {operation: search}\n"
      "  3: {operation: delete, start: 0, end: 10}\n"
      "  4: {operation: insert, start: 10, end: 40}\n");
  OverlapQueues queues(book, 0, 15);
  OperationQueue &writes = queues.writes(), &deletes = queues.deletes();
  // The deletes are at 10: inserts may go up to position 25, the sixth of step 4.
  EXPECT_TRUE(MayStart(queues, writes, deletes, 15));
  EXPECT_FALSE(MayStart(queues, writes, deletes, 16));
  deletes.next = 10;  // Through: no waiting for them.
  EXPECT_TRUE(MayStart(queues, writes, deletes, 39));
}

TEST(OverlapQueues, StepsThatWereWarmedUpAreLeftOut) {
  const Runbook book = MakeBook(
      "  1: {operation: insert, start: 0, end: 10}\n"
      "  2: {operation: delete, start: 0, end: 3}\n");
  OverlapQueues queues(book, 1, 0);
  EXPECT_TRUE(queues.writes().operations.empty());
  ASSERT_EQ(queues.deletes().operations.size(), 3u);
  EXPECT_TRUE(MayStart(queues, queues.deletes(), queues.writes(), 2));
  EXPECT_TRUE(OverlapQueues(book, 2, 0).empty());
}

TEST(Arrivals, HaveTheRateOverAllThreads) {
  for (const ArrivalKind kind : {ArrivalKind::kEven, ArrivalKind::kPoisson}) {
    uint64_t last = 0;
    for (size_t thread = 0; thread < 3; ++thread) {
      Arrivals arrivals(kind, 1000, 3, thread, 5);
      ASSERT_TRUE(arrivals.open_loop());
      uint64_t before = 0;
      for (int i = 0; i < 20000; ++i) {
        const uint64_t due = arrivals.Next();
        ASSERT_GE(due, before);
        before = due;
      }
      last = before;
      EXPECT_NEAR(static_cast<double>(last), 60e9, kind == ArrivalKind::kEven ? 1e7 : 3e9);
    }
  }
  EXPECT_FALSE(Arrivals(ArrivalKind::kEven, 0, 1, 0, 5).open_loop());
}

TEST(Arrivals, WhatHoldsUpTheThreadPostponesAllThatIsToCome) {
  Arrivals arrivals(ArrivalKind::kEven, 1000, 1, 0, 5);
  arrivals.Next();
  const uint64_t second = arrivals.Next();
  arrivals.Postpone(500);
  EXPECT_EQ(arrivals.Next(), second + 1000000 + 500);
}

// A log made by hand: 4 points at rows 0 to 3 of one dimension, a query at 0.
class OverlapJudge : public testing::Test {
 protected:
  OverlapJudge() {
    input_.rows = *Matrix::Create(ScalarType::kUint8, 4, 1);
    for (size_t i = 0; i < 4; ++i) input_.rows.data()[i] = static_cast<std::byte>(i);
    input_.queries = *Matrix::Create(ScalarType::kUint8, 1, 1);
    options_.k = 2;
    for (uint32_t id = 0; id < 3; ++id) log_.before.push_back({id, id, 0, 0});
    log_.searches.resize(1);
    log_.writes.resize(1);
    log_.deletes.resize(1);
    log_.samples = {{.time = 1000, .live = 3}, {.time = 2000, .live = 3}};
  }

  void Search(uint64_t start, uint64_t end, const std::vector<uint32_t>& ids,
              const std::vector<float>& distances) {
    SearchLog& log = log_.searches[0];
    log.records.push_back({.due = start,
                           .start = start,
                           .end = end,
                           .query = 0,
                           .found = static_cast<uint32_t>(ids.size()),
                           .first = log.ids.size()});
    log.ids.insert(log.ids.end(), ids.begin(), ids.end());
    log.distances.insert(log.distances.end(), distances.begin(), distances.end());
  }

  OverlapFigures Judged() {
    OverlapFigures figures = Summarise(log_);
    const auto ok = JudgeOverlap(log_, input_, options_, figures);
    EXPECT_TRUE(ok) << ok.error().message;
    return figures;
  }

  Input input_;
  OverlapOptions options_;
  OverlapLog log_;
};

TEST_F(OverlapJudge, GoodAnswersAreBoundedByBucket) {
  Search(100, 200, {0, 1}, {0, 1});
  Search(1500, 1600, {0, 2}, {0, 4});
  const OverlapFigures figures = Judged();
  EXPECT_EQ(figures.judged, 2u);
  EXPECT_EQ(figures.recall.low, 0.75);
  EXPECT_EQ(figures.recall.high, 0.75);
  ASSERT_EQ(figures.buckets.size(), 2u);
  EXPECT_EQ(figures.buckets[0].recall_low, 1);
  EXPECT_EQ(figures.buckets[1].recall_high, 0.5);
  EXPECT_EQ(figures.outside + figures.wrong_distance + figures.doubled, 0u);
}

TEST_F(OverlapJudge, HitsThatCannotBeAreCounted) {
  Search(100, 200, {0, 3}, {0, 9});  // 3 was never there.
  Search(100, 200, {1, 1}, {1, 1});  // Twice.
  Search(100, 200, {0, 1}, {0, 4});  // Not its distance.
  const OverlapFigures figures = Judged();
  EXPECT_EQ(figures.outside, 1u);
  EXPECT_EQ(figures.doubled, 1u);
  EXPECT_EQ(figures.wrong_distance, 1u);
}

TEST_F(OverlapJudge, DeletedPointMayBeReturnedWhileItsDeleteRuns) {
  log_.deletes[0].events.push_back({0, PointEvent::kDeleted, 300, 400});
  log_.deletes[0].replaces.push_back(0);
  log_.deletes[0].latencies_us.push_back(0.1f);
  Search(350, 380, {0, 1}, {0, 1});
  Search(390, 500, {0, 1}, {0, 1});
  EXPECT_EQ(Judged().outside, 0u);
  Search(401, 500, {0, 1}, {0, 1});
  EXPECT_EQ(Judged().outside, 1u);
}

}  // namespace
}  // namespace shoal::bench
