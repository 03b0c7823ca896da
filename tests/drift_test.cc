// Where searches start follows data that drift, also when exactly those points go that serve as
// starts: the entry points (src/graph/entry_points.h) and the neighbours of the start point, which
// itself stays where the first data were. Judged beside a fresh index of the same live points.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "persist/snapshot_seeds.h"
#include "shoal/index.h"
#include "store/tag.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr uint32_t kDim = 16;
constexpr size_t kLive = 3000;
constexpr size_t kRounds = 16;
constexpr size_t kMax = 900;    // Deletes of a round.
constexpr double kDrift = 1.5;  // Of every coordinate in a round, in units of the data's spread.

// The points that searches of an index start from besides its start point.
struct Starts {
  std::vector<ExternalId> roots, leaves, near_start;
};

// As a snapshot names them (docs/file_formats.md).
Starts StartsOf(const Index& index, const std::filesystem::path& path) {
  EXPECT_TRUE(index.Save(path));
  const auto reader = SnapshotReader::Open(path);
  EXPECT_TRUE(reader);
  const SnapshotHeader& header = reader->header();
  std::vector<std::byte> block;
  std::vector<ExternalId> ids;
  for (size_t b = 0; b < header.BlocksOf(SnapshotSection::kIds); ++b) {
    EXPECT_TRUE(reader->ReadBlock(SnapshotSection::kIds, b, block));
    const size_t n = header.FirstEntry(b + 1) - header.FirstEntry(b);
    for (size_t i = 0; i < n; ++i) ids.push_back(NumberAt<uint64_t>(block, i * sizeof(uint64_t)));
  }
  const auto seeds = ReadSeeds(*reader);
  EXPECT_TRUE(seeds);
  Starts starts;
  for (const SeedSet& set : seeds->sets)
    for (const uint32_t point : set.points)
      (&set == &seeds->sets.front() ? starts.roots : starts.leaves).push_back(ids.at(point));
  // The start point's list is the last.
  const size_t last = header.BlocksOf(SnapshotSection::kLists) - 1;
  EXPECT_TRUE(reader->ReadBlock(SnapshotSection::kLists, last, block));
  const size_t record = header.RecordBytes(SnapshotSection::kLists);
  size_t at = (header.points - header.FirstEntry(last)) * record;
  for (size_t i = 0; i < header.options.max_degree; ++i, at += sizeof(uint32_t))
    if (const auto point = NumberAt<uint32_t>(block, at); point != kNoSlot)
      starts.near_start.push_back(ids.at(point));
  return starts;
}

