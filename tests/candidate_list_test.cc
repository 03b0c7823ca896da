#include "graph/candidate_list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/test_data.h"

namespace shoal {
namespace {

std::vector<SlotId> Slots(const CandidateList& list) {
  std::vector<SlotId> slots;
  for (size_t i = 0; i < list.size(); ++i) slots.push_back(list[i].slot);
  return slots;
}

using Ids = std::vector<SlotId>;

TEST(CandidateList, IsSortedByDistanceWhateverTheOrderOfArrival) {
  CandidateList list;
  list.Reset(4);
  for (const auto& [distance, slot] : {std::pair{3.0f, 3u}, {1.0f, 1u}, {4.0f, 4u}, {2.0f, 2u}})
    list.Insert(distance, slot, true);
  EXPECT_EQ(Slots(list), (Ids{1, 2, 3, 4}));
  EXPECT_EQ(list[2].distance, 3.0f);
}

TEST(CandidateList, KeepsTheNearestLAndAmongEqualsTheEarliest) {
  CandidateList list;
  list.Reset(3);
  for (SlotId slot = 10; slot > 0; --slot) list.Insert(static_cast<float>(slot), slot, true);
  EXPECT_EQ(Slots(list), (Ids{1, 2, 3}));
  list.Insert(3.0f, 99, true);
  EXPECT_EQ(Slots(list), (Ids{1, 2, 3})) << "as far as the last is not nearer";
  list.Insert(2.0f, 98, true);
  EXPECT_EQ(Slots(list), (Ids{1, 2, 98}));
}

TEST(CandidateList, WorksWithOnePlace) {
  CandidateList list;
  list.Reset(1);
  EXPECT_FALSE(list.HasUnexpanded());
  list.Insert(5.0f, 5, true);
  EXPECT_EQ(list.PopUnexpanded().slot, 5u);
  list.Insert(7.0f, 7, true);
  EXPECT_FALSE(list.HasUnexpanded());
  list.Insert(1.0f, 1, true);
  EXPECT_EQ(list.PeekUnexpanded(), 1u);
  EXPECT_EQ(Slots(list), (Ids{1}));
}

TEST(CandidateList, PopsTheNearestUnexpandedAlsoWhenItCameBeforeExpandedOnes) {
  CandidateList list;
  list.Reset(8);
  list.Insert(5.0f, 5, true);
  list.Insert(9.0f, 9, true);
  EXPECT_EQ(list.PopUnexpanded().slot, 5u);
  list.Insert(2.0f, 2, true);
  EXPECT_EQ(list.PeekUnexpanded(), 2u);
  EXPECT_EQ(list.PopUnexpanded().slot, 2u);
  EXPECT_EQ(list.PopUnexpanded().slot, 9u);
  EXPECT_FALSE(list.HasUnexpanded());
  EXPECT_EQ(list.PeekUnexpanded(), kNoSlot);
}

TEST(CandidateList, PassThroughPointsTakeNoneOfTheLPlaces) {
  CandidateList list;
  list.Reset(2);
  list.Insert(0.5f, 50, false);
  list.Insert(1.0f, 1, true);
  list.Insert(1.5f, 51, false);
  list.Insert(2.0f, 2, true);
  EXPECT_EQ(Slots(list), (Ids{50, 1, 51, 2}));
  EXPECT_FALSE(list.IsEligible(0));
  EXPECT_TRUE(list.IsEligible(1));
  EXPECT_FALSE(list.IsEligible(2));
}

// Found by the model below: a pass-through point stayed behind the L-th, and the list was full with
// one live candidate too many.
TEST(CandidateList, TheLthEligibleOneDropsThePassThroughPointsBehindIt) {
  CandidateList list;
  list.Reset(2);
  list.Insert(1.0f, 1, true);
  list.Insert(5.0f, 50, false);
  list.Insert(2.0f, 2, true);
  EXPECT_EQ(Slots(list), (Ids{1, 2}));
  list.Insert(3.0f, 3, true);
  EXPECT_EQ(Slots(list), (Ids{1, 2}));
  list.Insert(3.0f, 51, false);
  EXPECT_EQ(Slots(list), (Ids{1, 2}));
}

TEST(CandidateList, ResetEmptiesItAndForgetsWhatWasExpanded) {
  CandidateList list;
  list.Reset(100);
  for (SlotId slot = 0; slot < 100; ++slot) list.Insert(static_cast<float>(slot), slot, slot % 2);
  list.PopUnexpanded();
  list.Reset(2);
  EXPECT_EQ(list.size(), 0u);
  EXPECT_FALSE(list.HasUnexpanded());
  for (SlotId slot = 0; slot < 5; ++slot) list.Insert(static_cast<float>(slot), slot, true);
  EXPECT_EQ(Slots(list), (Ids{0, 1}));
  EXPECT_EQ(list.PopUnexpanded().slot, 0u);
}

// The same in the plainest way: all that ever came, stably sorted, cut behind the L-th eligible.
class Model {
 public:
  explicit Model(size_t list_size) : list_size_(list_size) {}

