// A snapshot begins with the blocks that the one before it has found (db/found_blocks.h). What it
// reads is of its own commit all the same, while pages are freed and used again.
#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "database_fixture.h"
#include "db/found_blocks.h"

namespace shoal {
namespace {

constexpr std::byte kBlock{};

TEST(FoundBlocks, OfAnEarlierCommitOfTheGenerationAreTakenOver) {
  const FoundBlocks earlier(
      {.generation = 3, .start = 7, .number = 10, .row_blocks = 4, .list_blocks = 2});
  earlier.rows()[1] = &kBlock;
  earlier.lists()[0] = &kBlock;
  FoundBlocks later({.generation = 3, .start = 7, .number = 12, .row_blocks = 5, .list_blocks = 2});
  EXPECT_EQ(later.TakeOver(earlier), 10u);
  EXPECT_EQ(later.rows()[1], &kBlock);
  EXPECT_EQ(later.lists()[0], &kBlock);
  EXPECT_EQ(later.rows()[0], nullptr);
  EXPECT_EQ(later.rows()[4], nullptr);
  later.ForgetRows(1);
  EXPECT_EQ(later.rows()[1], nullptr);
  EXPECT_EQ(earlier.rows()[1], &kBlock);
}

TEST(FoundBlocks, OfAnotherGenerationOrStartOrALaterCommitAreNot) {
  const FoundBlocks::Commit commit{
      .generation = 3, .start = 7, .number = 10, .row_blocks = 4, .list_blocks = 2};
  const auto taken = [&](auto field, auto value) {
    FoundBlocks::Commit of = commit;
    of.*field = value;
    const FoundBlocks other(of);
    other.rows()[0] = &kBlock;
    FoundBlocks found(commit);
    const bool takes = found.TakeOver(other) != UINT64_MAX;
    EXPECT_EQ(found.rows()[0] != nullptr, takes);
    return takes;
  };
  using Commit = FoundBlocks::Commit;
  EXPECT_TRUE(taken(&Commit::number, 10));
  EXPECT_TRUE(taken(&Commit::number, 9));
  EXPECT_FALSE(taken(&Commit::number, 11));
  EXPECT_FALSE(taken(&Commit::generation, 2));
  EXPECT_FALSE(taken(&Commit::generation, 4));
  EXPECT_FALSE(taken(&Commit::start, 6));
  EXPECT_FALSE(taken(&Commit::row_blocks, 5));
  EXPECT_FALSE(taken(&Commit::list_blocks, 3));
}

TEST(FoundBlocks, TheLatestSnapshotsAreKept) {
  LastFoundBlocks last;
  EXPECT_EQ(last.Of(1), nullptr);
  const auto make = [](uint32_t generation, uint64_t number) {
    return std::make_shared<FoundBlocks>(
        FoundBlocks::Commit{.generation = generation, .number = number});
  };
  const auto first = make(2, 10), older = make(2, 9), later = make(2, 11), next = make(3, 5);
  last.Keep(1, first);
  last.Keep(1, older);
  EXPECT_EQ(last.Of(1), first);
  EXPECT_EQ(last.Of(2), nullptr);
  last.Keep(1, later);
  EXPECT_EQ(last.Of(1), later);
  last.Keep(1, next);
  last.Keep(1, later);
  EXPECT_EQ(last.Of(1), next);
}

// Rows of 1 KB: some twenty blocks.
constexpr uint32_t kWide = 256;
constexpr ExternalId kIds = 300;
constexpr IndexOptions kWideOptions{.dim = kWide, .max_degree = 8, .build_list_size = 12};

// Every element of a vector is the same number, which says which version of which id it is.
Vector VectorOf(ExternalId id, uint32_t version) {
  return Vector(kWide, static_cast<float>(id + kIds * version));
}
ExternalId IdOf(float element) { return static_cast<uint64_t>(element) % kIds; }

class FoundBlocksOfADatabase : public DatabaseTest {
 protected:
  void Fill(StoredIndex& index) {
    for (ExternalId id = 0; id < kIds; ++id) Put(index, id);
  }
  void Put(StoredIndex& index, ExternalId id) {
    ExpectGood(index.Upsert(id, VectorOf(id, versions_[id] = ++last_version_)));
  }
  // All points, by their ids and by searches.
  void ExpectCommitted(const DatabaseSnapshot& snapshot) {
    ASSERT_EQ(snapshot.size(), versions_.size());
    Vector vector(kWide);
    for (const auto& [id, version] : versions_) {
      ExpectGood(snapshot.Get(id, vector));
      ASSERT_EQ(vector, VectorOf(id, version)) << id;
    }
    const ExternalId id = std::next(versions_.begin(), random_() % versions_.size())->first;
    ExpectRightDistances(snapshot, VectorOf(id, versions_[id]));
  }
  static void ExpectRightDistances(const DatabaseSnapshot& snapshot, const Vector& query) {
    const auto hits = snapshot.Search(query, {.k = 10});
    ASSERT_TRUE(hits) << hits.error().message;
    ASSERT_EQ(hits->size(), 10u);
    Vector vector(kWide);
    for (const Hit& hit : *hits) {
      ExpectGood(snapshot.Get(hit.id, vector));
      const float difference = vector[0] - query[0];
      ASSERT_FLOAT_EQ(hit.distance, kWide * difference * difference) << hit.id;
    }
  }

