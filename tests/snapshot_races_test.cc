// A snapshot holds the points of one instant, whatever goes on beside it: two directed races, and a
// stress whose writers keep promises that hold at every instant and that a torn snapshot breaks.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <stop_token>
#include <thread>

#include "shoal/diskann_files.h"
#include "shoal/index_view.h"
#include "shoal/snapshot.h"
#include "support/sequencer.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal::testing {
namespace {

constexpr uint32_t kDim = 8;
using Vector = std::array<float, kDim>;

// The vector of an id in its `version`-th life: the first two elements say whose it is.
Vector VectorOf(ExternalId id, uint64_t version) {
  std::mt19937_64 random(id * 1000003 + version);
  Vector vector;
  for (float& x : vector) x = static_cast<float>(random() % 1024);
  vector[0] = static_cast<float>(id);
  vector[1] = static_cast<float>(version);
  return vector;
}

void ExpectGood(const Status& status) { ASSERT_TRUE(status) << status.error().message; }

// What a loaded index holds: id to version. Each vector must be that of a version of its id.
std::map<ExternalId, uint64_t> ContentsOf(const Index& index) {
  std::map<ExternalId, uint64_t> contents;
  const auto ids = index.Ids();
  EXPECT_TRUE(ids);
  for (const ExternalId id : *ids) {
    Vector vector = {};
    EXPECT_TRUE(index.Get(id, vector));
    const auto version = static_cast<uint64_t>(vector[1]);
    EXPECT_EQ(vector, VectorOf(id, version)) << "id " << id;
    EXPECT_TRUE(contents.emplace(id, version).second) << "id " << id << " twice";
  }
  return contents;
}

// With L as large as the index, every point that can be reached is found.
void ExpectWholeAndFound(const Index& index, const std::map<ExternalId, uint64_t>& contents) {
  const Status checked = index.CheckStructure();
  ASSERT_TRUE(checked) << checked.error().message;
  ASSERT_EQ(index.size(), contents.size());
  for (const auto& [id, version] : contents) {
    const auto hits =
        index.Search(VectorOf(id, version), {.k = 1, .search_list_size = contents.size()});
    ASSERT_TRUE(hits);
    ASSERT_EQ(hits->size(), 1u);
    ASSERT_EQ(hits->front().id, id);
    ASSERT_EQ(hits->front().distance, 0);
  }
}

class SnapshotRaceTest : public ::testing::TestWithParam<const char*> {
 protected:
  Index Make(ExternalId points) {
    Index index = *Index::Create({.dim = kDim, .max_degree = 12, .build_list_size = 30});
    for (ExternalId id = 1; id <= points; ++id) EXPECT_TRUE(index.Insert(id, VectorOf(id, 0)));
    return index;
  }

