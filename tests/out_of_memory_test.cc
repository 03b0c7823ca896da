// Memory runs out: at the limit that was set, and at every single allocation. Each call says
// OutOfMemory, or succeeds; none throws, none ends the process, none leaves anything behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <new>
#include <thread>

#include "shoal/index.h"
#include "tests/failing_memory.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::NoMemoryAfter;
using test::Rows;
using ::testing::HasSubstr;

constexpr uint64_t kMegabyte = uint64_t{1} << 20;

// --- The limit that was set

// As many points as the limit allows. Returns how many.
size_t Fill(Index& index, const Rows& rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const Status inserted = index.Insert(i, rows[i]);
    if (inserted) continue;
    EXPECT_EQ(inserted.error().code, ErrorCode::kOutOfMemory);
    EXPECT_THAT(inserted.error().message,
                HasSubstr("memory_limit: " + std::to_string(index.options().runtime.memory_limit)));
    return i;
  }
  return rows.size();
}

class MemoryLimit : public ::testing::Test {
 protected:
  Index Make(uint64_t megabytes, uint32_t dim = 256) {
    return std::move(*Index::Create({.dim = dim,
                                     .max_degree = 8,
                                     .build_list_size = 10,
                                     .runtime = {.memory_limit = megabytes * kMegabyte}}));
  }
  const Rows rows_ = test::Generator(ScalarType::kFloat32, {.dim = 256}, 1).Many(12000);
};

