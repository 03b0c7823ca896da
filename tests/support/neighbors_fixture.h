// Neighbour lists over a slot table, and what must hold of them at rest.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "store/neighbors.h"

namespace shoal {

// A start point, slot 0, and lists over a slot table.
class NeighborListsTest : public ::testing::Test {
 protected:
  using LinkResult = NeighborLists::LinkResult;
  using Ids = std::vector<SlotId>;
  static constexpr uint32_t kDegree = 4;

  void SetUp() override {
    ASSERT_TRUE(slots_.Init(6));
    ASSERT_TRUE(lists_.Init(10));
    OwnedSlot start = std::move(*slots_.Acquire());
    lists_.ResetStart(start.id());
    start_ = std::move(start).Freeze();
  }

  OwnedSlot Owned() {
    OwnedSlot slot = std::move(*slots_.Acquire());
    lists_.ResetRow(slot.id());
    return slot;
  }
  // A live point with an empty list, younger than all before.
  SlotId Live() { return Owned().Publish(); }
  // Likewise, hanging from the start.
  SlotId Guarded() {
    const SlotId slot = Live();
    EXPECT_EQ(lists_.Link(start_, slot), LinkResult::kLinked);
    return slot;
  }
  Ids Live(size_t n) {
    Ids ids;
    for (size_t i = 0; i < n; ++i) ids.push_back(Live());
    return ids;
  }

  Ids Row(SlotId u) {
    Ids row(kDegree);
    row.resize(lists_.Copy(u, row.data()));
    return row;
  }

  // Replaces u's row by `wanted`, pushing what is new to it, as prune does.
  NeighborLists::RowUpdate Replace(SlotId u, const Ids& wanted) {
    NeighborLists::RowUpdate update;
    update.version = lists_.Version(u);
    update.wanted = wanted;
    const Ids row = Row(u);
    for (const SlotId v : wanted) {
      if (std::find(row.begin(), row.end(), v) != row.end()) continue;
      EXPECT_EQ(lists_.AddBackLink(u, v), LinkResult::kLinked);
    }
    EXPECT_TRUE(lists_.UpdateRow(u, update));
    for (const SlotId v : update.dropped) lists_.RemoveBackLink(u, v);
    return update;
  }

  void TryRebirth(SlotId u) {
    Ids working;
    lists_.forest().MoveToEnd(u, working);
    lists_.forest().AdoptParents(u, working);
  }

  // What must hold at rest: reverse lists are the transpose, guards are counted, edges are.
  void ExpectConsistent() {
    std::vector<std::multiset<SlotId>> in(slots_.high_water());
    uint64_t edges = 0;
    for (SlotId u = 0; u < slots_.high_water(); ++u) {
      for (const SlotId v : Row(u)) in[v].insert(u), ++edges;
    }
    EXPECT_EQ(lists_.edges(), edges);
    for (SlotId v = 0; v < slots_.high_water(); ++v) {
      const Ids reverse = lists_.Reverse(v);
      EXPECT_EQ(std::multiset<SlotId>(reverse.begin(), reverse.end()), in[v]) << "slot " << v;
      const auto guards = std::count_if(in[v].begin(), in[v].end(),
                                        [&](SlotId u) { return lists_.forest().IsParent(u, v); });
      EXPECT_EQ(lists_.forest().ParentCount(v), static_cast<uint32_t>(guards)) << "slot " << v;
    }
  }

  MemoryBudget budget_{0};
  EpochRegistry epochs_;
  NeighborLists lists_{budget_, slots_, kDegree};
  SlotTable slots_{budget_, epochs_, {&lists_.rows(), &lists_.meta()}};
  SlotId start_ = kNoSlot;
  Ids in_;  // Working memory.
};

}  // namespace shoal
