// Bugs that other engines had, as properties that hold here. Above each test: whose bug, and what
// it was. docs/peer_bugs.md has them all, with those that older tests prove and those that cannot
// be.
//
// Where threads are at it, many short rounds begin from an empty index: most of these bugs need
// the first few points, or a crowd in one place. A deadlock is found by ctest's time limit.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstring>
#include <functional>
#include <iostream>
#include <set>
#include <thread>

#include "index_image.h"
#include "shoal/diskann_files.h"
#include "shoal/index.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

Rows RandomRows(size_t n, size_t dim, uint64_t seed = 1) {
  return test::Generator(ScalarType::kFloat32, {.dim = dim, .clusters = 6}, seed).Many(n);
}

void ExpectGood(const Status& status) { ASSERT_TRUE(status) << status.error().message; }

// Starts `n` threads that begin together; work(i) is thread i's.
void Together(size_t n, const std::function<void(size_t)>& work) {
  std::barrier begin(static_cast<ptrdiff_t>(n));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      begin.arrive_and_wait();
      work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

Index SmallIndex(uint32_t dim, RepairPolicy repair = RepairPolicy::kImmediate) {
  return *Index::Create({.dim = dim,
                         .max_degree = 8,
                         .build_list_size = 20,
                         .runtime = {.repair = repair, .repair_threads = 2}});
}

constexpr RepairPolicy kPolicies[] = {RepairPolicy::kImmediate, RepairPolicy::kBackground,
                                      RepairPolicy::kManual};

// At rest: the ids that are there are found, each by its own vector, which is row id of `rows`.
// With L as large as the index a search meets every point that can be reached.
void ExpectAllFindThemselves(Index& index, const Rows& rows) {
  ExpectGood(index.Consolidate());
  ExpectGood(index.CheckStructure());
  const auto ids = index.Ids();
  ASSERT_TRUE(ids);
  ASSERT_EQ(ids->size(), index.size());
  for (const ExternalId id : *ids) {
    const auto hits = index.Search(rows[id], {.k = 1, .search_list_size = index.size()});
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), 1u) << "of " << index.size();
    ASSERT_EQ(hits->front().id, id);
    ASSERT_EQ(hits->front().distance, 0.0f);
  }
}

// --- Threads.

// usearch #735, #772: points that threads add at the same time are stored, and no path leads to
// them; links that others added to a new point are wiped when it writes its own. voyager #38: a few
// of 25,310 points are never reached.
TEST(Together, PointsThatThreadsInsertFindThemselves) {
  constexpr size_t kThreads = 8, kEach = 20;
  const Rows rows = RandomRows(kThreads * kEach, 6);
  for (int round = 0; round < 30; ++round) {
    Index index = SmallIndex(6);
    Together(kThreads, [&](size_t thread) {
      for (size_t i = 0; i < kEach; ++i) {
        const ExternalId id = i * kThreads + thread;
        ExpectGood(index.Insert(id, rows[id]));
      }
    });
    ASSERT_EQ(index.size(), rows.size());
    ASSERT_NO_FATAL_FAILURE(ExpectAllFindThemselves(index, rows)) << "round " << round;
  }
}

// hannoy #52: after everything was deleted, what comes in is not found. Here it comes in meanwhile.
TEST(Together, WhatIsInsertedBesideAClearIsFoundOrGone) {
  constexpr size_t kThreads = 4, kEach = 40;
  const Rows rows = RandomRows(kThreads * kEach, 6);
  size_t cleared = 0;
  for (int round = 0; round < 15; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Index index = SmallIndex(6, kPolicies[round % 3]);
    Together(kThreads + 1, [&](size_t thread) {
      if (thread == kThreads) {
        while (index.size() < rows.size() / 4) std::this_thread::yield();
        return ExpectGood(index.Clear());
      }
      for (size_t i = 0; i < kEach; ++i) {
        const ExternalId id = i * kThreads + thread;
        ExpectGood(index.Insert(id, rows[id]));
      }
    });
    cleared += rows.size() - index.size();
    ASSERT_NO_FATAL_FAILURE(ExpectAllFindThemselves(index, rows));
    for (ExternalId id = 0; id < rows.size(); ++id) {
      const bool there = index.Contains(id);
      EXPECT_EQ(index.Insert(id, rows[id]).has_value(), !there);
    }
    EXPECT_EQ(index.size(), rows.size());
    ASSERT_NO_FATAL_FAILURE(ExpectAllFindThemselves(index, rows));
  }
  EXPECT_GE(cleared, 15 * rows.size() / 4);
}