TEST_F(MemoryLimit, IsAResultAndTheIndexGoesOnAsItWas) {
  Index index = Make(5);
  const size_t n = Fill(index, rows_);
  ASSERT_GT(n, 2000u);
  ASSERT_LT(n, rows_.size()) << "5 MB cannot hold 12,000 KB";
  EXPECT_EQ(index.size(), n);
  EXPECT_FALSE(index.Contains(n)) << "the refused id is free";
  const Status structure = index.CheckStructure();
  EXPECT_TRUE(structure) << structure.error().message;
  for (size_t i = 0; i < n; i += 7)
    ASSERT_EQ(index.Search(rows_[i], {.k = 1, .search_list_size = n})->at(0).id, i);
  EXPECT_EQ(index.Search(rows_[0], {.k = 3 * n})->size(), n);
  // Again and again: the same answer, nothing lost.
  for (ExternalId id = n; id < n + 100; ++id) {
    const Status inserted = index.Insert(id, rows_[0]);
    ASSERT_FALSE(inserted);
    ASSERT_EQ(inserted.error().code, ErrorCode::kOutOfMemory);
  }
  EXPECT_EQ(index.Insert(5, rows_[5]).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(index.size(), n);
  EXPECT_TRUE(index.CheckStructure());
}

TEST_F(MemoryLimit, HoldsForAllThatTheIndexTakes) {
  size_t last = 0;
  for (const uint64_t megabytes : {1u, 2u, 5u, 9u, 12u}) {
    Index index = Make(megabytes);
    const size_t n = Fill(index, rows_);
    EXPECT_GT(n, last);
    EXPECT_LT(n, rows_.size());
    last = n;
    EXPECT_LE(index.Stats().memory.total(), megabytes * kMegabyte);
  }
}

// Nothing of theirs comes back before they are repaired: neither their memory, nor that of the
// queues in which they wait.
TEST_F(MemoryLimit, HoldsWhileDeletedPointsWaitForTheirRepair) {
  constexpr uint64_t kLimit = 4 * kMegabyte;
  Index index =
      *Index::Create({.dim = 1,
                      .scalar_type = ScalarType::kUint8,
                      .max_degree = 4,
                      .build_list_size = 4,
                      .runtime = {.memory_limit = kLimit, .repair = RepairPolicy::kManual}});
  const auto vector = [](ExternalId id) { return std::vector<uint8_t>{static_cast<uint8_t>(id)}; };
  ExternalId id = 0;
  while (index.Stats().memory.total() < kLimit / 2) {
    ASSERT_TRUE(index.Insert(id, vector(id)));
    ++id;
  }
  for (ExternalId gone = 0; gone < id; ++gone) ASSERT_TRUE(index.Delete(gone));
  ASSERT_EQ(index.Stats().pending_repairs, id);
  while (index.Insert(id, vector(id))) ++id;
  EXPECT_LE(index.Stats().memory.total(), kLimit);
  ASSERT_TRUE(index.Clear());
  ASSERT_TRUE(index.Compact());
  EXPECT_LT(index.Stats().memory.total(), kLimit / 8) << "queues, too, are given back";
}

TEST_F(MemoryLimit, TooSmallForAnythingRefusesTheFirstPoint) {
  for (const uint64_t bytes : {uint64_t{1}, kMegabyte / 8, kMegabyte / 4}) {
    Result<Index> index = Index::Create({.dim = 256, .runtime = {.memory_limit = bytes}});
    if (!index) {
      EXPECT_EQ(index.error().code, ErrorCode::kOutOfMemory);
      continue;
    }
    EXPECT_EQ(Fill(*index, rows_), 0u);
    EXPECT_EQ(index->size(), 0u);
    EXPECT_TRUE(index->Search(rows_[0])->empty());
    EXPECT_TRUE(index->CheckStructure());
  }
}

TEST_F(MemoryLimit, IsReportedRowByRowByInsertMany) {
  for (const size_t threads : {1u, 3u}) {
    Index index = Make(8);
    const auto report =
        index.InsertMany(test::Iota(rows_.size()), rows_.view(), {.threads = threads});
    ASSERT_TRUE(report);
    EXPECT_GT(report->done, 1000u);
    EXPECT_GT(report->failures.size(), 1000u);
    EXPECT_EQ(report->done + report->failures.size(), rows_.size());
    EXPECT_EQ(report->done, index.size());
    for (const auto& failure : report->failures) {
      ASSERT_EQ(failure.error.code, ErrorCode::kOutOfMemory);
      ASSERT_FALSE(index.Contains(failure.row));
    }
    const Status structure = index.CheckStructure();
    EXPECT_TRUE(structure) << structure.error().message;
  }
}

// --- Every allocation

enum class Grows : uint8_t { kNever, kOnSuccess, kAlsoOnError };

// Runs `call` on a fresh index of 60 points, behind `prepare`, with no memory after 0, 1, 2, ...
// allocations, until it needs no more than there are. Afterwards the index must be whole and hold
// what it held, and more only as `grows` says; and what is left to repair can be repaired.
void ExpectSurvivesAtEveryAllocation(
    const std::function<Status(Index&)>& call, Grows grows,
    const std::function<void(Index&)>& prepare = [](Index&) {}) {
  const Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 6}, 2).Many(60);
  bool once_without_failure = false;
  size_t refused = 0;
  for (long allocations = 0; !once_without_failure; ++allocations) {
    ASSERT_LT(allocations, 3000) << "it does not end";
    SCOPED_TRACE("no memory after " + std::to_string(allocations) + " allocations");
    Result<Index> index = Index::Create({.dim = 6, .max_degree = 6, .build_list_size = 20});
    ASSERT_TRUE(index->InsertMany(test::Iota(60), rows.view(), {.threads = 1}));
    prepare(*index);
    Status status;
    // A fresh thread: its epoch cell and scratch are made anew.
    std::thread([&] {
      const NoMemoryAfter no_memory(allocations);
      status = call(*index);
    }).join();
    once_without_failure = !test::MemoryFailed();
    if (!status) {
      ++refused;
      ASSERT_EQ(status.error().code, ErrorCode::kOutOfMemory) << status.error().message;
      ASSERT_FALSE(once_without_failure) << "refused without need";
    }
    if (grows == Grows::kNever || (grows == Grows::kOnSuccess && !status)) {
      ASSERT_EQ(index->size(), 60u);
    }
    const Status structure = index->CheckStructure();
    ASSERT_TRUE(structure) << structure.error().message;
    ASSERT_EQ(index->Search(rows[0], {.k = 200})->size(), index->size());
    ASSERT_TRUE(index->Insert(999, rows[1])) << "with memory it goes on";
    ASSERT_TRUE(index->Consolidate());
    ASSERT_EQ(index->Stats().pending_repairs, 0u);
    ASSERT_TRUE(index->CheckStructure());
    ASSERT_EQ(index->Ids()->size(), index->size());
  }
  ::testing::Test::RecordProperty("refused", static_cast<int>(refused));
}

