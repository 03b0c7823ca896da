// Sets of ids, beside std::set.
#include "filter/id_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace shoal {
namespace {

std::vector<ExternalId> MultiplesOf(uint64_t divisor, uint64_t below) {
  std::vector<ExternalId> ids;
  for (uint64_t id = 0; id < below; id += divisor) ids.push_back(id);
  return ids;
}

TEST(IdSets, ContainWhatTheyWereMadeOf) {
  std::mt19937_64 random(1);
  const std::vector<std::vector<ExternalId>> cases = {{},
                                                      {0},
                                                      {UINT64_MAX},
                                                      {0, UINT64_MAX},
                                                      {5, 5, 6, 5},
                                                      {UINT64_MAX, UINT64_MAX - 3, UINT64_MAX - 70},
                                                      MultiplesOf(3, 10000),
                                                      MultiplesOf(1000003, 1000003 * 5000ull)};
  for (const auto& ids : cases) {
    const IdSet set(ids);
    const std::set<ExternalId> expected(ids.begin(), ids.end());
    EXPECT_EQ(set.size(), expected.size());
    std::set<ExternalId> visited;
    set.ForEach([&](ExternalId id) { EXPECT_TRUE(visited.insert(id).second); });
    EXPECT_EQ(visited, expected);
    for (const ExternalId id : ids)
      for (const ExternalId probe : {id, id + 1, id - 1, random()})
        EXPECT_EQ(set.Contains(probe), expected.count(probe) == 1) << probe;
    for (const ExternalId probe : {uint64_t{0}, UINT64_MAX, uint64_t{64}})
      EXPECT_EQ(set.Contains(probe), expected.count(probe) == 1) << probe;
  }
}

}  // namespace
}  // namespace shoal
