// Clusters that are larger than a search list, while their points come and go: the edges from one
// cluster to another must not die out. Judged beside a fresh index of the same live points; one
// thread, so that figures repeat on one instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "shoal/index.h"
#include "tests/temp_folder.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

constexpr size_t kLive = 5000;
constexpr size_t kStep = 1000;
constexpr size_t kRounds = 20;  // Four turnovers.

enum class Order : uint8_t { kOldest, kRandom };

struct Case {
  std::string_view name;
  ScalarType type;
  RepairPolicy repair;
  Order order;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Churned {
 public:
  explicit Churned(const Case& c)
      : case_(c), generator_(c.type, {.dim = 16, .clusters = 64, .spread = 0.2}, 5) {
    rows_ = std::make_unique<Rows>(generator_.Many(kLive + kStep * kRounds));
    queries_ = std::make_unique<Rows>(generator_.Many(300));
    index_ = Create();
    for (size_t row = 0; row < kLive; ++row) Insert(row);
    for (size_t round = 0; round < kRounds; ++round) Round(round);
    FindTruth();
  }

  Index& index() { return *index_; }
  std::unique_ptr<Index> Fresh() const {
    auto fresh = Create();
    for (const ExternalId id : live_) EXPECT_TRUE(fresh->Insert(id, (*rows_)[id]));
    return fresh;
  }

  double RecallOf(const Index& index, size_t list_size) const {
    double sum = 0;
    for (size_t q = 0; q < queries_->size(); ++q) {
      ExternalId ids[10];
      const auto n =
          index.Search((*queries_)[q], {.k = 10, .search_list_size = list_size}, ids, {});
      EXPECT_TRUE(n);
      sum += test::RecallAt(10, truth_[q], std::span(ids, *n));
    }
    return sum / static_cast<double>(queries_->size());
  }

 private:
  std::unique_ptr<Index> Create() const {
    auto index = Index::Create({.dim = 16,
                                .scalar_type = case_.type,
                                .max_degree = 16,
                                .build_list_size = 20,
                                .runtime = {.repair = case_.repair}});
    EXPECT_TRUE(index);
    return std::make_unique<Index>(std::move(*index));
  }

  void Insert(ExternalId id) {
    ASSERT_TRUE(index_->Insert(id, (*rows_)[id]));
    live_.push_back(id);
  }

  void Round(size_t round) {
    for (size_t i = 0; i < kStep; ++i) {
      if (case_.order == Order::kRandom)
        std::swap(live_[i], live_[i + random_() % (live_.size() - i)]);
      ASSERT_TRUE(index_->Delete(live_[i]));
    }
    live_.erase(live_.begin(), live_.begin() + kStep);
    for (size_t i = 0; i < kStep; ++i) Insert(kLive + round * kStep + i);
    ASSERT_TRUE(index_->Consolidate({.threads = 1}));
  }

  void FindTruth() {
    const std::set<ExternalId> live(live_.begin(), live_.end());
    for (size_t q = 0; q < queries_->size(); ++q) {
      truth_.push_back(test::BruteForce(Metric::kL2, *rows_, queries_->values(q)));
      std::erase_if(truth_.back(),
                    [&](const test::Neighbor& found) { return !live.contains(found.row); });
    }
  }

  Case case_;
  test::Generator generator_;
  std::unique_ptr<Rows> rows_, queries_;
  std::unique_ptr<Index> index_;
  std::vector<ExternalId> live_;
  std::mt19937_64 random_{11};
  std::vector<std::vector<test::Neighbor>> truth_;  // Of each query, the live rows.
};

class ClustersChurn : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(
    All, ClustersChurn,
    ::testing::Values(
        Case{"OldestFirst", ScalarType::kFloat32, RepairPolicy::kImmediate, Order::kOldest},
        Case{"OldestFirstManual", ScalarType::kFloat32, RepairPolicy::kManual, Order::kOldest},
        Case{"Random", ScalarType::kFloat32, RepairPolicy::kImmediate, Order::kRandom},
        Case{"RandomUint8", ScalarType::kUint8, RepairPolicy::kImmediate, Order::kRandom}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_P(ClustersChurn, LosesNoRecallAgainstAFreshIndex) {
  Churned churned(GetParam());
  ASSERT_TRUE(churned.index().CheckStructure());
  const auto fresh = churned.Fresh();
  for (const size_t list_size : {20, 40, 80}) {
    const double recall = churned.RecallOf(churned.index(), list_size);
    const double recall_of_fresh = churned.RecallOf(*fresh, list_size);
    std::printf("L=%zu: recall@10 %.4f, fresh %.4f\n", list_size, recall, recall_of_fresh);
    EXPECT_GE(recall, recall_of_fresh - 0.003) << "L=" << list_size;
  }
}

// Far more clusters than there are roots of the entry points, each larger than the search's list.
TEST(ClustersOneAfterAnother, AreFoundAndStillAfterALoad) {
  constexpr size_t kClusters = 300, kEach = 60;
  test::Generator generator(ScalarType::kFloat32,
                            {.dim = 24, .clusters = kClusters, .spread = 0.15}, 3);
  Rows rows(ScalarType::kFloat32, 24), queries(ScalarType::kFloat32, 24);
  for (size_t i = 0; i < kClusters * kEach; ++i) rows.Add(generator.Row(i / kEach));
  for (size_t i = 0; i < kClusters; ++i) queries.Add(generator.Row(i));
  Result<Index> index = Index::Create({.dim = 24, .max_degree = 16, .build_list_size = 40});
  ASSERT_TRUE(index);
  for (size_t i = 0; i < rows.size(); ++i) ASSERT_TRUE(index->Insert(i, rows[i]));

  const auto recall_of = [&](const Index& searched) {
    double sum = 0;
    for (size_t q = 0; q < queries.size(); ++q) {
      std::vector<ExternalId> ids(10);
      ids.resize(*searched.Search(queries[q], {.k = 10, .search_list_size = 40}, ids, {}));
      // The ten nearest are all of the query's own cluster.
      for (const ExternalId id : ids) sum += id / kEach == q ? 0.1 : 0;
    }
    return sum / kClusters;
  };
  const double recall = recall_of(*index);
  std::printf("share of hits in the right cluster: %.4f\n", recall);
  EXPECT_GE(recall, 0.98);

  const TempFolder folder;
  ASSERT_TRUE(index->Save(folder / "x.shoal"));
  const Result<Index> loaded = Index::Load(folder / "x.shoal");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_NEAR(recall_of(*loaded), recall, 0.01);
}

}  // namespace
}  // namespace shoal