TEST(NoMemory, Insert) {
  const std::vector<float> vector{1, 2, 3, 4, 5, 6};
  ExpectSurvivesAtEveryAllocation([&](Index& index) { return index.Insert(100, vector); },
                                  Grows::kOnSuccess);
}

// Rows that cannot even be reported for want of memory make the whole an OutOfMemory; what was
// inserted by then stays.
TEST(NoMemory, InsertMany) {
  const Rows more = test::Generator(ScalarType::kFloat32, {.dim = 6}, 3).Many(40);
  const std::vector<ExternalId> ids = test::Iota(40, 1000);
  for (const size_t threads : {1u, 2u}) {
    ExpectSurvivesAtEveryAllocation(
        [&](Index& index) -> Status {
          const auto report = index.InsertMany(ids, more.view(), {.threads = threads});
          if (!report) return tl::unexpected(report.error());
          EXPECT_EQ(index.size(), 60 + report->done);
          EXPECT_EQ(report->done + report->failures.size(), 40u);
          return {};
        },
        Grows::kAlsoOnError);
  }
}

TEST(NoMemory, Search) {
  const std::vector<float> query{1, 2, 3, 4, 5, 6};
  ExpectSurvivesAtEveryAllocation(
      [&](Index& index) -> Status {
        const auto hits = index.Search(query, {.k = 60, .search_list_size = 5000});
        if (!hits) return tl::unexpected(hits.error());
        EXPECT_EQ(hits->size(), 60u);
        return {};
      },
      Grows::kNever);
}

// The first search of its kind makes the scratch; from then on nothing is allocated.
TEST(NoMemory, AWarmSearchIntoSpansNeedsNone) {
  const Rows rows = test::Generator(ScalarType::kFloat32, {.dim = 16}, 2).Many(2000);
  Index index = std::move(*Index::Create({.dim = 16, .max_degree = 16, .build_list_size = 30}));
  ASSERT_TRUE(index.InsertMany(test::Iota(2000), rows.view(), {.threads = 1}));
  std::vector<ExternalId> ids(100 * 10);
  std::vector<float> distances(ids.size());
  std::vector<uint32_t> counts(100);
  const MatrixView queries = rows.view().Slice(0, 100);
  const auto search = [&] {
    return index.SearchMany(queries, {.search_list_size = 100}, {ids, distances, counts},
                            {.threads = 1});
  };
  ASSERT_TRUE(search());
  {
    const NoMemoryAfter no_memory(0);
    EXPECT_TRUE(search());
    for (size_t i = 0; i < 100; ++i)
      EXPECT_TRUE(index.Search(rows[i], {.search_list_size = 100}, std::span(ids).first(10), {}));
  }
  EXPECT_FALSE(test::MemoryFailed()) << "something asked for memory";
  EXPECT_EQ(ids[0], 99u);
}

TEST(NoMemory, SearchManyOnTwoThreads) {
  const Rows queries = test::Generator(ScalarType::kFloat32, {.dim = 6}, 3).Many(40);
  std::vector<ExternalId> ids(400);
  std::vector<uint32_t> counts(40);
  ExpectSurvivesAtEveryAllocation(
      [&](Index& index) {
        return index.SearchMany(queries.view(), {}, {ids, {}, counts}, {.threads = 2});
      },
      Grows::kNever);
}