// usearch #396: sixteen threads that update neighbours wait for each other's locks for ever; #354:
// they spin for ever; #674: they race.
TEST(Together, SixteenThreadsThatUpsertOneNeighbourhoodAllComeBack) {
  constexpr size_t kThreads = 16, kIds = 12;
  for (int round = 0; round < 6; ++round) {
    Index index =
        *Index::Create({.dim = 2,
                        .max_degree = 4,
                        .build_list_size = 16,
                        .runtime = {.repair = kPolicies[round % 3], .repair_threads = 2}});
    Together(kThreads, [&](size_t thread) {
      std::mt19937_64 random(thread + 100 * static_cast<size_t>(round));
      for (int i = 0; i < 25; ++i) {
        const std::array<float, 2> vector{static_cast<float>(random() % 8),
                                          static_cast<float>(thread)};
        ExpectGood(index.Upsert(random() % kIds, vector));
      }
    });
    ExpectGood(index.Consolidate());
    ExpectGood(index.CheckStructure());
    EXPECT_EQ(index.size(), kIds);
    const std::array<float, 2> query{};
    EXPECT_EQ(index.Search(query, {.k = 100})->size(), kIds);
  }
}

// hnswlib #64: the list size of searches is a member of the index, which they overwrite for each
// other.
TEST(Together, SearchesOfDifferentListSizesAnswerAsEachAlone) {
  const Rows rows = RandomRows(2000, 16), queries = RandomRows(40, 16, 2);
  Index index = SmallIndex(16);
  ASSERT_EQ(index.InsertMany(test::Iota(2000), rows.view())->done, 2000u);
  const SearchOptions settings[] = {
      {.k = 1, .search_list_size = 1}, {.k = 5, .search_list_size = 12}, {}, {.k = 100}};
  struct Answer {
    std::vector<ExternalId> ids;
    uint64_t distances = 0;
    bool operator==(const Answer&) const = default;
  };
  const auto ask = [&](size_t query, const SearchOptions& options) {
    Answer answer;
    answer.ids.resize(options.k);
    WorkCounters work;
    const auto n = index.Search(queries[query], options, answer.ids, {}, &work);
    EXPECT_TRUE(n);
    answer.ids.resize(*n);
    answer.distances = work.distances;
    return answer;
  };
  std::vector<Answer> alone[4];
  for (size_t i = 0; i < 4; ++i)
    for (size_t q = 0; q < queries.size(); ++q) alone[i].push_back(ask(q, settings[i]));
  ASSERT_NE(alone[0][0].distances, alone[3][0].distances);
  Together(8, [&](size_t thread) {
    for (int round = 0; round < 8; ++round)
      for (size_t q = 0; q < queries.size(); ++q)
        ASSERT_EQ(ask(q, settings[thread % 4]), alone[thread % 4][q]);
  });
}