struct Case {
  std::string_view name;
  size_t clusters;  // 0: one cloud.
  RepairPolicy repair;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Drifting {
 public:
  explicit Drifting(const Case& c)
      : case_(c),
        generator_(ScalarType::kFloat32, {.dim = kDim, .clusters = c.clusters, .spread = 0.3}, 7) {
    index_ = Create();
    for (size_t i = 0; i < kLive; ++i) Insert(*index_);
  }

  // Deletes where searches start, and as many points come where the data have drifted to.
  void Round() {
    const Starts starts = StartsOf(*index_, folder_ / "x");
    ASSERT_FALSE(starts.roots.empty());
    std::vector<ExternalId> victims = starts.roots;
    for (const auto* more : {&starts.near_start, &starts.leaves})
      victims.insert(victims.end(), more->begin(), more->end());
    std::set<ExternalId> gone;
    for (const ExternalId id : victims)
      if (gone.size() < kMax && gone.insert(id).second) Delete(id);
    deleted_starts_ += gone.size();
    // Some of the oldest go along, so that what is left drifts, too.
    for (size_t i = 0; i < 200; ++i) Delete(live_.begin()->first);
    ExpectFound(37);
    offset_ += kDrift;
    while (live_.size() < kLive) Insert(*index_);
    if (case_.repair != RepairPolicy::kImmediate) {
      ASSERT_TRUE(index_->Consolidate({.threads = 1}));
    }
  }

  // By their own vectors, those whose id is a multiple of `step`, but for one in a thousand.
  void ExpectFound(size_t step) {
    size_t sought = 0, lost = 0;
    for (auto at = live_.begin(); at != live_.end(); ++at) {
      if (at->first % step != 0) continue;
      const auto hits = index_->Search(VectorView(at->second.data(), ScalarType::kFloat32, kDim),
                                       {.k = 1, .search_list_size = 64});
      ASSERT_TRUE(hits);
      ++sought;
      lost += hits->empty() || hits->front().id != at->first ? 1 : 0;
    }
    EXPECT_LE(lost, sought / 1000) << "of " << sought;
  }

  void Judge() {
    ASSERT_TRUE(index_->Consolidate());
    const Status whole = index_->CheckStructure();
    ASSERT_TRUE(whole) << whole.error().message;
    ExpectFound(1);
    const Index fresh = Fresh();
    const Starts starts = StartsOf(*index_, folder_ / "x"),
                 of_fresh = StartsOf(fresh, folder_ / "x");
    std::printf("%zu starts deleted; roots %zu, leaves %zu; fresh %zu, %zu\n", deleted_starts_,
                starts.roots.size(), starts.leaves.size(), of_fresh.roots.size(),
                of_fresh.leaves.size());
    const Rows queries = Queries();
    for (const size_t list_size : {20, 40, 80}) {
      const auto [recall, work] = Measure(*index_, queries, list_size);
      const auto [recall_of_fresh, work_of_fresh] = Measure(fresh, queries, list_size);
      std::printf("L=%zu: recall@10 %.4f, fresh %.4f; distances %.0f, fresh %.0f\n", list_size,
                  recall, recall_of_fresh, work, work_of_fresh);
      EXPECT_GE(recall, recall_of_fresh - 0.005) << "L=" << list_size;
      EXPECT_LE(work, 1.15 * work_of_fresh) << "L=" << list_size;
    }
  }

 private:
  Index Make() const {
    return *Index::Create({.dim = kDim,
                           .max_degree = 16,
                           .build_list_size = 40,
                           .runtime = {.repair = case_.repair}});
  }
  std::unique_ptr<Index> Create() const { return std::make_unique<Index>(Make()); }

  std::vector<float> Next() {
    std::vector<float> row;
    for (const double x : generator_.Row()) row.push_back(static_cast<float>(x + offset_));
    return row;
  }
  void Insert(Index& index) {
    const std::vector<float> row = Next();
    ASSERT_TRUE(index.Insert(next_, VectorView(row.data(), ScalarType::kFloat32, kDim)));
    live_.emplace(next_++, row);
  }
  void Delete(ExternalId id) {
    ASSERT_TRUE(index_->Delete(id));
    ASSERT_EQ(live_.erase(id), 1u);
  }
  Index Fresh() const {
    Index fresh = Make();
    for (const auto& [id, row] : live_)
      EXPECT_TRUE(fresh.Insert(id, VectorView(row.data(), ScalarType::kFloat32, kDim)));
    return fresh;
  }
  // From where the live points are.
  Rows Queries() {
    Rows queries(ScalarType::kFloat32, kDim);
    size_t i = 0;
    for (const auto& [id, row] : live_) {
      if (++i % 10 != 0) continue;
      const std::vector<float> other = Next();
      std::vector<double> query;
      for (size_t j = 0; j < kDim; ++j)
        query.push_back(row[j] + 0.2 * (other[j] - static_cast<float>(offset_)));
      queries.Add(query);
    }
    return queries;
  }

  struct Measured {
    double recall = 0, distances = 0;
  };
  Measured Measure(const Index& index, const Rows& queries, size_t list_size) const {
    Rows rows(ScalarType::kFloat32, kDim);
    std::map<ExternalId, size_t> row_of;
    for (const auto& [id, row] : live_) {
      row_of.emplace(id, rows.size());
      rows.Add(std::vector<double>(row.begin(), row.end()));
    }
    Measured sum;
    for (size_t q = 0; q < queries.size(); ++q) {
      std::vector<ExternalId> ids(10);
      WorkCounters work;
      ids.resize(
          *index.Search(queries[q], {.k = 10, .search_list_size = list_size}, ids, {}, &work));
      for (ExternalId& id : ids) id = row_of.at(id);
      sum.recall += test::RecallAt(10, test::BruteForce(Metric::kL2, rows, queries.values(q)), ids);
      sum.distances += static_cast<double>(work.distances);
    }
    const auto n = static_cast<double>(queries.size());
    return {sum.recall / n, sum.distances / n};
  }

  const Case case_;
  const TempFolder folder_;
  test::Generator generator_;
  double offset_ = 0;
  ExternalId next_ = 0;
  std::unique_ptr<Index> index_;
  std::map<ExternalId, std::vector<float>> live_;  // Oldest first.
  size_t deleted_starts_ = 0;
};

class Drift : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(All, Drift,
                         ::testing::Values(Case{"Cloud", 0, RepairPolicy::kImmediate},
                                           Case{"CloudManual", 0, RepairPolicy::kManual},
                                           Case{"Clusters", 60, RepairPolicy::kImmediate},
                                           Case{"ClustersManual", 60, RepairPolicy::kManual},
                                           Case{"ClustersBackground", 60,
                                                RepairPolicy::kBackground}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(Drift, LosesNothingThoughThosePointsGoThatSearchesStartFrom) {
  Drifting drifting(GetParam());
  for (size_t round = 0; round < kRounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(drifting.Round());
  }
  drifting.Judge();
}

}  // namespace
}  // namespace shoal
