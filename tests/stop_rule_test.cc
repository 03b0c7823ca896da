// A search that ends once its candidates are too far to help.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <vector>

#include "codec/make_codec.h"
#include "graph/searcher.h"

namespace shoal {
namespace {

constexpr SlotId kLeaves = 9, kLost = 5, kStart = kLeaves + kLost + 1;

// Slot i is at place i of a line. The last is the start point; it has edges to 1..kLeaves, which
// have none, and to nothing else: the others are lost. Slot 0 is not used.
struct Fan {
  Fan() : places(kStart + 1), eligible(kStart + 1, 1) {
    std::iota(places.begin(), places.end(), 0.0f);
    eligible[0] = eligible[kStart] = 0;
    base = reinterpret_cast<std::byte*>(places.data());
  }
  std::vector<float> places;
  std::vector<uint8_t> eligible;
  std::atomic<std::byte*> base;
};

struct FanView {
  static constexpr bool kIsFiltered = false;
  struct Stamp {
    SlotId high_water;
  };
  SlotId start() const { return kStart; }
  Stamp stamp() const { return {kStart}; }
  size_t live() const {
    return static_cast<size_t>(std::count(fan->eligible.begin(), fan->eligible.end(), 1));
  }
  Rows rows() const { return {&fan->base, 31, sizeof(float), true}; }
  size_t CopyList(SlotId slot, SlotId* out) const {
    if (slot != kStart) return 0;
    std::iota(out, out + kLeaves, SlotId{1});
    return kLeaves;
  }
  void PrefetchList(SlotId) const {}
  size_t KeepReadable(SlotId* ids, size_t n, const Stamp&, bool* eligible) const {
    for (size_t i = 0; i < n; ++i) eligible[i] = fan->eligible[ids[i]] != 0;
    return n;
  }
  size_t CopyEligible(SlotId& next, const Stamp& since, SlotId* out) const {
    size_t n = 0;
    for (; next < since.high_water; ++next)
      if (fan->eligible[next] != 0) out[n++] = next;
    return n;
  }
  size_t CopyCoarseSeeds(SlotId*) const { return 0; }
  size_t CopyFineSeeds(size_t, SlotId, SlotId*) const { return 0; }
  bool HasClusters() const { return false; }
  bool MayHaveClusters() const { return false; }

  const Fan* fan;
};

struct Found {
  std::vector<SlotId> slots;  // Eligible ones, nearest first.
  uint64_t hops = 0;          // The start point's, and one for each leaf that was expanded.
  bool stopped = false;
};

// The search for what is near place 0.
Found Search(const Fan& fan, const SearchTerms& terms) {
  const auto codec = MakeCodec(Code::kFull, ScalarType::kFloat32, Metric::kManhattan, 1);
  const float query = 0;
  std::vector<std::byte> buffer(codec->buffer_bytes());
  const Scorer scorer =
      codec->BindQuery(VectorView(&query, ScalarType::kFloat32, 1), buffer.data());
  SearchScratch scratch;
  WorkCounters work;
  Searcher(FanView{&fan}, scorer, {}, work, scratch).FindNearest(50, terms);
  Found found{{}, work.hops, scratch.stopped};
  for (size_t i = 0; i < scratch.best.size(); ++i)
    if (scratch.best.IsEligible(i)) found.slots.push_back(scratch.best[i].slot);
  return found;
}

TEST(StopRule, WithoutOneAllCandidatesAreExpandedAndAllLivePointsAreFound) {
  const Found found = Search(Fan(), {});
  EXPECT_FALSE(found.stopped);
  EXPECT_EQ(found.hops, 1 + kLeaves);
  EXPECT_EQ(found.slots.size(), kLeaves + kLost);
}

TEST(StopRule, EndsAtTheFirstCandidateBeyondTheFactorTimesTheKth) {
  const Found found = Search(Fan(), {.stop = {.k = 3, .factor = 2}});
  EXPECT_TRUE(found.stopped);
  EXPECT_EQ(found.hops, 1 + 6u) << "the third is at 3, and 7 is the first beyond 6";
  EXPECT_EQ(found.slots.size(), kLeaves) << "what it has met, and no search for what is missing";
}

TEST(StopRule, TheKthIsTheKthThatTheSearchMayReturn) {
  Fan fan;
  fan.eligible[1] = fan.eligible[2] = 0;
  const Found found = Search(fan, {.stop = {.k = 3, .factor = 1.5f}});
  EXPECT_TRUE(found.stopped);
  EXPECT_EQ(found.hops, 1 + 7u) << "the third is at 5, and 8 is the first beyond 7.5";
}

TEST(StopRule, WhatTheScorerGivesBecomesADistanceByTheOffset) {
  const Found found = Search(Fan(), {.stop = {.k = 3, .factor = 1.2f, .offset = 10}});
  EXPECT_EQ(found.hops, 1 + 5u) << "the third is at 13, and 16 is the first beyond 15.6";
  // Estimates may be below 0 even so.
  const Found below = Search(Fan(), {.stop = {.k = 3, .factor = 2, .offset = -5}});
  EXPECT_EQ(below.hops, 1 + 5u) << "the third is taken to be at 0, and 6 is the first beyond";
}

TEST(StopRule, ASearchThatHasNotFoundKDoesNotEnd) {
  const Found found = Search(Fan(), {.stop = {.k = kLeaves + 1, .factor = 1}});
  EXPECT_FALSE(found.stopped);
  EXPECT_EQ(found.hops, 1 + kLeaves);
  EXPECT_EQ(found.slots.size(), kLeaves + kLost);
}

TEST(SearchTerms, WhatIsLeftOutIsNeitherExpandedNorFound) {
  const Found found = Search(Fan(), {.left_out = 3});
  EXPECT_EQ(found.hops, 1 + kLeaves - 1);
  EXPECT_EQ(found.slots.size(), kLeaves + kLost - 1);
  EXPECT_EQ(std::count(found.slots.begin(), found.slots.end(), SlotId{3}), 0);
}

}  // namespace
}  // namespace shoal