// memgraph #3846 (on usearch): keys are exported into room for size() keys, and more have come.
TEST(Together, IdsAndFiguresAreWholeWhileThreadsWrite) {
  constexpr size_t kWriters = 4, kIds = 400, kStay = 50;
  const Rows rows = RandomRows(kIds, 6);
  for (const RepairPolicy policy : kPolicies) {
    Index index = SmallIndex(6, policy);
    for (ExternalId id = 0; id < kStay; ++id) ExpectGood(index.Insert(id, rows[id]));
    std::atomic<size_t> writing{kWriters};
    Together(kWriters + 2, [&](size_t thread) {
      if (thread < kWriters) {
        for (int turn = 0; turn < 11; ++turn)  // They come and go in bursts.
          for (ExternalId id = kStay + thread; id < kIds; id += kWriters) {
            ExpectGood(turn % 2 == 0 ? index.Insert(id, rows[id]) : index.Delete(id));
            if (id % 8 == 0) ExpectGood(index.Upsert(id % kStay, rows[id % kStay]));
          }
        --writing;
        return;
      }
      while (writing > 0) {
        const auto ids = index.Ids();
        ASSERT_TRUE(ids);
        const std::set<ExternalId> set(ids->begin(), ids->end());
        ASSERT_EQ(set.size(), ids->size()) << "an id twice";
        ASSERT_LT(*set.rbegin(), kIds);
        for (ExternalId id = 0; id < kStay; ++id) ASSERT_TRUE(set.contains(id)) << id;
        const IndexStats stats = index.Stats();
        for (const size_t points : {index.size(), static_cast<size_t>(stats.points)}) {
          ASSERT_GE(points, kStay);
          ASSERT_LE(points, kIds + kWriters) << "an upsert has two for a moment";
        }
        const IndexDiagnostics inner = index.Diagnostics();
        ASSERT_LE(inner.oldest_pin, inner.epoch + 1);
      }
    });
    ASSERT_NO_FATAL_FAILURE(ExpectAllFindThemselves(index, rows));
  }
}

// hnswlib #205: reading vectors back while others add is a segmentation fault. SVS #321: a row is
// read while the memory that holds it is moved to grow.
TEST(Together, AVectorIsReadBackWholeWhileTheIndexGrows) {
  constexpr size_t kDim = 96, kWriters = 2, kEach = 2500;
  const Rows rows = RandomRows(kWriters * kEach, kDim);
  Index index = *Index::Create({.dim = kDim, .max_degree = 4, .build_list_size = 4});
  std::atomic<size_t> inserted[kWriters] = {};
  Together(kWriters + 2, [&](size_t thread) {
    if (thread < kWriters) {
      for (size_t i = 0; i < kEach; ++i) {
        ExpectGood(index.Insert(thread * kEach + i, rows[thread * kEach + i]));
        inserted[thread].store(i + 1, std::memory_order_release);
      }
      return;
    }
    std::mt19937_64 random(thread);
    std::vector<float> copy(kDim);
    size_t there = 0;
    for (size_t i = 0; i < 500 || there < kEach; ++i) {
      there = inserted[i % kWriters].load(std::memory_order_acquire);
      if (there == 0) continue;
      const ExternalId id = i % kWriters * kEach + random() % there;
      ExpectGood(index.Get(id, copy));
      ASSERT_EQ(std::memcmp(copy.data(), rows[id].data(), kDim * sizeof(float)), 0) << id;
    }
  });
}

// --- What things cost, in counts of work.

uint64_t Work(const Index& index) {
  const WorkCounters work = index.Stats().work;
  return work.distances + work.rows_fetched + work.lists_read + work.lists_written;
}

// Work that consolidating 20 deletes takes in an index of n points.
uint64_t WorkOfTwentyRepairs(size_t n) {
  const Rows rows = RandomRows(n, 8);
  Index index = SmallIndex(8, RepairPolicy::kManual);
  EXPECT_EQ(index.InsertMany(test::Iota(n), rows.view(), {.threads = 1})->done, n);
  for (ExternalId id = 0; id < 20; ++id) ExpectGood(index.Delete((2 * id + 1) * n / 40));
  const uint64_t before = Work(index);
  ExpectGood(index.Consolidate({.threads = 1}));
  return Work(index) - before;
}

