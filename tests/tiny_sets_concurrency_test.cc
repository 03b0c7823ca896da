// Few live points among many that were deleted: whatever the policy, R, L and k, a search returns
// min(k, live points), and what waits for its repair stays in proportion to what is live.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "shoal/exact.h"
#include "shoal/index.h"
#include "tests/print_types.h"

namespace shoal {
namespace {

constexpr uint32_t kDim = 16;
using Vector = std::vector<float>;

// Far from those of other ids, near the earlier ones of the same id.
Vector VectorOf(ExternalId id, std::mt19937_64& random) {
  std::normal_distribution<float> noise;
  Vector vector(kDim);
  for (float& element : vector) element = static_cast<float>(id) * 1000 + noise(random);
  return vector;
}

struct Shape {
  RepairPolicy policy;
  uint32_t max_degree;
};

class TinySet : public ::testing::TestWithParam<Shape> {
 protected:
  Index Make() const {
    return std::move(*Index::Create({.dim = kDim,
                                     .max_degree = GetParam().max_degree,
                                     .runtime = {.repair = GetParam().policy}}));
  }
};

std::string NameOf(const ::testing::TestParamInfo<Shape>& info) {
  const RepairPolicy policy = info.param.policy;
  return (policy == RepairPolicy::kImmediate    ? "immediate"
          : policy == RepairPolicy::kBackground ? "background"
                                                : "manual") +
         std::string("R") + std::to_string(info.param.max_degree);
}
INSTANTIATE_TEST_SUITE_P(
    Every, TinySet,
    ::testing::Values(Shape{RepairPolicy::kImmediate, 4}, Shape{RepairPolicy::kImmediate, 32},
                      Shape{RepairPolicy::kBackground, 4}, Shape{RepairPolicy::kBackground, 32},
                      Shape{RepairPolicy::kManual, 4}, Shape{RepairPolicy::kManual, 16},
                      Shape{RepairPolicy::kManual, 32}),
    NameOf);

// The model's points, nearest to the query first.
std::vector<ExternalId> Nearest(const std::map<ExternalId, Vector>& model, const Vector& query) {
  std::vector<std::pair<double, ExternalId>> order;
  for (const auto& [id, vector] : model) {
    double distance = 0;
    for (size_t i = 0; i < kDim; ++i)
      distance += (double{vector[i]} - query[i]) * (double{vector[i]} - query[i]);
    order.emplace_back(distance, id);
  }
  std::sort(order.begin(), order.end());
  std::vector<ExternalId> ids;
  for (const auto& entry : order) ids.push_back(entry.second);
  return ids;
}

void ExpectTheNearestOf(Index& index, const std::map<ExternalId, Vector>& model,
                        const Vector& query) {
  const std::vector<ExternalId> nearest = Nearest(model, query);
  for (const size_t k : {1, 10, 100}) {
    for (const size_t list_size : {1, 10, 64, 1000}) {
      const auto hits = index.Search(query, {.k = k, .search_list_size = list_size});
      ASSERT_TRUE(hits);
      ASSERT_EQ(hits->size(), std::min(k, model.size())) << "k " << k << ", L " << list_size;
      if (std::max(k, list_size) < model.size()) continue;  // Approximate.
      for (size_t i = 0; i < hits->size(); ++i) EXPECT_EQ((*hits)[i].id, nearest[i]);
    }
  }
  // A range search walks over edges alone, which repairs in the background reroute meanwhile.
  if (index.options().runtime.repair == RepairPolicy::kBackground) {
    ASSERT_TRUE(index.Consolidate());
  }
  const auto all = index.RangeSearch(query, {.radius = 1e30f});
  EXPECT_EQ(all->size(), model.size());
}

TEST_P(TinySet, OfPointsThatAreReplacedAllTheTimeIsFoundWhole) {
  std::mt19937_64 random(11);
  Index index = Make();
  std::map<ExternalId, Vector> model;
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 1024; ++i) {
      const ExternalId id = random() % 64;
      if (i % 16 == 15) {
        EXPECT_EQ(index.Delete(id).has_value(), model.erase(id) == 1);
      } else {
        const Vector vector = VectorOf(id, random);
        ASSERT_TRUE(index.Upsert(id, vector));
        model[id] = vector;
      }
    }
    ExpectTheNearestOf(index, model, VectorOf(random() % 64, random));
  }
}

TEST_P(TinySet, LeftOfManyPointsIsFoundWhole) {
  std::mt19937_64 random(12);
  Index index = Make();
  std::map<ExternalId, Vector> model;
  for (ExternalId id = 0; id < 4000; ++id) {
    const Vector vector = VectorOf(id % 50, random);
    ASSERT_TRUE(index.Insert(id, vector));
    model[id] = vector;
  }
  while (model.size() > 1) {
    // What is left is where the deleted ones are fewest, and where they are most.
    const size_t leave = model.size() / 6;
    std::vector<ExternalId> ids;
    for (const auto& entry : model) ids.push_back(entry.first);
    std::shuffle(ids.begin(), ids.end(), random);
    ids.resize(ids.size() - leave);
    EXPECT_EQ(index.DeleteMany(ids, {.threads = 1})->done, ids.size());
    for (const ExternalId id : ids) model.erase(id);
    ExpectTheNearestOf(index, model, VectorOf(random() % 50, random));
  }
}

TEST(TinySets, AreFoundWholeWhileThreadsReplaceTheirPoints) {
  constexpr ExternalId kIds = 32;
  constexpr int kThreads = 16;
  Index index = std::move(*Index::Create(
      {.dim = kDim, .runtime = {.repair = RepairPolicy::kBackground, .repair_threads = 1}}));
  std::mt19937_64 first(1);
  for (ExternalId id = 0; id < kIds; ++id) ASSERT_TRUE(index.Upsert(id, VectorOf(id, first)));
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t)
    writers.emplace_back([&, t] {
      std::mt19937_64 random(100 + t);
      while (!stop.load()) {
        const ExternalId id = random() % kIds;
        EXPECT_TRUE(index.Upsert(id, VectorOf(id, random)));
      }
    });
  std::mt19937_64 random(2);
  uint64_t pending = 0;
  for (int i = 0; i < 300; ++i) {
    const ExternalId id = random() % kIds;
    const auto hits = index.Search(VectorOf(id, random), {.k = 10});
    EXPECT_EQ(hits->size(), 10u);
    EXPECT_EQ(hits->front().id, id);
    pending = std::max(pending, index.Stats().pending_repairs);
  }
  stop.store(true);
  for (std::thread& writer : writers) writer.join();
  // 64 and a quarter of the live points, of which an id under way has two, and one repair a thread.
  EXPECT_LE(pending, 64u + (kIds + kThreads) / 4 + 2 * kThreads);
  ASSERT_TRUE(index.Consolidate());  // CheckStructure is for an index at rest.
  const Status structure = index.CheckStructure();
  EXPECT_TRUE(structure) << structure.error().message;
}

}  // namespace
}  // namespace shoal