  void Insert(float distance, SlotId slot, bool eligible) {
    entries_.push_back({distance, slot, eligible, false});
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.distance < b.distance; });
    size_t live = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
      live += entries_[i].eligible ? 1 : 0;
      if (live == list_size_) entries_.resize(i + 1);
    }
  }
  SlotId Pop() {
    for (Entry& entry : entries_) {
      if (entry.expanded) continue;
      entry.expanded = true;
      return entry.slot;
    }
    return kNoSlot;
  }
  void ExpectSame(const CandidateList& list) const {
    ASSERT_EQ(list.size(), entries_.size());
    for (size_t i = 0; i < entries_.size(); ++i) {
      ASSERT_EQ(list[i].slot, entries_[i].slot) << i;
      ASSERT_EQ(list[i].distance, entries_[i].distance) << i;
      ASSERT_EQ(list.IsEligible(i), entries_[i].eligible) << i;
    }
  }

 private:
  struct Entry {
    float distance;
    SlotId slot;
    bool eligible;
    bool expanded;
  };
  size_t list_size_;
  std::vector<Entry> entries_;
};

TEST(CandidateList, AgreesWithANaiveModel) {
  const uint64_t seed = test::Seed();
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  CandidateList list;  // One for all rounds: a scratch is used again and again.
  for (int round = 0; round < 300; ++round) {
    const size_t list_size = 1 + random() % 60;
    // The budget of pass-through points is at least 64: so many never exceed it.
    const size_t pass_through_per_100 = random() % 3 == 0 ? 0 : random() % 40;
    list.Reset(list_size);
    Model model(list_size);
    for (SlotId slot = 0; slot < 120; ++slot) {
      const bool passes_through = random() % 100 < pass_through_per_100;
      const auto distance = static_cast<float>(random() % 50) - 25;
      list.Insert(distance, slot, !passes_through);
      model.Insert(distance, slot, !passes_through);
      ASSERT_NO_FATAL_FAILURE(model.ExpectSame(list)) << "round " << round << " slot " << slot;
      if (random() % 2 == 0) {
        const SlotId expected = model.Pop();
        ASSERT_EQ(list.PeekUnexpanded(), expected);
        ASSERT_EQ(list.HasUnexpanded(), expected != kNoSlot);
        if (expected == kNoSlot) continue;
        ASSERT_EQ(list.PopUnexpanded().slot, expected);
      }
    }
  }
}

TEST(CandidateList, EndlessPassThroughPointsAreBoundedAndNoLiveCandidateIsLostForThem) {
  CandidateList list;
  list.Reset(5);
  for (SlotId slot = 0; slot < 100000; ++slot) list.Insert(1.0f, slot, false);
  const size_t pass_through = list.size();
  EXPECT_LT(pass_through, 1000u);
  for (SlotId slot = 0; slot < 5; ++slot) list.Insert(2.0f, 200000 + slot, true);
  EXPECT_EQ(list.size(), pass_through + 5);
  EXPECT_TRUE(list.IsEligible(list.size() - 1));
}

}  // namespace
}  // namespace shoal