// pgvector #450: a vacuum of a part of a large index was given up after ten hours. DiskANN's
// consolidation scans every slot and prunes nearly every list, however few the deletes.
TEST(Cost, OfAConsolidationIsThatOfItsDeletesNotThatOfTheIndex) {
  const uint64_t small = WorkOfTwentyRepairs(500), large = WorkOfTwentyRepairs(8000);
  std::cout << "work: " << small << " of 500 points, " << large << " of 8,000\n";
  EXPECT_GT(small, 100u);
  EXPECT_LE(large, 2 * small) << "and not sixteen times as much";
}

// pgvector #1025, #975: after a vacuum each insert searches the whole index for a place.
TEST(Cost, OfAnInsertIsTheSameAfterAConsolidationOfMostPoints) {
  constexpr size_t kN = 2000, kLeft = 150, kMore = 150;
  const Rows rows = RandomRows(kN + kMore, 8);
  const auto insert_more = [&](Index& index) {
    const uint64_t before = Work(index);
    for (ExternalId id = kN; id < kN + kMore; ++id) ExpectGood(index.Insert(id, rows[id]));
    return Work(index) - before;
  };
  for (const RepairPolicy policy : kPolicies) {
    Index fresh = SmallIndex(8, policy);
    for (ExternalId id = 0; id < kLeft; ++id) ExpectGood(fresh.Insert(id, rows[id]));
    const uint64_t expected = insert_more(fresh);
    for (const size_t left : {size_t{0}, kLeft}) {
      Index index = SmallIndex(8, policy);
      ASSERT_EQ(index.InsertMany(test::Iota(kN), rows.view().Slice(0, kN), {.threads = 1})->done,
                kN);
      // The last points stay, so that no slot below them counts as never used.
      ASSERT_EQ(index.DeleteMany(test::Iota(kN - left))->done, kN - left);
      ExpectGood(index.Consolidate());
      EXPECT_LE(insert_more(index), expected + expected / 4) << left << " left";
      // A repairer in the background may be about to leave: it, too, is a reader.
      if (policy != RepairPolicy::kBackground) {
        EXPECT_LE(index.Stats().slots_used, kN + 1) << "freed slots come first";
      }
    }
  }
}

// Documents without a word, say: all have the same vector (ours).
TEST(Cost, OfAnInsertAmongManyThatAreEqualIsThatAmongFew) {
  constexpr ExternalId kN = 6000, kPart = 500;
  const std::vector<float> vector(8, 1.0f);
  Index index = SmallIndex(8, RepairPolicy::kImmediate);
  std::vector<uint64_t> work;
  for (ExternalId id = 0; id < kN; ++id) {
    if (id % kPart == 0) work.push_back(Work(index));
    ExpectGood(index.Insert(id, vector));
  }
  EXPECT_LE(Work(index) - work.back(), 2 * (work[3] - work[2])) << "and not six times as much";
  ExpectGood(index.CheckStructure());
}

// DiskANN: between two powers of 1.2, alpha has no effect.
TEST(Alpha, KeepsMoreEdgesWithEveryStep) {
  // Of 48 dimensions: no row comes out so sparse that it is filled up.
  const Rows rows = RandomRows(800, 48);
  uint64_t last = 0;
  for (const float alpha : {1.0f, 1.1f, 1.2f, 1.25f, 1.3f, 1.35f, 1.4f, 1.45f, 1.5f}) {
    Index index =
        *Index::Create({.dim = 48, .max_degree = 256, .build_list_size = 60, .alpha = alpha});
    ASSERT_EQ(index.InsertMany(test::Iota(800), rows.view(), {.threads = 1})->done, 800u);
    EXPECT_GT(index.Stats().edges, last) << "alpha " << alpha;
    last = index.Stats().edges;
  }
}

// DiskANN, concurrent mode: the first point gets no edges, as its only neighbour would be the
// frozen start, and new points do not link to that.
TEST(FirstPoints, HaveEdgesAsSoonAsThereIsSomebodyElse) {
  const Rows rows = RandomRows(8, 4);
  Index index = SmallIndex(4);
  for (ExternalId id = 0; id < 8; ++id) {
    ExpectGood(index.Insert(id, rows[id]));
    const auto image = ExportGraph(index, true);
    ASSERT_TRUE(image);
    EXPECT_FALSE(image->List(image->start).empty());
    if (id == 0) continue;
    for (size_t i = 0; i < image->points(); ++i)
      EXPECT_FALSE(image->List(i).empty()) << "point " << i << " of " << id + 1;
  }
}

