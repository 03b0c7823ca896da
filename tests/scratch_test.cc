// Working memory that threads leave behind comes back, and so does that of points under kImmediate.
#include <gtest/gtest.h>

#include <barrier>
#include <thread>
#include <vector>

#include "shoal/index.h"
#include "test_data.h"

namespace shoal {
namespace {

Index Filled(size_t rows, uint32_t dim) {
  auto index = Index::Create({.dim = dim, .max_degree = 16, .build_list_size = 32});
  EXPECT_TRUE(index);
  const test::Rows data = test::Generator(ScalarType::kFloat32, {.dim = dim}, 5).Many(rows);
  std::vector<ExternalId> ids(rows);
  for (size_t i = 0; i < rows; ++i) ids[i] = i;
  const auto report = index->InsertMany(ids, data.view());
  EXPECT_TRUE(report && report->done == rows);
  return std::move(*index);
}

void SearchFromThreads(const Index& index, size_t threads) {
  std::barrier all(static_cast<ptrdiff_t>(threads));
  std::vector<std::thread> burst;
  for (size_t i = 0; i < threads; ++i)
    burst.emplace_back([&] {
      all.arrive_and_wait();
      EXPECT_TRUE(index.Search(std::vector<float>(index.options().dim, 1.0f)));
      all.arrive_and_wait();
    });
  for (auto& thread : burst) thread.join();
}

class ScratchOfABurst : public testing::Test {
 protected:
  uint64_t Scratch() const { return index_.Stats().memory.scratch; }
  Index index_ = Filled(500, 8);
};

TEST_F(ScratchOfABurst, ComesBackByCompact) {
  ASSERT_TRUE(index_.Compact());
  const uint64_t before = Scratch();
  SearchFromThreads(index_, 48);
  const uint64_t grown = Scratch() - before;
  ASSERT_TRUE(index_.Compact());
  EXPECT_LT(Scratch(), before + grown / 4);
  EXPECT_TRUE(index_.Search(std::vector<float>(8, 1.0f)));
}

TEST_F(ScratchOfABurst, ComesBackBySecondConsolidateAndThatOfThreadsAtWorkStays) {
  SearchFromThreads(index_, 48);
  ASSERT_TRUE(index_.Consolidate({.threads = 1}));
  const uint64_t before = Scratch();
  EXPECT_TRUE(index_.Search(std::vector<float>(8, 1.0f)));
  ASSERT_TRUE(index_.Consolidate({.threads = 1}));
  EXPECT_LT(Scratch(), before / 2);
  const uint64_t warm = Scratch();
  EXPECT_TRUE(index_.Search(std::vector<float>(8, 1.0f)));
  EXPECT_EQ(Scratch(), warm);
}

TEST_F(ScratchOfABurst, IsTakenOffTheBudget) {
  auto limited = Index::Create({.dim = 8, .runtime = {.memory_limit = uint64_t{64} << 20}});
  ASSERT_TRUE(limited);
  ASSERT_TRUE(limited->Insert(1, std::vector<float>(8, 1.0f)));
  // Each burst takes some; were it never taken off, the limit would be met.
  for (int i = 0; i < 200; ++i) {
    SearchFromThreads(*limited, 16);
    ASSERT_TRUE(limited->Consolidate({.threads = 1}));
    ASSERT_TRUE(limited->Consolidate({.threads = 1}));
  }
  EXPECT_TRUE(limited->Insert(2, std::vector<float>(8, 2.0f)));
}

// Without Consolidate or Compact.
TEST(ImmediateRepair, GivesMemoryBackBeforeSixtyThousandDeletes) {
  constexpr size_t kRows = 12000;
  Index index = Filled(kRows, 256);
  const uint64_t before = index.Stats().memory.vectors;
  for (ExternalId id = 0; id < kRows; ++id) ASSERT_TRUE(index.Delete(id));
  EXPECT_LT(index.Stats().memory.vectors, before * 3 / 4);
}

}  // namespace
}  // namespace shoal
