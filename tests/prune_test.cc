// Neighbour selection, alone: all other points are candidates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "codec/full_codec.h"
#include "graph/operation.h"
#include "graph/pruner.h"
#include "support/store_fixture.h"
#include "tests/test_data.h"

namespace shoal {
namespace {

using test::Rows;

// The neighbours that `p` gets of `others`, as positions in these, in the order of the list.
std::vector<size_t> Select(const Rows& others, const Rows& p, IndexOptions options) {
  options.dim = static_cast<uint32_t>(others.dim());
  FullCodec codec(options.scalar_type, options.metric, options.dim);
  testing::StoreFixture store(options.max_degree, codec.row_bytes());
  const auto place = [&](VectorView vector) {
    OwnedSlot slot = *store.slots.Acquire();
    codec.Encode(vector, store.features.Row(slot.id()));
    return std::move(slot).Publish();
  };
  for (size_t i = 0; i < others.size(); ++i) EXPECT_EQ(place(others[i]), i);
  const SlotId slot = place(p[0]);
  auto guard = store.epochs.Pin();
  Operation op(guard, codec.buffer_bytes());
  const Scorer scorer = codec.BindRow(store.features.Row(slot), op.scratch.query_buffer.data());
  std::vector<Candidate> pool(others.size());
  for (SlotId i = 0; i < pool.size(); ++i) {
    const std::byte* row = store.features.Row(i);
    pool[i].slot = i;
    scorer.Score(&row, 1, &pool[i].distance);
  }
  const Representation rows{codec, &store.features};
  const auto neighbors = Pruner(options, rows, nullptr).Prune(slot, pool, options.max_degree, op);
  return {neighbors.begin(), neighbors.end()};
}

std::set<size_t> AsSet(const std::vector<size_t>& row) { return {row.begin(), row.end()}; }

double L2(std::span<const float> a, std::span<const float> b) {
  return test::Distance(Metric::kL2, a, b);
}

// Algorithm 2 of the DiskANN paper, one round.
std::set<size_t> Naive(const Rows& others, const Rows& p, double alpha, size_t degree) {
  std::vector<size_t> chosen;
  for (const auto& candidate : test::BruteForce(Metric::kL2, others, p.values(0))) {
    if (chosen.size() == degree) break;
    const bool occluded = std::any_of(chosen.begin(), chosen.end(), [&](size_t c) {
      return candidate.distance > alpha * L2(others.values(c), others.values(candidate.row));
    });
    if (!occluded) chosen.push_back(candidate.row);
  }
  return {chosen.begin(), chosen.end()};
}

// uint8: distances are whole numbers, and exact.
Rows Random(size_t n, uint64_t seed, size_t dim = 8) {
  return test::Generator(ScalarType::kUint8, {.dim = dim, .clusters = 0}, seed).Many(n);
}

constexpr IndexOptions kU8{.scalar_type = ScalarType::kUint8, .max_degree = 16};

TEST(Prune, WithAlphaOneIsThePapersAlgorithm) {
  IndexOptions options = kU8;
  options.alpha = 1;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Rows others = Random(120, seed), p = Random(1, 1000 + seed);
    for (const uint32_t degree : {4u, 8u, 64u}) {
      options.max_degree = degree;
      EXPECT_EQ(AsSet(Select(others, p, options)), Naive(others, p, 1, degree)) << "seed " << seed;
    }
  }
}

TEST(Prune, NeverExceedsTheDegreeAndFillsItWhereAlphaLeavesEnough) {
  IndexOptions options = kU8;
  options.alpha = 2;
  for (const uint32_t degree : {4u, 5u, 16u, 33u}) {
    options.max_degree = degree;
    const auto row = Select(Random(200, 3, 24), Random(1, 4, 24), options);
    EXPECT_EQ(row.size(), degree);
    EXPECT_EQ(AsSet(row).size(), row.size()) << "no neighbour twice";
  }
}

TEST(Prune, AlwaysTakesTheNearest) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Rows others = Random(100, seed), p = Random(1, 1000 + seed);
    const auto nearest = test::BruteForce(Metric::kL2, others, p.values(0));
    const auto row = AsSet(Select(others, p, kU8));
    size_t ties = 0;
    for (const auto& neighbor : nearest)
      if (neighbor.distance == nearest[0].distance) ties += row.count(neighbor.row);
    EXPECT_GE(ties, 1u);
  }
}

TEST(Prune, WhatItLeavesOutIsOccludedByANearerNeighbour) {
  IndexOptions options = kU8;
  options.max_degree = 128;  // So that no row is full.
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Rows others = Random(100, seed), p = Random(1, 1000 + seed);
    const auto row = AsSet(Select(others, p, options));
    for (size_t x = 0; x < others.size(); ++x) {
      if (row.contains(x)) continue;
      const double distance = L2(p.values(0), others.values(x));
      const bool occluded = std::any_of(row.begin(), row.end(), [&](size_t c) {
        return L2(p.values(0), others.values(c)) <= distance &&
               distance >= options.alpha * L2(others.values(c), others.values(x)) * (1 - 1e-6);
      });
      EXPECT_TRUE(occluded) << "seed " << seed << " candidate " << x;
    }
  }
}

TEST(Prune, ALargerAlphaKeepsMore) {
  IndexOptions options = kU8;
  options.max_degree = 128;
  const Rows others = Random(150, 1), p = Random(1, 2);
  size_t last = 0;
  for (const float alpha : {1.0f, 1.2f, 1.5f, 2.0f}) {
    options.alpha = alpha;
    const size_t kept = Select(others, p, options).size();
    EXPECT_GE(kept, last);
    last = kept;
  }
}

TEST(Prune, OfIdenticalCandidatesTakesOneThenThoseElsewhereThenFillsUp) {
  Rows others(ScalarType::kUint8, 2);
  for (int i = 0; i < 30; ++i) others.Add(std::vector<double>{10, 10});
  others.Add(std::vector<double>{90, 0});
  Rows p(ScalarType::kUint8, 2);
  p.Add(std::vector<double>{12, 10});
  const auto row = Select(others, p, kU8);
  EXPECT_EQ(row.size(), 11u) << "of sixteen";
  EXPECT_EQ(row[1], 30u) << "one of thirty, and the one on the other side, before the others";
  p = Rows(ScalarType::kUint8, 2);
  p.Add(std::vector<double>{10, 10});
  EXPECT_EQ(AsSet(Select(others, p, kU8)).count(30), 1u) << "also when it is one of them";
}

TEST(Prune, IsTheSameEveryTime) {
  const Rows others = Random(200, 8), p = Random(1, 9);
  const auto row = Select(others, p, kU8);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Select(others, p, kU8), row);
}

}  // namespace
}  // namespace shoal