  TempFolder folder_;
  const std::filesystem::path path_ = folder_ / "x";
};

// Save has taken its members and stands somewhere on its way. Then half of them are deleted, and
// everything that can be is repaired, reused, compacted and replaced.
TEST_P(SnapshotRaceTest, WhatChangesBehindTheInstantIsNotInTheSnapshot) {
  Index index = Make(300);
  const auto before = ContentsOf(index);
  Sequencer sequencer;
  sequencer.Start("save", [&] { ExpectGood(index.Save(path_)); });
  ASSERT_TRUE(sequencer.RunTo("save", GetParam()));
  for (ExternalId id = 1; id <= 150; ++id) ExpectGood(index.Delete(id));
  for (ExternalId id = 151; id <= 220; ++id) ExpectGood(index.Upsert(id, VectorOf(id, 1)));
  ASSERT_TRUE(index.Compact());
  for (ExternalId id = 1; id <= 50; ++id) ExpectGood(index.Insert(id, VectorOf(id, 2)));
  for (ExternalId id = 1001; id <= 1200; ++id) ExpectGood(index.Insert(id, VectorOf(id, 0)));
  ASSERT_TRUE(index.Consolidate());
  ASSERT_TRUE(sequencer.RunToEnd("save"));
  const auto loaded = Index::Load(path_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(ContentsOf(*loaded), before);
  ExpectWholeAndFound(*loaded, before);
  ExpectGood(index.CheckStructure());
}

INSTANTIATE_TEST_SUITE_P(Between, SnapshotRaceTest,
                         ::testing::Values("save.after_points", "save.before_lists"),
                         [](const auto& suite) { return std::string(suite.param).substr(5); });

// All points are deleted: the snapshot has points and not one list. A stop is heard while Load
// links them.
TEST_F(SnapshotRaceTest, AllListsMayBeGoneWhenTheirTurnComes) {
  Index index = Make(300);
  const auto before = ContentsOf(index);
  Sequencer sequencer;
  sequencer.Start("save", [&] { ExpectGood(index.Save(path_)); });
  ASSERT_TRUE(sequencer.RunTo("save", "save.before_lists"));
  ASSERT_TRUE(index.Clear());
  ASSERT_TRUE(sequencer.RunToEnd("save"));
  EXPECT_EQ(InspectSnapshot(path_)->edges, 0u);
  std::stop_source source;
  const auto when_read = [&](size_t done, size_t total) {
    if (done == total) source.request_stop();
  };
  const auto stopped =
      Index::Load(path_, {.batch = {.progress = when_read, .stop = source.get_token()}});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  const auto loaded = Index::Load(path_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(ContentsOf(*loaded), before);
  ExpectWholeAndFound(*loaded, before);
  // Read in place, each is found at its anchor.
  const auto view = IndexView::Open(path_);
  ASSERT_TRUE(view) << view.error().message;
  for (const auto& [id, version] : before) {
    const auto hits = view->Search(VectorOf(id, version), {.k = 300});
    EXPECT_EQ(hits->size(), 300u);
    EXPECT_EQ(hits->front().id, id);
  }
}

// Both slots of the id are live; the map names one of them.
TEST_F(SnapshotRaceTest, AnUpsertUnderWayIsOnePoint) {
  for (const char* point : {"upsert.published", "upsert.linked"}) {
    Index index = Make(50);
    Sequencer sequencer;
    sequencer.Start("upsert", [&] { ExpectGood(index.Upsert(7, VectorOf(7, 1))); });
    ASSERT_TRUE(sequencer.RunTo("upsert", point));
    ExpectGood(index.Save(path_));
    ExpectGood(SaveDiskann(index, folder_ / "d", {.dynamic = true}));
    ASSERT_TRUE(sequencer.RunToEnd("upsert"));
    const auto loaded = Index::Load(path_);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(ContentsOf(*loaded).size(), 50u);
    ExpectGood(loaded->CheckStructure());
    const auto exported = LoadDiskann(folder_ / "d", {.index = {.max_degree = 0}, .tags = true});
    ASSERT_TRUE(exported) << exported.error().message;
    EXPECT_EQ(ContentsOf(*exported).size(), 50u);
    ExpectGood(exported->CheckStructure());
  }
}

// --- The stress. Each writer has ids of its own and keeps, at every instant:
//   pair       b is there only while a is: a is inserted first and deleted last
//   versions   x is upserted before y: version(x) is version(y) or one more
//   token      one or two of its tokens are there, and then they follow each other: the next is
//              inserted before the last is deleted
//   still      points that no writer touches are there
// A snapshot that takes its members one after the other breaks one of them soon: between two looks
// a writer moves its token past both.

constexpr ExternalId kStill = 200;
constexpr ExternalId kPairs = 10;
constexpr ExternalId kTokens = 1000;

struct Writer {
  ExternalId base;  // Its ids: a of pair i is base + 2 i, b the next; x, y; then tokens in a ring.
  ExternalId x() const { return base + 2 * kPairs; }
  ExternalId y() const { return x() + 1; }
  ExternalId token(uint64_t n) const { return y() + 1 + n % kTokens; }

  void Run(Index& index, const std::atomic<bool>& stop) const {
    ExpectGood(index.Insert(token(0), VectorOf(token(0), 0)));
    for (uint64_t round = 1; !stop.load(std::memory_order_relaxed); ++round) {
      ExpectGood(index.Insert(token(round), VectorOf(token(round), round / kTokens)));
      ExpectGood(index.Delete(token(round - 1)));
      ExpectGood(index.Upsert(x(), VectorOf(x(), round)));
      ExpectGood(index.Upsert(y(), VectorOf(y(), round)));
      const ExternalId a = base + 2 * (round / 2 % kPairs), b = a + 1;
      if (index.Contains(a)) {
        ExpectGood(index.Delete(b));
        ExpectGood(index.Delete(a));
      } else {
        ExpectGood(index.Insert(a, VectorOf(a, round)));
        ExpectGood(index.Insert(b, VectorOf(b, round)));
      }
    }
  }

  void Check(const std::map<ExternalId, uint64_t>& contents) const {
    for (ExternalId i = 0; i < kPairs; ++i)
      ASSERT_TRUE(!contents.contains(base + 2 * i + 1) || contents.contains(base + 2 * i))
          << "b without a: pair " << i;
    const auto version_of = [&](ExternalId id) {
      const auto found = contents.find(id);
      return found == contents.end() ? 0 : found->second;
    };
    ASSERT_GE(version_of(x()), version_of(y()));
    ASSERT_LE(version_of(x()), version_of(y()) + 1);
    std::vector<ExternalId> tokens;
    for (uint64_t n = 0; n < kTokens; ++n)
      if (contents.contains(token(n))) tokens.push_back(n);
    ASSERT_LE(tokens.size(), 2u);
    ASSERT_GE(tokens.size(), contents.contains(y()) ? 1u : 0u);
    if (tokens.size() == 2) {
      ASSERT_TRUE(tokens[1] - tokens[0] == 1 || (tokens[0] == 0 && tokens[1] == kTokens - 1))
          << tokens[0] << " and " << tokens[1];
    }
  }
};

void SaveUnderWriters(const IndexOptions& options, int snapshots) {
  TempFolder folder;
  Index index = *Index::Create(options);
  for (ExternalId id = 1; id <= kStill; ++id) ExpectGood(index.Insert(id, VectorOf(id, 0)));
  std::vector<Writer> writers;
  for (ExternalId i = 1; i <= 4; ++i) writers.push_back({.base = 10000 * i});
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (const Writer& writer : writers) threads.emplace_back([&] { writer.Run(index, stop); });
  threads.emplace_back([&] {  // Moves points, repairs, gives memory back.
    while (!stop.load(std::memory_order_relaxed)) {
      EXPECT_TRUE(index.Compact({.threads = 1}));
      ExpectGood(index.Consolidate({.threads = 1}));
    }
  });
  for (int i = 0; i < snapshots && !::testing::Test::HasFailure(); ++i) {
    ExpectGood(index.Save(folder / "x"));
    const auto loaded = Index::Load(folder / "x", {.batch = {.threads = 2}});
    EXPECT_TRUE(loaded) << loaded.error().message;
    if (!loaded) break;
    const auto contents = ContentsOf(*loaded);
    for (ExternalId id = 1; id <= kStill; ++id) EXPECT_TRUE(contents.contains(id)) << id;
    for (const Writer& writer : writers) writer.Check(contents);
    ExpectWholeAndFound(*loaded, contents);
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  ExpectGood(index.Consolidate());
  ExpectGood(index.CheckStructure());
}

// hnswlib #590: an index saved while others add is torn.
TEST(SnapshotStress, ASnapshotUnderFourWritersIsOfOneInstant) {
  SaveUnderWriters({.dim = kDim, .max_degree = 12, .build_list_size = 30}, 25);
}

TEST(SnapshotStress, LikewiseWithRepairsInTheBackground) {
  SaveUnderWriters({.dim = kDim,
                    .max_degree = 8,
                    .build_list_size = 20,
                    .runtime = {.repair = RepairPolicy::kBackground, .repair_threads = 2}},
                   25);
}

TEST(SnapshotStress, LikewiseWithRepairsPutOff) {
  SaveUnderWriters({.dim = kDim,
                    .max_degree = 12,
                    .build_list_size = 30,
                    .runtime = {.repair = RepairPolicy::kManual}},
                   25);
}

}  // namespace
}  // namespace shoal::testing