TEST(NoMemory, RangeSearch) {
  const std::vector<float> query{1, 2, 3, 4, 5, 6};
  ExpectSurvivesAtEveryAllocation(
      [&](Index& index) -> Status {
        const auto hits = index.RangeSearch(query, {.radius = 1e9f});
        if (!hits) return tl::unexpected(hits.error());
        EXPECT_EQ(hits->size(), 60u);
        return {};
      },
      Grows::kNever);
}

TEST(NoMemory, Refine) {
  ExpectSurvivesAtEveryAllocation([](Index& index) { return index.Refine({.threads = 1}); },
                                  Grows::kNever);
  ExpectSurvivesAtEveryAllocation([](Index& index) { return index.Refine({.threads = 2}); },
                                  Grows::kNever);
}

TEST(NoMemory, Delete) {
  ExpectSurvivesAtEveryAllocation(
      [](Index& index) {
        Status deleted = index.Delete(7);
        EXPECT_EQ(index.size(), deleted ? 59u : 60u);
        EXPECT_EQ(index.Contains(7), !deleted);
        return deleted;
      },
      Grows::kAlsoOnError);
}

TEST(NoMemory, Upsert) {
  const std::vector<float> vector{1, 2, 3, 4, 5, 6};
  for (const ExternalId id : {7u, 100u}) {
    ExpectSurvivesAtEveryAllocation(
        [&](Index& index) {
          Status upserted = index.Upsert(id, vector);
          EXPECT_EQ(index.size(), upserted && id == 100 ? 61u : 60u);
          float now[6];
          if (id == 7 || upserted) {
            EXPECT_TRUE(index.Get(id, now));
            EXPECT_EQ(std::equal(vector.begin(), vector.end(), now), upserted.has_value());
          }
          return upserted;
        },
        Grows::kAlsoOnError);
  }
}

TEST(NoMemory, Compact) {
  const auto delete_most = [](Index& index) {
    for (ExternalId id = 0; id < 60; ++id) {
      if (id % 4 == 0) continue;
      ASSERT_TRUE(index.Delete(id));
    }
  };
  for (const size_t threads : {1u, 2u}) {
    size_t left = 0;
    ExpectSurvivesAtEveryAllocation(
        [&](Index& index) -> Status {
          const Result<size_t> compacted = index.Compact({.threads = threads});
          left = index.size();
          if (!compacted) return tl::unexpected(compacted.error());
          return {};
        },
        Grows::kAlsoOnError, delete_most);
    EXPECT_EQ(left, 15u);
  }
}

TEST(NoMemory, Clear) {
  ExpectSurvivesAtEveryAllocation([](Index& index) { return index.Clear({.threads = 1}); },
                                  Grows::kAlsoOnError);
}

TEST(NoMemory, CheckStructure) {
  ExpectSurvivesAtEveryAllocation([](Index& index) { return index.CheckStructure(); },
                                  Grows::kNever);
}

TEST(NoMemory, CreateAndTheFirstInsert) {
  const std::vector<float> vector{1, 2};
  bool once_without_failure = false;
  for (long allocations = 0; !once_without_failure; ++allocations) {
    ASSERT_LT(allocations, 1000);
    const NoMemoryAfter no_memory(allocations);
    Result<Index> index = Index::Create({.dim = 2});
    if (!index) {
      ASSERT_EQ(index.error().code, ErrorCode::kOutOfMemory);
    } else if (const Status inserted = index->Insert(1, vector); !inserted) {
      ASSERT_EQ(inserted.error().code, ErrorCode::kOutOfMemory);
      ASSERT_EQ(index->size(), 0u);
    }
    once_without_failure = !test::MemoryFailed();
  }
}

}  // namespace
}  // namespace shoal