// --- Files.

// A stream of inserts and deletes by one thread; between two of them `save` is called now and then.
std::string StreamAndSave(const std::filesystem::path& path, RepairPolicy policy,
                          const std::function<void(const Index&)>& save) {
  const Rows rows = RandomRows(600, 8);
  Index index = SmallIndex(8, policy);
  for (ExternalId id = 0; id < 600; ++id) {
    ExpectGood(index.Insert(id + 1, rows[id]));
    if (id >= 200) ExpectGood(index.Delete(id - 200 + 1));
    if (id % 60 == 59) save(index);
  }
  ExpectGood(index.Consolidate({.threads = 1}));
  ExpectGood(index.Save(path));
  return ReadBytes(path);
}

// DiskANN: saving a dynamic index moves its start over a live point; with snapshots on the way the
// final index of a run has 60 % of its recall.
TEST(Files, SavingOnTheWayChangesNothingOfWhatComesAfter) {
  TempFolder folder;
  for (const RepairPolicy policy : {RepairPolicy::kImmediate, RepairPolicy::kManual}) {
    const std::string without = StreamAndSave(folder / "a", policy, [](const Index&) {});
    const std::string with = StreamAndSave(folder / "b", policy, [&](const Index& index) {
      ExpectGood(index.Save(folder / "x"));
      ExpectGood(SaveDiskann(index, folder / "d", {.dynamic = true}));
      ExpectGood(SaveDiskann(index, folder / "s"));
    });
    EXPECT_GT(without.size(), 10000u);
    EXPECT_TRUE(with == without) << "another index";
  }
}

// DiskANN #400: an index with free slots is saved as an empty one, and what was inserted after a
// load is not in the next save; after the load of a full index every consolidation fails. usearch
// #507: after a load nothing can be added.
TEST(Files, OfDiskannHoldAnIndexThroughAllItsLives) {
  TempFolder folder;
  const Rows rows = RandomRows(250, 8);
  for (const RepairPolicy policy : kPolicies) {
    Index index = SmallIndex(8, policy);
    std::set<ExternalId> there;
    const auto insert = [&](ExternalId begin, ExternalId end) {
      for (ExternalId id = begin; id < end; ++id) {
        ExpectGood(index.Insert(id, rows[id]));
        there.insert(id);
      }
    };
    const auto remove = [&](ExternalId begin, ExternalId end) {
      for (ExternalId id = begin; id < end; ++id) {
        ExpectGood(index.Delete(id));
        there.erase(id);
      }
    };
    const auto save_and_load = [&] {
      ExpectGood(SaveDiskann(index, folder / "x", {.dynamic = true}));
      ASSERT_NO_FATAL_FAILURE(ExpectAllFindThemselves(index, rows)) << "after the save";
      auto loaded = LoadDiskann(
          folder / "x",
          {.index = {.max_degree = 8, .build_list_size = 20, .runtime = {.repair = policy}},
           .tags = true});
      ASSERT_TRUE(loaded) << loaded.error().message;
      index = std::move(*loaded);
      const auto ids = index.Ids();
      ASSERT_EQ(std::set(ids->begin(), ids->end()), there);
      ASSERT_NO_FATAL_FAILURE(ExpectAllFindThemselves(index, rows)) << "after the load";
    };
    insert(1, 170);
    save_and_load();
    insert(170, 240);
    save_and_load();
    remove(1, 100);
    save_and_load();
    remove(100, 140);
    ExpectGood(index.Consolidate());
    save_and_load();
    insert(240, 250);
    insert(1, 20);
    save_and_load();
  }
}

}  // namespace
}  // namespace shoal
