// What a repair asks a hundred times: where a replacement candidate stands, and which is the
// nearest.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "graph/position_of_least.h"
#include "graph/position_table.h"

namespace shoal {
namespace {

// n slots, each once, of the first `slots`.
std::vector<SlotId> SomeSlots(size_t n, SlotId slots, std::mt19937_64& random) {
  std::vector<SlotId> all(slots);
  for (SlotId slot = 0; slot < slots; ++slot) all[slot] = slot;
  std::shuffle(all.begin(), all.end(), random);
  all.resize(n);
  return all;
}

TEST(PositionTable, FindsEachCandidateAndNoOtherSlot) {
  std::mt19937_64 random(1);
  PositionTable table;
  EXPECT_EQ(table.Find(0), 0u) << "none of none";
  for (const size_t n : {0u, 1u, 2u, 7u, 60u, 128u, 2048u}) {  // One table, larger and smaller.
    const std::vector<SlotId> candidates = SomeSlots(n, 5000, random);
    table.Assign(candidates);
    ASSERT_EQ(table.size(), n);
    for (SlotId slot = 0; slot < 5000; ++slot) {
      const auto expected =
          std::find(candidates.begin(), candidates.end(), slot) - candidates.begin();
      ASSERT_EQ(table.Find(slot), expected) << "slot " << slot << " of " << n;
    }
  }
}

TEST(PositionTable, SortsARowIntoCandidatesAndOthersInItsOrder) {
  std::mt19937_64 random(2);
  PositionTable table;
  for (int round = 0; round < 1000; ++round) {
    const std::vector<SlotId> candidates = SomeSlots(random() % 130, 300, random);
    table.Assign(candidates);
    std::vector<SlotId> row = SomeSlots(random() % 65, 300, random);
    if (row.size() > 1 && round % 10 == 0) row[0] = row.back();  // As a torn copy may be.
    std::vector<uint16_t> positions(row.size());
    std::vector<SlotId> others(row.size()), expected_candidates, expected_others;
    const PositionTable::Parts parts = table.Split(row, positions.data(), others.data());
    for (const SlotId slot : row)
      (std::count(candidates.begin(), candidates.end(), slot) > 0 ? expected_candidates
                                                                  : expected_others)
          .push_back(slot);
    ASSERT_EQ(parts.candidates, expected_candidates.size());
    ASSERT_EQ(parts.others, expected_others.size());
    for (size_t i = 0; i < parts.candidates; ++i)
      ASSERT_EQ(candidates[positions[i]], expected_candidates[i]);
    for (size_t i = 0; i < parts.others; ++i) ASSERT_EQ(others[i], expected_others[i]);
  }
}

TEST(PositionOfLeast, IsThatOfTheFirstMinimum) {
  constexpr float kMax = std::numeric_limits<float>::max();
  std::mt19937_64 random(3);
  for (size_t n = 0; n < 150; ++n) {
    for (int round = 0; round < 60; ++round) {
      // Few values, so that the least is there several times; negative ones, too, and none but
      // most.
      std::vector<float> values(n);
      const uint64_t range = 1 + random() % 40;
      for (float& value : values)
        value = round == 0 ? kMax : static_cast<float>(random() % range) - 5;
      const auto expected = std::min_element(values.begin(), values.end()) - values.begin();
      ASSERT_EQ(PositionOfLeast(values.data(), n), expected) << "of " << n;
    }
  }
}

}  // namespace
}  // namespace shoal