  std::map<ExternalId, uint32_t> versions_;
  uint32_t last_version_ = 0;  // No two vectors are equal. Floats tell 2^24 integers apart.
};

TEST_F(FoundBlocksOfADatabase, EverySnapshotReadsWhatItsCommitLeft) {
  Database database = Open({.pass_percent = 100, .least_changes = 1'000'000});
  StoredIndex index = *database.CreateIndex("a", kWideOptions);
  Fill(index);
  for (int round = 0; round < 400; ++round) {
    const ExternalId id = random_() % kIds;
    switch (random_() % 8) {
      case 0:
        if (versions_.contains(id) && versions_.size() > kIds / 2) {
          ExpectGood(index.Delete(id));
          versions_.erase(id);
        }
        break;
      case 1: {
        Transaction change = *database.Begin();
        for (ExternalId other = id; other < std::min(kIds, id + 5); ++other)
          ExpectGood(
              change.Upsert(index, other, VectorOf(other, versions_[other] = ++last_version_)));
        ExpectGood(change.Commit());
        break;
      }
      case 2:
        if (round % 5 == 0) ExpectGood(database.Pass());
        break;
      default: Put(index, id);
    }
    const DatabaseSnapshot snapshot = Snapshot();
    ASSERT_NO_FATAL_FAILURE(ExpectCommitted(snapshot)) << "round " << round;
    // It looks up again what was found.
    ASSERT_TRUE(snapshot.Verify()) << snapshot.Verify().error().message;
  }
}

// The changes since a snapshot are in a run of the log that is in the file, then in merged ones.
TEST_F(FoundBlocksOfADatabase, WhatRunsOfTheLogHaveIsLookedUpAgain) {
  Database database = Open({.pass_percent = 100, .least_changes = 1'000'000});
  StoredIndex index = *database.CreateIndex("a", kWideOptions);
  Fill(index);
  for (const int changes : {2'500, 2'500, 20'000, 100, 2'500}) {
    const DatabaseSnapshot before = Snapshot();
    ASSERT_NO_FATAL_FAILURE(ExpectCommitted(before));
    std::map<ExternalId, uint32_t> then = versions_;
    for (int made = 0; made < changes; made += 100) {
      Transaction change = *database.Begin();
      for (int i = 0; i < 100; ++i) {
        const ExternalId id = random_() % kIds;
        ExpectGood(change.Upsert(index, id, VectorOf(id, versions_[id] = ++last_version_)));
      }
      ExpectGood(change.Commit());
    }
    ASSERT_NO_FATAL_FAILURE(ExpectCommitted(Snapshot()));
    std::swap(versions_, then);
    ASSERT_NO_FATAL_FAILURE(ExpectCommitted(before));
    std::swap(versions_, then);
    ASSERT_TRUE(Snapshot().Verify());
  }
}

TEST_F(FoundBlocksOfADatabase, OneIndexesAreNotAnothers) {
  Database database = Open();
  StoredIndex a = *database.CreateIndex("a", kWideOptions);
  StoredIndex b = *database.CreateIndex("b", kWideOptions);
  for (uint32_t version = 1; version < 20; ++version) {
    ExpectGood(a.Upsert(1, VectorOf(1, version)));
    ExpectGood(b.Upsert(1, VectorOf(2, version)));
    Vector vector(kWide);
    ExpectGood(Snapshot("a").Get(1, vector));
    EXPECT_EQ(vector, VectorOf(1, version));
    ExpectGood(Snapshot("b").Get(1, vector));
    EXPECT_EQ(vector, VectorOf(2, version));
  }
}

// Threads open snapshots and read, each from what another has found, beside a writer.
TEST_F(FoundBlocksOfADatabase, ThreadsReadWholeVectorsBesideAWriter) {
  Database database = Open({.pass_percent = 20, .least_changes = 100});
  StoredIndex index = *database.CreateIndex("a", kWideOptions);
  Fill(index);
  std::atomic<bool> stop = false;
  std::atomic<size_t> read = 0;
  const auto reader = [&](uint32_t seed) {
    std::mt19937 random(seed);
    Vector vector(kWide);
    while (!stop) {
      const DatabaseSnapshot snapshot = Snapshot();
      for (int i = 0; i < 20; ++i, ++read) {
        const ExternalId id = random() % kIds;
        ExpectGood(snapshot.Get(id, vector));
        ASSERT_EQ(vector, Vector(kWide, vector[0]));
        ASSERT_EQ(IdOf(vector[0]), id);
      }
      ASSERT_NO_FATAL_FAILURE(ExpectRightDistances(snapshot, vector));
    }
  };
  std::vector<std::thread> readers;
  for (uint32_t seed = 0; seed < 3; ++seed) readers.emplace_back(reader, seed);
  for (int i = 0; (i < 1500 || read < 1500) && !HasFailure(); ++i) Put(index, random_() % kIds);
  stop = true;
  for (std::thread& thread : readers) thread.join();
  ExpectCommitted(Snapshot());
}

}  // namespace
}  // namespace shoal
