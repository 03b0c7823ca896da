// What a repair asks a hundred times: where an heir stands, and which is the nearest.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "graph/heir_table.h"
#include "graph/position_of_least.h"

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

TEST(HeirTable, FindsEachHeirAndNobodyElse) {
  std::mt19937_64 random(1);
  HeirTable table;
  EXPECT_EQ(table.Find(0), 0u) << "none of none";
  for (const size_t n : {0u, 1u, 2u, 7u, 60u, 128u, 2048u}) {  // One table, larger and smaller.
    const std::vector<SlotId> heirs = SomeSlots(n, 5000, random);
    table.Assign(heirs);
    ASSERT_EQ(table.size(), n);
    for (SlotId slot = 0; slot < 5000; ++slot) {
      const auto expected = std::find(heirs.begin(), heirs.end(), slot) - heirs.begin();
      ASSERT_EQ(table.Find(slot), expected) << "slot " << slot << " of " << n;
    }
  }
}

TEST(HeirTable, SortsARowIntoHeirsAndOthersInItsOrder) {
  std::mt19937_64 random(2);
  HeirTable table;
  for (int round = 0; round < 1000; ++round) {
    const std::vector<SlotId> heirs = SomeSlots(random() % 130, 300, random);
    table.Assign(heirs);
    std::vector<SlotId> row = SomeSlots(random() % 65, 300, random);
    if (row.size() > 1 && round % 10 == 0) row[0] = row.back();  // As a torn copy may be.
    std::vector<uint16_t> positions(row.size());
    std::vector<SlotId> others(row.size()), expected_heirs, expected_others;
    const HeirTable::Parts parts = table.Split(row, positions.data(), others.data());
    for (const SlotId slot : row)
      (std::count(heirs.begin(), heirs.end(), slot) > 0 ? expected_heirs : expected_others)
          .push_back(slot);
    ASSERT_EQ(parts.heirs, expected_heirs.size());
    ASSERT_EQ(parts.others, expected_others.size());
    for (size_t i = 0; i < parts.heirs; ++i) ASSERT_EQ(heirs[positions[i]], expected_heirs[i]);
    for (size_t i = 0; i < parts.others; ++i) ASSERT_EQ(others[i], expected_others[i]);
  }
}

TEST(PositionOfLeast, IsThatOfTheFirstMinimum) {
  constexpr float kMost = std::numeric_limits<float>::max();
  std::mt19937_64 random(3);
  for (size_t n = 0; n < 150; ++n) {
    for (int round = 0; round < 60; ++round) {
      // Few values, so that the least is there several times; negative ones, too, and none but
      // most.
      std::vector<float> values(n);
      const uint64_t range = 1 + random() % 40;
      for (float& value : values)
        value = round == 0 ? kMost : static_cast<float>(random() % range) - 5;
      const auto expected = std::min_element(values.begin(), values.end()) - values.begin();
      ASSERT_EQ(PositionOfLeast(values.data(), n), expected) << "of " << n;
    }
  }
}

}  // namespace
}  // namespace shoal
